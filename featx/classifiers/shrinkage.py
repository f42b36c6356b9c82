"""Covariance by Ledoit and Wolf of rows that were turned into fewer columns."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


class LedoitWolfOfWidth:
    """The shrunk covariance of rows of `width` columns, given the same rows turned into fewer.

    As scikit-learn's LedoitWolf at full width, whose formula knows the rows by their inner products and the number
    of columns alone; beyond the columns given, that covariance is a multiple of the identity. Source: Ledoit and
    Wolf, "A well-conditioned estimator for large-dimensional covariance matrices", Journal of Multivariate Analysis
    88 (2004), 365-411.

    Args:
        width: Columns of the rows before they were turned.
    """

    def __init__(self, width: int) -> None:
        self.width = width

    def fit(self, X: NDArray[np.float64]) -> LedoitWolfOfWidth:
        """Estimate `covariance_`, (k, k), and `shrinkage_`, 0 to 1, from rows (n, k), which are centred here."""
        n, width = len(X), self.width
        rows = X - X.mean(axis=0)
        norms = np.sum(rows**2, axis=1)
        squares = float(np.sum(_smaller_product(rows) ** 2)) / n**2
        mean_variance = float(norms.sum()) / n / width
        noise = (float(np.sum(norms**2)) / n - squares) / (width * n)
        distance = squares / width - mean_variance**2
        # Equal rows have nothing to shrink.
        self.shrinkage_ = min(noise, distance) / distance if noise > 0 and distance > 0 else 0.0
        self.covariance_ = (1 - self.shrinkage_) * (rows.T @ rows / n)
        self.covariance_.flat[:: X.shape[1] + 1] += self.shrinkage_ * mean_variance
        return self


def _smaller_product(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return `rows rowsᵀ` or `rowsᵀ rows`, which have the same sum of squares."""
    return rows @ rows.T if rows.shape[0] < rows.shape[1] else rows.T @ rows
