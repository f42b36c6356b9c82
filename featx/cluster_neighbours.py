"""How pure the neighbourhood of each row is."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from featx.cluster_indices import Distances

# No neighbour: all others are of the same unit.
NONE = -1


def nearest_rows(between: Distances, units: Sequence[str], k: int) -> NDArray[np.int64]:
    """Return the k nearest rows of each, itself and those of its unit left out.

    Args:
        between: Distances of n rows.
        units: (n,) what hangs together, such as the images of one patient.
        k: Neighbours, from 1 to n - 1.

    Returns:
        (n, k) numbers of rows, `NONE` where there are fewer than k.
    """
    codes = np.unique(np.array(units), return_inverse=True)[1]
    masked = np.where(codes[:, None] == codes, np.inf, between.plain)
    found = np.argpartition(masked, k - 1, axis=1)[:, :k]
    reached = np.isfinite(np.take_along_axis(masked, found, axis=1))
    return np.where(reached, found, NONE)


def purity(neighbours: NDArray[np.int64], labellings: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the share of each row's neighbours that are of its class, under B labellings.

    The mean is the purity of neighbourhoods, a leave-one-out estimate of what a k-nearest-neighbour rule has
    to go by (T. M. Cover and P. E. Hart, "Nearest neighbor pattern classification", IEEE Transactions on
    Information Theory 13 (1967), 21-27).

    Args:
        neighbours: (n, k) of `nearest_rows`.
        labellings: (B, n) numbers of classes.

    Returns:
        (B, n) from 0 to 1; NaN for a row without neighbours.
    """
    there = neighbours != NONE
    counts = there.sum(axis=1)
    same = np.stack([((row[neighbours] == row[:, None]) & there).sum(axis=1) for row in labellings])
    return np.asarray(np.divide(same, counts, out=np.full(same.shape, np.nan), where=counts > 0))
