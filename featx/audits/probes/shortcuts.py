"""Shortcuts: can the classes be told apart without the subject, from the file, the border or the brightness alone?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from featx.audits.parts import Part
from featx.audits.probes.probing import (
    Area,
    Contrast,
    Flags,
    Matrix,
    Numbers,
    area_of,
    family_p,
    make_contrast,
    permuted_labels,
    smoother,
)
from featx.audits.probes.results import FEATURES, PROBES, PairResult, ProbeResult, ShortcutResults
from featx.audits.probes.standard import StandardRows, standard_rows
from featx.audits.probes.views import fact_matrices, joined_facts, picture_matrices
from featx.audits.probes.words import alarm_words, shortcut_blocks, summary_words
from featx.data import first_few
from featx.errors import DataError
from featx.progress import report_progress
from featx.text import images

if TYPE_CHECKING:
    from featx.audits.opened import AuditData
    from featx.pages import Block

REST = "the rest"

# Up to this many classes each pair is examined; of more, each of the most frequent ones against the rest.
MOST_PAIRED = 5
MOST_CLASSES = 12


@dataclass(frozen=True)
class Shortcuts(ShortcutResults, Part):
    """Which classes can be told apart without the subject, as a part of the audit."""

    key: ClassVar[str] = "shortcuts"
    title: ClassVar[str] = "Can the classes be told apart without the subject?"

    def to_json(self) -> list[dict[str, Any]]:
        """Return for each pair of classes and each probe `probe, classes, auc, interval, p_value, alarm` and more."""
        header, rows = self.table()
        documents = [dict(zip(header, row, strict=True)) for row in rows]
        for row in documents:
            row["classes"] = [row.pop("class"), row.pop("against")]
            row["interval"] = [row.pop("low"), row.pop("high")]
            row["features_interval"] = [row.pop("features_low"), row.pop("features_high")]
        first = ("probe", "classes", "auc", "interval", "p_value", "alarm")
        return [{**{name: row[name] for name in first}, **row} for row in documents]

    def table(self) -> tuple[Sequence[str], Sequence[Sequence[Any]]]:
        """Return a row for each pair of classes and each probe."""
        header = (
            "class",
            "against",
            "n",
            "probe",
            "auc",
            "low",
            "high",
            "p_value",
            "corrected_p",
            "alarm",
            "most",
            "features_auc",
            "features_low",
            "features_high",
        )
        rows = []
        for pair in self.pairs:
            own = (pair.features.auc, *pair.features.interval)
            for one in pair.probes:
                area = (one.area.auc, *one.area.interval, one.area.p_value)
                most = "" if one.most is None else one.most[0]
                rows.append(
                    (
                        *pair.contrast.names,
                        len(pair.contrast.rows),
                        one.probe,
                        *area,
                        one.corrected_p,
                        one.alarm,
                        most,
                        *own,
                    )
                )
        return header, rows

    def alarms(self) -> tuple[str, ...]:
        """Return a sentence for each kind of shortcut."""
        return alarm_words(self)

    def summary(self) -> tuple[str, ...]:
        """Return what was seen in all pairs, and what it does not mean."""
        return summary_words(self)

    def blocks(self, data: AuditData, prefix: str) -> tuple[Block, ...]:
        """Return the drawing, the table, and how to read them."""
        return shortcut_blocks(self, prefix)


def examine_shortcuts(data: AuditData) -> Shortcuts:
    """Tell classes apart by probes that see no subject, beside the network's features.

    Raises:
        DataError: There are no two classes with enough groups, or the files are gone.
    """
    labelled = np.arange(len(data.y)) if data.multilabel else np.flatnonzero(data.y >= 0)
    if not data.multilabel and len(np.unique(data.y[labelled])) < 2:
        raise DataError("Expected images of at least two classes to see what tells them apart, found fewer.")
    there = labelled[data.previews.there[labelled]]
    if len(there) < len(labelled) / 2:
        raise DataError(
            f"Expected the files of the images to look for shortcuts, but {images(len(labelled) - len(there))} of "
            f"{len(labelled):,} are gone or have changed; put them back."
        )
    contrasts, skipped = _contrasts(data, there)
    if not contrasts:
        raise DataError(
            f"Expected at least two classes with images of five groups to look for shortcuts, found too few images "
            f"of {first_few(skipped)}; add images."
        )
    paired = not data.multilabel and len(data.classes) <= MOST_PAIRED
    pairs = _results(data, contrasts)
    return Shortcuts(pairs, len(there), len(labelled) - len(there), skipped, paired, len(data.classes))


def _contrasts(data: AuditData, rows: NDArray[np.int64]) -> tuple[list[Contrast], tuple[str, ...]]:
    """Return the pairs of classes, each with its folds, and the pairs that have too few groups."""
    contrasts, skipped = [], []
    for names, own, positive in _wanted(data, rows):
        try:
            contrasts.append(make_contrast(names, own, positive, data.groups[own], data.seed))
        except DataError:
            skipped.append(" against ".join(names))
    return contrasts, tuple(skipped)


def _wanted(data: AuditData, rows: NDArray[np.int64]) -> Iterator[tuple[tuple[str, str], Numbers, NDArray[np.bool_]]]:
    """Yield names, images, and which of these are of the first kind, for each pair of classes to examine."""
    targets, classes = data.source.table.targets, data.classes
    if targets is not None:
        for place in _frequent(np.nansum(targets[rows], axis=0)):
            own = rows[np.isfinite(targets[rows, place])]
            yield (classes[place], f"not {classes[place]}"), own, targets[own, place] == 1
    elif len(classes) <= MOST_PAIRED:
        for one, other in combinations(range(len(classes)), 2):
            own = rows[np.isin(data.y[rows], (one, other))]
            yield (classes[one], classes[other]), own, data.y[own] == one
    else:
        for place in _frequent(np.bincount(data.y[rows], minlength=len(classes))):
            yield (classes[place], REST), rows, data.y[rows] == place


def _frequent(counts: NDArray[Any]) -> list[int]:
    """Return the numbers of the most frequent classes, in order."""
    return sorted(np.argsort(-counts, kind="stable")[:MOST_CLASSES].tolist())


@dataclass(frozen=True)
class _Views:
    """What the images of all pairs look like to each probe, and to the network.

    Attributes:
        drawn: (m,) the numbers of these images, in order.
        probes: (m, d) numbers by probe.
        facts: (m, d) facts of the files by kind.
        features: The features of all images.
    """

    drawn: Numbers
    probes: Mapping[str, Matrix]
    facts: Mapping[str, Matrix]
    features: StandardRows


def _results(data: AuditData, contrasts: Sequence[Contrast]) -> tuple[PairResult, ...]:
    """Examine all pairs; p-values are corrected for all of them together."""
    drawn = np.unique(np.concatenate([contrast.rows for contrast in contrasts]))
    previews = data.previews.take(drawn)
    facts = fact_matrices(previews)
    probes = {"file_facts": joined_facts(facts, len(drawn)), **picture_matrices(previews)}
    views = _Views(drawn, probes, facts, standard_rows(data.source.table.X))
    examined = []
    for number, contrast in enumerate(contrasts):
        report_progress("shortcuts", number, len(contrasts))
        examined.append(_areas(data, contrast, views))
    report_progress("shortcuts", len(contrasts), len(contrasts))
    corrected = family_p({(k, probe): own.areas[probe] for k, own in enumerate(examined) for probe in PROBES})
    return tuple(
        PairResult(
            contrast,
            own.areas[FEATURES],
            tuple(
                ProbeResult(
                    probe,
                    own.areas[probe],
                    corrected[k, probe],
                    constant=probe in own.constant,
                    most=own.most if probe == "file_facts" else None,
                )
                for probe in PROBES
            ),
        )
        for k, (contrast, own) in enumerate(zip(contrasts, examined, strict=True))
    )


@dataclass(frozen=True)
class _Areas:
    """The areas of one pair by probe, the probes that see the same in all images, and the facts that tell most."""

    areas: Mapping[str, Area]
    constant: frozenset[str]
    most: tuple[str, float] | None


def _areas(data: AuditData, contrast: Contrast, views: _Views) -> _Areas:
    """Return how well each probe, and the network's features, tell the classes of a pair."""
    labels = permuted_labels(contrast, data.options.permutations, data.seed)
    places = np.searchsorted(views.drawn, contrast.rows)

    def area(rows: Matrix, labels: Flags) -> Area:
        return area_of(contrast, smoother(rows, contrast.fold), labels)

    seen = {probe: matrix[places] for probe, matrix in views.probes.items()}
    areas = {probe: area(rows, labels) for probe, rows in seen.items()}
    areas[FEATURES] = area(views.features.take(contrast.rows), labels)
    # Without an area above chance there is nothing to name.
    facts = views.facts if areas["file_facts"].auc > 0.5 else {}
    single = {kind: area(matrix[places], labels[:, :1]).auc for kind, matrix in facts.items()}
    most = max(single.items(), key=lambda one: (one[1], one[0]), default=None)
    constant = frozenset(probe for probe, rows in seen.items() if not np.ptp(rows, axis=0).any())
    return _Areas(areas, constant, most)
