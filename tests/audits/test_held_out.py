from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from featx.audits.logistic.held_out import COSTS, out_of_fold
from featx.audits.logistic.regression import held_out_logistic

N = 90
GENERATOR = np.random.default_rng(0)
Y = np.arange(N) % 3
CLASSES = ("a", "b", "c")
WIDE = (GENERATOR.normal(size=(N, 400)) + 0.8 * np.eye(3, 400)[Y]).astype(np.float32)
NARROW = WIDE[:, :12]


@pytest.mark.parametrize("X", [WIDE, NARROW], ids=["wide", "narrow"])
def test_probabilities_are_those_of_scikit_learn(X: np.ndarray) -> None:
    fit, held = np.arange(60), np.arange(60, N)
    got = held_out_logistic(X[fit], Y[fit], X[held], (0.001, 0.1), 3)
    for place, cost in enumerate((0.001, 0.1)):
        model = make_pipeline(StandardScaler(), LogisticRegression(C=cost, tol=1e-8, max_iter=5000))
        assert got[place] == pytest.approx(model.fit(X[fit], Y[fit]).predict_proba(X[held]), abs=5e-3)


def test_equal_rows_and_absent_classes_do_no_harm() -> None:
    equal = np.ones((20, 50), np.float32)
    got = held_out_logistic(equal, np.arange(20) % 2, equal[:3], (0.1,), 4)
    assert got[0] == pytest.approx(np.tile([0.5, 0.5, 0, 0], (3, 1)))
    assert held_out_logistic(equal, np.full(20, 2), equal[:1], (0.1,), 4)[0].tolist() == [[0, 0, 1, 0]]


def test_no_image_is_fitted_on_with_its_own_group() -> None:
    """Labels are random by group and rows name the group: only its own images could tell a group's label."""
    generator = np.random.default_rng(3)
    groups = np.arange(N) // 3
    y = generator.integers(0, 2, N // 3)[groups]
    X = (6 * generator.normal(size=(N // 3, 40))[groups] + generator.normal(size=(N, 40))).astype(np.float32)
    whole = out_of_fold(X, y, groups, np.arange(N), ("a", "b"), 0)
    alone = out_of_fold(X, y, np.arange(N), np.arange(N), ("a", "b"), 0)
    right = [float((one.probabilities.argmax(axis=1) == y).mean()) for one in (whole, alone)]
    assert right[0] < 0.7
    assert right[1] > 0.9
    assert all(len(set(whole.fold[groups == group])) == 1 for group in range(N // 3))


def test_the_penalty_is_the_one_with_the_lowest_loss_of_held_out_images() -> None:
    noise = GENERATOR.normal(size=(N, 60)).astype(np.float32)
    assert out_of_fold(noise, Y, np.arange(N), np.arange(N), CLASSES, 0).cost == COSTS[0]
    clear = (10 * np.eye(3)[Y] + GENERATOR.normal(size=(N, 3))).astype(np.float32)
    assert out_of_fold(clear, Y, np.arange(N), np.arange(N), CLASSES, 0).cost == COSTS[-1]


def test_rows_that_are_unfit_change_no_model() -> None:
    rows = np.arange(N)
    usual = out_of_fold(NARROW, Y, rows, rows, CLASSES, 0, unfit=rows[:9])
    far = NARROW.copy()
    far[:9] += 100
    moved = out_of_fold(far, Y, rows, rows, CLASSES, 0, unfit=rows[:9])
    assert moved.probabilities[9:] == pytest.approx(usual.probabilities[9:])
    assert not np.allclose(moved.probabilities[:9], usual.probabilities[:9])


@pytest.mark.parametrize("unfit", [np.flatnonzero(Y == 1), np.arange(N)], ids=["a-class", "all"])
def test_no_class_is_lost_with_the_rows_that_are_unfit(unfit: np.ndarray) -> None:
    rows = np.arange(N)
    got = out_of_fold(NARROW, Y, rows, rows, CLASSES, 0, repeats=2, unfit=unfit).probabilities
    assert got.sum(axis=1) == pytest.approx(1)
    assert got.max(axis=0).min() > 0.3


def test_repeats_are_averaged_and_unlabelled_rows_left_out() -> None:
    y = Y.copy()
    y[4] = -1
    once, thrice = (out_of_fold(NARROW, y, np.arange(N), np.arange(N), CLASSES, 0, repeats) for repeats in (1, 3))
    assert 4 not in once.rows
    assert thrice.probabilities.sum(axis=1) == pytest.approx(np.ones(N - 1))
    assert (once.fold == thrice.fold).all()
    assert not np.allclose(once.probabilities, thrice.probabilities)
