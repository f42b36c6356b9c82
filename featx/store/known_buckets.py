"""The table of known files on disk, in buckets, so that a few files are found and recorded without the others.

`<root>/known-files/<bucket>-<sha256>.arrow` holds the files of some folders: a folder's bucket is a checksum of
its path. Like a shard it is named by the sha256 of its own bytes and never changes; a writer writes another and
then removes those whose entries it took over. Two at once leave two, whose entries are read together.
"""

from __future__ import annotations

import hashlib
import logging
import re
import zlib
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from featx.files import SCHEMA, write_atomically
from featx.store.file_state import FileState

FOLDER = "known-files"
"""Name of the folder within the cache."""

BUCKETS = 64
Entries: TypeAlias = NDArray[np.void]
"""Structured array of dtype `ENTRY`, one element a file."""

ENTRY = np.dtype(
    [
        ("size", np.uint64),
        ("mtime_ns", np.int64),
        ("ctime_ns", np.int64),
        ("inode", np.uint64),
        ("device", np.uint64),
        ("digest", "V32"),
        ("known", np.bool_),
    ]
)
"""A file's state and digest, with `known` false where there is no entry."""

_STATE = FileState._fields
_LAYOUT = pa.schema(
    [
        ("key", pa.uint64()),
        ("path", pa.binary()),
        *((name, pa.from_numpy_dtype(ENTRY[name])) for name in _STATE),
        ("digest", pa.binary(32)),
    ],
    metadata={"featx.schema": str(SCHEMA)},
)
_NAME = re.compile(r"(\d\d)-([0-9a-f]{64})\.arrow")
_log = logging.getLogger("featx")


class KnownFile(NamedTuple):
    """One entry: the file at `path` (as the system encodes it), while in this state, has this sha256 (32 bytes)."""

    path: bytes
    state: FileState
    digest: bytes


@dataclass(frozen=True)
class Bucket:
    """The entries of one bucket.

    Attributes:
        number: In [0, BUCKETS).
        table: Columns as on disk, sorted by key, each key once; in one chunk.
        files: Names of the files it was read from.
        damaged: Names of those that were not as their name says, or of another version of featx.
    """

    number: int
    table: pa.Table
    files: tuple[str, ...]
    damaged: tuple[str, ...]

    def find(self, keys: NDArray[np.uint64]) -> Entries:
        """The entries of these keys, shape (len(keys),)."""
        found = np.zeros(len(keys), ENTRY)
        if not self.table.num_rows:
            return found
        stored = _column(self.table, "key")
        at = np.minimum(np.searchsorted(stored, keys), len(stored) - 1)
        found["known"] = stored[at] == keys
        for name in (*_STATE, "digest"):
            found[name] = _column(self.table, name)[at]
        return found

    def paths(self) -> list[bytes]:
        """The path of each entry, in the table's order."""
        return list(self.table["path"].to_pylist())


def folder_of(path: bytes) -> bytes:
    """The folder that a file is in."""
    return path.rpartition(b"/")[0] or b"/"


def bucket_of(path: bytes) -> int:
    """The bucket that a file's entry is in: files of one folder are together."""
    return zlib.crc32(folder_of(path)) % BUCKETS


def keys_of(paths: Iterable[bytes]) -> NDArray[np.uint64]:
    """What entries are found by: the first eight bytes of the sha256 of each path, shape (n,).

    Should two paths ever have the same, one entry takes the place of the other; a file is still known by its
    state alone, and no two files have the same device and inode.
    """
    joined = b"".join(hashlib.sha256(path).digest()[:8] for path in paths)
    return np.frombuffer(joined, "<u8").astype(np.uint64)


def table_of(files: Sequence[KnownFile]) -> pa.Table:
    """A table of entries, in their order."""
    columns: list[Any] = [keys_of(file.path for file in files), [file.path for file in files]]
    columns += [[file.state[place] for file in files] for place in range(len(_STATE))]
    columns.append([file.digest for file in files])
    arrays = [pa.array(column, field.type) for column, field in zip(columns, _LAYOUT, strict=True)]
    return pa.Table.from_arrays(arrays, schema=_LAYOUT)


