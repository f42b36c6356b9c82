"""`import_backbone`: a network from elsewhere becomes a file and a card in a folder, once."""

from __future__ import annotations

import logging
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from featx.errors import UsageError
from featx.files import TEMPORARY, check_folder, unwritable
from featx.networks.backbones import SCHEMES
from featx.networks.cards.card import NEEDS_FRAMEWORK, AboutPart, Tokens
from featx.networks.cards.files import write_card
from featx.networks.framework import has_onnxruntime
from featx.networks.importing import comparison, from_onnx
from featx.networks.importing.built import Built
from featx.progress import report_progress

log = logging.getLogger("featx")

CARD = "card.toml"
STAGES = ("Importing", 4)
# From this difference on, it is told that the framework resizes images with another filter.
TOLD = 1e-3
SOURCES = "timm:NAME, hf:NAME, hf:FOLDER, keras-hub:NAME, torchxrayvision:NAME or FILE.onnx"


@dataclass(frozen=True)
class Imported:
    """A network that was brought in.

    Attributes:
        card: Its card, which `--backbone` takes.
        file: Its main file, beside the card.
        kind: The file's format: `onnx`, `keras` or `saved_model`.
        width: Number of features of an image.
        network_difference: The largest difference of a feature between the framework and the file for the same input,
            as a share of the row's largest; None where there is nothing to compare with.
        largest_difference: The same from the image on, prepared by the framework and by featx.
    """

    card: Path
    file: Path
    kind: str
    width: int
    network_difference: float | None
    largest_difference: float | None


def import_backbone(
    source: str,
    out: str | Path,
    *,
    tokens: Tokens | None = None,
    like: str | None = None,
    output: str | None = None,
) -> Imported:
    """Bring in a network from another framework, with a card that says how its pixels are prepared.

    The network is built with its weights by its own framework, without its classifier, and written once as ONNX
    (Keras Hub's as Keras or SavedModel). Ten images are run through both, and the largest difference goes into the
    card.

    Args:
        source: `timm:NAME`, `hf:NAME` or `hf:FOLDER` (transformers), `keras-hub:NAME`, `torchxrayvision:NAME`, or the
            path of an ONNX file.
        out: A new folder, or one with an earlier import, for the card (`card.toml`) and the network.
        tokens: What to make of tokens: `cls`, `mean`, `cls+mean` or `map`; the network's own features if not given.
        like: For an ONNX file: a named backbone, or a card, whose pixels are prepared in the same way.
        output: For an ONNX file: the name of an output, or of a value inside the network.

    Returns:
        The files, and how far the features differ.

    Raises:
        UsageError: The source is unknown, needs packages that are not installed, or leaves something open.
        WeightsError: The weights cannot be had or are not safe to load.
        EngineError: The network cannot be exported.
        UntrustedError: The written file gives other features than the framework.
        RunError: The folder holds other files.
    """
    folder = Path(out)
    check_folder(folder, "network", [CARD], earlier="import of one")
    report_progress(STAGES[0], 0, STAGES[1])
    built = _build(source, tokens, like, output)
    report_progress(STAGES[0], 1, STAGES[1])
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=TEMPORARY) as draft:
            return _write(built, Path(draft), folder)
    except OSError as error:
        raise unwritable(folder, error) from error


def _write(built: Built, draft: Path, folder: Path) -> Imported:
    card = built.card(draft, built.write(draft))
    report_progress(STAGES[0], 2, STAGES[1])
    width = comparison.width_of(card)
    differences = comparison.compare(built, card) if _comparable(built) else None
    report_progress(STAGES[0], 3, STAGES[1])
    card = card.model_copy(update={"about": _about(built.about, width, differences)})
    folder.mkdir(exist_ok=True)
    for name in card.files:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (draft / name).replace(folder / name)
    path = write_card(card, folder / CARD)
    report_progress(STAGES[0], 4, STAGES[1])
    main = folder / next(iter(card.files))
    network, whole = differences or (None, None)
    return Imported(path, main, card.kind, width, network, whole)


def _about(about: AboutPart, width: int, differences: comparison.Differences | None) -> AboutPart:
    changes: dict[str, object] = {"width": width}
    if differences is not None:
        changes["largest_difference"] = float(np.format_float_scientific(differences.whole, precision=2))
        if differences.whole > TOLD:
            note = (
                f"From the same input, features differ by {differences.network:.1e} of the largest; from images of "
                f"other sizes by {differences.whole:.1e}, since the framework resizes or cuts them in another way."
            )
            log.warning("%s", note)
            changes["notes"] = f"{about.notes} {note}".strip()
    return about.model_copy(update=changes)


def _comparable(built: Built) -> bool:
    if built.about.made_with or has_onnxruntime():
        return True
    log.warning(
        "The features are not compared with those of another engine, because onnxruntime is not installed; it comes "
        "with pip install 'featx[onnx]'."
    )
    return False


def _build(source: str, tokens: Tokens | None, like: str | None, output: str | None) -> Built:
    scheme, colon, name = source.partition(":")
    is_file = source.lower().endswith(".onnx") and scheme not in SCHEMES
    if not is_file and (like or output):
        option = "--like" if like else "--output"
        raise UsageError(
            f"Expected {option} only for an ONNX file, received the source {source[:80]!r}; leave it out."
        )
    if is_file:
        return from_onnx.build_onnx(Path(source), like, output, tokens)
    if not colon or not name:
        raise UsageError(f"Expected a source such as {SOURCES}, received {source[:80]!r}; {_instead_of(source)}.")
    return _from_framework(scheme, name, tokens)


def _instead_of(source: str) -> str:
    """Return what whoever wrote a source that is none may want."""
    path = Path(source)
    ending = path.suffix.lower()
    if ending == ".keras":
        return "--backbone takes a .keras file as it is, or a card that names it"
    if ending in NEEDS_FRAMEWORK:
        return "export such a network as ONNX with the program that made it, and import the ONNX file"
    if path.is_dir():
        return f"for a folder of the Hugging Face hub write hf:{source[:80]}"
    return f"did you mean {'hf' if len(path.parts) == 2 else 'timm'}:{source[:80]}?".removesuffix("?")


def _from_framework(scheme: str, name: str, tokens: Tokens | None) -> Built:
    if scheme == "timm":
        from featx.networks.importing.from_timm import build_timm

        return build_timm(name, tokens)
    if scheme == "hf":
        from featx.networks.importing.from_hub import build_hub

        return build_hub(name, tokens)
    if scheme == "keras-hub":
        from featx.networks.importing.from_keras_hub import build_keras_hub

        return build_keras_hub(name, tokens)
    if scheme != "torchxrayvision":
        raise UsageError(f"Expected a source such as {SOURCES}, received one that begins with {scheme[:40]!r}.")
    if tokens is not None:
        raise UsageError(f"Expected no --tokens for torchxrayvision, whose networks have none, received {tokens}.")
    from featx.networks.importing.from_xrayvision import build_xrayvision

    return build_xrayvision(name)
