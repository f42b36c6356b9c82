"""A head's penultimate features, in the store under the head's digest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from featx.heads import Head
from featx.pipeline.extraction import Extraction
from featx.pipeline.progress import Progress
from featx.pipeline.spaces import SpacePair
from featx.store import RowKey

ROWS_AT_ONCE = 256


@dataclass(frozen=True)
class Penultimate:
    """Where a head's penultimate features are."""

    head: str
    layer: str
    spaces: SpacePair


def store_penultimate(head: Head, extraction: Extraction, views: int, progress: Progress) -> Penultimate | None:
    """Compute and store the penultimate features of every row that is missing them.

    Returns:
        Where they are, or None where the recipe names no penultimate layer.
    """
    layer = head.penultimate_layer
    if layer is None:
        return None
    digest = head.digest()
    target = extraction.spaces.penultimate(extraction.store, digest, layer)
    keys = dict.fromkeys(
        (image.digest, view)
        for image in extraction.images
        for view in range(views if image.item.split == "train" else 1)
    )
    missing = target.missing(list(keys))
    for augmented in (False, True):
        chosen = [key for key in missing if (key[1] > 0) == augmented]
        if chosen:
            _fill(head, extraction, target, chosen, progress)
    return Penultimate(digest, layer, target)


def _fill(head: Head, extraction: Extraction, target: SpacePair, keys: Sequence[RowKey], progress: Progress) -> None:
    """Compute rows that all are of one space."""
    source = extraction.spaces.of_view(keys[0][1]).rows(keys)
    done = 0
    with target.of_view(keys[0][1]).writer() as writer:
        for rows in head.penultimate(source.chunks(ROWS_AT_ONCE)):
            writer.add(keys[done : done + len(rows)], rows)
            done += len(rows)
            progress("penultimate features", done, len(keys))
