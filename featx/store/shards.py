"""Shards: immutable Arrow IPC files of rows, named by the SHA-256 of their bytes, and the keys of the rows."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from featx.digests import digest_of_file
from featx.errors import StoreError
from featx.files import SCHEMA, write_atomically

RowKey: TypeAlias = tuple[str, int]
"""(SHA-256 of an image's bytes as 64 hexadecimal digits, number of the view >= 0)."""

Keys: TypeAlias = NDArray[np.bytes_]
"""Encoded row keys: 32 bytes of digest and the view as a big-endian integer, so they sort by digest, then view."""

Features: TypeAlias = NDArray[np.floating[Any]]
"""Rows, shape (n, d), float32 or float16."""

SUFFIX = ".arrow"
_DIGEST = 32
_KEY = np.dtype("S36")

# Files that this process has hashed: path, size, mtime. Shards never change, so none is hashed twice.
_verified: set[tuple[str, int, int]] = set()


class Fault(Enum):
    """Why a shard is not used."""

    GONE = "vanished since it was listed"
    DAMAGED = "does not match its checksum"
    UNREADABLE = "cannot be read"
    FOREIGN = "was not written by this version of featx"


@dataclass(frozen=True)
class Shard:
    """One verified shard, with its n keys in the file's order."""

    path: Path
    keys: Keys
    dim: int
    dtype: str
    size: int  # bytes of the file

    @cached_property
    def features(self) -> Features:
        """The rows, shape (n, dim), memory-mapped; FileNotFoundError if another process has merged the shard."""
        column = _read_batch(self.path).column("features")
        flat: Features = column.flatten().to_numpy(zero_copy_only=True)
        return flat.reshape(-1, self.dim)


def write_shard(folder: Path, keys: Keys, features: Features) -> Shard:
    """Write rows, shape (n, d), with encoded keys, shape (n,), as one shard into a folder, made if absent."""
    dim, dtype = features.shape[1], features.dtype.name
    digests, views = _to_columns(keys)
    columns = [
        pa.FixedSizeBinaryArray.from_buffers(pa.binary(_DIGEST), len(keys), [None, pa.py_buffer(digests)]),
        pa.array(views),
        pa.FixedSizeListArray.from_arrays(pa.array(np.ascontiguousarray(features).ravel()), dim),
    ]
    schema = _schema(dim, dtype)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, schema) as writer:
        writer.write_batch(pa.record_batch(columns, schema=schema))
    content = sink.getvalue()
    # The name comes from the bytes in memory, not from the file: so a disk that loses some is noticed.
    path = write_atomically(folder, hashlib.sha256(content).hexdigest() + SUFFIX, content)
    _verified.add(_identity(path))
    return Shard(path, keys, dim, dtype, content.size)


def open_shard(path: Path, *, rehash: bool = False) -> Shard | Fault:
    """Verify a shard and read its keys; a file that this process has verified is hashed again only if `rehash`."""
    try:
        identity = _identity(path)
        if rehash or identity not in _verified:
            if digest_of_file(path) != path.stem:
                _verified.discard(identity)
                return Fault.DAMAGED
            _verified.add(identity)
        return _opened(path, identity[1])
    except FileNotFoundError:
        return Fault.GONE
    except OSError:
        return Fault.UNREADABLE
    except (ValueError, LookupError, pa.ArrowException):  # no Arrow file, though its name is right
        return Fault.FOREIGN


def _opened(path: Path, size: int) -> Shard | Fault:
    batch = _read_batch(path)
    dim = getattr(batch.schema.types[-1], "list_size", 0)
    for dtype in ("float32", "float16"):
        if dim and batch.schema.equals(_schema(dim, dtype), check_metadata=True):
            return Shard(path, _keys_of(batch), dim, dtype, size)
    return Fault.FOREIGN


def encode(keys: Sequence[RowKey]) -> Keys:
    """Row keys as an array of bytes, shape (len(keys),); raises StoreError if one is not a digest and a view."""
    parts = []
    for digest, view in keys:
        try:
            raw = bytes.fromhex(digest)
        except ValueError:
            raw = b""
        if len(raw) != _DIGEST or not 0 <= view < 2**31:
            raise StoreError(
                "a row key must be a sha256 of 64 hexadecimal digits and a view in [0, 2**31), "
                f"but ({digest!r}, {view!r}) was given; compute the digest from the image's bytes"
            )
        parts.append(raw + int(view).to_bytes(4, "big"))
    return np.array(parts, dtype=_KEY)


def decode(keys: Keys) -> list[RowKey]:
    """The row keys that `encode` made these of."""
    raw = [bytes(key).ljust(_KEY.itemsize, b"\0") for key in keys]  # NumPy strips trailing zeros
    return [(key[:_DIGEST].hex(), int.from_bytes(key[_DIGEST:], "big")) for key in raw]


def _schema(dim: int, dtype: str) -> pa.Schema:
    value = pa.float16() if dtype == "float16" else pa.float32()
    columns = [("digest", pa.binary(_DIGEST)), ("view", pa.int32()), ("features", pa.list_(value, dim))]
    return pa.schema(columns, metadata={"featx.schema": str(SCHEMA)})


def _identity(path: Path) -> tuple[str, int, int]:
    status = path.stat()
    return str(path.absolute()), status.st_size, status.st_mtime_ns


def _read_batch(path: Path) -> pa.RecordBatch:
    """The one record batch of a shard, memory-mapped; ValueError if its parts do not fit together."""
    batch = pa.ipc.open_file(pa.memory_map(str(path))).get_batch(0)
    batch.validate()
    return batch


def _to_columns(keys: Keys) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
    """The digests, shape (n, 32), and the views, shape (n,), of encoded keys, shape (n,)."""
    raw = keys.view(np.uint8).reshape(-1, _KEY.itemsize)
    views = np.ascontiguousarray(raw[:, _DIGEST:]).view(">i4").ravel().astype(np.int32)
    return np.ascontiguousarray(raw[:, :_DIGEST]), views


def _keys_of(batch: pa.RecordBatch) -> Keys:
    """The encoded keys of a shard, shape (n,)."""
    # Not by `to_numpy`, which would load pandas: half a second for a command that only looks rows up.
    digests, views = (np.frombuffer(batch.column(name).buffers()[1], np.uint8) for name in ("digest", "view"))
    raw = np.empty((batch.num_rows, _KEY.itemsize), np.uint8)
    raw[:, :_DIGEST] = digests.reshape(-1, _DIGEST)
    raw[:, _DIGEST:] = views.view(np.int32).astype(">i4").view(np.uint8).reshape(-1, 4)
    return raw.view(_KEY).ravel()
