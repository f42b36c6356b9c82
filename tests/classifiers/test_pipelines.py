from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from comparison_data import drawn
from scipy.spatial.distance import cdist
from sklearn.covariance import LedoitWolf
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from featx.classifiers.models import CLASSIFIERS, ReducedLedoitWolf
from featx.classifiers.pipelines import FoldRows


def wide_rows() -> tuple[Any, Any, Any]:
    """60 training rows and 40 held-out rows of 500 columns, one of which does not vary; two rows are the same."""
    X, y = drawn(100, 500, classes=3, distance=4.0)
    X[:, 7] = 3
    X[5] = X[8]
    return X[:60], X[60:], y[:60]


def test_kernel_pca_keeps_inner_products_and_distances() -> None:
    train, held, _ = wide_rows()
    scaler = StandardScaler().fit(train.astype(float))
    Z, Q = scaler.transform(train.astype(float)), scaler.transform(held.astype(float))
    reduced, others = FoldRows(train, held, 0).reduced
    assert reduced.shape[1] == others.shape[1] < 60
    np.testing.assert_allclose(reduced @ reduced.T, Z @ Z.T, atol=1e-9)
    np.testing.assert_allclose(others @ reduced.T, Q @ Z.T, atol=1e-9)
    np.testing.assert_allclose(cdist(others, reduced), cdist(Q, Z), rtol=1e-9)
    # A training row has no distance from the span of the training rows.
    np.testing.assert_allclose(FoldRows(train, train, 0).reduced[1][:, -1], 0, atol=1e-5)


def test_narrow_rows_are_standardised_only() -> None:
    train, held, _ = wide_rows()
    reduced, others = FoldRows(train[:, :20], held[:, :20], 0).reduced
    scaler = StandardScaler().fit(train[:, :20])
    np.testing.assert_allclose(reduced, scaler.transform(train[:, :20].astype(float)))
    np.testing.assert_allclose(others, scaler.transform(held[:, :20].astype(float)))


@pytest.mark.parametrize("space", ["plain", "standardised", "components"])
def test_there_may_be_no_held_out_rows(space: Any) -> None:
    train, held, _ = wide_rows()
    rows, others = FoldRows(train, held[:0], 0).rows(space)
    assert others.shape == (0, rows.shape[1])


# Each classifier's parameters, and the same by scikit-learn alone on all columns.
ON_ALL_COLUMNS: dict[str, tuple[dict[str, Any], Callable[[], Any], str]] = {
    "logreg": ({"C": 0.01}, lambda: LogisticRegression(C=0.01, tol=1e-5, max_iter=1000), "predict_proba"),
    "svm-linear": ({"C": 0.01}, lambda: SVC(kernel="linear", C=0.01), "decision_function"),
    "svm-rbf": ({"C": 10.0, "gamma_scale": 1.0}, lambda: SVC(C=10, gamma="scale"), "decision_function"),
    "knn": (
        {"n_neighbors": 5, "weights": "distance"},
        lambda: KNeighborsClassifier(5, weights="distance"),
        "predict_proba",
    ),
    "lda": (
        {},
        lambda: LinearDiscriminantAnalysis(solver="lsqr", covariance_estimator=LedoitWolf()),
        "predict_proba",
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", ON_ALL_COLUMNS)
def test_predictions_are_those_on_all_columns(name: str) -> None:
    train, held, y = wide_rows()
    parameters, make, method = ON_ALL_COLUMNS[name]
    # In double precision, too.
    plain = make_pipeline(StandardScaler(), make()).fit(train.astype(float), y)
    fold = FoldRows(train, held, seed=0)
    reduced, others = fold.reduced
    model = CLASSIFIERS[name].build(parameters, fold.facts).fit(reduced, y)
    tolerance = 1e-3 if name.startswith(("svm", "logreg")) else 1e-6
    expected = getattr(plain, method)(held.astype(float))
    np.testing.assert_allclose(getattr(model, method)(others), expected, atol=tolerance)
    assert expected.std() > 0.1


@pytest.mark.slow
def test_shrinkage_is_that_of_all_columns() -> None:
    train, _, _ = wide_rows()
    train = train.astype(float)
    full = LedoitWolf().fit(train)
    model = ReducedLedoitWolf(500).fit(train)
    assert model.shrinkage_ == pytest.approx(full.shrinkage_)
    np.testing.assert_allclose(model.covariance_, full.covariance_, atol=1e-12)
    reduced = ReducedLedoitWolf(500).fit(np.asarray(np.linalg.qr(train.T, mode="r")).T)
    assert reduced.shrinkage_ == pytest.approx(full.shrinkage_)
    # The others of the 500 eigenvalues are the smallest of these.
    np.testing.assert_allclose(
        np.linalg.eigvalsh(reduced.covariance_)[-20:], np.linalg.eigvalsh(full.covariance_)[-20:]
    )
    assert ReducedLedoitWolf(4).fit(np.ones((3, 2))).covariance_.tolist() == [[0, 0], [0, 0]]
