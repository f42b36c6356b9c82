"""The lookup tables of DICOM files: modality LUTs, VOI LUTs and palettes."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from featx.dicom.damage import DamageError

_DISCRETE, _LINEAR, _INDIRECT = range(3)  # segments of a palette, PS3.3 section C.7.9.2
MOST_ENTRIES = 2**16


class Table(NamedTuple):
    """A lookup table, PS3.3 section C.11.1.1.

    Attributes:
        entries: (n,) float64, what values become.
        first: The value that becomes the first entry; smaller ones do, too, and larger ones become the last entry.
        bits: Bits of an entry.
    """

    entries: NDArray[np.float64]
    first: int
    bits: int

    def look_up(self, values: NDArray[Any]) -> NDArray[np.float64]:
        """Return what values, integers or floats of any shape, become."""
        places = np.clip(np.floor(values) - self.first, 0, len(self.entries) - 1)
        looked_up: NDArray[np.float64] = self.entries[places.astype(np.int64)]
        return looked_up


def read_table(item: Any, *, signed: bool, little_endian: bool) -> Table:
    """Return the table of an item of a Modality LUT Sequence or VOI LUT Sequence.

    Args:
        item: The item, as pydicom reads it.
        signed: Whether the values that are looked up may be negative.
        little_endian: The byte order of the file.

    Raises:
        DamageError: It is damaged.
    """
    count, first, bits = _descriptor(item.LUTDescriptor, signed=signed)
    data = item.LUTData
    if isinstance(data, bytes):
        entries = _words(data, count, bits, little_endian)
    else:
        entries = np.atleast_1d(np.asarray(data, np.int64) & 0xFFFF)
    return Table(_checked(entries, count).astype(np.float64), first, bits)


def read_palette(header: Any, *, signed: bool, little_endian: bool) -> tuple[NDArray[np.uint8], int]:
    """Return the colours of a palette, (n, 3) RGB, and the value that has the first of them.

    Entries of 16 bits become 8 by v * 255 / 65535, rounded to the nearest.

    Raises:
        DamageError: It is missing or damaged.
    """
    channels = []
    for colour in ("Red", "Green", "Blue"):
        descriptor = header.get(f"{colour}PaletteColorLookupTableDescriptor")
        if descriptor is None:
            raise DamageError("a palette is missing")
        count, first, bits = _descriptor(descriptor, signed=signed)
        plain = header.get(f"{colour}PaletteColorLookupTableData")
        segmented = header.get(f"Segmented{colour}PaletteColorLookupTableData")
        if plain:
            entries = _words(plain, count, bits, little_endian)
            bits = bits if len(plain) >= 2 * count else 8
        else:
            entries = _expanded(segmented or b"", bits, little_endian, count)
        white = 2**bits - 1
        channels.append(np.rint(np.minimum(_checked(entries, count), white) * (255 / white)).astype(np.uint8))
    if len({len(channel) for channel in channels}) > 1:
        raise DamageError("the colours of a palette have tables of different lengths")
    return np.stack(channels, axis=1), first


def _descriptor(values: Any, *, signed: bool) -> tuple[int, int, int]:
    """Number of entries, first value and bits of an entry."""
    count, first, bits = (int(value) for value in values)
    count = count % MOST_ENTRIES or MOST_ENTRIES
    first %= MOST_ENTRIES
    if signed and first >= MOST_ENTRIES // 2:
        first -= MOST_ENTRIES
    if not 8 <= bits <= 16:
        raise DamageError(f"a lookup table of {bits} bits")
    return count, first, bits


def _words(data: bytes, count: int, bits: int, little_endian: bool) -> NDArray[np.int64]:
    """Entries in bytes: each has two, or one if the table is half as long."""
    if len(data) < 2 * count:
        if len(data) > count + 1 or (bits > 8 and len(data) < count):
            raise DamageError(f"a lookup table has {len(data)} bytes, {2 * count} expected")
        return _octets(data, little_endian)
    return np.frombuffer(data[: 2 * count], "<u2" if little_endian else ">u2").astype(np.int64)


def _octets(data: bytes, little_endian: bool) -> NDArray[np.int64]:
    """Bytes that stand in words of the file's byte order, PS3.5 section 7.3."""
    octets = np.frombuffer(data, np.uint8)
    if not little_endian:
        octets = octets[: len(octets) // 2 * 2].reshape(-1, 2)[:, ::-1].ravel()
    return octets.astype(np.int64)


def _checked(entries: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    if len(entries) < count:
        raise DamageError(f"a lookup table has {len(entries)} entries, {count} expected")
    return entries[:count]


def _expanded(data: bytes, bits: int, little_endian: bool, count: int) -> NDArray[np.int64]:
    """The entries of a segmented palette, PS3.3 section C.7.9.2."""
    if bits == 8:
        numbers = _octets(data, little_endian).tolist()
    else:
        numbers = np.frombuffer(data[: len(data) // 2 * 2], "<u2" if little_endian else ">u2").tolist()
    entries: list[int] = []
    position = 0
    while position + 1 < len(numbers) and len(entries) <= count:
        position = _expand_one(numbers, position, entries, 4 if bits == 8 else 2)
    return np.asarray(entries, np.int64)


def _expand_one(numbers: list[int], position: int, entries: list[int], offset_length: int) -> int:
    """Append the entries of the segment at a position, and return the position after it."""
    kind, length = numbers[position : position + 2]
    if kind == _DISCRETE:
        entries += numbers[position + 2 : position + 2 + length]
        return position + 2 + length
    if kind == _LINEAR and entries:
        end = numbers[position + 2]
        entries += [round(value) for value in np.linspace(entries[-1], end, length + 1)[1:]]
        return position + 3
    if kind == _INDIRECT:
        parts = numbers[position + 2 : position + 2 + offset_length]
        base = 256 if offset_length == 4 else MOST_ENTRIES
        copied = sum(part * base**index for index, part in enumerate(parts)) // (4 // offset_length)
        for _ in range(length):
            if copied >= position or numbers[copied] == _INDIRECT or len(entries) > MOST_ENTRIES:
                raise DamageError("a segment of a palette that does not copy an earlier one")
            copied = _expand_one(numbers, copied, entries, offset_length)
        return position + 2 + offset_length
    raise DamageError(f"a segment of a palette of kind {kind}")
