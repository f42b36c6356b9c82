"""Cluster indices: silhouette, Davies-Bouldin, Calinski-Harabasz, and purity among nearest neighbours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from featx.errors import DataError

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


# Columns that are held in double precision at a time.
COLUMNS = 4096
# Squared distances below this share of the rows' own squares are what single precision makes of equal rows.
NOTHING = 1e-13


@dataclass(frozen=True)
class Distances:
    """Euclidean distances between n rows.

    Attributes:
        plain: (n, n), in the features' own unit.
        squared: (n, n), their squares.
    """

    plain: NDArray[np.float64]
    squared: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.plain)


@dataclass(frozen=True)
class Silhouettes:
    """Silhouettes of n rows under B labellings.

    Attributes:
        values: (B, n), from -1 to 1.
        nearest: (B, n) number of the other class whose rows are nearest on average.
    """

    values: NDArray[np.float64]
    nearest: NDArray[np.int64]


@dataclass(frozen=True)
class Scatter:
    """What k classes are to their centroids under B labellings.

    Attributes:
        radii: (B, k) mean distance of a class's rows to its centroid.
        between: (B, k, k) distance between centroids.
        davies_bouldin: (B,), 0 or more, lower is better; infinite where centroids coincide.
        calinski_harabasz: (B,), 0 or more, higher is better; infinite where every class is a single point.
    """

    radii: NDArray[np.float64]
    between: NDArray[np.float64]
    davies_bouldin: NDArray[np.float64]
    calinski_harabasz: NDArray[np.float64]

    @property
    def ratios(self) -> NDArray[np.float64]:
        """(B, k, k) distance between two centroids over the sum of the classes' radii, higher is better.

        The inverse of the similarity R_ij of Davies and Bouldin (1979); NaN on the diagonal.
        """
        spread = self.radii[:, :, None] + self.radii[:, None, :]
        with np.errstate(divide="ignore", invalid="ignore"):
            found = self.between / spread
        return np.where(np.eye(found.shape[1], dtype=bool), np.nan, found)


def distances(X: NDArray[np.floating]) -> Distances:
    """Return the Euclidean distances between rows, from their Gram matrix in double precision.

    Args:
        X: (n, d) features, taken as they are. They are centred first, which changes no distance and keeps digits.

    Raises:
        DataError: There are values that are not finite, or all rows are the same.
    """
    if len(X) and (X[0] == X).all():
        raise DataError(
            f"Clusters need images that differ, and all {len(X)} have the same features; check how the head was "
            "fitted, or use --layer backbone."
        )
    if not np.isfinite(X).all():
        raise DataError("Expected finite features, found others; check how the head was fitted.")
    gram = np.zeros((len(X), len(X)))
    for start in range(0, X.shape[1], COLUMNS):
        block = np.asarray(X[:, start : start + COLUMNS], np.float64)
        block = block - block.mean(axis=0)
        gram += block @ block.T
    own = gram.diagonal().copy()
    sums = own[:, None] + own
    squared = np.multiply(gram, -2, out=gram)
    squared += sums
    squared[squared < NOTHING * sums] = 0
    np.fill_diagonal(squared, 0)
    return Distances(np.sqrt(squared), squared)


def silhouettes(between: Distances, labellings: NDArray[np.int64], classes: int) -> Silhouettes:
    """Return the silhouettes of rows.

    P. J. Rousseeuw, "Silhouettes: a graphical aid to the interpretation and validation of cluster analysis",
    Journal of Computational and Applied Mathematics 20 (1987), 53-65: (b - a) / max(a, b), with a the mean
    distance to the other rows of the own class and b that to the rows of the nearest other class; 0 for a
    class's only row.

    Args:
        between: Distances of n rows.
        labellings: (B, n) numbers of classes, each from 0 to `classes` - 1 and each there at least once.
        classes: At least 2.
    """
    members = _one_hot(labellings, classes)
    sizes = members.sum(axis=0)
    sums = _sums(between.plain, members)
    own = labellings.T[:, :, None]
    size = np.take_along_axis(np.broadcast_to(sizes, sums.shape), own, axis=2)[:, :, 0]
    inner = np.take_along_axis(sums, own, axis=2)[:, :, 0] / np.maximum(size - 1, 1)
    means = sums / sizes
    np.put_along_axis(means, own, np.inf, axis=2)
    nearest = means.argmin(axis=2)
    outer = np.take_along_axis(means, nearest[:, :, None], axis=2)[:, :, 0]
    larger = np.maximum(inner, outer)
    values = np.divide(outer - inner, larger, out=np.zeros_like(larger), where=(larger > 0) & (size > 1))
    return Silhouettes(values.T, nearest.T)


def scatter(between: Distances, labellings: NDArray[np.int64], classes: int) -> Scatter:
    """Return spread within and between classes, with the two indices that are made of it.

    D. L. Davies and D. W. Bouldin, "A cluster separation measure", IEEE Transactions on Pattern Analysis and
    Machine Intelligence 1 (1979), 224-227; T. Caliński and J. Harabasz, "A dendrite method for cluster analysis",
    Communications in Statistics 3 (1974), 1-27. A centroid's distances follow from squared distances between
    rows alone, so that no labelling needs the features.

    Args:
        between: Distances of n rows.
        labellings: (B, n) numbers of classes, each from 0 to `classes` - 1 and each there at least once.
        classes: At least 2, fewer than n.
    """
    n = len(between)
    members = _one_hot(labellings, classes)
    sizes = members.sum(axis=0)
    sums = _sums(between.squared, members)
    blocks = members.transpose(1, 2, 0) @ sums.transpose(1, 0, 2)
    # Half the mean squared distance between a class's rows is their mean square about the centroid.
    inner = np.diagonal(blocks, axis1=1, axis2=2) / (2 * sizes**2)
    to_centroids = np.sqrt(np.maximum(sums / sizes - inner, 0))
    radii = (to_centroids * members).sum(axis=0) / sizes
    apart = blocks / (sizes[:, :, None] * sizes[:, None, :]) - inner[:, :, None] - inner[:, None, :]
    centroids = np.sqrt(np.maximum(apart, 0))
    within = (inner * sizes).sum(axis=1)
    total = between.squared.sum() / (2 * n)
    with np.errstate(divide="ignore"):
        variance_ratio = np.maximum(total - within, 0) / (classes - 1) / (within / (n - classes))
    return Scatter(radii, centroids, _davies_bouldin(radii, centroids), variance_ratio)


def _davies_bouldin(radii: NDArray[np.float64], centroids: NDArray[np.float64]) -> NDArray[np.float64]:
    spread = radii[:, :, None] + radii[:, None, :]
    # Two classes in one place are as alike as can be, also where each is a single point.
    alike = np.divide(spread, centroids, out=np.full_like(spread, np.inf), where=centroids > 0)
    others = np.where(np.eye(alike.shape[1], dtype=bool), -np.inf, alike)
    return np.asarray(others.max(axis=2).mean(axis=1))


def _one_hot(labellings: NDArray[np.int64], classes: int) -> NDArray[np.float64]:
    return np.asarray(labellings.T[:, :, None] == np.arange(classes), np.float64)


def _sums(values: NDArray[np.float64], members: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray((values @ members.reshape(len(members), -1)).reshape(members.shape))
