"""How strongly two divisions of the same images go together."""

from __future__ import annotations

from math import sqrt

import numpy as np
from numpy.typing import NDArray


def contingency(one: NDArray[np.int64], other: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return (r, c) counts of images by two divisions; rows and columns without images are left out.

    Args:
        one: (n,) number of each image's part in one division.
        other: (n,) the same for the other.
    """
    (rows, row), (columns, column) = (np.unique(numbers, return_inverse=True) for numbers in (one, other))
    cells = np.bincount(row * len(columns) + column, minlength=len(rows) * len(columns))
    return np.asarray(cells.reshape(len(rows), len(columns)), np.int64)


def cramers_v(table: NDArray[np.int64]) -> float | None:
    """Return Cramér's V of a table of counts, 0 (independent) to 1 (one determines the other), without its bias.

    V of independent divisions is above 0 by chance; what is expected of it is subtracted. Source: W. Bergsma, "A
    bias-correction for Cramér's V and Tschuprow's T", Journal of the Korean Statistical Society 42 (2013), 323-328.

    Args:
        table: (r, c) counts of images; rows and columns without images do not count.

    Returns:
        V; None where there are fewer than two rows or columns, or fewer than two images.
    """
    kept = table[table.sum(axis=1) > 0][:, table.sum(axis=0) > 0].astype(np.float64)
    n = float(kept.sum())
    if min(kept.shape) < 2 or n < 2:
        return None
    expected = kept.sum(axis=1, keepdims=True) * kept.sum(axis=0) / n
    rows, columns = kept.shape
    share = float(np.sum((kept - expected) ** 2 / expected)) / n
    corrected = max(0.0, share - (rows - 1) * (columns - 1) / (n - 1))
    most = min(size - (size - 1) ** 2 / (n - 1) for size in (rows, columns)) - 1
    return min(1.0, sqrt(corrected / most)) if most > 0 else None
