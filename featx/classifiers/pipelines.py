"""Rows as the classifiers take them, and a compared classifier as a pipeline of scikit-learn's own steps."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.classifiers.folds import Fold
from featx.classifiers.models import Classifier, Parameters, RowFacts, Space

# With more columns than this, boosting takes principal components, and this many of them.
WIDE = 256
COMPONENTS = 50

Matrix = NDArray[np.float64]


class FoldRows:
    """The rows of one fold, transformed once for all classifiers; everything is fitted on the training rows.

    Standardised rows that have more columns than there are training rows go through kernel PCA with a linear kernel.
    All its components are kept, at most one for each training row, so inner products and distances between training
    rows stay the same. One more column holds the distance of a row from the span of the training rows (0 for these):
    with it the distances of held-out rows to training rows stay the same, too. A classifier that uses only inner
    products and distances therefore predicts the same as on all columns. Source: Schölkopf, Smola and Müller,
    "Nonlinear component analysis as a kernel eigenvalue problem", Neural Computation 10 (1998), 1299-1319.
    """

    def __init__(self, train: NDArray[np.float32], held: NDArray[np.float32], seed: int) -> None:
        from sklearn.preprocessing import StandardScaler

        self.train, self.held = train, held
        self.scaler = StandardScaler().fit(train)
        total_variance = float(np.sum(self.scaler.var_ / self.scaler.scale_**2))
        self.facts = RowFacts(train.shape[1], total_variance, seed)

    def space_of(self, classifier: Classifier) -> Space:
        """Return the space that a classifier takes; narrow rows need no principal components."""
        narrow = classifier.space == "components" and self.train.shape[1] <= WIDE
        return "plain" if narrow else classifier.space

    def rows(self, space: Space) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
        """Return the training rows and the held-out rows in a space."""
        if space == "plain":
            return self.train, self.held
        return self.reduced if space == "standardised" else self.components

    @cached_property
    def standardised(self) -> Matrix:
        """(n, d) standardised training rows."""
        return self._standardise(self.train)

    @cached_property
    def kernel_pca(self) -> Any:
        """The fitted kernel PCA; None where there are no more columns than training rows."""
        from sklearn.decomposition import KernelPCA

        if self.train.shape[1] <= len(self.train):
            return None
        return KernelPCA(kernel="linear", copy_X=False).fit(self.standardised)

    @cached_property
    def reduced(self) -> tuple[Matrix, Matrix]:
        """Components and distances from the span, (n, k + 1) and (m, k + 1); standardised rows without kernel PCA."""
        train = self.standardised
        if self.kernel_pca is not None:
            components = self.kernel_pca.eigenvectors_ * np.sqrt(self.kernel_pca.eigenvalues_)
            train = np.column_stack([components, np.zeros(len(components))])
        # scikit-learn does not transform zero rows.
        return train, self._reduce(self.held) if len(self.held) else train[:0]

    @cached_property
    def pca(self) -> Any:
        """The fitted PCA of the reduced training rows."""
        from sklearn.decomposition import PCA

        train, _ = self.reduced
        solver = "full" if len(train) <= train.shape[1] else "covariance_eigh"
        return PCA(min(COMPONENTS, *train.shape), svd_solver=solver).fit(train)

    @cached_property
    def components(self) -> tuple[Matrix, Matrix]:
        """The first principal components of both."""
        train, held = self.reduced
        components = self.pca.transform(train)
        return components, self.pca.transform(held) if len(held) else components[:0]

    def to_all_columns(self, weights: Matrix) -> Matrix:
        """Return weights of the reduced rows' columns, (c, k + 1), as weights of the standardised columns, (c, d)."""
        scaled = weights[:, :-1] / np.sqrt(self.kernel_pca.eigenvalues_)
        return np.asarray(scaled @ self.kernel_pca.eigenvectors_.T @ self.standardised)

    def _standardise(self, X: NDArray[np.float32]) -> Matrix:
        return np.asarray(self.scaler.transform(X.astype(np.float64), copy=False))

    def _reduce(self, X: NDArray[np.float32]) -> Matrix:
        Z = self._standardise(X)
        if self.kernel_pca is None:
            return Z
        components = self.kernel_pca.transform(Z)
        rest = np.einsum("ij,ij->i", Z, Z) - np.einsum("ij,ij->i", components, components)
        return np.column_stack([components, np.sqrt(np.maximum(rest, 0))])


def fit_model(
    classifier: Classifier,
    X: NDArray[np.floating],
    y: NDArray[Any],
    parameters: Parameters,
    facts: RowFacts,
    inner: Sequence[Fold],
) -> Any:
    """Return a classifier fitted on rows in its space, calibrated on the inner folds where it needs that."""
    model = classifier.build(parameters, facts)
    if classifier.calibrated:
        from sklearn.calibration import CalibratedClassifierCV

        model = CalibratedClassifierCV(model, method="sigmoid", cv=list(inner), ensemble=False)
    return model.fit(X, y)


def fit_pipeline(
    classifier: Classifier,
    X: NDArray[np.float32],
    y: NDArray[Any],
    parameters: Parameters,
    inner: Sequence[Fold],
    seed: int,
) -> Any:
    """Return a fitted Pipeline that takes features as they are: StandardScaler, PCA for boosting, the classifier.

    Kernel PCA is no step of it, because it would store all training rows; what was fitted on its components is
    expressed in the columns of the features instead. The inner folds are for the calibration.
    """
    from sklearn.pipeline import make_pipeline

    fold = FoldRows(X, X[:0], seed)
    space = fold.space_of(classifier)
    # Nearest neighbours are the training rows themselves.
    rows = fold.standardised if classifier.name == "knn" else fold.rows(space)[0]
    model = fit_model(classifier, rows, y, parameters, fold.facts, inner)
    if space == "plain":
        return make_pipeline(model)
    if fold.kernel_pca is not None and classifier.name != "knn":
        _express_in_all_columns(model if space == "standardised" else fold.pca, fold)
    if classifier.name == "lda":
        # Only fitting needs it, and its type is not scikit-learn's.
        model.covariance_estimator = None
    steps = [fold.scaler, model] if space == "standardised" else [fold.scaler, fold.pca, model]
    return make_pipeline(*steps)


def _express_in_all_columns(model: Any, fold: FoldRows) -> None:
    """Let a PCA, a linear classifier or a calibrated SVC that was fitted on reduced rows take standardised rows."""
    if hasattr(model, "calibrated_classifiers_"):
        machine = model.calibrated_classifiers_[0].estimator
        # Its kernel has the same values for the full rows.
        machine.support_vectors_ = np.ascontiguousarray(fold.standardised[machine.support_])
        machine.shape_fit_ = fold.standardised.shape
        machine.n_features_in_ = fold.train.shape[1]
    for name in ("coef_", "means_", "components_"):
        if name in vars(model):
            setattr(model, name, fold.to_all_columns(getattr(model, name)))
    if "mean_" in vars(model):
        model.mean_ = fold.standardised.mean(axis=0)
    # LDA's covariance of all columns would have their number squared.
    vars(model).pop("covariance_", None)
    model.n_features_in_ = fold.train.shape[1]
