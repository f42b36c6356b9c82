"""Facts of an image file that are no pixels: its format, its depth, how it was compressed."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import Literal

from featx.dicom import is_dicom

HEAD = 4096  # bytes that tell a DICOM file

FORMATS = ("", "JPEG", "PNG", "TIFF", "BMP", "WebP", "GIF", "JPEG 2000", "AVIF", "HEIC", "JPEG XL", "NumPy", "DICOM")
"""Names of formats; "" stands for one that is not known. The order is part of the rows in the cache."""

_TABLES = ("luma", "chroma")
FILE_FACTS = (
    "bytes",
    "bits",
    "channels",
    "progressive",
    "interlaced",
    "subsampling",
    "has_exif",
    "has_icc",
    "has_text",
    *(f"{table}_quantisation" for table in _TABLES),
    *(f"{table}_{place:02d}" for table in _TABLES for place in range(64)),
)
"""What `file_facts` may tell, in the order of the rows in the cache."""

_MAGIC = (
    ("JPEG", re.compile(rb"\xff\xd8\xff")),
    ("PNG", re.compile(rb"\x89PNG\r\n\x1a\n")),
    ("TIFF", re.compile(rb"II[*+]\0|MM\0[*+]")),
    ("BMP", re.compile(rb"BM")),
    ("WebP", re.compile(rb"RIFF.{4}WEBP", re.DOTALL)),
    ("GIF", re.compile(rb"GIF8[79]a")),
    ("JPEG 2000", re.compile(rb"\0\0\0\x0cjP  |\xff\x4f\xff\x51")),
    ("AVIF", re.compile(rb".{4}ftypavi[fs]", re.DOTALL)),
    ("HEIC", re.compile(rb".{4}ftyp", re.DOTALL)),
    ("JPEG XL", re.compile(rb"\xff\x0a|\0\0\0\x0cJXL ")),
    ("NumPy", re.compile(rb"\x93NUMPY")),
)
_PNG_CHANNELS = {0: 1, 2: 3, 3: 3, 4: 2, 6: 4}  # by the type of colour
_STARTS = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}  # markers of JPEG frames
_PROGRESSIVE = {0xC2, 0xC6, 0xCA, 0xCE}
_SCAN = 0xDA
_BITS_STORED, _SAMPLES = b"\x28\0\x01\x01", b"\x28\0\x02\0"  # of DICOM files, little-endian


def format_of(data: bytes) -> str:
    """Return the format of an image file by its first bytes, one of `FORMATS`."""
    if is_dicom(data[:HEAD]):
        return "DICOM"
    return next((name for name, magic in _MAGIC if magic.match(data)), "")


def file_facts(data: bytes) -> dict[str, float]:
    """Return what the bytes of an image file tell without being decoded; what does not exist is left out.

    - `bytes`: the file's size; `bits`: of a sample; `channels`: samples of a pixel.
    - `progressive`, `interlaced`, `has_exif`, `has_icc`, `has_text`: 1 or 0, of JPEG and PNG files.
    - `subsampling`: of JPEG files, pixels of the first component for one of the second.
    - `luma_00` … `luma_63`, `chroma_00` … `chroma_63`: the quantisation tables of the first and second component of
      JPEG files, in zigzag order; `luma_quantisation` and `chroma_quantisation` are their means.
    """
    facts = {"bytes": float(len(data))}
    reader = {"JPEG": _jpeg, "PNG": _png, "TIFF": _tiff, "DICOM": _dicom, "GIF": _of_8_bits, "WebP": _of_8_bits}
    own = reader.get(format_of(data))
    return facts if own is None else facts | own(data)


def size_of_jpeg(data: bytes) -> tuple[int, int]:
    """Return width and height of a JPEG file as they are stored; (0, 0) if it does not say."""
    for marker, part in _segments(data):
        if marker in _STARTS and len(part) >= 5:
            return int.from_bytes(part[3:5]), int.from_bytes(part[1:3])
    return 0, 0


def _segments(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield marker and content of each segment of a JPEG file before its first scan (ITU-T T.81, annex B)."""
    at = 2
    while at + 4 <= len(data):
        if data[at] != 0xFF:
            return
        marker = data[at + 1]
        if marker == 0xFF or marker == 0x01 or 0xD0 <= marker <= 0xD8:  # filling, and markers without content
            at += 1 if marker == 0xFF else 2
            continue
        length = int.from_bytes(data[at + 2 : at + 4])
        if marker == _SCAN or length < 2:
            return
        yield marker, data[at + 4 : at + 2 + length]
        at += 2 + length


