"""One fold of a nested cross-validation: parameters chosen within the training rows, then held-out rows predicted."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.classifiers.folds import Fold, group_counts, grouped_folds
from featx.classifiers.models import Classifier, Parameters
from featx.classifiers.pipelines import FoldRows, fit_model
from featx.errors import DataError

INNER_FOLDS = 3

# Features by False, grey pixels by True where a classifier takes them.
Rows = Mapping[bool, NDArray[np.float32]]


@dataclass(frozen=True)
class HeldOutResult:
    """The probabilities that a classifier gives for held-out rows, (m, classes), with its chosen parameters."""

    probabilities: NDArray[np.float64]
    parameters: Parameters
    # Processor time, without the transforms that classifiers share.
    seconds: float


def inner_folds(y: NDArray[np.int64], groups: Sequence[str], seed: Sequence[int]) -> list[Fold]:
    """Divide training rows to choose parameters and to calibrate: 3 folds, or 2 where a class has 2 groups."""
    fewest = min(group_counts(y, groups, int(y.max()) + 1))
    if fewest < 2:
        raise DataError(
            "Expected images of at least 2 groups of each class in the training part of each fold, because it is "
            "divided again to choose parameters, but found 1; add images of more groups to the smallest class, or "
            "use more --folds."
        )
    return grouped_folds(y, groups, min(INNER_FOLDS, fewest), seed)


def evaluate(
    classifiers: Sequence[Classifier],
    rows: Rows,
    y: NDArray[np.int64],
    groups: Sequence[str],
    fold: Fold,
    seed: Sequence[int],
) -> dict[str, HeldOutResult]:
    """Choose each classifier's parameters on the training rows of a fold, fit it on them, predict the held-out rows.

    There may be no held-out rows. The first number of the seed is that of the classifiers.
    """
    fit, held = fold
    inner = inner_folds(y[fit], [groups[number] for number in fit], seed)
    chosen = choose(classifiers, {kind: X[fit] for kind, X in rows.items()}, y[fit], inner, seed[0])
    fold_rows = {kind: FoldRows(X[fit], X[held], seed[0]) for kind, X in rows.items()}
    results = {}
    for classifier in classifiers:
        of_kind = fold_rows[classifier.pixels]
        train_X, held_X = of_kind.rows(of_kind.space_of(classifier))
        parameters, seconds = chosen[classifier.name]
        parameters = usable(parameters, len(fit))
        start = time.thread_time()
        model = fit_model(classifier, train_X, y[fit], parameters, of_kind.facts, inner)
        probabilities = np.asarray(model.predict_proba(held_X) if len(held) else np.empty((0, y.max() + 1)))
        results[classifier.name] = HeldOutResult(probabilities, parameters, seconds + time.thread_time() - start)
    return results


def choose(
    classifiers: Sequence[Classifier], rows: Rows, y: NDArray[np.int64], inner: Sequence[Fold], seed: int
) -> dict[str, tuple[Parameters, float]]:
    """Return each classifier's parameters of the highest accuracy over inner folds, and the seconds it took.

    Among equals, the lowest log-loss decides where the classifier gives probabilities of its own, else the simplest
    parameters, which stand first.
    """
    correct = {each.name: np.zeros(len(each.grid), np.int64) for each in classifiers}
    losses = {each.name: np.zeros(len(each.grid)) for each in classifiers}
    seconds = dict.fromkeys(correct, 0.0)
    for fit, held in inner:
        fold_rows = {kind: FoldRows(X[fit], X[held], seed) for kind, X in rows.items()}
        for each in (each for each in classifiers if len(each.grid) > 1):
            of_kind = fold_rows[each.pixels]
            train_X, held_X = of_kind.rows(of_kind.space_of(each))
            start = time.thread_time()
            for number, parameters in enumerate(each.grid):
                model = each.build(usable(parameters, len(fit)), of_kind.facts).fit(train_X, y[fit])
                hits, loss = _correct_and_loss(model, held_X, y[held])
                correct[each.name][number] += hits
                losses[each.name][number] += loss
            seconds[each.name] += time.thread_time() - start
    best = {name: int(np.lexsort((losses[name], -correct[name]))[0]) for name in correct}
    return {each.name: (each.grid[best[each.name]], seconds[each.name]) for each in classifiers}


def _correct_and_loss(model: Any, X: NDArray[np.floating], y: NDArray[np.int64]) -> tuple[int, float]:
    """Return how many rows a model predicts correctly, and its summed log-loss; 0 without probabilities."""
    if not hasattr(model, "predict_proba"):
        return int(np.sum(model.predict(X) == y)), 0.0
    probabilities = model.predict_proba(X)
    of_class = probabilities[np.arange(len(y)), np.searchsorted(model.classes_, y)]
    loss = float(-np.log(np.clip(of_class, np.finfo(np.float32).eps, 1)).sum())
    return int(np.sum(model.classes_[probabilities.argmax(axis=1)] == y)), loss


def usable(parameters: Parameters, n: int) -> Parameters:
    """Return parameters that n rows allow: there are no more neighbours than rows."""
    if parameters.get("n_neighbors", 0) <= n:
        return parameters
    return {**parameters, "n_neighbors": n}
