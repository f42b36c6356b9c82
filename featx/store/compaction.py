"""Compaction: the small shards of a feature space are merged into few, in which each row is stored once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from featx.files import remove
from featx.store.index import Index, Positions
from featx.store.shards import Shard, encode, write_shard
from featx.store.store import Space

SMALL_SHARD = 32 * 2**20  # size in bytes below which a shard is merged with others
LARGEST_SHARD = 256 * 2**20  # size in bytes that a merged shard does not exceed


@dataclass
class Collection:
    """What `gc` did, or with `dry_run` would do."""

    dry_run: bool
    dropped: list[str] = field(default_factory=list)  # ids of spaces
    networks: int = 0  # converted networks removed, because no rows of them are left
    set_aside: int = 0  # damaged shards and networks removed
    leftovers: int = 0  # unfinished files removed, which writers left that were killed
    merged: int = 0  # small shards that were merged
    written: int = 0  # shards that they were merged into
    forgotten: int = 0  # image files that are gone and were removed from the stat cache
    bytes_freed: int = 0

    def remove(self, path: Path) -> int:
        """Remove a file or folder; returns how many were removed: 1, or 0 if another process was quicker."""
        freed = remove(path, dry_run=self.dry_run)
        self.bytes_freed += freed or 0
        return 0 if freed is None else 1


def merge(space: Space, done: Collection) -> None:
    """Merge the small shards of a space, without rows that are stored twice; see `gc`."""
    shards = space.shards()
    # A row may be left out only if it is in a shard that no `gc` ever removes, or that this one has written:
    # otherwise two at once could each rely on what the other removes.
    held = np.unique(np.concatenate([encode([]), *(s.keys for s in shards if s.size >= SMALL_SHARD)]))
    for group in _groups([shard for shard in shards if shard.size < SMALL_SHARD]):
        index = Index(group)
        fresh = ~np.isin(index.keys, held)
        if len(group) > 1 or not fresh.any():
            held = np.union1d(held, index.keys[fresh])
            _replace(space, index, np.sort(index.positions[fresh]), done)
    if not done.dry_run:
        space.refresh()


def _groups(shards: Sequence[Shard]) -> Iterator[list[Shard]]:
    """Shards of one dtype, in order, that together are not larger than a shard may be."""
    for dtype in sorted({shard.dtype for shard in shards}):
        group: list[Shard] = []
        for shard in shards:
            if shard.dtype != dtype:
                continue
            if group and sum(each.size for each in group) + shard.size > LARGEST_SHARD:
                yield group
                group = []
            group.append(shard)
        yield group


def _replace(space: Space, index: Index, positions: Positions, done: Collection) -> None:
    """Put the rows at `positions` into one shard in place of those of the index."""
    size, name = 0, None
    first = index.shards[0]
    if len(positions) and done.dry_run:
        size = len(positions) * (np.dtype(first.dtype).itemsize * first.dim + 36)
    elif len(positions):
        keys = np.concatenate([shard.keys for shard in index.shards])[positions]
        try:
            features = index.gather(positions, np.empty((len(positions), first.dim), first.dtype))
        except FileNotFoundError:  # another process is merging these
            return
        merged = write_shard(space.path, keys, features)
        size, name = merged.size, merged.path.name
    done.written += bool(len(positions))
    done.bytes_freed -= size
    for shard in index.shards:
        if shard.path.name == name:  # it held the rows of all others, so it was written over itself
            done.bytes_freed += size
        else:
            done.merged += done.remove(shard.path)
