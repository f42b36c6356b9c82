"""Files: opened only if regular, written whole or not at all, listed, measured and removed."""

from __future__ import annotations

import csv
import errno
import io
import json
import math
import os
import secrets
import shutil
import stat
import tempfile
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from numbers import Integral, Real
from pathlib import Path
from typing import TYPE_CHECKING, Any

from featx.errors import RunError, StoreError, UsageError

if TYPE_CHECKING:
    import pyarrow as pa

SCHEMA = 1  # raised by hand whenever the columns of a shard or the fields of a JSON file change
TEMPORARY = ".tmp-"  # start of the names of unfinished files, and of folders that are being removed

# The largest files that are read, in bytes. What is larger is something else than the caller takes it for.
TEXT_LIMIT = 2**28  # tables, JSON documents
NETWORK_LIMIT = 2**35  # networks, weights


def open_file(path: Path, limit: int = NETWORK_LIMIT) -> io.BufferedReader:
    """Open a file that a user named, to read its bytes: the only way in which featx opens such files.

    A pipe would be waited for, and a device never ends, so only regular files are opened, also at the end of links.
    Everything that is wrong is an OSError, whose `strerror` follows "it cannot be read:" or stands in parentheses:

        try:
            data = read_file(path, limit)
        except OSError as error:
            raise DataError(f"… {path} cannot be read ({error.strerror}); …") from error

    Args:
        path: The file.
        limit: The most bytes that it may have.

    Raises:
        OSError: It is missing (FileNotFoundError), a folder (IsADirectoryError), not a regular file, or larger than
            the limit; or it may not be read (PermissionError).
    """
    try:
        _check_regular(path.stat(), path, limit)  # before it is opened, which may do something to a device
        file = io.FileIO(os.fspath(path), opener=_open_at_once)
    except ValueError:  # a null character, or half of a surrogate pair
        raise OSError(errno.EINVAL, "no file can have such a name", repr(path)) from None
    try:
        status = os.fstat(file.fileno())
        _check_regular(status, path, limit)
        # A file of `/proc` has no size, and may have no end.
        if status.st_size == 0 and file.read(1):
            raise OSError(errno.EINVAL, "it is made by the system, not a file on a disk", str(path))
    except OSError:
        file.close()
        raise
    return io.BufferedReader(file)


def read_file(path: Path, limit: int = TEXT_LIMIT) -> bytes:
    """Return the bytes of a file that a user named; see `open_file`.

    Raises:
        OSError: As from `open_file`, or the file has grown since it was opened.
    """
    with open_file(path, limit) as file:
        size = os.fstat(file.fileno()).st_size
        data = file.read(size + 1)
    if len(data) > size:
        raise OSError(errno.EBUSY, "it grew while it was read", str(path))
    return data


def read_json(path: Path, limit: int = TEXT_LIMIT) -> Any:
    """Return the value of a JSON file in UTF-8 that a user named; see `open_file`.

    Raises:
        OSError: As from `read_file`.
        ValueError: It is not JSON as the standard has it: NaN, an infinite number, a name twice in an object. Or it
            is nested too deeply, or holds a number of thousands of digits.
    """
    text = read_file(path, limit).decode("utf-8")
    try:
        value = json.loads(
            text, object_pairs_hook=_object, parse_int=_integer, parse_float=_float, parse_constant=_float
        )
        if "\\ud" in text or "\\uD" in text:
            json.dumps(value, ensure_ascii=False).encode()  # half of a surrogate pair could never be printed
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    return value


def is_file(path: Path) -> bool:
    """Return whether there is a regular file of that name that may be looked at; whatever the name is."""
    try:
        return path.is_file()
    except OSError:  # a name that is too long, a folder that may not be entered
        return False


