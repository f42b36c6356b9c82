"""The index: in which shard, and where in it, a row is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from featx.row_keys import Keys, decode, encode
from featx.shards import Features, Shard

Positions: TypeAlias = NDArray[np.int64]
"""Numbers of rows, those of all shards of an index laid end to end."""


class Index:
    """Finds rows in a sequence of shards by key: sorted arrays of bytes, no Python object a row.

    A position counts the rows of all shards laid end to end. Where a key is stored twice, the first
    shard in the order given has it.

    Attributes:
        shards: Those given.
        keys: Each encoded key that is stored, once, sorted.
        positions: Where its row is, same shape.

    Args:
        shards: Shards of one width.
    """

    def __init__(self, shards: Sequence[Shard]) -> None:
        self.shards = list(shards)
        self._starts = np.cumsum([0, *(len(shard.keys) for shard in self.shards)])
        laid_out = np.concatenate([encode([]), *(shard.keys for shard in self.shards)])
        self.keys, self.positions = np.unique(laid_out, return_index=True)

    def find(self, keys: Keys) -> Positions:
        """Position of each key, shape (len(keys),); -1 where no shard holds it."""
        if not len(self.keys):
            return np.full(len(keys), -1, np.int64)
        at = np.minimum(np.searchsorted(self.keys, keys), len(self.keys) - 1)
        return np.where(self.keys[at] == keys, self.positions[at], -1).astype(np.int64)

    def views(self, digest: str) -> list[int]:
        """The views stored of an image, ascending."""
        first, last = np.searchsorted(self.keys, encode([(digest, 0), (digest, 2**31 - 1)]))
        found = decode(self.keys[first : last + 1])  # the last may be of the next digest
        return [view for other, view in found if other == digest.lower()]

    def gather(self, positions: Positions, out: Features) -> Features:
        """Copy the rows at `positions`, shape (n,), into `out`, shape (n, d), and return it.

        Raises:
            OSError: A shard has vanished or cannot be read.
        """
        for shard, places, rows in self._by_shard(positions):
            out[places] = shard.features[rows]
        return out

    def _by_shard(self, positions: Positions) -> Iterator[tuple[Shard, Positions, Positions]]:
        owners = np.searchsorted(self._starts, positions, side="right") - 1
        for owner in np.unique(owners):
            places = np.flatnonzero(owners == owner)
            yield self.shards[owner], places, positions[places] - self._starts[owner]
