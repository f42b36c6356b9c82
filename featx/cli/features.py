"""Which features a command's options mean."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import TYPE_CHECKING, Any

from featx.cli import options

if TYPE_CHECKING:
    from featx.recipes import FeatureSpec


def spec(
    recipe: str | None, backbone: str | None, weights: list[str] | None, fields: Mapping[str, Any]
) -> FeatureSpec:
    """Return what `--recipe` or `--backbone`, `--weights` and single fields say together.

    Args:
        recipe: A recipe's name or file.
        backbone: A backbone to take instead, as it comes.
        weights: Choices of `--weights`.
        fields: Dotted names and values of fields to replace; those that are None are left as they are.

    Raises:
        UsageError: Recipe and backbone are both given.
        RecipeError: The recipe or a field is not valid.
    """
    from featx.features import base_recipe, chosen_recipe

    base = base_recipe(recipe, backbone)
    changes = {name: value.value if isinstance(value, Enum) else value for name, value in fields.items()}
    changes["backbone.weights"] = options.weights_for(base.backbone.name, weights)
    return chosen_recipe(base, None, changes)


def spec_if_asked(
    recipe: str | None, backbone: str | None, weights: list[str] | None, fields: Mapping[str, Any]
) -> FeatureSpec | None:
    """Return the same, or None where none of the options is given; of RUN|DATA, a run has features of its own."""
    if all(value is None for value in (recipe, backbone, *fields.values())) and not weights:
        return None
    return spec(recipe, backbone, weights, fields)
