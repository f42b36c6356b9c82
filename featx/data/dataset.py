"""A dataset: images with label, split and group, and the checks before training."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.data.choice import HeldOutTest
from featx.frames import Shown
from featx.text import count, images

SPLITS = ("train", "val", "test")
ROWS_SHOWN = 100  # classes in the table of a notebook
LONGEST_NAME = 120  # letters of a name in a sentence


@dataclass(frozen=True, slots=True)
class Item:
    """One image of a dataset.

    Attributes:
        id: The image's name within the dataset: its path relative to the data folder, with forward slashes, or the
            path as written in the manifest.
        path: The file, absolute.
        label: The class in Unicode NFC, None if unknown.
        split: "train", "val" or "test".
        group: Images of one group, such as a patient, stay together; None if the image has no group.
        extra: The other columns of the manifest.
        pixels: The pixels, (height, width) or (height, width, 3), of an image that is in memory and no file.
        targets: Of data with several labels for each image: 1 for each of the dataset's classes that is there, 0 for
            one that is not, NaN where it is not known. None for data with one label.
        frames: How many frames the file holds; see `with_frames`.
        alias: The file's path with hashes in the place of names that would identify a patient, as featx may write it
            down; None if it has no such names.
    """

    id: str
    path: Path
    label: str | None
    split: str
    group: str | None = None
    extra: Mapping[str, Any] = field(default_factory=dict, hash=False)
    pixels: NDArray[np.uint8] | None = field(default=None, compare=False, repr=False)
    targets: tuple[float, ...] | None = field(default=None, compare=False)
    frames: int = 1
    alias: Path | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, repr=False)
class Dataset(Shown):
    """Images with their labels, splits and groups.

    Attributes:
        root: The folder of the data, absolute.
        items: All images. Those of a folder or manifest are sorted by split (train, val, test) and id. Those of a
            data frame, a list or an array, and those that `read_paths` lists, are in the order in which they were
            given.
        classes: All labels, sorted, whether an image has one of them or several; none if no image has a label.
        test: Which share of the training images is set aside for testing once their contents are read.
        title: The name of the folder that all images of a list are in; None for the name of `root`.
    """

    root: Path
    items: tuple[Item, ...]
    classes: tuple[str, ...]
    test: HeldOutTest | None = None
    title: str | None = None

    @property
    def name(self) -> str:
        """The name of the data's folder, of the images' common folder if they are a list, or `images in memory`."""
        return "images in memory" if self._in_memory else self.title or self.root.name

    @property
    def place(self) -> str:
        """Where the images are, for a sentence: their folder, or `the images in memory`."""
        return "the images in memory" if self._in_memory else str(self.root)

    @property
    def multilabel(self) -> bool:
        """Whether an image may have several labels, see `Item.targets`."""
        return any(item.targets is not None for item in self.items)

    @property
    def _in_memory(self) -> bool:
        return any(item.pixels is not None for item in self.items)

    def headline(self) -> str:
        """Return `306 images of xrays, 4 classes, a share of 0.2 for testing`."""
        aside = f", a share of {self.test.share:g} for testing" if self.test else ""
        where = "in memory" if self._in_memory else f"of {self.root.name}"
        return f"{images(len(self.items))} {where}, {self.labels_in_words}{aside}"

    @property
    def labels_in_words(self) -> str:
        """Return `4 classes`, `14 labels, several of an image`, or `without labels`."""
        n = len(self.classes)
        if self.multilabel:
            return f"{n} labels, several of an image" if n != 1 else "1 label, of which images have it or not"
        return f"{n} class{'es' * (n != 1)}" if n else "without labels"

    def overview(self) -> tuple[Sequence[str], Sequence[Sequence[str]]]:
        """Return the number of images by class and split; of data without labels, by split."""
        counts = self.counts()
        if not self.classes:
            return ("", *counts), [["images", *(count(len(self.split(split))) for split in counts)]]
        rows = [
            [label, *(count(by_label[label]) for by_label in counts.values())] for label in self.classes[:ROWS_SHOWN]
        ]
        return ("class", *counts), rows

    def split(self, name: str) -> tuple[Item, ...]:
        """Return the items of one split; none if the dataset does not have it."""
        return tuple(item for item in self.items if item.split == name)

    def counts(self) -> dict[str, dict[str, int]]:
        """Return the number of images by split and class, for each split that has images.

        An image with several labels counts for each of them.
        """
        there = {item.split for item in self.items}
        counts = {split: dict.fromkeys(self.classes, 0) for split in SPLITS if split in there}
        for item in self.items:
            if item.label is not None:
                counts[item.split][item.label] += 1
            for label, target in zip(self.classes, item.targets or (), strict=False):
                counts[item.split][label] += target == 1
        return counts

    def unlabelled_counts(self) -> dict[str, int]:
        """Return the number of images without a label, or of several without any known one, by split."""
        counts = Counter(item.split for item in self.items if is_unlabelled(item))
        return {split: counts[split] for split in SPLITS if split in counts}


def is_unlabelled(item: Item) -> bool:
    """Tell whether an image has no label; of several, whether none of them is known to be there or not."""
    if item.targets is None:
        return item.label is None
    return all(target != target for target in item.targets)


def targets_of(items: Sequence[Item], classes: Sequence[str]) -> NDArray[np.float32]:
    """Return the targets of images with several labels, (n, L) float32, see `Item.targets`.

    Args:
        items: (n,) images; one without targets has none that is known.
        classes: (L,) the labels of the dataset.
    """
    unknown = (np.nan,) * len(classes)
    return np.array([item.targets or unknown for item in items], np.float32).reshape(len(items), len(classes))


def group_ids(digests: Sequence[str], groups: Sequence[str | None]) -> list[str]:
    """Return an id for each image, the same for images that must stay together.

    Images of one group must stay together, and so must images with the same bytes, whatever their groups are. The id
    is the smallest digest of these images.

    Args:
        digests: (n,) SHA-256 of each image's bytes.
        groups: (n,) the patient or another group of each image, or None.
    """
    parent: dict[str, str] = {}

    def root(name: str) -> str:
        while parent.setdefault(name, name) != name:
            name = parent[name]
        return name

    for digest, group in zip(digests, groups, strict=True):
        if group is not None:
            one, other = root(digest), root(f"group {group}")
            parent[max(one, other)] = min(one, other)
    return [root(digest) for digest in digests]


def first_few(names: Sequence[str]) -> str:
    """Return the first five names in sorted order, separated by commas, for a sentence."""
    return ", ".join(map(in_sentence, sorted(names)[:5])) + (", …" if len(names) > 5 else "")


def in_sentence(name: str) -> str:
    """Return a name on one line and not too long for a sentence."""
    line = " ".join(readable(name).split())
    return line if len(line) <= LONGEST_NAME else f"{line[: LONGEST_NAME - 1]}…"


def readable(name: str) -> str:
    """Return a file name so that it can be printed and stored even if its bytes are not valid UTF-8."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")
