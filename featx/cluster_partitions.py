"""Clusters that are found without looking at labels."""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import NDArray

from featx.cluster_indices import Distances

STARTS = 10
# scikit-learn's own; rows in smaller clusters are noise.
MIN_CLUSTER_SIZE = 5
# Rows this many times as wide as they are many are rotated into as few columns as there are rows.
WIDE = 10
NOISE = -1


def k_means(X: NDArray[np.floating], between: Distances, clusters: int, seed: int) -> NDArray[np.int64]:
    """Return the best of several seeded starts of k-means (scikit-learn's, k-means++).

    Args:
        X: (n, d) features.
        between: Their distances.
        clusters: From 1 to n.
        seed: The same seed gives the same clusters.
    """
    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning

    rows = _coordinates(between) if X.shape[1] > WIDE * len(X) else np.asarray(X)
    with warnings.catch_warnings():
        # Fewer different rows than clusters: some clusters stay empty, which the agreement shows.
        warnings.simplefilter("ignore", ConvergenceWarning)
        found = KMeans(clusters, n_init=STARTS, random_state=seed).fit_predict(rows)
    return np.asarray(found, np.int64)


def hdbscan(between: Distances) -> NDArray[np.int64] | None:
    """Return HDBSCAN's clusters (scikit-learn's, with its own settings); None for too few rows for one cluster.

    R. J. G. B. Campello, D. Moulavi and J. Sander, "Density-based clustering based on hierarchical density
    estimates", PAKDD 2013, LNCS 7819, 160-172.
    """
    from sklearn.cluster import HDBSCAN

    if len(between) < 2 * MIN_CLUSTER_SIZE:
        return None
    model = HDBSCAN(min_cluster_size=MIN_CLUSTER_SIZE, metric="precomputed", copy=True)
    return np.asarray(model.fit_predict(between.plain), np.int64)


def _coordinates(between: Distances) -> NDArray[np.float64]:
    """Return (n, n) coordinates with the same distances: classical scaling (Torgerson 1952) keeps all columns."""
    squared = between.squared
    means = squared.mean(axis=0)
    gram = -0.5 * (squared - means - means[:, None] + means.mean())
    values, vectors = np.linalg.eigh(gram)
    return np.asarray(vectors * np.sqrt(np.maximum(values, 0)))
