from __future__ import annotations

import numpy as np
import pytest
from sklearn import manifold

from featx.maps.quality import sample, silhouette, stability, trustworthiness

RANDOM = np.random.default_rng(0)


def test_trustworthiness_is_that_of_scikit_learn() -> None:
    X = RANDOM.normal(size=(60, 20))
    points = X[:, :2] + 0.1 * RANDOM.normal(size=(60, 2))
    value = trustworthiness(X, points)
    assert value == manifold.trustworthiness(X, points, n_neighbors=15)
    assert value is not None
    assert 0.5 < value < 1


def test_stability_is_the_share_of_common_neighbours() -> None:
    """On a line of ten with four neighbours each; on the other map the last two points have changed places."""
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


def test_stability_of_unrelated_maps_is_that_of_chance() -> None:
    one, other = np.random.default_rng(0).normal(size=(2, 400, 2))
    assert stability(one, other) == pytest.approx(15 / 399, abs=0.01)


def test_a_sample_has_different_images_in_order() -> None:
    np.testing.assert_array_equal(sample(7, 0), np.arange(7))
    drawn = sample(20_000, 1)
    assert len(set(drawn)) == 5000
    assert (np.diff(drawn) > 0).all()
    assert not np.array_equal(drawn, sample(20_000, 2))


@pytest.mark.parametrize("labels", [(), ("a",), ("a", "a", "a"), ("a", "b", "c"), ("a", "b")])
def test_silhouette_where_it_is_not_defined(labels: tuple[str, ...]) -> None:
    assert silhouette(np.arange(len(labels), dtype=np.float64)[:, None], labels) is None
