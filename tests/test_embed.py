from __future__ import annotations

import logging

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.datasets import make_blobs
from sklearn.manifold import trustworthiness
from sklearn.metrics import silhouette_score
from sklearn.neighbors import KNeighborsClassifier

from featx.embed import silhouette, tsne
from featx.errors import DataError, UsageError

Matrix = NDArray[np.float32]


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
    found = tsne(X)
    assert found.trustworthiness == trustworthiness(X, found.points, n_neighbors=15)
    assert found.trustworthiness is not None
    assert 0.8 < found.trustworthiness < 1


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
    assert record.getMessage() == f"The perplexity 30 is lowered to {lowered}, which is what {n} images allow."


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
    with pytest.raises(DataError, match="all 9 have the same features; check how the head was fitted"):
        tsne(np.zeros((9, width), np.float32))


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
