"""New images beside the training images: how typical they are of them, and which are copies of them."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.classifiers import SavedClassifier
from featx.duplicates import Copies, find_copies, projected
from featx.errors import FeatxError
from featx.features import Extraction, Image
from featx.novelty import OUTSIDE, Reference, outside_p_value, reference_of, stored_reference, training_images
from featx.previews import previews_of
from featx.runs import ROWS_AT_ONCE, HeadModel, Model, Source

log = logging.getLogger("featx")

UNKNOWN = "It is not known how typical the images are of the training images."


@dataclass(frozen=True)
class Copy:
    """A new image that is a copy of a training image in all but its bytes.

    Attributes:
        number: The number of the new image.
        training: The path of the training image.
        cosine: Of their features.
        correlation: Of their small grey copies, see `find_copies`.
        how: How one is laid over the other, such as `mirrored`; "" for as it is.
    """

    number: int
    training: str
    cosine: float
    correlation: float
    how: str

    def to_json(self) -> dict[str, Any]:
        """Return `training, cosine, correlation, how`."""
        return {name: getattr(self, name) for name in ("training", "cosine", "correlation", "how")}


@dataclass(frozen=True)
class BesideTraining:
    """What the training images say of new ones.

    Attributes:
        typicality: (n,) the typicality of each new image, 0 to 100, see `predict`; None where it is not known.
        p_value: The probability that chance alone puts so many new images outside; None likewise.
        copies: The copies of training images, one for each new image that is one.
        notes: What a reader must know, as sentences.
    """

    typicality: NDArray[np.float64] | None = None
    p_value: float | None = None
    copies: tuple[Copy, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def outside(self) -> NDArray[np.bool_] | None:
        """(n,) Which images lie outside what the training images span; None where that is not known."""
        return None if self.typicality is None else self.typicality < OUTSIDE


def beside_training(model: Model, extraction: Extraction, images: Sequence[Image], groups: int) -> BesideTraining:
    """Compare new images with the training images of a model, as far as these are in the cache.

    Args:
        model: The model.
        extraction: The new images' features.
        images: The new images, ordered by digest.
        groups: The number of their groups.
    """
    try:
        source = training_images(model.run, extraction.store) if isinstance(model, HeadModel) else None
        reference = _reference(model, source, extraction)
    except FeatxError as error:
        log.info("%s %s", UNKNOWN, error)
        return BesideTraining(notes=(f"{UNKNOWN} {error}",))
    if reference is None:  # which a note says already
        return BesideTraining()
    rows = extraction.view_rows(images)
    typicality = np.concatenate([reference.typicality(chunk) for chunk in rows.chunks(ROWS_AT_ONCE)])
    number = int(np.sum(typicality < OUTSIDE))
    p_value = outside_p_value(number, len(images), reference, groups)
    copies = () if source is None else copies_of_training(source, extraction, images)
    return BesideTraining(typicality, p_value, copies)


def _reference(model: Model, source: Source | None, extraction: Extraction) -> Reference | None:
    if source is not None:
        return reference_of(source)
    if not isinstance(model, SavedClassifier) or model.trained_on is None:
        return None
    digests, marks = zip(*model.trained_on, strict=True)
    return stored_reference(extraction.store, model.backbone_set, digests, marks)


def copies_of_training(source: Source, extraction: Extraction, images: Sequence[Image]) -> tuple[Copy, ...]:
    """Return the new images that are copies of training images; of several the most alike."""
    table, n = source.table, len(source.table)
    items = [image.item for image in images]
    files = (*source.files, *(item.path for item in items))
    digests = (*table.digests, *(image.digest for image in images))
    pixels = (*(source.pixels or (None,) * n), *(item.pixels for item in items))

    def previews(numbers: NDArray[np.int64]) -> Any:
        chosen = numbers.tolist()
        return previews_of(
            [files[i] for i in chosen],
            [digests[i] for i in chosen],
            extraction.spec,
            extraction.store,
            [pixels[i] for i in chosen],
        )

    rows = projected(_chunks(table.X, extraction, images), table.X.shape[1])
    between = np.arange(n, n + len(images)), np.arange(n)
    found: Copies = find_copies(rows, digests, previews, between=between)
    copies: dict[int, Copy] = {}
    for pair in found.pairs:
        copies.setdefault(pair.b - n, Copy(pair.b - n, table.ids[pair.a], pair.cosine, pair.correlation, pair.how))
    return tuple(copies.values())


def _chunks(X: NDArray[np.float32], extraction: Extraction, images: Sequence[Image]) -> Any:
    yield X
    yield from extraction.view_rows(images).chunks(ROWS_AT_ONCE)
