from __future__ import annotations

import logging
from typing import Any, Literal

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn import manifold
from sklearn.datasets import make_blobs
from sklearn.decomposition import PCA
from sklearn.metrics import silhouette_score
from sklearn.neighbors import KNeighborsClassifier

from featx.errors import DataError, UsageError
from featx.maps.embedding import Embedding, embed, place
from featx.maps.parameters import Method, map_parameters
from featx.maps.quality import sample, silhouette, stability, trustworthiness

Matrix = NDArray[np.float32]
METHODS: tuple[Method, ...] = ("tsne", "umap", "pca")


def tsne(X: Matrix, *, perplexity: float = 30.0, seed: int = 0) -> Embedding:
    return embed(X, map_parameters("tsne", perplexity=perplexity, seed=seed))


def clusters(n: int = 120, width: int = 20, spread: float = 1.0) -> tuple[Matrix, NDArray[np.int64]]:
    """Four clusters."""
    X, y = make_blobs(n, width, centers=4, cluster_std=spread, random_state=0)[:2]
    return X.astype(np.float32), y


def purity(points: NDArray[np.float64], y: NDArray[np.int64]) -> float:
    """Share of rows that most of their ten nearest neighbours on the map agree with."""
    return float(KNeighborsClassifier(10).fit(points, y).score(points, y))


@pytest.mark.parametrize("width", [20, 300])
def test_clusters_stay_apart_on_the_map(width: int) -> None:
    X, y = clusters(width=width)
    found = tsne(X)
    assert found.points.shape == (120, 2)
    assert found.points.dtype == np.float64
    assert purity(found.points, y) == 1.0
    assert silhouette_score(found.points, y) > 0.6


def test_a_map_of_noise_shows_no_clusters() -> None:
    """The measures above can fail: labels that have nothing to do with the rows are mixed on the map."""
    X, y = clusters()
    shuffled = np.random.default_rng(0).permutation(y)
    assert purity(tsne(X).points, shuffled) < 0.6


def test_the_same_seed_gives_the_same_points() -> None:
    X, _ = clusters(60, 70)
    first, again, other = tsne(X, seed=4), tsne(X, seed=4), tsne(X, seed=5)
    np.testing.assert_array_equal(first.points, again.points)
    assert not np.array_equal(first.points, other.points)


def test_the_rows_are_left_as_they_are() -> None:
    X, _ = clusters(40)
    before = X.copy()
    tsne(X)
    np.testing.assert_array_equal(X, before)


def test_trustworthiness_is_sklearns() -> None:
    X, _ = clusters(spread=4.0)
    points = tsne(X).points
    found = trustworthiness(X, points)
    assert found == manifold.trustworthiness(X, points, n_neighbors=15)
    assert found is not None
    assert 0.8 < found < 1


def test_stability_is_the_share_of_neighbours_kept() -> None:
    """On a line of ten, four neighbours each; in the other map the last two points have changed places."""
    line = np.column_stack([np.arange(10.0) ** 1.1, np.zeros(10)])
    other = line[[*range(8), 9, 8]]
    near = [
        [set(np.argsort(np.abs(points[:, 0] - points[i, 0]))[1:5]) for i in range(10)] for points in (line, other)
    ]
    by_hand = np.mean([len(one & two) / 4 for one, two in zip(*near, strict=True)])
    assert stability(line, other) == pytest.approx(by_hand)
    assert 0.7 < by_hand < 1
    assert stability(line, 3 * line[:, ::-1] + 7) == 1.0
    assert stability(line[:2], line[:2]) is None


def test_stability_of_maps_that_have_nothing_in_common_is_that_of_chance() -> None:
    one, other = np.random.default_rng(0).normal(size=(2, 400, 2))
    assert stability(one, other) == pytest.approx(15 / 399, abs=0.01)


def test_a_sample_is_of_different_images_in_order() -> None:
    np.testing.assert_array_equal(sample(7, 0), np.arange(7))
    drawn = sample(20_000, 1)
    assert len(set(drawn)) == 5000
    assert (np.diff(drawn) > 0).all()
    assert not np.array_equal(drawn, sample(20_000, 2))


# --- methods ---


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("width", [20, 300])
def test_each_method_keeps_clusters_apart(method: Method, width: int) -> None:
    X, y = clusters(width=width)
    found = embed(X, map_parameters(method))
    assert found.points.shape == (120, 2)
    assert purity(found.points, y) == 1.0
    again = embed(X, map_parameters(method))
    np.testing.assert_array_equal(found.points, again.points)


