"""Which recipes a sweep fits: one for every combination of values and every seed."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from featx.digests import canonical_json
from featx.errors import UsageError
from featx.recipes import Recipe, override, with_fields

RANGE = re.compile(r"(-?\d+)\.\.(-?\d+)(?:\.\.(\d+))?")
# More is a slip of the keyboard: no sweep of so many fits ends.
MOST_VALUES = 1000
WEIGHTS = "backbone.weights"
# What the columns of a sweep's tables and the keys of its JSON are called themselves.
TAKEN = {
    *("seed", "test", "train", "validation", "engine", "seconds", "refused", "loss", "n", "fits", "mean", "sd"),
    *("low", "high", "accuracy"),
}


@dataclass(frozen=True)
class Point:
    """One fit of a sweep.

    Attributes:
        values: By dotted field, such as `fit.batch_size`, as JSON has them.
        seed: Of the split, the head's weights, dropout and the order of batches.
        recipe: With both.
    """

    values: Mapping[str, Any]
    seed: int
    recipe: Recipe

    @property
    def key(self) -> str:
        """What fits with the same values share."""
        return canonical_json(list(self.values.values()))


def points_of(
    recipe: Recipe,
    grid: Mapping[str, Sequence[Any]],
    seeds: Sequence[int],
    weights: Mapping[str, str] | None = None,
) -> list[Point]:
    """Return every combination of values with every seed, each recipe validated.

    Args:
        recipe: What the values change.
        grid: Values by dotted field; `None` leaves a field empty.
        seeds: Each combination is fitted with each.
        weights: By backbone, in place of the recipe's.

    Raises:
        UsageError: There is nothing to vary, a value comes twice, or a field or value is not valid.
    """
    if not grid or not seeds or not all(grid.values()):
        raise UsageError("Expected values to try and at least one seed, such as --batch-size 5..15 --seeds 3.")
    for field, values in grid.items():
        twice = [value for number, value in enumerate(values) if value in values[:number]]
        if twice:
            raise UsageError(f"Expected each value of {field} once, received {twice[0]!r} twice.")
        if field == "fit.seed":
            raise UsageError("Expected another field than fit.seed to vary; --seeds says how many seeds are fitted.")
    if weights:
        check_weights_once(grid)
    sources = {name.lower(): source for name, source in (weights or {}).items()}
    points = []
    for combination in itertools.product(*grid.values()):
        changes = dict(zip(grid, combination, strict=True))
        changed = with_fields(recipe, changes)
        plain = {field: _plain(value) for field, value in changes.items()}
        own = sources.get(changed.backbone.name.lower())
        points += [Point(plain, seed, override(changed, {"fit.seed": seed, WEIGHTS: own})) for seed in seeds]
    return points


def check_weights_once(fields: Collection[str]) -> None:
    """Check that weights which are given by backbone are not given as a field, too.

    Raises:
        UsageError: They are.
    """
    if WEIGHTS in fields:
        raise UsageError(f"Expected the values of {WEIGHTS} once, received them twice (--weights and --set).")


def as_text(value: Any) -> str:
    """Return a value as text: as it is written after `--set FIELD=`."""
    return value if isinstance(value, str) else canonical_json(value)


def _plain(value: Any) -> Any:
    """Return a value of a recipe as JSON has it."""
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    return [_plain(inner) for inner in value] if isinstance(value, (list, tuple)) else value


def column_names(fields: Sequence[str]) -> dict[str, str]:
    """Return what columns call the fields: the last part of a dotted name, the whole where two end alike."""
    ends = [field.rpartition(".")[2] for field in fields]
    return {
        field: field if ends.count(end) > 1 or end in TAKEN or end.isdecimal() else end
        for field, end in zip(fields, ends, strict=True)
    }


def parsed_values(text: str) -> list[Any]:
    """Return the values that a text names: `5..15`, `5..15..5`, `1e-4,1e-3`, `rescale,featurewise`, `true`, `null`.

    Raises:
        UsageError: There is none, or a range that never ends.
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
        UsageError: It is not of that form.
    """
    field, equals, values = text.partition("=")
    if not equals or not field.strip():
        raise UsageError(
            f"Expected --set FIELD=VALUES, such as --set fit.learning_rate=1e-4,1e-3, received {text!r}."
        )
    return field.strip(), parsed_values(values)


def _one(part: str) -> Iterator[Any]:
    """Yield the numbers of a range, or one value: a number, truth value or null as in JSON, else text."""
    found = RANGE.fullmatch(part)
    if found is None:
        try:
            value = json.loads(part)
        except ValueError:
            value = part
        yield value
        return
    first, last, step = int(found[1]), int(found[2]), int(found[3] or 1)
    if step < 1 or (last - first) // step >= MOST_VALUES:
        raise UsageError(f"Expected a range that ends, of at most {MOST_VALUES} values, received {part!r}.")
    yield from range(first, last + 1, step)
