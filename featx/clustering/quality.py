"""Measure how well classes are separated in rows, and compare each value with permuted labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.clustering.indices import Distances, distances, nearest_rows, purity, silhouettes, spread
from featx.clustering.partitions import MIN_CLUSTER_SIZE, STARTS, Agreement, agreement, hdbscan, k_means
from featx.clustering.permutation import Blocks, Measure, blocks, compared
from featx.errors import DataError, UsageError
from featx.limits import check_memory

# Values for rows, classes and permuted labels that are held in memory at a time.
VALUES_AT_ONCE = 4_000_000
# Bytes for each pair of rows, measured with 4,000 and 8,000 rows: the distances, their squares, and work on them.
BYTES_A_PAIR = 34
# Pairs of classes in the JSON; of more than 142 classes, these are the pairs that are hardest to tell apart.
MOST_PAIRS = 10_011


@dataclass(frozen=True)
class Quality:
    """How well k classes of n rows are separated.

    Attributes:
        classes: Names, sorted.
        labels: (n,) number of each row's class.
        silhouette: Mean over rows, -1 to 1.
        silhouettes: (n,) silhouette of each row.
        nearest: (n,) number of the nearest other class of each row.
        davies_bouldin: At least 0, lower is better.
        calinski_harabasz: At least 0, higher is better.
        knn_purity: Mean over rows, 0 to 1; None if no row has a neighbour in another group.
        purities: (n,) purity of each row; NaN if it has no neighbour.
        neighbours: The number of neighbours for the purity.
        ratios: (k, k) between/within ratio of pairs of classes, NaN on the diagonal.
        ratios_permuted: (k, k) mean of the ratios under permuted labels.
        kmeans: k-means with as many clusters as classes.
        hdbscan: HDBSCAN; None for too few rows.
        blocks: The images that kept a common label in the permutations.
        permutations: The number of permutations.
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
        """Return all overall values by name, in the order of tables."""
        measures = {
            "silhouette": self.silhouette,
            "davies_bouldin": self.davies_bouldin,
            "calinski_harabasz": self.calinski_harabasz,
            "knn_purity": self.knn_purity,
            "kmeans_ari": self.kmeans.ari,
            "kmeans_nmi": self.kmeans.nmi,
            "hdbscan_ari": self.hdbscan.ari if self.hdbscan else None,
            "hdbscan_nmi": self.hdbscan.nmi if self.hdbscan else None,
        }
        return {name: measure for name, measure in measures.items() if measure is not None}

    def of_class(self, number: int) -> dict[str, Any]:
        """Return `n, silhouette, negative, knn_purity, nearest` of a class.

        `negative` is the share of its rows whose silhouette is below 0, and `nearest` the class with the lowest
        between/within ratio.
        """
        members = self.labels == number
        purities = self.purities[members]
        return {
            "n": int(members.sum()),
            "silhouette": float(self.silhouettes[members].mean()),
            "negative": float(np.mean(self.silhouettes[members] < 0)),
            "knn_purity": float(np.nanmean(purities)) if np.isfinite(purities).any() else None,
            "nearest": self.classes[int(np.nanargmin(self.ratios[number]))],
        }

    def to_json(self) -> dict[str, Any]:
        """Return the values of these rows in the JSON of `featx clusters`."""
        measures = self.measures()
        names = ("silhouette", "davies_bouldin", "calinski_harabasz", "knn_purity")
        permuted: dict[str, Any] = {
            name: measure.permuted_json() for name, measure in measures.items() if name in names
        }
        document: dict[str, Any] = {"n": len(self.labels), "classes": list(self.classes)}
        document |= {name: measures[name].value if name in measures else None for name in names}
        document["neighbours"] = self.neighbours
        for name, one in (("kmeans", self.kmeans), ("hdbscan", self.hdbscan)):
            document[name] = one and {"ari": one.ari.value, "nmi": one.nmi.value, "clusters": one.count}
            if one:
                permuted[name] = {"ari": one.ari.permuted_json(), "nmi": one.nmi.permuted_json()}
        document["kmeans"]["starts"] = STARTS
        if self.hdbscan:
            document["hdbscan"] |= {"noise": self.hdbscan.noise, "min_cluster_size": MIN_CLUSTER_SIZE}
        document["per_class"] = {name: self.of_class(number) for number, name in enumerate(self.classes)}
        document["pairs"] = self._pairs()
        permuted |= {"permutations": self.permutations, "blocks": len(self.blocks.labels)}
        return {**document, "permuted": permuted}

    def _pairs(self) -> list[dict[str, Any]]:
        ones, others = np.triu_indices(len(self.classes), 1)
        if len(ones) > MOST_PAIRS:
            closest = np.sort(np.argsort(self.ratios[ones, others], kind="stable")[:MOST_PAIRS])
            ones, others = ones[closest], others[closest]
        return [
            {
                "classes": [self.classes[one], self.classes[other]],
                "ratio": float(self.ratios[one, other]),
                "permuted_mean": float(self.ratios_permuted[one, other]),
            }
            for one, other in zip(ones, others, strict=True)
        ]


