"""TIFF files: their first directory, and what of it Pillow gets to read.

Pillow reads the pixels of TIFFs of up to 8 bits. It keeps one byte of deeper colours and mixes up separate planes, so
`samples` unpacks those. There Pillow decompresses strips or tiles, described to it as bytes of grey.

In both cases it gets a directory with those tags alone that decide pixels. It warns of damaged tags.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from PIL import Image
from PIL.ImageFile import ImageFile
from PIL.TiffImagePlugin import TiffImageFile

from featx.errors import ImageError
from featx.images.libtiff import keep_silent

# Tags, TIFF 6.0
WIDTH, LENGTH, BITS, COMPRESSION, PHOTOMETRIC, FILL_ORDER = 256, 257, 258, 259, 262, 266
STRIPS, ORIENTATION, SAMPLES, ROWS, STRIP_SIZES, PLANAR = 273, 274, 277, 278, 279, 284
PREDICTOR, TILE_WIDTH, TILE_LENGTH, TILES, TILE_SIZES = 317, 322, 323, 324, 325
EXTRA, FORMAT, SUBSAMPLING, XMP = 338, 339, 530, 700
COLOUR_MAP = 320
# T4Options, T6Options, InkSet, JPEGTables; YCbCrCoefficients, YCbCrPositioning, ReferenceBlackWhite; old JPEG
_FOR_CODECS_AND_COLOURS = (292, 293, 332, 347, 529, 531, 532, 512, 513, 514, 515, 517, 518, 519, 520, 521)
PIXEL_TAGS = {
    *(WIDTH, LENGTH, BITS, COMPRESSION, PHOTOMETRIC, FILL_ORDER, STRIPS, ORIENTATION, SAMPLES, ROWS, STRIP_SIZES),
    *(PLANAR, PREDICTOR, TILE_WIDTH, TILE_LENGTH, TILES, TILE_SIZES, EXTRA, FORMAT, SUBSAMPLING, XMP, COLOUR_MAP),
    *_FOR_CODECS_AND_COLOURS,
}
_LONG = 4
_BYTES = (1, 7)  # and undefined
_INTEGERS = {1: "B", 3: "H", 4: "L", 6: "b", 8: "h", 9: "l", 13: "L", 16: "Q", 17: "q", 18: "Q"}  # field types
_LONG_INTEGERS = (16, 17, 18)
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}

MOST_PIECES = 100_000  # strips and tiles: images of the largest size in tiles of 32 x 32 have fewer
MOST_BYTES = 2**30  # of samples with the padding of tiles: RGB and alpha of 16 bits at the largest size have fewer
MOST_SAMPLES = 6  # of a pixel, of those that Pillow unpacks

WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, PALETTE, CMYK, YCBCR = 0, 1, 2, 3, 5, 6
COLOURS = {WHITE_IS_ZERO: 1, BLACK_IS_ZERO: 1, RGB: 3}  # channels of those that `samples` unpacks
_PHOTOMETRIC = {0: "grey", 1: "grey", 2: "RGB", 3: "palette", 4: "mask", 5: "CMYK", 6: "YCbCr", 8: "CIELab"}
UNSIGNED, SIGNED, FLOAT = 1, 2, 3
_BITS = {UNSIGNED: (*range(8, 17), 32, 64), SIGNED: (8, 16, 32, 64), FLOAT: (16, 32, 64)}  # of a sample
_FORMATS = {UNSIGNED: "integers", SIGNED: "signed integers", FLOAT: "floats", 5: "complex integers", 6: "complex"}
_UNCOMPRESSED = 1
_BYTE_CODECS = {1: "none", 5: "LZW", 8: "Deflate", 32773: "PackBits", 32946: "Deflate", 34925: "LZMA", 50000: "Zstd"}
_READ_CODECS = _BYTE_CODECS | {2: "CCITT", 3: "CCITT", 4: "CCITT", 6: "old JPEG", 7: "JPEG", 32809: "ThunderScan"}
_JPEG_2000 = dict.fromkeys((33003, 33005, 34712), "JPEG 2000")
_CODECS = _READ_CODECS | _JPEG_2000 | {34887: "LERC", 50001: "WebP", 50002: "JPEG XL"}

_XMP_ORIENTATION = re.compile(rb'tiff:Orientation(="|>)([0-9])')


class TiffFile(TiffImageFile):
    """A TIFF whose size has been checked, so that Pillow need not warn of it."""

    def load_prepare(self) -> None:
        """Make the image into which pixels are decoded."""
        keep_silent()
        if self._im is None:
            self.im = Image.new(self.mode, self._tile_size).im
        ImageFile.load_prepare(self)


class Entry(NamedTuple):
    """A directory's entry: field type, number of values, and their bytes."""

    kind: int
    length: int
    data: bytes


