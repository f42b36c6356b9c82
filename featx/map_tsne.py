"""t-SNE (van der Maaten and Hinton 2008) with openTSNE, and as scikit-learn had it in 2020."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from featx.map_parameters import Parameters

Points = NDArray[np.float64]

# What openTSNE's `transform` takes for a new row: neighbours in effect, and neighbours whose median is its start.
PLACING_PERPLEXITY = 5.0
PLACING_START = 25


def tsne(rows: Points, parameters: Parameters) -> Points:
    """Map (n, d) rows, d at least 2: started from PCA, with an automatic learning rate (Belkina et al. 2019)."""
    from openTSNE import TSNE

    # Threads would add up forces in another order each time.
    model = TSNE(perplexity=parameters.perplexity, random_state=parameters.seed, initialization="pca", n_jobs=1)
    return np.array(model.fit(rows), dtype=np.float64)


def tsne_2020(rows: Points, parameters: Parameters) -> Points:
    """Map (n, d) rows as scikit-learn 0.22 did by default: random start, learning rate 200, 1000 iterations.

    Of the iterations, the first 250 are with an early exaggeration of 12. It is scikit-learn's own code, with these
    values written out because its defaults are others since version 1.2.
    """
    from sklearn.manifold import TSNE

    model = TSNE(
        perplexity=parameters.perplexity,
        init="random",
        learning_rate=200.0,
        early_exaggeration=12.0,
        max_iter=1000,
        random_state=parameters.seed,
    )
    return np.asarray(model.fit_transform(rows.astype(np.float32)), np.float64)


def place_by_tsne(points: Points, rows: Points, new: Points, parameters: Parameters) -> Points:
    """Place new rows on a map: each by itself, attracted and repelled by the map's points, which stay.

    Source: P. G. Poličar, M. Stražar, B. Zupan, "Embedding to reference t-SNE space addresses batch effects in
    single-cell classification", Machine Learning 112 (2023), 721-740; it is openTSNE's `transform`.

    Args:
        points: (n, 2), the map.
        rows: (n, d) that it was made of.
        new: (m, d) to place.
        parameters: Of the map.
    """
    from openTSNE import TSNEEmbedding
    from openTSNE.affinity import PerplexityBasedNN

    affinities = PerplexityBasedNN(rows, perplexity=parameters.perplexity, random_state=parameters.seed, n_jobs=1)
    reference = TSNEEmbedding(points.copy(), affinities, random_state=parameters.seed, n_jobs=1)
    fitting = min(PLACING_PERPLEXITY, len(points) / 3)
    placed = reference.transform(new, perplexity=fitting, k=min(PLACING_START, len(points)))
    # `transform` moves the middle of its map to the origin.
    shift: Points = (points.max(axis=0) + points.min(axis=0)) / 2
    return np.add(np.asarray(placed, np.float64), shift, dtype=np.float64)
