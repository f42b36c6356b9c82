"""Images as a few grey pixels, the features of a baseline that shows what the network adds."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from featx.data import Item
from featx.errors import ImageError
from featx.features import WORKERS, Image, pixels
from featx.images import DECODE_RULE
from featx.parallel import bounded_map
from featx.progress import report_progress
from featx.recipes import ImagesPart
from featx.runs import Source
from featx.store import Space, Store

log = logging.getLogger("featx")

# Luma of Recommendation ITU-R BT.601 (1982); with three equal channels, as in radiographs, it is their value.
LUMA = np.array([0.299, 0.587, 0.114], np.float32)
IMAGES = ImagesPart(size=16, resize="bilinear")
# Part of the rows' key: raised by hand whenever their values change for the same decoded pixels.
GREY_RULE = 1


def pixel_rows(source: Source, store: Store) -> NDArray[np.float32] | None:
    """Return each image of a source as a square of 16 × 16 grey pixels, row by row from its top left corner.

    The rows are kept in the store, so a second call reads no image.

    Returns:
        (n, 256), from 0 (black) to 1 (white), in the source's order. None, with a notice, if a row is missing and its
        file is gone, has changed or cannot be read.
    """
    # Everything that decides a row's values besides the image's bytes.
    images = {"decode": DECODE_RULE, **IMAGES.key()}
    space = store.space({"kind": "pixels", "images": images, "grey": GREY_RULE})
    keys = [(digest, 0) for digest in source.table.digests]
    missing = {digest for digest, _ in space.missing(keys)}
    if missing:
        failure = _fill(space, _images(source, missing), store)
        if failure is not None:
            log.warning(
                "The baseline of raw pixels is left out, since the image %s is gone, has changed or cannot be read; "
                "everything else comes from the cache.",
                failure.path,
            )
            return None
    return space.rows(keys).to_array()


def _images(source: Source, digests: set[str]) -> list[Image]:
    """Return one image for each of the digests."""
    table = source.table
    image_of = {
        digest: Image(Item(name, path, label, split, group, pixels=own), digest)
        for name, path, label, split, group, digest, own in zip(
            table.ids,
            source.files,
            table.labels,
            table.splits,
            table.groups,
            table.digests,
            source.pixels or (None,) * len(table),
            strict=True,
        )
        if digest in digests
    }
    return list(image_of.values())


def _fill(space: Space, images: Sequence[Image], store: Store) -> ImageError | None:
    """Compute and store rows; return the error of the first image that cannot be read."""

    def row(image: Image) -> NDArray[np.float32] | ImageError:
        try:
            return (pixels(image, IMAGES, store).astype(np.float32) @ LUMA / np.float32(255)).reshape(1, -1)
        except ImageError as error:
            return error

    with space.writer() as writer:
        results = bounded_map(row, images, workers=WORKERS, ahead=2 * WORKERS)
        for done, (image, result) in enumerate(zip(images, results, strict=True), 1):
            if isinstance(result, ImageError):
                return result
            writer.add([(image.digest, 0)], result)
            report_progress("pixels", done, len(images))
    return None
