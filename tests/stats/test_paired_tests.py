from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from featx.errors import UsageError
from featx.stats.significance import corrected_interval, corrected_t, holm, holm_by_name, mcnemar


def test_without_overlap_the_corrected_t_is_the_paired_t() -> None:
    one, other = np.random.default_rng(0).normal(size=(2, 10))
    assert corrected_t(one, other, 0) == pytest.approx(stats.ttest_rel(one, other).pvalue)
    low, high = corrected_interval(one, 0, (-9, 9)) or (0, 0)
    assert (low, high) == pytest.approx(stats.t.interval(0.95, 9, one.mean(), stats.sem(one)))


def test_corrected_t_by_hand() -> None:
    """Differences 0.01 to 0.10 in 10 folds of 5: t = mean / sqrt((1/10 + 1/4) var)."""
    differences = np.arange(1, 11) / 100
    t = 0.055 / np.sqrt((0.1 + 0.25) * differences.var(ddof=1))
    assert corrected_t(0.5 + differences, np.full(10, 0.5), 0.25) == pytest.approx(2 * stats.t.sf(t, 9))


def test_equal_figures() -> None:
    same = np.array([0.7, 0.8, 0.9])
    assert corrected_t(same, same, 0.5) == 1
    assert corrected_t(same + 0.1, same, 0.5) < 1e-6
    assert corrected_interval(np.array([1.0, 1.0]), 1) == (1, 1)
    assert corrected_interval(np.array([0.9, 1.0, np.nan]), 1) == (0.0, 1.0)
    assert corrected_interval(np.array([0.9, np.nan]), 1) is None
    with pytest.raises(UsageError, match="at least 2 folds"):
        corrected_t(same[:1], same[:1], 1)


def test_mcnemar_counts_where_one_is_right() -> None:
    one = np.array([1] * 8 + [0] * 2 + [1] * 20, bool)
    other = np.array([0] * 8 + [1] * 2 + [1] * 20, bool)
    # Of ten coins, two or fewer, or eight or more: 2 (1 + 10 + 45) / 1024.
    assert mcnemar(one, other) == pytest.approx(112 / 1024)
    assert mcnemar(one, one) == 1


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, 0.9]) == [1, 1]
    assert holm_by_name({"b": 0.04, "a": 0.01}) == pytest.approx({"b": 0.04, "a": 0.02})
    assert holm_by_name({}) == {}
