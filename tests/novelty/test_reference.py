from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.covariance import LedoitWolf

from featx.errors import DataError, UsageError
from featx.novelty import Reference, is_outside, make_reference, outside_p_value

Rows = NDArray[np.float32]


def rows_of(n: int, d: int = 16, seed: int = 0) -> Rows:
    """Rows as the features of networks are: half of them zero, with some directions stronger than others."""
    drawn = np.random.default_rng(seed).normal(size=(n, d)) * np.linspace(1, 3, d)
    return np.maximum(drawn, 0).astype(np.float32)


def patients(n: int, each: int, seed: int, d: int = 24) -> tuple[Rows, NDArray[np.int64]]:
    """Images of n patients, which differ little within one."""
    generator = np.random.default_rng(seed)
    centres = np.repeat(rows_of(n, d, seed), each, axis=0)
    noise = 0.05 * generator.normal(size=centres.shape)
    return (centres + noise).astype(np.float32), np.repeat(np.arange(n), each)


def unit(X: Rows) -> NDArray[np.float64]:
    return np.asarray(X / np.linalg.norm(X.astype(np.float64), axis=1, keepdims=True))


@pytest.mark.parametrize(("n", "d"), [(40, 100), (300, 12)])
def test_the_mahalanobis_distance_is_that_of_ledoit_and_wolf(n: int, d: int) -> None:
    X, new = rows_of(n, d), rows_of(7, d, seed=1)
    expected = np.sqrt(LedoitWolf().fit(unit(X)).mahalanobis(unit(new)))
    np.testing.assert_allclose(make_reference(X).distances_of(new)[:, 1], expected, rtol=1e-6)


def test_held_out_distances_leave_out_the_whole_group() -> None:
    X, groups = patients(12, 3, seed=0)
    reference = make_reference(X, groups)
    similar = unit(X) @ unit(X).T
    for row in range(len(X)):
        others = np.sort(similar[row, groups != groups[row]])[::-1][:5]
        assert reference.distances[row, 0] == pytest.approx(1 - others.mean(), abs=1e-9)
    # Without groups, images of one patient are each other's neighbours.
    assert make_reference(X).distances[:, 0].mean() < 0.7 * reference.distances[:, 0].mean()


def test_typicality_is_the_share_of_held_out_images_that_are_as_far() -> None:
    X, new = rows_of(60), rows_of(30, seed=5)
    reference = make_reference(X)
    both = [reference.distances, reference.distances_of(new)]
    middle, far = np.median(both[0], axis=0), np.quantile(both[0], 0.99, axis=0)
    held_out, own = ((((one - middle) / (far - middle)).max(axis=1)) for one in both)
    expected = [100 * np.mean(held_out >= value - 1e-9) for value in own]
    np.testing.assert_allclose(reference.typicality(new), expected)
    each = [100 * np.mean(np.delete(held_out, i) >= value - 1e-9) for i, value in enumerate(held_out)]
    np.testing.assert_allclose(reference.held_out_typicality, each)


def test_images_like_the_training_images_are_outside_as_often_as_is_said() -> None:
    shares, expected = [], []
    for seed in range(20):
        X = rows_of(1100, seed=seed)
        reference = make_reference(X[:100])
        shares.append(np.mean([is_outside(value) for value in reference.typicality(X[100:])]))
        expected.append(reference.false_alarms)
    assert expected == [pytest.approx(1 / 101)] * 20
    assert np.mean(shares) == pytest.approx(1 / 101, abs=0.005)


def test_other_patients_are_not_outside_where_groups_are_known() -> None:
    X, groups = patients(200, 4, seed=3)
    train = groups < 100
    known, unknown = make_reference(X[train], groups[train]), make_reference(X[train])
    outside = [np.mean(reference.typicality(X[~train]) < 1) for reference in (known, unknown)]
    assert outside[0] < 0.03
    assert outside[1] > 0.1


def test_strangers_are_outside() -> None:
    reference = make_reference(rows_of(200))
    strangers = np.vstack([-rows_of(3), np.eye(16, dtype=np.float32)[:3], np.zeros((1, 16), np.float32)])
    assert (reference.typicality(strangers) < 1).all()
    assert (reference.relative_distance(reference.distances_of(strangers)) > 3).all()
    assert reference.relative_distance(reference.distances).max() < 3


def test_own_group_is_no_neighbour_of_a_new_image() -> None:
    X, groups = patients(20, 3, seed=1)
    reference = make_reference(X, groups)
    with_own = reference.distances_of(X[:3])[:, 0]
    without = reference.distances_of(X[:3], groups[:3])[:, 0]
    np.testing.assert_allclose(without, reference.distances[:3, 0], atol=1e-9)
    assert (with_own < without).all()


def test_the_same_rows_and_rows_of_zeros_have_finite_distances() -> None:
    for X in (np.ones((30, 4), np.float32), np.zeros((30, 4), np.float32)):
        reference = make_reference(X)
        assert np.isfinite(reference.distances).all()
        assert (reference.typicality(X) == 100).all()
        assert (reference.typicality(np.eye(4, dtype=np.float32)) == 0).all()


def test_of_many_images_evenly_spaced_ones_are_held_out() -> None:
    X = rows_of(2500, 8)
    reference = make_reference(X)
    assert len(reference.basis) == 1000
    assert reference.basis[[0, -1]].tolist() == [0, 2499]
    assert np.mean(reference.typicality(rows_of(2000, 8, seed=1)) < 1) == pytest.approx(0.01, abs=0.01)


@pytest.mark.parametrize(("n", "groups"), [(19, 19), (40, 4)])
def test_few_images_or_groups_are_refused(n: int, groups: int) -> None:
    with pytest.raises(
        DataError, match=f"^Expected at least 20 training images of 5 groups .* {n} of {groups} groups?;"
    ):
        make_reference(rows_of(n), np.arange(n) % groups)


def test_other_widths_are_refused() -> None:
    with pytest.raises(UsageError, match="Expected rows of 16 features"):
        make_reference(rows_of(30)).typicality(rows_of(3, 15))


def simulated(reference: Reference, n: int, seed: int) -> float:
    """The p-value of n images that can be exchanged with the held-out ones."""
    values = np.random.default_rng(seed).normal(size=len(reference.basis) + n)
    held_out, new = values[: len(reference.basis)], values[len(reference.basis) :]
    outside = sum(100 * np.mean(held_out >= value) < 1 for value in new)
    return outside_p_value(outside, n, reference)


def test_chance_alone_rarely_gives_a_small_p_value() -> None:
    reference = make_reference(rows_of(60))
    p_values = np.array([simulated(reference, 40, seed) for seed in range(2000)])
    for level in (0.01, 0.05, 0.2):
        assert np.mean(p_values <= level) < level + 0.01
    # The number is discrete, so the test is careful, but not blind.
    assert np.mean(p_values <= 0.2) > 0.04


def test_images_of_one_group_count_once() -> None:
    reference = make_reference(rows_of(200))
    assert outside_p_value(0, 0, reference) == 1
    assert outside_p_value(4, 40, reference) < 0.01
    assert outside_p_value(4, 40, reference, groups=10) > 0.05