@dataclass(frozen=True)
class Directory:
    """The tags that decide the pixels of a file's first image."""

    order: str  # "<" or ">"
    entries: dict[int, Entry]

    def values(self, tag: int, default: tuple[int, ...] = ()) -> tuple[int, ...]:
        """Return the integers of a tag."""
        entry = self.entries.get(tag)
        if entry is None or entry.kind not in _INTEGERS:
            return default
        return struct.unpack(f"{self.order}{entry.length}{_INTEGERS[entry.kind]}", entry.data)

    def value(self, tag: int, default: int = 0) -> int:
        """Return the first integer of a tag."""
        return next(iter(self.values(tag)), default)

    @property
    def samples(self) -> int:
        """Samples of a pixel."""
        return self.value(SAMPLES, 1)

    @property
    def bits(self) -> int:
        """Bits of a sample; 0 if samples have different numbers of bits."""
        bits = set(self.values(BITS, (1,))[: max(1, self.samples)])
        return bits.pop() if len(bits) == 1 else 0

    @property
    def format(self) -> int:
        """SampleFormat; 0 if samples differ in it."""
        formats = set(self.values(FORMAT, (UNSIGNED,)))
        return formats.pop() if len(formats) == 1 else 0

    @property
    def extra(self) -> tuple[int, ...]:
        """ExtraSamples; a fourth sample of RGB that is not described is taken for alpha, as Pillow does."""
        missing = (2,) if self.value(PHOTOMETRIC) == RGB and self.samples == 4 else ()
        return self.values(EXTRA, missing)

    @property
    def deep(self) -> bool:
        """Whether samples are unpacked by `samples`, not by Pillow, which keeps the high byte of CMYK."""
        if self.value(PHOTOMETRIC) == CMYK:
            return False
        return self.bits not in (1, 2, 4, 8) or self.format != UNSIGNED or self.mixed_up

    @property
    def mixed_up(self) -> bool:
        """Whether there are planes of 8 bits beside those of colour that Pillow would take for others."""
        if self.value(PLANAR, 1) != 2 or self.bits != 8 or self.value(COMPRESSION, 1) not in _BYTE_CODECS:
            return False
        further = self.samples - COLOURS.get(self.value(PHOTOMETRIC), self.samples)
        return further > 0 and (self.samples == 2 or further > 1 or self.extra == (0,))

    @property
    def misread(self) -> bool:
        """Whether Pillow gives wrong pixels: chroma with fewer samples but no JPEG, deep or further planes of ink."""
        if self.value(PHOTOMETRIC) == CMYK:
            return self.value(PLANAR, 1) == 2 and (self.bits != 8 or self.samples != 4)
        chroma = self.value(PHOTOMETRIC) == YCBCR and self.samples == 3
        whole = self.values(SUBSAMPLING, (2, 2))[:2] == (1, 1)
        return chroma and not whole and self.value(COMPRESSION, 1) in _BYTE_CODECS

    @property
    def size(self) -> int:
        """Bytes of all samples, with the padding of tiles."""
        width, height = self.value(WIDTH), self.value(LENGTH)
        if TILES in self.entries:
            width = max(width, self.value(TILE_WIDTH))
            height = max(height, self.value(TILE_LENGTH))
        return width * height * self.samples * max(self.values(BITS, (1,))) // 8

    @property
    def dark_palette(self) -> bool:
        """Whether a palette's colours go to 255 instead of 65535."""
        return self.value(PHOTOMETRIC) == PALETTE and max(self.values(COLOUR_MAP, (65535,))) < 256

    @property
    def orientation(self) -> int:
        """The tag's value, or that in XMP data, which Pillow follows as well; 1 if there is neither."""
        xmp = self.entries.get(XMP)
        if ORIENTATION in self.entries or xmp is None:
            return self.value(ORIENTATION, 1)
        match = _XMP_ORIENTATION.search(xmp.data)
        return int(match[2]) if match else 1

    def described(self) -> str:
        """What kind of TIFF this is."""
        colour = _PHOTOMETRIC.get(self.value(PHOTOMETRIC), f"photometric interpretation {self.value(PHOTOMETRIC)}")
        bits = self.bits or "/".join(map(str, self.values(BITS)[:8]))
        codec = self.value(COMPRESSION, 1)
        compression = _CODECS.get(codec) or f"code {codec}"
        numbers = _FORMATS.get(self.format, "mixed or unknown numbers")
        return f"{colour}, {self.samples} samples of {bits} bits, {numbers}, compression {compression}"


def read_directory(data: bytes) -> Directory:
    """Return the first directory of a file; what is damaged or of no use for pixels is left out.

    Raises:
        ValueError: There is no directory at the place that the file's head names.
    """
    try:
        return _directory(data)
    except (struct.error, OverflowError) as error:
        raise ValueError("no directory where its head says") from error


