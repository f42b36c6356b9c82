"""Files: written whole or not at all, listed, measured and removed; with the sentence for each failure."""

from __future__ import annotations

import csv
import errno
import json
import math
import os
import secrets
import shutil
import tempfile
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from featx.errors import RunError, StoreError

if TYPE_CHECKING:
    import pyarrow as pa

SCHEMA = 1  # raised by hand whenever the columns of a shard or the fields of a JSON file change
TEMPORARY = ".tmp-"  # start of the names of unfinished files, and of folders that are being removed


def write_atomically(folder: Path, name: str, content: bytes | pa.Buffer) -> Path:
    """Write a file so that it appears under its name only when complete; returns its path."""
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
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
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
    """Names in a folder, sorted; none if it does not exist. Raises StoreError if it cannot be read."""
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
    """Remove a file or folder, or with `dry_run` only look; returns its bytes on disk, None if it is gone already."""
    try:
        freed = size(path)
        if not dry_run:
            delete = shutil.rmtree if path.is_dir() else Path.unlink
            delete(path)
    except FileNotFoundError:
        return None
    return freed


def size(path: Path) -> int:
    """Bytes on disk of a file, or of a folder with all that is in it; 0 if it does not exist."""
    total = 0
    for file in [path] if path.is_file() else path.rglob("*"):
        with suppress(FileNotFoundError):  # another process was quicker
            total += file.stat().st_size if file.is_file() else 0
    return total


def check_folder(folder: Path, what: str, marks: Collection[str], earlier: str = "", option: str = "--out") -> None:
    """Check that results may be written to a folder: it is absent, empty, or holds earlier results of the same kind.

    Args:
        folder: Where the results are to go.
        what: What they are, such as `run`.
        marks: Names of files, any of which shows that the folder holds earlier results.
        earlier: What earlier results are called, if not the same.
        option: The option that chooses the folder.

    Raises:
        RunError: It is a file, or holds other things.
    """
    if not folder.exists():
        return
    if not folder.is_dir():
        raise RunError(f"Expected a folder for the {what}, but {folder} is a file; choose another {option}.")
    names = {path.name for path in folder.iterdir() if not path.name.startswith(TEMPORARY)}
    if names and names.isdisjoint(marks):
        raise RunError(
            f"Expected an empty folder or an earlier {earlier or what} at {folder}, but it holds other files; choose "
            f"another {option}."
        )


def write_file(path: Path, write: Callable[[Path], object]) -> Path:
    """Let `write` fill a temporary file beside `path`, then put it in place; raises StoreError if that fails."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=TEMPORARY) as folder:
            # The draft has the same name, because writers choose the format by its ending.
            draft = Path(folder) / path.name
            write(draft)
            draft.replace(path)
    except OSError as error:
        raise unwritable(path, error) from error
    return path


def write_text(path: Path, text: str) -> Path:
    """Write a UTF-8 text file, whole or not at all."""
    return write_file(path, lambda draft: draft.write_bytes(text.encode()))


def write_json(path: Path, document: Mapping[str, Any]) -> Path:
    """Write an indented JSON file; numbers that JSON does not have become null."""
    return write_text(path, json.dumps(finite(document), indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> Path:
    """Write a UTF-8 CSV file with a header line."""

    def write(draft: Path) -> None:
        with draft.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(header)
            writer.writerows(rows)

    return write_file(path, write)


def finite(value: Any) -> Any:
    """Return a JSON value in which what is not a finite number is None."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {key: finite(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(inner) for inner in value]
    return value


def unwritable(path: Path, error: OSError) -> StoreError:
    """Return the error for a file or folder that cannot be written."""
    return StoreError(f"{path} cannot be written: {error.strerror or error}; choose another place.")
