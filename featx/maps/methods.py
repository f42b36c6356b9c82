"""The methods: t-SNE by openTSNE, t-SNE as in scikit-learn 0.22, and UMAP."""

from __future__ import annotations

import warnings
from contextlib import suppress
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.machine import NUMBA, provide_folders
from featx.maps.parameters import Parameters
from featx.networks import hidden_module

Points = NDArray[np.float64]

# A new row is placed by openTSNE with this perplexity, from the median of this many neighbours.
PLACING_PERPLEXITY = 5.0
PLACING_START = 25
# openTSNE imports it (1 s) to see whether it is there, and uses it for sparse rows and unusual distances alone.
UNUSED_BY_TSNE = "pynndescent"
# UMAP's spectral start needs more rows than the eigenvectors that it looks for.
SPECTRAL = 10


def tsne(rows: Points, parameters: Parameters) -> Points:
    """Map (n, d) rows, d at least 2, from a PCA start with an automatic learning rate (Belkina et al. 2019)."""
    provide_folders([NUMBA])
    from openTSNE import TSNE

    # Several threads would add up forces in a different order each time.
    model = TSNE(perplexity=parameters.perplexity, random_state=parameters.seed, initialization="pca", n_jobs=1)
    with hidden_module(UNUSED_BY_TSNE):
        return np.array(model.fit(rows), dtype=np.float64)


def tsne_2020(rows: Points, parameters: Parameters) -> Points:
    """Map (n, d) rows as scikit-learn 0.22 did by default: random start, learning rate 200, 1000 iterations.

    These values are written out because scikit-learn has other defaults since version 1.2.
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
    """Place (m, d) new rows on a map of (n, d) rows with openTSNE's `transform` (Poličar et al. 2023).

    Each new row is attracted and repelled by the map's (n, 2) points, which do not move.
    """
    provide_folders([NUMBA])
    from openTSNE import TSNEEmbedding
    from openTSNE.affinity import PerplexityBasedNN

    with hidden_module(UNUSED_BY_TSNE):
        affinities = PerplexityBasedNN(rows, perplexity=parameters.perplexity, random_state=parameters.seed, n_jobs=1)
    reference = TSNEEmbedding(points.copy(), affinities, random_state=parameters.seed, n_jobs=1)
    perplexity = min(PLACING_PERPLEXITY, len(points) / 3)
    placed = reference.transform(new, perplexity=perplexity, k=min(PLACING_START, len(points)))
    # `transform` shifts the centre of its map to the origin.
    shift: Points = (points.max(axis=0) + points.min(axis=0)) / 2
    return np.add(np.asarray(placed, np.float64), shift, dtype=np.float64)


def umap(rows: Points, parameters: Parameters) -> Points:
    """Map (n, d) rows, started from the neighbour graph's spectrum. A seeded UMAP uses one thread."""
    model = _model(rows, parameters, init="spectral" if len(rows) > SPECTRAL else "random")
    return np.asarray(_quietly(model.fit_transform, rows), np.float64)


def place_by_umap(points: Points, rows: Points, new: Points, parameters: Parameters) -> Points:
    """Place (m, d) new rows on a map of (n, d) rows with umap-learn's `transform`.

    The neighbour graph is built again from the rows. The map's (n, 2) points do not move.
    """
    model = _model(rows, parameters, init=points.astype(np.float32), n_epochs=0)
    _quietly(model.fit, rows)
    model.embedding_ = points.astype(np.float32)
    model.n_epochs = None
    # umap-learn divides weights by the largest one. A row of the map has the largest possible weight, so with it a
    # place does not depend on the other new rows; nor does `transform` return the map itself if all its rows are new.
    return np.array(_quietly(model.transform, np.vstack([new, rows[:1]]))[:-1], dtype=np.float64)


def _model(rows: Points, parameters: Parameters, **options: Any) -> Any:
    return load_umap().UMAP(
        n_neighbors=parameters.neighbours,
        min_dist=parameters.min_dist,
        random_state=parameters.seed,
        transform_seed=parameters.seed,
        n_jobs=1,
        **options,
    )


def load_umap() -> ModuleType:
    """Import umap-learn without its parametric variant, which would load TensorFlow (8 s).

    umap-learn has a substitute for the case that the variant is absent, so the variant is hidden.
    """
    provide_folders([NUMBA])
    with hidden_module("umap.parametric_umap"), warnings.catch_warnings():
        # umap-learn warns that the variant is absent.
        warnings.simplefilter("ignore", ImportWarning)
        import umap
        import umap.layouts
        import umap.umap_
    for module in (umap.layouts, umap.umap_, umap.utils):
        _cache_compiled(module)
    return umap  # type: ignore[no-any-return]


def _cache_compiled(module: ModuleType) -> None:
    """Let Numba cache a module's compiled functions on disk, as umap-learn does for some of them already."""
    from numba.core.dispatcher import Dispatcher

    for function in vars(module).values():
        if isinstance(function, Dispatcher):
            # If there is no folder for the cache, each process compiles again.
            with suppress(RuntimeError):
                function.enable_caching()


def _quietly(call: Any, rows: Points) -> Any:
    """Call with rows, without umap-learn's warnings about small data and the values that it uses instead."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return call(rows.astype(np.float32))
