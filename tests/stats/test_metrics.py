from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn import metrics

from featx.stats.metrics import METRICS, balanced_accuracy, calibration_error, macro_f1, score_all


def probabilities(n: int, classes: int, seed: int = 0) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Labels, and probabilities that know something of them; rounded, so that there are ties."""
    generator = np.random.default_rng(seed)
    y = generator.integers(classes, size=n)
    P = np.round(generator.dirichlet(np.ones(classes), n) + 0.5 * np.eye(classes)[y], 1)
    return y, P / P.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("classes", [2, 4])
def test_figures_are_those_of_scikit_learn(classes: int) -> None:
    y, P = probabilities(80, classes)
    found, predicted = score_all(y, P), P.argmax(axis=1)
    assert found["accuracy"] == pytest.approx(metrics.accuracy_score(y, predicted))
    assert found["balanced_accuracy"] == pytest.approx(metrics.balanced_accuracy_score(y, predicted))
    assert found["macro_f1"] == pytest.approx(metrics.f1_score(y, predicted, average="macro"))
    of_auc = P[:, 1] if classes == 2 else P
    assert found["roc_auc"] == pytest.approx(metrics.roc_auc_score(y, of_auc, multi_class="ovr"))
    clipped = np.clip(P, np.finfo(np.float32).eps, 1)
    assert found["log_loss"] == pytest.approx(-np.mean(np.log(clipped[np.arange(80), y])))
    assert found["brier"] == pytest.approx(metrics.brier_score_loss(y, P, scale_by_half=False))


@pytest.mark.parametrize("name", [name for name in METRICS if name != "roc_auc"])
def test_weights_count_rows_as_often(name: str) -> None:
    y, P = probabilities(30, 3)
    weights = np.random.default_rng(1).integers(0, 3, size=(4, 30))
    for figure, counts in zip(METRICS[name](y, P, weights.astype(float)), weights, strict=True):
        rows = np.repeat(np.arange(30), counts)
        assert figure == pytest.approx(score_all(y[rows], P[rows])[name])


def test_the_area_is_that_of_the_repeated_rows() -> None:
    y, P = probabilities(40, 3)
    counts = np.random.default_rng(1).integers(0, 3, size=40)
    rows = np.repeat(np.arange(40), counts)
    expected = metrics.roc_auc_score(y[rows], P[rows], multi_class="ovr")
    assert METRICS["roc_auc"](y, P, counts[None].astype(float))[0] == pytest.approx(expected)


def test_a_class_without_rows_is_left_out() -> None:
    y = np.array([0, 1, 0, 1])
    P = np.array([[0.6, 0.3, 0.1], [0.2, 0.7, 0.1], [0.3, 0.6, 0.1], [0.1, 0.8, 0.1]])
    found = score_all(y, P)
    # Of 4 pairs all are in order, by the first column; by the second likewise.
    assert found["roc_auc"] == 1
    assert found["balanced_accuracy"] == 0.75
    assert np.isnan(score_all(np.zeros(4, np.int64), P)["roc_auc"])


def test_calibration_error_by_hand() -> None:
    """Two bins: ten rows sure of 0.95, of which eight are right, and ten of 0.6, of which three are."""
    P = np.repeat([[0.95, 0.05], [0.6, 0.4]], 10, axis=0)
    y = np.array([0] * 8 + [1] * 2 + [0] * 3 + [1] * 7)
    assert calibration_error(y, P, np.ones((1, 20)))[0] == pytest.approx(0.5 * 0.15 + 0.5 * 0.3)


def test_many_classes_take_little_memory() -> None:
    """A confusion matrix for each bootstrap sample would take 8 GB."""
    k = 1000
    y = np.arange(k)
    P = np.full((k, k), 1e-4)
    P[y, np.where(y % 4 == 0, (y + 1) % k, y)] = 0.9
    W = np.ones((1000, k))
    tracemalloc.start()
    assert balanced_accuracy(y, P, W)[0] == pytest.approx(0.75)
    # Of four classes one is never predicted, one is predicted twice, once wrongly.
    assert macro_f1(y, P, W)[0] == pytest.approx((0 + 2 / 3 + 1 + 1) / 4)
    assert tracemalloc.get_traced_memory()[1] < 200e6
    tracemalloc.stop()
