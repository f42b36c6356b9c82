"""What tells a DICOM file from others, and how one frame of several is named."""

from __future__ import annotations

import re
from pathlib import Path

PREAMBLE = 128  # bytes before the mark, PS3.10 section 7.1
_FRAME = re.compile(r"frame-(\d{1,9})")
_MARK = re.compile(rb"featx frame (\d{1,9})\n")


def is_dicom(head: bytes) -> bool:
    """Tell whether bytes are the start of a DICOM file, or of one frame of it (see `split_frame`).

    Args:
        head: The first 160 bytes or more.
    """
    body = head[_MARK.match(head).end() :] if _MARK.match(head) else head  # type: ignore[union-attr]
    return body[PREAMBLE : PREAMBLE + 4] == b"DICM"


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
    match = _FRAME.fullmatch(path.name)
    return None if match is None else (path.parent, int(match[1]))


def mark_frame(data: bytes, frame: int) -> bytes:
    """Return the bytes that stand for one frame of a file: their digest is its own, and `unmark_frame` undoes it."""
    return b"featx frame %d\n" % frame + data


def unmark_frame(data: bytes) -> tuple[bytes, int]:
    """Return the file's bytes and the frame's number, 0 if none is named."""
    match = _MARK.match(data)
    return (data, 0) if match is None else (data[match.end() :], int(match[1]))
