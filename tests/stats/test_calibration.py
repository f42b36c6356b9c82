from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from featx.stats import calibration_error, calibration_of, expected_calibration_error, score_all
from featx.stats.calibration import brier_parts, debiased_calibration_error


def drawn(n: int, seed: int, power: float = 1.0) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return labels drawn from probabilities, and these probabilities made too sure by a power."""
    generator = np.random.default_rng(seed)
    z = 1.5 * generator.normal(size=(n, 3))
    P = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    y = (generator.random(n)[:, None] > P.cumsum(axis=1)).sum(axis=1)
    return y, P**power / (P**power).sum(axis=1, keepdims=True)


def test_the_expected_error_is_the_mean_error_of_calibrated_models() -> None:
    errors = [
        float(calibration_error(*drawn(36, seed), np.ones((1, 36)))[0])  # each with other probabilities
        for seed in range(300)
    ]
    expected = np.mean([expected_calibration_error(drawn(36, seed)[1], seed) for seed in range(10)])
    assert expected == pytest.approx(np.mean(errors), abs=0.01)
    assert expected > 0.15  # though nothing is wrong


def test_the_expected_error_does_not_depend_on_the_order_of_the_images() -> None:
    _, P = drawn(50, 0)
    assert expected_calibration_error(P, 3) == expected_calibration_error(P[::-1], 3)
    assert expected_calibration_error(P, 3) == expected_calibration_error(P.max(axis=1), 3)


@pytest.mark.parametrize(("power", "n"), [(1.0, 100), (2.0, 100), (4.0, 100)])
def test_the_debiased_error_is_nearer_to_the_truth_on_average(power: float, n: int) -> None:
    y, P = drawn(200_000, 99, power)
    truth = calibration_of(y, P, 0, draws=1).ece
    seen = [drawn(n, seed, power) for seed in range(150)]
    plain = np.mean([float(calibration_error(y, P, np.ones((1, n)))[0]) for y, P in seen])
    debiased = np.mean([debiased_calibration_error(y, P) for y, P in seen])
    assert abs(debiased - truth) < abs(plain - truth)


def test_calibrated_probabilities_are_compatible_with_chance_and_others_are_not() -> None:
    fair, sure = calibration_of(*drawn(200, 1), 0), calibration_of(*drawn(200, 1, 4.0), 0)
    assert fair.p_value > 0.05
    assert sure.p_value < 0.01
    assert sure.confidence > sure.accuracy + 0.1
    assert sure.accuracy == fair.accuracy


def test_the_parts_of_the_brier_score_add_up_to_it() -> None:
    y, P = drawn(500, 2)
    parts = brier_parts(y, P)
    assert parts.score == pytest.approx(score_all(y, P)["brier"])
    whole = parts.reliability - parts.resolution + parts.uncertainty + parts.within_bins
    assert whole == pytest.approx(parts.score)
    shares = np.bincount(y) / 500
    assert parts.uncertainty == pytest.approx(1 - np.sum(shares**2))


def test_probabilities_without_information_have_no_resolution() -> None:
    y = np.array([0, 1, 1, 1] * 10)
    parts = brier_parts(y, np.tile([0.25, 0.75], (40, 1)))
    assert (parts.reliability, parts.resolution) == (0, 0)
    assert parts.score == pytest.approx(parts.uncertainty) == pytest.approx(0.375)


def test_of_several_labels_unknown_ones_do_not_count() -> None:
    generator = np.random.default_rng(0)
    P = generator.random((100, 2))
    y: Any = (generator.random((100, 2)) < P).astype(np.float32)
    y[50:, 1] = np.nan
    both = calibration_of(y, P, 0)
    assert both.n == 150
    y[50:] = np.nan
    P[50:] = 0.5
    assert calibration_of(y, P, 0).n == 100
    assert calibration_of(y[:50], P[:50], 0) == calibration_of(y, P, 0)


def test_a_probability_of_zero_for_the_true_class_costs_much_but_not_infinitely() -> None:
    lost = calibration_of(np.array([0]), np.array([[0.0, 1.0]]), 0).log_loss
    assert 700 < lost < 710
