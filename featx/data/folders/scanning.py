"""What is in a folder, or in an archive or a folder of it: its folders and files, without hidden ones."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from featx.archives import member_names
from featx.errors import DataError

# An address, as a path has it: https:/example.org, where two strokes have become one.
_ADDRESS = re.compile(r"(?:^|/)((?:https?|ftp|s3|gs|az):/.*)")


class Entry(NamedTuple):
    """A file or folder in a folder: its name, its whole path, and which of the two it is."""

    name: str
    path: str
    is_folder: bool


def scan(folder: str) -> tuple[list[Entry], list[Entry]]:
    """Return the folders, sorted by name, and the files in a folder, without hidden ones.

    The folder may be an archive, or a folder in one: `xrays.zip/train`.

    Raises:
        DataError: The folder cannot be read.
    """
    if (inner := _in_archive(folder)) is not None:
        return inner
    folders: list[Entry] = []
    files: list[Entry] = []
    with reading(folder), os.scandir(folder) as entries:
        for entry in entries:
            if not entry.name.startswith("."):
                is_folder = _leads_to_folder(entry)
                (folders if is_folder else files).append(Entry(entry.name, entry.path, is_folder))
    return sorted(folders), files


def identity(folder: str) -> tuple[object, ...]:
    """Return what tells a folder from all others, also where links lead to it."""
    with reading(folder):
        if member_names(Path(folder)) is not None:
            return (folder,)
        status = Path(folder).stat()
    return status.st_dev, status.st_ino


def _in_archive(folder: str) -> tuple[list[Entry], list[Entry]] | None:
    """What is in an archive or in a folder of it; None for a folder on a disk."""
    with reading(folder):
        there = member_names(Path(folder))
    if there is None:
        return None
    folders, files = (
        [Entry(name, f"{folder}/{name}", is_folder) for name in names if not name.startswith(".")]
        for is_folder, names in ((True, there[0]), (False, there[1]))
    )
    return folders, files


def _leads_to_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself: it will fail with its name when it is opened as a file
        return False


@contextmanager
def reading(path: Path | str) -> Iterator[None]:
    """Raise a DataError if a file or folder cannot be read."""
    try:
        yield
    except (FileNotFoundError, NotADirectoryError, ValueError) as error:  # ValueError: a null character
        if address := _ADDRESS.search(str(path)):
            raise DataError(
                f"Expected a folder or file of this machine, received the address {address[1]}; download the images "
                "first."
            ) from error
        raise DataError(f"Expected a folder or file at {path}, found nothing; check the path.") from error
    except OSError as error:
        reason = error.strerror or str(error)
        advice = "check its permissions" if isinstance(error, PermissionError) else "check the file"
        raise DataError(f"{path} cannot be read ({reason}); {advice}.") from error
