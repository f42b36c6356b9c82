"""An image file that was opened, so that its size is known, and not decoded yet."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

BYTES_A_PIXEL = 14  # while an image of 8 bits is decoded: the decoder's pixels, converted ones, and the array


@dataclass(frozen=True)
class Pending:
    """An image of known size.

    Attributes:
        width: Pixels of a row.
        height: Rows.
        pixels: Decodes the image: (height, width, 3) RGB, upright.
        bytes_a_pixel: The memory that decoding takes, divided by the number of pixels.
    """

    width: int
    height: int
    pixels: Callable[[], NDArray[np.uint8]]
    bytes_a_pixel: int = BYTES_A_PIXEL


def boxes(data: bytes, start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Yield kind, start and end of the content of each box between two places (ISO/IEC 14496-12, section 4.2).

    JPEG 2000, JPEG XL, AVIF and HEIC files are made of them. What is cut short ends with the bytes.
    """
    while start + 8 <= end:
        length, kind, head = int.from_bytes(data[start : start + 4]), data[start + 4 : start + 8], 8
        if length == 1:
            length, head = int.from_bytes(data[start + 8 : start + 16]), 16
        elif length == 0:
            length = end - start
        if length < head:
            return
        yield kind, start + head, min(start + length, end)
        start += length
