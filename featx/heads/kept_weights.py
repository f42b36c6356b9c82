"""Weights that are kept during training: those of one epoch, or the mean of several."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float32]

# Values that are updated at once: a difference of all weights would be as large as the weights.
VALUES_AT_ONCE = 2**20


def kept_mean(kept: list[Matrix] | None, weights: Iterable[Matrix], nth: int) -> list[Matrix]:
    """Return the mean of weights and of the nth - 1 whose mean was kept, which is overwritten.

    With `nth = 1` that is a copy of the weights. The mean is a running one, so it needs no further copies.

    Args:
        kept: What this function returned before; None at first.
        weights: Arrays of one shape each time.
        nth: How many the mean is of.
    """
    if kept is None:
        return [np.array(array, np.float32) for array in weights]
    for mean, array in zip(kept, weights, strict=True):
        if nth == 1:
            np.copyto(mean, array)
        else:
            _add(mean, array, nth)
    return kept


def _add(mean: Matrix, array: Matrix, nth: int) -> None:
    rows = max(1, VALUES_AT_ONCE // max(1, array[:1].size))
    for start in range(0, len(mean), rows):
        part = mean[start : start + rows]
        part += (array[start : start + rows] - part) / np.float32(nth)