def merged(tables: Sequence[pa.Table]) -> pa.Table:
    """One table of all entries, sorted by key; where several have one key, the first given has it."""
    if not tables:
        return _LAYOUT.empty_table()
    table = pa.concat_tables(tables).combine_chunks()
    if not table.num_rows:
        return table
    _, first = np.unique(_column(table, "key"), return_index=True)
    return table.take(pa.array(first)).combine_chunks()


class Buckets:
    """The buckets of a cache.

    Args:
        root: The cache's folder; it need not exist.
    """

    def __init__(self, root: Path) -> None:
        self.folder = root / FOLDER

    def names(self) -> dict[int, list[str]]:
        """The files of each bucket that has any, sorted; none if the folder cannot be read."""
        found: dict[int, list[str]] = {}
        with suppress(OSError):  # nothing is known then
            for name in sorted(path.name for path in self.folder.iterdir()):
                if fitting := _NAME.fullmatch(name):
                    found.setdefault(int(fitting[1]), []).append(name)
        return found

    def load(self, number: int, names: Sequence[str]) -> Bucket:
        """Read a bucket's files; those that are damaged are removed where possible, with a warning."""
        read = {name: self._read(name) for name in names}
        damaged = tuple(name for name, table in read.items() if table is None)
        with suppress(OSError):  # a cache that may only be read
            self.remove(damaged)
        tables = [table for table in read.values() if table is not None]
        table = tables[0] if len(tables) == 1 else merged(tables)
        return Bucket(number, table, tuple(names), damaged)

    def replace(self, bucket: Bucket, table: pa.Table, *, dry_run: bool = False) -> int:
        """Write a table in the place of a bucket's files, or remove these if it is empty.

        Returns:
            Bytes on disk that this gives back; negative if it takes more.

        Raises:
            OSError: It cannot be written.
        """
        content = _serialized(table) if table.num_rows else b""
        written = f"{bucket.number:02d}-{hashlib.sha256(content).hexdigest()}.arrow"
        freed = self.size(bucket.files) - len(content)
        if not dry_run:
            if content:
                write_atomically(self.folder, written, content)
            self.remove(name for name in bucket.files if name != written)
        return freed

    def remove(self, names: Iterable[str]) -> None:
        """Remove files, unless another process was quicker.

        Raises:
            OSError: One cannot be removed.
        """
        for name in names:
            (self.folder / name).unlink(missing_ok=True)

    def size(self, names: Iterable[str]) -> int:
        """Bytes of files that are there."""
        size = 0
        for name in names:
            with suppress(FileNotFoundError):
                size += (self.folder / name).stat().st_size
        return size

    def _read(self, name: str) -> pa.Table | None:
        """The table in a file, empty if that cannot be read, None if it is damaged."""
        try:
            content = (self.folder / name).read_bytes()
        except OSError:  # as when another process has merged it since it was listed
            return _LAYOUT.empty_table()
        with suppress(ValueError):  # no Arrow file
            if name.endswith(f"-{hashlib.sha256(content).hexdigest()}.arrow"):
                table = pa.ipc.open_file(pa.BufferReader(content)).read_all().combine_chunks()
                if table.schema.equals(_LAYOUT, check_metadata=True):
                    return table
        text = "%s is damaged, or of another version of featx, and is ignored; the images it tells of are read again"
        _log.warning(text, self.folder / name)
        return None


def _column(table: pa.Table, name: str) -> NDArray[Any]:
    """A column of fixed width of a table of one chunk, shape (n,). Arrow's own `to_numpy` would load pandas."""
    (column,) = table[name].chunks
    dtype = np.dtype(np.uint64) if name == "key" else ENTRY[name]
    return np.frombuffer(column.buffers()[1], dtype, len(column), column.offset * dtype.itemsize)


def _serialized(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, _LAYOUT) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue())
