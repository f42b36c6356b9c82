"""Keys of rows: an image's digest and a view's number, as Python values and as sortable arrays of bytes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from featx.errors import StoreError

RowKey: TypeAlias = tuple[str, int]
"""(sha256 of an image's bytes as 64 hex digits, view number >= 0)."""

Keys: TypeAlias = NDArray[np.bytes_]
"""Encoded row keys."""

# 32 bytes of digest and the view as a big-endian integer: sorts as (digest, view).
_DIGEST = 32
_KEY = np.dtype("S36")


def encode(keys: Sequence[RowKey]) -> Keys:
    """Row keys as an array of fixed-width bytes, shape (len(keys),), that sorts by digest, then view.

    Raises:
        StoreError: A digest is not 64 hexadecimal digits or a view is not in [0, 2**31).
    """
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


def to_columns(keys: Keys) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
    """The digests, shape (n, 32), and the views, shape (n,), of encoded keys of shape (n,)."""
    raw = keys.view(np.uint8).reshape(-1, _KEY.itemsize)
    views = np.ascontiguousarray(raw[:, _DIGEST:]).view(">i4").ravel().astype(np.int32)
    return np.ascontiguousarray(raw[:, :_DIGEST]), views


def from_columns(digests: NDArray[np.uint8], views: NDArray[np.int32]) -> Keys:
    """The encoded keys, shape (n,), that `to_columns` made these of."""
    raw = np.empty((len(views), _KEY.itemsize), np.uint8)
    raw[:, :_DIGEST] = digests
    raw[:, _DIGEST:] = views.astype(">i4").view(np.uint8).reshape(-1, 4)
    return raw.view(_KEY).ravel()
