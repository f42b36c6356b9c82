"""Read and write recipes as TOML: those that come with featx, and files of the user; errors name the field."""

from __future__ import annotations

import os
from collections.abc import Mapping
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

import tomli_w
from pydantic import ValidationError

from featx.errors import RecipeError, UsageError
from featx.recipes.documents import DEEPEST, DocumentKind, cut, nearest, shown
from featx.recipes.schema import Recipe, is_network_path

RECIPES = DocumentKind("recipe", Recipe, RecipeError)
RATE = "fit.learning_rate"


def recipe_names() -> list[str]:
    """Return the names of the recipes that come with featx, sorted."""
    return sorted(entry.name.removesuffix(".toml") for entry in _shipped().iterdir() if entry.name.endswith(".toml"))


def load_recipe(name_or_path: str | Path, overrides: Mapping[str, Any] | None = None) -> Recipe:
    """Read a recipe by its name, or from a TOML file.

    A file may start with `base = "NAME"`: all fields that it does not set are then those of this recipe of featx.
    Paths of networks and weights in it are relative to the file's folder, or else to the current folder; the recipe
    returned has them absolute.

    Args:
        name_or_path: A name that `recipe_names` lists, or a path, which ends in `.toml` or contains a separator.
        overrides: Values by dotted field (`"fit.epochs"`), used instead of those of the file; `None` changes nothing.

    Raises:
        UsageError: No recipe has that name, or an override is not valid.
        RecipeError: The file cannot be read, is not TOML, or a field is unknown or not valid.
    """
    source = str(name_or_path)
    try:
        recipe = RECIPES.validated(_document(source))
    except ValidationError as error:
        raise RecipeError(RECIPES.sentence(error, source)) from None
    if _is_path(source):
        recipe = _with_absolute_paths(recipe, Path(source).parent)
    return override(recipe, overrides or {})


def load_written_recipe(path: Path) -> Recipe:
    """Read the recipe that a run or a saved classifier has, with every field that mattered when it was written.

    A network that was moved together with the folder is found there. In a recipe that does not name `images.depth`,
    each image decides its depth, as it did when the recipe was written.

    Args:
        path: The file, which `dump_recipe` wrote.

    Raises:
        RecipeError: It cannot be read, is not TOML, or a field is unknown or not valid.
    """
    recipe = load_recipe(path)
    if "depth" not in recipe.images.model_fields_set:
        recipe = recipe.model_copy(update={"images": recipe.images.model_copy(update={"depth": "image"})})
    return with_network_beside(recipe, path.parent)


def with_network_beside(recipe: Recipe, folder: Path) -> Recipe:
    """Return a recipe whose network has been moved together with the folder that the recipe was written to.

    If there is nothing at the network's path, a file or folder is taken that is in the folder or beside it and has
    the same name, if possible also in a folder of the same name. Whoever uses it compares its digest.

    Args:
        recipe: A recipe that `load_recipe` has read from the folder.
        folder: The folder.
    """
    name = Path(recipe.backbone.name)
    if not is_network_path(recipe.backbone.name) or _is_there(name):
        return recipe
    folder = folder.absolute()
    # Cards of several networks often have the same name, each in its network's folder.
    ends = (Path(*name.parts[-2:]), Path(name.name))
    candidates = (place / end for end in ends for place in (folder, folder.parent))
    moved = next((path for path in candidates if path != name and _is_there(path)), None)
    return recipe if moved is None else with_fields(recipe, {"backbone.name": str(moved)})


def _is_there(path: Path) -> bool:
    try:
        return path.is_file() or path.is_dir()
    except OSError:  # a name that is too long, a folder that may not be entered
        return False


def _with_absolute_paths(recipe: Recipe, folder: Path = Path()) -> Recipe:
    """Return a recipe in which the paths of the network and its weights are absolute, from this folder."""
    part = recipe.backbone
    changes = {}
    if is_network_path(part.name):
        changes["name"] = _absolute(part.name, folder)
    if part.weights.partition(":")[0] not in ("imagenet", "random"):
        changes["weights"] = _absolute(part.weights, folder)
    return recipe.model_copy(update={"backbone": part.model_copy(update=changes)}) if changes else recipe


