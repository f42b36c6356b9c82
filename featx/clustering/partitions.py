"""Clusterings by k-means and HDBSCAN, and their agreement with the classes."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from featx.clustering.indices import Distances
from featx.clustering.permutation import Measure, compared

STARTS = 10
# scikit-learn's default; rows in smaller clusters are noise.
MIN_CLUSTER_SIZE = 5
# Rows with more columns than this many times their number are rotated into as few columns as there are rows.
WIDE = 10
NOISE = -1


@dataclass(frozen=True)
class Agreement:
    """The agreement of a clustering with the classes.

    Attributes:
        clusters: (n,) number of each row's cluster, -1 for none.
        ari: Adjusted Rand index: 1 if clusters are the classes, about 0 by chance.
        nmi: Normalised mutual information, from 0 to 1.
    """

    clusters: NDArray[np.int64]
    ari: Measure
    nmi: Measure

    @property
    def count(self) -> int:
        """The number of clusters without noise."""
        return len(set(self.clusters.tolist()) - {NOISE})

    @property
    def noise(self) -> float:
        """Share of rows that are in no cluster, from 0 to 1."""
        return float(np.mean(self.clusters == NOISE))


@dataclass(frozen=True)
class Contingency:
    """Numbers of rows: in each pair of a cluster and a class that share rows, in each cluster, and in each class."""

    both: NDArray[np.float64]
    clusters: NDArray[np.float64]
    classes: NDArray[np.float64]


def k_means(X: NDArray[np.floating], between: Distances, clusters: int, seed: int) -> NDArray[np.int64]:
    """Return (n,) clusters of (n, d) rows: the best of several seeded starts of scikit-learn's k-means++."""
    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning
    from threadpoolctl import threadpool_limits

    rows = _coordinates(between) if X.shape[1] > WIDE * len(X) else np.asarray(X)
    # Its starts are thousands of small products, for which threads wait longer than they compute.
    with threadpool_limits(1, "blas"), warnings.catch_warnings():
        # If there are fewer different rows than clusters, some clusters stay empty; the agreement shows it.
        warnings.simplefilter("ignore", ConvergenceWarning)
        labels = KMeans(clusters, n_init=STARTS, random_state=seed).fit_predict(rows)
    return np.asarray(labels, np.int64)


def hdbscan(between: Distances) -> NDArray[np.int64] | None:
    """Return the clusters of HDBSCAN (Campello et al. 2013) with default settings; None if there are too few rows."""
    from sklearn.cluster import HDBSCAN

    if len(between) < 2 * MIN_CLUSTER_SIZE:
        return None
    model = HDBSCAN(min_cluster_size=MIN_CLUSTER_SIZE, metric="precomputed", copy=True)
    return np.asarray(model.fit_predict(between.plain), np.int64)


def agreement(clusters: NDArray[np.int64], labels: NDArray[np.int64], permuted: NDArray[np.int64]) -> Agreement:
    """Compare (n,) clusters with (n,) classes and (B, n) permuted ones; rows in no cluster count as one cluster."""
    counted = [contingency(clusters, one) for one in (labels, *permuted)]
    ari = np.array([adjusted_rand(counts) for counts in counted])
    nmi = np.array([normalised_information(counts) for counts in counted])
    return Agreement(clusters, compared(float(ari[0]), ari[1:]), compared(float(nmi[0]), nmi[1:]))


def contingency(clusters: NDArray[np.int64], labels: NDArray[np.int64]) -> Contingency:
    """Count the (n,) rows by cluster and class."""
    cells = (clusters - clusters.min()) * (int(labels.max()) + 1) + labels
    both = np.unique(cells, return_counts=True)[1]
    sizes = [np.unique(values, return_counts=True)[1].astype(np.float64) for values in (clusters, labels)]
    return Contingency(both.astype(np.float64), *sizes)


def adjusted_rand(counts: Contingency) -> float:
    """Return the adjusted Rand index (Hubert and Arabie 1985); see scikit-learn's `adjusted_rand_score`."""
    together, in_clusters, in_classes, all_pairs = (
        _pairs(part) for part in (counts.both, counts.clusters, counts.classes, counts.both.sum())
    )
    expected = in_clusters * in_classes / all_pairs
    most = (in_clusters + in_classes) / 2
    return (together - expected) / (most - expected) if most > expected else 1.0


def normalised_information(counts: Contingency) -> float:
    """Return the mutual information (Vinh et al. 2010) divided by the mean of the two entropies, from 0 to 1.

    It is scikit-learn's `normalized_mutual_info_score`.
    """
    both, clusters, classes = (_entropy(part) for part in (counts.both, counts.clusters, counts.classes))
    mean = (clusters + classes) / 2
    return min(max((clusters + classes - both) / mean, 0.0), 1.0) if mean > 0 else 1.0


def _entropy(counts: NDArray[np.float64]) -> float:
    from scipy.special import entr

    return float(entr(counts / counts.sum()).sum())


def _pairs(counts: NDArray[np.float64]) -> float:
    """Return how many pairs of rows are in the same part."""
    return float(np.sum(counts * (counts - 1) / 2))


def _coordinates(between: Distances) -> NDArray[np.float64]:
    """Return (n, n) coordinates with the same distances, by classical scaling (Torgerson 1952)."""
    squared = between.squared
    means = squared.mean(axis=0)
    gram = -0.5 * (squared - means - means[:, None] + means.mean())
    values, vectors = np.linalg.eigh(gram)
    return np.asarray(vectors * np.sqrt(np.maximum(values, 0)))
