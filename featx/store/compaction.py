"""Compaction: many small shards of a feature space become few, each row kept once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from featx.files import remove
from featx.store.index import Index, Positions
from featx.store.shards import Shard, encode, write_shard
from featx.store.store import Space

SMALL_SHARD = 32 * 2**20
"""Bytes below which a shard is merged with others."""

LARGEST_SHARD = 256 * 2**20
"""Bytes that shards merged into one do not exceed together."""


@dataclass
class Merged:
    """What a merge did, or would do.

    Attributes:
        shards: Small shards that went into others.
        written: Shards they went into.
        bytes_freed: Bytes on disk given back.
    """

    shards: int = 0
    written: int = 0
    bytes_freed: int = 0


def merge(space: Space, *, dry_run: bool) -> Merged:
    """Merge the small shards of a space, leaving out what is stored twice.

    A merged shard is in place before those it replaces go. So readers and writers may be at work, and a
    reader whose shard has gone lists the folder again.

    Args:
        space: One feature space.
        dry_run: Change nothing and say what would be done.

    Raises:
        OSError: The cache cannot be written.
    """
    done = Merged()
    shards = space.shards()
    # A row may be left out only if it is in a shard that no collection ever removes or that this one
    # has written: two collections at once could otherwise each rely on what the other removes.
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
        except FileNotFoundError:  # another collection is merging these
            return
        merged = write_shard(space.path, keys, features)
        size, name = merged.size, merged.path.name
    done.written += bool(len(positions))
    done.bytes_freed -= size
    for shard in index.shards:
        if shard.path.name == name:  # all the others' rows were in it: it was written over itself
            done.bytes_freed += size
        elif (freed := remove(shard.path, dry_run=dry_run)) is not None:
            done.shards += 1
            done.bytes_freed += freed
