"""What surrounds the pixels in JPEG, PNG, GIF and WebP files: metadata, which is cut out, and bounds on work.

Pillow parses metadata as it opens a file, and refuses or warns where it is large or damaged. featx uses none of it
but the EXIF orientation.
"""

from __future__ import annotations

import re
import struct
import zlib
from typing import NamedTuple

from featx.errors import ImageError

# JPEG
_MARKER = re.compile(rb"\xff([^\x00\xd0-\xd7\xff])")  # other than stuffed bytes and restarts
_SOI, _EOI, _SOS, _TEM, _APP0, _APP1, _APP14, _COM = 0xD8, 0xD9, 0xDA, 0x01, 0xE0, 0xE1, 0xEE, 0xFE
_FRAMES = (*range(0xC0, 0xC4), *range(0xC5, 0xC8), *range(0xC9, 0xCC), *range(0xCD, 0xD0))  # SOF0 to SOF15
MOST_SCANS = 500  # as fuzzers of libjpeg-turbo allow; encoders make about ten
FREE_SCANS = 30
MOST_MARKERS = 50_000
MOST_WORK = 2e9  # pixels times scans

# PNG
_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_USED = (b"tRNS", b"eXIf")  # ancillary chunks, which begin with a small letter
MOST_CHUNKS = 500_000
_CHUNK_NAME = re.compile(rb"[A-Za-z]{4}")


def bare_jpeg(data: bytes, name: str) -> bytes:
    """Return a JPEG without comments and application segments, but JFIF's, Adobe's and EXIF's.

    Raises:
        ImageError: It has so many scans that decoding it takes minutes, or none.
    """
    kept: list[bytes | memoryview] = [data[:2]]
    position, head, pixels, scans, markers = 2, True, 0, 0, 0
    while (found := _MARKER.search(data, position)) is not None and markers <= MOST_MARKERS:
        markers += 1
        marker, start, after = found[1][0], found.end() - 2, found.end()
        if marker == _EOI:
            break
        if marker in (_SOI, _TEM):
            position = after
            continue
        length = int.from_bytes(data[after : after + 2])
        end = after + length
        if length < 2 or end > len(data):
            break
        if marker == _SOS:
            scans += 1
        elif marker in _FRAMES and length >= 8 and not pixels:
            height, width = struct.unpack_from(">HH", data, after + 3)
            pixels = height * width
        if head and marker == _SOS:
            head = False
            kept.append(memoryview(data)[start:])
        elif head and _is_used(marker, data[after + 2 : end]):
            kept.append(data[start:end])
        position = end
    _check_work(name, scans, pixels, markers)
    return b"".join(kept)


def _check_work(name: str, scans: int, pixels: int, markers: int) -> None:
    if scans > MOST_SCANS or (scans > FREE_SCANS and scans * pixels > MOST_WORK):
        raise ImageError(name, f"is a JPEG of {scans:,} scans, which would take minutes; save it again")
    if not scans or markers > MOST_MARKERS:
        reason = "is truncated, damaged or an unsupported kind of JPEG (without pixels or of too many segments)"
        raise ImageError(name, f"{reason}; replace it or leave it out")


def _is_used(marker: int, segment: bytes) -> bool:
    if marker == _APP0:
        return segment.startswith(b"JFIF\0") and len(segment) >= 12
    if marker == _APP14:
        return segment.startswith(b"Adobe") and len(segment) >= 12
    if marker == _APP1:
        return segment.startswith(b"Exif\0\0")
    return marker != _COM and not _APP0 <= marker <= _APP0 + 15


def bare_png(data: bytes, name: str) -> bytes:
    """Return a PNG with the chunks alone that decide its pixels or its orientation.

    Raises:
        ImageError: The checksum of compressed pixels is wrong, or there are too many chunks.
    """
    kept: list[bytes | memoryview] = [data[:8]]
    pixels: list[bytes | memoryview] = []  # chunks in a row become one: Pillow is slow with millions of them
    view, position, chunks = memoryview(data), 8, 0
    while position + 12 <= len(data):
        chunks += 1
        if chunks > MOST_CHUNKS:
            raise ImageError(name, f"is a PNG of more than {MOST_CHUNKS:,} chunks; save it again")
        (length,) = struct.unpack_from(">L", data, position)
        kind, end = data[position + 4 : position + 8], position + 12 + length
        if end > len(data) or not _CHUNK_NAME.fullmatch(kind):
            break
        sound = zlib.crc32(view[position + 4 : end - 4]) == int.from_bytes(view[end - 4 : end])
        # As libpng does. Pillow does not check it, and gives wrong pixels where zlib overlooks the damage.
        if kind == b"IDAT" and not sound:
            raise ImageError(name, "is a damaged PNG (wrong checksum of its pixels); replace it or leave it out")
        if kind == b"IDAT":
            pixels.append(view[position + 8 : end - 4])
        elif not kind[0] & 32 or (kind in _USED and (sound or kind == b"tRNS")):
            kept += [*_one_chunk(pixels), view[position:end]]
            pixels = []
        position = end
        if kind == b"IEND":
            return b"".join(kept)
    return b"".join([*kept, *_one_chunk(pixels), view[position:]])