def test_pca_is_sklearns_up_to_signs_that_are_fixed() -> None:
    X, _ = clusters(width=8)
    found = embed(X, map_parameters("pca"))
    expected = PCA(2).fit(X.astype(np.float64))
    np.testing.assert_allclose(np.abs(found.points), np.abs(expected.transform(X.astype(np.float64))), atol=1e-3)
    assert found.reduction is not None
    np.testing.assert_allclose(found.reduction.shares, expected.explained_variance_ratio_, rtol=1e-6)
    for component in found.reduction.components:
        assert component[np.abs(component).argmax()] > 0
    first, second = (100 * share for share in expected.explained_variance_ratio_)
    assert found.axes == (f"component 1 ({first:.1f} %)", f"component 2 ({second:.1f} %)")
    assert found.method == f"PCA, {first + second:.0f} % of the variance"


def test_the_setting_of_2020_is_sklearns_tsne_with_the_values_of_then() -> None:
    from threadpoolctl import threadpool_limits

    X, _ = clusters(60, 70)
    with threadpool_limits(1):
        model = manifold.TSNE(init="random", learning_rate=200.0, perplexity=30, max_iter=1000, random_state=2)
        expected = model.fit_transform(X)
    found = embed(X, map_parameters("tsne", setting="2020", seed=2))
    np.testing.assert_array_equal(found.points, expected)
    assert found.reduction is None
    assert found.method == "t-SNE as in scikit-learn 0.22 (random start, rate 200), perplexity 30, seed 2"


def test_parameters_of_umap_matter_and_are_said(caplog: pytest.LogCaptureFixture) -> None:
    X, _ = clusters(40)
    one, other = (embed(X, map_parameters("umap", neighbors=k, min_dist=d)) for k, d in ((5, 0.1), (10, 0.5)))
    assert not np.allclose(one.points, other.points)
    assert one.method == "UMAP, 5 neighbours, minimal distance 0.1, seed 0"
    assert not caplog.records
    few = embed(X[:12], map_parameters("umap"))
    assert "11 neighbours" in few.method
    assert caplog.messages == ["The 15 neighbours are lowered to 11, the most that 12 images allow."]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("n", [4, 5, 11])
def test_few_rows_have_a_map(method: Method, n: int) -> None:
    X, _ = clusters(n)
    assert np.isfinite(embed(X, map_parameters(method)).points).all()


# --- placing ---


def spread(points: NDArray[np.float64]) -> float:
    return float(np.linalg.norm(points.std(axis=0)))


@pytest.mark.parametrize(
    ("method", "setting", "within"),
    [("tsne", None, 0.1), ("tsne", "2020", 0.1), ("umap", None, 0.25), ("pca", None, 0)],
)
def test_rows_of_the_map_placed_again_land_by_their_own_points(
    method: Method, setting: Literal["2020"] | None, within: float
) -> None:
    X, _ = clusters(100, 70, spread=6.0)
    found = embed(X, map_parameters(method, setting=setting))
    before = found.points.copy()
    placed = place(found, X, X[::5])
    away = np.linalg.norm(placed - found.points[::5], axis=1)
    assert np.median(away) <= within * spread(found.points)
    np.testing.assert_array_equal(found.points, before)
    # A place is the row's alone: together with all others, with one other or twice, it is the same.
    np.testing.assert_allclose(place(found, X, X)[::5], placed, atol=1e-6)
    twice = place(found, X, np.vstack([X[3:4], X[3:4]]))
    np.testing.assert_array_equal(twice[0], twice[1])


@pytest.mark.parametrize("method", METHODS)
def test_new_rows_land_by_their_class(method: Method) -> None:
    X, y = clusters(160, 70, spread=4.0)
    old, new = np.arange(120), np.arange(120, 160)
    found = embed(X[old], map_parameters(method))
    placed = place(found, X[old], X[new])
    assert KNeighborsClassifier(5).fit(found.points, y[old]).score(placed, y[new]) > 0.95
    alone = np.vstack([place(found, X[old], X[k : k + 1]) for k in new[:3]])
    np.testing.assert_allclose(alone, placed[:3], atol=1e-6)


def test_no_rows_are_placed_nowhere_and_rows_of_another_width_are_refused() -> None:
    X, _ = clusters(30)
    found = embed(X, map_parameters("pca"))
    assert place(found, X, X[:0]).shape == (0, 2)
    with pytest.raises(DataError, match="Expected the 30 rows of the map"):
        place(found, X[:9], X)
    with pytest.raises(DataError, match="new ones of 7"):
        place(found, X, X[:, :7])


# --- what is said ---


def test_what_made_the_map_is_said(caplog: pytest.LogCaptureFixture) -> None:
    wide, _ = clusters(width=51)
    narrow, _ = clusters(width=50)
    assert tsne(wide, perplexity=12.5, seed=3).method == "t-SNE after PCA to 50, perplexity 12.5, seed 3"
    assert tsne(narrow).method == "t-SNE, perplexity 30, seed 0"
    assert not caplog.records


