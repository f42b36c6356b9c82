"""Thumbnails of images, put together in one picture: an atlas."""

from __future__ import annotations

import base64
import io
import logging
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from featx.errors import ImageError
from featx.images.content import content_digest
from featx.images.decoding import as_rgb, decode, read_bytes
from featx.machine import usable_cpus
from featx.parallel import bounded_map
from featx.progress import report_progress

log = logging.getLogger("featx")

# The most pixels of an atlas on a side, which phones still decode (16.8 megapixels).
SIDE = 4096
# Sides of a cell in pixels: the largest is taken with which all cells fit. They are multiples of 8, the side of a
# JPEG block, so that no cell bleeds into another.
CELLS = (96, 64, 48, 40, 32, 24)
QUALITY = 80
MOST_WORKERS = 8  # each holds one image at full size

MAX_THUMBNAILS = (SIDE // CELLS[-1]) ** 2
"""The most images of an atlas."""


@dataclass(frozen=True)
class Atlas:
    """Thumbnails of n images in one picture, row by row in the order of the images.

    Attributes:
        data: The picture, a JPEG file.
        cell: Side of a cell in pixels.
        columns: Number of cells from left to right.
        rows: Number of cells from top to bottom.
        filled: (n,) whether an image's cell holds its thumbnail; the others are blank.
    """

    data: bytes
    cell: int
    columns: int
    rows: int
    filled: tuple[bool, ...]

    def uri(self) -> str:
        """Return the picture as a `data:` URI."""
        return "data:image/jpeg;base64," + base64.b64encode(self.data).decode("ascii")


def atlas_of(
    files: Sequence[Path], digests: Sequence[str], pixels: Sequence[NDArray[np.uint8] | None] | None = None
) -> Atlas | None:
    """Return the thumbnails of images in one picture.

    A cell is blank if the image's file is gone, cannot be decoded, or has changed since its features were computed;
    one notice says how many there are. Only a few decoded images are in memory at a time.

    Args:
        files: (n,) where the images lay when their features were computed.
        digests: (n,) those of the bytes that they had (see `content_digest`).
        pixels: (n,) the pixels of images in memory, grey or RGB, and None for the files.

    Returns:
        None if there are no images, or more than `MAX_THUMBNAILS`, which a notice says.
    """
    n = len(files)
    side = cell_side(n)
    if side is None:
        if files:
            text = "Thumbnails are left out: a map shows those of at most %s images, and here are %s."
            log.info(text, f"{MAX_THUMBNAILS:,}", f"{n:,}")
        return None

    def thumbnail(task: tuple[Path, str, NDArray[np.uint8] | None]) -> NDArray[np.uint8] | None:
        path, digest, own = task
        decoded = decode_unchanged(path, digest, at_least=2 * side) if own is None else as_rgb(own)
        return None if decoded is None else letterboxed(decoded, side)

    def cells() -> Iterator[NDArray[np.uint8] | None]:
        tasks = zip(files, digests, pixels or (None,) * n, strict=True)
        workers = min(MOST_WORKERS, usable_cpus())
        for done, cell in enumerate(bounded_map(thumbnail, tasks, workers=workers, ahead=2 * workers), 1):
            yield cell
            report_progress("thumbnails", done, n)

    atlas = assembled(cells(), n, side)
    missing = atlas.filled.count(False)
    if missing:
        text = (
            "%s of %s images have no thumbnail: their files are gone, have changed since features were computed, or "
            "are of a format that cannot be decoded here."
        )
        log.info(text, f"{missing:,}", f"{n:,}")
    return atlas


def cell_side(n: int) -> int | None:
    """Return the side of a cell, in pixels, for n images; None if there are none or more than `MAX_THUMBNAILS`."""
    if n < 1:
        return None
    return next((cell for cell in CELLS if (SIDE // cell) ** 2 >= n), None)


def letterboxed(pixels: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """Return an image (height, width, 3) scaled to fit a black square of `side` pixels, aspect ratio kept."""
    height, width = pixels.shape[:2]
    scale = side / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = Image.fromarray(pixels).resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)
    square = Image.new("RGB", (side, side))
    square.paste(small, ((side - size[0]) // 2, (side - size[1]) // 2))
    return np.array(square)


def assembled(cells: Iterable[NDArray[np.uint8] | None], n: int, side: int) -> Atlas:
    """Return the atlas of n >= 1 cells, each (side, side, 3) RGB or None if blank; they are taken one at a time."""
    columns = math.isqrt(n - 1) + 1
    rows = math.ceil(n / columns)
    sheet = np.zeros((rows * side, columns * side, 3), np.uint8)
    filled = []
    grey = True
    for number, pixels in enumerate(cells):
        filled.append(pixels is not None)
        if pixels is not None:
            row, column = divmod(number, columns)
            sheet[row * side : (row + 1) * side, column * side : (column + 1) * side] = pixels
            grey = grey and bool((pixels == pixels[:, :, :1]).all())
    file = io.BytesIO()
    picture = Image.fromarray(np.ascontiguousarray(sheet[:, :, 0]) if grey else sheet)
    # Colours at full resolution: at half of it, neighbouring cells would share them.
    picture.save(file, "JPEG", quality=QUALITY, optimize=True, **({} if grey else {"subsampling": 0}))
    return Atlas(file.getvalue(), side, columns, rows, tuple(filled))


def decode_unchanged(path: Path, digest: str, *, at_least: int) -> NDArray[np.uint8] | None:
    """Decode an image file for a thumbnail if it has not changed.

    Args:
        path: The file.
        digest: That of the bytes that it had (see `content_digest`).
        at_least: See `decode`.

    Returns:
        Shape (height, width, 3), RGB; None if the file is gone, has changed or cannot be decoded.
    """
    try:
        data = read_bytes(path, str(path))
        return decode(data, str(path), at_least=at_least) if content_digest(data) == digest else None
    except ImageError:
        return None


def picture_uri(pixels: NDArray[np.uint8], side: int) -> str:
    """Return a small picture of an image as the `data:` URI of a JPEG file, aspect ratio kept.

    Args:
        pixels: The image, (height, width, 3), RGB.
        side: Pixels of the longer side of the picture; a smaller image is not enlarged.
    """
    picture = Image.fromarray(pixels)
    picture.thumbnail((side, side), Image.Resampling.LANCZOS)
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=QUALITY)
    return "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode("ascii")
