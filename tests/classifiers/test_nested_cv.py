from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from comparison_data import drawn
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from featx.classifiers.folds import Fold
from featx.classifiers.models import CLASSIFIERS
from featx.classifiers.nested_cv import UNKNOWN, choose, evaluate, evaluate_targets, inner_folds

NAMES = ("logreg", "svm-linear", "knn", "lda", "majority")
CHOSEN = tuple(CLASSIFIERS[name] for name in NAMES)


def rows(distance: float = 1.2) -> tuple[Any, Any]:
    return drawn(90, 6, classes=3, distance=distance)


def alone(n: int) -> list[str]:
    return [f"image {i:03d}" for i in range(n)]


def half(n: int) -> Fold:
    order = np.random.default_rng(1).permutation(n)
    return np.sort(order[: 2 * n // 3]), np.sort(order[2 * n // 3 :])


@pytest.mark.slow
def test_parameters_and_probabilities_are_those_of_a_grid_search() -> None:
    X, y = rows()
    fit, held = half(len(y))
    outcome = evaluate(CHOSEN, {False: X}, y, alone(len(y)), (fit, held), [0, 0])["logreg"]
    costs = [dict(row)["C"] for row in CLASSIFIERS["logreg"].grid]
    pipeline = make_pipeline(StandardScaler(), LogisticRegression(tol=1e-8, max_iter=10_000))
    inner = inner_folds(y[fit], alone(len(fit)), [0, 0])
    search = GridSearchCV(
        pipeline, {"logisticregression__C": costs}, cv=inner, scoring=("accuracy", "neg_log_loss"), refit=False
    ).fit(X[fit].astype(np.float64), y[fit])
    accuracy, loss = (search.cv_results_[f"mean_test_{name}"] for name in ("accuracy", "neg_log_loss"))
    best = max(range(len(costs)), key=lambda i: (round(accuracy[i], 9), loss[i]))
    assert outcome.parameters == {"C": costs[best]}
    pipeline.set_params(logisticregression__C=costs[best]).fit(X[fit].astype(np.float64), y[fit])
    np.testing.assert_allclose(outcome.probabilities, pipeline.predict_proba(X[held]), atol=1e-4)


@pytest.mark.slow
def test_log_loss_decides_between_equally_accurate_parameters() -> None:
    """Any C separates classes that lie far apart, but with a tiny one no probability is near 1."""
    X, y = rows(distance=40)
    outcome = evaluate(CHOSEN, {False: X}, y, alone(len(y)), half(len(y)), [0, 0])
    assert outcome["logreg"].parameters == {"C": max(row["C"] for row in CLASSIFIERS["logreg"].grid)}


def test_without_probabilities_the_simplest_of_equals_is_taken() -> None:
    X, y = rows(distance=40)
    fit, held = half(len(y))
    found = evaluate((CLASSIFIERS["svm-linear"],), {False: X}, y, alone(len(y)), (fit, held), [0, 0])["svm-linear"]
    costs = [row["C"] for row in CLASSIFIERS["svm-linear"].grid]
    right = []
    for cost in costs:
        pipeline = make_pipeline(StandardScaler(), SVC(kernel="linear", C=cost))
        folds = inner_folds(y[fit], alone(len(fit)), [0, 0])
        right.append(sum(pipeline.fit(X[fit][a], y[fit][a]).score(X[fit][b], y[fit][b]) for a, b in folds))
    assert right.count(max(right)) > 1
    assert found.parameters == {"C": costs[right.index(max(right))]}


@pytest.mark.slow
def test_labels_of_held_out_rows_change_nothing() -> None:
    X, y = rows()
    fit, held = half(len(y))
    other = y.copy()
    other[held] = (y[held] + 1) % 3
    groups = alone(len(y))
    one, two = (evaluate(CHOSEN, {False: X}, labels, groups, (fit, held), [0, 0]) for labels in (y, other))
    for name in NAMES:
        assert one[name].parameters == two[name].parameters
        np.testing.assert_array_equal(one[name].probabilities, two[name].probabilities)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_held_out_rows_are_predicted_one_by_one(name: str) -> None:
    """A row's probabilities do not depend on the other held-out rows."""
    X, y = rows()
    fit, held = half(len(y))
    row = (CLASSIFIERS[name],)
    whole = evaluate(row, {False: X}, y, alone(len(y)), (fit, held), [0, 0])[name]
    far = X.copy()
    far[held[1:]] += 100
    single = evaluate(row, {False: far}, y, alone(len(y)), (fit, held), [0, 0])[name]
    np.testing.assert_allclose(single.probabilities[0], whole.probabilities[0], atol=1e-9)
    none = evaluate(row, {False: X}, y, alone(len(y)), (fit, held[:0]), [0, 0])[name]
    assert none.probabilities.shape == (0, 3)
    assert none.parameters == whole.parameters


def test_groups_stay_whole_when_parameters_are_chosen() -> None:
    """Copies of a row on both sides would make one neighbour look best."""
    X, y = rows()
    X, y = np.repeat(X, 3, axis=0), np.repeat(y, 3)
    groups = [f"patient {i // 3}" for i in range(len(y))]
    knn = (replace(CLASSIFIERS["knn"], grid=({"n_neighbors": 45}, {"n_neighbors": 1})),)
    whole = choose(knn, {False: X}, [y], inner_folds(y, groups, [0]), 0)[0]["knn"][0]
    leaking = choose(knn, {False: X}, [y], inner_folds(y, alone(len(y)), [0]), 0)[0]["knn"][0]
    assert (whole["n_neighbors"], leaking["n_neighbors"]) == (45, 1)


@pytest.mark.slow
def test_there_are_no_more_neighbours_than_rows() -> None:
    X, y = drawn(18, 6, classes=3, distance=5.0)
    fit = np.arange(9)
    outcome = evaluate((CLASSIFIERS["knn"],), {False: X}, y, alone(18), (fit, np.arange(9, 18)), [0, 0])["knn"]
    assert outcome.parameters["n_neighbors"] <= 9
    model = KNeighborsClassifier(**outcome.parameters).fit(StandardScaler().fit_transform(X[:9]), y[:9])
    expected = model.predict_proba(StandardScaler().fit(X[:9]).transform(X[9:]))
    np.testing.assert_allclose(outcome.probabilities, expected, atol=1e-6)


def test_rows_of_unknown_class_move_no_model() -> None:
    """A third of the classes is unknown, among them all that one inner fold holds out."""
    X, y = drawn(60, 6, classes=2, distance=2.0)
    fit, held = np.arange(45), np.arange(45, 60)
    inner = [(np.setdiff1d(fit, part), part) for part in (fit[:15], fit[15:30], fit[30:])]
    known = np.where(fit < 15, UNKNOWN, y[fit])
    (of_known,) = evaluate_targets(CHOSEN, {False: X}, [known], (fit, held), inner, 0)
    moved = X.copy()
    # In the same place and as far apart, so that the rows are standardised as before.
    moved[:15] = X[:15][::-1]
    (again,) = evaluate_targets(CHOSEN, {False: moved}, [known], (fit, held), inner, 0)
    for name in NAMES:
        assert np.isfinite(of_known[name].probabilities).all()
        np.testing.assert_allclose(of_known[name].probabilities, again[name].probabilities, atol=1e-6)
