"""Thumbnails of images: an atlas of them in one JPEG."""

from __future__ import annotations

import base64
import io
import logging
import math
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from featx.digests import sha256
from featx.errors import ImageError
from featx.images.decoding import decode, read_bytes
from featx.parallel import bounded_map
from featx.progress import report_progress

SIDE = 4096
"""The most pixels of an atlas on a side, which phones still decode (16.8 megapixels)."""

CELLS = (96, 64, 48, 40, 32, 24)
"""Sides of a cell in pixels: the largest is taken with which all cells fit. They are multiples of 8, JPEG's blocks,
so that no cell bleeds into another."""

LIMIT = (SIDE // CELLS[-1]) ** 2
"""The most images of an atlas."""

QUALITY = 80


@dataclass(frozen=True)
class Atlas:
    """Thumbnails of n images in one picture, row by row in the images' order.

    Attributes:
        data: The picture, a JPEG file.
        cell: Side of a cell in pixels.
        columns: Cells beside each other.
        rows: Cells below each other.
        found: (n,) whether the image had a thumbnail; other cells are blank.
    """

    data: bytes
    cell: int
    columns: int
    rows: int
    found: tuple[bool, ...]

    def uri(self) -> str:
        """Return the picture as a `data:` address."""
        return "data:image/jpeg;base64," + base64.b64encode(self.data).decode("ascii")


def cell_side(n: int) -> int | None:
    """Return the side of a cell, in pixels, for n images; None where there are more than `LIMIT`, or none."""
    if n < 1:
        return None
    return next((cell for cell in CELLS if (SIDE // cell) ** 2 >= n), None)


def letterboxed(pixels: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """Return an image scaled to fill a square as far as its aspect ratio lets it, centred on black.

    Args:
        pixels: Shape (height, width, 3), RGB.
        side: Of the square, in pixels.

    Returns:
        Shape (side, side, 3).
    """
    height, width = pixels.shape[:2]
    scale = side / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = Image.fromarray(pixels).resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)
    square = Image.new("RGB", (side, side))
    square.paste(small, ((side - size[0]) // 2, (side - size[1]) // 2))
    return np.array(square)


def assembled(cells: Iterable[NDArray[np.uint8] | None], n: int, side: int) -> Atlas:
    """Return the atlas of n cells, which are taken one at a time.

    Args:
        cells: n arrays of shape (side, side, 3), RGB, or None for a blank cell.
        n: How many, at least 1.
        side: Of a cell, in pixels.
    """
    columns = math.isqrt(n - 1) + 1
    rows = math.ceil(n / columns)
    sheet = np.zeros((rows * side, columns * side, 3), np.uint8)
    found = []
    grey = True
    for number, pixels in enumerate(cells):
        found.append(pixels is not None)
        if pixels is not None:
            row, column = divmod(number, columns)
            sheet[row * side : (row + 1) * side, column * side : (column + 1) * side] = pixels
            grey = grey and bool((pixels == pixels[:, :, :1]).all())
    file = io.BytesIO()
    picture = Image.fromarray(np.ascontiguousarray(sheet[:, :, 0]) if grey else sheet)
    # Colours at full resolution: at half of it, neighbouring cells would share them.
    picture.save(file, "JPEG", quality=QUALITY, optimize=True, **({} if grey else {"subsampling": 0}))
    return Atlas(file.getvalue(), side, columns, rows, tuple(found))


log = logging.getLogger("featx")

WORKERS = min(8, os.cpu_count() or 1)  # each holds one image at full size


def atlas_of(files: Sequence[Path], digests: Sequence[str]) -> Atlas | None:
    """Return the thumbnails of images, each of the bytes that its features are of.

    An image that is gone, cannot be decoded or has other bytes by now gets a blank cell, and one notice says how
    many they are. Decoded images are held a few at a time.

    Args:
        files: (n,) where the images lay when their features were computed.
        digests: (n,) SHA-256 of the bytes that they had.

    Returns:
        None where there are no images, or more than `featx.thumbnails.LIMIT`, which a notice says.
    """
    side = cell_side(len(files))
    if side is None:
        if files:
            log.info(
                "Thumbnails are left out: a map shows those of at most %s images, and here are %s.",
                f"{LIMIT:,}",
                f"{len(files):,}",
            )
        return None

    def thumbnail(task: tuple[Path, str]) -> NDArray[np.uint8] | None:
        return _thumbnail(*task, side)

    def cells() -> Iterator[NDArray[np.uint8] | None]:
        tasks = zip(files, digests, strict=True)
        for done, cell in enumerate(bounded_map(thumbnail, tasks, workers=WORKERS, ahead=2 * WORKERS), 1):
            yield cell
            report_progress("thumbnails", done, len(files))

    atlas = assembled(cells(), len(files), side)
    missing = atlas.found.count(False)
    if missing:
        log.info(
            "%s of %s images have no thumbnail: their files are gone, or have changed since their features were "
            "computed.",
            f"{missing:,}",
            f"{len(files):,}",
        )
    return atlas


def _thumbnail(path: Path, digest: str, side: int) -> NDArray[np.uint8] | None:
    try:
        data = read_bytes(path, str(path))
        if sha256(data) != digest:
            return None
        return letterboxed(decode(data, str(path), at_least=2 * side), side)
    except ImageError:
        return None
