"""JPEG XL: the size from the file's head, samples at their own depth from imagecodecs.

The decoder turns images upright, as the file's own head says; EXIF data repeats that.
"""

from __future__ import annotations

import re
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from featx.errors import ImageError
from featx.images.levels import rgb_of
from featx.images.pending import BYTES_A_PIXEL, Pending, boxes

SIGNATURE = re.compile(rb"\xff\x0a|\0\0\0\x0cJXL \r\n\x87\n")
_CODESTREAM = b"\xff\x0a"
_HEAD_BYTES = 64  # hold all fields that are read
_TURNED = 5  # orientations from this one on exchange width and height
# ISO/IEC 18181-1, ratios of width and height; fields of varying length: (offset, bits) for each selector.
_RATIOS = {1: (1, 1), 2: (12, 10), 3: (4, 3), 4: (3, 2), 5: (16, 9), 6: (5, 4), 7: (2, 1)}
_SIZE = ((1, 9), (1, 13), (1, 18), (1, 30))


class Head(NamedTuple):
    """Size of an upright image, and whether it moves."""

    width: int
    height: int
    animated: bool


class _Bits:
    """The fields of a head, each from its lowest bit on."""

    def __init__(self, data: bytes) -> None:
        self._number = int.from_bytes(data[:_HEAD_BYTES], "little")
        self._left = 8 * min(len(data), _HEAD_BYTES)

    def take(self, count: int) -> int:
        self._left -= count
        if self._left < 0:
            raise ValueError("it ends in its head")
        value = self._number & ((1 << count) - 1)
        self._number >>= count
        return value

    def one_of(self, choices: tuple[tuple[int, int], ...]) -> int:
        offset, bits = choices[self.take(2)]
        return offset + self.take(bits)


def jpeg_xl(data: bytes, name: str, _: int | None = None) -> Pending:
    """Return a JPEG XL image, of an animation the first."""
    head = _head(_start(data))
    try:
        import imagecodecs
    except ImportError as error:
        need = "is JPEG XL, for which imagecodecs is needed (pip install 'featx[jxl]'), or convert it to PNG first"
        raise ImageError(name, need) from error

    def pixels() -> NDArray[np.uint8]:
        samples = imagecodecs.jpegxl_decode(data, index=0 if head.animated else None, numthreads=1)
        if samples.shape[:2] != (head.height, head.width) or samples.ndim > 3:
            raise ValueError("a kind of several images or of other sizes than its head says")
        samples = np.atleast_3d(samples)
        if samples.shape[2] > 4:
            raise ValueError("more than four channels")
        colours = samples.shape[2] - 1 + samples.shape[2] % 2
        return rgb_of(samples[:, :, :colours], samples[:, :, colours] if samples.shape[2] > colours else None, name)

    return Pending(head.width, head.height, pixels, 4 * BYTES_A_PIXEL)


def _start(data: bytes) -> bytes:
    """The first bytes of the codestream, which may lie in boxes."""
    if data.startswith(_CODESTREAM):
        return data[:_HEAD_BYTES]
    parts = b""
    for kind, start, end in boxes(data, 0, len(data)):
        skipped = {b"jxlc": 0, b"jxlp": 4}.get(kind)  # parts are numbered
        if skipped is not None:
            parts += data[start + skipped : min(end, start + skipped + _HEAD_BYTES)]
        if len(parts) >= _HEAD_BYTES:
            break
    if not parts.startswith(_CODESTREAM):
        raise ValueError("no codestream")
    return parts


def _head(start: bytes) -> Head:
    bits = _Bits(start[len(_CODESTREAM) :])
    width, height = _size(bits)
    orientation, animated = 1, False
    if not bits.take(1) and bits.take(1):  # not all is as usual, and there are fields before the depth
        orientation = 1 + bits.take(3)
        if bits.take(1):
            _size(bits)  # in which it is meant to be shown
        if bits.take(1):
            _preview(bits)
        animated = bool(bits.take(1))
    return Head(height, width, animated) if orientation >= _TURNED else Head(width, height, animated)


def _size(bits: _Bits) -> tuple[int, int]:
    small = bits.take(1)
    height = 8 * (1 + bits.take(5)) if small else bits.one_of(_SIZE)
    ratio = bits.take(3)
    if ratio:
        across, down = _RATIOS[ratio]
        return height * across // down, height
    return (8 * (1 + bits.take(5)) if small else bits.one_of(_SIZE)), height


def _preview(bits: _Bits) -> None:
    """The size of a preview, which is not used."""
    sizes = ((16, 0), (32, 0), (1, 5), (33, 9)) if bits.take(1) else ((1, 6), (65, 8), (321, 10), (1345, 12))
    bits.one_of(sizes)
    if not bits.take(3):
        bits.one_of(sizes)
