"""Lossless JPEG, ISO/IEC 10918-1 annex H: the compression of most DICOM archives.

featx decodes it itself. GDCM, the only other decoder with a permissive licence, ends the whole process where a file
is damaged in some ways, and shows wrong pixels without a word where it is damaged in others.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from featx.dicom.codestreams import Jpeg
from featx.dicom.damage import DamageError

_DHT, _SOI, _EOI, _SOS, _DRI = 0xC4, 0xD8, 0xD9, 0xDA, 0xDD
_BITS = 16  # the longest code


class _Scan(NamedTuple):
    """Which components a scan has, by their places, the tables of their codes, the predictor and the bits cut off."""

    places: list[int]
    tables: NDArray[np.int32]
    predictor: int
    shift: int


def decode_lossless(stream: bytes, header: Jpeg) -> NDArray[np.uint16]:
    """Return the samples of a lossless JPEG codestream, (rows, columns, components).

    Args:
        stream: The codestream.
        header: Its frame header; with Huffman codes, 2 to 16 bits and components of one size.

    Raises:
        DamageError: It is truncated or damaged.
    """
    from featx.dicom.lossless_scan import ENDED, decode_scan  # it loads Numba

    if not 2 <= header.bits <= _BITS:
        raise DamageError(f"a JPEG codestream of {header.bits} bits")
    if len(set(header.ids)) < header.components or len(set(header.sampling)) != 1:
        raise DamageError("a JPEG codestream with components of several sizes")
    samples = np.zeros((header.rows, header.columns, header.components), np.uint16)
    data = np.frombuffer(stream, np.uint8)
    tables: dict[int, NDArray[np.int32]] = {}
    missing, restart, position = set(range(header.components)), 0, 2
    while missing:
        marker, segment, position = _segment(stream, position)
        if marker == _DHT:
            tables |= _tables(segment)
        elif marker == _DRI and len(segment) >= 2:
            restart = int.from_bytes(segment[:2])
        elif marker == _SOS:
            scan = _scan(segment, header, tables)
            options = (np.array(scan.places), scan.tables, scan.predictor, scan.shift, header.bits, restart)
            position = int(decode_scan(data, position, samples, *options))
            if position < 0:
                reason = "ends too early" if position == ENDED else "has a code that does not exist"
                raise DamageError(f"a JPEG codestream {reason}")
            samples[:, :, scan.places] <<= np.uint16(scan.shift)
            missing -= set(scan.places)
    return samples


def _segment(stream: bytes, position: int) -> tuple[int, bytes, int]:
    """The marker at a position, its segment, and the position after it."""
    while stream[position : position + 2] == b"\xff\xff":
        position += 1
    if stream[position : position + 1] != b"\xff" or position + 4 > len(stream):
        raise DamageError("a JPEG codestream has no marker where one was expected")
    marker, length = stream[position + 1], int.from_bytes(stream[position + 2 : position + 4])
    end = position + 2 + length
    if marker in (_SOI, _EOI) or length < 2 or end > len(stream):
        raise DamageError("a JPEG codestream has a segment of a wrong length")
    return marker, stream[position + 4 : end], end


def _tables(segment: bytes) -> dict[int, NDArray[np.int32]]:
    """The tables of codes of a DHT segment by their number, see `_table`."""
    tables = {}
    while len(segment) >= 1 + _BITS:
        number, counts = segment[0] & 15, segment[1 : 1 + _BITS]
        values = segment[1 + _BITS : 1 + _BITS + sum(counts)]
        tables[number] = _table(counts, values)
        segment = segment[1 + _BITS + sum(counts) :]
    return tables


def _table(counts: bytes, values: bytes) -> NDArray[np.int32]:
    """What the next 16 bits mean: (65536,), 32 times the length of their code plus its value; 0 for no code."""
    table = np.zeros(2**_BITS, np.int32)
    start, index = 0, 0
    for length, count in enumerate(counts, 1):
        for value in values[index : index + count]:
            end = start + 2 ** (_BITS - length)
            if end > len(table) or value > _BITS:
                raise DamageError("a JPEG codestream has a table of codes that is none")
            table[start:end] = 32 * length + value
            start = end
        index += count
    return table


def _scan(segment: bytes, header: Jpeg, tables: dict[int, NDArray[np.int32]]) -> _Scan:
    count = segment[0] if segment else 0
    if not 1 <= count <= header.components or len(segment) < 4 + 2 * count:
        raise DamageError("a JPEG codestream has a scan without components")
    ids, numbers = segment[1 : 1 + 2 * count : 2], segment[2 : 2 + 2 * count : 2]
    predictor, shift = segment[1 + 2 * count], segment[3 + 2 * count] & 15
    places = [header.ids.find(each) for each in ids]
    wanted = [tables.get(number >> 4) for number in numbers]
    if -1 in places or len(set(places)) < count or not 1 <= predictor <= 7 or shift >= header.bits:
        raise DamageError("a JPEG codestream has a scan that does not fit its frame")
    found = [table for table in wanted if table is not None]
    if len(found) < count:
        raise DamageError("a JPEG codestream lacks a table of codes")
    return _Scan(places, np.stack(found), predictor, shift)
