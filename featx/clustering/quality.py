"""All that is measured of labelled rows at once, each number beside what permuted labels give."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.clustering.indices import Distances, distances, nearest_rows, purity, scatter, silhouettes
from featx.clustering.partitions import MIN_CLUSTER_SIZE, STARTS, Agreement, agreement, hdbscan, k_means
from featx.clustering.permutation import Blocks, Measure, blocks, measured
from featx.errors import DataError, UsageError

log = logging.getLogger("featx")

# Values of a row and a class that are held for permuted labels at a time.
VALUES_AT_ONCE = 4_000_000


@dataclass(frozen=True)
class Quality:
    """How well k classes of n rows are apart.

    Attributes:
        classes: Names, sorted.
        labels: (n,) number of each row's class.
        silhouette: Mean over rows, -1 to 1.
        silhouettes: (n,) of each row.
        nearest: (n,) number of the nearest other class of each row.
        davies_bouldin: 0 or more, lower is better.
        calinski_harabasz: 0 or more, higher is better.
        knn_purity: Mean over rows, 0 to 1; None where no row has a neighbour in another unit.
        purities: (n,) of each row; NaN where it has no neighbour.
        neighbours: How many are looked at.
        ratios: (k, k) between/within ratio of pairs of classes, NaN on the diagonal.
        ratios_permuted: (k, k) the same, mean under permuted labels.
        kmeans: Clusters of k-means, k the number of classes.
        hdbscan: Clusters of HDBSCAN; None for too few rows.
        blocks: What swapped labels in the permutations.
        permutations: How many.
    """

    classes: tuple[str, ...]
    labels: NDArray[np.int64]
    silhouette: Measure
    silhouettes: NDArray[np.float64]
    nearest: NDArray[np.int64]
    davies_bouldin: Measure
    calinski_harabasz: Measure
    knn_purity: Measure | None
    purities: NDArray[np.float64]
    neighbours: int
    ratios: NDArray[np.float64]
    ratios_permuted: NDArray[np.float64]
    kmeans: Agreement
    hdbscan: Agreement | None
    blocks: Blocks
    permutations: int

    def measures(self) -> dict[str, Measure]:
        """Return every overall number by its name, in the order of tables."""
        found = {
            "silhouette": self.silhouette,
            "davies_bouldin": self.davies_bouldin,
            "calinski_harabasz": self.calinski_harabasz,
            "knn_purity": self.knn_purity,
            "kmeans_ari": self.kmeans.ari,
            "kmeans_nmi": self.kmeans.nmi,
            "hdbscan_ari": self.hdbscan.ari if self.hdbscan else None,
            "hdbscan_nmi": self.hdbscan.nmi if self.hdbscan else None,
        }
        return {name: measure for name, measure in found.items() if measure is not None}

    def of_class(self, number: int) -> dict[str, Any]:
        """Return `n, silhouette, negative, knn_purity, nearest` of a class.

        `negative` is the share of its rows whose silhouette is below 0, and `nearest` the class with the lowest
        between/within ratio.
        """
        own = self.labels == number
        pure = self.purities[own]
        return {
            "n": int(own.sum()),
            "silhouette": float(self.silhouettes[own].mean()),
            "negative": float(np.mean(self.silhouettes[own] < 0)),
            "knn_purity": float(np.nanmean(pure)) if np.isfinite(pure).any() else None,
            "nearest": self.classes[int(np.nanargmin(self.ratios[number]))],
        }

    def to_json(self) -> dict[str, Any]:
        """Return the numbers of `featx clusters` for these rows."""
        measures = self.measures()
        names = ("silhouette", "davies_bouldin", "calinski_harabasz", "knn_purity")
        permuted: dict[str, Any] = {
            name: measure.permuted_json() for name, measure in measures.items() if name in names
        }
        document: dict[str, Any] = {"n": len(self.labels), "classes": list(self.classes)}
        document |= {name: measures[name].value if name in measures else None for name in names}
        document["neighbours"] = self.neighbours
        for name, found in (("kmeans", self.kmeans), ("hdbscan", self.hdbscan)):
            document[name] = found and {"ari": found.ari.value, "nmi": found.nmi.value, "clusters": found.count}
            if found:
                permuted[name] = {"ari": found.ari.permuted_json(), "nmi": found.nmi.permuted_json()}
        document["kmeans"]["starts"] = STARTS
        if self.hdbscan:
            document["hdbscan"] |= {"noise": self.hdbscan.noise, "min_cluster_size": MIN_CLUSTER_SIZE}
        document["per_class"] = {name: self.of_class(number) for number, name in enumerate(self.classes)}
        document["pairs"] = self._pairs()
        permuted |= {"permutations": self.permutations, "blocks": len(self.blocks.labels)}
        return {**document, "permuted": permuted}

    def _pairs(self) -> list[dict[str, Any]]:
        return [
            {
                "classes": [self.classes[one], self.classes[other]],
                "ratio": float(self.ratios[one, other]),
                "permuted_mean": float(self.ratios_permuted[one, other]),
            }
            for one, other in zip(*np.triu_indices(len(self.classes), 1), strict=True)
        ]


def measure(
    X: NDArray[np.floating],
    labels: Sequence[str],
    units: Sequence[str],
    *,
    neighbours: int = 10,
    permutations: int = 199,
    seed: int = 0,
) -> Quality:
    """Measure how well classes are apart, with Euclidean distances between features as they are.

    Args:
        X: (n, d) features.
        labels: (n,) classes.
        units: (n,) what hangs together, such as the images of one patient: no neighbours of each other, and
            whole units swap labels in the permutations.
        neighbours: Of kNN purity, at least 1; lowered to half the mean number of rows of a class.
        permutations: At least 1.
        seed: Of the permutations and of k-means.

    Raises:
        UsageError: A number is too small.
        DataError: There are fewer than two classes, no class has two rows, or all rows are the same.
    """
    for what, number in (("neighbours", neighbours), ("permutations", permutations)):
        if number < 1:
            raise UsageError(f"Expected at least 1 of {what}, received {number}.")
    classes, codes = np.unique(np.array(labels), return_inverse=True)
    _check(tuple(map(str, classes)), len(X))
    between = distances(X)
    swapping = blocks(codes, units)
    others = swapping.permuted(permutations, seed)
    k = max(1, min(neighbours, len(X) // (2 * len(classes))))
    nearby = nearest_rows(between, units, k)
    own, ratios = _indices(between, codes[None], len(classes))
    null, null_ratios = _indices(between, others, len(classes))
    shape = silhouettes(between, codes[None], len(classes))
    pure = purity(nearby, codes[None])[0]
    known = np.isfinite(pure)
    in_density = hdbscan(between)
    return Quality(
        classes=tuple(map(str, classes)),
        labels=codes,
        silhouette=measured(own[0, 0], null[0]),
        silhouettes=shape.values[0],
        nearest=shape.nearest[0],
        davies_bouldin=measured(own[1, 0], null[1], lower_is_better=True),
        calinski_harabasz=measured(own[2, 0], null[2]),
        knn_purity=measured(pure[known].mean(), purity(nearby, others)[:, known].mean(axis=1))
        if known.any()
        else None,
        purities=pure,
        neighbours=k,
        ratios=ratios[0],
        ratios_permuted=null_ratios.mean(axis=0),
        kmeans=agreement(k_means(X, between, len(classes), seed), codes, others),
        hdbscan=None if in_density is None else agreement(in_density, codes, others),
        blocks=swapping,
        permutations=permutations,
    )


def _check(classes: tuple[str, ...], n: int) -> None:
    if len(classes) < 2:
        raise DataError(
            f"Clusters are compared with at least two classes, and all {n} images are of {', '.join(classes)!r}; "
            "choose another --split or --by."
        )
    if len(classes) >= n:
        raise DataError(
            f"Clusters are compared with classes of several images, and each of the {n} images has a class of its "
            "own; choose another --by."
        )


def _indices(
    between: Distances, labellings: NDArray[np.int64], classes: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return silhouette, Davies-Bouldin and Caliński-Harabasz (3, B) and the pairs' ratios (B, classes, classes)."""
    step = max(1, VALUES_AT_ONCE // (len(between) * classes))
    numbers, ratios = [], []
    for start in range(0, len(labellings), step):
        part = labellings[start : start + step]
        spread = scatter(between, part, classes)
        mean = silhouettes(between, part, classes).values.mean(axis=1)
        numbers.append(np.stack([mean, spread.davies_bouldin, spread.calinski_harabasz]))
        ratios.append(spread.ratios)
    return np.concatenate(numbers, axis=1), np.concatenate(ratios)
