"""What colours the points of a map: labels, one of several labels, a column, numbers, clusters, or nothing."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, pairwise

import numpy as np

from featx.clustering import parsed_numbers, partition
from featx.errors import DataError
from featx.plots import COLOURS, class_style
from featx.runs import Source

LABEL = "label"
CLUSTER = re.compile(r"cluster(?::(.+))?")
OF_LABEL = "label:"
THERE, NOT_THERE, UNKNOWN = "there", "not there", "unknown"
GREY = "#8C8C8C"
NO_LABEL, NO_VALUE, ALL = "no label", "no value", "images"
# A column with more different values is a scale, if all are numbers.
MOST_STEPS = 10
# Of a column with more values than `MANY`, only the most frequent have colours of their own.
MANY, FREQUENT = 24, 20
OTHERS = "others"

Look = tuple[str, str]
"""A colour, and a marker by Matplotlib's name."""


@dataclass(frozen=True)
class Colouring:
    """What colours the n points of a map.

    Attributes:
        by: What was wanted, such as `label` or `cluster:5`.
        name: What it is called in titles and legends; "" if all points have one colour.
        categories: (n,) value of each point as text; "" if it has none.
        looks: Colour and marker of values, in the order of the legend; None for those of classes, sorted.
        numbers: (n,) values of a column of numbers, NaN for none; None for other columns.
        missing: What points without a value are called.
        note: A sentence about the colours; "" if there is nothing to say.
    """

    by: str
    name: str
    categories: tuple[str, ...]
    looks: Mapping[str, Look] | None = None
    numbers: tuple[float, ...] | None = None
    missing: str = NO_LABEL
    note: str = ""

    @property
    def one(self) -> bool:
        """Whether all points have one colour."""
        return not self.name

    def few(self) -> Colouring:
        """Return colours that can be told apart: of many values of a column, the most frequent; others are grey."""
        counts = Counter(value for value in self.categories if value)
        if self.by == LABEL or self.looks is not None or len(counts) <= MANY:
            return self
        frequent = sorted(counts, key=lambda value: (-counts[value], value))[:FREQUENT]
        others = f"{OTHERS} ({len(counts) - FREQUENT:,} values)"
        looks = {value: class_style(number) for number, value in enumerate(sorted(frequent))} | {others: (GREY, "o")}
        values = tuple(value if value in looks or not value else others for value in self.categories)
        return replace(self, categories=values, looks=looks)

    def in_steps(self) -> Colouring:
        """Return numbers as a few steps of a scale, such as `20 to 30`; others as they are."""
        if self.numbers is None:
            return self
        from matplotlib import colormaps
        from matplotlib.ticker import MaxNLocator

        values = np.array(self.numbers)
        known = np.isfinite(values)
        edges = MaxNLocator(7).tick_values(values[known].min(), values[known].max())
        # Not %g, whose six digits are too few to tell dates such as 20200131 apart.
        names = [f"{low:.12g} to {high:.12g}" for low, high in pairwise(edges)]
        place = np.clip(np.searchsorted(edges, values, side="right") - 1, 0, len(names) - 1)
        shades = colormaps["viridis"](np.linspace(0, 0.92, len(names)))
        looks = {
            name: ("#" + "".join(f"{round(255 * part):02x}" for part in shade[:3]), "o")
            for name, shade in zip(names, shades, strict=True)
        }
        steps = tuple(names[i] if one else "" for i, one in zip(place, known, strict=True))
        return replace(self, categories=steps, looks=looks)


def colouring_of(base: Source, added: Sequence[Source], by: str, seed: int) -> Colouring:
    """Return what colours the points of a map of `base` and of the images placed on it.

    `by` is `label`, `label:NAME` for one of several labels, a column of the manifest, `group`, `split`, or `cluster`
    for clusters of k-means, with `cluster:5` or `cluster:2..6` for how many. Placed images that lack the column have
    no value, and get the cluster whose centre is nearest.

    Raises:
        DataError: There is no such column, or it has no values.
        UsageError: The number of clusters is not possible.
    """
    match = CLUSTER.fullmatch(by)
    if match and by not in base.table.extra:
        return _clusters(base, added, by, match[1], seed)
    if by == LABEL:
        return _labels(base, added)
    own = base.column(by)
    if not any(own):
        raise DataError(
            f"Expected values of {by} by which to colour the images of {base.name}, found none; choose another --by."
        )
    values = tuple(chain(own, *(_values(source, by) for source in added)))
    if by.startswith(OF_LABEL) and by not in base.table.extra:
        looks = {THERE: (COLOURS[5], "o"), NOT_THERE: (COLOURS[4], "s")}
        return Colouring(by, f"label {by.removeprefix(OF_LABEL)}", values, looks, missing=UNKNOWN)
    numbers = None if by in ("group", "split") else numbers_of(values)
    return Colouring(by, by, values, numbers=numbers, missing=NO_VALUE)


def check_by(by: str) -> None:
    """Raise UsageError if clusters are wanted, and not as many as a number or a range says."""
    match = CLUSTER.fullmatch(by)
    if match and match[1]:
        parsed_numbers(match[1])


def numbers_of(values: Sequence[str]) -> tuple[float, ...] | None:
    """Return the numbers of a column, NaN for an empty cell; None if it has few values or not only numbers."""
    known = {value for value in values if value}
    # Codes such as 007 and 12_1 are names.
    if len(known) <= MOST_STEPS or any(re.match(r"[+-]?0\d", value) or "_" in value for value in known):
        return None
    try:
        number_of = {value: float(value) for value in known}
    except ValueError:
        return None
    if not all(map(math.isfinite, number_of.values())):
        return None
    return tuple(number_of.get(value, math.nan) for value in values)


def _values(source: Source, by: str) -> tuple[str, ...]:
    """Return a column of placed images; they need not have it, so a missing one is no error."""
    table = source.table
    names = (LABEL, "group", "split", *table.extra, *(f"{OF_LABEL}{label}" for label in table.label_names))
    return source.column(by) if by in names else ("",) * len(table)


def _labels(base: Source, added: Sequence[Source]) -> Colouring:
    values = tuple(chain.from_iterable(source.column(LABEL) for source in (base, *added)))
    if any(values):
        return Colouring(LABEL, LABEL, values)
    names = base.table.label_names
    if names:
        note = (
            "Images may have several labels, so all have one colour; choose one of them with --by, such as "
            f"{OF_LABEL}{names[0]}."
        )
    else:
        note = "The images have no labels, so all have one colour."
    return Colouring(LABEL, "", values, {"": class_style(0)}, missing=ALL, note=note)


def _clusters(base: Source, added: Sequence[Source], by: str, numbers: str | None, seed: int) -> Colouring:
    parts = partition(base.table.X, base.group_ids(), k=numbers, seed=seed)
    found = np.concatenate([parts.clusters, *(parts.clusters_of(source.table.X) for source in added)])
    looks = {f"cluster {number}": class_style(number - 1) for number in range(1, parts.k + 1)}
    note = f"Colours: {parts.describe()}."
    return Colouring(
        by, "cluster", tuple(f"cluster {number}" for number in found), looks, missing=NO_VALUE, note=note
    )
