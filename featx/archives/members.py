"""Which part of a path is an archive, what is in it, and the bytes of a member."""

from __future__ import annotations

import os
import re
from pathlib import Path

from featx.archives.archive import Archive
from featx.archives.opening import open_at, opened
from featx.files import is_file

ENDINGS = (".zip", ".tar", ".parquet", ".pq", ".arrow")
_TABLES = (".parquet", ".pq", ".arrow")
# Most paths are of plain files, and are told from others by their text alone.
_WITHIN = re.compile(r"\.(?:zip|tar|parquet|pq|arrow)[/\\]", re.IGNORECASE)


def is_archive(path: Path) -> bool:
    """Tell whether a file can hold images, by its ending: .zip, .tar, .parquet, .pq or .arrow, in any case.

    Args:
        path: The file, which need not exist.
    """
    return path.suffix.lower() in ENDINGS


def is_image_table(path: Path) -> bool:
    """Tell whether a file is a table that can hold images, by its ending: .parquet, .pq or .arrow, in any case.

    Args:
        path: The file, which need not exist.
    """
    return path.suffix.lower() in _TABLES


def archive_of(path: Path) -> tuple[Path, str] | None:
    """Return the archive in which a path's image is, and the image's name there; None for a plain file.

    The path of an image in an archive goes on behind the archive's: `xrays.zip/normal/1.png`.

    Args:
        path: The path of an image.
    """
    text = str(path)
    if _WITHIN.search(text) is None:
        return None
    for end in _WITHIN.finditer(text):
        before = text[: end.end() - 1]
        archive = open_at(before)
        if archive is None and is_file(Path(before)):
            archive = Path(before)
        if archive is not None:
            return archive, text[end.end() :].replace(os.sep, "/")
    return None


def read_member(path: Path, limit: int) -> bytes:
    """Return the bytes of an image in an archive.

    Args:
        path: See `archive_of`.
        limit: The most bytes that it may have.

    Raises:
        OSError: The archive or the member cannot be read; FileNotFoundError if there is no such member.
    """
    archive, name = _opened_at(path)
    return archive.read(name, limit)


def member_start(path: Path, size: int) -> bytes:
    """Return the first bytes of an image in an archive, fewer if it has fewer or is damaged.

    Args:
        path: See `archive_of`.
        size: The most bytes that are wanted.

    Raises:
        OSError: The archive or the member cannot be read; FileNotFoundError if there is no such member.
    """
    archive, name = _opened_at(path)
    return archive.start(name, size)


def _opened_at(path: Path) -> tuple[Archive, str]:
    """The opened archive that a path leads into, and the member's name."""
    there = archive_of(path)
    if there is None:
        raise FileNotFoundError(str(path))
    return opened(there[0]), there[1]


def has_member(path: Path) -> bool:
    """Tell whether a path leads to an image in an archive that can be read.

    Args:
        path: See `archive_of`.
    """
    there = archive_of(path)
    try:
        return there is not None and there[1] in opened(there[0])
    except OSError:
        return False


def member_names(path: Path) -> tuple[list[str], list[str]] | None:
    """Return the names of the folders and of the files in an archive, or in a folder of it; None for another path.

    Args:
        path: The archive, or a path in it, see `archive_of`.

    Raises:
        OSError: The archive cannot be read; NotADirectoryError if it has no such folder.
    """
    there = (path, "") if is_archive(path) and is_file(path) else archive_of(path)
    return None if there is None else opened(there[0]).children(there[1])


def open_archive(path: Path) -> Archive:
    """Return an archive with the list of its members; one that was opened before and has not changed is the same.

    Args:
        path: The archive.

    Raises:
        OSError: It cannot be read, is damaged, encrypted, or has too many members.
    """
    return opened(path)
