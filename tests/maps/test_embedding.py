from __future__ import annotations

from typing import Literal

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn import manifold
from sklearn.datasets import make_blobs
from sklearn.decomposition import PCA
from sklearn.metrics import silhouette_score
from sklearn.neighbors import KNeighborsClassifier

from featx.errors import DataError
from featx.maps.embedding import Embedding, embed, place
from featx.maps.parameters import Method, map_parameters

Matrix = NDArray[np.float32]
METHODS: tuple[Method, ...] = ("tsne", "umap", "pca")


def tsne(X: Matrix, *, perplexity: float = 30.0, seed: int = 0) -> Embedding:
    return embed(X, map_parameters("tsne", perplexity=perplexity, seed=seed))


def clusters(n: int = 120, width: int = 20, spread: float = 1.0) -> tuple[Matrix, NDArray[np.int64]]:
    """Four clusters."""
    X, y = make_blobs(n, width, centers=4, cluster_std=spread, random_state=0)[:2]
    return X.astype(np.float32), y


def purity(points: NDArray[np.float64], y: NDArray[np.int64]) -> float:
    """Share of rows of the class that most of their ten nearest neighbours on the map have."""
    return float(KNeighborsClassifier(10).fit(points, y).score(points, y))


# --- methods ---


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("width", [20, 300])
def test_each_method_keeps_clusters_apart(method: Method, width: int) -> None:
    X, y = clusters(width=width)
    before = X.copy()
    embedding = embed(X, map_parameters(method))
    assert embedding.points.shape == (120, 2)
    assert embedding.points.dtype == np.float64
    assert purity(embedding.points, y) == 1.0
    assert silhouette_score(embedding.points, y) > 0.5
    np.testing.assert_array_equal(embedding.points, embed(X, map_parameters(method)).points)
    np.testing.assert_array_equal(X, before)


def test_a_map_of_noise_shows_no_clusters() -> None:
    """The measure above can fail: labels that are unrelated to the rows are mixed on the map."""
    X, y = clusters()
    assert purity(tsne(X).points, np.random.default_rng(0).permutation(y)) < 0.6


def test_seed_and_perplexity_change_the_map() -> None:
    X, _ = clusters(60, 70)
    one = tsne(X, perplexity=5, seed=4).points
    assert not np.allclose(one, tsne(X, perplexity=5, seed=5).points)
    assert not np.allclose(one, tsne(X, perplexity=15, seed=4).points)


def test_parameters_of_umap_change_the_map() -> None:
    X, _ = clusters(40)
    one, other = (embed(X, map_parameters("umap", neighbours=k, min_dist=d)) for k, d in ((5, 0.1), (10, 0.5)))
    assert not np.allclose(one.points, other.points)
    assert one.method == "UMAP, 5 neighbours, minimal distance 0.1, seed 0"


def test_pca_is_that_of_scikit_learn_with_fixed_signs() -> None:
    X, _ = clusters(width=8)
    embedding = embed(X, map_parameters("pca"))
    expected = PCA(2).fit(X.astype(np.float64))
    np.testing.assert_allclose(np.abs(embedding.points), np.abs(expected.transform(X.astype(np.float64))), atol=1e-3)
    assert embedding.reduction is not None
    np.testing.assert_allclose(embedding.reduction.shares, expected.explained_variance_ratio_, rtol=1e-6)
    for component in embedding.reduction.components:
        assert component[np.abs(component).argmax()] > 0
    first, second = (100 * share for share in expected.explained_variance_ratio_)
    assert embedding.axes == (f"component 1 ({first:.1f} %)", f"component 2 ({second:.1f} %)")
    assert embedding.method == f"PCA, {first + second:.0f} % of the variance"


def test_the_setting_of_2020_is_scikit_learns_tsne_with_its_old_defaults() -> None:
    from threadpoolctl import threadpool_limits

    X, _ = clusters(60, 70)
    with threadpool_limits(1):
        model = manifold.TSNE(init="random", learning_rate=200.0, perplexity=30, max_iter=1000, random_state=2)
        expected = model.fit_transform(X)
    embedding = embed(X, map_parameters("tsne", setting="2020", seed=2))
    np.testing.assert_array_equal(embedding.points, expected)
    assert embedding.reduction is None
    assert embedding.method == "t-SNE as in scikit-learn 0.22 (random start, rate 200), perplexity 30, seed 2"


