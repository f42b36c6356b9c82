"""Two distances of images from a set of images: by cosine to the nearest, and a shrunk Mahalanobis distance."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from featx.progress import report_progress

# Rows are converted to float64 in blocks of at most this many bytes, and so are their cosines with these queries.
BLOCK_BYTES = 2**25
QUERIES_AT_ONCE = 256
# The last digits of a product depend on where a row stands in its block; so few decimals do not.
DECIMALS = 12
# Below the least variance of rows of length 1 that float32 can tell from none.
LEAST_VARIANCE = 1e-14


def cosines(X: NDArray[np.float32], queries: NDArray[np.float32]) -> Iterator[tuple[slice, NDArray[np.float64]]]:
    """Yield the cosines of some queries after the other with all rows: which queries, and (queries, rows)."""
    for start in range(0, len(queries), QUERIES_AT_ONCE):
        part = slice(start, min(start + QUERIES_AT_ONCE, len(queries)))
        units = unit(queries[part])
        size = max(1, BLOCK_BYTES // (8 * max(X.shape[1], len(units), 1)))
        blocks = [units @ unit(X[begin : begin + size]).T for begin in range(0, len(X), size)]
        yield part, np.clip(np.concatenate(blocks, axis=1).round(DECIMALS), -1, 1)
        report_progress("typicality", part.stop, len(queries))


def unit(rows: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return rows of length 1 in float64; rows of zeros stay as they are."""
    wide = rows.astype(np.float64)
    lengths = np.sqrt(np.einsum("ij,ij->i", wide, wide))
    return np.asarray(wide / np.where(lengths > 0, lengths, 1.0)[:, np.newaxis])


def mean_distance_of_nearest(similar: NDArray[np.float64], k: int) -> NDArray[np.float64]:
    """Return 1 minus the mean of the k largest cosines of each row, or of all there are; -inf is none."""
    k = min(k, similar.shape[1])
    largest = np.partition(similar, similar.shape[1] - k, axis=1)[:, similar.shape[1] - k :]
    there = np.isfinite(largest)
    # Sorted first, so that the sum does not depend on the order of the rows.
    total = np.sort(np.where(there, largest, 0.0), axis=1).sum(axis=1)
    return np.asarray(1 - total / there.sum(axis=1))


class ShrunkMahalanobis:
    """The Mahalanobis distance from the mean of n rows, by products of rows alone.

    The covariance is that of the n rows, shrunk to a multiple of the identity as Ledoit and Wolf do (Journal of
    Multivariate Analysis 88 (2004), 365-411), so that there may be more features than rows. Its inverse is applied
    by Woodbury's identity, in time that does not depend on the number of features.
    """

    def __init__(self, gram: NDArray[np.float64], width: int) -> None:
        """Take the (n, n) products of the n rows with each other, and the number of features."""
        from scipy.linalg import cho_factor
        from threadpoolctl import threadpool_limits

        self.means, self.mean = gram.mean(axis=1), gram.mean()
        centred = gram - self.means - self.means[:, np.newaxis] + self.mean
        variance, shrinkage = _ledoit_wolf(centred, width)
        self.identity = max(shrinkage * variance, LEAST_VARIANCE)
        self.factor = None
        if shrinkage < 1:
            ridge = self.identity * len(gram) / (1 - shrinkage)
            # Threads that wait for each other take longer than the work of one, and most of all on a busy machine.
            with threadpool_limits(1, "blas"):
                self.factor = cho_factor(centred + np.eye(len(gram)) * ridge, lower=True)

    def distances(self, cross: NDArray[np.float64], squares: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the distances (m,) of m rows, from the (n, m) products of the n rows with them and their squares."""
        from scipy.linalg import cho_solve
        from threadpoolctl import threadpool_limits

        apart = squares - 2 * cross.mean(axis=0) + self.mean
        if self.factor is not None:
            products = cross - self.means[:, np.newaxis] - cross.mean(axis=0) + self.mean
            with threadpool_limits(1, "blas"):
                apart = apart - np.einsum("ij,ij->j", products, cho_solve(self.factor, products))
        return np.asarray(np.sqrt(np.maximum(apart, 0.0) / self.identity))


def _ledoit_wolf(centred: NDArray[np.float64], width: int) -> tuple[float, float]:
    """Return the mean variance of a feature, and the weight of the identity, from products of centred rows."""
    n = len(centred)
    lengths = np.diag(centred)
    # The squared norms, times the width, of the covariance and of its error; both have the same non-zero
    # eigenvalues as the products.
    norm = float((centred**2).sum()) / n**2
    variance = float(lengths.sum()) / n / width
    distance = norm - width * variance**2
    error = float((lengths**2).sum()) / n**2 - norm / n
    return variance, 1.0 if distance <= 0 else min(max(error / distance, 0.0), 1.0)
