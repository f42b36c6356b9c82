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


def k_means(X: NDArray[np.floating], between: Distances, clusters: int, seed: int) -> NDArray[np.int64]:
    """Return (n,) clusters of (n, d) rows: the best of several seeded starts of scikit-learn's k-means++."""
    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning

    rows = _coordinates(between) if X.shape[1] > WIDE * len(X) else np.asarray(X)
    with warnings.catch_warnings():
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
    counts = contingency(clusters, np.vstack([labels, permuted]))
    ari, nmi = adjusted_rand(counts), normalised_information(counts)
    return Agreement(clusters, compared(float(ari[0]), ari[1:]), compared(float(nmi[0]), nmi[1:]))


def contingency(clusters: NDArray[np.int64], labellings: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return (B, clusters, classes) numbers of rows in each cluster and class under (B, n) labellings."""
    codes = np.unique(clusters, return_inverse=True)[1]
    rows, columns = int(codes.max()) + 1, int(labellings.max()) + 1
    counts = [np.bincount(codes * columns + labels, minlength=rows * columns) for labels in labellings]
    return np.stack(counts).reshape(-1, rows, columns).astype(np.float64)


def adjusted_rand(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return (B,) adjusted Rand indices (Hubert and Arabie 1985) of (B, clusters, classes) counts.

    The values are those of scikit-learn's `adjusted_rand_score`, computed for many labellings at once.
    """
    together = _pairs(counts).sum(axis=(1, 2))
    in_clusters, in_classes = _pairs(counts.sum(axis=2)).sum(axis=1), _pairs(counts.sum(axis=1)).sum(axis=1)
    expected = in_clusters * in_classes / _pairs(counts.sum(axis=(1, 2)))
    most = (in_clusters + in_classes) / 2
    return np.asarray(np.divide(together - expected, most - expected, out=np.ones_like(most), where=most > expected))


def normalised_information(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return (B,) mutual information (Vinh et al. 2010) of (B, clusters, classes) counts, from 0 to 1.

    It is divided by the mean of the two entropies, as in scikit-learn's `normalized_mutual_info_score`.
    """
    from scipy.special import entr

    shares = counts / counts.sum(axis=(1, 2), keepdims=True)
    clusters, classes = entr(shares.sum(axis=2)).sum(axis=1), entr(shares.sum(axis=1)).sum(axis=1)
    mutual = clusters + classes - entr(shares.reshape(len(shares), -1)).sum(axis=1)
    mean = (clusters + classes) / 2
    return np.asarray(np.clip(np.divide(mutual, mean, out=np.ones_like(mean), where=mean > 0), 0, 1))


def _pairs(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    return counts * (counts - 1) / 2


def _coordinates(between: Distances) -> NDArray[np.float64]:
    """Return (n, n) coordinates with the same distances, by classical scaling (Torgerson 1952)."""
    squared = between.squared
    means = squared.mean(axis=0)
    gram = -0.5 * (squared - means - means[:, None] + means.mean())
    values, vectors = np.linalg.eigh(gram)
    return np.asarray(vectors * np.sqrt(np.maximum(values, 0)))
