"""The space in which clusters of images are looked for: the first principal components of the features."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# As for maps: with more columns all distances become similar, and clusters are lost in noise.
COLUMNS = 50
# The components are those of at most this many rows, drawn at random; more change them little.
FITTED_ROWS = 20_000
ROWS_AT_ONCE = 4096


@dataclass(frozen=True)
class Space:
    """Principal components (Pearson 1901) of features.

    Attributes:
        mean: (d,) mean of the rows that they were made from.
        components: (c, d) unit vectors; None if the features are few enough to stay as they are.
        share: The share of the variance that they explain, 0 to 1.
    """

    mean: NDArray[np.float64]
    components: NDArray[np.float64] | None
    share: float

    @classmethod
    def fit(cls, X: NDArray[np.floating], seed: int) -> Space:
        """Return the first 50 components of (n, d) rows, or of a sample of them."""
        from sklearn.decomposition import PCA
        from threadpoolctl import threadpool_limits

        rows = np.asarray(X[drawn(len(X), FITTED_ROWS, seed)], np.float64)
        if X.shape[1] <= COLUMNS:
            return cls(rows.mean(axis=0), None, 1.0)
        with threadpool_limits(1):  # sums in another order would round to other numbers
            pca = PCA(min(COLUMNS, len(rows)), random_state=seed).fit(rows)
        return cls(pca.mean_, pca.components_, float(pca.explained_variance_ratio_.sum()))

    def apply(self, X: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return (n, c) coordinates of (n, d) rows, with the distances of the features."""
        parts = []
        for start in range(0, len(X), ROWS_AT_ONCE):
            centred = np.asarray(X[start : start + ROWS_AT_ONCE], np.float64) - self.mean
            parts.append(centred if self.components is None else centred @ self.components.T)
        return np.concatenate(parts) if parts else np.zeros((0, COLUMNS))

    def describe(self, columns: int) -> str:
        """Return `euclidean, first 50 principal components (81 % of the variance)` for rows of so many columns."""
        if self.components is None:
            return f"euclidean, {columns} features as they are"
        return f"euclidean, first {columns} principal components ({100 * self.share:.0f} % of the variance)"


def drawn(n: int, most: int, seed: int) -> NDArray[np.int64]:
    """Return the sorted indices of all n rows, or of a seeded sample if there are more than `most`."""
    if n <= most:
        return np.arange(n)
    return np.sort(np.random.default_rng(seed).choice(n, most, replace=False))
