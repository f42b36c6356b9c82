"""What tells a DICOM file from others, and how one frame of several is named."""

from __future__ import annotations

import re
import struct
from pathlib import Path

PREAMBLE = 128  # bytes before the mark, PS3.10 section 7.1
_FRAME = re.compile(r"frame-(\d{1,9})")
_MARK = re.compile(rb"featx frame (\d{1,9})( alone)?\n")
_SEARCHED = 512  # bytes in which the elements of a file without a preamble are counted
_LONGEST = 2**14  # bytes of a value there
# Value representations with lengths of two and of four bytes, PS3.5 section 7.1.2.
_SHORT = frozenset(b"AE AS AT CS DA DS DT FL FD IS LO LT PN SH SL SS ST TM UI UL US".split())
_LONG = frozenset(b"OB OD OF OL OV OW SQ SV UC UN UR UT UV".split())


def is_dicom(head: bytes) -> bool:
    """Tell whether bytes are the start of a DICOM file, or of one frame of it (see `split_frame`).

    Files without the preamble and its mark `DICM` are known by their first elements, of group 0002 or 0008.

    Args:
        head: The first 160 bytes or more.
    """
    match = _MARK.match(head)
    body = head if match is None else head[match.end() :]
    return body[PREAMBLE : PREAMBLE + 4] == b"DICM" or _starts_with_elements(body[:_SEARCHED])


def _starts_with_elements(head: bytes) -> bool:
    """Tell whether bytes are elements of a data set without a preamble, PS3.5 section 7.1."""
    if head[:2] not in (b"\2\0", b"\x08\0", b"\0\x08"):
        return False
    if head[4:6] in _SHORT or head[4:6] in _LONG:
        return _elements(head, "<" if head[1] == 0 else ">", explicit=True) >= 2
    # Without representations there is less to go by, so one more must fit.
    return head[0] == 8 and _elements(head, "<", explicit=False) >= 3


def _elements(head: bytes, order: str, *, explicit: bool) -> int:
    """Count the elements at the start of a data set, until one is none or the bytes end."""
    count, position, before = 0, 0, (0, -1)
    while position + 12 <= len(head):
        tag = struct.unpack_from(f"{order}HH", head, position)
        kind, start = head[position + 4 : position + 6], position + 8
        if explicit and kind in _LONG:
            (length,) = struct.unpack_from(f"{order}L", head, position + 8)
            start = position + 12
        elif explicit:
            (length,) = struct.unpack_from(f"{order}H", head, position + 6)
        else:
            (length,) = struct.unpack_from(f"{order}L", head, position + 4)
        is_kind = not explicit or kind in _LONG or kind in _SHORT
        if not is_kind or tag[0] not in (2, 8) or tag <= before or length % 2 or length > _LONGEST:
            break
        count, position, before = count + 1, start + length, tag
    return count


def frame_path(path: Path, frame: int) -> Path:
    """Return the path that names one frame of a file: `scan.dcm/frame-3`.

    Args:
        path: The file.
        frame: The frame's number, counted from 0.
    """
    return path / f"frame-{frame}"


def split_frame(path: Path) -> tuple[Path, int] | None:
    """Return the file and the number of the frame that a path names, see `frame_path`; None for another path.

    Args:
        path: The path of an image.
    """
    if "frame-" not in str(path):  # as most paths, of which taking the name takes longer
        return None
    match = _FRAME.fullmatch(path.name)
    return None if match is None else (path.parent, int(match[1]))


def mark_frame(data: bytes, frame: int, *, alone: bool = False) -> bytes:
    """Return the bytes that stand for one frame of a file: their digest is its own, and `unmark_frame` undoes it.

    Args:
        data: The file's bytes.
        frame: The frame's number, counted from 0.
        alone: Whether the other frames were left out of these bytes.
    """
    return b"featx frame %d%s\n" % (frame, b" alone" * alone) + data


def unmark_frame(data: bytes) -> tuple[bytes, int, bool]:
    """Return the file's bytes, the frame's number, 0 if none is named, and whether no other frame is in them."""
    match = _MARK.match(data)
    return (data, 0, False) if match is None else (data[match.end() :], int(match[1]), match[2] is not None)
