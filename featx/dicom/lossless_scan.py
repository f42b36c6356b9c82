"""The samples of one scan of a lossless JPEG, compiled by Numba when it is first needed."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar, cast

import numba
import numpy as np
from numpy.typing import NDArray

from featx.machine import NUMBA, provide_folders

ENDED, NO_CODE = -1, -2  # what is wrong with a scan, instead of the position after it
_ENOUGH = 32  # bits read ahead: the longest code and the longest difference

Function = TypeVar("Function", bound=Callable[..., Any])
Bits = tuple[int, int, int, int]  # position in the file; bits read ahead, how many, how many of them are not there

provide_folders([NUMBA])


def _compiled(function: Function) -> Function:
    kernel = numba.njit(nogil=True)(function)
    # Without a folder for machine code, each process compiles the function again.
    with suppress(RuntimeError):
        kernel.enable_caching()
    return cast(Function, kernel)


@_compiled
def _read_ahead(data: NDArray[np.uint8], bits: Bits) -> Bits:
    """Read until there are bits enough, but not past a marker: after it there are zeros that do not count."""
    position, held, length, extra = bits
    while length <= _ENOUGH:
        held, length = held << 8, length + 8
        if position < len(data) and data[position] != 0xFF:
            held |= int(np.int64(data[position]))
            position += 1
        elif position + 1 < len(data) and data[position] == 0xFF and data[position + 1] == 0:
            held |= 0xFF
            position += 2
        else:
            extra += 8
    return position, held, length, extra


@_compiled
def _after_restart(data: NDArray[np.uint8], position: int) -> int:
    """The position after a restart marker."""
    while position + 1 < len(data) and data[position] == 0xFF and data[position + 1] == 0xFF:
        position += 1
    if position + 1 >= len(data) or data[position] != 0xFF or data[position + 1] & 0xF8 != 0xD0:
        return ENDED
    return position + 2


@_compiled
def _predicted(samples: NDArray[np.uint16], row: int, column: int, place: int, start: int, predictor: int) -> int:
    """The value that is expected, ISO/IEC 10918-1 table H.1; `start` is that of the first sample, -1 elsewhere."""
    if start >= 0 and column == 0:
        return start
    left = int(np.int64(samples[row, column - 1, place])) if column > 0 else 0
    if start >= 0 or (predictor == 1 and column > 0):
        return left
    above = int(np.int64(samples[row - 1, column, place]))
    if column == 0 or predictor == 2:
        return above
    corner = int(np.int64(samples[row - 1, column - 1, place]))
    if predictor == 3:
        return corner
    if predictor == 4:
        return left + above - corner
    if predictor == 5:
        return left + ((above - corner) >> 1)
    if predictor == 6:
        return above + ((left - corner) >> 1)
    return (left + above) >> 1


@_compiled
def _difference(held: int, length: int, size: int) -> int:
    """The difference in the last `size` of the bits before `length`, ISO/IEC 10918-1 section F.1.2.1.1."""
    if size == 0:
        return 0
    if size == 16:  # which has no bits of its own
        return 32768
    value = (held >> (length - size)) & ((1 << size) - 1)
    return value if value >= 1 << (size - 1) else value - (1 << size) + 1


@_compiled
def decode_scan(
    data: NDArray[np.uint8],
    position: int,
    samples: NDArray[np.uint16],
    places: NDArray[np.int64],
    tables: NDArray[np.int32],
    predictor: int,
    shift: int,
    bits: int,
    restart: int,
) -> int:
    """Fill in the samples of a scan.

    Args:
        data: The codestream.
        position: Where the scan starts in it.
        samples: (rows, columns, components), filled in.
        places: Of the scan's components, in their order.
        tables: (components of the scan, 65536), what the next 16 bits mean.
        predictor: Its number, 1 to 7.
        shift: Bits that were cut off; the samples lack them.
        bits: Of a sample.
        restart: Pixels between restart markers, which stand at the ends of rows; 0 for none.

    Returns:
        The position of the marker after the scan, or ENDED or NO_CODE.
    """
    rows, columns, _ = samples.shape
    held, length, extra, until, start = 0, 0, 0, restart, 1 << (bits - shift - 1)
    for row in range(rows):
        for column in range(columns):
            if restart > 0 and until == 0:
                position = _after_restart(data, position)
                if position < 0 or column > 0:
                    return ENDED
                held, length, extra, until, start = 0, 0, 0, restart, 1 << (bits - shift - 1)
            until -= 1
            for k in range(len(places)):
                position, held, length, extra = _read_ahead(data, (position, held, length, extra))
                entry = tables[k, (held >> (length - 16)) & 0xFFFF]
                length -= entry >> 5
                size = entry & 31
                difference = _difference(held, length, size)
                length -= size & 15
                if entry == 0 or length < extra:
                    return NO_CODE if entry == 0 and extra == 0 else ENDED
                held &= (1 << length) - 1
                expected = _predicted(samples, row, column, places[k], start, predictor)
                samples[row, column, places[k]] = (expected + difference) & 0xFFFF
        start = -1
    while position + 1 < len(data) and not (data[position] == 0xFF and data[position + 1] != 0):
        position += 1
    return position
