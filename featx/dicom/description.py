"""What a DICOM file says about its pixels, and where in the file they are; nothing is decoded yet."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import MutableSequence
from dataclasses import dataclass
from typing import Any, Literal

from featx.dicom.damage import REPLACE
from featx.errors import ImageError

LARGEST_INFLATED = 2**29
"""The most bytes of a deflated file's data set."""

_EXPLICIT = "1.2.840.10008.1.2.1"
_EXPLICIT_BIG = "1.2.840.10008.1.2.2"
_IMPLICIT = "1.2.840.10008.1.2"
_DEFLATED = b"1.2.840.10008.1.2.1.99"
NATIVE = (_EXPLICIT, _EXPLICIT_BIG, _IMPLICIT)
_ALLOCATED = (1, 8, 16, 32, 64)  # bits: PS3.5 section 8.1.1, but for multiples of 8 that nobody uses
_UNDEFINED = 2**32 - 1  # length of an element with items, PS3.5 section 7.1.1
_PIXEL_DATA = {0x0008: "FloatPixelData", 0x0009: "DoubleFloatPixelData", 0x0010: "PixelData"}
_TRANSFER_SYNTAX = b"\x02\x00\x10\x00UI"
_META = 132  # where the file meta information starts: after the preamble and its mark
_FIRST_ELEMENT = _META + 12  # of the file meta information, after its length

PixelKeyword = Literal["PixelData", "FloatPixelData", "DoubleFloatPixelData"]


@dataclass(frozen=True)
class Pixels:
    """What a file says about its pixels.

    Attributes:
        header: The data set before the pixels, as pydicom reads it.
        data: The file's bytes, inflated if they were deflated.
        start: Where the value of the pixel data starts in `data`.
        length: Its bytes; None for compressed frames, which are items.
        keyword: The element that holds the pixels.
        vr: Its value representation.
        syntax: The transfer syntax.
        rows, columns, samples, frames: The size.
        allocated, stored, high_bit: Bits of a sample, those in use, and the number of the highest of these.
        signed: Whether samples are two's complement.
        planar: 1 if colours are in planes, else 0.
        photometric: What samples mean: `MONOCHROME2`, `RGB` and so on.
    """

    header: Any
    data: bytes
    start: int
    length: int | None
    keyword: PixelKeyword
    vr: str
    syntax: str
    rows: int
    columns: int
    samples: int
    frames: int
    allocated: int
    stored: int
    high_bit: int
    signed: bool
    planar: int
    photometric: str

    @property
    def little_endian(self) -> bool:
        """Whether the data set has the lowest byte of a number first."""
        return self.syntax != _EXPLICIT_BIG

    @property
    def grey(self) -> bool:
        """Whether samples are grey levels."""
        return self.photometric in ("MONOCHROME1", "MONOCHROME2")


def read_pixels(data: bytes, name: str) -> Pixels:
    """Read what a file says about its pixels.

    Args:
        data: The file's bytes.
        name: The file as the user named it, for messages.

    Raises:
        ImageError: It holds no pixels, or does not say their size.
    """
    from pydicom import dcmread

    data = inflated(data, name)
    file = io.BytesIO(data)
    header = dcmread(file, stop_before_pixels=True, force=True)
    element = _pixel_element(data, file.tell(), header)
    if element is None and header.get("Rows"):
        raise ImageError(name, "is a truncated DICOM file (it ends before its pixels); replace it or leave it out")
    if element is None and "Image Storage" in kind_of(header):
        raise ImageError(name, f"is a damaged DICOM file (an image, but no pixels were found); {REPLACE}")
    if element is None:
        raise ImageError(name, f"is a DICOM file without pixels ({kind_of(header)}); leave it out")
    keyword, vr, length, start = element
    compressed = length == _UNDEFINED
    syntax = _syntax(header, name, compressed=compressed)
    size = _size(header, name)
    allocated, stored, high_bit = _bits(header, keyword, name)
    return Pixels(
        *(header, data, start, None if compressed else length, keyword, vr, syntax, *size),
        allocated=allocated,
        stored=stored,
        high_bit=high_bit,
        signed=_integer(header, name, "PixelRepresentation", 0) == 1,
        planar=_integer(header, name, "PlanarConfiguration", 0),
        photometric=text(header, "PhotometricInterpretation").upper() or {1: "MONOCHROME2"}.get(size[2], "RGB"),
    )


def _size(header: Any, name: str) -> tuple[int, int, int, int]:
    """Rows, columns, samples of a pixel, frames."""
    rows, columns = _integer(header, name, "Rows"), _integer(header, name, "Columns")
    if not (rows > 0 and columns > 0):
        raise ImageError(name, f"has no pixels ({rows} rows, {columns} columns); leave it out")
    frames = max(_integer(header, name, "NumberOfFrames", 1), 1)
    return rows, columns, _integer(header, name, "SamplesPerPixel", 1), frames


