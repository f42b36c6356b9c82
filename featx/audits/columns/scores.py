"""Accuracy by the values of columns, and whether it is the same for all values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.audits.columns.values import ColumnValues, divide_columns
from featx.stats import SIGNIFICANT, Score, grouped_share, holm, homogeneity

PERMUTATIONS = 999


@dataclass(frozen=True)
class SubgroupScore:
    """The accuracy on the images with one value of a column.

    Attributes:
        value: The value, a range of numbers, or `others` for rare values together.
        score: Accuracy with its interval; its loss is None.
    """

    value: str
    score: Score


@dataclass(frozen=True)
class ColumnScores:
    """The accuracy by the values of one column.

    Attributes:
        column: The column of the manifest.
        subgroups: For each value the accuracy; at least two.
        missing: Number of images without a value, which are left out.
        pooled: Rare values that are counted as `others`, or left out if they are very few images.
        p_value: The p-value of the hypothesis that the accuracy is the same for all values, see `subgroup_scores`.
        corrected_p: The same, corrected for the number of columns by Holm's method.
    """

    column: str
    subgroups: tuple[SubgroupScore, ...]
    missing: int
    pooled: tuple[str, ...]
    p_value: float
    corrected_p: float

    @property
    def worst(self) -> SubgroupScore:
        """The value with the lowest accuracy; of several, that with the most images."""
        return min(self.subgroups, key=lambda one: (one.score.correct / one.score.n, -one.score.n))

    @property
    def differs(self) -> bool:
        """Whether the accuracies differ by more than chance gives, with all columns taken into account."""
        return self.corrected_p < SIGNIFICANT

    def to_json(self) -> dict[str, Any]:
        """Return the attributes; `subgroups` has `value, n, correct, accuracy, interval` of each."""
        rows = []
        for one in self.subgroups:
            score = one.score.to_json()
            score.pop("loss")
            rows.append({"value": one.value, **score})
        return {
            "column": self.column,
            "subgroups": rows,
            "worst": self.worst.value,
            "missing": self.missing,
            "pooled": list(self.pooled),
            "p_value": self.p_value,
            "corrected_p": self.corrected_p,
            "differs": self.differs,
        }


def subgroup_scores(
    correct: NDArray[np.bool_],
    columns: Mapping[str, Sequence[Any]],
    groups: NDArray[np.int64] | None = None,
    seed: int = 0,
    classes: NDArray[np.int64] | None = None,
) -> tuple[ColumnScores, ...]:
    """Return the accuracy by the values of each column that divides the images.

    Columns of numbers with more than eight distinct values are divided into thirds. Columns that name images (nearly
    every image has a value of its own), or that are the same for all, are left out; values of fewer than five images
    are pooled.

    Args:
        correct: (n,) True where an image was classified correctly.
        columns: Columns of n cells by name, text or numbers; None and "" are empty.
        groups: (n,) the number of each image's group, such as the patient; None if every image is its own.
        seed: Seed of the permutations.
        classes: (n,) the true class of each image. With it the p-values are of the hypothesis that the accuracy is
            the same for all values among images of the same class, because some classes are harder than others.

    Returns:
        One result for each column that divides the images, in their order; none if no column does.
    """
    return scores_of(correct, divide_columns(columns)[0], groups, seed, classes)


def scores_of(
    correct: NDArray[np.bool_],
    divided: Sequence[ColumnValues],
    groups: NDArray[np.int64] | None,
    seed: int,
    classes: NDArray[np.int64] | None = None,
) -> tuple[ColumnScores, ...]:
    """Return the accuracy by the values of columns that were divided, see `subgroup_scores`."""
    own = np.arange(len(correct)) if groups is None else groups
    subgroups = {column.name: _subgroups(correct, column, own) for column in divided}
    compared = [column for column in divided if len(subgroups[column.name]) > 1]
    p_values = {column.name: _p_value(correct, column, own, seed, classes) for column in compared}
    corrected = holm(p_values)
    return tuple(
        ColumnScores(
            column.name,
            subgroups[column.name],
            column.missing,
            column.pooled,
            p_values[column.name],
            corrected[column.name],
        )
        for column in compared
    )


def _subgroups(
    correct: NDArray[np.bool_], column: ColumnValues, groups: NDArray[np.int64]
) -> tuple[SubgroupScore, ...]:
    rows = []
    for place, value in enumerate(column.values):
        chosen = column.number == place
        if chosen.any():
            rows.append(SubgroupScore(value, grouped_share(correct[chosen], groups[chosen]).as_score()))
    return tuple(rows)


def _p_value(
    correct: NDArray[np.bool_],
    column: ColumnValues,
    groups: NDArray[np.int64],
    seed: int,
    classes: NDArray[np.int64] | None,
) -> float:
    known = column.number >= 0
    if classes is not None:
        return _p_of_same_class(correct[known], column.number[known], groups[known], classes[known], seed)
    return homogeneity(correct[known], column.number[known].tolist(), groups[known], seed)


def _p_of_same_class(
    correct: NDArray[np.bool_],
    number: NDArray[np.int64],
    groups: NDArray[np.int64],
    classes: NDArray[np.int64],
    seed: int,
) -> float:
    """Return the p-value that values have the same accuracy in each class; whole groups exchange values in a class.

    The statistic is the sum of squares of the values' excess of correct images over what their classes give.
    """
    rest = correct.astype(np.float64)
    for kind in np.unique(classes):
        rest[classes == kind] -= rest[classes == kind].mean()
    units, unit = np.unique(np.stack([classes, groups, number]), axis=1, return_inverse=True)
    own = unit.ravel()
    sums, sizes = np.bincount(own, rest), np.bincount(own).astype(np.float64)
    values = np.repeat(units[2][:, None], 1 + PERMUTATIONS, axis=1)
    generator = np.random.default_rng(seed)
    for kind in np.unique(units[0]):
        chosen = np.flatnonzero(units[0] == kind)
        values[chosen, 1:] = generator.permuted(values[chosen, 1:], axis=0)
    statistics = np.zeros(1 + PERMUTATIONS)
    for value in np.unique(number):
        there = values == value
        statistics += (sums @ there) ** 2 / np.maximum(sizes @ there, 1)
    return float(np.mean(statistics >= statistics[0] - 1e-9))