def _jpeg(data: bytes) -> dict[str, float]:
    facts = {"progressive": 0.0, "has_exif": 0.0, "has_icc": 0.0, "has_text": 0.0}
    tables: dict[int, list[int]] = {}
    selected: list[int] = []
    for marker, part in _segments(data):
        if marker == 0xDB:
            tables.update(_quantisation(part))
        elif marker in _STARTS and len(part) > 5 and len(part) >= 6 + 3 * part[5]:
            components = [part[6 + 3 * k : 9 + 3 * k] for k in range(part[5])]
            facts |= {"bits": part[0], "channels": part[5], "progressive": float(marker in _PROGRESSIVE)}
            selected = [component[2] for component in components]
            if len(components) > 1:
                shares = [(one[1] >> 4) * (one[1] & 15) for one in components]
                facts["subsampling"] = shares[0] / max(shares[1], 1)
        elif marker == 0xE1 and part.startswith(b"Exif"):
            facts["has_exif"] = 1.0
        elif marker == 0xE2 and part.startswith(b"ICC_PROFILE"):
            facts["has_icc"] = 1.0
        elif marker == 0xFE:
            facts["has_text"] = 1.0
    for name, number in zip(_TABLES, selected, strict=False):
        if table := tables.get(number):
            facts[f"{name}_quantisation"] = math.fsum(table) / len(table)
            facts |= {f"{name}_{place:02d}": value for place, value in enumerate(table)}
    return facts


def _quantisation(part: bytes) -> Iterator[tuple[int, list[int]]]:
    """Yield number and values of each quantisation table in a segment."""
    while part:
        width = 2 if part[0] >> 4 else 1
        body = part[1 : 1 + 64 * width]
        if len(body) == 64 * width:
            yield part[0] & 15, [int.from_bytes(body[at : at + width]) for at in range(0, len(body), width)]
        part = part[1 + 64 * width :]


def _png(data: bytes) -> dict[str, float]:
    if data[12:16] != b"IHDR" or len(data) < 29:
        return {}
    facts = {"bits": float(data[24]), "interlaced": float(data[28] != 0)}
    if data[25] in _PNG_CHANNELS:
        facts["channels"] = _PNG_CHANNELS[data[25]]
    kinds = _png_kinds(data)
    facts |= {"has_exif": float(b"eXIf" in kinds), "has_icc": float(b"iCCP" in kinds)}
    return facts | {"has_text": float(bool(kinds & {b"tEXt", b"zTXt", b"iTXt"}))}


def _png_kinds(data: bytes) -> set[bytes]:
    """Return the kinds of chunks before the pixels."""
    kinds: set[bytes] = set()
    at = 8
    while at + 8 <= len(data) and (kind := data[at + 4 : at + 8]) != b"IDAT":
        kinds.add(kind)
        at += 12 + int.from_bytes(data[at : at + 4])
    return kinds


def _tiff(data: bytes) -> dict[str, float]:
    """Return depth and channels by the first directory; of files with 64-bit offsets, nothing."""
    order: Literal["little", "big"] = "little" if data[:2] == b"II" else "big"

    def number(at: int, size: int) -> int:
        return int.from_bytes(data[at : at + size], order)

    if number(2, 2) != 42:
        return {}
    start = number(4, 4)
    facts = {"bits": 1.0, "channels": 1.0}  # where the file does not say
    for entry in range(start + 2, min(start + 2 + 12 * number(start, 2), len(data) - 11), 12):
        tag, several = number(entry, 2), number(entry + 4, 4) > 2
        if tag == 258:
            facts["bits"] = number(number(entry + 8, 4) if several else entry + 8, 2)
        elif tag == 277:
            facts["channels"] = number(entry + 8, 2)
    return facts


def _dicom(data: bytes) -> dict[str, float]:
    """Return depth and channels where the header is little-endian and not compressed."""
    facts: dict[str, float] = {}
    for name, tag in (("bits", _BITS_STORED), ("channels", _SAMPLES)):
        for mark in (tag + b"US\2\0", tag + b"\2\0\0\0"):
            at = data.find(mark)
            if at >= 0:
                facts[name] = int.from_bytes(data[at + 8 : at + 10], "little")
                break
    return facts


def _of_8_bits(data: bytes) -> dict[str, float]:
    return {"bits": 8.0}
