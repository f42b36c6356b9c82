from __future__ import annotations

import numpy as np
import pytest
from blobs import blobs
from sklearn.cluster import KMeans
from sklearn.metrics import (
    adjusted_rand_score,
    calinski_harabasz_score,
    davies_bouldin_score,
    normalized_mutual_info_score,
    pairwise_distances,
    silhouette_samples,
)
from sklearn.neighbors import NearestNeighbors

from featx.clustering.indices import (
    BLOCK_COLUMNS,
    DENSE_CLASSES,
    NONE,
    distances,
    nearest_rows,
    purity,
    silhouettes,
    spread,
)
from featx.clustering.partitions import adjusted_rand, contingency, hdbscan, k_means, normalised_information
from featx.clustering.permutation import blocks, compared
from featx.errors import DataError


@pytest.mark.parametrize("columns", [1, 6, BLOCK_COLUMNS + 5])
def test_distances_are_those_of_the_features_as_they_are(columns: int) -> None:
    X, _ = blobs((20, 20), columns)
    # Far from the origin, where squares would swallow the differences.
    X = X + np.float32(50)
    found = distances(X)
    np.testing.assert_allclose(found.plain, pairwise_distances(X.astype(np.float64)), rtol=1e-6, atol=1e-6)
    np.testing.assert_array_equal(found.plain, found.plain.T)
    assert (found.plain.diagonal() == 0).all()


def test_equal_rows_are_at_no_distance() -> None:
    X, _ = blobs((30, 30), 900)
    found = distances(np.vstack([X, X[::-1]])).plain
    assert (found[np.arange(60), 119 - np.arange(60)] == 0).all()
    assert (found == 0).sum() == 240


def test_features_without_distances_are_refused() -> None:
    with pytest.raises(DataError, match="need images that differ, and all 5 have the same features"):
        distances(np.ones((5, 3), np.float32))
    for value in (np.nan, np.inf):
        with pytest.raises(DataError, match="Expected finite features"):
            distances(np.array([[1.0], [value]], np.float32))


@pytest.mark.parametrize("sizes", [(20, 12), (15, 1, 9, 7), (2, 2, 2, 1, 1), (3,) * (DENSE_CLASSES + 1)])
def test_indices_are_those_of_scikit_learn(sizes: tuple[int, ...]) -> None:
    X, labels = blobs(sizes)
    between = distances(X)
    wide = X.astype(np.float64)
    values, _ = silhouettes(between, labels[None], len(sizes))
    np.testing.assert_allclose(values[0], silhouette_samples(wide, labels), atol=1e-9)
    spreads = spread(between, labels[None], len(sizes))
    assert spreads.davies_bouldin[0] == pytest.approx(davies_bouldin_score(wide, labels), rel=1e-8)
    assert spreads.calinski_harabasz[0] == pytest.approx(calinski_harabasz_score(wide, labels), rel=1e-8)


def test_many_labellings_at_once_are_each_their_own() -> None:
    X, labels = blobs((10, 12, 8))
    generator = np.random.default_rng(3)
    many = np.stack([generator.permutation(labels) for _ in range(5)])
    values, spreads = silhouettes(distances(X), many, 3)[0], spread(distances(X), many, 3)
    for number, own in enumerate(many):
        np.testing.assert_allclose(values[number], silhouette_samples(X.astype(np.float64), own), atol=1e-9)
        assert spreads.davies_bouldin[number] == pytest.approx(davies_bouldin_score(X, own), rel=1e-5)


def test_the_nearest_other_class_is_the_one_at_the_least_mean_distance() -> None:
    X, labels = blobs((10, 12, 8))
    _, nearest = silhouettes(distances(X), labels[None], 3)
    apart = pairwise_distances(X)
    for i, own in enumerate(labels):
        means = [np.inf if other == own else apart[i, labels == other].mean() for other in range(3)]
        assert nearest[0, i] == np.argmin(means)


