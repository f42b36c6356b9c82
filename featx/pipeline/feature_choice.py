"""Which features are meant: a recipe or a backbone as it comes, with single fields replaced."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from featx.errors import UsageError
from featx.pipeline.extraction import DEFAULT_BACKBONE, default_recipe
from featx.recipe import Recipe
from featx.recipe_files import load_recipe, override


def base_recipe(recipe: Recipe | str | None, backbone: str | None) -> Recipe:
    """Return a recipe, or the backbone as it comes; VGG16 without either.

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


def chosen_recipe(recipe: Recipe | str | None, backbone: str | None, fields: Mapping[str, Any]) -> Recipe:
    """Return the same with dotted fields replaced; those that are None stay as they are.

    Raises:
        UsageError: Recipe and backbone are both given, or a field is not valid.
        RecipeError: The recipe's file is not valid.
    """
    return override(base_recipe(recipe, backbone), fields)
