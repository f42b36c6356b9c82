"""Columns with mean 0 and standard deviation 1, so that they have comparable units."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# Columns of a large matrix that are converted at once.
COLUMNS_AT_ONCE = 64


@dataclass(frozen=True)
class StandardRows:
    """Standardised rows, made where they are taken: those of all images at once may need more memory than there is.

    Attributes:
        X: (n, d) the rows as they are.
        means: (k,) means of the columns that are kept.
        spreads: (k,) their standard deviations.
        kept: (d,) False for columns that are the same everywhere, which are left out.
    """

    X: NDArray[np.float32]
    means: NDArray[np.float64]
    spreads: NDArray[np.float64]
    kept: NDArray[np.bool_]

    def take(self, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return some of the rows, (m, k)."""
        return np.asarray((self.X[rows][:, self.kept] - self.means) / self.spreads)


def standard_rows(X: NDArray[np.float32]) -> StandardRows:
    """Return the rows of a matrix, (n, d), to be standardised by the mean and the deviation of all of them."""
    starts = range(0, X.shape[1], COLUMNS_AT_ONCE)
    parts = [_moments(X[:, start : start + COLUMNS_AT_ONCE].astype(np.float64)) for start in starts]
    means, spreads, kept = (np.concatenate(own) for own in zip(*parts, strict=True))
    return StandardRows(X, means[kept], spreads[kept], kept)


def standardised(X: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return columns with mean 0 and standard deviation 1; columns that are the same everywhere are left out."""
    means, spreads, kept = _moments(X)
    return np.asarray((X[:, kept] - means[kept]) / spreads[kept])


def _moments(X: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]:
    """Return means and standard deviations of columns, and which of them differ by more than rounding."""
    spreads = X.std(axis=0)
    return X.mean(axis=0), spreads, spreads > 1e-9 * np.maximum(1, np.abs(X).max(axis=0, initial=0))