def test_perplexity_matters() -> None:
    X, _ = clusters(60)
    assert not np.allclose(tsne(X, perplexity=5).points, tsne(X, perplexity=15).points)


@pytest.mark.parametrize(("n", "lowered"), [(4, "1"), (31, "10"), (90, "29.7")])
def test_a_perplexity_too_large_is_lowered_with_a_notice(
    n: int, lowered: str, caplog: pytest.LogCaptureFixture
) -> None:
    found = tsne(clusters(n)[0], perplexity=30)
    assert found.points.shape == (n, 2)
    assert np.isfinite(found.points).all()
    assert found.method == f"t-SNE, perplexity {lowered}, seed 0"
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert record.getMessage() == f"The perplexity 30 is lowered to {lowered}, the highest that {n} images allow."


def test_a_perplexity_that_fits_is_kept(caplog: pytest.LogCaptureFixture) -> None:
    assert "perplexity 30," in tsne(clusters(91)[0]).method
    assert not caplog.records


def test_fewer_rows_than_columns() -> None:
    X, y = clusters(24, 500)
    found = tsne(X)
    assert "PCA to 24" in found.method
    assert KNeighborsClassifier(3).fit(found.points, y).score(found.points, y) == 1.0


def test_one_column_and_rows_that_repeat() -> None:
    column = np.arange(20, dtype=np.float32)[:, None]
    assert np.isfinite(tsne(column, perplexity=5).points).all()
    repeated = np.repeat(clusters(8)[0], 4, axis=0)
    assert np.isfinite(tsne(repeated, perplexity=5).points).all()


@pytest.mark.parametrize("n", [0, 1, 3])
def test_too_few_rows(n: int) -> None:
    with pytest.raises(DataError, match=rf"A map needs at least 4 images, and there are {n}\."):
        tsne(np.zeros((n, 5), np.float32))


@pytest.mark.parametrize("width", [1, 5, 100])
def test_rows_that_are_all_the_same(width: int) -> None:
    """Such as the zeros of a hidden layer whose units have all died."""
    with pytest.raises(DataError, match="all 9 have the same features; check how the head was trained"):
        tsne(np.zeros((9, width), np.float32))


def test_features_that_are_not_finite() -> None:
    X, _ = clusters(9)
    X[3, 2] = np.inf
    with pytest.raises(DataError, match="needs finite features"):
        tsne(X)


@pytest.mark.parametrize(
    ("method", "options", "said"),
    [
        ("isomap", {}, "Expected the method tsne, umap or pca, received 'isomap'"),
        ("tsne", {"setting": "2019"}, "Expected the setting 2020"),
        ("umap", {"setting": "2020"}, "is one of t-SNE"),
        ("tsne", {"setting": "2020", "perplexity": 5}, "leave --perplexity out"),
        ("pca", {"perplexity": 5}, "--perplexity with --method tsne"),
        ("tsne", {"neighbors": 5}, "--neighbors with --method umap"),
        ("tsne", {"min_dist": 0.5}, "--min-dist with --method umap"),
        ("umap", {"neighbors": 1}, "at least 2 neighbours"),
        ("umap", {"min_dist": 1.5}, "from 0 to 1, received 1.5"),
        ("umap", {"min_dist": float("nan")}, "from 0 to 1, received nan"),
        ("tsne", {"seed": -1}, "Expected a seed from 0"),
    ],
)
def test_parameters_that_cannot_be(method: Any, options: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        map_parameters(method, **options)


@pytest.mark.parametrize("perplexity", [0.0, -1.0, float("nan")])
def test_a_perplexity_that_is_none(perplexity: float) -> None:
    with pytest.raises(UsageError, match="Expected a perplexity above 0, received"):
        tsne(clusters(20)[0], perplexity=perplexity)


@pytest.mark.parametrize("spread", [0.5, 8.0])
def test_silhouette_is_sklearns(spread: float) -> None:
    X, y = clusters(spread=spread)
    labels = tuple(f"class {number}" for number in y)
    assert silhouette(X, labels) == pytest.approx(silhouette_score(X, y))


def test_silhouette_of_two_pairs_by_hand() -> None:
    """Each row is 1 from its own and 10 to 11 or 9 to 10 from the others."""
    X = np.array([[0.0], [1.0], [10.0], [11.0]])
    expected = np.mean([1 - 1 / 10.5, 1 - 1 / 9.5, 1 - 1 / 9.5, 1 - 1 / 10.5])
    assert silhouette(X, ("a", "a", "b", "b")) == pytest.approx(expected)


@pytest.mark.parametrize("labels", [(), ("a",), ("a", "a", "a"), ("a", "b", "c"), ("a", "b")])
def test_silhouette_where_it_is_not_defined(labels: tuple[str, ...]) -> None:
    assert silhouette(np.arange(len(labels), dtype=np.float64)[:, None], labels) is None
