"""The table of the classifiers: what each is, how its features are transformed, which parameters are tried."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import product
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from featx.errors import UsageError
from featx.files import several

# Standardised rows, their principal components, or rows as they are; see `FoldRows`.
Space = Literal["standardised", "components", "plain"]
Parameters = Mapping[str, Any]

COSTS = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0)


@dataclass(frozen=True)
class RowFacts:
    """What a classifier must know of the rows it is fitted on, apart from the rows themselves."""

    # Columns of the rows before any reduction.
    width: int
    # The total variance of the standardised rows: how many columns vary.
    total_variance: float
    seed: int


@dataclass(frozen=True)
class Classifier:
    """One line of the table.

    Attributes:
        title: What pictures and pages call it.
        build: Makes an unfitted scikit-learn classifier.
        grid: Parameters to choose from, the simplest model first; with one entry there is no choice.
        calibrated: Whether its probabilities come from a calibration within the training part.
        kernel: Whether its work grows with the square of the number of rows.
        baseline: Whether it shows what the others gain.
        pixels: Whether it takes grey pixels instead of features.
    """

    name: str
    title: str
    description: str
    space: Space
    build: Callable[[Parameters, RowFacts], Any]
    grid: Sequence[Parameters] = ({},)
    calibrated: bool = False
    kernel: bool = False
    baseline: bool = False
    pixels: bool = False


def _grid(**values: Sequence[Any]) -> tuple[dict[str, Any], ...]:
    return tuple(dict(zip(values, chosen, strict=True)) for chosen in product(*values.values()))


def _logreg(parameters: Parameters, facts: RowFacts) -> Any:
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(**parameters, tol=1e-5, max_iter=1000)


def _svm_linear(parameters: Parameters, facts: RowFacts) -> Any:
    from sklearn.svm import SVC

    return SVC(kernel="linear", **parameters)


def _svm_rbf(parameters: Parameters, facts: RowFacts) -> Any:
    from sklearn.svm import SVC

    # With gamma_scale 1 this is scikit-learn's gamma="scale".
    return SVC(kernel="rbf", C=parameters["C"], gamma=parameters["gamma_scale"] / max(facts.total_variance, 1.0))


def _knn(parameters: Parameters, facts: RowFacts) -> Any:
    from sklearn.neighbors import KNeighborsClassifier

    return KNeighborsClassifier(**parameters, algorithm="brute")


def _lda(parameters: Parameters, facts: RowFacts) -> Any:
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

    return LinearDiscriminantAnalysis(solver="lsqr", covariance_estimator=ReducedLedoitWolf(facts.width))


def _forest(parameters: Parameters, facts: RowFacts) -> Any:
    from sklearn.ensemble import RandomForestClassifier

    return RandomForestClassifier(**parameters, random_state=facts.seed)


def _boosting(parameters: Parameters, facts: RowFacts) -> Any:
    from sklearn.ensemble import HistGradientBoostingClassifier

    # Its own early stopping would divide groups.
    return HistGradientBoostingClassifier(**parameters, early_stopping=False, random_state=facts.seed)


def _majority(parameters: Parameters, facts: RowFacts) -> Any:
    from sklearn.dummy import DummyClassifier

    return DummyClassifier(strategy="prior")


_CALIBRATED = "probabilities by Platt's calibration on folds of the training part"

CLASSIFIERS: Mapping[str, Classifier] = {
    row.name: row
    for row in (
        Classifier(
            "logreg",
            "logistic regression",
            "Logistic regression with an L2 penalty on standardised features; C is chosen.",
            "standardised",
            _logreg,
            _grid(C=COSTS),
        ),
        Classifier(
            "svm-linear",
            "SVM, linear",
            f"Linear support vector machine on standardised features; C is chosen; {_CALIBRATED}.",
            "standardised",
            _svm_linear,
            _grid(C=COSTS[:-1]),
            calibrated=True,
            kernel=True,
        ),
        Classifier(
            "svm-rbf",
            "SVM, RBF kernel",
            "Support vector machine with a Gaussian kernel on standardised features; C and gamma, as a multiple of "
            f"1 / total variance, are chosen; {_CALIBRATED}.",
            "standardised",
            _svm_rbf,
            _grid(C=(1.0, 10.0, 100.0, 1000.0), gamma_scale=(0.01, 0.1, 1.0)),
            calibrated=True,
            kernel=True,
        ),
        Classifier(
            "knn",
            "nearest neighbours",
            "Nearest neighbours by Euclidean distance between standardised features; their number and weights are "
            "chosen.",
            "standardised",
            _knn,
            _grid(n_neighbors=(15, 9, 5, 3, 1), weights=("uniform", "distance")),
            kernel=True,
        ),
        Classifier(
            "lda",
            "linear discriminant",
            "Linear discriminant analysis on standardised features; the covariance of each class is shrunk as Ledoit "
            "and Wolf (2004) estimate.",
            "standardised",
            _lda,
        ),
        Classifier(
            "forest",
            "random forest",
            "Random forest of 300 trees on the features without standardisation.",
            "plain",
            _forest,
            ({"n_estimators": 300},),
        ),
        Classifier(
            "boosting",
            "gradient boosting",
            "Gradient boosting by histograms on the features without standardisation; with more than 256 columns, on "
            "the first 50 principal components of the standardised features.",
            "components",
            _boosting,
            ({"max_iter": 100, "learning_rate": 0.1},),
        ),
        Classifier(
            "pixels",
            "pixels only",
            "Baseline: logistic regression on standardised grey pixels, without the network; C is chosen.",
            "standardised",
            _logreg,
            _grid(C=COSTS),
            baseline=True,
            pixels=True,
        ),
        Classifier(
            "majority",
            "most frequent class",
            "Baseline: always the most frequent class; the probabilities are the shares of the classes.",
            "plain",
            _majority,
            baseline=True,
        ),
    )
}


def title_of(name: str) -> str:
    """Return what pictures and pages call a row of a comparison; the run's head has no other name."""
    return CLASSIFIERS[name].title if name in CLASSIFIERS else name


