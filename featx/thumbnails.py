"""Thumbnails: many small pictures in one, a sprite atlas, of which a page shows one cell at a time."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

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
