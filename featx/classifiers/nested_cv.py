"""One fold of a nested cross-validation: parameters chosen within the training rows, then held-out rows predicted."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.classifiers.folds import Fold, group_counts, grouped_folds
from featx.classifiers.models import Classifier, Parameters
from featx.classifiers.pipelines import FoldRows, fit_model
from featx.errors import DataError

INNER_FOLDS = 3
# In place of the class number of a row whose class is not known: no model is fitted on the row or chosen by it.
UNKNOWN = -1

# Features by False, grey pixels by True where a classifier takes them.
Rows = Mapping[bool, NDArray[np.float32]]

# How good a model is on rows with these class numbers, and its summed log-loss, 0 without probabilities.
Goodness = Callable[[Any, NDArray[np.floating], NDArray[np.int64]], tuple[float, float]]


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
    fit, _ = fold
    inner = inner_folds(y[fit], [groups[number] for number in fit], seed)
    (results,) = evaluate_targets(classifiers, rows, [y[fit]], fold, inner, seed[0])
    return results


def evaluate_targets(
    classifiers: Sequence[Classifier],
    rows: Rows,
    targets: Sequence[NDArray[np.int64]],
    fold: Fold,
    inner: Sequence[Fold],
    seed: int,
    goodness: Goodness | None = None,
) -> list[dict[str, HeldOutResult]]:
    """Do the same for several targets, the class numbers of the fold's training rows, which share the transforms.

    The transforms are fitted on all training rows, models on those whose class is known.

    Args:
        classifiers: What is fitted.
        rows: All rows.
        targets: Each (n,) for the n training rows; may have `UNKNOWN`.
        fold: The training rows and the held-out rows, of which there may be none.
        inner: Folds of the training rows, to choose parameters and to calibrate.
        seed: That of the classifiers.
        goodness: What parameters are chosen by, see `choose`.
    """
    fit, held = fold
    chosen = choose(classifiers, {kind: X[fit] for kind, X in rows.items()}, targets, inner, seed, goodness)
    fold_rows = {kind: FoldRows(X[fit], X[held], seed) for kind, X in rows.items()}
    results: list[dict[str, HeldOutResult]] = []
    for y, of_target in zip(targets, chosen, strict=True):
        results.append({})
        calibration = _folds_of_known(inner, y)
        for classifier in classifiers:
            of_kind = fold_rows[classifier.pixels]
            train_X, held_X = of_kind.rows(of_kind.space_of(classifier))
            train_X, train_y = _known(train_X, y)
            parameters, seconds = of_target[classifier.name]
            parameters = usable(parameters, len(train_y))
            start = time.thread_time()
            model = fit_model(classifier, train_X, train_y, parameters, of_kind.facts, calibration)
            shares = np.asarray(model.predict_proba(held_X) if len(held) else np.empty((0, y.max() + 1)))
            results[-1][classifier.name] = HeldOutResult(shares, parameters, seconds + time.thread_time() - start)
    return results


def choose(
    classifiers: Sequence[Classifier],
    rows: Rows,
    targets: Sequence[NDArray[np.int64]],
    inner: Sequence[Fold],
    seed: int,
    goodness: Goodness | None = None,
) -> list[dict[str, tuple[Parameters, float]]]:
    """Return for each target each classifier's parameters that are best over inner folds, and the seconds it took.

    `goodness` of a model on held-out rows is the number of correct rows, if not given. Among equals, the lowest
    log-loss decides where the classifier gives probabilities of its own, else the simplest parameters, which stand
    first.
    """
    goodness = goodness or _correct_and_loss
    good = [{each.name: np.zeros(len(each.grid)) for each in classifiers} for _ in targets]
    losses = [{each.name: np.zeros(len(each.grid)) for each in classifiers} for _ in targets]
    seconds = [dict.fromkeys(of_target, 0.0) for of_target in good]
    for fit, held in inner:
        fold_rows = {kind: FoldRows(X[fit], X[held], seed) for kind, X in rows.items()}
        for (place, y), each in product(enumerate(targets), (each for each in classifiers if len(each.grid) > 1)):
            of_kind = fold_rows[each.pixels]
            train_X, held_X = of_kind.rows(of_kind.space_of(each))
            (train_X, train_y), (held_X, held_y) = _known(train_X, y[fit]), _known(held_X, y[held])
            if not len(held_y):
                continue
            start = time.thread_time()
            for number, parameters in enumerate(each.grid):
                model = each.build(usable(parameters, len(train_y)), of_kind.facts).fit(train_X, train_y)
                gained, loss = goodness(model, held_X, held_y)
                good[place][each.name][number] += gained
                losses[place][each.name][number] += loss
            seconds[place][each.name] += time.thread_time() - start
    chosen = []
    for of_target, lost, spent in zip(good, losses, seconds, strict=True):
        best = {name: int(np.lexsort((lost[name], -of_target[name]))[0]) for name in of_target}
        chosen.append({each.name: (each.grid[best[each.name]], spent[each.name]) for each in classifiers})
    return chosen


def _known(X: NDArray[np.floating], y: NDArray[np.int64]) -> tuple[NDArray[np.floating], NDArray[np.int64]]:
    """Return the rows whose class is known, and their classes."""
    known = y != UNKNOWN
    return (X, y) if known.all() else (X[known], y[known])


def _folds_of_known(folds: Sequence[Fold], y: NDArray[np.int64]) -> list[Fold]:
    """Return the folds without rows whose class is not known, with the numbers that `_known` gives the others."""
    known = y != UNKNOWN
    number = np.cumsum(known) - 1
    return [(number[fit[known[fit]]], number[held[known[held]]]) for fit, held in folds if known[held].any()]


def _correct_and_loss(model: Any, X: NDArray[np.floating], y: NDArray[np.int64]) -> tuple[float, float]:
    """Return how many rows a model predicts correctly, and its summed log-loss; 0 without probabilities."""
    if not hasattr(model, "predict_proba"):
        return float(np.sum(model.predict(X) == y)), 0.0
    probabilities = model.predict_proba(X)
    hits = float(np.sum(model.classes_[probabilities.argmax(axis=1)] == y))
    return hits, summed_loss(probabilities, np.searchsorted(model.classes_, y))


def summed_loss(probabilities: NDArray[np.float64], columns: NDArray[np.int64]) -> float:
    """Return the sum of the log-losses of rows, given the column of each one's class."""
    own = probabilities[np.arange(len(columns)), columns]
    return float(-np.log(np.clip(own, np.finfo(np.float32).eps, 1)).sum())


def usable(parameters: Parameters, n: int) -> Parameters:
    """Return parameters that n rows allow: there are no more neighbours than rows."""
    if parameters.get("n_neighbors", 0) <= n:
        return parameters
    return {**parameters, "n_neighbors": n}
