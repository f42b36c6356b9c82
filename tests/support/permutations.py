"""A permutation test that tries every arrangement, to check the quick one against."""

from __future__ import annotations

import itertools

import numpy as np


def by_hand(table: np.ndarray[tuple[int, int], np.dtype[np.float64]]) -> float:
    """Every way to arrange each column, the share whose means vary as much as those seen."""
    rows = range(len(table))
    ways = itertools.product(*(itertools.permutations(rows) for _ in range(table.shape[1])))
    variances = []
    for way in ways:
        arranged = np.stack([table[list(order), column] for column, order in enumerate(way)], axis=1)
        variances.append(arranged.mean(axis=1).var())
    seen = table.mean(axis=1).var()
    return float(np.mean(np.array(variances) >= seen * (1 - 1e-12)))
