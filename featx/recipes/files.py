"""Read and write recipes as TOML: those that come with featx, and files of the user; errors name the field."""

from __future__ import annotations

import difflib
import json
import os
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

import tomli_w
from pydantic import BaseModel, ValidationError

from featx.errors import RecipeError, UsageError
from featx.files import is_file, read_file
from featx.recipes.schema import DenseLayer, DropoutLayer, Recipe, is_network_path

RATE = "fit.learning_rate"

# A recipe has few tables, none of them deep. What has more is no recipe, and would keep the reader of TOML busy.
LARGEST = 2**20
DEEPEST = 20
LARGEST_NUMBER = 2**63  # of TOML itself
# Strings, also without an end, and comments: the dots in them separate no keys.
TEXT = re.compile(
    r"""
    "{3}(?:[^"\\]|\\.|"(?!""))*+(?:"{3,5}|\Z)
    |'{3}(?:[^']|'(?!''))*+(?:'{3,5}|\Z)
    |"(?:[^"\\\n]|\\[^\n])*+"?
    |'[^'\n]*+'?
    |\#[^\n]*+
    """,
    re.DOTALL | re.VERBOSE,
)
DEEP_KEY = re.compile(rf"(?<![\w-])[\w-]++(?:[ \t]*+\.[ \t]*+[\w-]++){{{DEEPEST}}}")
SHOWN = 80  # characters of what a file has, in a message


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
        # TOML has arrays where the recipe has tuples, and 1 where it means 1.0: JSON's rules allow both.
        recipe = Recipe.model_validate_json(json.dumps(_document(source), default=str))
    except ValidationError as error:
        raise RecipeError(_sentence(error, source)) from None
    if _is_path(source):
        recipe = _with_absolute_paths(recipe, Path(source).parent)
    return override(recipe, overrides or {})


def with_network_beside(recipe: Recipe, folder: Path) -> Recipe:
    """Return a recipe whose network has been moved together with the folder that the recipe was written to.

    If there is no file at the path of its `.keras` model, one of the same name is taken that is in the folder or
    beside it. Whoever uses it compares its digest.

    Args:
        recipe: A recipe that `load_recipe` has read from the folder.
        folder: The folder.
    """
    name = Path(recipe.backbone.name)
    if not is_network_path(recipe.backbone.name) or is_file(name):
        return recipe
    folder = folder.absolute()
    moved = next((place / name.name for place in (folder, folder.parent) if is_file(place / name.name)), None)
    return recipe if moved is None else with_fields(recipe, {"backbone.name": str(moved)})


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
            raise UsageError(f"Recipe {recipe.name}: there is no field {_cut(field)}, and none so deep.")
    try:
        changed = recipe.replaced(dict(changes))
    except ValidationError as error:
        raise UsageError(_sentence(error, recipe.name)) from None
    schedule = changed.fit.schedule
    if RATE in changes and schedule is not None and schedule.kind == "absolute":
        raise UsageError(
            f"The schedule of the recipe {recipe.name} gives absolute rates, which {RATE} (--learning-rate) does not "
            "change; edit fit.schedule in a copy of the recipe (featx recipes show prints it)."
        )
    return changed


def dump_recipe(recipe: Recipe) -> str:
    """Return a recipe as TOML with every default written out and paths absolute; `load_recipe` reads it back."""
    return tomli_w.dumps(_with_absolute_paths(recipe).model_dump(mode="json", exclude_none=True))


def _shipped() -> Traversable:
    return resources.files("featx.recipes")


def _document(source: str) -> dict[str, Any]:
    """Return a recipe's TOML document, merged with its base."""
    document = _parsed(_text(source), source)
    base = document.pop("base", None)
    if base is None:
        return document
    if base not in recipe_names():
        raise RecipeError(
            f"Recipe {source}: base must be one of {', '.join(recipe_names())}, received {_shown(base)}."
        )
    return _merged(_document(base), document)


def _parsed(text: str, source: str) -> dict[str, Any]:
    deep = f"Recipe {source} has tables or lists in each other, more than {DEEPEST} deep; no recipe needs that."
    if DEEP_KEY.search(TEXT.sub("_", text)):  # the time that tomllib takes grows with the square of a key's parts
        raise RecipeError(deep)
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise RecipeError(f"Recipe {source} is not valid TOML: {error}.") from None
    except ValueError:  # from `int`, for more than 4300 digits
        raise RecipeError(f"Recipe {source} has a number of thousands of digits; write a smaller one.") from None
    except RecursionError:
        raise RecipeError(deep) from None
    values: list[Any] = [document]
    for _ in range(DEEPEST):
        if any(isinstance(value, int) and abs(value) >= LARGEST_NUMBER for value in values):
            raise RecipeError(f"Recipe {source} has a whole number beyond 64 bits; write a smaller one.")
        values = [inner for value in values for inner in _inside(value)]
    if values:
        raise RecipeError(deep)
    return document