@pytest.mark.slow
def test_the_description_names_the_reduction(caplog: pytest.LogCaptureFixture) -> None:
    wide, _ = clusters(width=51)
    narrow, _ = clusters(width=50)
    assert tsne(wide, perplexity=12.5, seed=3).method == "t-SNE after PCA to 50, perplexity 12.5, seed 3"
    assert tsne(narrow).method == "t-SNE, perplexity 30, seed 0"
    assert not caplog.records
    few, y = clusters(24, 500)
    embedding = tsne(few)
    assert "PCA to 24" in embedding.method
    assert KNeighborsClassifier(3).fit(embedding.points, y).score(embedding.points, y) == 1.0


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("n", [4, 5, 11])
def test_few_rows_have_a_map(method: Method, n: int) -> None:
    X, _ = clusters(n)
    assert np.isfinite(embed(X, map_parameters(method)).points).all()


def test_one_column_and_repeated_rows_have_a_map() -> None:
    column = np.arange(20, dtype=np.float32)[:, None]
    assert np.isfinite(tsne(column, perplexity=5).points).all()
    repeated = np.repeat(clusters(8)[0], 4, axis=0)
    assert np.isfinite(tsne(repeated, perplexity=5).points).all()


# --- placing ---


@pytest.mark.slow
@pytest.mark.parametrize(
    ("method", "setting", "within"),
    [("tsne", None, 0.1), ("tsne", "2020", 0.1), ("umap", None, 0.25), ("pca", None, 0)],
)
def test_rows_of_the_map_are_placed_by_their_own_points(
    method: Method, setting: Literal["2020"] | None, within: float
) -> None:
    X, _ = clusters(100, 70, spread=6.0)
    embedding = embed(X, map_parameters(method, setting=setting))
    before = embedding.points.copy()
    placed = place(embedding, X, X[::5])
    distances = np.linalg.norm(placed - embedding.points[::5], axis=1)
    assert np.median(distances) <= within * np.linalg.norm(embedding.points.std(axis=0))
    np.testing.assert_array_equal(embedding.points, before)
    # The place of a row is the same with all others, with one other, or twice.
    np.testing.assert_allclose(place(embedding, X, X)[::5], placed, atol=1e-6)
    twice = place(embedding, X, np.vstack([X[3:4], X[3:4]]))
    np.testing.assert_array_equal(twice[0], twice[1])


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
def test_new_rows_are_placed_by_their_class(method: Method) -> None:
    X, y = clusters(160, 70, spread=4.0)
    old, new = np.arange(120), np.arange(120, 160)
    embedding = embed(X[old], map_parameters(method))
    placed = place(embedding, X[old], X[new])
    assert KNeighborsClassifier(5).fit(embedding.points, y[old]).score(placed, y[new]) > 0.95
    alone = np.vstack([place(embedding, X[old], X[k : k + 1]) for k in new[:3]])
    np.testing.assert_allclose(alone, placed[:3], atol=1e-6)


def test_no_rows_have_no_places_and_rows_of_another_width_are_refused() -> None:
    X, _ = clusters(30)
    embedding = embed(X, map_parameters("pca"))
    assert place(embedding, X, X[:0]).shape == (0, 2)
    with pytest.raises(DataError, match="Expected the 30 rows of the map"):
        place(embedding, X[:9], X)
    with pytest.raises(DataError, match="new ones of 7"):
        place(embedding, X, X[:, :7])


# --- rows without a map ---


@pytest.mark.parametrize("n", [0, 1, 3])
def test_too_few_rows_are_refused(n: int) -> None:
    with pytest.raises(DataError, match=rf"A map needs at least 4 images, and there are {n}\."):
        tsne(np.zeros((n, 5), np.float32))


@pytest.mark.parametrize("width", [1, 5, 100])
def test_rows_that_are_all_the_same_are_refused(width: int) -> None:
    """Such as the zeros of a hidden layer whose units are all dead."""
    with pytest.raises(DataError, match="all 9 have the same features; check that the files differ"):
        tsne(np.zeros((9, width), np.float32))


def test_features_that_are_not_finite_are_refused() -> None:
    X, _ = clusters(9)
    X[3, 2] = np.inf
    with pytest.raises(DataError, match="needs finite features"):
        tsne(X)
