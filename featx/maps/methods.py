"""The map methods: t-SNE with openTSNE, as scikit-learn had it in 2020, and UMAP."""

from __future__ import annotations

import warnings
from contextlib import suppress
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.maps.parameters import Parameters
from featx.networks import hidden

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


# The spectral start needs more rows than the eigenvectors it looks for.
SPECTRAL = 10


def umap(rows: Points, parameters: Parameters) -> Points:
    """Map (n, d) rows, started from the neighbour graph's spectrum; seeded, so in one thread."""
    model = _model(rows, parameters, init="spectral" if len(rows) > SPECTRAL else "random")
    return np.asarray(_quietly(model.fit_transform, rows), np.float64)


def place_by_umap(points: Points, rows: Points, new: Points, parameters: Parameters) -> Points:
    """Place new rows on a map: each among the map's points, which stay, by umap-learn's `transform`.

    The neighbour graph is built again from the rows; the map's points are not computed again but are those given.

    Args:
        points: (n, 2), the map.
        rows: (n, d) that it was made of.
        new: (m, d) to place.
        parameters: Of the map.
    """
    model = _model(rows, parameters, init=points.astype(np.float32), n_epochs=0)
    _quietly(model.fit, rows)
    model.embedding_ = points.astype(np.float32)
    model.n_epochs = None
    # Weights are taken in proportion to the largest one, which a row of the map itself has. With it, a place does not
    # depend on which other rows are new, nor does `transform` return the map unseen where all of its rows are.
    return np.array(_quietly(model.transform, np.vstack([new, rows[:1]]))[:-1], dtype=np.float64)


def _model(rows: Points, parameters: Parameters, **options: Any) -> Any:
    return load_umap().UMAP(
        n_neighbors=parameters.neighbors,
        min_dist=parameters.min_dist,
        random_state=parameters.seed,
        transform_seed=parameters.seed,
        n_jobs=1,
        **options,
    )


def load_umap() -> ModuleType:
    """Import umap-learn and return it.

    `import umap` by itself imports its parametric variant, which loads TensorFlow where that is installed (8 s). It
    has a stand-in for where that variant is absent, so it is hidden.
    """
    with hidden("umap.parametric_umap"), warnings.catch_warnings():
        # It tells of the variant's absence.
        warnings.simplefilter("ignore", ImportWarning)
        import umap
        import umap.layouts
        import umap.umap_
    for module in (umap.layouts, umap.umap_, umap.utils):
        _keep_machine_code(module)
    return umap  # type: ignore[no-any-return]


def _keep_machine_code(module: ModuleType) -> None:
    """Let what a module compiles be kept for the next process, as it is for a part of its functions already."""
    from numba.core.dispatcher import Dispatcher

    for function in vars(module).values():
        if isinstance(function, Dispatcher):
            # Where there is no folder to keep machine code in, it is compiled anew in each process.
            with suppress(RuntimeError):
                function.enable_caching()


def _quietly(call: Any, rows: Points) -> Any:
    """Call with rows, without umap-learn's remarks on small data and on what it takes in their place."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return call(rows.astype(np.float32))
