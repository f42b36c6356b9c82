"""The classifiers that are compared: a table of what each is, what its rows go through, and what is tried."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import product
from typing import Any, Literal

from featx.classifiers.shrinkage import LedoitWolfOfWidth
from featx.errors import UsageError

# Rows standardised (and turned, where that changes nothing), their principal components, or as they are.
Space = Literal["standardised", "components", "plain"]
Parameters = Mapping[str, Any]

COSTS = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0)


@dataclass(frozen=True)
class Facts:
    """What is known of the rows that a classifier is fitted on.

    Attributes:
        width: Columns of the rows before any reduction.
        varying: Total variance of the rows as standardised: how many columns vary.
        seed: Of what a classifier draws.
    """

    width: int
    varying: float
    seed: int


@dataclass(frozen=True)
class Classifier:
    """One row of the table.

    Attributes:
        name: As in `--classifiers`.
        description: What it is and what its rows go through.
        space: Which rows it takes.
        build: A new scikit-learn classifier of parameters and facts.
        grid: Parameters to choose from, the simplest model first; one entry leaves no choice.
        calibrated: Whether its probabilities come of a calibration within the training part.
        kernel: Whether its work grows with the square of the rows.
        baseline: Whether it is there to show what the others add.
        pixels: Whether it takes raw pixels instead of features.
    """

    name: str
    description: str
    space: Space
    build: Callable[[Parameters, Facts], Any]
    grid: Sequence[Parameters] = ({},)
    calibrated: bool = False
    kernel: bool = False
    baseline: bool = False
    pixels: bool = False


def _grid(**values: Sequence[Any]) -> tuple[dict[str, Any], ...]:
    return tuple(dict(zip(values, chosen, strict=True)) for chosen in product(*values.values()))


def _logreg(parameters: Parameters, facts: Facts) -> Any:
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(**parameters, tol=1e-5, max_iter=1000)


def _svm_linear(parameters: Parameters, facts: Facts) -> Any:
    from sklearn.svm import SVC

    return SVC(kernel="linear", **parameters)


def _svm_rbf(parameters: Parameters, facts: Facts) -> Any:
    from sklearn.svm import SVC

    # A gamma of 1 by total variance is scikit-learn's "scale", which would see the turned columns.
    return SVC(kernel="rbf", C=parameters["C"], gamma=parameters["gamma_scale"] / max(facts.varying, 1.0))


def _knn(parameters: Parameters, facts: Facts) -> Any:
    from sklearn.neighbors import KNeighborsClassifier

    return KNeighborsClassifier(**parameters, algorithm="brute")


def _lda(parameters: Parameters, facts: Facts) -> Any:
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

    return LinearDiscriminantAnalysis(solver="lsqr", covariance_estimator=LedoitWolfOfWidth(facts.width))


def _forest(parameters: Parameters, facts: Facts) -> Any:
    from sklearn.ensemble import RandomForestClassifier

    return RandomForestClassifier(**parameters, random_state=facts.seed)


def _boosting(parameters: Parameters, facts: Facts) -> Any:
    from sklearn.ensemble import HistGradientBoostingClassifier

    # Its own early stopping would hold out rows without regard to units.
    return HistGradientBoostingClassifier(**parameters, early_stopping=False, random_state=facts.seed)


def _majority(parameters: Parameters, facts: Facts) -> Any:
    from sklearn.dummy import DummyClassifier

    return DummyClassifier(strategy="prior")


_CALIBRATED = "probabilities by Platt's calibration on folds of the training part"

CLASSIFIERS: Mapping[str, Classifier] = {
    row.name: row
    for row in (
        Classifier(
            "logreg",
            "Logistic regression with an L2 penalty on standardised features; C is chosen.",
            "standardised",
            _logreg,
            _grid(C=COSTS),
        ),
        Classifier(
            "svm-linear",
            f"Linear support vector machine on standardised features; C is chosen; {_CALIBRATED}.",
            "standardised",
            _svm_linear,
            _grid(C=COSTS[:-1]),
            calibrated=True,
            kernel=True,
        ),
        Classifier(
            "svm-rbf",
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
            "Nearest neighbours by Euclidean distance between standardised features; their number and weights are "
            "chosen.",
            "standardised",
            _knn,
            _grid(n_neighbors=(15, 9, 5, 3, 1), weights=("uniform", "distance")),
            kernel=True,
        ),
        Classifier(
            "lda",
            "Linear discriminant analysis on standardised features; each class's covariance shrunk as Ledoit and "
            "Wolf (2004) estimate.",
            "standardised",
            _lda,
        ),
        Classifier(
            "forest",
            "Random forest of 300 trees on the features as they are.",
            "plain",
            _forest,
            ({"n_estimators": 300},),
        ),
        Classifier(
            "boosting",
            "Gradient boosting by histograms on the features as they are; beyond 256 columns on the 50 first "
            "principal components of the standardised training rows.",
            "components",
            _boosting,
            ({"max_iter": 100, "learning_rate": 0.1},),
        ),
        Classifier(
            "pixels",
            "Baseline: logistic regression as above on raw grey pixels, without the network.",
            "standardised",
            _logreg,
            _grid(C=COSTS),
            baseline=True,
            pixels=True,
        ),
        Classifier(
            "majority",
            "Baseline: always the most frequent class, with the classes' shares as probabilities.",
            "plain",
            _majority,
            baseline=True,
        ),
    )
}


def find_classifiers(names: Sequence[str] | None) -> tuple[Classifier, ...]:
    """Return the rows of these names and the majority baseline, in the table's order; all of them for None.

    Raises:
        UsageError: A name is not known, or there is none.
    """
    if names is None:
        return tuple(CLASSIFIERS.values())
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