def test_ratios_of_pairs_are_by_hand() -> None:
    # Radii 1 and 3 about centroids 10 apart; the third class is a point, 5 from the first and on the way.
    X = np.array([[-1.0], [1.0], [7.0], [13.0], [5.0], [5.0]], np.float32)
    labels = np.array([0, 0, 1, 1, 2, 2])
    found = spread(distances(X), labels[None], 3)
    expected = [[np.nan, 10 / 4, 5 / 1], [10 / 4, np.nan, 5 / 3], [5 / 1, 5 / 3, np.nan]]
    np.testing.assert_allclose(found.ratios[0], expected, rtol=1e-6)
    # The mean over classes of the largest inverse.
    assert found.davies_bouldin[0] == pytest.approx((0.4 + 0.6 + 0.6) / 3)


def test_classes_in_one_place_are_as_similar_as_possible() -> None:
    X = np.array([[-1.0], [1.0], [-1.0], [1.0]], np.float32)
    found = spread(distances(X), np.array([[0, 0, 1, 1]]), 2)
    assert np.isinf(found.davies_bouldin[0])
    assert found.ratios[0, 0, 1] == 0
    points = spread(distances(X), np.array([[0, 1, 0, 1]]), 2)
    assert points.davies_bouldin[0] == 0
    assert np.isinf(points.calinski_harabasz[0])


# Neighbours


def test_purity_is_that_of_the_neighbours_of_scikit_learn() -> None:
    X, labels = blobs((15, 20, 9))
    nearby = nearest_rows(distances(X), list(map(str, range(44))), 7)
    expected = NearestNeighbors(n_neighbors=7).fit(X).kneighbors(return_distance=False)
    np.testing.assert_array_equal(np.sort(nearby), np.sort(expected))
    other = np.roll(labels, 1)
    found = purity(nearby, np.stack([labels, other]))
    np.testing.assert_allclose(found[0], (labels[expected] == labels[:, None]).mean(axis=1))
    np.testing.assert_allclose(found[1], (other[expected] == other[:, None]).mean(axis=1))


def test_images_of_a_group_are_no_neighbours() -> None:
    """Pairs of the same patient lie close together; without the rule each would be its twin's neighbour."""
    places = np.array([0.0, 0.1, 1.0, 1.1, 2.5, 2.6])
    nearby = nearest_rows(distances(places[:, None].astype(np.float32)), ["a", "a", "b", "b", "c", "c"], 2)
    assert [set(row) for row in nearby] == [{2, 3}, {2, 3}, {0, 1}, {0, 1}, {2, 3}, {2, 3}]
    labels = np.array([[0, 0, 1, 1, 1, 1]])
    np.testing.assert_array_equal(purity(nearby, labels)[0], [0, 0, 0, 0, 1, 1])


def test_a_row_may_have_fewer_neighbours_than_wanted_or_none() -> None:
    X = np.arange(4, dtype=np.float32)[:, None]
    nearby = nearest_rows(distances(X), ["a", "a", "a", "b"], 3)
    assert [sorted(set(row) - {NONE}) for row in nearby] == [[3], [3], [3], [0, 1, 2]]
    found = purity(nearby, np.array([[0, 1, 1, 0]]))[0]
    np.testing.assert_allclose(found, [1, 0, 0, 1 / 3])
    alone = nearest_rows(distances(X), ["a"] * 4, 2)
    assert np.isnan(purity(alone, np.array([[0, 1, 1, 0]]))).all()


# Clusters without labels


@pytest.mark.parametrize("columns", [3, 2000])
def test_k_means_is_that_of_scikit_learn_also_of_wide_rows(columns: int) -> None:
    X, labels = blobs((20, 20, 20), columns, apart=4)
    found = k_means(X, distances(X), 3, seed=1)
    plain = KMeans(3, n_init=10, random_state=1).fit_predict(X.astype(np.float64))
    assert adjusted_rand_score(found, plain) == 1
    assert adjusted_rand_score(found, labels) == 1
    np.testing.assert_array_equal(found, k_means(X, distances(X), 3, seed=1))


