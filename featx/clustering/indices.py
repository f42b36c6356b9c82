"""Cluster indices: silhouette, Davies-Bouldin, Calinski-Harabasz, and purity among nearest neighbours.

Each is computed for many labellings at once, from the distances between rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from featx.errors import DataError

if TYPE_CHECKING:
    from scipy.sparse import csr_array

# Columns that are held in double precision at a time.
BLOCK_COLUMNS = 4096
# A squared distance below this share of the rows' own squares is rounding, and the rows are equal.
ROUNDING = 1e-13
# In place of a neighbour, if all other rows are of the same group.
NONE = -1
# With more classes, sums over their rows are quicker without multiplying the zeros of a matrix of members.
DENSE_CLASSES = 24


@dataclass(frozen=True)
class Distances:
    """(n, n) Euclidean distances between rows, and their squares."""

    plain: NDArray[np.float64]
    squared: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.plain)


@dataclass(frozen=True)
class Spread:
    """The spread of k classes about their centroids under B labellings.

    Attributes:
        ratios: (B, k, k) distance between two centroids divided by the sum of the two radii, higher is better; the
            inverse of the similarity R_ij of Davies and Bouldin (1979), with NaN on the diagonal.
        davies_bouldin: (B,), see Davies and Bouldin (1979); infinite if centroids coincide.
        calinski_harabasz: (B,), see Caliński and Harabasz (1974); infinite if every class is a single point.
    """

    ratios: NDArray[np.float64]
    davies_bouldin: NDArray[np.float64]
    calinski_harabasz: NDArray[np.float64]


def check_features(X: NDArray[np.floating]) -> None:
    """Raise DataError if all of the (n, d) rows are the same, or if some are not finite."""
    if len(X) and (X[0] == X).all():
        raise DataError(
            f"Clusters need images that differ, and all {len(X)} have the same features; check that the files "
            "differ in their pixels and, for a layer of a head, how the head was trained (or use --layer backbone)."
        )
    if not np.isfinite(X).all():
        raise DataError("Expected finite features, received NaN or infinite ones; check how the head was trained.")


def distances(X: NDArray[np.floating]) -> Distances:
    """Return the Euclidean distances between (n, d) rows, from their Gram matrix in double precision."""
    check_features(X)
    gram = np.zeros((len(X), len(X)))
    for start in range(0, X.shape[1], BLOCK_COLUMNS):
        block = np.asarray(X[:, start : start + BLOCK_COLUMNS], np.float64)
        # Centring changes no distance, and keeps digits.
        block = block - block.mean(axis=0)
        gram += block @ block.T
    squares = gram.diagonal().copy()
    sums = squares[:, None] + squares
    squared = np.multiply(gram, -2, out=gram)
    squared += sums
    squared[squared < ROUNDING * sums] = 0
    np.fill_diagonal(squared, 0)
    return Distances(np.sqrt(squared), squared)


def silhouettes(
    between: Distances, labellings: NDArray[np.int64], classes: int
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return the (B, n) silhouettes of n rows under (B, n) labellings, and the number of the nearest other class.

    Each labelling has all the numbers 0 to `classes` - 1. The silhouette is (b - a) / max(a, b), with a the mean
    distance to the other rows of the own class and b that to the rows of the nearest other class; it is 0 for the
    only row of a class (Rousseeuw 1987).
    """
    sizes = _sizes(labellings, classes)
    sums = _sums(between.plain, labellings, classes)
    own = labellings[:, None, :]
    size = np.take_along_axis(sizes, labellings, axis=1)
    inner = np.take_along_axis(sums, own, axis=1)[:, 0] / np.maximum(size - 1, 1)
    means = sums / sizes[:, :, None]
    np.put_along_axis(means, own, np.inf, axis=1)
    nearest = means.argmin(axis=1)
    outer = np.take_along_axis(means, nearest[:, None], axis=1)[:, 0]
    larger = np.maximum(inner, outer)
    values = np.divide(outer - inner, larger, out=np.zeros_like(larger), where=(larger > 0) & (size > 1))
    return values, nearest


