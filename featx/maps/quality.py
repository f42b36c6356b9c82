"""How far to trust a map."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.floating]

# Neighbours for trustworthiness and stability; fewer if there are few images.
NEIGHBOURS = 15
# If there are more images, measures that need all distances use a sample of this size.
SAMPLE = 5000


def neighbour_count(n: int) -> int:
    """Return how many neighbours are used for n images; 0 if there are too few images."""
    return min(NEIGHBOURS, (n - 1) // 2)


def sample(n: int, seed: int) -> NDArray[np.int64]:
    """Return the sorted indices of all n images, or of a seeded sample of 5000 if there are more."""
    if n <= SAMPLE:
        return np.arange(n)
    return np.sort(np.random.default_rng(seed).choice(n, SAMPLE, replace=False))


def trustworthiness(X: Matrix, points: Matrix) -> float | None:
    """Return how far neighbours on the map are neighbours in the features too, by rank, from 0 to 1.

    Source: J. Venna, S. Kaski, "Neighborhood preservation in nonlinear projection methods: an experimental study",
    ICANN 2001, 485-491. Distances are Euclidean; the 15 nearest neighbours on the map are used.

    Args:
        X: (n, d) features.
        points: (n, 2) coordinates on the map.

    Returns:
        None for fewer than 4 rows.
    """
    from sklearn import manifold

    k = neighbour_count(len(X))
    return float(manifold.trustworthiness(X, points, n_neighbors=k)) if k else None


def stability(one: Matrix, other: Matrix) -> float | None:
    """Return the share of an image's 15 nearest neighbours that two maps have in common, 0 to 1, as a mean.

    By chance it is 15 / (n - 1); it is None for fewer than 4 rows. The measure is Q_NX(K) of Lee and Verleysen
    (2009), taken between two maps instead of between features and a map.
    """
    from sklearn.neighbors import NearestNeighbors

    k = neighbour_count(len(one))
    if not k:
        return None
    near = [NearestNeighbors(n_neighbors=k).fit(points).kneighbors(return_distance=False) for points in (one, other)]
    return float(np.mean([len(np.intersect1d(a, b)) / k for a, b in zip(*near, strict=True)]))


def silhouette(X: Matrix, labels: tuple[str, ...]) -> float | None:
    """Return the mean silhouette, -1 to 1; None for fewer than two classes, or as many classes as rows."""
    from sklearn.metrics import silhouette_score

    if not 2 <= len(set(labels)) < len(labels):
        return None
    return float(silhouette_score(X, labels))