def _directory(data: bytes) -> Directory:
    order, big = ("<" if data[:2] == b"II" else ">"), 43 in data[2:4]
    (start,) = struct.unpack_from(f"{order}Q", data, 8) if big else struct.unpack_from(f"{order}L", data, 4)
    (count,) = struct.unpack_from(f"{order}{'Q' if big else 'H'}", data, start)
    layout, first, inline = (f"{order}HHQ8s", start + 8, 8) if big else (f"{order}HHL4s", start + 2, 4)
    entries: dict[int, Entry] = {}
    for number in range(min(count, 65_535)):
        try:
            tag, kind, length, value = struct.unpack_from(layout, data, first + number * struct.calcsize(layout))
        except struct.error:
            break
        if tag not in PIXEL_TAGS or kind not in _SIZES or (tag == XMP and kind not in _BYTES):
            continue
        size = length * _SIZES[kind]
        if size > inline:
            (offset,) = struct.unpack(f"{order}{'Q' if big else 'L'}", value)
            value = data[offset : offset + size]
        if size <= len(value) and length:
            entries[tag] = Entry(kind, length, value[:size])
    return Directory(order, entries)


def described_anew(data: bytes, directory: Directory, changes: dict[int, Entry | None] | None = None) -> bytes:
    """Return a TIFF of the same pixel data with a directory of `directory`'s entries alone, some of them changed.

    It is never a BigTIFF: Pillow does not read those of big-endian order.
    """
    entries = {**directory.entries, **(changes or {}), ORIENTATION: None, XMP: None}
    if directory.dark_palette:
        entries[COLOUR_MAP] = integers(directory, [value * 257 for value in directory.values(COLOUR_MAP)])
    kept = sorted((tag, entry) for tag, entry in entries.items() if entry is not None)
    order, start = directory.order, len(data) + len(data) % 2
    place = start + 2 + 12 * len(kept) + 4
    lines, values = [struct.pack(f"{order}H", len(kept))], []
    for tag, (kind, length, value) in kept:
        if kind in _LONG_INTEGERS:
            kind, length, value = integers(directory, directory.values(tag))
        field = value
        if len(value) > 4:
            field = struct.pack(f"{order}L", place)
            values.append(value + b"\0" * (len(value) % 2))
            place += len(values[-1])
        lines.append(struct.pack(f"{order}HHL4s", tag, kind, length, field))
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}L", start)
    return b"".join([head, memoryview(data)[8:], b"\0" * (len(data) % 2), *lines, b"\0\0\0\0", *values])


def check_kind(directory: Directory, name: str) -> None:
    """Refuse a file of a kind that is not read."""
    if len(directory.values(STRIPS, directory.values(TILES))) > MOST_PIECES:
        raise ImageError(name, f"is a TIFF in more than {MOST_PIECES:,} strips or tiles; save it with larger ones")
    if directory.size > MOST_BYTES:
        size = f"is a TIFF that unpacks to {directory.size / 2**30:,.1f} GiB, more than the limit of 1"
        raise ImageError(name, f"{size}; scale it down or leave it out")
    if not (_is_unpacked(directory) if directory.deep else _is_read_by_pillow(directory)):
        kind = f"is a damaged TIFF or of a kind that featx does not read ({directory.described()})"
        raise ImageError(name, f"{kind}; save it as RGB or grey of 8 or 16 bits")


def _is_unpacked(directory: Directory) -> bool:
    colours = COLOURS.get(directory.value(PHOTOMETRIC))
    if colours is None or directory.value(COMPRESSION, 1) not in _BYTE_CODECS:
        return False
    further = directory.samples - colours
    return directory.bits in _BITS.get(directory.format, ()) and (further == 0 or len(directory.extra) == further)


def _is_read_by_pillow(directory: Directory) -> bool:
    known = directory.value(COMPRESSION, 1) in _READ_CODECS and directory.samples <= MOST_SAMPLES
    return known and not directory.misread


def check_whole(data: bytes, directory: Directory, name: str) -> None:
    """Refuse a file that ends before its pixels: Pillow would read the new directory behind them as pixels."""
    tiled = TILES in directory.entries
    offsets = directory.values(TILES if tiled else STRIPS)
    sizes: Iterable[int] = directory.values(TILE_SIZES if tiled else STRIP_SIZES)
    if directory.value(COMPRESSION, 1) == _UNCOMPRESSED and not tiled:  # their sizes are not used, and may be wrong
        sizes = _sizes_of_strips(directory, len(offsets))
    if any(offset + size > len(data) for offset, size in zip(offsets, sizes, strict=False)):
        raise ImageError(name, "is truncated (a TIFF that ends before its pixels do); replace it or leave it out")


def _sizes_of_strips(directory: Directory, count: int) -> Iterator[int]:
    """Bytes of uncompressed strips."""
    height, in_pixel = directory.value(LENGTH), 1 if directory.value(PLANAR, 1) == 2 else directory.samples
    row = -(-directory.value(WIDTH) * in_pixel * max(directory.values(BITS, (1,))) // 8)
    rows = max(1, min(directory.value(ROWS, height), height))
    strips = max(1, -(-height // rows))  # of a plane
    return (row * min(rows, height - k % strips * rows) for k in range(count))


def integers(directory: Directory, values: Sequence[int]) -> Entry:
    """Return an entry of unsigned integers of 32 bits."""
    return Entry(_LONG, len(values), struct.pack(f"{directory.order}{len(values)}L", *values))
