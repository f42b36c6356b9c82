"""Rows of a feature space: read in any order as they are needed, and written one shard at a time."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from featx.errors import StoreError
from featx.limits import check_memory
from featx.store.index import ATTEMPTS, ShardSet
from featx.store.shards import Features, Keys, RowKey, encode

DType: TypeAlias = Literal["float32", "float16"]
"""How rows are stored; they are read as float32 either way."""


# Rows that are read at a time take at most this many bytes.
CHUNK_BYTES = 2**28


class Rows:
    """Rows of a space in a chosen order, read from its memory-mapped shards only when they are indexed.

    `rows[i]` is one row of shape (d,); `rows[a:b]` and `rows[[3, 1, 2]]` have the shape (m, d). Each is a new
    float32 array, also if the rows are stored as float16.
    """

    dtype = np.dtype(np.float32)

    def __init__(self, shards: ShardSet, keys: Keys) -> None:
        self._shards = shards
        self._keys = keys
        self._index, self._positions = shards.locate(keys)
        self._dim = shards.dim or 0

    @property
    def shape(self) -> tuple[int, int]:
        """(number of rows, width)."""
        return len(self._keys), self._dim

    def __len__(self) -> int:
        return len(self._keys)

    def __getitem__(self, item: int | slice | Sequence[int] | NDArray[np.integer[Any]]) -> NDArray[np.float32]:
        for attempt in range(ATTEMPTS):
            wanted = np.asarray(self._positions[item])
            out = np.empty((*wanted.shape, self._dim), np.float32)
            try:
                self._index.gather(wanted.reshape(-1), out.reshape(wanted.size, self._dim))
                break
            except OSError as error:
                # Another process has merged the shard since it was listed: its rows are in a newer one.
                if attempt == ATTEMPTS - 1:
                    raise StoreError(
                        f"the cache folder {self._shards.path} cannot be read ({error}); try again"
                    ) from error
                self._index, self._positions = self._shards.locate(self._keys, again=True)
        return out

    def chunks(self, size: int) -> Iterator[NDArray[np.float32]]:
        """The rows in order, `size` at a time, shape (size, d), or fewer where they are very wide."""
        size = chunk_size(size, self._dim)
        return (self[start : start + size] for start in range(0, len(self), size))

    def to_array(self) -> NDArray[np.float32]:
        """All the rows in memory, shape (n, d); raises ResourcesError if they do not fit."""
        needed = self.dtype.itemsize * len(self) * self._dim
        check_memory(
            needed, f"reading {len(self):,} rows of {self._dim:,} features", "use fewer images or pooled features"
        )
        return self[:]


def chunk_size(size: int, width: int) -> int:
    """Return how many rows to read at a time: `size`, or fewer where they are so wide that they take 256 MiB."""
    return max(1, min(size, CHUNK_BYTES // (4 * max(width, 1))))


class RowWriter:
    """Adds rows to a space, one shard at a time; made by `Space.writer` and used in a `with` statement.

    At the end of the block the rows still held are written, also after an exception or an interrupt, so that no
    computed row is lost. Only if writing itself fails, it is not tried again.
    """

    def __init__(self, shards: ShardSet, dtype: DType, flush_bytes: int, flush_seconds: float) -> None:
        self._shards = shards
        self._dtype = np.dtype(dtype)
        self._flush_bytes = flush_bytes
        self._flush_seconds = flush_seconds
        self._held: list[tuple[Keys, Features]] = []
        self._held_bytes = 0
        self._oldest = 0.0
        self._dim = shards.dim
        self._failed = False

    def __enter__(self) -> RowWriter:
        return self

    def __exit__(self, *_: object) -> None:
        if not self._failed:
            self.flush()

    def add(self, keys: Sequence[RowKey], rows: ArrayLike) -> None:
        """Hold a copy of rows until they are written.

        Args:
            keys: One key for each row.
            rows: Finite numbers, shape (len(keys), d), as wide as the space's other rows.

        Raises:
            StoreError: The rows do not fit the keys or the space, are not finite, or cannot be written.
        """
        encoded = encode(keys)
        held = self._checked(encoded, np.asarray(rows))
        if not len(held):
            return
        if not self._held:
            self._oldest = time.monotonic()
        self._dim = held.shape[1]
        self._held.append((encoded, held))
        self._held_bytes += held.nbytes
        if self._held_bytes > self._flush_bytes or time.monotonic() - self._oldest > self._flush_seconds:
            self.flush()

    def flush(self) -> None:
        """Write the rows held as one shard, which the space then has; raises StoreError if that is not possible."""
        if not self._held:
            return
        keys, features = (np.concatenate(parts) for parts in zip(*self._held, strict=True))
        try:
            self._shards.add(keys, features)
        except StoreError:
            self._failed = True
            raise
        self._held.clear()  # only now: an interrupt until here leaves the rows held
        self._held_bytes = 0

    def _checked(self, keys: Keys, rows: NDArray[Any]) -> Features:
        """A copy of the rows as they will be stored."""
        if rows.ndim != 2 or len(rows) != len(keys) or rows.shape[1] == 0:
            raise StoreError(
                f"one row a key was expected, shape ({len(keys)}, d), but shape {rows.shape} was given; "
                "flatten each image's features first"
            )
        if self._dim is not None and rows.shape[1] != self._dim:
            raise StoreError(
                f"rows of width {self._dim} were expected in the space {self._shards.path.name}, but the width "
                f"{rows.shape[1]} was given; what changed the width must be part of the space's description"
            )
        with np.errstate(over="ignore"):
            stored: Features = np.array(rows, dtype=self._dtype)
        finite = np.isfinite(stored).all(axis=1)
        if not finite.all():
            raise StoreError(
                f"finite features were expected, but {np.count_nonzero(~finite)} of {len(rows)} rows hold "
                f"NaN, infinity or a value too large for {self._dtype.name}; "
                "check the weights and the preprocessing"
            )
        return stored
