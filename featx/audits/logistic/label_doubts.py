"""Labels in doubt: images whose label disagrees with a classifier that was fitted without them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from featx.audits.logistic import confident
from featx.audits.logistic.held_out import out_of_fold
from featx.audits.opened import AuditData
from featx.audits.parts import Part
from featx.errors import DataError
from featx.pages import Block, Gallery, Note, Picture, Table, Text, missing_note, thumbnails
from featx.progress import report_progress
from featx.text import count, percent

# Divisions into folds whose probabilities are averaged: fewer false finds than with one.
REPEATS, MANY_ROWS, REPEATS_OF_MANY = 3, 3000, 1
# Classes are told apart well enough for an alarm if so many of their images are on the right side.
WELL_TOLD = 0.85
# An alarm needs so many doubts between such classes, this share of the images, about labels less probable than this.
ALARM_COUNT, ALARM_SHARE, ALARM_BELOW = 3, 0.01, 0.05
# Pictures on the page, and how many of them are open at first.
PICTURES, OPEN = 48, 12
PRESENT, ABSENT = "there", "not there"


@dataclass(frozen=True)
class LabelDoubt:
    """A label in doubt.

    Attributes:
        path: The image.
        split: Its split.
        label: Its label. Of several labels, `NAME: there` or `NAME: not there`.
        suggested: The most probable other label.
        probability: The out-of-fold probability of the suggested label, 0 to 1.
        label_probability: That of its own label.
        row: The number of the row of the source.
    """

    path: str
    split: str
    label: str
    suggested: str
    probability: float
    label_probability: float
    row: int


@dataclass(frozen=True)
class DoubtfulPair:
    """Doubts between two classes.

    Attributes:
        label: The label that the images have.
        suggested: The label that is suggested.
        n: Number of doubts.
        told_apart: How well the classifier tells these two classes apart, 0.5 to 1.
    """

    label: str
    suggested: str
    n: int
    told_apart: float

    @property
    def well_told(self) -> bool:
        """Whether doubts are more than hard images."""
        return self.told_apart >= WELL_TOLD


@dataclass(frozen=True)
class LabelDoubts(Part):
    """Labels in doubt, the most doubtful first.

    Attributes:
        doubts: The labels.
        pairs: How many doubts there are between which classes, the most first.
        examined: Number of labels that were examined.
        agreeing: Share of them, 0 to 1, that are the classifier's most probable class.
        doubt: For each row of the source 1 minus the out-of-fold probability of its label; None where none was
            examined. Of several labels, the largest.
        left_out: Labels, of several, that have too few images to examine.
    """

    key: ClassVar[str] = "label_doubts"
    title: ClassVar[str] = "Labels in doubt"

    doubts: tuple[LabelDoubt, ...]
    pairs: tuple[DoubtfulPair, ...]
    examined: int
    agreeing: float
    doubt: tuple[float | None, ...]
    left_out: tuple[str, ...] = ()

    def to_json(self) -> list[dict[str, Any]]:
        """Return a document for each label in doubt."""
        return [{name: value for name, value in asdict(one).items() if name != "row"} for one in self.doubts]

    def alarms(self) -> tuple[str, ...]:
        """Return a sentence if labels are in doubt between classes that are told apart well."""
        well_told = {(pair.label, pair.suggested) for pair in self.pairs if pair.well_told}
        n = sum(
            one.label_probability < ALARM_BELOW and (one.label, one.suggested) in well_told for one in self.doubts
        )
        if n < max(ALARM_COUNT, ALARM_SHARE * self.examined):
            return ()
        return (
            f"{count(n)} of {count(self.examined)} labels ({percent(n / self.examined)}) are in strong "
            "doubt, between classes that the features tell apart well; read these images again before you trust an "
            "accuracy on them.",
        )

    def summary(self) -> tuple[str, ...]:
        """Return how many labels are in doubt, and between which classes these may be only hard images."""
        agreeing = f"a classifier agrees with {percent(self.agreeing)} of the labels of images that it had not seen"
        if not self.doubts:
            return (f"None of {count(self.examined)} labels is in doubt; {agreeing}.",)
        are = "is" if len(self.doubts) == 1 else "are"
        share = percent(len(self.doubts) / self.examined)
        return (
            f"{count(len(self.doubts))} of {count(self.examined)} labels ({share}) {are} in doubt; {agreeing}.",
            *self._hard_pairs(),
            "A label in doubt is a question to a reader, not an error; no label was changed.",
        )

    def blocks(self, data: AuditData, prefix: str) -> tuple[Block, ...]:
        """Return the pairs of classes and the pictures of the most doubtful labels."""
        missing = f"Too few images to examine: {', '.join(self.left_out)}."
        notes = (Note(missing),) if self.left_out else ()
        if not self.doubts:
            return notes
        rows = tuple((pair.label, pair.suggested, count(pair.n), percent(pair.told_apart)) for pair in self.pairs)
        caption = (
            "Labels in doubt. The last column is the share of the images of both classes whose own label is the more "
            f"probable of the two: below {percent(WELL_TOLD, 0)} the features hardly tell the classes apart, and a "
            "doubt may be no more than a hard image."
        )
        header = ("label", "suggested", "images", "told apart")
        return (Table(caption, header, rows, words=frozenset({1})), *self._pictures(data), Text(METHOD), *notes)

    def table(self) -> tuple[Sequence[str], Sequence[Sequence[Any]]]:
        """Return the labels in doubt."""
        header = ("path", "split", "label", "suggested", "probability", "label_probability")
        return header, [[getattr(one, name) for name in header] for one in self.doubts]

    def columns(self) -> Mapping[str, Sequence[Any]]:
        """Return `label_doubt` and, where a label is in doubt, `label_suggested`."""
        suggested: list[str | None] = [None] * len(self.doubt)
        for one in reversed(self.doubts):  # of several doubts about one image the strongest is kept
            suggested[one.row] = one.suggested
        return {"label_doubt": self.doubt, "label_suggested": suggested}

    def _hard_pairs(self) -> Iterator[str]:
        hard = [pair for pair in self.pairs if not pair.well_told]
        if hard:
            n = sum(pair.n for pair in hard)
            first = hard[0]
            yield (
                f"{count(n)} of them {'is' if n == 1 else 'are'} between classes that the features hardly tell "
                f"apart, such as {first.label} and {first.suggested} ({percent(first.told_apart, 0)} on the right "
                "side), and may be no more than hard images."
            )

    def _pictures(self, data: AuditData) -> tuple[Block, ...]:
        shown = self.doubts[:PICTURES]
        source = data.source
        held = [source.pixels[one.row] for one in shown] if source.pixels else None
        digests = [source.table.digests[one.row] for one in shown]
        uris = thumbnails([source.files[one.row] for one in shown], digests, "drawing labels in doubt", held)
        pictures = tuple(
            Picture(
                uri,
                one.path,
                f"labelled {one.label}, looks like {one.suggested}",
                ((one.suggested, one.probability), (one.label, one.label_probability)),
                one.label,
            )
            for uri, one in zip(uris, shown, strict=True)
        )
        rest = "" if len(shown) == len(self.doubts) else f" The first {len(shown)} of {count(len(self.doubts))}."
        caption = f"The labels in doubt, the least probable first, with out-of-fold probabilities.{rest}"
        return (Gallery(caption, pictures, OPEN), *missing_note(uris, "doubtful"))


METHOD = (
    "Confident learning (Northcutt, Jiang and Chuang 2021): logistic regression on the features gives each image a "
    "probability while its whole group is held out. A label is in doubt if both rules of that paper, by class and by "
    "noise rate, would prune it, and another class is more probable."
)


@dataclass(frozen=True)
class _Question:
    """Labels that are examined together: all classes, or one of several labels."""

    names: tuple[str, ...]
    y: NDArray[np.int64]


def examine_label_doubts(data: AuditData) -> LabelDoubts:
    """Find the labels in doubt among all labelled images, whatever their split.

    Raises:
        DataError: There are no labels, or too few images of a class.
    """
    questions, X = list(_questions(data)), data.source.table.X
    doubts: list[LabelDoubt] = []
    pairs: list[DoubtfulPair] = []
    left_out: list[str] = []
    highest = np.full(len(data.source.table), -1.0)
    agreeing = examined = 0
    for number, question in enumerate(questions):
        report_progress("examining labels", number, len(questions))
        try:
            rows, probabilities = probabilities_in_two_rounds(X, question.y, data.groups, question.names, data.seed)
        except DataError:
            if not data.multilabel:
                raise
            left_out.append(question.names[0].partition(":")[0])
            continue
        y = question.y[rows]
        own = probabilities[np.arange(len(y)), y]
        highest[rows] = np.maximum(highest[rows], 1 - own)
        examined, agreeing = examined + len(y), agreeing + int((probabilities.argmax(axis=1) == y).sum())
        found, between = _doubts(data, question.names, rows, y, probabilities)
        doubts, pairs = doubts + found, pairs + between
    if not examined:
        raise DataError("Expected labels with enough images each to hold some out, found none; add labelled images.")
    return LabelDoubts(
        tuple(sorted(doubts, key=lambda one: (one.label_probability, one.row, one.label))),
        tuple(sorted(pairs, key=lambda pair: (-pair.n, pair.label, pair.suggested))),
        examined,
        agreeing / examined,
        tuple(None if value < 0 else value for value in highest.tolist()),
        tuple(left_out),
    )


def _questions(data: AuditData) -> Iterator[_Question]:
    targets = data.source.table.targets
    if targets is None:
        yield _Question(data.classes, data.y)
        return
    for place, name in enumerate(data.classes):
        known = np.isfinite(targets[:, place])
        y = np.where(known, np.nan_to_num(targets[:, place]), -1).astype(np.int64)
        yield _Question((f"{name}: {ABSENT}", f"{name}: {PRESENT}"), y)


def probabilities_in_two_rounds(
    X: NDArray[np.float32], y: NDArray[np.int64], groups: NDArray[np.int64], names: Sequence[str], seed: int
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the numbers of the labelled rows and their out-of-fold probabilities, (m,) and (m, classes).

    In the second round nothing is fitted on the images that the first one doubts, so wrong labels weaken the
    classifier less.

    Args:
        X: (n, d) features.
        y: (n,) class numbers, below 0 for images without a label.
        groups: (n,) numbers of groups.
        names: Names of the classes.
        seed: Seed of the folds.
    """
    rows = np.flatnonzero(y >= 0)
    repeats = REPEATS if len(rows) <= MANY_ROWS else REPEATS_OF_MANY
    estimate = partial(out_of_fold, X, y, groups, rows, names, seed, repeats)
    first = estimate().probabilities
    doubtful = confident.doubtful(first, y[rows])
    if not doubtful.any() or len(np.unique(y[rows[~doubtful]])) < len(np.unique(y[rows])):
        return rows, first
    return rows, estimate(unfit=rows[doubtful]).probabilities


def _doubts(
    data: AuditData,
    names: Sequence[str],
    rows: NDArray[np.int64],
    y: NDArray[np.int64],
    probabilities: NDArray[np.float64],
) -> tuple[list[LabelDoubt], list[DoubtfulPair]]:
    """Return the labels in doubt, and how many there are between which classes."""
    table = data.source.table
    other = confident.second_labels(probabilities, y)
    places = np.flatnonzero(confident.doubtful(probabilities, y)).tolist()
    found = [
        LabelDoubt(
            table.ids[rows[i]],
            table.splits[rows[i]],
            names[y[i]],
            names[other[i]],
            float(probabilities[i, other[i]]),
            float(probabilities[i, y[i]]),
            int(rows[i]),
        )
        for i in places
    ]
    counted = Counter((int(y[i]), int(other[i])) for i in places)
    between = [
        DoubtfulPair(names[label], names[second], n, confident.told_apart(probabilities, y, label, second))
        for (label, second), n in counted.items()
    ]
    return found, between
