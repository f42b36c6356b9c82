from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from featx.stats import fit_temperature, label_probabilities, probabilities, scaled_probabilities, with_temperature


def logits_and_labels(n: int, classes: int, seed: int = 0) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return calibrated logits, and labels drawn from their probabilities."""
    generator = np.random.default_rng(seed)
    z = (2 * generator.normal(size=(n, classes))).astype(np.float32)
    return z, (generator.random(n)[:, None] > probabilities(z).cumsum(axis=1)).sum(axis=1)


@pytest.mark.parametrize("factor", [0.4, 1.0, 4.5])
def test_the_temperature_that_spoilt_the_logits_is_recovered(factor: float) -> None:
    z, y = logits_and_labels(4000, 4)
    fitted = fit_temperature(z * np.float32(factor), y)
    assert fitted.temperature == pytest.approx(factor, rel=0.06)
    assert fitted.loss_after is not None
    assert fitted.loss_before is not None
    assert fitted.loss_after <= fitted.loss_before


def test_no_other_temperature_has_a_lower_loss() -> None:
    z, y = logits_and_labels(60, 3)
    best = fit_temperature(3 * z, y)
    own = np.arange(60)
    losses = [-np.log(scaled_probabilities(3 * z, t)[own, y]).mean() for t in np.geomspace(0.05, 100, 400)]
    assert best.loss_after is not None
    assert best.loss_after <= min(losses) + 1e-9
    assert best.loss_after == pytest.approx(min(losses), abs=1e-3)


def test_one_logit_of_two_classes_has_the_temperature_of_two() -> None:
    z, y = logits_and_labels(300, 2)
    one = fit_temperature(z[:, 1:] - z[:, :1], y)
    two = fit_temperature(z, y)
    assert one.temperature == pytest.approx(two.temperature, rel=1e-5)
    assert one.loss_before == pytest.approx(two.loss_before, rel=1e-5)


def test_of_several_labels_unknown_ones_do_not_count() -> None:
    generator = np.random.default_rng(1)
    z: Any = (2 * generator.normal(size=(600, 3))).astype(np.float32)
    y: Any = (generator.random((600, 3)) < label_probabilities(z)).astype(np.float32)
    y[:, 2] = np.nan
    z[:, 2] = 1000
    fitted = fit_temperature(2.5 * z, y)
    assert fitted.temperature == pytest.approx(2.5, rel=0.15)
    assert fitted.n == 600


def test_it_stays_1_where_there_is_no_best_one() -> None:
    z, y = logits_and_labels(100, 3)
    few = fit_temperature(z[:19], y[:19])
    right = fit_temperature(z, z.argmax(axis=1))
    wrong = fit_temperature(z, z.argmin(axis=1))
    none = fit_temperature(z[:0], y[:0])
    assert [one.temperature for one in (few, right, wrong, none)] == [1.0] * 4
    assert all(one.note for one in (few, right, wrong, none))
    assert right.loss_after == right.loss_before
    assert (none.n, none.loss_before) == (0, None)


def test_a_temperature_changes_no_predicted_class() -> None:
    generator = np.random.default_rng(2)
    # Logits that differ in their last bit only.
    z = np.nextafter(np.float32(50), np.float32(60)) * np.ones((200, 3), np.float32)
    z[np.arange(200), generator.integers(3, size=200)] = np.float32(50)
    z = np.vstack([z, generator.normal(size=(200, 3)).astype(np.float32) * 30])
    for temperature in (0.05, 0.7, 6.9, 100.0):
        assert (scaled_probabilities(z, temperature).argmax(axis=1) == z.argmax(axis=1)).all()
        labels = scaled_probabilities(z, temperature, multilabel=True) >= 0.5
        assert (labels == (z >= 0)).all()


@pytest.mark.parametrize("multilabel", [False, True])
def test_probabilities_can_be_scaled_as_logits_are(multilabel: bool) -> None:
    z, _ = logits_and_labels(50, 3)
    P = scaled_probabilities(z, multilabel=multilabel)
    expected = scaled_probabilities(z, 3.0, multilabel=multilabel)
    np.testing.assert_allclose(with_temperature(P, 3.0, multilabel=multilabel), expected, rtol=1e-6)
    assert with_temperature(P, 1.0) is P


def test_probabilities_of_0_and_1_stay_finite() -> None:
    P = np.array([[1.0, 0.0], [0.0, 1.0]])
    for multilabel in (False, True):
        assert np.isfinite(with_temperature(P, 2.0, multilabel=multilabel)).all()