def _absolute(name: str, folder: Path) -> str:
    beside = folder / name
    path = Path(name) if not os.path.lexists(beside) and os.path.lexists(name) else beside
    return os.path.abspath(path)  # noqa: PTH100 - a link keeps its own name


def _is_path(source: str) -> bool:
    return source.endswith(".toml") or Path(source).name != source


def override(recipe: Recipe, overrides: Mapping[str, Any]) -> Recipe:
    """Return a copy of a recipe with some fields replaced, where `None` changes nothing; see `with_fields`."""
    changes = {field: value for field, value in overrides.items() if value is not None}
    return with_fields(recipe, changes) if changes else recipe


def with_fields(recipe: Recipe, changes: Mapping[str, Any]) -> Recipe:
    """Return a copy of a recipe with some fields replaced, where `None` is a value: it empties a field.

    Args:
        recipe: The recipe, which does not change.
        changes: Values by dotted field (`"fit.epochs"`, `"head.layers.1.units"`).

    Raises:
        UsageError: There is no such field, its value is not valid, or it is the learning rate of a recipe whose
            schedule gives absolute rates.
    """
    for field in changes:
        if field.count(".") > DEEPEST:
            raise UsageError(f"Recipe {recipe.name}: there is no field {cut(field)}, and none so deep.")
    try:
        changed = recipe.replaced(dict(changes))
    except ValidationError as error:
        raise UsageError(RECIPES.sentence(error, recipe.name)) from None
    schedule = changed.fit.schedule
    if RATE in changes and schedule is not None and schedule.kind == "absolute":
        raise UsageError(
            f"The schedule of the recipe {recipe.name} gives absolute rates, which {RATE} (--learning-rate) does not "
            "change; edit fit.schedule in a copy of the recipe (featx recipes show prints it)."
        )
    return changed


def dump_recipe(recipe: Recipe) -> str:
    """Return a recipe as TOML with every default written out and paths absolute; `load_recipe` reads it back.

    What is left to the network's card stays left out.
    """
    recipe = _with_absolute_paths(recipe)
    options: dict[str, Any] = {"mode": "json", "exclude_none": True}
    document = recipe.model_dump(**options)
    if _has_card(document["backbone"]):
        document |= recipe.tables_beside_card(**options)
    return tomli_w.dumps(document)


def _shipped() -> Traversable:
    return resources.files("featx.recipes")


def _document(source: str) -> dict[str, Any]:
    """Return a recipe's TOML document, merged with its base."""
    document = RECIPES.parse(_text(source), source)
    base = document.pop("base", None)
    if base is None:
        return document
    if base not in recipe_names():
        raise RecipeError(
            f"Recipe {source}: base must be one of {', '.join(recipe_names())}, received {shown(base)}."
        )
    merged = _merged(_document(base), document)
    if _has_card(merged.get("backbone")):  # the base's are for another network
        merged |= {"images": document.get("images", {}), "backbone": document["backbone"]}
    return merged


def _has_card(part: Any) -> bool:
    name = part.get("name") if isinstance(part, dict) else None
    return isinstance(name, str) and is_network_path(name) and not name.lower().endswith(".keras")


def _text(source: str) -> str:
    if not _is_path(source):
        if source not in recipe_names():
            raise UsageError(
                f"No recipe is named {shown(source)}; {nearest(source, recipe_names())} "
                "(For your own file, pass its path, which ends in .toml.)"
            )
        return (_shipped() / f"{source}.toml").read_text("utf-8")
    return RECIPES.read(Path(source))


def _merged(base: dict[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in changes.items():
        inner = merged.get(key)
        merged[key] = _merged(inner, value) if isinstance(inner, dict) and isinstance(value, dict) else value
    return merged