def _open_at_once(path: str, flags: int) -> int:
    # A pipe that took the file's place in the meantime would be waited for. Windows has no such flag.
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _check_regular(status: os.stat_result, path: Path, limit: int) -> None:
    mode = status.st_mode
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, "it is a folder", str(path))
    if not stat.S_ISREG(mode):
        kinds = {stat.S_IFIFO: "a named pipe", stat.S_IFSOCK: "a socket"}
        kind = kinds.get(stat.S_IFMT(mode), "a device")
        raise OSError(errno.EINVAL, f"it is not a regular file but {kind}", str(path))
    if status.st_size > limit:
        sizes = f"{status.st_size / 2**20:,.1f} MiB, more than the limit of {limit / 2**20:,.0f} MiB"
        raise OSError(errno.EFBIG, f"it has {sizes}", str(path))


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    items = dict(pairs)
    if len(items) < len(pairs):
        (name, _), *_ = Counter(name for name, _ in pairs).most_common(1)
        raise ValueError(f"the name {name[:60]!r} is there twice")
    return items


def _integer(digits: str) -> int:
    if len(digits) > 1000:
        raise ValueError(f"a number has {len(digits)} digits")
    return int(digits)


def _float(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise ValueError(f"{digits[:20]} is not a finite number")
    return value


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
            f"No space is left to write the cache at {root} ({error.strerror}); {rows}free some space, or choose "
            "another cache (--cache or FEATX_CACHE), and run the same command again."
        )
    return StoreError(
        f"The cache at {root} cannot be written ({error.strerror or error}); make it writable, or choose another one "
        "(--cache or FEATX_CACHE)."
    )


def names_in(folder: Path) -> list[str]:
    """Names in a folder, sorted; none if it does not exist. Raises StoreError if it cannot be read."""
    try:
        return sorted(entry.name for entry in folder.iterdir())
    except FileNotFoundError:
        return []
    except OSError as error:
        raise StoreError(
            f"The cache's folder {folder} cannot be read ({error.strerror}); make it readable, or choose another "
            "cache (--cache or FEATX_CACHE)."
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
        RunError: It is a file, may not be written, or holds other things.
    """
    nearest = next(path for path in (folder, *folder.parents) if path.exists())
    if not nearest.is_dir():
        raise RunError(f"Expected a folder for the {what}, but {nearest} is a file; choose another {option}.")
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise RunError(
            f"Expected a folder for the {what} that may be written, but {nearest} may only be read; choose another "
            f"{option}."
        )
    if nearest != folder:
        return
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
    # A path may have bytes that are no letters; JSON has them as the same escape.
    return write_file(path, lambda draft: draft.write_bytes(text.encode(errors="backslashreplace")))


def write_json(path: Path, document: Mapping[str, Any]) -> Path:
    """Write an indented JSON file; numbers that JSON does not have become null."""
    return write_text(path, json.dumps(finite(document), indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> Path:
    """Write a UTF-8 CSV file with a header line."""

    def write(draft: Path) -> None:
        with draft.open("w", encoding="utf-8", errors="backslashreplace", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(header)
            writer.writerows(rows)

    return write_file(path, write)


def finite(value: Any) -> Any:
    """Return a JSON value in which what is not a finite number is None, and NumPy's numbers are Python's."""
    if isinstance(value, Real) and not isinstance(value, (bool, int)):
        if isinstance(value, Integral):
            return int(value)
        return float(value) if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: finite(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(inner) for inner in value]
    return value


def several(value: Any, what: str) -> list[Any]:
    """Return as a list what a caller gave as one text or path, or as several; text alone is no list of letters.

    Args:
        value: A text, a path, or a list, array, series or generator of these.
        what: What they are, such as `paths of images`, for the message.

    Raises:
        UsageError: It is something else, such as a number, a table or None.
    """
    if isinstance(value, (str, os.PathLike)):
        return [value]
    received = f"a value of type {type(value).__name__}; pass a list"
    # A table or dictionary would give the names of its columns.
    if isinstance(value, Iterable) and not isinstance(value, (bytes, Mapping)) and not hasattr(value, "columns"):
        with suppress(TypeError):  # an array without dimensions
            listed = list(value)
            if all(isinstance(each, (str, os.PathLike)) for each in listed):
                return listed
            other = next(each for each in listed if not isinstance(each, (str, os.PathLike)))
            received = f"a list with a value of type {type(other).__name__}; pass texts or paths alone"
    raise UsageError(f"Expected {what}, as a text or path or a list of these, received {received}.")


def unwritable(path: Path, error: OSError) -> StoreError:
    """Return the error for a file or folder that cannot be written."""
    return StoreError(f"{path} cannot be written: {error.strerror or error}; choose another place.")
