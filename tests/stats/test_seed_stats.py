from __future__ import annotations

from math import sqrt

import numpy as np
import pytest
from permutations import by_hand

from featx.stats.intervals import Score
from featx.stats.significance import blocked_permutation_p, least_p, seeds_to_tell, spread_of


def test_the_spread_of_three_fits() -> None:
    found = spread_of([Score(36, 27, 0.5), Score(36, 30, 0.7), Score(36, 33, 0.9), Score(0, 0, None)], refused=1)
    assert (found.n, found.refused) == (36, 1)
    assert found.accuracies == (27 / 36, 30 / 36, 33 / 36)
    assert found.mean == pytest.approx(30 / 36)
    assert found.sd == pytest.approx(3 / 36)
    assert (found.low, found.high) == (27 / 36, 33 / 36)
    # Student's t at 0.975 with two degrees of freedom, from any table.
    half = 4.302653 * (3 / 36) / sqrt(3)
    assert found.interval == pytest.approx((30 / 36 - half, 1.0))
    assert found.loss == pytest.approx(0.7)


def test_one_fit_has_no_spread_and_none_has_nothing() -> None:
    one = spread_of([Score(10, 5, 0.1)])
    assert (one.mean, one.sd, one.interval) == (0.5, None, None)
    none = spread_of([], refused=1)
    assert (none.mean, none.low, none.loss, none.refused) == (None, None, None, 1)


def test_all_arrangements_of_a_small_table_are_gone_through() -> None:
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
    found = spread_of([Score(0, 0, None), Score(4, 2, 1.0)])
    assert (found.refused, found.accuracies) == (0, (0.5,))


@pytest.mark.parametrize(("values", "seeds"), [(2, 2), (2, 4), (3, 2), (3, 3), (4, 2)])
def test_no_table_has_a_lower_p_than_the_least(values: int, seeds: int) -> None:
    """As far apart as values can be: each is better than the last with every seed."""
    table = np.array([[10.0 * value + seed for seed in range(seeds)] for value in range(values)])
    assert least_p(values, seeds) == pytest.approx(by_hand(table))
    assert least_p(values, seeds) == pytest.approx(blocked_permutation_p(table))


@pytest.mark.parametrize(("values", "seeds"), [(2, 6), (3, 3), (4, 2), (1000, 2)])
def test_how_many_seeds_it_takes_to_tell(values: int, seeds: int) -> None:
    assert seeds_to_tell(values) == seeds
    assert least_p(values, seeds) < 0.05
    assert seeds == 2 or least_p(values, seeds - 1) >= 0.05


def test_ties_of_counts_are_ties() -> None:
    """Thirds add up to other sums in another order; counts do not."""
    rng = np.random.default_rng(3)
    for _ in range(20):
        counts = rng.integers(0, 4, (3, 3)).astype(float)
        assert blocked_permutation_p(counts) == pytest.approx(by_hand(counts), abs=1e-12)
