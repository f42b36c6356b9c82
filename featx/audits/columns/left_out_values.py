"""Accuracy on images of a value of a column, such as a hospital, when no image of that value was trained on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.audits.columns.values import OTHERS, ColumnValues
from featx.audits.probes.probing import (
    FOLDS,
    Flags,
    Matrix,
    Numbers,
    draw_groups,
    gaussian_kernel,
    smoothed,
    whole_folds,
)
from featx.audits.probes.standard import StandardRows
from featx.errors import DataError
from featx.stats import Score, grouped_share

# A value needs at least two classes with as many images, and the other values as many of each of these classes.
LEAST_IMAGES = 5


@dataclass(frozen=True)
class LeftOut:
    """Accuracy on the images of one value.

    Attributes:
        value: The value.
        without: When no image of the value was trained on.
        mixed: When images of the value were trained on too, out of fold.
    """

    value: str
    without: Score
    mixed: Score

    @property
    def worse(self) -> bool:
        """Whether the accuracy is lower without such images: the two intervals do not touch."""
        ends = self.without.interval, self.mixed.interval
        return ends[0] is not None and ends[1] is not None and ends[0][1] < ends[1][0]

    def to_json(self) -> dict[str, Any]:
        """Return `value, n, correct, accuracy, interval`, and the same under `mixed`."""
        own, mixed = self.without.to_json(), self.mixed.to_json()
        del own["loss"], mixed["loss"]
        return {"value": self.value, **own, "mixed": mixed}


def leave_values_out(
    X: StandardRows, kinds: Numbers, column: ColumnValues, groups: Numbers, seed: int
) -> tuple[LeftOut, ...]:
    """Return the accuracy for each value that has enough images of two classes; none if fewer than two have.

    The classifier is kernel ridge regression on the indicators of the classes, as in the search for shortcuts. Images
    of groups with several values are left out.

    Args:
        X: The features of n images.
        kinds: (n,) class numbers, -1 without a label.
        column: The column.
        groups: (n,) numbers of groups.
        seed: Seed of folds, and of the choice of images where there are many.
    """
    from threadpoolctl import threadpool_limits

    rows = np.flatnonzero((column.number >= 0) & (kinds >= 0))
    rows = rows[_one_value(column.number[rows], groups[rows])]
    rows = rows[_of_frequent(kinds[rows], groups[rows])]
    rows = rows[draw_groups(groups[rows], seed)]
    y, number, own = kinds[rows], column.number[rows], groups[rows]
    tested = _tested(y, number, column)
    if len(tested) < 2:
        return ()
    try:
        mixed_folds = whole_folds(y, own, FOLDS, seed)
    except DataError:
        return ()
    with threadpool_limits(1):
        kernel = gaussian_kernel(X.take(rows))
        return tuple(
            _left_out(kernel, y, own, (number == value, np.isin(y, classes)), mixed_folds, seed, column.values[value])
            for value, classes in tested.items()
        )


def _left_out(
    kernel: Matrix,
    y: Numbers,
    groups: Numbers,
    chosen: tuple[Flags, Flags],
    fold: Numbers,
    seed: int,
    value: str,
) -> LeftOut:
    """Return the accuracy on the images of a value; with such images in training, as many images are trained on."""
    inside, counted = chosen
    outside = np.flatnonzero(~inside)
    held = np.flatnonzero(inside & counted)
    without = _predicted(kernel, y, outside, held)
    mixed = np.zeros(len(held), np.int64)
    for number in np.unique(fold[held]):
        own = fold[held] == number
        fit = np.flatnonzero(fold != number)
        fit = fit[draw_groups(groups[fit], seed, len(outside))]
        mixed[own] = _predicted(kernel, y, fit, held[own])
    scores = [grouped_share(predicted == y[held], groups[held]).as_score() for predicted in (without, mixed)]
    return LeftOut(value, *scores)


def _predicted(kernel: Matrix, y: Numbers, fit: Numbers, held: Numbers) -> Numbers:
    """Return the classes of rows from a classifier that was fitted to other rows.

    All classes count the same: else it would be worse on a value only because classes are more frequent there.
    """
    classes, number, counts = np.unique(y[fit], return_inverse=True, return_counts=True)
    weights = len(fit) / (len(classes) * counts[number])
    share = weights / len(fit)
    own, across = kernel[np.ix_(fit, fit)], kernel[np.ix_(fit, held)]
    means, mean = own @ share, float(share @ own @ share)
    own = own - means - means[:, None] + mean
    across = across - means[:, None] - share @ across + mean
    indicators = np.eye(len(classes))[number] - 1 / len(classes)
    return np.asarray(classes[(smoothed(own, across, weights) @ indicators).argmax(axis=1)])


def _one_value(number: Numbers, groups: Numbers) -> NDArray[np.bool_]:
    """Return which images are of a group with one value only."""
    pairs = np.unique(np.stack([groups, number]), axis=1)[0]
    several = np.unique(pairs, return_counts=True)
    return np.asarray(np.isin(groups, several[0][several[1] == 1]))


def _of_frequent(y: Numbers, groups: Numbers) -> NDArray[np.bool_]:
    """Return which images are of a class with at least as many groups as there are folds."""
    kinds = np.unique(np.stack([y, groups]), axis=1)[0]
    classes, counts = np.unique(kinds, return_counts=True)
    return np.asarray(np.isin(y, classes[counts >= FOLDS]))


def _tested(y: Numbers, number: Numbers, column: ColumnValues) -> dict[int, list[int]]:
    """Return for each value that is tested the classes of which it and the other values have enough images."""
    tested = {}
    for value, name in enumerate(column.values):
        inside, outside = number == value, number != value
        classes = [
            kind
            for kind in np.unique(y).tolist()
            if min(np.sum(y[inside] == kind), np.sum(y[outside] == kind)) >= LEAST_IMAGES
        ]
        if len(classes) > 1 and name != OTHERS:
            tested[value] = classes
    return tested
