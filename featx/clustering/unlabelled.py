"""Clusters of images without labels: those of k-means and of HDBSCAN, and how far to trust them."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from featx.clustering.choosing import (
    MOST_CLUSTERS,
    STABLE,
    Candidate,
    best,
    by_size,
    candidates_of,
    check_count,
    compared_with_none,
    fitted,
    nearest_centre,
    numbers_to_try,
    silhouettes_by_sample,
)
from featx.clustering.indices import check_features
from featx.clustering.partitions import NOISE
from featx.clustering.permutation import Measure
from featx.clustering.space import FITTED_ROWS, Space, drawn
from featx.errors import UsageError
from featx.limits import check_memory
from featx.text import decimal, images

log = logging.getLogger("featx")

# HDBSCAN looks for dense places, and with more columns there are none.
DENSE_COLUMNS = 5
# The smallest cluster of HDBSCAN has at least so many images, and one in a hundred.
LEAST_DENSE, DENSE_SHARE = 5, 0.01
NEAREST, OUTLIERS = 8, 16
AS_GOOD = 0.01  # silhouettes that differ by less are taken for the same
NOT_MEASURED = -2  # in place of a cluster of HDBSCAN, for an image outside the sample


@dataclass(frozen=True)
class Partition:
    """The clusters of k-means of n images, numbered from 1, the largest first.

    Attributes:
        space: Makes coordinates of features.
        rows: (n, c) coordinates of the images.
        centres: (k, c) coordinates of the clusters' centres.
        clusters: (n,) number of each image's cluster, 1 to k.
        candidates: The numbers of clusters that were tried.
        sample: The rows by which the number was chosen and silhouettes are measured.
    """

    space: Space
    rows: NDArray[np.float64]
    centres: NDArray[np.float64]
    clusters: NDArray[np.int64]
    candidates: tuple[Candidate, ...]
    sample: NDArray[np.int64]

    @property
    def k(self) -> int:
        """The number of clusters."""
        return len(self.centres)

    @property
    def chosen(self) -> Candidate:
        """The number that was chosen, with its silhouette and stability."""
        return next(one for one in self.candidates if one.k == self.k)

    def clusters_of(self, X: NDArray[np.floating]) -> NDArray[np.int64]:
        """Return (m,) numbers, 1 to k, of the clusters whose centres are nearest to (m, d) features."""
        rows = self.space.apply(X)
        squares = (rows**2).sum(axis=1)[:, None] + (self.centres**2).sum(axis=1) - 2 * rows @ self.centres.T
        nearest: NDArray[np.int64] = squares.argmin(axis=1) + 1
        return nearest

    def describe(self) -> str:
        """Return `4 clusters of k-means, stability 0.93`."""
        return f"{self.k} clusters of k-means, stability {decimal(self.chosen.stability, 2)}"


@dataclass(frozen=True)
class Structure:
    """The clusters of n images without labels, and what is known about them.

    Attributes:
        partition: The clusters of k-means.
        silhouettes: (n,) silhouette of each image in them, -1 to 1.
        distances: (n,) distance of each image to the centre of its cluster, in units of the features.
        silhouette: Mean of the silhouettes, compared with data without clusters.
        davies_bouldin: At least 0, lower is better.
        calinski_harabasz: At least 0, higher is better.
        dense: (n,) number of each image's cluster of HDBSCAN, from 1; -1 for noise, -2 outside the sample.
        min_cluster_size: The smallest cluster that HDBSCAN looked for.
    """

    partition: Partition
    silhouettes: NDArray[np.float64]
    distances: NDArray[np.float64]
    silhouette: Measure
    davies_bouldin: float
    calinski_harabasz: float
    dense: NDArray[np.int64]
    min_cluster_size: int

    @property
    def dense_count(self) -> int:
        """The number of clusters of HDBSCAN."""
        return max(0, int(self.dense.max()))

    @property
    def noise(self) -> float:
        """Share of the images of the sample that are in no cluster of HDBSCAN, 0 to 1."""
        return float(np.mean(self.dense[self.dense != NOT_MEASURED] == NOISE))

    def radius(self, cluster: int) -> float:
        """Return the root mean square distance of a cluster's images to its centre."""
        return float(np.sqrt(np.mean(self.distances[self.partition.clusters == cluster] ** 2)))

    def nearest(self, cluster: int, digests: Sequence[str], most: int = NEAREST) -> list[int]:
        """Return the images nearest to the centre of a cluster, the nearest first, one of each content."""
        members = np.flatnonzero(self.partition.clusters == cluster)
        order = members[np.argsort(self.distances[members], kind="stable")]
        return _one_of_each(order.tolist(), digests)[:most]

    def relative(self) -> NDArray[np.float64]:
        """Return (n,) distances to the centre in units of the cluster's radius; 1 is usual, 0 for a radius of 0."""
        radii = np.array([self.radius(cluster) for cluster in range(1, self.partition.k + 1)])
        own = radii[self.partition.clusters - 1]
        return np.asarray(np.divide(self.distances, own, out=np.zeros(len(own)), where=own > 0))

    def outliers(self, digests: Sequence[str], most: int = OUTLIERS) -> list[int]:
        """Return the images farthest from the centre of their cluster, the farthest first, one of each content."""
        order = np.argsort(-self.relative(), kind="stable").tolist()
        return _one_of_each(order, digests)[: min(most, len(order) // 10)]  # of few images, not all


def partition(
    X: NDArray[np.floating],
    groups: Sequence[str],
    *,
    k: str | int | None = None,
    sample: int = 5000,
    seed: int = 0,
) -> Partition:
    """Divide images into clusters by k-means; the number of clusters is chosen if it is not given.

    Args:
        X: (n, d) features, at least 4 rows.
        groups: (n,) names; images of one group, such as those of a patient, are left out of a fit together.
        k: A number of clusters such as `5`, or a range such as `2..20`, from which the number with the highest
            silhouette is taken among those with a stability of at least 0.8. The default is 2 to 10, at most half the
            number of images.
        sample: If there are more images, the number is chosen by a seeded sample of this size.
        seed: Of k-means, the parts of the images and the sample.

    Raises:
        DataError: There are fewer than 4 images, all are the same, or some features are not finite.
        UsageError: The number of clusters is not possible, or the sample is of fewer than 4 images.
        ResourcesError: The work does not fit into memory.
    """
    check_count(len(X), sample)
    check_features(X)
    chosen = drawn(len(X), sample, seed)
    need = 8 * (3 * len(chosen) ** 2 + 400 * len(X)) + 16 * min(len(X), FITTED_ROWS) * X.shape[1]
    check_memory(need, f"looking for clusters of {len(X):,} images", "use pooling, or lower --sample")
    if len(chosen) < len(X):
        check_features(X[chosen])  # they may be alike where others differ
    numbers = numbers_to_try(k, X[chosen])
    space = Space.fit(X, seed)
    rows = space.apply(X)
    codes = np.unique(np.array(groups)[chosen], return_inverse=True)[1]
    candidates = candidates_of(rows[chosen], codes, numbers, seed)
    model = fitted(rows, best(candidates).k, seed)
    clusters = by_size(nearest_centre(rows, model))
    centres = np.stack([rows[clusters == number].mean(axis=0) for number in range(1, int(clusters.max()) + 1)])
    return Partition(space, rows, centres, clusters, candidates, chosen)


def structure(
    X: NDArray[np.floating],
    groups: Sequence[str],
    *,
    k: str | int | None = None,
    min_cluster_size: int | None = None,
    sample: int = 5000,
    seed: int = 0,
) -> Structure:
    """Look for clusters of (n, d) features by k-means and HDBSCAN; the other arguments are those of `partition`.

    `min_cluster_size` is the smallest cluster of HDBSCAN, at least 2; the default is one in a hundred images, and at
    least 5.
    """
    from sklearn.metrics import calinski_harabasz_score, davies_bouldin_score

    if min_cluster_size is not None and min_cluster_size < 2:
        raise UsageError(f"Expected --min-cluster-size of at least 2, received {min_cluster_size}.")
    parts = partition(X, groups, k=k, sample=sample, seed=seed)
    rows, clusters = parts.rows, parts.clusters
    silhouettes = silhouettes_by_sample(rows, clusters, parts.sample)
    mean = float(silhouettes.mean())
    least = min_cluster_size or max(LEAST_DENSE, round(DENSE_SHARE * len(parts.sample)))
    with np.errstate(divide="ignore", invalid="ignore"):  # clusters of equal rows only
        davies_bouldin = float(davies_bouldin_score(rows, clusters))
        calinski_harabasz = float(calinski_harabasz_score(rows, clusters))
    return Structure(
        partition=parts,
        silhouettes=silhouettes,
        distances=np.linalg.norm(rows - parts.centres[clusters - 1], axis=1),
        silhouette=compared_with_none(rows[parts.sample], [one.k for one in parts.candidates], mean, seed),
        davies_bouldin=davies_bouldin,
        calinski_harabasz=calinski_harabasz,
        dense=_dense(rows, parts.sample, least),
        min_cluster_size=least,
    )


def _one_of_each(order: Sequence[int], digests: Sequence[str]) -> list[int]:
    """Return the first image of each content, in this order."""
    first: dict[str, int] = {}
    for i in order:
        first.setdefault(digests[i], i)
    return list(first.values())


def _dense(rows: NDArray[np.float64], sample: NDArray[np.int64], least: int) -> NDArray[np.int64]:
    """Return the clusters of HDBSCAN (Campello et al. 2013) of the rows of a sample; few rows are all noise."""
    from sklearn.cluster import HDBSCAN

    dense = np.full(len(rows), NOT_MEASURED)
    if len(sample) < 2 * least:
        dense[sample] = NOISE
        return dense
    model = HDBSCAN(min_cluster_size=least, copy=True)
    dense[sample] = by_size(model.fit_predict(rows[sample][:, :DENSE_COLUMNS]))
    return dense


def _may_be_more(structure: Structure) -> bool:
    """Whether the largest number of clusters of the default is as good as the best, or HDBSCAN finds more."""
    last, one = structure.partition.candidates[-1], structure.partition.chosen
    as_good = last.silhouette > one.silhouette - AS_GOOD
    return last.k == MOST_CLUSTERS and (as_good or structure.dense_count > last.k)


def remarks(structure: Structure, wanted: str | int | None) -> Iterator[str]:
    """Yield what readers of the clusters must know."""
    parts, one = structure.partition, structure.partition.chosen
    n, measured = len(parts.rows), len(parts.sample)
    if measured < n:
        yield (
            f"The number of clusters, HDBSCAN and silhouettes are by a sample of {measured:,} of {images(n)}; use "
            "--sample for more."
        )
    if not one.stable:
        among = "No number of clusters that was tried is" if len(parts.candidates) > 1 else "The clusters are not"
        yield (
            f"{among} stable: with other seeds and images, {one.k} clusters agree by an adjusted Rand index of "
            f"only {decimal(one.stability, 2)} (below {STABLE:g}); take them as a way to sort images, not as a "
            "result."
        )
    if structure.silhouette.p_value > 0.05:
        yield (
            f"The silhouette of {decimal(structure.silhouette.value)} is no higher than in data of the same spread "
            f"without clusters ({decimal(structure.silhouette.low)} to {decimal(structure.silhouette.high)})."
        )
    if wanted is None and _may_be_more(structure):
        yield (
            f"There may be more clusters than {MOST_CLUSTERS}, the largest number that was tried; try more of them, "
            "with --k 2..30."
        )
    small = [c for c in range(1, parts.k + 1) if np.sum(parts.clusters == c) < LEAST_DENSE]
    if small:
        yield f"{len(small)} of {parts.k} clusters have fewer than {LEAST_DENSE} images."
