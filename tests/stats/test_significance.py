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