def test_k_means_of_fewer_different_rows_than_clusters_warns_of_nothing() -> None:
    X = np.array([[0.0], [0.0], [1.0], [1.0]], np.float32)
    assert len(set(k_means(X, distances(X), 3, seed=0))) == 2


def test_hdbscan_finds_dense_clusters_and_noise() -> None:
    X, labels = blobs((40, 40), 2, apart=30)
    far = np.array([[500.0, 500.0], [-500.0, 500.0]], np.float32)
    found = hdbscan(distances(np.vstack([X, far])))
    assert found is not None
    assert set(found[-2:]) == {-1}
    inside = found[:-2] != -1
    assert inside.mean() > 0.8
    assert adjusted_rand_score(found[:-2][inside], labels[inside]) == 1
    assert hdbscan(distances(X[:9])) is None


def test_agreement_is_that_of_scikit_learn() -> None:
    generator = np.random.default_rng(0)
    clusters = generator.integers(-1, 4, 50)
    many = np.stack([generator.integers(0, 3, 50), clusters + 1, np.zeros(50, np.int64)])
    for labels in many:
        counts = contingency(clusters, labels)
        assert adjusted_rand(counts) == pytest.approx(adjusted_rand_score(labels, clusters), abs=1e-12)
        expected = normalized_mutual_info_score(labels, clusters)
        assert normalised_information(counts) == pytest.approx(expected, abs=1e-12)


# Permutations


def test_a_p_value_counts_the_permutations_that_are_as_good() -> None:
    permuted = np.array([0.1, 0.2, 0.3, 0.4])
    assert compared(0.3, permuted).p_value == 3 / 5
    assert compared(0.5, permuted).p_value == 1 / 5
    assert compared(0.3, permuted, lower_is_better=True).p_value == 4 / 5
    found = compared(0.3, np.arange(1001) / 1000)
    assert (found.mean, found.low, found.high) == pytest.approx((0.5, 0.025, 0.975))
    assert compared(0.1 + 0.2, np.array([0.3])).p_value == 1


def test_labels_are_permuted_by_group() -> None:
    labels = np.array([0, 0, 0, 1, 1, 2, 2, 2])
    groups = ["p", "p", "q", "r", "r", "s", "s", "t"]
    found = blocks(labels, groups)
    assert (found.grouped, found.mixed, len(found.labels)) == (True, False, 5)
    many = found.permuted(200, seed=0)
    for one, other in ((0, 1), (3, 4), (5, 6)):
        np.testing.assert_array_equal(many[:, one], many[:, other])
    of_blocks = many[:, [0, 2, 3, 5, 7]]
    assert (np.sort(of_blocks) == [0, 0, 1, 2, 2]).all()
    # 5! / (2! 1! 2!) of them, and 200 draws find all.
    assert found.labellings == pytest.approx(30)
    assert len(np.unique(many, axis=0)) == 30


def test_a_group_of_several_classes_is_a_block_for_each() -> None:
    found = blocks(np.array([0, 1, 0, 1]), ["p", "p", "p", "q"])
    assert (found.grouped, found.mixed, len(found.labels)) == (True, True, 3)
    assert (found.permuted(50, seed=0)[:, 0] == found.permuted(50, seed=0)[:, 2]).all()


def test_labels_are_permuted_by_image_without_groups() -> None:
    labels = np.array([0, 1, 1, 2])
    found = blocks(labels, list("abcd"))
    assert (found.grouped, found.mixed) == (False, False)
    assert (np.sort(found.permuted(9, seed=1)) == np.sort(labels)).all()
    alone = list(map(str, range(5000)))
    assert blocks(np.zeros(5000, np.int64), alone).labellings == pytest.approx(1)
    assert np.isfinite(blocks(np.arange(5000) % 2, alone).labellings)
