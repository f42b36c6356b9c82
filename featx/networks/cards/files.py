"""Cards on disk: which one a path means, read with errors that name the field, and written."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tomli_w
from pydantic import ValidationError

from featx.errors import CardError, UsageError, WeightsError, reason_of
from featx.files import is_file, write_text
from featx.networks.backbones import is_model_file, refuse_source
from featx.networks.cards.card import Card, OutputPart
from featx.networks.cards.derived import unfit
from featx.networks.cards.doubtful_pixels import tell_of_doubt
from featx.networks.cards.hub_folders import derived_card, is_derivable
from featx.recipes import DocumentKind, is_network_path

CARDS = DocumentKind("card", Card, CardError)
# What a TOML file has if it is a card. A folder may also hold recipes, such as that of a run.
MARKS = frozenset({"card", "files", "kind"})
MOST_TOMLS = 100
# An array of numbers, which tomli_w writes with a number on each line.
NUMBERS = re.compile(r"\[\n(?: +[-+.\de]+,\n)+\]")
NEEDED = "input.layout, input.colour, input.size, pixels.interpolation, pixels.scale, pixels.mean, pixels.std"
HELP = "featx does not guess how pixels are prepared"


def is_card(name: str) -> bool:
    """Tell whether a network's name is the path of a card, or of a file or folder that has one."""
    return is_network_path(name) and not is_model_file(name)


def load_card(path: str | Path) -> Card:
    """Return the card that a path means, without reading the network itself.

    Args:
        path: A card (`.toml`); an ONNX file with a card of the same name beside it; or a folder with one card, or
            with a network and the settings that transformers (`preprocessor_config.json`) or timm (`config.json`
            with `pretrained_cfg`) wrote for it, from which a card is derived.

    Raises:
        UsageError: There is no card and none can be derived, or it does not say how pixels are prepared; the message
            names the fields that are missing.
        CardError: The card cannot be read, or a field is unknown or not valid.
        WeightsError: The network's file cannot be read, where a card is derived from settings.
    """
    path = Path(path)
    ending = path.suffix.lower()
    try:
        is_folder = path.is_dir()
    except (OSError, ValueError):
        is_folder = False
    if is_folder:
        return _card_in(path)
    if not os.path.lexists(path):
        refuse_source(str(path))
        raise WeightsError(
            f"Expected a network's card, or a file or folder that has one, at {path}, but there is nothing; check "
            f"the path{_hub_hint(path)}, or, if a run's network has moved, name its new place with --weights."
        )
    if ending == ".toml":
        return _read(path)
    if ending == ".onnx":
        return _card_beside(path)
    raise UsageError(
        f"Expected the path of a card (.toml), of a folder with one, or of an .onnx or .keras file, received {path}; "
        "export a network of another format as ONNX with the library that it comes from (featx backbones import does "
        "this for timm and transformers), or save it as .keras in Keras 3."
    )


def _hub_hint(path: Path) -> str:
    if len(path.parts) != 2 or path.is_absolute() or path.suffix or path.parts[0] in (".", ".."):
        return ""
    return f", or bring in a network of the Hugging Face hub first (featx backbones import hf:{path} --out DIR)"


def card_of(document: Mapping[str, Any], source: object) -> Card:
    """Return the card that the tables of a document describe; `source` names it in messages.

    Raises:
        UsageError: Fields are missing.
        CardError: A field is unknown or not valid.
    """
    try:
        card = CARDS.validated(document)
    except ValidationError as error:
        raise unfit(CARDS, error, source) from None
    tell_of_doubt(card)
    return card


def write_card(card: Card, path: Path) -> Path:
    """Write a card as TOML, with the files' paths relative to it as they are; return its path.

    Raises:
        StoreError: The file cannot be written.
    """
    return write_text(path, dump_card(card))


def dump_card(card: Card) -> str:
    """Return a card as TOML; `load_card` reads it back with the same digest."""
    document = card.model_dump(mode="json", exclude_none=True)
    document["about"] = {name: value for name, value in document["about"].items() if value != ""}
    if card.output.tokens is None and card.output.prefix_tokens == OutputPart().prefix_tokens:
        del document["output"]["prefix_tokens"]
    text = tomli_w.dumps({name: value for name, value in document.items() if value != {}})
    return NUMBERS.sub(lambda found: f"[{', '.join(found[0].strip('[,]').replace(',', ' ').split())}]", text)


def _read(path: Path) -> Card:
    return card_of(CARDS.parse(CARDS.read(path), path), path).at(path.parent)


def _card_beside(path: Path) -> Card:
    beside = next(
        (path.with_suffix(ending) for ending in (".toml", ".TOML") if is_file(path.with_suffix(ending))), None
    )
    if beside is None:
        for folder in (path.parent, path.parent.parent):
            if is_derivable(folder):
                return card_of(derived_card(folder, path), f"derived from {folder}").at(folder)
        raise UsageError(
            f"Expected a card beside {path} ({path.with_suffix('.toml').name}), which says how pixels are prepared "
            f"({NEEDED}), but there is none, and {HELP}; write one, or let featx backbones import {path} --out DIR "
            "make it."
        )
    card = _read(beside)
    if card.main.resolve() != path.resolve():
        raise CardError(
            f"Expected the card {beside} to name {path.name} as the first of its files, but it names "
            f"{card.main.name}; correct [files], or pass the card itself."
        )
    return card


def _card_in(folder: Path) -> Card:
    try:
        tomls = sorted(path for path in folder.iterdir() if path.suffix.lower() == ".toml" and is_file(path))
    except OSError as error:
        raise CardError(
            f"Expected a folder with a card at {folder}, but it cannot be read: {reason_of(error)}."
        ) from None
    cards = [path for path in tomls[:MOST_TOMLS] if _may_be_card(path)]
    if len(cards) == 1:
        return _read(cards[0])
    if cards:
        raise UsageError(
            f"Expected one card in {folder}, found {len(cards)} ({', '.join(path.name for path in cards[:5])}"
            f"{', …' if len(cards) > 5 else ''}); pass the path of one of them."
        )
    if is_derivable(folder):
        return card_of(derived_card(folder), f"derived from {folder}").at(folder)
    raise UsageError(
        f"Expected a network's card (.toml) in {folder}, or preprocessor_config.json or timm's config.json, from "
        f"which one can be derived, but there is none, and {HELP}; write one ({NEEDED}), or use featx backbones "
        "import."
    )


def _may_be_card(path: Path) -> bool:
    try:
        return bool(MARKS & CARDS.parse(CARDS.read(path), path).keys())
    except CardError:  # its reading will say what is wrong
        return True
