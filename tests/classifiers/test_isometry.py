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

from featx.classifiers.isometry import Span, Standardiser
from featx.classifiers.models import CLASSIFIERS
from featx.classifiers.prepared import Prepared
from featx.classifiers.shrinkage import LedoitWolfOfWidth


def wide_rows() -> tuple[Any, Any, Any]:
    """60 rows to fit on and 40 others of 500 columns, one of which does not vary; two rows are the same."""
    X, y = drawn(100, 500, classes=3, distance=4.0)
    X[:, 7] = 3
    X[5] = X[8]
    return X[:60], X[60:], y[:60]


def test_inner_products_and_distances_are_kept() -> None:
    fit, held, _ = wide_rows()
    Z, Q = StandardScaler().fit_transform(fit.astype(float)), Standardiser.of(fit)(held)
    np.testing.assert_allclose(Q, StandardScaler().fit(fit.astype(float)).transform(held.astype(float)))
    turned, others = Prepared(fit, held, 0).standardised
    assert turned.shape[1] == others.shape[1] < 60
    np.testing.assert_allclose(turned @ turned.T, Z @ Z.T, atol=1e-9)
    np.testing.assert_allclose(others @ turned.T, Q @ Z.T, atol=1e-9)
    np.testing.assert_allclose(cdist(others, turned), cdist(Q, Z), rtol=1e-9)
    # Rows that lie in the span have nothing beside it.
    np.testing.assert_allclose(Span.of(Z)(Z)[:, -1], 0, atol=1e-5)


def test_portions_are_one(monkeypatch: pytest.MonkeyPatch) -> None:
    fit, held, _ = wide_rows()
    Z, Q = fit.astype(float), held.astype(float)
    whole = Span.of(Z)(Q)
    monkeypatch.setattr("featx.classifiers.isometry.PORTION", 1500)
    np.testing.assert_allclose(Span.of(Z)(Q), whole, atol=1e-9)
    assert Span.of(Z)(Q[:0]).shape == (0, whole.shape[1])


# Each beside the same thing at full width, by scikit-learn alone.
AT_FULL_WIDTH: dict[str, tuple[dict[str, Any], Callable[[], Any], str]] = {
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


@pytest.mark.parametrize("name", AT_FULL_WIDTH)
def test_answers_are_those_of_all_columns(name: str) -> None:
    fit, held, y = wide_rows()
    parameters, make, method = AT_FULL_WIDTH[name]
    # At full width, in double precision too.
    wide = make_pipeline(StandardScaler(), make()).fit(fit.astype(float), y)
    ready = Prepared(fit, held, seed=0)
    turned, others = ready.standardised
    own = CLASSIFIERS[name].build(parameters, ready.facts).fit(turned, y)
    tolerance = 1e-3 if name.startswith(("svm", "logreg")) else 1e-6
    expected = getattr(wide, method)(held.astype(float))
    np.testing.assert_allclose(getattr(own, method)(others), expected, atol=tolerance)
    assert expected.std() > 0.1


def test_shrinkage_is_that_of_all_columns() -> None:
    fit, _, _ = wide_rows()
    full = LedoitWolf().fit(fit.astype(float))
    own = LedoitWolfOfWidth(500).fit(fit.astype(float))
    assert own.shrinkage_ == pytest.approx(full.shrinkage_)
    np.testing.assert_allclose(own.covariance_, full.covariance_, atol=1e-12)
    centred = fit.astype(float) - fit.astype(float).mean(axis=0)
    turned = LedoitWolfOfWidth(500).fit(Span.of(centred).fitted())
    assert turned.shrinkage_ == pytest.approx(full.shrinkage_)
    # The others of the 500 eigenvalues are the smallest of these.
    np.testing.assert_allclose(
        np.linalg.eigvalsh(turned.covariance_)[-20:], np.linalg.eigvalsh(full.covariance_)[-20:]
    )
    assert LedoitWolfOfWidth(4).fit(np.ones((3, 2))).covariance_.tolist() == [[0, 0], [0, 0]]
