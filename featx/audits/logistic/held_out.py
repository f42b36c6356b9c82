"""Probabilities of images from models that were fitted without them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from featx.audits.logistic.regression import held_out_logistic
from featx.classifiers import grouped_folds
from featx.data import first_few
from featx.errors import DataError
from featx.progress import report_progress

FOLDS = 5
# With fewer groups a fold's training part may have a single one of a class.
LEAST_GROUPS = 3
# Values of C that are tried on standardised features; one is chosen by the loss of the held-out images.
COSTS = (1e-3, 1e-2, 1e-1, 1.0)

Fold = tuple[NDArray[np.int64], NDArray[np.int64]]


@dataclass(frozen=True)
class OutOfFold:
    """Out-of-fold probabilities of m images.

    Attributes:
        rows: (m,) the numbers of the rows of the source.
        probabilities: (m, classes); with several repeats their mean.
        fold: (m,) the fold that held each image out in the first repeat.
        cost: The value of C, which is the inverse of the penalty.
    """

    rows: NDArray[np.int64]
    probabilities: NDArray[np.float64]
    fold: NDArray[np.int64]
    cost: float = COSTS[1]


def out_of_fold(
    X: NDArray[np.float32],
    y: NDArray[np.int64],
    groups: NDArray[np.int64],
    rows: NDArray[np.int64],
    classes: Sequence[str],
    seed: int,
    repeats: int = 1,
    unfit: NDArray[np.int64] | None = None,
) -> OutOfFold:
    """Return probabilities of logistic regression on standardised features, in folds with whole groups.

    C is the one of `COSTS` whose held-out images of the first repeat have the lowest mean cross-entropy. As it is one
    number of four, chosen for all images together, the probabilities are hardly better for it than those of new
    images.

    Args:
        X: (n, d) features.
        y: (n,) class numbers, below 0 for images without a label, which are left out.
        groups: (n,) numbers of groups.
        rows: Numbers of the rows to take.
        classes: The names of the classes.
        seed: Seed of the folds.
        repeats: How often the images are divided into folds; the mean of the probabilities is returned.
        unfit: Numbers of rows on which nothing is fitted, and which do not count in the choice of C. They get
            probabilities like the others. Where a fold would lose a class without them, they are fitted on.

    Raises:
        DataError: There are no two classes, or too few groups in one.
    """
    rows = rows[y[rows] >= 0]
    own = y[rows]
    fits = np.isin(rows, [] if unfit is None else unfit, invert=True)
    if not fits.any():
        fits[:] = True
    divided = folds_of(own, groups[rows], classes, [seed])
    held = _held_out(X[rows], own, divided, fits, COSTS, len(classes))
    best = int(np.argmin([cross_entropy(probabilities[fits], own[fits]) for probabilities in held]))
    total = held[best]
    for repeat in range(1, repeats):
        report_progress("fitting on folds", repeat, repeats)
        again = folds_of(own, groups[rows], classes, [seed, repeat])
        total = total + _held_out(X[rows], own, again, fits, COSTS[best : best + 1], len(classes))[0]
    number = np.zeros(len(rows), np.int64)
    for place, (_, out) in enumerate(divided):
        number[out] = place
    return OutOfFold(rows, total / repeats, number, COSTS[best])


def folds_of(
    y: NDArray[np.int64], groups: NDArray[np.int64], classes: Sequence[str], seed: Sequence[int]
) -> list[Fold]:
    """Divide labelled images into at most `FOLDS` folds with whole groups and every class in each training part.

    Raises:
        DataError: There are no two classes, or a class has fewer than `LEAST_GROUPS` groups.
    """
    there, number = np.unique(y, return_inverse=True)
    if len(there) < 2:
        raise DataError("Expected images of at least two classes, with one label each, found fewer.")
    counts = [len(np.unique(groups[number == place])) for place in range(len(there))]
    few = [f"{classes[there[place]]} ({count})" for place, count in enumerate(counts) if count < LEAST_GROUPS]
    if few:
        raise DataError(
            f"Expected images of at least {LEAST_GROUPS} groups (an image without a group counts as one) in each "
            f"class to hold some out, found fewer for {first_few(few)}; add images, or leave these classes out."
        )
    try:
        return grouped_folds(number, [str(group) for group in groups], min(FOLDS, *counts), seed)
    except DataError as error:
        raise DataError(
            "Expected every class in the training part of each fold, but whole groups do not allow that; add images "
            "of more groups to the smallest class."
        ) from error


def cross_entropy(probabilities: NDArray[np.float64], y: NDArray[np.int64]) -> float:
    """Return the mean cross-entropy in nats; a probability of 0 counts as 1e-12."""
    return float(-np.log(np.maximum(probabilities[np.arange(len(y)), y], 1e-12)).mean())


def _held_out(
    X: NDArray[np.float32],
    y: NDArray[np.int64],
    folds: Sequence[Fold],
    fits: NDArray[np.bool_],
    costs: Sequence[float],
    classes: int,
) -> NDArray[np.float64]:
    """Return (c, m, classes) the probabilities of each image from the fold that holds it out."""
    probabilities = np.zeros((len(costs), len(y), classes))
    for fit, out in folds:
        kept = fit[fits[fit]]
        if len(np.unique(y[kept])) < len(np.unique(y[fit])):  # a class must not be lost
            kept = fit
        probabilities[:, out] = held_out_logistic(X[kept], y[kept], X[out], costs, classes)
    return probabilities
