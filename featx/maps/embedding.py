"""Rows to a map: principal components, t-SNE or UMAP, and new rows placed on it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from featx.errors import DataError
from featx.maps.methods import place_by_tsne, place_by_umap, tsne, tsne_2020, umap
from featx.maps.parameters import Parameters

# Beyond this many columns, distances are taken after PCA, as van der Maaten and Hinton (2008) did.
PCA_COLUMNS = 50


@dataclass(frozen=True)
class Reduction:
    """A projection onto principal components (Pearson 1901; Hotelling 1933).

    Attributes:
        mean: (d,) of the rows it was made from.
        components: (columns, d) unit vectors. In each, the entry of largest size is positive, which fixes the signs.
        shares: Each component's share of the variance, 0 to 1.
    """

    mean: NDArray[np.float64]
    components: NDArray[np.float32]
    shares: tuple[float, ...]

    @classmethod
    def fit(cls, rows: NDArray[np.float64], columns: int, seed: int) -> Reduction:
        """Return the components of (n, d) rows, of which there are at most n and at most d.

        One column, which has one component, is given a second that is zero everywhere.
        """
        from sklearn.decomposition import PCA

        found = PCA(min(columns, *rows.shape), random_state=seed).fit(rows)
        components = np.asarray(found.components_)
        largest = np.abs(components).argmax(axis=1)
        components = components * np.where(components[np.arange(len(largest)), largest] < 0, -1.0, 1.0)[:, None]
        shares = [float(share) for share in found.explained_variance_ratio_]
        lacking = max(2 - len(components), 0)
        components = np.vstack([components, np.zeros((lacking, rows.shape[1]))])
        # Kept in single precision, and used so from the start: what is read back gives the same points.
        return cls(found.mean_.astype(np.float64), components.astype(np.float32), (*shares, *[0.0] * lacking))

    @property
    def columns(self) -> int:
        """How many components there are."""
        return len(self.components)

    def apply(self, rows: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return (n, columns) coordinates of (n, d) rows."""
        return np.asarray((rows - self.mean) @ self.components.T.astype(np.float64))


@dataclass(frozen=True)
class Embedding:
    """A map of n rows, and all that places further rows on it.

    Attributes:
        points: (n, 2) coordinates, without a unit.
        parameters: What made it.
        reduction: The principal components that the features went through first, or, for the method `pca`, those
            that are the map; None where there were none.
    """

    points: NDArray[np.float64]
    parameters: Parameters
    reduction: Reduction | None

    @property
    def method(self) -> str:
        """What made the map, in words."""
        parameters, reduction = self.parameters, self.reduction
        if parameters.method == "pca":
            return "PCA" if reduction is None else f"PCA, {100 * sum(reduction.shares):.0f} % of the variance"
        reduced = "" if reduction is None else f" after PCA to {reduction.columns}"
        return parameters.words(reduced)

    @property
    def axes(self) -> tuple[str, str]:
        """What the axes are: the components with their share of the variance; empty for other methods."""
        if self.parameters.method != "pca" or self.reduction is None:
            return "", ""
        first, second = (f"component {k} ({100 * share:.1f} %)" for k, share in enumerate(self.reduction.shares, 1))
        return first, second


def embed(X: NDArray[np.float32], parameters: Parameters) -> Embedding:
    """Map rows to a plane; the same rows and parameters give the same points.

    Args:
        X: (n, d) features. For t-SNE and UMAP, more than 50 columns go through PCA to 50 first, as van der Maaten
            and Hinton (2008) did; not with the setting 2020, which had no such step.
        parameters: What `map_parameters` returns; they are fitted to n.

    Raises:
        DataError: There are fewer than 4 rows, all rows are the same, or some are not finite.
    """
    check(X)
    parameters = parameters.fitted(len(X))
    with _one_thread():
        wide = np.asarray(X, np.float64)
        if parameters.method == "pca":
            reduction = Reduction.fit(wide, 2, parameters.seed)
            return Embedding(reduction.apply(wide), parameters, reduction)
        reduce = X.shape[1] > PCA_COLUMNS and parameters.setting is None
        to_50 = Reduction.fit(wide, PCA_COLUMNS, parameters.seed) if reduce else None
        return Embedding(_points(_reduced(wide, to_50), parameters), parameters, to_50)


def place(embedding: Embedding, X: NDArray[np.float32], new: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return where new rows belong on a map, whose own points stay where they are.

    A place depends on the map and on the row alone, not on the other new rows.

    Args:
        embedding: The map.
        X: (n, d) features that the map was made of, in their order.
        new: (m, d) features to place.

    Returns:
        (m, 2) coordinates.

    Raises:
        DataError: The rows are not those of the map, or the new ones have another width.
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
        by = place_by_tsne if embedding.parameters.method == "tsne" else place_by_umap
        return by(embedding.points, old, added, embedding.parameters)


def _points(rows: NDArray[np.float64], parameters: Parameters) -> NDArray[np.float64]:
    if parameters.method == "umap":
        return umap(rows, parameters)
    return tsne(rows, parameters) if parameters.setting is None else tsne_2020(rows, parameters)


def _reduced(rows: NDArray[np.float64], reduction: Reduction | None) -> NDArray[np.float64]:
    if reduction is not None:
        return reduction.apply(rows)
    # The start of a map takes two components.
    return np.hstack([rows, np.zeros_like(rows)]) if rows.shape[1] == 1 else rows


def check(X: NDArray[np.float32]) -> None:
    """Check that there can be a map of rows.

    Raises:
        DataError: There are fewer than 4 rows, all rows are the same, or some are not finite.
    """
    if len(X) < 4:
        raise DataError(f"A map needs at least 4 images, and there are {len(X)}.")
    if not np.isfinite(X).all():
        raise DataError("A map needs finite features, and some are not; check how the head was fitted.")
    if (X[0] == X).all():
        raise DataError(
            f"A map needs images that differ, and all {len(X)} have the same features; check how the head was fitted."
        )


@contextmanager
def _one_thread() -> Iterator[None]:
    """Keep sums in one order: their last digits grow to another map in a thousand steps of t-SNE."""
    # Only libraries that are loaded already are held to one thread.
    import sklearn.manifold  # noqa: F401
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):
        yield
