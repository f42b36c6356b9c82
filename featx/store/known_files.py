"""Known files: the digests of files that were read before and have not changed since, so that nobody reads them.

An entry is only a shortcut to what reading the file would give. It is used when the file's state is the one it was
read in and the state is old enough to tell of changes (see `featx.file_state`); in all other cases the file is read.
Without the entries, or where they cannot be written, everything comes out the same, later.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from featx.store.file_state import SUPPORTED, now_ns, state_of, tells_of_changes
from featx.store.known_buckets import (
    ENTRY,
    Bucket,
    Buckets,
    Entries,
    KnownFile,
    bucket_of,
    folder_of,
    keys_of,
    merged,
    table_of,
)


@dataclass(frozen=True)
class Dropped:
    """What `drop_gone` dropped: entries of files that are gone, and the bytes on disk that this gave back."""

    entries: int
    bytes: int


class KnownFiles:
    """The files that a cache knows. Making one touches no disk.

    Several threads may ask for digests at once.

    Args:
        root: The cache's folder; it need not exist.
    """

    def __init__(self, root: Path) -> None:
        self._buckets = Buckets(root)
        self._learned: list[KnownFile] = []

    def recorded(self, paths: Sequence[Path]) -> Entries:
        """What is recorded of files, whether or not it still holds.

        Args:
            paths: Absolute.

        Returns:
            One element a path, to be given to `digest`.
        """
        found = np.zeros(len(paths), ENTRY)
        names = self._buckets.names() if SUPPORTED else {}
        if not names:
            return found
        encoded = [os.fsencode(path) for path in paths]
        keys = keys_of(encoded)
        numbers = np.array([bucket_of(path) for path in encoded], np.int64)
        for number in np.unique(numbers).tolist():
            places = numbers == number
            found[places] = self._buckets.load(number, names.get(number, [])).find(keys[places])
        return found

    def digest(self, path: Path, entry: np.void, read: Callable[[], str]) -> str:
        """The sha256 of a file: as recorded if that is certain to be still right, or else by reading the file.

        Args:
            path: Absolute.
            entry: What `recorded` gave for it.
            read: Reads the file and returns its sha256, 64 hexadecimal digits. What it raises is raised.
        """
        if not SUPPORTED:
            return read()
        now = now_ns()
        state = state_of(path)
        if state is None or not tells_of_changes(state, now):
            return read()
        *known_state, known_digest, known = entry.item()
        if known and tuple(known_state) == state:
            return bytes(known_digest).hex()
        digest = read()
        if state_of(path) == state:
            self._learned.append(KnownFile(os.fsencode(path), state, bytes.fromhex(digest)))
        return digest

    def save(self) -> None:
        """Record what was learned since the last time; entries of other folders stay.

        Entries of files that have gone from the same folders are dropped. A cache that cannot be written stays
        as it is.
        """
        learned, self._learned = self._learned, []
        by_bucket: dict[int, list[KnownFile]] = {}
        for file in learned:
            by_bucket.setdefault(bucket_of(file.path), []).append(file)
        names = self._buckets.names() if learned else {}  # as they are now: another process may have written
        with suppress(OSError):
            for number, files in sorted(by_bucket.items()):
                bucket = self._buckets.load(number, names.get(number, []))
                kept = _listed(bucket, {folder_of(file.path) for file in files})
                self._buckets.replace(bucket, merged([table_of(files), kept]))

    def forget(self, path: Path) -> None:
        """Drop the entry of a file that turned out not to be what is recorded, and its bucket with it."""
        names = self._buckets.names().get(bucket_of(os.fsencode(path)), [])
        with suppress(OSError):
            self._buckets.remove(names)

    def count(self) -> int:
        """Number of entries."""
        return sum(bucket.table.num_rows for bucket in self._all())

    def size(self) -> int:
        """Bytes on disk."""
        return self._buckets.size(name for names in self._buckets.names().values() for name in names)

    def drop_damaged(self) -> list[str]:
        """Remove the files of entries that are damaged, with a warning; returns their names."""
        return [name for bucket in self._all() for name in bucket.damaged]

    def drop_gone(self, *, dry_run: bool = False) -> Dropped:
        """Drop the entries of files that are gone, and merge what several writers left.

        Args:
            dry_run: Only tell what would be dropped.

        Raises:
            OSError: The cache cannot be written.
        """
        entries = freed = 0
        for bucket in self._all():
            there = np.array([not _gone(path) for path in bucket.paths()], np.bool_)
            if len(bucket.files) > 1 or not there.all():
                entries += int(np.count_nonzero(~there))
                freed += self._buckets.replace(bucket, bucket.table.filter(there), dry_run=dry_run)
        return Dropped(entries, freed)

    def _all(self) -> Iterator[Bucket]:
        return (self._buckets.load(number, names) for number, names in self._buckets.names().items())


def _listed(bucket: Bucket, folders: Iterable[bytes]) -> pa.Table:
    """The bucket's table without the files of these folders that are no longer in them."""
    names: dict[bytes, set[bytes]] = {}
    for folder in folders:
        with suppress(OSError):
            names[folder] = {os.fsencode(path) for path in Path(os.fsdecode(folder)).iterdir()}
    there = [path in names.get(folder_of(path), {path}) for path in bucket.paths()]
    return bucket.table.filter(np.array(there, np.bool_))


def _gone(path: bytes) -> bool:
    try:
        Path(os.fsdecode(path)).stat()
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:  # it may be there
        return False
    return False
