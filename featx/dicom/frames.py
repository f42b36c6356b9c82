"""One frame of a file without the others, so that a long film is not read once for each of its frames."""

from __future__ import annotations

import io
import os
import struct
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO

from featx.dicom.damage import damage_errors
from featx.dicom.description import NATIVE, Pixels, read_pixels
from featx.dicom.quiet import quiet
from featx.dicom.signature import mark_frame
from featx.errors import ImageError
from featx.files import open_file

_ITEM, _END = b"\xfe\xff\x00\xe0", b"\xfe\xff\xdd\xe0"  # PS3.5 section A.4
_NO_OFFSETS = _ITEM + b"\0\0\0\0"
_ALL_ITEMS = _END + b"\0\0\0\0"
_MOST_FRAMES = 2**20


@dataclass(frozen=True, slots=True)
class _Film:
    """Where the frames of a file are.

    Attributes:
        head: The file up to the first byte of its pixels.
        frames: Start and end of each frame in the file; of compressed ones, with the heads of their items.
        is_compressed: Whether frames are items.
    """

    head: bytes
    frames: tuple[tuple[int, int], ...]
    is_compressed: bool


def read_frame(file: Path | bytes, number: int, limit: int) -> bytes:
    """Return the bytes that stand for one frame: the header and this frame's pixels alone, marked with its number.

    All bytes of a file whose frames cannot be told apart, such as a deflated one, are marked instead.

    Args:
        file: The file, or its bytes.
        number: The frame's number, counted from 0.
        limit: The most bytes that the file may have.

    Raises:
        OSError: The file is missing, cannot be read, or is too large.
    """
    if isinstance(file, bytes):
        return _one(io.BytesIO(file), _film(io.BytesIO(file)), number)
    with open_file(file, limit) as opened:
        status = os.fstat(opened.fileno())
        film = _film_of_file(file, limit, status.st_size, status.st_mtime_ns)
        return _one(opened, film, number)


def _one(file: BinaryIO, film: _Film | None, number: int) -> bytes:
    if film is None or number >= len(film.frames):
        return mark_frame(file.read(), number)
    start, end = film.frames[number]
    file.seek(start)
    pixels = file.read(end - start)
    inner = _NO_OFFSETS + pixels + _ALL_ITEMS if film.is_compressed else pixels
    return mark_frame(film.head + inner, number, alone=True)


@lru_cache(maxsize=8)
def _film_of_file(file: Path, limit: int, size: int, changed: int) -> _Film | None:
    with open_file(file, limit) as opened:
        return _film(opened)


def _film(file: BinaryIO) -> _Film | None:
    """Where the frames are; None if they cannot be told apart."""
    try:
        damage = damage_errors()
    except ImportError:  # decoding will say it
        return None
    try:
        with quiet():
            from pydicom import dcmread

            dcmread(file, stop_before_pixels=True, force=True)
            end = file.tell() + 12  # of the head of the element, at most
            file.seek(0)
            pixels = read_pixels(file.read(end), "")
            if pixels.frames > _MOST_FRAMES:
                return None
            frames = _native(pixels) if pixels.length is not None else _items(file, pixels)
    except ImageError:
        return None
    except damage:
        return None
    if frames is None:
        return None
    return _Film(pixels.data[: pixels.start], frames, pixels.length is None)


def _native(pixels: Pixels) -> tuple[tuple[int, int], ...] | None:
    bits = pixels.rows * pixels.columns * pixels.samples * pixels.allocated
    if pixels.syntax not in NATIVE or bits % 8 or pixels.photometric == "YBR_FULL_422":
        return None
    length, end = bits // 8, pixels.start + (pixels.length or 0)
    starts = range(pixels.start, pixels.start + pixels.frames * length, length)
    # Of a file that says that it has fewer bytes, the last frames are cut short.
    return tuple((start, max(start, min(start + length, end))) for start in starts)


def _items(file: BinaryIO, pixels: Pixels) -> tuple[tuple[int, int], ...] | None:
    """The items of each frame: those from one of the offsets in the first item to the next, or else one."""
    starts: list[int] = []
    place = pixels.start
    while len(starts) <= _MOST_FRAMES:
        file.seek(place)
        head = file.read(8)
        if head[:4] != _ITEM or len(head) < 8:
            break
        starts.append(place)
        place += 8 + struct.unpack("<L", head[4:])[0]
    if len(starts) < 2 or head[:4] != _END:
        return None
    first, *starts = starts
    file.seek(first + 8)
    table = file.read(starts[0] - first - 8)
    if table and len(table) == 4 * pixels.frames:
        offsets = [starts[0] + offset for offset in struct.unpack(f"<{pixels.frames}L", table)]
        if offsets[0] == starts[0] and offsets == sorted(set(offsets) & set(starts)):
            return tuple(zip(offsets, [*offsets[1:], place], strict=True))
    return tuple(zip(starts, [*starts[1:], place], strict=True)) if len(starts) == pixels.frames else None
