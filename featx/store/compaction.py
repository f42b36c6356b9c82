"""Compaction: the small shards of a feature space are merged into few, in which each row is stored once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from featx.files import remove
from featx.store.index import Index, Positions
from featx.store.shards import Shard, encode, write_shard
from featx.store.store import Space

SMALL_SHARD = 32 * 2**20
"""Size in bytes below which a shard is merged with others."""

LARGEST_SHARD = 256 * 2**20
"""Size in bytes that a merged shard does not exceed."""


@dataclass
class Merged:
    """What a merge did, or would do: shards merged, shards they were merged into, bytes on disk given back."""

    shards: int = 0
    written: int = 0
    bytes_freed: int = 0


def merge(space: Space, *, dry_run: bool) -> Merged:
    """Merge the small shards of a space, without rows that are stored twice; see `gc`."""
    done = Merged()
    shards = space.shards()
    # A row may be left out only if it is in a shard that no `gc` ever removes, or that this one has written:
    # otherwise two at once could each rely on what the other removes.
    held = np.unique(np.concatenate([encode([]), *(s.keys for s in shards if s.size >= SMALL_SHARD)]))
    for group in _groups([shard for shard in shards if shard.size < SMALL_SHARD]):
        index = Index(group)
        fresh = ~np.isin(index.keys, held)
        if len(group) > 1 or not fresh.any():
            held = np.union1d(held, index.keys[fresh])
            _replace(space, index, np.sort(index.positions[fresh]), done, dry_run)
    if not dry_run:
        space.refresh()
    return done


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


def _replace(space: Space, index: Index, positions: Positions, done: Merged, dry_run: bool) -> None:
    """Put the rows at `positions` into one shard in place of those of the index."""
    size, name = 0, None
    first = index.shards[0]
    if len(positions) and dry_run:
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
        elif (freed := remove(shard.path, dry_run=dry_run)) is not None:
            done.shards += 1
            done.bytes_freed += freed
