"""Maps: rows of features to points on a plane, and how far to trust them."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from featx.errors import DataError, UsageError

log = logging.getLogger("featx")

# Beyond this many columns, distances are taken after PCA, as van der Maaten and Hinton (2008) did.
PCA_COLUMNS = 50


@dataclass(frozen=True)
class Embedding:
    """A map of n rows.

    Attributes:
        points: (n, 2) coordinates.
        method: What made it, with its parameters, in words.
        trustworthiness: Share, from 0 to 1, in which neighbours on the map are neighbours in feature space
            (Venna and Kaski 2001); None for fewer than 4 rows.
    """

    points: NDArray[np.float64]
    method: str
    trustworthiness: float | None


def tsne(X: NDArray[np.float32], *, perplexity: float = 30.0, seed: int = 0) -> Embedding:
    """Map rows by t-SNE (van der Maaten and Hinton 2008) with openTSNE: PCA start, automatic learning rate.

    Args:
        X: (n, d) features, n at least 4. Over 50 columns they go through PCA to 50 first.
        perplexity: Effective number of neighbours, above 0; lowered, with a notice, to (n - 1) / 3.
        seed: The same seed gives the same map.

    Raises:
        UsageError: The perplexity is not above 0.
        DataError: There are fewer than 4 rows, or all rows are the same.
    """
    from openTSNE import TSNE

    if not perplexity > 0:
        raise UsageError(f"Expected a perplexity above 0, received {perplexity:g}.")
    if len(X) < 4:
        raise DataError(f"A map needs at least 4 images, and there are {len(X)}.")
    if (X[0] == X).all():
        raise DataError(
            f"A map needs images that differ, and all {len(X)} have the same features; check how the head was fitted."
        )
    reduced, how = _reduced(X, seed)
    fitting = min(perplexity, (len(X) - 1) / 3)
    if fitting < perplexity:
        log.warning(
            "The perplexity %g is lowered to %.3g, which is what %d images allow.", perplexity, fitting, len(X)
        )
    model = TSNE(perplexity=fitting, random_state=seed, initialization="pca", n_jobs=1)
    points = np.array(model.fit(reduced), dtype=np.float64)
    return Embedding(points, f"t-SNE{how}, perplexity {fitting:.3g}, seed {seed}", _trustworthiness(X, points))


def silhouette(X: NDArray[np.floating], labels: tuple[str, ...]) -> float | None:
    """Return the mean silhouette coefficient, -1 to 1 (Rousseeuw 1987), with Euclidean distances.

    None where it is not defined: fewer than two classes, or as many classes as rows.
    """
    from sklearn.metrics import silhouette_score

    if not 2 <= len(set(labels)) < len(labels):
        return None
    return float(silhouette_score(X, labels))


def _reduced(X: NDArray[np.float32], seed: int) -> tuple[NDArray[np.float64], str]:
    from sklearn.decomposition import PCA

    wide = np.asarray(X, np.float64)
    if X.shape[1] == 1:
        # The start of the map takes two components.
        return np.hstack([wide, np.zeros_like(wide)]), ""
    if X.shape[1] <= PCA_COLUMNS:
        return wide, ""
    columns = min(PCA_COLUMNS, len(X))
    return PCA(columns, random_state=seed).fit_transform(wide), f" after PCA to {columns}"


def _trustworthiness(X: NDArray[np.float32], points: NDArray[np.float64]) -> float | None:
    from sklearn.manifold import trustworthiness

    neighbours = min(15, (len(X) - 1) // 2)
    return float(trustworthiness(X, points, n_neighbors=neighbours)) if neighbours else None
