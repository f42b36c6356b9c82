from __future__ import annotations

import numpy as np
import pytest

from featx.stats import contingency, cramers_v


def test_a_table_counts_pairs_and_leaves_out_what_is_not_there() -> None:
    table = contingency(np.array([0, 0, 3, 3, 3]), np.array([1, 2, 2, 2, 1]))
    assert table.tolist() == [[1, 1], [1, 2]]


def test_one_that_determines_the_other_has_1_and_independent_ones_0() -> None:
    assert cramers_v(np.array([[20, 0], [0, 16]])) == pytest.approx(1)
    assert cramers_v(np.array([[20, 0, 0], [0, 16, 12]])) == pytest.approx(1, abs=0.02)
    assert cramers_v(np.array([[10, 20], [20, 40]])) == 0


def test_the_bias_of_few_images_is_subtracted() -> None:
    """Plain V of independent divisions with many parts is about 0.3 at this n."""
    generator = np.random.default_rng(0)
    values = [cramers_v(contingency(generator.integers(0, 6, 60), generator.integers(0, 5, 60))) for _ in range(100)]
    assert np.mean([value for value in values if value is not None]) < 0.1


def test_bergsma_by_hand() -> None:
    """Of [[30, 10], [10, 30]]: chi-squared / n is 0.25; 0.25 - 1/79 by 1 - 1/79, and of this the root."""
    assert cramers_v(np.array([[30, 10], [10, 30]])) == pytest.approx(np.sqrt((0.25 - 1 / 79) / (1 - 1 / 79)))


def test_one_row_has_no_association() -> None:
    assert cramers_v(np.array([[3, 4]])) is None
    assert cramers_v(np.array([[3, 4], [0, 0]])) is None
