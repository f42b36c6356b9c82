"""Which features are meant: a recipe, or a backbone with its default settings."""

from __future__ import annotations

from pydantic import ValidationError

from featx.errors import UsageError
from featx.networks import find_backbone, is_model_file
from featx.recipes import BackbonePart, ImagesPart, PreprocessPart, Recipe, load_recipe, with_fields

DEFAULT_BACKBONE = "vgg16"


def default_recipe(backbone: str) -> Recipe:
    """Return a backbone with its default settings: its own input size and preprocessing, average pooling, one view.

    Raises:
        UsageError: There is no backbone of that name.
    """
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


def base_recipe(recipe: Recipe | str | None, backbone: str | None) -> Recipe:
    """Return a recipe, or the backbone with its default settings; VGG16 without either.

    Args:
        recipe: A recipe, its name or the path of its file.
        backbone: A name of the table or the path of a `.keras` file.

    Raises:
        UsageError: Both are given, or there is none of that name.
        RecipeError: The recipe's file is not valid.
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
