"""An encoder of lossless JPEG, by ISO/IEC 10918-1 annex H and not by any library."""

from __future__ import annotations

import struct
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

CODES = 17
"""How many sizes of a difference there are; each has a code of 5 bits."""


def _expected_value(image: NDArray[np.int64], row: int, column: int, predictor: int, first: int, fresh: bool) -> int:
    """Table H.1, with a, b and c for the neighbours on the left, above, and above on the left."""
    if row == 0 or fresh:
        return int(image[row, column - 1]) if column else first
    if column == 0:
        return int(image[row - 1, 0])
    a, b, c = int(image[row, column - 1]), int(image[row - 1, column]), int(image[row - 1, column - 1])
    return (a, b, c, a + b - c, a + ((b - c) >> 1), b + ((a - c) >> 1), (a + b) >> 1)[predictor - 1]


def _code(difference: int) -> str:
    """The bits of a difference, modulo 2^16."""
    difference = (difference + 32768) % 65536 - 32768
    if difference == -32768:
        return f"{16:05b}"
    size = abs(difference).bit_length()
    value = difference if difference >= 0 else difference + (1 << size) - 1
    return f"{size:05b}" + (f"{value:0{size}b}" if size else "")


def _stuffed(bits: str) -> bytes:
    bits += "1" * (-len(bits) % 8)
    return int(bits, 2).to_bytes(len(bits) // 8).replace(b"\xff", b"\xff\0") if bits else b""


def _segment(marker: int, body: bytes) -> bytes:
    return bytes([0xFF, marker]) + struct.pack(">H", len(body) + 2) + body


def encoded(
    image: NDArray[Any], bits: int, predictor: int = 1, *, shift: int = 0, rows_between: int = 0, apart: bool = False
) -> bytes:
    """Return a codestream of (rows, columns, components).

    Args:
        image: The samples.
        bits: Bits of a sample.
        predictor: The number of table H.1.
        shift: Bits that are cut off.
        rows_between: Rows between restarts; 0 for none.
        apart: Give each component a scan of its own.
    """
    rows, columns, components = image.shape
    values = image.astype(np.int64) >> shift
    stream = b"\xff\xd8" + _segment(
        0xC3,
        struct.pack(">BHHB", bits, rows, columns, components)
        + b"".join(bytes([k + 1, 0x11, 0]) for k in range(components)),
    )
    stream += _segment(0xC4, bytes([0, 0, 0, 0, 0, CODES, *[0] * 11, *range(CODES)]))
    if rows_between:
        stream += _segment(0xDD, struct.pack(">H", rows_between * columns))
    scans = [[k] for k in range(components)] if apart else [list(range(components))]
    for scan in scans:
        parts = b"".join(bytes([k + 1, 0]) for k in scan)
        stream += _segment(0xDA, bytes([len(scan)]) + parts + bytes([predictor, 0, shift]))
        starts = [*range(0, rows, rows_between or rows), rows]
        for number, (start, end) in enumerate(pairwise(starts)):
            stream += bytes([0xFF, 0xD0 + (number - 1) % 8]) if number else b""
            text = ""
            for row in range(start, end):
                for column in range(columns):
                    for k in scan:
                        first = 1 << (bits - shift - 1)
                        guess = _expected_value(values[:, :, k], row, column, predictor, first, row == start)
                        text += _code(int(values[row, column, k]) - guess)
            stream += _stuffed(text)
    return stream + b"\xff\xd9"
