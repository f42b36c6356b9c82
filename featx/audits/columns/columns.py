"""The further columns of a manifest: do they go with the class, do the features tell them, does the class hold?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from featx.audits.columns.left_out_values import leave_values_out
from featx.audits.columns.results import ColumnResult, ColumnResults, ToldValue
from featx.audits.columns.separated import separated_classes
from featx.audits.columns.values import OTHERS, ColumnValues, divide_columns
from featx.audits.columns.words import alarm_words, column_blocks, summary_words
from featx.audits.parts import Part
from featx.audits.probes.probing import (
    LEAST_GROUPS,
    Area,
    Numbers,
    area_of,
    family_p,
    make_contrast,
    permuted_labels,
    smoother,
)
from featx.audits.probes.standard import StandardRows, standard_rows
from featx.errors import DataError
from featx.progress import report_progress
from featx.stats import contingency, cramers_v

if TYPE_CHECKING:
    from featx.audits.opened import AuditData
    from featx.pages import Block

# Of more values, only the most frequent ones are told from the others.
MOST_TOLD = 5


@dataclass(frozen=True)
class Columns(ColumnResults, Part):
    """What further columns have to do with the class and the features, as a part of the audit."""

    key: ClassVar[str] = "columns"
    title: ClassVar[str] = "Do other columns explain the class?"

    def to_json(self) -> list[dict[str, Any]]:
        """Return the results."""
        return [one.to_json() for one in self.results]

    def table(self) -> tuple[Sequence[str], Sequence[Sequence[Any]]]:
        """Return a row for each column."""
        header = ("column", "cramers_v", "value", "auc", "low", "high", "p_value", "corrected_p", "alarm", "missing")
        rows = []
        for one in self.results:
            document = one.to_json()
            low, high = document["interval"] or (None, None)
            document |= {"low": low, "high": high}
            rows.append(tuple("" if document[name] is None else document[name] for name in header))
        return header, rows

    def alarms(self) -> tuple[str, ...]:
        """Return a sentence for each reason of an alarm."""
        return tuple(sentence for one in self.results for sentence in alarm_words(one))

    def summary(self) -> tuple[str, ...]:
        """Return which columns were examined, and what was seen."""
        return summary_words(self)

    def blocks(self, data: AuditData, prefix: str) -> tuple[Block, ...]:
        """Return the tables, and how to read them."""
        return column_blocks(self)


def examine_columns(data: AuditData) -> Columns:
    """Compare the further columns of the manifest with the class and with the features.

    Raises:
        DataError: There is no column that divides the images.
    """
    divided, ignored = divided_columns(data)
    X = standard_rows(data.source.table.X)
    drafts: list[tuple[ColumnValues, float | None, int, Numbers]] = []
    areas: dict[tuple[str, str], tuple[int, Area]] = {}
    for number, column in enumerate(divided):
        report_progress("columns", number, len(divided))
        v, label, kinds = _association(data, column)
        drafts.append((column, v, label, kinds))
        areas |= {(column.name, value): one for value, one in _told(data, column, kinds, X).items()}
    report_progress("columns", len(divided), len(divided))
    corrected = family_p({name: area for name, (_, area) in areas.items()})
    results = []
    for column, v, label, kinds in drafts:
        told = [
            ToldValue(name[1], n, area, corrected[name])
            for name, (n, area) in areas.items()
            if name[0] == column.name
        ]
        told.sort(key=lambda one: (-one.area.auc, one.value))
        names = ("not there", "there") if data.multilabel else data.classes
        results.append(
            ColumnResult(
                column,
                v,
                data.classes[label] if data.multilabel and v is not None else "",
                _table(column, kinds, len(names)),
                names,
                tuple(told),
                () if data.multilabel else leave_values_out(X, kinds, column, data.groups, data.seed),
                separated_classes(column, kinds, data.groups, names),
            )
        )
    return Columns(tuple(results), ignored)


def divided_columns(data: AuditData) -> tuple[tuple[ColumnValues, ...], dict[str, str]]:
    """Return the columns that divide the images, and why each other one does not.

    Raises:
        DataError: There is no such column.
    """
    extra = data.source.table.extra
    if not extra:
        raise DataError(
            f"Expected a manifest with further columns, such as the scanner, the hospital, age or sex, found none in "
            f"{data.source.name}; add them to compare the images by them."
        )
    divided, ignored = divide_columns(extra)
    if not divided:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in ignored.items())
        raise DataError(f"Expected a further column that divides the images of {data.source.name}, found {reasons}.")
    return divided, ignored


def _association(data: AuditData, column: ColumnValues) -> tuple[float | None, int, Numbers]:
    """Return Cramér's V with the class, or with the label that it goes with most, its number, and (n,) classes."""
    targets = data.source.table.targets
    if targets is None:
        return _v_of(column, data.y), 0, data.y
    kinds = np.where(np.isfinite(targets), targets, -1).astype(np.int64)
    values = [_v_of(column, own) for own in kinds.T]
    label = max(range(len(values)), key=lambda place: (-1.0 if values[place] is None else values[place], -place))
    return values[label], label, kinds[:, label]


