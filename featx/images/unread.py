"""Files of kinds that are not read, told by their content or ending."""

from __future__ import annotations

import re
import struct
from pathlib import PurePath
from typing import NoReturn

from featx.errors import ImageError
from featx.formats import KINDS, RAW, RAW_ENDINGS, SLIDE, SLIDE_ENDINGS, VIDEO, kind_of_name, sentence
from featx.images.heif import brands, is_avif, is_heic

_SIGNATURES = [(kind, re.compile(kind.signature, re.DOTALL)) for kind in KINDS if kind.signature]
_PAGE = re.compile(rb"\s*<(?:!doctype html|html)[\s>]", re.IGNORECASE)
_POINTER = b"version https://git-lfs"

# Tags, TIFF 6.0, DNG 1.7; NDPI marks its files with one of its own.
_PHOTOMETRIC, _DESCRIPTION, _SUB_DIRECTORIES, _DNG, _NDPI = 262, 270, 330, 50706, 65420
_RAW_COLOURS = (32803, 34892)  # a mosaic of colours, and linear raw
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 7: 1, 13: 4}
_MOST_DIRECTORIES = 16


def refuse_unread(data: bytes, name: str) -> None:
    """Raise ImageError for a file of a kind that is not read, by its first bytes; TIFFs also by tags.

    These are asked first: Pillow would read the preview in a raw file, or that of a slide, for the image.
    """
    ending = PurePath(name.lower()).suffix
    if data[:4] in (b"II*\0", b"MM\0*") and (ending in RAW_ENDINGS or _is_raw(data)):
        raise ImageError(name, sentence("a camera raw file", RAW))
    if ending == ".mrxs":  # a JPEG of the whole slide, beside a folder with the slide
        raise ImageError(name, sentence("a whole-slide image", SLIDE))
    for kind, signature in _SIGNATURES:
        if signature.match(data):
            raise ImageError(name, sentence(kind.name, kind.convert))
    if b"crx " in brands(data):
        raise ImageError(name, sentence("a camera raw file", RAW))
    if brands(data) and not is_avif(data) and not is_heic(data):
        raise ImageError(name, sentence("video", VIDEO))


def refuse_other(data: bytes, name: str, kinds: str) -> NoReturn:
    """Raise ImageError for a file that is no image of `kinds`; its ending may tell what it is."""
    if _PAGE.match(data):
        raise ImageError(name, "is an HTML page, not an image; download the image again")
    if data.startswith(_POINTER):
        raise ImageError(name, "is a pointer of Git LFS, not an image; fetch the image with git lfs pull")
    if (kind := kind_of_name(name)) is not None:
        raise ImageError(name, sentence(kind.name, kind.convert))
    if data.startswith(b"\x1f\x8b"):
        raise ImageError(name, "is compressed with gzip; unpack it first, with gunzip")
    raise ImageError(name, f"is not an image that featx reads ({kinds})")


def refuse_large_slide(data: bytes, name: str, pixels: int, max_pixels: int) -> None:
    """Raise ImageError for a whole-slide image of more pixels than the limit."""
    tags = _tags(data, _first(data))[0]
    known = tags.get(_DESCRIPTION, b"")[:6] == b"Aperio" or _NDPI in tags
    if pixels > max_pixels and (known or PurePath(name.lower()).suffix in SLIDE_ENDINGS):
        sizes = f"{pixels / 1e6:,.1f} megapixels, more than the limit of {max_pixels / 1e6:.1f}"
        raise ImageError(name, f"is a whole-slide image of {sizes}; convert {SLIDE}")


def _is_raw(data: bytes) -> bool:
    """Whether a TIFF says that it is a DNG, or has a directory with the values of a sensor."""
    waiting, seen = [_first(data)], set[int]()
    while waiting and len(seen) < _MOST_DIRECTORIES:
        place = waiting.pop(0)
        if place in seen or not place:
            continue
        seen.add(place)
        tags, following = _tags(data, place)
        if _DNG in tags or any(value in _RAW_COLOURS for value in _numbers(data, tags.get(_PHOTOMETRIC, b""))):
            return True
        waiting += [*_numbers(data, tags.get(_SUB_DIRECTORIES, b""))[:_MOST_DIRECTORIES], following]
    return False


def _order(data: bytes) -> str:
    return "<" if data[:2] == b"II" else ">"


def _first(data: bytes) -> int:
    """The place of a TIFF's first directory; 0 where there is none, as in BigTIFFs, which no camera writes."""
    usual = len(data) >= 8 and data[:4] in (b"II*\0", b"MM\0*")
    return int(struct.unpack_from(f"{_order(data)}L", data, 4)[0]) if usual else 0


def _tags(data: bytes, place: int) -> tuple[dict[int, bytes], int]:
    """The bytes of those tags of a directory that are asked for, and the place of the next directory."""
    order, tags = _order(data), dict[int, bytes]()
    if not place or place + 2 > len(data):
        return tags, 0
    (count,) = struct.unpack_from(f"{order}H", data, place)
    end = place + 2 + 12 * count
    if end > len(data):
        return tags, 0
    for entry in range(place + 2, end, 12):
        tag, kind, length = struct.unpack_from(f"{order}HHL", data, entry)
        if tag not in (_PHOTOMETRIC, _DESCRIPTION, _SUB_DIRECTORIES, _DNG, _NDPI):
            continue
        size = length * _SIZES.get(kind, 0)
        start = entry + 8 if size <= 4 else int(struct.unpack_from(f"{order}L", data, entry + 8)[0])
        tags[tag] = data[start : start + min(size, 4 * _MOST_DIRECTORIES)]
    following = struct.unpack_from(f"{order}L", data, end)[0] if end + 4 <= len(data) else 0
    return tags, int(following)


def _numbers(data: bytes, value: bytes) -> list[int]:
    """Integers of a tag's bytes: one of 16 bits, or several of 32."""
    kind = "H" if len(value) == 2 else "L"
    each = 2 if kind == "H" else 4
    return list(struct.unpack(f"{_order(data)}{len(value) // each}{kind}", value[: len(value) // each * each]))
