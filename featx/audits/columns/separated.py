"""Pairs of classes that a column separates, where other classes share its values."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np

from featx.audits.columns.results import INSEPARABLE
from featx.audits.columns.values import ColumnValues
from featx.audits.probes.probing import Numbers
from featx.audits.probes.words import listed
from featx.stats import contingency, cramers_v

# Two classes of fewer groups too often have no value in common by chance: 2 in 252 for five and five groups.
LEAST_GROUPS = 8


def separated_classes(
    column: ColumnValues, kinds: Numbers, groups: Numbers, classes: Sequence[str]
) -> tuple[tuple[str, str], ...]:
    """Return the pairs of classes that the column separates as if it were the class itself.

    A column with three hospitals, one of which has all images of one of four classes, goes with the class only in
    part (Cramér's V of 0.6 to 0.8), but nothing separates that class from that hospital. Images of a group that
    have the same value count once.
    """
    there = (column.number >= 0) & (kinds >= 0)
    rows = np.unique(np.column_stack([groups, column.number, kinds])[there], axis=0)
    counts = np.bincount(rows[:, 2], minlength=len(classes))
    pairs = []
    for one, other in combinations(np.flatnonzero(counts >= LEAST_GROUPS).tolist(), 2):
        both = rows[np.isin(rows[:, 2], (one, other))]
        v = cramers_v(contingency(both[:, 1], both[:, 2]))
        if v is not None and v >= INSEPARABLE:
            pairs.append((classes[one], classes[other]))
    return tuple(pairs)


def pairs_words(pairs: Sequence[tuple[str, str]]) -> str:
    """Return the pairs in words, with the class that is in most of them first: `covid from normal and viral`."""
    left, parts = list(pairs), []
    while left:
        names = sorted({name for pair in left for name in pair})
        first = max(names, key=lambda name: sum(name in pair for pair in left))
        others = [one if other == first else other for one, other in left if first in (one, other)]
        parts.append(f"{first} from {listed(others)}")
        left = [pair for pair in left if first not in pair]
    return "; ".join(parts)