def measure(
    X: NDArray[np.floating],
    labels: Sequence[str],
    groups: Sequence[str],
    *,
    neighbours: int = 10,
    permutations: int = 199,
    seed: int = 0,
) -> Quality:
    """Measure how well classes are separated by Euclidean distances between (n, d) features, which are not scaled.

    Images of one group, such as those of a patient, are no neighbours of each other and keep a common label in the
    permutations. The number of neighbours for kNN purity is lowered to half the mean size of a class.

    Raises ResourcesError if distances or permutations do not fit into memory.
    """
    for what, number in (("neighbours", neighbours), ("permutations", permutations)):
        if number < 1:
            raise UsageError(f"Expected at least 1 of {what}, received {number}.")
    classes, codes = np.unique(np.array(labels), return_inverse=True)
    _check(tuple(map(str, classes)), len(X))
    check_memory(
        BYTES_A_PAIR * len(X) ** 2 + 16 * len(X) * permutations,
        f"comparing {len(X):,} images with one another and with {permutations:,} permutations",
        "lower --sample or --permutations",
    )
    between = distances(X)
    label_blocks = blocks(codes, groups)
    permuted = label_blocks.permuted(permutations, seed)
    k = max(1, min(neighbours, len(X) // (2 * len(classes))))
    nearby = nearest_rows(between, groups, k)
    own, ratios = _indices(between, codes[None], len(classes))
    chance, chance_ratios = _indices(between, permuted, len(classes))
    silhouette_values, nearest_class = silhouettes(between, codes[None], len(classes))
    purities = purity(nearby, codes[None])[0]
    known = np.isfinite(purities)
    dense = hdbscan(between)
    return Quality(
        classes=tuple(map(str, classes)),
        labels=codes,
        silhouette=compared(own[0, 0], chance[0]),
        silhouettes=silhouette_values[0],
        nearest=nearest_class[0],
        davies_bouldin=compared(own[1, 0], chance[1], lower_is_better=True),
        calinski_harabasz=compared(own[2, 0], chance[2]),
        knn_purity=compared(purities[known].mean(), purity(nearby, permuted)[:, known].mean(axis=1))
        if known.any()
        else None,
        purities=purities,
        neighbours=k,
        ratios=ratios,
        ratios_permuted=chance_ratios,
        kmeans=agreement(k_means(X, between, len(classes), seed), codes, permuted),
        hdbscan=None if dense is None else agreement(dense, codes, permuted),
        blocks=label_blocks,
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
    """Return silhouette, Davies-Bouldin and Caliński-Harabasz (3, B) and mean ratios of pairs (classes, classes)."""
    step = max(1, VALUES_AT_ONCE // (len(between) * classes))
    numbers, ratios = [], np.zeros((classes, classes))
    for start in range(0, len(labellings), step):
        part = labellings[start : start + step]
        spreads = spread(between, part, classes)
        mean = silhouettes(between, part, classes)[0].mean(axis=1)
        numbers.append(np.stack([mean, spreads.davies_bouldin, spreads.calinski_harabasz]))
        for one in spreads.ratios:  # all of them would take gigabytes with a thousand classes
            ratios += one
    return np.concatenate(numbers, axis=1), ratios / len(labellings)
