"""What is in a folder: its folders and files, without hidden ones."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from featx.errors import DataError


class Entry(NamedTuple):
    """A file or folder in a folder: its name, its whole path, and which of the two it is."""

    name: str
    path: str
    is_folder: bool


def scan(folder: str) -> tuple[list[Entry], list[Entry]]:
    """Return the folders, sorted by name, and the files in a folder, without hidden ones.

    Raises:
        DataError: The folder cannot be read.
    """
    folders: list[Entry] = []
    files: list[Entry] = []
    with reading(folder), os.scandir(folder) as entries:
        for entry in entries:
            if not entry.name.startswith("."):
                is_folder = _leads_to_folder(entry)
                (folders if is_folder else files).append(Entry(entry.name, entry.path, is_folder))
    return sorted(folders), files


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
        raise DataError(f"Expected a folder or file at {path}, found nothing; check the path.") from error
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}); check its permissions.") from error