def _bits(header: Any, keyword: PixelKeyword, name: str) -> tuple[int, int, int]:
    """Bits allocated and stored, and the number of the highest bit."""
    floats = {"PixelData": 0, "FloatPixelData": 32, "DoubleFloatPixelData": 64}[keyword]
    allocated = floats or _integer(header, name, "BitsAllocated")
    if allocated not in _ALLOCATED:
        raise ImageError(name, f"is a damaged DICOM file ({allocated} bits allocated); replace it or leave it out")
    stored = _integer(header, name, "BitsStored", allocated)
    stored = stored if 0 < stored <= allocated else allocated
    high_bit = _integer(header, name, "HighBit", stored - 1)
    return allocated, stored, high_bit if stored - 1 <= high_bit < allocated else stored - 1


def kind_of(header: Any) -> str:
    """Return what a file holds by its SOP class, such as `Encapsulated PDF Storage`."""
    from pydicom.uid import UID

    meta = getattr(header, "file_meta", None)
    uid = UID(text(header, "SOPClassUID") or (text(meta, "MediaStorageSOPClassUID") if meta is not None else ""))
    # The name of a UID that is not in the standard is the UID itself, which a maker chose.
    return uid.name if uid and uid.name != uid else "an unknown kind of object"


def text(header: Any, keyword: str) -> str:
    """Return the value of an element as text, the first of several; empty if it is not there."""
    value = header.get(keyword)
    if isinstance(value, MutableSequence):  # of pydicom's own type
        value = value[0] if value else None
    return "" if value is None else str(value).strip(" \0")


def _integer(header: Any, name: str, keyword: str, default: int | None = None) -> int:
    value = header.get(keyword)
    if value is None or value == "":
        if default is None:
            raise ImageError(name, f"is a damaged DICOM file (no {keyword}); replace it or leave it out")
        return default
    return int(value)


def _syntax(header: Any, name: str, *, compressed: bool) -> str:
    """The transfer syntax; for files that do not name it, that of their elements."""
    named = str(header.file_meta.get("TransferSyntaxUID") or "")
    if named:
        return named
    if compressed:
        raise ImageError(name, "has compressed pixels but does not say how (transfer syntax); leave it out")
    implicit, little = header.original_encoding
    return _IMPLICIT if implicit else _EXPLICIT if little else _EXPLICIT_BIG


def _pixel_element(data: bytes, position: int, header: Any) -> tuple[PixelKeyword, str, int, int] | None:
    """Keyword, value representation, length and start of value of the element with the pixels, if there is one."""
    head = data[position : position + 12]
    if len(head) < 8:
        return None
    order = ">" if head[:2] == b"\x7f\xe0" else "<"
    group, number = struct.unpack_from(f"{order}HH", head)
    keyword = _PIXEL_DATA.get(number) if group == 0x7FE0 else None
    if keyword is None:
        return None
    if head[4:6] in (b"OB", b"OW", b"OF", b"OD", b"UN", b"OV") and head[6:8] == b"\0\0" and len(head) == 12:
        (length,) = struct.unpack_from(f"{order}L", head, 8)
        return keyword, head[4:6].decode(), length, position + 12  # type: ignore[return-value]
    (length,) = struct.unpack_from(f"{order}L", head, 4)
    return keyword, "OW", length, position + 8  # type: ignore[return-value]


def inflated(data: bytes, name: str) -> bytes:
    """Return the file with its data set inflated, if it is deflated: pydicom would inflate any number of bytes."""
    if data[_META - 4 : _META] != b"DICM" or data[_META : _META + 8] != b"\x02\x00\x00\x00UL\x04\x00":
        return data
    (length,) = struct.unpack_from("<L", data, _META + 8)
    end = _FIRST_ELEMENT + length
    meta = data[_FIRST_ELEMENT : min(end, _FIRST_ELEMENT + 2**16)]
    place = meta.find(_TRANSFER_SYNTAX)
    if place < 0 or not meta[place + 8 :].startswith(_DEFLATED):
        return data
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    body = inflater.decompress(data[end:], LARGEST_INFLATED)
    if inflater.unconsumed_tail:
        raise ImageError(
            name,
            f"has more than {LARGEST_INFLATED >> 20} MiB when inflated; save it in another transfer syntax",
        )
    if not inflater.eof:
        raise ImageError(name, "is a truncated DICOM file (deflated); replace it or leave it out")
    syntax = struct.pack("<H", len(_EXPLICIT) + 1) + _EXPLICIT.encode() + b"\0"
    plain = meta[:place] + _TRANSFER_SYNTAX + syntax + meta[place + 8 + len(_DEFLATED) + len(_DEFLATED) % 2 :]
    return data[: _META + 8] + struct.pack("<L", len(plain)) + plain + body
