"""Make a map of rows by PCA, t-SNE or UMAP, and place new rows on it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from featx.errors import DataError
from featx.limits import check_memory
from featx.maps.methods import place_by_tsne, place_by_umap, tsne, tsne_2020, umap
from featx.maps.parameters import Parameters

# Rows with more columns are reduced to this many by PCA first, as van der Maaten and Hinton (2008) did.
PCA_COLUMNS = 50


@dataclass(frozen=True)
class Reduction:
    """A projection onto principal components (Pearson 1901; Hotelling 1933).

    Attributes:
        mean: (d,) mean of the rows that it was made from.
        components: (columns, d) unit vectors.
        shares: The share of the variance that each component explains, 0 to 1.
    """

    mean: NDArray[np.float64]
    components: NDArray[np.float32]
    shares: tuple[float, ...]

    @classmethod
    def fit(cls, rows: NDArray[np.float64], columns: int, seed: int) -> Reduction:
        """Return the first components of (n, d) rows, at most n and at most d of them.

        Rows with one column get a second component, which is zero, because a map needs two.
        """
        from sklearn.decomposition import PCA

        pca = PCA(min(columns, *rows.shape), random_state=seed).fit(rows)
        missing = max(2 - len(pca.components_), 0)
        components = np.vstack([pca.components_, np.zeros((missing, rows.shape[1]))])
        shares = (*map(float, pca.explained_variance_ratio_), *[0.0] * missing)
        # They are stored in single precision. Rounding them here already makes a stored map place rows alike.
        return cls(pca.mean_.astype(np.float64), components.astype(np.float32), shares)

    def apply(self, rows: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return (n, columns) coordinates of (n, d) rows."""
        return np.asarray((rows - self.mean) @ self.components.T.astype(np.float64))


@dataclass(frozen=True)
class Embedding:
    """A map of n rows, (n, 2) points, with what is needed to place further rows on it.

    The reduction is the one before t-SNE or UMAP, if any; for the method `pca`, its components are the map's axes.
    """

    points: NDArray[np.float64]
    parameters: Parameters
    reduction: Reduction | None

    @property
    def method(self) -> str:
        """The method and its parameters in words."""
        chosen, reduction = self.parameters, self.reduction
        if chosen.method == "pca":
            return "PCA" if reduction is None else f"PCA, {100 * sum(reduction.shares):.0f} % of the variance"
        reduced = "" if reduction is None else f" after PCA to {len(reduction.components)}"
        if chosen.method == "umap":
            words = f"UMAP{reduced}, {chosen.neighbours} neighbours, minimal distance {chosen.min_dist:g}"
        elif chosen.setting is not None:
            words = f"t-SNE as in scikit-learn 0.22 (random start, rate 200), perplexity {chosen.perplexity:.3g}"
        else:
            words = f"t-SNE{reduced}, perplexity {chosen.perplexity:.3g}"
        return f"{words}, seed {chosen.seed}"

    @property
    def axes(self) -> tuple[str, str]:
        """Labels of the axes: for PCA, the components with their share of the variance; else empty."""
        if self.parameters.method != "pca" or self.reduction is None:
            return "", ""
        first, second = (f"component {k} ({100 * share:.1f} %)" for k, share in enumerate(self.reduction.shares, 1))
        return first, second


def embed(X: NDArray[np.float32], parameters: Parameters) -> Embedding:
    """Map rows to a plane. The same rows and parameters give the same points.

    For t-SNE and UMAP, more than 50 columns are first reduced to 50 by PCA, as van der Maaten and Hinton (2008) did.
    The setting 2020 has no such step.

    Args:
        X: (n, d) features.
        parameters: From `map_parameters`; values too large for n are lowered, with a notice.

    Raises:
        DataError: There are fewer than 4 rows, all rows are the same, or some are not finite.
        ResourcesError: The work on the rows does not fit into memory.
    """
    check_rows(X)
    # In double precision, and once more without their mean.
    check_memory(16 * X.size, f"a map of {len(X):,} rows of {X.shape[1]:,} features", "use fewer or pooled features")
    parameters = parameters.for_images(len(X))
    with _one_thread():
        wide = np.asarray(X, np.float64)
        if parameters.method == "pca":
            reduction = Reduction.fit(wide, 2, parameters.seed)
            return Embedding(reduction.apply(wide), parameters, reduction)
        if parameters.setting is not None:
            return Embedding(tsne_2020(_reduced(wide, None), parameters), parameters, None)
        first = Reduction.fit(wide, PCA_COLUMNS, parameters.seed) if X.shape[1] > PCA_COLUMNS else None
        method = umap if parameters.method == "umap" else tsne
        return Embedding(method(_reduced(wide, first), parameters), parameters, first)


def place(embedding: Embedding, X: NDArray[np.float32], new: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the places of new rows on a map. The points of the map do not move.

    The place of a row depends only on the map and the row, not on the other new rows.

    Args:
        embedding: The map.
        X: (n, d) features that the map was made of, in their order.
        new: (m, d) features to place.

    Returns:
        (m, 2) coordinates.

    Raises:
        DataError: X has not as many rows as the map has points, or the new rows have another width.
    """
    if len(X) != len(embedding.points) or new.shape[1:] != X.shape[1:]:
        raise DataError(
            f"Expected the {len(embedding.points)} rows of the map and new rows of the same width, received "
            f"{len(X)} rows of {X.shape[1]} features and new ones of {new.shape[1]}."
        )
    if not len(new):
        return np.empty((0, 2))
    with _one_thread():
        old, added = (_reduced(np.asarray(rows, np.float64), embedding.reduction) for rows in (X, new))
        if embedding.parameters.method == "pca":
            return added
        place_rows = place_by_tsne if embedding.parameters.method == "tsne" else place_by_umap
        return place_rows(embedding.points, old, added, embedding.parameters)


def check_rows(X: NDArray[np.float32]) -> None:
    """Raise DataError if there can be no map: fewer than 4 rows, all rows the same, or values that are not finite."""
    if len(X) < 4:
        raise DataError(f"A map needs at least 4 images, and there are {len(X)}.")
    if not np.isfinite(X).all():
        raise DataError("A map needs finite features, and some are not; check how the head was trained.")
    if (X[0] == X).all():
        raise DataError(
            f"A map needs images that differ, and all {len(X)} have the same features; check that the files "
            "differ in their pixels and, for a layer of a head, how the head was trained."
        )


def _reduced(rows: NDArray[np.float64], reduction: Reduction | None) -> NDArray[np.float64]:
    if reduction is not None:
        return reduction.apply(rows)
    # A map starts from two columns.
    return np.hstack([rows, np.zeros_like(rows)]) if rows.shape[1] == 1 else rows


@contextmanager
def _one_thread() -> Iterator[None]:
    """Compute sums in a fixed order: a difference in the last digit grows to another map in 1000 steps of t-SNE."""
    # Only libraries that are loaded already are held to one thread.
    import sklearn.manifold  # noqa: F401
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):
        yield
