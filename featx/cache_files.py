"""Files of the cache: written whole or not at all, listed, removed; and the sentences for when that fails."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from featx.errors import StoreError

if TYPE_CHECKING:
    import pyarrow as pa

SCHEMA = 1  # raised by hand whenever the columns of a shard or the fields of a JSON file change
TEMPORARY = ".tmp-"
"""How the names of unfinished files, and of folders being removed, begin."""

_NO_SPACE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


def write_atomically(folder: Path, name: str, content: bytes | pa.Buffer) -> Path:
    """Write a file so that it appears under its name only when complete; returns its path.

    Raises:
        OSError: The file cannot be written; what was written of it is removed if possible.
    """
    folder.mkdir(parents=True, exist_ok=True)
    temporary = folder / f"{TEMPORARY}{secrets.token_hex(8)}"
    try:
        with temporary.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        return temporary.replace(folder / name)
    finally:
        with suppress(OSError):  # after the rename there is nothing left to remove
            temporary.unlink(missing_ok=True)


def write_failure(error: OSError, root: Path, kept: int | None = None) -> StoreError:
    """The sentence for a user whose cache at `root`, still holding `kept` rows, could not be written."""
    if error.errno in _NO_SPACE:
        rows = "" if kept is None else f"{kept} rows are kept; "
        return StoreError(
            f"no space left to write the cache at {root} ({error.strerror}); {rows}free some space "
            "or use --cache DIR/FEATX_CACHE and run the same command again"
        )
    return StoreError(
        f"the cache at {root} cannot be written ({error.strerror or error}); "
        "make it writable or use --cache DIR/FEATX_CACHE"
    )


def names_in(folder: Path) -> list[str]:
    """Names in a folder, sorted; none if it does not exist.

    Raises:
        StoreError: It may not be read.
    """
    try:
        return sorted(entry.name for entry in folder.iterdir())
    except FileNotFoundError:
        return []
    except OSError as error:
        raise StoreError(
            f"the cache folder {folder} cannot be read ({error.strerror}); "
            "make it readable or use --cache DIR/FEATX_CACHE"
        ) from error


def remove(path: Path, *, dry_run: bool = False) -> int | None:
    """Remove a file or a folder with all that is in it.

    Args:
        path: The file or folder.
        dry_run: Only look how large it is.

    Returns:
        Its bytes on disk; None if another process was quicker and it is gone.

    Raises:
        OSError: It cannot be removed.
    """
    try:
        freed = size(path)
        if not dry_run:
            delete = shutil.rmtree if path.is_dir() else Path.unlink
            delete(path)
    except FileNotFoundError:
        return None
    return freed


def size(path: Path) -> int:
    """Bytes on disk of a file, or of a folder with all that is in it; 0 of what does not exist.

    Raises:
        OSError: It cannot be read.
    """
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    return sum(file.stat().st_size for file in files)