def _inside(value: Any) -> Iterable[Any]:
    return value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()


def _text(source: str) -> str:
    if not _is_path(source):
        if source not in recipe_names():
            raise UsageError(
                f"No recipe is named {_shown(source)}; {_nearest(source, recipe_names())} "
                "(For your own file, pass its path, which ends in .toml.)"
            )
        return (_shipped() / f"{source}.toml").read_text("utf-8")
    try:
        return read_file(Path(source), LARGEST).decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise RecipeError(f"Expected a recipe in TOML at {source}, but it cannot be read: {reason}.") from None


def _merged(base: dict[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in changes.items():
        inner = merged.get(key)
        merged[key] = _merged(inner, value) if isinstance(inner, dict) and isinstance(value, dict) else value
    return merged


def _sentence(error: ValidationError, source: str) -> str:
    """Return a sentence about the first error of a recipe."""
    # A misspelt field also leaves one missing: name the one that is there.
    details = [_detail(item) for item in error.errors(include_url=False)]
    first = min(details, key=lambda item: item["type"] == "missing")
    place = _place(first["loc"])
    field = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in place).lstrip(".")
    more = error.error_count() - 1
    rest = f" ({more} more after this one.)" if more else ""
    if first["type"] == "extra_forbidden":
        nearest = _nearest(str(place[-1]), sorted(_fields_beside(place)))
        return f"Recipe {source}: there is no field {_cut(field)}; {nearest}{rest}"
    if first["type"] == "missing":
        return f"Recipe {source}: the field {field} is missing.{rest}"
    return f"Recipe {source}: {_cut(field) or 'the recipe'}: {_message(first)}.{rest}".replace("?.", "?")


def _detail(item: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return an error of pydantic; a wrong or missing `type` of a layer becomes an error of an ordinary field."""
    if item["type"] == "union_tag_not_found":
        return {**item, "type": "missing", "loc": (*item["loc"], "type")}
    if item["type"] == "union_tag_invalid":
        tag, tags = item["ctx"]["tag"], item["ctx"]["expected_tags"].replace(", ", " or ")
        msg = f"input should be {tags}"
        return {**item, "type": "literal_error", "loc": (*item["loc"], "type"), "msg": msg, "input": tag}
    return item


def _place(loc: Sequence[int | str]) -> list[int | str]:
    """Return a field's place in the file: after the index of a layer, pydantic adds the layer's type."""
    pairs = zip(("", *loc), loc, strict=False)
    return [part for before, part in pairs if not (isinstance(before, int) and part in ("dense", "dropout"))]


def _message(detail: Mapping[str, Any]) -> str:
    message = detail["msg"].removeprefix("Value error, ")
    message = message[0].lower() + message[1:]
    if isinstance(detail["input"], dict) or "received" in message:
        return str(message)
    valid = re.findall(r"'([^']+)'", message) if detail["type"] == "literal_error" else []
    near = difflib.get_close_matches(_shown(detail["input"]).strip("'"), valid, n=1)
    hint = f"; did you mean {near[0]}?" if near else ""
    return f"{message}, received {_shown(detail['input'])}{hint}"


def _shown(value: Any) -> str:
    """Return a value as Python writes it, cut where it is long."""
    if isinstance(value, int) and abs(value) >= LARGEST_NUMBER:
        return "a number beyond 64 bits"
    return _cut(repr(value))


def _cut(text: str) -> str:
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 1]}…"


def _nearest(name: str, names: Sequence[str]) -> str:
    near = difflib.get_close_matches(_cut(name), names, n=1)
    return f"did you mean {near[0]}?" if near else f"there are {', '.join(names)}."


def _fields_beside(place: list[int | str]) -> Iterator[str]:
    table: type[BaseModel] = Recipe
    for name in place[:-1]:
        if name == "layers":
            yield from {**DropoutLayer.model_fields, **DenseLayer.model_fields}
            return
        inner = table.model_fields[str(name)].annotation
        candidates = [inner, *getattr(inner, "__args__", ())]
        table = next(item for item in candidates if isinstance(item, type) and issubclass(item, BaseModel))
    yield from table.model_fields
