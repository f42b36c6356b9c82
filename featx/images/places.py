"""The bytes that a path stands for: a file's, those of a member of an archive, or of one frame of either."""

from __future__ import annotations

from pathlib import Path

from featx.archives import archive_of, read_member
from featx.dicom import read_frame, split_frame
from featx.files import is_file, read_file


def read_place(path: Path, limit: int) -> bytes:
    """Return the bytes of a file (see `read_file`), of a member of an archive (`read_member`), or of a frame.

    Raises:
        OSError: There is nothing at this path (FileNotFoundError), or it cannot be read.
    """
    try:
        return read_file(path, limit)
    except (FileNotFoundError, NotADirectoryError) as error:
        missing = error
    if archive_of(path) is not None:
        try:
            return read_member(path, limit)
        except FileNotFoundError as error:
            missing = error
    frame = split_frame(path)
    if frame is None:
        raise FileNotFoundError(str(path)) from missing
    file, number = frame
    # The first frame stands for the whole file, so that it has one row whatever frames are taken.
    if number and is_file(file):
        return read_frame(file, number, limit)
    data = read_place(file, limit)
    return read_frame(data, number, limit) if number else data
