"""Which images a head is trained, validated and tested on, and in which batches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from featx.data import Dataset, held_out_mask, targets_of
from featx.features import Extraction, Image
from featx.heads.training import Labels
from featx.recipes import Recipe


class RowSource(Protocol):
    """Rows by index: an array, or rows in the store's memory map."""

    def __getitem__(self, index: NDArray[np.int64], /) -> NDArray[np.float32]:
        """Return the rows at these indices."""
        ...


@dataclass(frozen=True)
class TrainingBatches:
    """Batches of cached rows: each epoch uses every image once, in a new order, by one of its augmented views.

    Attributes:
        rows: (images * views, d) features; view k of image i is row `i * views + k`.
        labels: (images,) class indices, or (images, L) targets of several labels.
        views: Number of views of each image.
        batch_size: Rows in a batch; the last batch of an epoch may be smaller.
        seed: Seed and epoch number alone decide the order and the choice of views.
    """

    rows: RowSource
    labels: NDArray[Any]
    views: int
    batch_size: int
    seed: int

    @property
    def steps(self) -> int:
        """Number of batches in an epoch."""
        return -(-len(self.labels) // self.batch_size)

    def epoch(self, number: int) -> Iterator[tuple[NDArray[np.float32], NDArray[Any]]]:
        """Yield the epoch's batches: (n, d) rows, and (n,) or (n, L) labels."""
        generator = np.random.default_rng([self.seed, number])
        order = generator.permutation(len(self.labels))
        drawn = generator.integers(self.views, size=len(self.labels))
        for start in range(0, len(order), self.batch_size):
            images = order[start : start + self.batch_size]
            yield self.rows[images * self.views + drawn[images]], self.labels[images]


@dataclass(frozen=True)
class ImagesByRole:
    """The images by their role in the fit."""

    fit: list[Image]
    validation: list[Image]
    test: list[Image]


def images_by_role(extraction: Extraction, recipe: Recipe) -> ImagesByRole:
    """Return the images that a head is trained, validated and tested on.

    Validation uses the split `val` if the data has one, and otherwise a share of the train split. Images are in the
    order of their content, so that renaming a file does not change which batch it falls into.

    Args:
        extraction: The images, with their splits, classes and groups.
        recipe: Its `fit.validation` is the share, its `fit.seed` decides which images are held out.

    Raises:
        DataError: A class cannot be divided without dividing a group, or of several labels nothing can be held out.
    """
    train, held_out = extraction.select("train"), extraction.select("val")
    if not held_out:
        dataset = extraction.dataset
        targets = targets_of([image.item for image in train], dataset.classes) if dataset.multilabel else None
        mask = held_out_mask(
            [str(image.item.label) for image in train] if targets is None else targets,
            [image.digest for image in train],
            [image.item.group for image in train],
            recipe.fit.validation,
            recipe.fit.seed,
            purpose="validation",
            advice="choose another --validation, or give a split 'val'",
            names=dataset.classes if dataset.multilabel else (),
        )
        held_out = [image for image, held in zip(train, mask, strict=True) if held]
        train = [image for image, held in zip(train, mask, strict=True) if not held]
    return ImagesByRole(
        *(
            sorted(images, key=lambda image: (image.digest, image.item.id))
            for images in (train, held_out, extraction.select("test"))
        )
    )


def label_array(images: Sequence[Image], dataset: Dataset) -> Labels:
    """Return what a head is trained on: (n,) class indices, or (n, L) targets of data with several labels."""
    if dataset.multilabel:
        return targets_of([image.item for image in images], dataset.classes)
    return class_indices(images, dataset.classes)


def class_indices(images: Sequence[Image], classes: Sequence[str]) -> NDArray[np.int64]:
    """Return the index of each image's class, (n,).

    Args:
        images: Images with a label.
        classes: Names of the classes, in the order of their indices.
    """
    index = {name: number for number, name in enumerate(classes)}
    return np.array([index[str(image.item.label)] for image in images], np.int64)
