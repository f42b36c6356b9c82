"""Which features are meant: a recipe, or a backbone with its default settings."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, TypedDict, TypeVar, cast

from pydantic import ValidationError

from featx.data import DataChoice
from featx.errors import RecipeError, UsageError, reason_of_field
from featx.networks import BACKBONES, Card, Weights, find_backbone, is_card, is_model_file, load_card
from featx.recipes import (
    BackbonePart,
    FeatureSpec,
    Frames,
    ImagesPart,
    Pooling,
    PreprocessMode,
    PreprocessPart,
    Recipe,
    is_network_path,
    load_recipe,
    override,
    with_fields,
)

log = logging.getLogger("featx")

Spec = TypeVar("Spec", bound=FeatureSpec)

DEFAULT_BACKBONE = "efficientnetlite0"  # it comes with featx, so nothing is downloaded


class FeatureChoice(TypedDict, total=False):
    """Keyword arguments of every verb that computes features: single fields of them.

    Attributes:
        backbone: Instead of a recipe, a network with its default settings: a name, a network's card or a folder with
            one, or a `.keras` file.
        pooling: `none`, `avg` or `max`.
        preprocess: `rescale`, `imagenet`, `featurewise`, `raw` or `card`.
        size: Height and width in pixels, or one number for both.
        weights: `imagenet`, `random`, `random:SEED` or a file; or these by the backbone's name.
        window: Grey levels of DICOM files: `file` (as they say), `none` (all their values), or `CENTER/WIDTH`.
        frames: Of DICOM files with several frames the `first`, the `middle` or `all`.
    """

    backbone: str | Path | None
    pooling: Pooling | None
    preprocess: PreprocessMode | None
    size: int | tuple[int, int] | None
    weights: str | Path | Mapping[str, str | Path] | None
    window: str | None
    frames: Frames | None


class Choice(FeatureChoice, DataChoice, total=False):
    """Keyword arguments of every verb that takes data: those of `FeatureChoice` and of `DataChoice`."""


def default_recipe(backbone: str) -> Recipe:
    """Return a backbone with its default settings: its own input size and preprocessing, average pooling, one view.

    Args:
        backbone: A name of the table; the path of a `.keras` file; or a network's card, or a file or folder that has
            one, see `load_card`. A card also says how pooling is done.

    Raises:
        UsageError: There is no backbone of that name, or no card that says how pixels are prepared.
        CardError: The card cannot be read, or is not valid.
    """
    if backbone.lower() not in BACKBONES and _is_folder(backbone):
        backbone = os.path.abspath(backbone)  # noqa: PTH100 - a link keeps its own name
    if is_card(backbone):
        return _recipe_of_card(backbone)
    if is_model_file(backbone):
        try:
            part = BackbonePart(name=backbone)
        except ValidationError:
            raise UsageError(f"Expected the path of a .keras file, received {backbone[:80]!r}.") from None
        return Recipe(name=backbone, backbone=part, preprocess=PreprocessPart(mode="rescale"))
    row = find_backbone(backbone)
    return Recipe(
        name=row.name, backbone=BackbonePart(name=row.name, pooling="avg"), images=ImagesPart(size=row.size)
    )


def _is_folder(name: str) -> bool:
    try:
        return Path(name).is_dir()
    except (OSError, ValueError):
        return False


def _recipe_of_card(path: str) -> Recipe:
    card = load_card(path)
    try:
        part = BackbonePart(name=path, pooling=card.output.pooling)
    except ValidationError:
        raise UsageError(f"Expected the path of a network's card, received {path[:80]!r}.") from None
    return Recipe(name=card.name, backbone=part, images=card.images(), preprocess=PreprocessPart(mode="card"))


def check_has_card(spec: FeatureSpec) -> None:
    """Check by its name that a network has a card, if its pixels shall be prepared as one says.

    Raises:
        RecipeError: It has none.
        UsageError: There is no network of that name.
    """
    name = spec.backbone.name
    if spec.preprocess.mode == "card" and not is_card(name):
        if not is_model_file(name):
            find_backbone(name)  # a name that is none is the first thing to say
        raise no_card(name)


def no_card(name: str) -> RecipeError:
    """Return the error for a network that shall be prepared as its card says and has none."""
    return RecipeError(
        f"Preprocessing 'card' is for networks with a card, and {name} has none; choose preprocess.mode 'imagenet', "
        "'rescale', 'raw' or 'featurewise' (--preprocess)."
    )


def with_card(spec: Spec, weights: Weights) -> Spec:
    """Return the features of a network with a card, whose pooling and fields of `images` are used where none are set.

    `width` belongs to `size`, and `resize_to` to `fit`: they are not the card's if the other is the spec's.

    Args:
        spec: The features; returned as they are for a network without a card.
        weights: What `find_weights` returned for the network.

    Raises:
        RecipeError: The spec contradicts the card.
    """
    mode, card = spec.preprocess.mode, weights.card
    if card is None:
        return spec
    if mode == "imagenet":
        raise RecipeError(
            f"Preprocessing 'imagenet' is for networks that featx knows by name, but {card.name} has a card; choose "
            "preprocess.mode 'card', with which pixels are prepared as the card says (--preprocess card)."
        )
    if mode != "card":
        _tell_of_mode(mode, card.name)
    own, images = card.images(), _completed(spec.images, card)
    same = (own.resize, own.fit, own.resize_to is None) == (images.resize, images.fit, images.resize_to is None)
    if mode == "card" and not same:
        raise RecipeError(
            f"Preprocessing 'card' resizes images as the card of {card.name} says ({_rule(own)}), but the recipe's "
            f"[images] says {_rule(images)}; leave these fields out of [images], or write there what the card says."
        )
    backbone = spec.backbone
    if "pooling" not in backbone.model_fields_set:
        backbone = backbone.model_copy(update={"pooling": card.output.pooling})
    return spec.model_copy(update={"images": images, "backbone": backbone})


def _completed(part: ImagesPart, card: Card) -> ImagesPart:
    """Return how images are resized: the fields that are set, and for the others those of a card."""
    own = card.images()
    fields = {name: getattr(part, name) for name in part.model_fields_set}
    if "size" in fields:
        fields.setdefault("width", None)
    if "fit" in fields:
        fields.setdefault("resize_to", None)
    height = fields.get("size", own.size)
    shape = (height, fields.get("width", own.width) or height)
    try:
        return ImagesPart(**own.model_dump() | {"resize_to": _side_at(own, shape)} | fields)
    except ValidationError as error:
        reason = reason_of_field(error.errors()[0]["msg"])
        raise RecipeError(
            f"The recipe's [images] does not fit the card of {card.name}, which says the rest: {reason}; leave out "
            "[images], or set all of its fields."
        ) from None


def _side_at(part: ImagesPart, shape: tuple[int, int]) -> int | None:
    """Return `resize_to` for another input size: the centre that is cut out stays the same share of the image."""
    longer = max(shape)
    return None if part.resize_to is None else max(longer, round(part.resize_to * longer / max(part.shape)))


@cache
def _tell_of_mode(mode: str, name: str) -> None:
    log.warning(
        "Pixels are prepared by %r, not as the card of %s says, which is preprocess.mode 'card' (--preprocess card).",
        mode,
        name,
    )


def _rule(part: ImagesPart) -> str:
    whole = "" if part.resize_to is None else f", resize_to {part.resize_to}"
    return f"resize {part.resize!r}, fit {part.fit!r}{whole}"


def chosen_spec(
    recipe: FeatureSpec | str | Path | None, choice: FeatureChoice, further: Mapping[str, Any] | None = None
) -> FeatureSpec:
    """Return the features that a recipe or a backbone and single fields mean; EfficientNet-Lite0 without either.

    Args:
        recipe: A recipe, its name or the path of its file; or a `FeatureSpec`.
        choice: What is not as the recipe or the backbone says.
        further: More fields by their dotted name; None leaves a field as it is.

    Raises:
        UsageError: Both a recipe and a backbone are given, or there is none of that name.
        RecipeError: The recipe's file, or a field, is not valid.
        CardError: The card is not valid.
    """
    if isinstance(recipe, FeatureSpec) and not isinstance(recipe, Recipe):
        recipe = Recipe(**{name: getattr(recipe, name) for name in FeatureSpec.model_fields})
    return chosen_recipe(recipe, choice, further)


def chosen_recipe(
    recipe: Recipe | str | Path | None, choice: FeatureChoice, further: Mapping[str, Any] | None = None
) -> Recipe:
    """Return a recipe, or the backbone with its default settings, with single fields replaced, see `chosen_spec`."""
    base = with_size(base_recipe(recipe, choice.get("backbone")), choice.get("size"))
    weights = weights_of(base.backbone.name, choice.get("weights"))
    fields = {
        "backbone.pooling": choice.get("pooling"),
        "preprocess.mode": choice.get("preprocess"),
        "images.window": choice.get("window"),
        "images.frames": choice.get("frames"),
        "backbone.weights": weights,
        **(further or {}),
    }
    return override(base, fields)


def weights_of(backbone: str, weights: str | Path | Mapping[str, str | Path] | None) -> str | None:
    """Return the weights that are chosen for one backbone: in a mapping its own before those of "", for all."""
    if not isinstance(weights, Mapping):
        return None if weights is None else str(weights)
    for name, source in reversed(list(weights.items())):
        is_same = name.lower() == backbone.lower()
        if name and (is_same or (is_network_path(name) and Path(name).absolute() == Path(backbone).absolute())):
            return str(source)
    return str(weights[""]) if "" in weights else None


def data_choice(choice: Choice) -> DataChoice:
    """Return what a choice says of how data is read."""
    names = DataChoice.__annotations__
    return cast("DataChoice", {name: value for name, value in choice.items() if name in names})


def base_recipe(recipe: Recipe | str | Path | None, backbone: str | Path | None) -> Recipe:
    """Return a recipe, or the backbone with its default settings; EfficientNet-Lite0 without either.

    Args:
        recipe: A recipe, its name or the path of its file.
        backbone: A name of the table, or a path, see `default_recipe`.

    Raises:
        UsageError: Both are given, or there is none of that name.
        RecipeError: The recipe's file is not valid.
        CardError: The card is not valid.
    """
    if recipe is not None and backbone is not None:
        raise UsageError("Expected a recipe or a backbone, received both; a recipe names its backbone.")
    if recipe is None:
        return default_recipe(DEFAULT_BACKBONE if backbone is None else str(backbone))
    return recipe if isinstance(recipe, Recipe) else load_recipe(recipe)


def with_size(recipe: Recipe, size: int | tuple[int, int] | None) -> Recipe:
    """Return a recipe for another input size; if the centre is cut out of images, it stays the same share of them.

    Args:
        recipe: The recipe, which does not change.
        size: Height and width in pixels, or one number for both; None leaves the recipe's.

    Raises:
        UsageError: The size is not valid.
    """
    if size is None:
        return recipe
    height, width = size if isinstance(size, (tuple, list)) and len(size) == 2 else (size, None)
    part, changes = recipe.images, {"images.size": height, "images.width": None if width == height else width}
    if part.resize_to is None:  # left to a card, if the network has one
        return with_fields(recipe, changes)
    sized = with_fields(recipe, {**changes, "images.resize_to": None})
    return with_fields(sized, {"images.resize_to": _side_at(part, sized.images.shape)})
