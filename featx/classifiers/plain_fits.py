"""A compared classifier as a plain scikit-learn pipeline on the features themselves, with the same predictions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.classifiers.folds import Fold
from featx.classifiers.isometry import Span
from featx.classifiers.models import Classifier, Facts, Parameters
from featx.classifiers.nested_cv import fitted
from featx.classifiers.prepared import Prepared, principal_components


def fit_plain(
    classifier: Classifier,
    X: NDArray[np.float32],
    y: NDArray[Any],
    parameters: Parameters,
    inner: Sequence[Fold],
    seed: int,
) -> Any:
    """Return a fitted Pipeline of scikit-learn's own steps that takes rows of all columns.

    Args:
        classifier: Which; not one on raw pixels.
        X: (n, d) features of the whole training part.
        y: (n,) classes, as they are to be predicted.
        parameters: What was chosen.
        inner: Folds of these rows, for a calibration.
        seed: The classifier's own.
    """
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    ready = Prepared(X, X[:0], seed)
    if classifier.space == "plain" or (classifier.space == "components" and not ready.reduced):
        return make_pipeline(fitted(classifier, X, y, parameters, ready.facts, inner))
    scaler, Z = StandardScaler().fit(X), ready.standardiser(X)
    if classifier.space == "components":
        model, rotation = _on_components(classifier, Z, y, parameters, ready.facts, inner)
        return make_pipeline(scaler, rotation, model)
    if Z.shape[1] > len(Z) and classifier.name != "knn":
        model = _turned_back(classifier, Z, y, parameters, ready.facts, inner)
    else:
        model = fitted(classifier, Z, y, parameters, ready.facts, inner)
    if classifier.name == "lda":
        # No type of scikit-learn's, and only fitting takes it.
        model.covariance_estimator = None
    return make_pipeline(scaler, model)


def _turned_back(
    classifier: Classifier,
    Z: NDArray[np.float64],
    y: NDArray[Any],
    parameters: Parameters,
    facts: Facts,
    inner: Sequence[Fold],
) -> Any:
    """Fit on the few columns and put what was found in terms of all, instead of fitting on all."""
    span = Span.of(Z)
    model = fitted(classifier, span.fitted(), y, parameters, facts, inner)
    inside = model.calibrated_classifiers_[0].estimator if classifier.calibrated else model
    if classifier.calibrated:
        # Kernels of the full rows are those of the turned ones.
        inside.support_vectors_ = np.ascontiguousarray(Z[inside.support_])
        inside.shape_fit_ = Z.shape
    else:
        inside.coef_ = span.back(inside.coef_)
    if classifier.name == "lda":
        inside.means_ = span.back(inside.means_)
        # Of the few columns, and as large as their square where of all.
        del inside.covariance_
    inside.n_features_in_ = model.n_features_in_ = Z.shape[1]
    return model


def _on_components(
    classifier: Classifier,
    Z: NDArray[np.float64],
    y: NDArray[Any],
    parameters: Parameters,
    facts: Facts,
    inner: Sequence[Fold],
) -> tuple[Any, Any]:
    if Z.shape[1] <= len(Z):
        rotation = principal_components(Z)
        return fitted(classifier, rotation.transform(Z), y, parameters, facts, inner), rotation
    span = Span.of(Z)
    rotation = principal_components(span.fitted())
    model = fitted(classifier, rotation.transform(span.fitted()), y, parameters, facts, inner)
    rotation.components_ = span.back(rotation.components_)
    rotation.mean_ = Z.mean(axis=0)
    rotation.n_features_in_ = Z.shape[1]
    return model, rotation
