"""A dataset: images with label, split and group, and the checks before a fit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from featx.errors import DataError, UsageError


def units_of(digests: Sequence[str], groups: Sequence[str | None]) -> list[str]:
    """Return a name for each image's unit: the smallest digest among all images that hang together with it.

    Images of one group hang together, and so do images with the same bytes, whatever their group says.

    Args:
        digests: SHA-256 of each image's bytes.
        groups: Patient or other group of each image, or None.
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


SPLITS = ("train", "val", "test")


@dataclass(frozen=True, slots=True)
class Item:
    """One image of a data set.

    Attributes:
        id: The image's name within the data set: its path relative to the data folder with forward
            slashes, or the path as written in the manifest.
        path: The file, absolute.
        label: The class in Unicode NFC, None if unknown.
        split: "train", "val" or "test".
        group: What ties images together, such as a patient; None makes the image its own group.
        extra: The other columns of the manifest.
    """

    id: str
    path: Path
    label: str | None
    split: str
    group: str | None = None
    extra: Mapping[str, Any] = field(default_factory=dict, hash=False)


@dataclass(frozen=True)
class Dataset:
    """The images of one or several places, in an order that depends on their names alone.

    Attributes:
        root: The folder the data lie in, absolute.
        items: All images, sorted by split (train, val, test) and id.
        classes: All labels, sorted.
        others: Files left out because their ending is no image's, sorted.
    """

    root: Path
    items: tuple[Item, ...]
    classes: tuple[str, ...]
    others: tuple[str, ...]

    def split(self, name: str) -> tuple[Item, ...]:
        """Returns the items of one split, none if the data set does not have it."""
        return tuple(item for item in self.items if item.split == name)

    def counts(self) -> dict[str, dict[str, int]]:
        """Returns the number of images by split and class, for each split that has images."""
        counts: dict[str, dict[str, int]] = {}
        for item in self.items:
            of_split = counts.setdefault(item.split, dict.fromkeys(self.classes, 0))
            if item.label is not None:
                of_split[item.label] += 1
        return counts


def check_for_fit(dataset: Dataset, validation: float) -> None:
    """Checks that a head can be fitted to a data set and validated.

    Args:
        dataset: The labelled images.
        validation: The share of each class's training images to be set aside for validation, in [0, 1);
            of n images that is `round(n * validation)`. Not used where the data set has a split "val".

    Raises:
        UsageError: The share is not in [0, 1).
        DataError: There are fewer than two classes to train, a class of another split is not among them,
            or a class has too few images to give at least one to training and one to validation.
    """
    if not 0 <= validation < 1:
        raise UsageError(f"Expected a validation share of at least 0 and below 1, found {validation}.")
    counts = dataset.counts()
    train = {label: n for label, n in counts.get("train", {}).items() if n}
    if len(train) < 2:
        raise DataError(
            f"Expected training images of at least two classes in {dataset.root}, found "
            f"{first_few(list(train)) or 'none'}; add a folder or label for each class."
        )
    for split in ("val", "test"):
        strange = [label for label, n in counts.get(split, {}).items() if n and label not in train]
        if strange:
            raise DataError(
                f"Expected in split {split} of {dataset.root} only classes that have training images, found "
                f"{first_few(strange)}; add training images of them or take them out."
            )
    if "val" in counts or validation == 0:
        return
    few = [f"{label} ({n})" for label, n in train.items() if not 1 <= round(n * validation) < n]
    if few:
        raise DataError(
            f"Expected images of each class for both training and validation, which a share of {validation} "
            f"does not give {first_few(few)}; add images or choose another share."
        )


def first_few(names: Sequence[str]) -> str:
    """Returns up to five of the names, in their order, as part of a sentence."""
    return ", ".join(sorted(names)[:5]) + (", …" if len(names) > 5 else "")
