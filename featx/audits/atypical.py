"""Strange images: those that lie far from the training images in the features."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from featx.audits.opened import AuditData
from featx.audits.parts import Part
from featx.features import nearest
from featx.novelty import (
    OFF_TOPIC,
    OUTSIDE,
    Reference,
    evenly_spaced,
    is_outside,
    make_reference,
    outside_p_value,
)
from featx.pages import Block, Gallery, Note, Picture, Text, missing_note, thumbnails
from featx.runs import ROWS_AT_ONCE
from featx.text import count, images, p_words, percent

# Images are compared with at most so many training images: the work grows with both.
MOST_COMPARED = 4000
# An alarm needs a p-value below, and more than one image: audits make many examinations.
ALARM_P, ALARM_COUNT = 0.01, 2
# Images with a larger relative distance are listed, whatever their rank.
WORTH_A_LOOK = 3.0
# Pictures on the page, and how many of them are open at first; images that a sentence names.
PICTURES, OPEN, NAMED = 24, 8, 3


@dataclass(frozen=True)
class AtypicalImage:
    """An image that lies far from the training images.

    Attributes:
        path: The image.
        split: Its split.
        label: Its label; None without one.
        typicality: The percentage of held-out training images that lie at least as far away.
        relative_distance: Its distance: 0 at the median of held-out training images, 1 where nine tenths are closer.
        neighbours: The nearest training images, the most similar first.
        row: The number of its row of the source.
    """

    path: str
    split: str
    label: str | None
    typicality: float
    relative_distance: float
    neighbours: tuple[str, ...]
    row: int

    @property
    def off_topic(self) -> bool:
        """Whether it is far beyond all images like the training images."""
        return self.relative_distance > OFF_TOPIC

    def to_json(self) -> dict[str, Any]:
        """Return `path, split, label, percentile, relative_distance, off_topic, neighbours`."""
        return {
            "path": self.path,
            "split": self.split,
            "label": self.label,
            "percentile": round(100 - self.typicality, 3),
            "relative_distance": round(self.relative_distance, 3),
            "off_topic": self.off_topic,
            "neighbours": list(self.neighbours),
        }


@dataclass(frozen=True)
class Atypical(Part):
    """Images that lie far from the training images, the farthest first.

    Attributes:
        outside: The images.
        typicality: (n,) of each row of the source, 0 to 100; a training image is compared with the others.
        train: Number of training images.
        test: Number of test images.
        p_value: Probability that chance alone puts as many test images outside; None without test images.
        expected: Share of images like the training images that are expected to be outside, 0 to 1.
    """

    outside: tuple[AtypicalImage, ...]
    typicality: tuple[float, ...]
    train: int
    test: int
    p_value: float | None
    expected: float
    key: ClassVar[str] = "atypical"
    title: ClassVar[str] = "Strange images"

    @property
    def of_test(self) -> tuple[AtypicalImage, ...]:
        """Those of the test split that are outside what the training images span."""
        return tuple(image for image in self.outside if image.split == "test" and is_outside(image.typicality))

    @property
    def off_topic(self) -> tuple[AtypicalImage, ...]:
        """Those far beyond all others."""
        return tuple(image for image in self.outside if image.off_topic)

    def to_json(self) -> list[dict[str, Any]]:
        """Return `path, split, label, percentile, relative_distance, off_topic, neighbours` of each image."""
        return [image.to_json() for image in self.outside]

    def alarms(self) -> tuple[str, ...]:
        """Return a sentence on images off-topic, and one on more test images outside than chance gives."""
        sentences = []
        if far := self.off_topic:
            one = len(far) == 1
            lies, are, them = ("lies", "it is", "it") if one else ("lie", "they are", "them")
            sentences.append(
                f"{_named(far)} {lies} far away from the training images (above {OFF_TOPIC:g} on a scale where nine "
                f"tenths of these are below 1): perhaps {are} of another kind, so look at {them}."
            )
        test = self.of_test
        if self.p_value is not None and self.p_value < ALARM_P and len(test) >= ALARM_COUNT:
            sentences.append(
                f"{count(len(test))} of {images(self.test, 'test')} ({percent(len(test) / self.test)}) lie outside "
                f"what the training images span, where chance gives {percent(self.expected)} "
                f"({p_words(self.p_value)}): test images differ from training images."
            )
        return tuple(sentences)

    def summary(self) -> tuple[str, ...]:
        """Return how many training images and test images are outside."""
        test, off_topic = len(self.of_test), len(self.off_topic)
        train = sum(image.split != "test" for image in self.outside)
        sentences = [
            f"{count(train)} of {images(self.train, 'training' if self.test else '')} {_lie(train)} far from the "
            f"others. About {percent(self.expected)} are always listed, however alike the images are."
        ]
        if self.test:
            sentences.append(
                f"{count(test)} of {images(self.test, 'test')} {_lie(test)} outside what the training images span."
            )
        if off_topic:
            be, they = ("is", "it") if off_topic == 1 else ("are", "they")
            sentences.append(f"{images(off_topic)} {be} so far away that {they} may be of another kind.")
        else:
            sentences.append("No image is so far away that it must be of another kind.")
        return tuple(sentences)

    def blocks(self, data: AuditData, prefix: str) -> tuple[Block, ...]:
        """Return the images as pictures, the farthest first, and how they were found."""
        del prefix
        source, shown = data.source, self.outside[:PICTURES]
        rows = [image.row for image in shown]
        pixels = [source.pixels[row] for row in rows] if source.pixels else None
        digests = [source.table.digests[row] for row in rows]
        uris = thumbnails([source.files[row] for row in rows], digests, "strange images", pixels) if rows else []
        pictures = tuple(Picture(uri, image.path, _title(image)) for uri, image in zip(uris, shown, strict=True))
        blocks: list[Block] = []
        if pictures:
            few, whole = count(len(pictures)), count(len(self.outside))
            caption = f"The images that lie far away, the farthest first ({few} of {whole})."
            blocks += [Gallery(caption, pictures, OPEN), *missing_note(uris, "strange")]
        if self.outside:
            blocks.append(
                Note(
                    "An image that lies far away is rare among these, not wrong: look at it before it is removed. An "
                    "image that lies close may still be wrong."
                )
            )
        return (*blocks, Text(METHOD))

    def table(self) -> tuple[Sequence[str], Sequence[Sequence[Any]]]:
        """Return a row for each image that lies far away."""
        header = ("path", "split", "label", "typicality", "relative_distance", "off_topic", "nearest")
        return header, [
            (
                image.path,
                image.split,
                image.label or "",
                image.typicality,
                image.relative_distance,
                int(image.off_topic),
                "|".join(image.neighbours),
            )
            for image in self.outside
        ]

    def columns(self) -> Mapping[str, Sequence[Any]]:
        """Return the typicality of each image."""
        return {"typicality": self.typicality}


METHOD = (
    "An image's distance is the larger of two, of the backbone's features: the mean cosine distance to its five "
    "nearest training images, and the Mahalanobis distance from their mean with a shrunk covariance. A training "
    "image is held out with all images of its group. The typicality is the percentage of held-out training images "
    f"that lie at least as far away; below {OUTSIDE:g} an image is outside what the training images span."
)


def examine_atypical(data: AuditData) -> Atypical:
    """Compare each image with the training images, without those of its own group.

    Raises:
        DataError: There are too few training images.
    """
    X, groups, train, test = data.source.table.X, data.groups, data.train, data.test
    kept = train[evenly_spaced(len(train), MOST_COMPARED)]
    reference = make_reference(X[kept], groups[kept])
    distances, typicality = _compared(reference, X, groups, kept)
    relative = reference.relative_distance(distances)
    # Where several training images are strange, not all of them are outside by their rank.
    outside = np.flatnonzero([is_outside(value) for value in typicality] | (relative > WORTH_A_LOOK))
    outside = outside[np.argsort(-relative[outside], kind="stable")]
    near = _neighbours(data, outside)
    table = data.source.table
    labels = data.source.column("label") if any(table.labels) else table.labels
    found = tuple(
        AtypicalImage(
            path=table.ids[row],
            split=table.splits[row],
            label=labels[row] or None,
            typicality=float(typicality[row]),
            relative_distance=float(relative[row]),
            neighbours=tuple(table.ids[other] for other in others),
            row=int(row),
        )
        for row, others in zip(outside, near, strict=True)
    )
    p_value = None
    if len(test):
        number = sum(is_outside(value) for value in typicality[test])
        p_value = outside_p_value(number, len(test), reference, len(np.unique(groups[test])))
    return Atypical(found, tuple(typicality.tolist()), len(train), len(test), p_value, reference.false_alarms)


def _compared(
    reference: Reference, X: NDArray[np.float32], groups: NDArray[np.int64], kept: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return both distances of all rows, (n, 2), and their typicality, (n,)."""
    held_out = kept[reference.basis]
    others = np.setdiff1d(np.arange(len(X)), held_out)
    # Groups are numbered as those of the reference; one that it lacks has a number of its own.
    names = np.unique(groups[kept])
    place = np.searchsorted(names, groups[others]).clip(max=len(names) - 1)
    numbers = np.where(names[place] == groups[others], place, -1)
    distances, typicality = np.empty((len(X), 2)), np.empty(len(X))
    distances[held_out], typicality[held_out] = reference.distances, reference.held_out_typicality
    for start in range(0, len(others), ROWS_AT_ONCE):  # all rows at once may not fit into memory
        some = slice(start, start + ROWS_AT_ONCE)
        distances[others[some]] = reference.distances_of(X[others[some]], numbers[some])
    typicality[others] = reference.typicality_of(distances[others])
    return distances, typicality


def _neighbours(data: AuditData, rows: NDArray[np.int64]) -> list[list[int]]:
    """Return for each row the numbers of the nearest training images that are not of its group."""
    k = data.options.neighbours
    if not len(rows) or not k:
        return [[] for _ in rows]
    X, groups, train = data.source.table.X, data.groups, data.train
    most = int(np.bincount(groups[train]).max())
    numbers, _ = nearest(X[train], X[rows], k + most)
    near = []
    for row, places in zip(rows, numbers, strict=True):
        others = train[places]
        near.append(others[groups[others] != groups[row]][:k].tolist())
    return near


def _named(several: Sequence[AtypicalImage]) -> str:
    names = ", ".join(image.path for image in several[:NAMED])
    more = f" and {count(len(several) - NAMED)} more" if len(several) > NAMED else ""
    return f"{images(len(several))} ({names}{more})"


def _title(image: AtypicalImage) -> str:
    words = [*([image.label] if image.label else []), image.split, *(["off-topic?"] if image.off_topic else [])]
    return ", ".join(words)


def _lie(number: int) -> str:
    return "lies" if number == 1 else "lie"
