"""The compressed frames of DICOM files, JPEG and its relatives: their kind and size, read before a decoder works."""

from __future__ import annotations

import re
import struct
from typing import NamedTuple

from featx.dicom.damage import DamageError

_JP2 = b"\0\0\0\x0cjP  \r\n\x87\n"
_J2K = b"\xff\x4f\xff\x51"  # SOC and SIZ, ISO/IEC 15444-1 annex A
_EOI, _SOS, _APP0, _APP14 = 0xD9, 0xDA, 0xE0, 0xEE
_NO_FRAMES = (0xC4, 0xC8, 0xCC)  # DHT, JPG and DAC stand among the frame headers, ISO/IEC 10918-1 table B.1
_BARE = (0x00, 0x01, *range(0xD0, 0xDA))  # no marker, or one without a segment: TEM, RST, SOI, EOI
_SEGMENTS = frozenset((0xC4, 0xCC, _SOS, 0xDB, 0xDC, 0xDD, 0xF8, 0xFE, *range(0xE0, 0xF0)))  # after a frame header
# After a scan: not a byte or, in JPEG-LS, a bit that is stuffed, nor a restart.
_MARKER = re.compile(rb"\xff+([^\x00\xd0-\xd7\xff])")
_MARKER_LS = re.compile(rb"\xff+([\x80-\xcf\xd8-\xfe])")
_MOST_SCANS = 500  # a progressive JPEG usually has 10; each costs the time of an image
JPEG_LS = 0xF7  # SOF55, ISO/IEC 14495-1
LOSSLESS = 0xC3
MOST_COMPONENTS = 4


class Jpeg(NamedTuple):
    """The frame header of a JPEG or JPEG-LS codestream.

    Attributes:
        frame: The last byte of the marker of its frame header: 0xC0 for baseline, `LOSSLESS`, `JPEG_LS`.
        bits: Bits of a sample.
        rows, columns: The size in pixels.
        components: Samples of a pixel.
        ids: The numbers of the components; the letters R, G and B say that they are these.
        sampling: How much of the size each component has, in each direction.
        jfif: Whether it has a JFIF segment, after which colours are YCbCr.
        adobe: The transform that a segment of Adobe names: 0 for RGB, 1 for YCbCr; None without a segment.
    """

    frame: int
    bits: int
    rows: int
    columns: int
    components: int
    ids: bytes
    sampling: bytes
    jfif: bool
    adobe: int | None


class Jpeg2000(NamedTuple):
    """The size marker of a JPEG 2000 codestream.

    Attributes:
        rows, columns: The size in pixels.
        components: Samples of a pixel.
        bits: Bits of a sample.
        signed: Whether samples are signed.
    """

    rows: int
    columns: int
    components: int
    bits: int
    signed: bool


def jpeg_header(stream: bytes) -> Jpeg:
    """Return what a JPEG or JPEG-LS codestream says before its pixels.

    Raises:
        DamageError: It is none.
    """
    if not stream.startswith(b"\xff\xd8"):
        raise DamageError("no JPEG codestream")
    position, jfif, adobe = 2, False, None
    while position + 4 <= len(stream):
        if stream[position] != 0xFF:
            raise DamageError("no marker where one was expected")
        marker = stream[position + 1]
        if marker == 0xFF:  # fill byte
            position += 1
            continue
        if marker in _BARE:  # a decoder may go on elsewhere than here, and find another size
            break
        length = int.from_bytes(stream[position + 2 : position + 4])
        segment = stream[position + 4 : position + 2 + length]
        if (0xC0 <= marker <= 0xCF and marker not in _NO_FRAMES) or marker == JPEG_LS:
            bits, rows, columns, components = struct.unpack_from(">BHHB", segment)
            ids, sampling = (segment[first : 6 + 3 * components : 3] for first in (6, 7))
            return Jpeg(marker, bits, rows, columns, components, ids, sampling, jfif, adobe)
        jfif = jfif or (marker == _APP0 and segment.startswith(b"JFIF"))
        if marker == _APP14 and segment.startswith(b"Adobe") and len(segment) >= 12:
            adobe = segment[11]
        if marker == _SOS or length < 2:
            break
        position += 2 + length
    raise DamageError("a JPEG codestream without a frame header")


def is_whole_jpeg(stream: bytes, kind: int) -> bool:
    """Return whether a JPEG codestream has its end.

    libjpeg-turbo makes up the pixels that a codestream lacks, and CharLS may wait for them for ever.

    Args:
        stream: The codestream.
        kind: `Jpeg.frame`.

    Raises:
        DamageError: It has something else where a marker should be, or too many scans.
    """
    markers = _MARKER_LS if kind == JPEG_LS else _MARKER
    position, scans = 2, 0
    while (found := markers.search(stream, position)) is not None:
        marker, position = found[1][0], found.end()
        if marker == _EOI:
            return scans > 0
        if scans and marker not in _SEGMENTS:
            raise DamageError("a JPEG codestream with an unknown marker in its pixels")
        position += max(int.from_bytes(stream[position : position + 2]), 2)
        scans += marker == _SOS
        if scans > _MOST_SCANS:
            raise DamageError(f"a JPEG codestream of more than {_MOST_SCANS} scans")
    return False


def bare_jpeg2000(stream: bytes) -> tuple[bytes, Jpeg2000]:
    """Return a JPEG 2000 codestream without the boxes of a JP2 file around it, and its size.

    Raises:
        DamageError: It is none.
    """
    if stream.startswith(_JP2):
        stream = _inside_boxes(stream)
    if not stream.startswith(_J2K):
        raise DamageError("no JPEG 2000 codestream")
    right, lower, left, upper = struct.unpack_from(">4L", stream, 8)
    (components,) = struct.unpack_from(">H", stream, 40)
    steps = stream[42 : 42 + 3 * components]
    if components not in range(1, MOST_COMPONENTS + 1) or len(steps) < 3 * components:
        raise DamageError(f"{components} components")
    if any(step != 1 for index in (1, 2) for step in steps[index::3]):
        raise DamageError("components of another size than the image")
    if len(set(steps[::3])) > 1:
        raise DamageError("components of several depths")
    return stream, Jpeg2000(lower - upper, right - left, components, (steps[0] & 127) + 1, bool(steps[0] & 128))


def _inside_boxes(stream: bytes) -> bytes:
    """The codestream in the boxes of a JP2 file, ISO/IEC 15444-1 annex I."""
    position = 0
    while position + 8 <= len(stream):
        length, kind = struct.unpack_from(">L4s", stream, position)
        if kind == b"jp2c":
            start = position + (16 if length == 1 else 8)
            return stream[start : position + length if length > 1 else len(stream)]
        if length < 8:
            break
        position += length
    raise DamageError("a JP2 file without a codestream")
