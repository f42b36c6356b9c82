"""Tests of the comparison between a framework and the file that came of it."""

from __future__ import annotations

import numpy as np
import pytest

from featx.networks.importing.comparison import SIZES, relative_difference, trial_images


def test_trial_images_are_the_same_each_time_and_of_many_sizes() -> None:
    first, again = trial_images((40, 56)), trial_images((40, 56))
    assert len(first) == len(SIZES) == 10
    assert all(np.array_equal(one, other) for one, other in zip(first, again, strict=True))
    assert [image.shape[:2] for image in first[:5]] == [(40, 56)] * 4 + [(84, 118)]
    assert all(image.dtype == np.uint8 and np.ptp(image) > 150 for image in first)


def test_grey_trial_images_have_equal_channels() -> None:
    assert all(not np.ptp(image, axis=2).any() for image in trial_images((32, 32), grey=True))


def test_a_difference_is_a_share_of_the_largest_value_of_the_row() -> None:
    expected = np.array([[1, -4, 2]], np.float32)
    assert relative_difference(expected + np.array([[0, 0, 1]], np.float32), expected) == pytest.approx(0.25)


@pytest.mark.parametrize("rows", [np.array([[np.nan, 1]]), np.array([[1.0]])])
def test_what_is_not_finite_or_of_another_width_differs_without_end(rows: np.ndarray) -> None:
    assert relative_difference(rows.astype(np.float32), np.ones((1, 2), np.float32)) == float("inf")
