from __future__ import annotations

import itertools
from itertools import product
from math import sqrt

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from featx.stats.intervals import Score
from featx.stats.significance import (
    blocked_permutation_p,
    corrected_interval,
    fold_difference,
    held_out_difference,
    holm,
    least_p,
    mcnemar,
    seeds_needed,
    spread_of,
)


def by_hand(table: NDArray[np.float64]) -> float:
    """Every way to arrange each column: the share whose means vary at least as much as those seen."""
    columns = [list(itertools.permutations(column)) for column in table.T]
    variances = [np.mean(arranged, axis=0).var() for arranged in product(*columns)]
    return float(np.mean(np.array(variances) >= table.mean(axis=1).var() * (1 - 1e-12)))


def test_without_overlap_the_corrected_interval_is_student_s() -> None:
    one = np.random.default_rng(0).normal(size=10)
    low, high = corrected_interval(one, 0, (-9, 9)) or (0, 0)
    assert (low, high) == pytest.approx(stats.t.interval(0.95, 9, one.mean(), stats.sem(one)))


def test_equal_figures() -> None:
    assert corrected_interval(np.array([1.0, 1.0]), 1) == (1, 1)
    assert corrected_interval(np.array([0.9, 1.0, np.nan]), 1) == (0.0, 1.0)
    assert corrected_interval(np.array([0.9, np.nan]), 1) is None


def test_mcnemar_counts_where_one_is_right() -> None:
    one = np.array([1] * 8 + [0] * 2 + [1] * 20, bool)
    other = np.array([0] * 8 + [1] * 2 + [1] * 20, bool)
    # Of ten coins, two or fewer, or eight or more: 2 (1 + 10 + 45) / 1024.
    assert mcnemar(one, other) == pytest.approx(112 / 1024)
    assert mcnemar(one, one) == 1


def test_holm_by_hand() -> None:
    corrected = holm({"b": 0.01, "d": 0.04, "c": 0.03, "a": 0.005})
    assert corrected == pytest.approx({"b": 0.03, "d": 0.06, "c": 0.06, "a": 0.02})
    assert list(corrected) == ["b", "d", "c", "a"]
    assert holm({"a": 0.5, "b": 0.9}) == {"a": 1, "b": 1}
    assert holm({}) == {}


def test_the_spread_of_three_fits() -> None:
    spread = spread_of([Score(36, 27, 0.5), Score(36, 30, 0.7), Score(36, 33, 0.9), Score(0, 0, None)], refused=1)
    assert (spread.n, spread.refused) == (36, 1)
    assert spread.accuracies == (27 / 36, 30 / 36, 33 / 36)
    assert spread.mean == pytest.approx(30 / 36)
    assert spread.sd == pytest.approx(3 / 36)
    assert (spread.low, spread.high) == (27 / 36, 33 / 36)
    # Student's t at 0.975 with two degrees of freedom, from any table.
    half = 4.302653 * (3 / 36) / sqrt(3)
    assert spread.interval == pytest.approx((30 / 36 - half, 1.0))
    assert spread.loss == pytest.approx(0.7)


def test_one_fit_has_no_spread_and_no_fit_has_no_mean() -> None:
    one = spread_of([Score(10, 5, 0.1)])
    assert (one.mean, one.sd, one.interval) == (0.5, None, None)
    none = spread_of([], refused=1)
    assert (none.mean, none.low, none.loss, none.refused) == (None, None, None, 1)


def test_all_arrangements_of_a_small_table_are_tried() -> None:
    table = np.array([[0.70, 0.75, 0.72], [0.71, 0.74, 0.75], [0.80, 0.86, 0.81]])
    assert blocked_permutation_p(table) == pytest.approx(by_hand(table))
    assert blocked_permutation_p(table) < 0.1


def test_seeds_are_compared_with_themselves() -> None:
    """A seed that is good for every value is no difference between the values."""
    seeds = np.array([0.5, 0.6, 0.7, 0.8, 0.9])
    better = np.stack([seeds, seeds + 0.02, seeds + 0.04])
    assert blocked_permutation_p(better) < 0.001
    rng = np.random.default_rng(0)
    chance = np.stack([seeds + rng.normal(0, 0.05, 5) for _ in range(3)])
    assert blocked_permutation_p(chance) > 0.05
    assert blocked_permutation_p(chance) == blocked_permutation_p(chance)


def test_equal_figures_make_no_difference() -> None:
    assert blocked_permutation_p(np.full((3, 3), 0.75)) == 1.0


def test_fits_that_scored_no_images_are_not_refused() -> None:
    spread = spread_of([Score(0, 0, None), Score(4, 2, 1.0)])
    assert (spread.refused, spread.accuracies) == (0, (0.5,))


@pytest.mark.parametrize(("values", "seeds"), [(2, 2), (2, 4), (3, 2), (3, 3), (4, 2)])
def test_no_table_has_a_smaller_p_than_the_least(values: int, seeds: int) -> None:
    """As far apart as values can be: each is better than the last with every seed."""
    table = np.array([[10.0 * value + seed for seed in range(seeds)] for value in range(values)])
    assert least_p(values, seeds) == pytest.approx(by_hand(table))
    assert least_p(values, seeds) == pytest.approx(blocked_permutation_p(table))


@pytest.mark.parametrize(("values", "seeds"), [(2, 6), (3, 3), (4, 2), (1000, 2)])
def test_how_many_seeds_are_needed(values: int, seeds: int) -> None:
    assert seeds_needed(values) == seeds
    assert least_p(values, seeds) < 0.05
    assert seeds == 2 or least_p(values, seeds - 1) >= 0.05


def test_ties_of_counts_are_ties() -> None:
    """Thirds add up to other sums in another order; counts do not."""
    rng = np.random.default_rng(3)
    for _ in range(20):
        counts = rng.integers(0, 4, (3, 3)).astype(float)
        assert blocked_permutation_p(counts) == pytest.approx(by_hand(counts), abs=1e-12)


def test_mcnemar_by_groups_flips_whole_groups() -> None:
    """One classifier is ahead in five patients, by 3, 2, 1, 1 and 1 images, and behind by 1 in another: by hand."""
    ahead = {"a": 3, "b": 2, "c": 1, "d": 1, "e": 1, "f": -1}
    rows = [(name, lead > 0) for name, lead in ahead.items() for _ in range(abs(lead))]
    groups, one = [name for name, _ in rows], np.array([first for _, first in rows])
    leads = [sum(signs) for signs in product(*[(lead, -lead) for lead in ahead.values()])]
    expected = np.mean([abs(lead) >= 7 for lead in leads])
    assert mcnemar(one, ~one, groups) == pytest.approx(expected)
    # Rows on which both are right say nothing.
    more = np.ones(4, np.bool_)
    assert mcnemar(np.append(one, more), np.append(~one, more), [*groups, *"afgg"]) == pytest.approx(expected)
    assert mcnemar(one, ~one) == mcnemar(one, ~one, [None] * len(one)) < expected
    assert mcnemar(one, one, groups) == 1


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
