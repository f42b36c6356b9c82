"""The recipes of a sweep: one for every combination of values and every seed."""

from __future__ import annotations

import itertools
import json
import math
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from featx.digests import canonical_json
from featx.errors import ResourcesError, UsageError
from featx.features import weights_of
from featx.limits import PERMIT, permitted
from featx.recipes import Recipe, override, with_fields

RANGE = re.compile(r"(-?\d{1,18})\.\.(-?\d{1,18})(?:\.\.(\d{1,18}))?")
# More values are a typing error: no sweep of so many fits ends.
MOST_VALUES = 1000
# At a second for each, more fits would take more than a day.
MANY_FITS = 86_400
WEIGHTS = "backbone.weights"
# Names that a sweep's tables and JSON use themselves.
TAKEN = {
    *("seed", "test", "train", "validation", "engine", "seconds", "refused", "loss", "n", "fits", "mean", "sd"),
    *("low", "high", "accuracy"),
}


@dataclass(frozen=True)
class Point:
    """One fit of a sweep: its recipe, and what the recipe has of its own, values by dotted field as JSON has them."""

    values: Mapping[str, Any]
    seed: int
    recipe: Recipe

    @property
    def key(self) -> str:
        """A key that all seeds of the same values share."""
        return canonical_json(list(self.values.values()))


def points_of(
    recipe: Recipe,
    tried: Mapping[str, Iterable[Any]],
    seeds: Sequence[int],
    weights: str | Path | Mapping[str, str | Path] | None = None,
) -> list[Point]:
    """Return every combination of values with every seed, each recipe validated; for `weights` see `weights_of`."""
    grid = {field: _listed(field, values) for field, values in tried.items()}
    if not grid or not seeds or not all(grid.values()):
        raise UsageError(
            'Expected values to try and at least one seed, such as grid={"fit.batch_size": [8, 16]} and seeds=3.'
        )
    for field, values in grid.items():
        repeated = [value for number, value in enumerate(values) if value in values[:number]]
        if repeated:
            raise UsageError(f"Expected each value of {field} once, received {repeated[0]!r} twice.")
        if field == "fit.seed":
            raise UsageError("Expected another field than fit.seed to vary; --seeds says how many seeds are fitted.")
    check_number(math.prod(map(len, grid.values())) * len(seeds))
    if weights:
        check_weights_once(grid)
    points = []
    for combination in itertools.product(*grid.values()):
        changes = dict(zip(grid, combination, strict=True))
        changed = with_fields(recipe, changes)
        plain = {field: _plain(value) for field, value in changes.items()}
        source = weights_of(changed.backbone.name, weights)
        points += [Point(plain, seed, override(changed, {"fit.seed": seed, WEIGHTS: source})) for seed in seeds]
    return points


def _listed(field: str, values: Iterable[Any]) -> list[Any]:
    if isinstance(values, (str, bytes)) or not isinstance(values, Iterable):
        raise UsageError(f"Expected a list of values for {field}, received {values!r}; pass [{values!r}].")
    return list(values)


def check_number(fits: int) -> None:
    """Check that so many fits can be done in a day, before a recipe is made for each.

    Raises:
        ResourcesError: They cannot, and work of more than a day is not permitted.
    """
    if fits > MANY_FITS and not permitted():
        raise ResourcesError(
            f"Expected at most {MANY_FITS:,} fits, which take a day at a second for each, received {fits:,}; try "
            f"fewer values or --seeds, {PERMIT}."
        )


def check_weights_once(fields: Collection[str]) -> None:
    """Check that weights given by backbone are not given as a field, too.

    Raises:
        UsageError: They are.
    """
    if WEIGHTS in fields:
        raise UsageError(f"Expected the values of {WEIGHTS} once, received them twice (--weights and --set).")


def as_text(value: Any) -> str:
    """Return a value as it is written after `--set FIELD=`."""
    return value if isinstance(value, str) else canonical_json(value)


def column_names(fields: Sequence[str]) -> dict[str, str]:
    """Return the column name of each field: the last part of its dotted name, or the whole name if two end alike."""
    ends = [field.rpartition(".")[2] for field in fields]
    return {
        field: field if ends.count(end) > 1 or end in TAKEN or end.isdecimal() else end
        for field, end in zip(fields, ends, strict=True)
    }


def parsed_values(text: str) -> list[Any]:
    """Return the values of a text such as `5..15`, `5..15..5`, `1e-4,1e-3`, `rescale,featurewise`, `true`, `null`.

    Raises:
        UsageError: It has no values, or too many.
    """
    values = list(itertools.chain.from_iterable(_one(part.strip()) for part in text.split(",")))
    if not values or len(values) > MOST_VALUES or "" in values:
        raise UsageError(
            f"Expected values such as 5..15 (both ends included), 5..15..5 or 5,10,20, received {text!r}."
        )
    return values


def parsed_setting(text: str) -> tuple[str, list[Any]]:
    """Return the field and the values of `FIELD=VALUES`, such as `preprocess.mode=rescale,featurewise`.

    Raises:
        UsageError: It does not have that form.
    """
    field, equals, values = text.partition("=")
    if not equals or not field.strip():
        raise UsageError(
            f"Expected --set FIELD=VALUES, such as --set fit.learning_rate=1e-4,1e-3, received {text!r}."
        )
    return field.strip(), parsed_values(values)


def _one(part: str) -> Iterator[Any]:
    """Yield the numbers of a range, or one value: JSON if it is valid JSON, else text."""
    match = RANGE.fullmatch(part)
    if match is None:
        try:
            value = json.loads(part)
        except (ValueError, RecursionError):
            value = part
        yield value
        return
    first, last, step = int(match[1]), int(match[2]), int(match[3] or 1)
    if step < 1 or (last - first) // step >= MOST_VALUES:
        raise UsageError(f"Expected a range that ends, of at most {MOST_VALUES} values, received {part!r}.")
    yield from range(first, last + 1, step)


def _plain(value: Any) -> Any:
    """Return a recipe's value as JSON has it."""
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    return [_plain(inner) for inner in value] if isinstance(value, (list, tuple)) else value