def _v_of(column: ColumnValues, kinds: Numbers) -> float | None:
    both = (column.number >= 0) & (kinds >= 0)
    return cramers_v(contingency(column.number[both], kinds[both]))


def _table(column: ColumnValues, kinds: Numbers, classes: int) -> NDArray[np.int64]:
    both = (column.number >= 0) & (kinds >= 0)
    cells = np.bincount(column.number[both] * classes + kinds[both], minlength=len(column.values) * classes)
    return np.asarray(cells.reshape(len(column.values), classes), np.int64)


def _told(data: AuditData, column: ColumnValues, kinds: Numbers, X: StandardRows) -> dict[str, tuple[int, Area]]:
    """Return number of images and area of each value that is told from the others, with the class held fixed."""
    known = np.flatnonzero(column.number >= 0)
    areas: dict[str, tuple[int, Area]] = {}
    for name, positive in _sides(column, kinds).items():
        rows = known[_with_both(kinds[known], positive[known], data.groups[known])]
        if not len(rows):
            continue
        try:
            names = (name, "the others")
            contrast = make_contrast(names, rows, positive[rows], data.groups[rows], data.seed, kinds[rows])
        except DataError:
            continue
        labels = permuted_labels(contrast, data.options.permutations, data.seed)
        areas[name] = len(contrast.rows), area_of(contrast, smoother(X.take(contrast.rows), contrast.fold), labels)
    return areas


def _sides(column: ColumnValues, kinds: Numbers) -> dict[str, NDArray[np.bool_]]:
    """Return (n,) which images have a value, for each one to be told from the others."""
    if column.numbers is not None:
        above = np.zeros(len(kinds), bool)
        for kind in np.unique(kinds):
            own = (kinds == kind) & (column.number >= 0)
            if own.any():
                above[own] = column.numbers[own] > np.median(column.numbers[own])
        return {"above the median": above}
    counts = np.bincount(column.number[column.number >= 0], minlength=len(column.values))
    frequent = np.argsort(-counts, kind="stable")[:MOST_TOLD].tolist()
    values = [place for place in sorted(frequent) if column.values[place] != OTHERS]
    # Of two values, telling the one is telling the other.
    return {column.values[place]: column.number == place for place in (values[:1] if len(counts) == 2 else values)}


def _with_both(kinds: Numbers, positive: NDArray[np.bool_], groups: Numbers) -> NDArray[np.bool_]:
    """Return which images are of a class that has enough groups with the value, and enough without."""
    kept = np.zeros(len(kinds), bool)
    for kind in np.unique(kinds):
        own = kinds == kind
        if min(len(np.unique(groups[own & (positive == side)])) for side in (True, False)) >= LEAST_GROUPS:
            kept |= own
    return kept
