"""Which images a head is fitted to, validated and tested on, in an order that depends on their content alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from featx.pipeline.extraction import Extraction
from featx.pipeline.hashing import Image
from featx.recipe import Recipe
from featx.sampling import validation_mask


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