def spread(between: Distances, labellings: NDArray[np.int64], classes: int) -> Spread:
    """Return the spread of at least 2 and fewer than n classes under (B, n) labellings.

    A centroid's distances follow from squared distances between rows, so that no labelling needs the features.
    """
    n = len(between)
    sizes = _sizes(labellings, classes)
    sums = _sums(between.squared, labellings, classes)
    blocks = np.stack([_members(one[None], classes) @ part.T for one, part in zip(labellings, sums, strict=True)])
    # Half the mean squared distance between a class's rows is their mean square about the centroid.
    inner = np.diagonal(blocks, axis1=1, axis2=2) / (2 * sizes**2)
    own = np.take_along_axis(sums / sizes[:, :, None] - inner[:, :, None], labellings[:, None, :], axis=1)[:, 0]
    radii = _sizes(labellings, classes, np.sqrt(np.maximum(own, 0))) / sizes
    apart = blocks / (sizes[:, :, None] * sizes[:, None, :]) - inner[:, :, None] - inner[:, None, :]
    centroids = np.sqrt(np.maximum(apart, 0))
    within = (inner * sizes).sum(axis=1)
    total = between.squared.sum() / (2 * n)
    radii_of_two = radii[:, :, None] + radii[:, None, :]
    diagonal = np.eye(classes, dtype=bool)
    with np.errstate(divide="ignore", invalid="ignore"):
        variance_ratio = np.maximum(total - within, 0) / (classes - 1) / (within / (n - classes))
        ratios = np.where(diagonal, np.nan, centroids / radii_of_two)
    # Two classes in one place are as similar as possible, even if each is a single point.
    similarity = np.divide(radii_of_two, centroids, out=np.full_like(centroids, np.inf), where=centroids > 0)
    davies_bouldin = np.where(diagonal, -np.inf, similarity).max(axis=2).mean(axis=1)
    return Spread(ratios, davies_bouldin, variance_ratio)


def nearest_rows(between: Distances, groups: Sequence[str], k: int) -> NDArray[np.int64]:
    """Return (n, k) indices of the k nearest rows of each row, without itself and the rows of its group.

    `groups` are (n,) names; the images of a patient, for example, are one group. Missing neighbours are `NONE`.
    """
    codes = np.unique(np.array(groups), return_inverse=True)[1]
    masked = np.where(codes[:, None] == codes, np.inf, between.plain)
    nearest = np.argpartition(masked, k - 1, axis=1)[:, :k]
    reached = np.isfinite(np.take_along_axis(masked, nearest, axis=1))
    return np.where(reached, nearest, NONE)


def purity(neighbours: NDArray[np.int64], labellings: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return (B, n) shares of each row's neighbours that are of its class; NaN for a row without neighbours.

    `neighbours` are (n, k) indices from `nearest_rows`, and `labellings` (B, n) class numbers. The mean is the share
    of neighbours that vote for the right class in a k-nearest-neighbour rule (Cover and Hart 1967).
    """
    exists = neighbours != NONE
    counts = exists.sum(axis=1)
    same = np.stack([((row[neighbours] == row[:, None]) & exists).sum(axis=1) for row in labellings])
    return np.asarray(np.divide(same, counts, out=np.full(same.shape, np.nan), where=counts > 0))


def _sums(values: NDArray[np.float64], labellings: NDArray[np.int64], classes: int) -> NDArray[np.float64]:
    """Return (B, classes, n) sums of (n, n) symmetric values over the rows of each class."""
    members: Any = _members(labellings, classes)
    if classes <= DENSE_CLASSES:
        members = members.toarray()
    return np.asarray((members @ values).reshape(-1, classes, len(values)))


def _members(labellings: NDArray[np.int64], classes: int) -> csr_array:
    """Return a (B * classes, n) matrix with 1 where a row is of a class."""
    from scipy.sparse import csr_array

    count, n = labellings.shape
    rows = labellings + classes * np.arange(count)[:, None]
    columns = np.broadcast_to(np.arange(n), labellings.shape)
    return csr_array((np.ones(labellings.size), (rows.ravel(), columns.ravel())), shape=(count * classes, n))


def _sizes(
    labellings: NDArray[np.int64], classes: int, weights: NDArray[np.float64] | None = None
) -> NDArray[np.float64]:
    """Return the (B, classes) numbers of rows, or sums of their (B, n) weights."""
    rows = labellings + classes * np.arange(len(labellings))[:, None]
    of_rows = None if weights is None else weights.ravel()
    counts = np.bincount(rows.ravel(), of_rows, len(labellings) * classes)
    return counts.reshape(-1, classes).astype(np.float64)
