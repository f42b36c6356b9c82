"""One fold of a nested cross-validation: parameters chosen within the rows to fit on, then the rows held out."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.classifiers.folds import Fold, possible_folds, unit_folds
from featx.classifiers.models import Classifier, Facts, Parameters
from featx.classifiers.prepared import Prepared

INNER_FOLDS = 3

Rows = Mapping[bool, NDArray[np.float32]]


@dataclass(frozen=True)
class Outcome:
    """What a classifier made of the rows held out.

    Attributes:
        probabilities: (m, classes).
        parameters: What was chosen.
        seconds: Of processor time, without the preparation of rows that classifiers share.
    """

    probabilities: NDArray[np.float64]
    parameters: Parameters
    seconds: float


def inner_folds(y: NDArray[np.int64], units: Sequence[str], seed: Sequence[int]) -> list[Fold]:
    """Divide rows to fit on, to choose parameters and to calibrate: 3 folds, or 2 where a class has 2 units.

    Raises:
        DataError: A class has a single unit.
    """
    names = [str(number) for number in range(int(y.max()) + 1)]
    return unit_folds(y, units, possible_folds(y, units, names, INNER_FOLDS, least=2), seed)


def evaluate(
    classifiers: Sequence[Classifier],
    rows: Rows,
    y: NDArray[np.int64],
    units: Sequence[str],
    fold: Fold,
    seed: Sequence[int],
) -> dict[str, Outcome]:
    """Choose each classifier's parameters on some rows alone, fit it on them, and predict others.

    Args:
        classifiers: Which.
        rows: (n, d) features by False, and raw pixels by True where a classifier takes them.
        y: (n,) class numbers; only those of the rows to fit on are looked at.
        units: (n,) units.
        fold: Numbers of the rows to fit on and of the rows to predict, of which there may be none.
        seed: Numbers that decide together; the first is the classifiers' own.
    """
    fit, held = fold
    own = [units[number] for number in fit]
    inner = inner_folds(y[fit], own, seed)
    mine = {kind: X[fit] for kind, X in rows.items()}
    chosen = choose(classifiers, mine, y[fit], inner, seed[0])
    found = {}
    prepared = {kind: Prepared(mine[kind], X[held], seed[0]) for kind, X in rows.items()}
    for classifier in classifiers:
        parameters, seconds = chosen[classifier.name]
        ready = prepared[classifier.pixels]
        known, asked = ready.rows(classifier.space)
        facts = ready.facts
        start = time.thread_time()
        parameters = usable(parameters, len(fit))
        model = fitted(classifier, known, y[fit], parameters, facts, inner)
        probabilities = np.asarray(model.predict_proba(asked) if len(held) else np.empty((0, y.max() + 1)))
        found[classifier.name] = Outcome(probabilities, parameters, seconds + time.thread_time() - start)
    return found


def choose(
    classifiers: Sequence[Classifier], rows: Rows, y: NDArray[np.int64], inner: Sequence[Fold], seed: int
) -> dict[str, tuple[Parameters, float]]:
    """Return each classifier's parameters of the highest accuracy over inner folds, and the seconds it took.

    Of equals, those of the lowest log-loss are taken where the classifier gives probabilities of its own, else the
    simplest, which stand first.

    Args:
        classifiers: Which.
        rows: As for `evaluate`, of the rows to fit on.
        y: (n,) class numbers.
        inner: Folds of these rows.
        seed: The classifiers' own.
    """
    right = {row.name: np.zeros(len(row.grid), np.int64) for row in classifiers}
    losses = {row.name: np.zeros(len(row.grid)) for row in classifiers}
    seconds = dict.fromkeys(right, 0.0)
    for fit, held in inner:
        prepared = {kind: Prepared(X[fit], X[held], seed) for kind, X in rows.items()}
        for row in (row for row in classifiers if len(row.grid) > 1):
            ready = prepared[row.pixels]
            known, asked = ready.rows(row.space)
            facts = ready.facts
            start = time.thread_time()
            for number, parameters in enumerate(row.grid):
                model = row.build(usable(parameters, len(fit)), facts).fit(known, y[fit])
                hits, loss = _tried(model, asked, y[held])
                right[row.name][number] += hits
                losses[row.name][number] += loss
            seconds[row.name] += time.thread_time() - start
    best = {name: int(np.lexsort((losses[name], -right[name]))[0]) for name in right}
    return {row.name: (row.grid[best[row.name]], seconds[row.name]) for row in classifiers}


def _tried(model: Any, X: NDArray[np.floating], y: NDArray[np.int64]) -> tuple[int, float]:
    """Return how many rows a model gets right, and its summed log-loss; 0 where it has no probabilities."""
    if not hasattr(model, "predict_proba"):
        return int(np.sum(model.predict(X) == y)), 0.0
    probabilities = model.predict_proba(X)
    own = probabilities[np.arange(len(y)), np.searchsorted(model.classes_, y)]
    loss = float(-np.log(np.clip(own, np.finfo(np.float32).eps, 1)).sum())
    return int(np.sum(model.classes_[probabilities.argmax(axis=1)] == y)), loss


def fitted(
    classifier: Classifier,
    X: NDArray[np.floating],
    y: NDArray[Any],
    parameters: Parameters,
    facts: Facts,
    inner: Sequence[Fold],
) -> Any:
    """Return a scikit-learn classifier fitted on rows in its space, calibrated on inner folds where it needs that."""
    model = classifier.build(parameters, facts)
    if classifier.calibrated:
        from sklearn.calibration import CalibratedClassifierCV

        model = CalibratedClassifierCV(model, method="sigmoid", cv=list(inner), ensemble=False)
    return model.fit(X, y)


def usable(parameters: Parameters, n: int) -> Parameters:
    """Return parameters that n rows allow: there are no more neighbours than rows."""
    if parameters.get("n_neighbors", 0) <= n:
        return parameters
    return {**parameters, "n_neighbors": n}
