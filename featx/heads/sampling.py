"""Which images a head is trained, validated and tested on, and in which batches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from featx.data import units_of
from featx.errors import DataError
from featx.features import Extraction, Image
from featx.recipes import Recipe


class RowSource(Protocol):
    """Rows by their number: an array, or rows in the store's memory map."""

    def __getitem__(self, index: NDArray[np.int64], /) -> NDArray[np.float32]:
        """Return the rows of these numbers."""
        ...


@dataclass(frozen=True)
class TrainingBatches:
    """Batches of cached rows: each epoch takes every image once, in a new order, by one of its views.

    Attributes:
        rows: View k of image i is row `i * views + k`.
        labels: (images,) class indices.
        views: Views an image.
        batch_size: Rows a batch; the last one of an epoch may be shorter.
        seed: Decides order and views together with the epoch's number, and nothing else does.
    """

    rows: RowSource
    labels: NDArray[np.int64]
    views: int
    batch_size: int
    seed: int

    @property
    def steps(self) -> int:
        """Batches an epoch."""
        return -(-len(self.labels) // self.batch_size)

    def epoch(self, number: int) -> Iterator[tuple[NDArray[np.float32], NDArray[np.int64]]]:
        """Yield the epoch's batches: (n, d) rows and (n,) labels."""
        generator = np.random.default_rng([self.seed, number])
        order = generator.permutation(len(self.labels))
        drawn = generator.integers(self.views, size=len(self.labels))
        for start in range(0, len(order), self.batch_size):
            images = order[start : start + self.batch_size]
            yield self.rows[images * self.views + drawn[images]], self.labels[images]


def validation_mask(
    labels: Sequence[str], digests: Sequence[str], groups: Sequence[str | None], share: float, seed: int
) -> NDArray[np.bool_]:
    """Choose the images that are held out for validation: stratified by class, whole groups together.

    Images with the same bytes count as one group whatever their group says, so that no copy stands on both
    sides. Groups are visited in an order drawn by the seed, and one is held out when that brings the classes'
    counts nearer to `round(share * n)`; without groups those counts are met exactly.

    Args:
        labels: Class of each image.
        digests: SHA-256 of each image's bytes; they, not the files' order, decide with the seed.
        groups: Patient or other group of each image, or None.
        share: Of the images, from 0 (none) to below 1.
        seed: Another seed holds out other images.

    Returns:
        (n,) True where the image is held out.

    Raises:
        DataError: A class cannot be divided without dividing a group.
    """
    mask = np.zeros(len(labels), bool)
    if share == 0:
        return mask
    members: dict[str, list[int]] = {}
    for index, unit in enumerate(units_of(digests, groups)):
        members.setdefault(unit, []).append(index)
    names, y = np.unique(np.array(labels), return_inverse=True)
    wanted = np.rint(np.bincount(y) * share)
    order = np.random.default_rng(seed).permutation(sorted(members))
    for unit in order:
        counts = np.bincount(y[members[unit]], minlength=len(names))
        if np.abs(wanted - counts).sum() < np.abs(wanted).sum():
            mask[members[unit]] = True
            wanted -= counts
    _check_both_sides(names, y, mask)
    return mask


def _check_both_sides(names: NDArray[np.str_], y: NDArray[np.int64], mask: NDArray[np.bool_]) -> None:
    """Groups may be so large that none fits: say so instead of fitting or validating without a class."""
    for number, name in enumerate(names):
        held = mask[y == number]
        if held.all() or not held.any():
            raise DataError(
                f"Expected images of {name} both to fit and to validate on, but its {len(held)} images cannot be "
                "divided with whole groups kept together; choose another --validation, or give a split 'val'."
            )


@dataclass(frozen=True)
class Parts:
    """The images by what the fit does with them."""

    fit: list[Image]
    validation: list[Image]
    test: list[Image]


def parts_of(extraction: Extraction, recipe: Recipe) -> Parts:
    """Return the images by role; the split `val` is validated on where there is one, else a share of the train split.

    Raises:
        DataError: A class cannot be divided without dividing a group.
    """
    train = extraction.select("train")
    held_out = extraction.select("val")
    if held_out:
        return Parts(_ordered(train), _ordered(held_out), _ordered(extraction.select("test")))
    mask = validation_mask(
        [str(image.item.label) for image in train],
        [image.digest for image in train],
        [image.item.group for image in train],
        recipe.fit.validation,
        recipe.fit.seed,
    )
    fit = [image for image, held in zip(train, mask, strict=True) if not held]
    held_out = [image for image, held in zip(train, mask, strict=True) if held]
    return Parts(_ordered(fit), _ordered(held_out), _ordered(extraction.select("test")))


def _ordered(images: Sequence[Image]) -> list[Image]:
    """Order by content, so that a renamed file does not change which batch it falls into."""
    return sorted(images, key=lambda image: (image.digest, image.item.id))


def class_indices(images: Sequence[Image], classes: Sequence[str]) -> NDArray[np.int64]:
    """Return the number of each image's class."""
    number = {name: index for index, name in enumerate(classes)}
    return np.array([number[str(image.item.label)] for image in images], np.int64)