def _one_chunk(pixels: list[bytes | memoryview]) -> list[bytes | memoryview]:
    if not pixels:
        return []
    body = b"".join([b"IDAT", *pixels])
    return [struct.pack(">L", len(body) - 4), body, struct.pack(">L", zlib.crc32(body))]


def png_samples(data: bytes) -> int:
    """Return how many samples of 16 bits a PNG's pixels have: 2 or 4 with alpha, 3 in colour; 0 for all others."""
    bits, colour = _png_depth(data)
    return {2: 3, 4: 2, 6: 4}.get(colour, 0) if bits == 16 else 0


def png_key_scale(data: bytes) -> int:
    """Return the factor of Pillow for levels of a PNG of 2 or 4 bits with a transparent one; 1 for all others."""
    bits, colour = _png_depth(data)
    keyed = colour == 0 and bits in (2, 4) and 0 < data.find(b"tRNS", 33) < data.find(b"IDAT", 33)
    return 255 // (2**bits - 1) if keyed else 1


def _png_depth(data: bytes) -> tuple[int, int]:
    """Bits of a sample and the colour type of a PNG; zeros if it is none."""
    known = data.startswith(_SIGNATURE) and data[12:16] == b"IHDR" and len(data) >= 26
    return (data[24], data[25]) if known else (0, 0)


# GIF
MOST_BLOCKS = 100_000  # before the first image


class Frame(NamedTuple):
    """The first frame of a GIF: size of the canvas, the frame's place and size, whether a colour is transparent."""

    width: int
    height: int
    left: int
    top: int
    across: int
    down: int
    transparent: bool

    @property
    def covers(self) -> bool:
        """Whether the frame covers the canvas."""
        return self.left == self.top == 0 and self.across >= self.width and self.down >= self.height


def gif_frame(data: bytes) -> Frame | None:
    """Return the first frame of a GIF; None if there is none."""
    try:
        width, height, flags = struct.unpack_from("<HHB", data, 6)
        position = 13 + ((6 << (flags & 7)) if flags & 128 else 0)
        transparent, blocks = False, 0
        while data[position] == 0x21 and blocks < MOST_BLOCKS:
            if data[position + 1] == 0xF9 and data[position + 2] >= 4:
                transparent = bool(data[position + 3] & 1)
            position += 2
            while data[position]:
                position += data[position] + 1
                blocks += 1
            blocks += 1
            position += 1
        left, top, across, down = struct.unpack_from("<HHHH", data, position + 1)
    except (struct.error, IndexError):
        return None
    return Frame(width, height, left, top, across, down, transparent) if data[position] == 0x2C else None


def bmp_size(data: bytes) -> tuple[int, int]:
    """Return width and height of a BMP file with a header of 40 bytes or more, or zeros."""
    if len(data) < 26 or data[14:18] < b"\x28":
        return 0, 0
    width, height = struct.unpack_from("<ll", data, 18)
    return abs(width), abs(height)


def webp_size(data: bytes) -> tuple[int, int]:
    """Return width and height of a WebP file, or zeros; Pillow allocates its pixels before it tells its size."""
    head = data[:30].ljust(30, b"\0")
    if head[12:16] == b"VP8 ":
        return int.from_bytes(head[26:28], "little") & 0x3FFF, int.from_bytes(head[28:30], "little") & 0x3FFF
    if head[12:16] == b"VP8X":
        return int.from_bytes(head[24:27], "little") + 1, int.from_bytes(head[27:30], "little") + 1
    bits = int.from_bytes(head[21:25], "little")
    return ((bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1) if head[12:16] == b"VP8L" else (0, 0)
