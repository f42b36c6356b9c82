"""Accuracy by subgroup: for each further column of the manifest, whether it is the same for all its values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.audits.column_values import ColumnValues, divide_columns
from featx.stats import SIGNIFICANT, Score, grouped_share, holm, homogeneity


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
        p_value: The p-value of the hypothesis that the accuracy is the same for all values.
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

    Returns:
        One result for each column that divides the images, in their order; none if no column does.
    """
    return scores_of(correct, divide_columns(columns)[0], groups, seed)


def scores_of(
    correct: NDArray[np.bool_],
    divided: Sequence[ColumnValues],
    groups: NDArray[np.int64] | None,
    seed: int,
) -> tuple[ColumnScores, ...]:
    """Return the accuracy by the values of columns that were divided, see `subgroup_scores`."""
    own = np.arange(len(correct)) if groups is None else groups
    subgroups = {column.name: _subgroups(correct, column, own) for column in divided}
    compared = [column for column in divided if len(subgroups[column.name]) > 1]
    p_values = {column.name: _p_value(correct, column, own, seed) for column in compared}
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
            share = grouped_share(correct[chosen], groups[chosen])
            score = Score(share.n, share.correct, None, groups=share.groups, effective=share.effective)
            rows.append(SubgroupScore(value, score))
    return tuple(rows)


def _p_value(correct: NDArray[np.bool_], column: ColumnValues, groups: NDArray[np.int64], seed: int) -> float:
    known = column.number >= 0
    return homogeneity(correct[known], column.number[known].tolist(), groups[known], seed)