class ReducedLedoitWolf:
    """Scikit-learn's LedoitWolf for rows of `width` columns, given the same rows reduced by kernel PCA.

    The formula needs only inner products of the rows and the number of columns. Source: Ledoit and Wolf, "A
    well-conditioned estimator for large-dimensional covariance matrices", Journal of Multivariate Analysis 88 (2004),
    365-411.
    """

    def __init__(self, width: int) -> None:
        self.width = width

    def fit(self, X: NDArray[np.float64]) -> ReducedLedoitWolf:
        """Estimate `covariance_`, (k, k), and `shrinkage_`, 0 to 1, from (n, k) rows."""
        n, width = len(X), self.width
        rows = X - X.mean(axis=0)
        norms = np.sum(rows**2, axis=1)
        # The covariance has the same sum of squares as the inner products.
        products = rows @ rows.T if n < X.shape[1] else rows.T @ rows
        squares = float(np.sum(products**2)) / n**2
        mean_variance = float(norms.sum()) / n / width
        noise = (float(np.sum(norms**2)) / n - squares) / (width * n)
        distance = squares / width - mean_variance**2
        # Equal rows have nothing to shrink.
        self.shrinkage_ = min(noise, distance) / distance if noise > 0 and distance > 0 else 0.0
        self.covariance_ = (1 - self.shrinkage_) * (rows.T @ rows / n)
        self.covariance_.flat[:: X.shape[1] + 1] += self.shrinkage_ * mean_variance
        return self


def find_classifiers(names: Sequence[str] | None) -> tuple[Classifier, ...]:
    """Return the classifiers of these names and the majority baseline, in the table's order; all for None."""
    if names is None:
        return tuple(CLASSIFIERS.values())
    names = several(names, "names of classifiers")
    for name in names:
        if name not in CLASSIFIERS:
            near = get_close_matches(name, CLASSIFIERS, 1)
            raise UsageError(
                f"Expected classifiers out of {', '.join(CLASSIFIERS)}, received {name!r}"
                + (f"; did you mean {near[0]}?" if near else "; choose of these.")
            )
    if not names:
        raise UsageError(f"Expected at least one classifier out of {', '.join(CLASSIFIERS)}, received none.")
    return tuple(row for row in CLASSIFIERS.values() if row.name in names or row.name == "majority")
