from __future__ import annotations

from math import sqrt

import numpy as np
import pytest
from scipy import stats

from featx.stats.fold_differences import fold_difference, held_out_difference
from featx.stats.significance import corrected_interval


def test_the_difference_to_the_best_of_two_is_the_corrected_t_test() -> None:
    """Of two classifiers nothing is chosen but the direction, and with one repeat the error is the same."""
    generator = np.random.default_rng(0)
    one, other = 0.8 + 0.05 * generator.standard_normal((2, 5))
    difference = fold_difference(one, other, folds=5, classifiers=2)
    assert difference is not None
    assert difference.mean == pytest.approx(np.mean(one - other))
    differences = one - other
    t = differences.mean() / np.sqrt((1 / 5 + 0.25) * differences.var(ddof=1))  # Nadeau and Bengio 2003
    assert difference.p_value == pytest.approx(2 * stats.t.sf(abs(t), 4), abs=1e-4)
    low, high = difference.interval or (0, 0)
    assert (low, high) == pytest.approx(corrected_interval(one - other, 0.25, (-1, 1)), abs=1e-3)


def test_more_rivals_make_a_difference_less_certain() -> None:
    generator = np.random.default_rng(1)
    one = 0.7 + 0.02 * generator.standard_normal(10)
    other = 0.8 + 0.02 * generator.standard_normal(10)
    few, many = (fold_difference(one, other, folds=5, classifiers=number) for number in (2, 12))
    assert few is not None
    assert many is not None
    assert few.p_value < many.p_value < 0.05
    assert few.interval is not None
    assert many.interval is not None
    assert many.interval[0] < few.interval[0] < few.interval[1] < many.interval[1] < 0


def test_a_repeat_is_no_further_evidence() -> None:
    """The same folds twice: only the degrees of freedom grow."""
    scores = np.array([[0.8, 0.7, 0.9, 0.75, 0.85], [0.7, 0.72, 0.8, 0.7, 0.7]])
    once, twice = (fold_difference(*np.tile(scores, times), folds=5, classifiers=3) for times in (1, 2))
    assert once is not None
    assert twice is not None
    assert twice.p_value > 0.3 * once.p_value


def test_differences_that_do_not_vary_have_no_interval() -> None:
    best = np.array([0.9, 0.8, 1.0, 0.9, 0.8])
    equal, worse = (fold_difference(best - by, best, folds=5, classifiers=3) for by in (0.0, 0.1))
    assert equal is not None
    assert worse is not None
    assert (equal.mean, equal.interval, equal.p_value) == (0, None, 1)
    assert (worse.interval, worse.p_value) == (None, 3 / 16)
    assert fold_difference(np.array([np.nan, 0.5]), np.array([0.5, 0.5]), folds=2, classifiers=3) is None


def test_the_difference_of_held_out_images_by_hand() -> None:
    """Two classifiers, one of which is right on 8 more of 100 images: 10 for it, 2 against it."""
    one = np.array([1.0] * 10 + [0.0] * 2 + [1.0] * 88)
    other = np.array([0.0] * 10 + [1.0] * 2 + [1.0] * 88)
    difference = held_out_difference(one, other, [None] * 100, folds=5, classifiers=2)
    error = sqrt(2.25 * np.var(one - other, ddof=1) / 100)
    assert difference.mean == pytest.approx(0.08)
    assert difference.p_value == pytest.approx(2 * stats.t.sf(0.08 / error, 99), abs=1e-4)
    half = stats.t.ppf(0.975, 99) * error
    assert difference.interval == pytest.approx((0.08 - half, 0.08 + half), abs=1e-3)
    # Each image four times, as a group, says no more.
    four = held_out_difference(np.repeat(one, 4), np.repeat(other, 4), np.arange(400) // 4, folds=5, classifiers=2)
    assert four.p_value == pytest.approx(difference.p_value)
    assert four.interval == pytest.approx(difference.interval)
    same = held_out_difference(one, one, [None] * 100, folds=5, classifiers=2)
    assert (same.mean, same.interval, same.p_value) == (0, None, 1)


def test_equal_classifiers_are_seldom_told_apart() -> None:
    """Eight equal classifiers at n = 60, each right on other images in part; the best and the worst are compared."""
    generator, wrong, runs = np.random.default_rng(0), 0, 200
    for _ in range(runs):
        right = (0.8 * generator.standard_normal(60) + generator.standard_normal((8, 60)) > -0.9).astype(np.float64)
        means = right.mean(axis=1)
        best, worst = right[int(means.argmax())], right[int(means.argmin())]
        wrong += held_out_difference(worst, best, [None] * 60, folds=5, classifiers=8).p_value < 0.05
    assert wrong / runs <= 0.03
    # One that is right on half as many images is told apart.
    assert held_out_difference(best * (np.arange(60) % 2), best, [None] * 60, folds=5, classifiers=8).p_value < 0.01
