"""Copies among the images: within a split, across splits, and under different labels."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from featx.audits.opened import AuditData
from featx.audits.parts import Part
from featx.duplicates import SAME_BYTES, Copies, Pair, find_copies, projected
from featx.errors import DataError
from featx.pages import Block, Gallery, Note, Picture, Table, Text, missing_note, thumbnails
from featx.runs import ROWS_AT_ONCE
from featx.stats import Score, logits_of, score
from featx.text import count, images, percent

# On the page: groups with their pictures, pictures of a group, and rows of the table.
GROUPS_SHOWN, PICTURES, ROWS_SHOWN = 12, 6, 50
METHOD = (
    "Candidates are the nearest neighbours in the features and among small grey copies of the images. Two images "
    "count as copies if the fine structure of their small copies agrees once one is laid over the other: mirrored, "
    "turned by right angles, shifted and scaled a little, with any brightness and contrast. How well it must agree "
    "depends on how near their features are. The thresholds were chosen on planted copies; one that is turned by a "
    "few degrees, has a wide border or is cut to less than nine tenths of its sides may be missed."
)


@dataclass(frozen=True)
class CopiedPair:
    """Two images of which one is a copy of the other.

    Attributes:
        a: One image.
        b: The other.
        splits: Their splits.
        labels: Their labels; None where there is none, or several.
        cosine: Of their features, -1 to 1.
        correlation: Of their small grey copies, one laid over the other, -1 to 1; below zero for a negative.
        how: How one is laid over the other, such as `mirrored`; `same bytes`; "" for as it is.
        rows: The numbers of their rows of the source.
    """

    a: str
    b: str
    splits: tuple[str, str]
    labels: tuple[str | None, str | None]
    cosine: float
    correlation: float
    how: str
    rows: tuple[int, int]

    @property
    def leaks(self) -> bool:
        """Whether the images are in different splits."""
        return self.splits[0] != self.splits[1]

    @property
    def contradicts(self) -> bool:
        """Whether the images have different labels."""
        return None not in self.labels and self.labels[0] != self.labels[1]

    def to_json(self) -> dict[str, Any]:
        """Return `a, b, splits, labels, cosine, correlation, how`."""
        names = ("a", "b", "splits", "labels", "cosine", "correlation", "how")
        values = (getattr(self, name) for name in names)
        return {name: list(v) if isinstance(v, tuple) else v for name, v in zip(names, values, strict=True)}

    def described(self) -> str:
        """Return how alike the images are, in words."""
        how = f"{self.how}, " if self.how else ""
        return f"{how}cosine {self.cosine:.3f}, correlation {self.correlation:.3f}"


@dataclass(frozen=True)
class Duplicates(Part):
    """Copies among the images.

    Attributes:
        pairs: The most alike first.
        groups: (n,) the number of each image's group of copies, from 1; 0 for an image without a copy.
        tested: Number of test images.
        copied: Number of test images with a copy among the images for training.
        score: A run's score on all test images; None for data, and without copies in the test.
        without: The same on the test images that are no copies; None if there is no such image.
        patients_parted: Number of pairs whose images are in different groups of the data.
        unseen: Number of images that could not be compared.
    """

    key: ClassVar[str] = "duplicates"
    title: ClassVar[str] = "Copies of images"

    pairs: tuple[CopiedPair, ...]
    groups: NDArray[np.int64]
    tested: int = 0
    copied: int = 0
    score: Score | None = None
    without: Score | None = None
    patients_parted: int = 0
    unseen: int = 0

    def to_json(self) -> list[dict[str, Any]]:
        """Return a document for each pair."""
        return [pair.to_json() for pair in self.pairs]

    def alarms(self) -> tuple[str, ...]:
        """Return a sentence on copies in different splits, and one on copies with different labels."""
        return tuple(self._alarms())

    def _alarms(self) -> Iterator[str]:
        leaks = [pair for pair in self.pairs if pair.leaks]
        if leaks:
            what = f"{count(len(leaks))} pairs of copies are" if len(leaks) > 1 else "A pair of copies is"
            if self.copied:
                are = "is a copy" if self.copied == 1 else "are copies"
                what = f"{count(self.copied)} of {images(self.tested, 'test')} {are} of images for training"
            else:
                what += " in different splits"
            first = leaks[0]
            yield f"{what}, such as {first.a} and {first.b} ({first.described()}){self._scores()}."
        contradictions = [pair for pair in self.pairs if pair.contradicts]
        if contradictions:
            first = contradictions[0]
            n = len(contradictions)
            yield (
                f"{count(n)} {'pair' if n == 1 else 'pairs'} of copies {'has' if n == 1 else 'have'} different "
                f"labels, such as {first.a} ({first.labels[0]}) and {first.b} ({first.labels[1]}); at most one of "
                "both labels is right."
            )

    def _scores(self) -> str:
        if self.score is None:
            return ""
        if self.without is None:
            return f"; the accuracy of {percent(self.score.accuracy)} is of copies alone"
        return (
            f"; the accuracy is {percent(self.score.accuracy)} with them and {percent(self.without.accuracy)} on the "
            f"{images(self.without.n, 'test')} without"
        )

    def summary(self) -> tuple[str, ...]:
        """Return how many images have copies."""
        n = len(self.groups)
        gone = f"{images(self.unseen)} could not be compared, because their files are gone or changed."
        unseen = (gone,) if self.unseen else ()
        if not self.pairs:
            return (f"None of {images(n)} is a copy of another.", *unseen)
        members, groups = int((self.groups > 0).sum()), int(self.groups.max())
        same = sum(pair.how == SAME_BYTES for pair in self.pairs)
        bytes_too = f"; {count(same)} of the pairs {'has' if same == 1 else 'have'} the same bytes" if same else ""
        first = (
            f"{count(members)} of {images(n)} are copies of one another, in {count(groups)} "
            f"{'group' if groups == 1 else 'groups'}{bytes_too}."
        )
        parted = (
            f"The images of {count(self.patients_parted)} of {count(len(self.pairs))} pairs are in different groups "
            "of the data, so cross-validation does not keep them together.",
        )
        return (first, *(parted if self.patients_parted else ()), *unseen)

    def blocks(self, data: AuditData, prefix: str) -> tuple[Block, ...]:
        """Return the groups of copies as pictures side by side, and a table of the pairs."""
        if not self.pairs:
            return (Text(METHOD),)
        header = ("image", "other image", "splits", "labels", "cosine", "correlation", "how")
        rows = tuple(
            (
                pair.a,
                pair.b,
                " and ".join(dict.fromkeys(pair.splits)),
                " and ".join(dict.fromkeys(label or "–" for label in pair.labels)),
                f"{pair.cosine:.3f}",
                f"{pair.correlation:.3f}",
                pair.how or "as it is",
            )
            for pair in self.pairs[:ROWS_SHOWN]
        )
        more = f", the first {ROWS_SHOWN} of {count(len(self.pairs))}" if len(self.pairs) > ROWS_SHOWN else ""
        caption = f"Pairs of copies, the most alike first{more}."
        table = Table(caption, header, rows, words=frozenset({2, 3, 4, 7}), fold="All pairs" if not more else "Pairs")
        return (*self._galleries(data), table, Text(METHOD))

    def _galleries(self, data: AuditData) -> Iterator[Block]:
        order = self._order()
        members = {number: np.flatnonzero(self.groups == number)[:PICTURES] for number in order[:GROUPS_SHOWN]}
        shown = np.concatenate(list(members.values()))
        source = data.source
        held = [source.pixels[row] for row in shown] if source.pixels else None
        digests = [source.table.digests[row] for row in shown]
        uris = thumbnails([source.files[row] for row in shown], digests, "drawing copies", held)
        uri_of = dict(zip(shown.tolist(), uris, strict=True))
        best = {int(self.groups[pair.rows[0]]): pair for pair in reversed(self.pairs)}
        for number, rows in members.items():
            size = int((self.groups == number).sum())
            some = "" if size <= PICTURES else f", {PICTURES} of {count(size)} images"
            first = sorted(rows.tolist(), key=lambda row: (source.table.splits[row] == "test", row))
            pictures = tuple(self._picture(data, uri_of[row], row) for row in first)
            yield Gallery(f"Group {number}{some}: {best[number].described()}.", pictures, PICTURES)
        if len(order) > GROUPS_SHOWN:
            yield Note(f"Not shown: {count(len(order) - GROUPS_SHOWN)} more groups; duplicates.csv has all pairs.")
        yield from missing_note(uris, "copied")

    def _order(self) -> list[int]:
        """Return the numbers of the groups: those across splits or labels first, then the most alike."""
        serious = {int(self.groups[pair.rows[0]]) for pair in self.pairs if pair.leaks or pair.contradicts}
        return sorted(range(1, int(self.groups.max()) + 1), key=lambda number: (number not in serious, number))

    def _picture(self, data: AuditData, uri: str | None, row: int) -> Picture:
        table = data.source.table
        label = table.labels[row]
        return Picture(uri, table.ids[row], table.splits[row] if label is None else f"{table.splits[row]}, {label}")

    def table(self) -> tuple[Sequence[str], Sequence[Sequence[Any]]]:
        """Return the pairs."""
        header = ("group", "a", "b", "split_a", "split_b", "label_a", "label_b", "cosine", "correlation", "how")
        return header, [
            [int(self.groups[p.rows[0]]), p.a, p.b, *p.splits, *p.labels, p.cosine, p.correlation, p.how]
            for p in self.pairs
        ]

    def columns(self) -> Mapping[str, Sequence[Any]]:
        """Return `duplicate_group`, empty for an image without a copy."""
        return {"duplicate_group": [number or None for number in self.groups.tolist()]}


def examine_duplicates(data: AuditData) -> Duplicates:
    """Find the copies among all images.

    Raises:
        DataError: There are too many images to search.
    """
    X = data.source.table.X
    chunks = (X[start : start + ROWS_AT_ONCE] for start in range(0, len(X), ROWS_AT_ONCE))
    rows = projected(chunks, X.shape[1])
    found = find_copies(rows, data.source.table.digests, lambda numbers: data.previews.take(numbers))
    if not found.searched:
        raise DataError(f"Copies are not looked for among {images(len(X))}, because these are too many.")
    return _described(data, found)


def _described(data: AuditData, found: Copies) -> Duplicates:
    table = data.source.table
    pairs = tuple(_pair(data, pair) for pair in found.pairs)
    result = Duplicates(pairs, found.groups, tested=len(data.test), unseen=found.unseen)
    of_groups = [{table.groups[row] for row in pair.rows} for pair in pairs]
    result = replace(result, patients_parted=sum(len(both) == 2 and None not in both for both in of_groups))
    copied = {row for pair in pairs if pair.leaks for row in pair.rows if table.splits[row] == "test"}
    if not copied:
        return result
    scores = _scores(data, copied)
    return replace(result, copied=len(copied), score=scores.get("score"), without=scores.get("without"))


def _pair(data: AuditData, pair: Pair) -> CopiedPair:
    table = data.source.table
    a, b = sorted((pair.a, pair.b), key=lambda row: (table.splits[row] == "test", table.ids[row]))
    one, other = table.X[a].astype(np.float64), table.X[b].astype(np.float64)
    lengths = float(np.linalg.norm(one) * np.linalg.norm(other))
    return CopiedPair(
        table.ids[a],
        table.ids[b],
        (table.splits[a], table.splits[b]),
        (table.labels[a], table.labels[b]),
        float(one @ other) / lengths if lengths else pair.cosine,
        pair.correlation,
        pair.how,
        (a, b),
    )


def _scores(data: AuditData, copied: set[int]) -> dict[str, Score]:
    """Return a run's scores on the test images, with and without copies."""
    predicted, targets = data.source.predicted, data.source.table.targets
    if predicted is None:
        return {}
    logits = logits_of(predicted.probabilities, multilabel=data.multilabel)
    truth: NDArray[Any] = data.y if targets is None else targets
    kept = np.array([row for row in data.test.tolist() if row not in copied], np.int64)
    scores = {"score": data.test} | ({"without": kept} if len(kept) else {})
    return {
        name: score(logits[rows].astype(np.float32), truth[rows], [str(group) for group in data.groups[rows]])
        for name, rows in scores.items()
    }
