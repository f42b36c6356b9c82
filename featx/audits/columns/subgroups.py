"""Accuracy by subgroup: the part of the audit that compares it between the values of further columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from featx.audits.columns.scores import ColumnScores, scores_of
from featx.audits.columns.values import divide_columns
from featx.audits.judged import judged_images
from featx.audits.parts import Part
from featx.data import first_few
from featx.errors import DataError
from featx.stats import THRESHOLD, Score, grouped_share
from featx.text import images, interval_percent, percent

if TYPE_CHECKING:
    from featx.audits.opened import AuditData
    from featx.pages import Block


@dataclass(frozen=True)
class Subgroups(Part):
    """The accuracy by the values of the further columns of the manifest.

    Attributes:
        results: One for each column that divides the images.
        ignored: The other columns, and why they divide nothing.
        score: The accuracy on all images.
        on: What classified which images, in words.
    """

    key: ClassVar[str] = "subgroups"
    title: ClassVar[str] = "Is the accuracy the same for all?"

    results: tuple[ColumnScores, ...]
    ignored: Mapping[str, str]
    score: Score
    on: str

    def to_json(self) -> list[dict[str, Any]]:
        """Return the results."""
        return [one.to_json() for one in self.results]

    def table(self) -> tuple[Sequence[str], Sequence[Sequence[Any]]]:
        """Return a row for each value of each column."""
        header = ("column", "value", "n", "correct", "accuracy", "low", "high", "p_value", "corrected_p")
        rows = []
        for column in self.results:
            for one in column.subgroups:
                score, (low, high) = one.score, one.score.interval or (None, None)
                numbers = (score.n, score.correct, score.accuracy, low, high)
                rows.append((column.column, one.value, *numbers, column.p_value, column.corrected_p))
        return header, rows

    def alarms(self) -> tuple[str, ...]:
        """Return a sentence for each column whose values differ by more than chance gives."""
        return tuple(_difference_words(one) for one in self.results if one.differs)

    def summary(self) -> tuple[str, ...]:
        """Return what was classified, and the worst value of all."""
        worst = min(self.results, key=lambda one: (one.corrected_p, one.column))
        score = worst.worst.score
        return (
            f"Accuracy of {self.on}: {percent(self.score.accuracy)} ({interval_percent(self.score.interval)}).",
            f"The lowest by {worst.column}: {worst.worst.value}, {percent(score.accuracy)} "
            f"({interval_percent(score.interval)}) of {images(score.n)}{score.in_groups}; p = "
            f"{worst.corrected_p:.3f} for no difference between images of the same class.",
        )

    def blocks(self, data: AuditData, prefix: str) -> tuple[Block, ...]:
        """Return the table, and how to read it."""
        return subgroup_blocks(self.results, self.ignored)


def subgroup_blocks(results: Sequence[ColumnScores], ignored: Mapping[str, str] | None = None) -> tuple[Block, ...]:
    """Return a table of accuracies by subgroup, and how to read it."""
    from featx.pages import Table, Text

    rows = []
    for column in results:
        for one in column.subgroups:
            mark = " (lowest)" if one is column.worst else ""
            share, ends = percent(one.score.accuracy), interval_percent(one.score.interval)
            cells = (one.value + mark, f"{one.score.n:,}{one.score.in_groups}", share, ends)
            rows.append((column.column, *cells, f"{column.corrected_p:.3f}"))
    header = ("column", "value", "images", "accuracy", "95 % interval", "p, no difference")
    left = [f"{name} ({reason})" for name, reason in (ignored or {}).items()]
    return (
        Table("Accuracy by the values of each column.", header, tuple(rows), frozenset({1})),
        Text(
            "p is that of a permutation test of whole groups that the accuracy is the same for all values among "
            "images of the same class, corrected for the number of columns by Holm's method. Where few images have a "
            "value, a large difference may pass unseen: look at the intervals. A value may be lower because its "
            "images are of other classes."
        ),
        *([Text(f"Not compared: {first_few(left)}.")] if left else []),
    )


def _difference_words(column: ColumnScores) -> str:
    worst = column.worst
    best = max(column.subgroups, key=lambda one: (one.score.correct / one.score.n, one.score.n))
    low, high = (f"{percent(one.score.accuracy)} ({interval_percent(one.score.interval)})" for one in (worst, best))
    return (
        f"The accuracy differs between values of {column.column}, also for the same class (p = "
        f"{column.corrected_p:.3f}): it is {low} for {worst.value} and {high} for {best.value}."
    )


def examine_subgroups(data: AuditData) -> Subgroups:
    """Compare the accuracy between values of the further columns.

    Of a run these are its head's predictions of test images, or of validation images where there are none; of data
    out-of-fold predictions of logistic regression on the features.

    Raises:
        DataError: There are no further columns that divide these images, or no images to classify.
    """
    rows, correct, on = _classified(data)
    extra = data.source.table.extra
    if not extra:
        raise DataError(
            f"Expected a manifest with further columns, such as the scanner, the hospital, age or sex, found none in "
            f"{data.source.name}; add them to see the accuracy by them."
        )
    divided, ignored = divide_columns({name: [cells[i] for i in rows] for name, cells in extra.items()})
    kinds = None if data.multilabel else data.y[rows]
    results = scores_of(correct, divided, data.groups[rows], data.seed, kinds)
    if not results:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in ignored.items())
        raise DataError(
            f"Expected a further column that divides the images that are classified, found {reasons or 'none'}; add "
            "a column, or images with other values."
        )
    return Subgroups(results, ignored, grouped_share(correct, data.groups[rows]).as_score(), on)


def _classified(data: AuditData) -> tuple[NDArray[np.int64], NDArray[np.bool_], str]:
    """Return the rows of classified images, which of them are correct, and what classified them in words."""
    judged, targets = judged_images(data), data.source.table.targets
    rows, P = judged.rows, judged.probabilities
    if not judged.of_head:
        on = "out-of-fold predictions of logistic regression on the features"
    else:
        on = f"the head on {judged.role} images"
    if targets is None:
        return rows, P.argmax(axis=1) == data.y[rows], on
    right = ((P >= THRESHOLD) == (targets[rows] == 1)) | ~np.isfinite(targets[rows])
    return rows, np.asarray(right.all(axis=1)), f"{on} (all labels correct)"
