"""Which features are meant: a recipe, or a backbone with its default settings."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from featx.errors import RecipeError, UsageError
from featx.networks import BACKBONES, Weights, find_backbone, is_card, is_model_file, load_card
from featx.recipes import (
    BackbonePart,
    FeatureSpec,
    ImagesPart,
    PreprocessPart,
    Recipe,
    load_recipe,
    with_fields,
)

Spec = TypeVar("Spec", bound=FeatureSpec)

DEFAULT_BACKBONE = "efficientnetlite0"  # it comes with featx, so nothing is downloaded


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


def with_card(spec: Spec, weights: Weights) -> Spec:
    """Return the features of a network with a card, resized as the card says where the spec says nothing.

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
    own, given = card.images(), spec.images
    if "images" not in spec.model_fields_set:
        return spec.model_copy(update={"images": own})
    same = (own.resize, own.fit, own.resize_to is None) == (given.resize, given.fit, given.resize_to is None)
    if mode == "card" and not same:
        raise RecipeError(
            f"Preprocessing 'card' resizes images as the card of {card.name} says ({_rule(own)}), but the recipe's "
            f"[images] says {_rule(given)}; leave out [images], or write there what the card says."
        )
    return spec


def _rule(part: ImagesPart) -> str:
    whole = "" if part.resize_to is None else f", resize_to {part.resize_to}"
    return f"resize {part.resize!r}, fit {part.fit!r}{whole}"


def base_recipe(recipe: Recipe | str | None, backbone: str | None) -> Recipe:
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
        raise UsageError("Expected --recipe or --backbone, received both; a recipe names its backbone.")
    if recipe is None:
        return default_recipe(backbone or DEFAULT_BACKBONE)
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
    changes = {"images.size": height, "images.width": None if width == height else width, "images.resize_to": None}
    sized, part = with_fields(recipe, changes), recipe.images
    if part.resize_to is None:
        return sized
    longer = max(sized.images.shape)
    return with_fields(sized, {"images.resize_to": max(longer, round(part.resize_to * longer / max(part.shape)))})
