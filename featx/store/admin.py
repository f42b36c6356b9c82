"""Care of the cache: what is in it, whether it is sound, and what may go."""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from featx.errors import UsageError
from featx.files import TEMPORARY, remove, size, write_failure
from featx.store.compaction import merge
from featx.store.index import SET_ASIDE
from featx.store.networks import KIND as NETWORKS
from featx.store.networks import stored_networks
from featx.store.stat_cache import StatCache
from featx.store.store import Space, Store

OBSOLETE = ("known-files", "turn.lock")
"""What earlier versions kept in the cache and nothing reads any more."""


@dataclass(frozen=True)
class SpaceInfo:
    """One feature space on disk.

    Attributes:
        id: 32 hexadecimal digits.
        description: What the rows are of; empty if its space.json is missing or damaged.
        rows: Distinct rows.
        dim: Width of a row; None if there are none.
        dtype: "float32", "float16" or "float16+float32", as stored; None if there are no rows.
        bytes: Size of its shards.
        shards: Number of its shards.
    """

    id: str
    description: dict[str, Any]
    rows: int
    dim: int | None
    dtype: str | None
    bytes: int
    shards: int


@dataclass(frozen=True)
class CacheInfo:
    """The whole cache.

    Attributes:
        root: Its folder.
        spaces: The feature spaces.
        rows: Of all spaces.
        bytes: Size of their shards.
        shards: Number of their shards.
        networks: Converted networks.
        network_bytes: Size of them.
        set_aside: Damaged shards and networks, which `gc` removes.
        leftovers: Unfinished files, which `gc` removes when they are old enough.
        known_files: Image files whose digest is recorded.
        known_files_bytes: Size of that record.
    """

    root: str
    spaces: list[SpaceInfo]
    rows: int
    bytes: int
    shards: int
    networks: int
    network_bytes: int
    set_aside: int
    leftovers: int
    known_files: int
    known_files_bytes: int


@dataclass(frozen=True)
class Verification:
    """What `verify` found.

    Attributes:
        spaces: Number of feature spaces.
        shards: Shards hashed.
        rows: Distinct rows of the sound ones.
        known_files: Image files whose digest is soundly recorded.
        damaged: Files that were damaged, as "<space id>/<name>" or "known-files/<name>".
    """

    spaces: int
    shards: int
    rows: int
    known_files: int
    damaged: list[str]


@dataclass
class Collection:
    """What `gc` did, or with `dry_run` would do.

    Attributes:
        dry_run: Nothing was changed.
        dropped: Ids of the spaces dropped.
        networks: Converted networks removed, of which no rows are left.
        set_aside: Damaged shards and networks removed.
        leftovers: Unfinished files of killed writers removed.
        merged: Small shards that went into others.
        written: Shards they went into.
        forgotten: Image files that are gone, whose digest is no longer recorded.
        bytes_freed: Bytes on disk given back.
    """

    dry_run: bool
    dropped: list[str] = field(default_factory=list)
    networks: int = 0
    set_aside: int = 0
    leftovers: int = 0
    merged: int = 0
    written: int = 0
    forgotten: int = 0
    bytes_freed: int = 0


def info(store: Store) -> CacheInfo:
    """Count what the cache holds, verifying what this process has not verified yet."""
    spaces = [_space_info(space) for space in store.spaces()]
    stat_cache = StatCache(store.root)
    networks = stored_networks(store.root)
    return CacheInfo(
        root=str(store.root),
        spaces=spaces,
        rows=sum(space.rows for space in spaces),
        bytes=sum(space.bytes for space in spaces),
        shards=sum(space.shards for space in spaces),
        networks=len(networks),
        network_bytes=sum(size(store.root / NETWORKS / key) for key in networks),
        set_aside=len(_set_aside(store, store.spaces())),
        leftovers=len(_leftovers(store, store.spaces(), 0)),
        known_files=stat_cache.check()[0],
        known_files_bytes=stat_cache.size(),
    )


def verify(store: Store) -> Verification:
    """Hash every shard again and set the damaged ones aside; their rows are then computed anew.

    Damaged records of known files are removed; the files are then read again.
    """
    spaces = store.spaces()
    damaged = [f"{space.id}/{name}" for space in spaces for name in space.refresh(rehash=True)]
    sound = sum(len(space.shards()) for space in spaces)
    known_files, damaged_stat_cache = StatCache(store.root).check()
    return Verification(
        spaces=len(spaces),
        shards=sound + len(damaged),
        rows=sum(space.stored() for space in spaces),
        known_files=known_files,
        damaged=damaged + damaged_stat_cache,
    )


def gc(
    store: Store, *, drop: Sequence[str] = (), dry_run: bool = False, older_than_seconds: float = 3600
) -> Collection:
    """Drop spaces, remove what damage and killed writers left, merge small shards, forget files that are gone.

    A converted network goes when the last rows of it have gone; it is made again where it is needed.

    Safe beside readers and writers: a merged shard is in place before those it replaces go, and a reader
    whose shard has gone lists the folder again.

    Args:
        store: The cache.
        drop: Ids of spaces to remove with all their rows, or beginnings of ids that fit one space alone.
        dry_run: Change nothing and say what would be done.
        older_than_seconds: Age from which an unfinished file is taken to be a killed writer's.

    Raises:
        UsageError: An item of `drop` fits no space, or several.
        StoreError: The cache cannot be written.
    """
    spaces = store.spaces()
    doomed = sorted({_resolve(prefix, spaces) for prefix in drop})
    done = Collection(dry_run=dry_run, dropped=doomed)
    try:
        for space in spaces:
            if space.id in doomed:
                _drop(space, done)
            else:
                _merge(space, done)
        kept = [space for space in spaces if space.id not in doomed]
        for key in _unused_networks(store, kept, older_than_seconds):
            done.networks += _remove(store.root / NETWORKS / f"{key}.json", done)
            _remove(store.root / NETWORKS / key, done)
        for path in _set_aside(store, kept):
            done.set_aside += _remove(path, done)
        for path in _leftovers(store, kept, older_than_seconds):
            done.leftovers += _remove(path, done)
        stat_cache = StatCache(store.root)
        for path in [*(store.root / name for name in OBSOLETE), *stat_cache.outdated()]:
            _remove(path, done)
        done.forgotten, freed = stat_cache.drop_gone(dry_run=dry_run)
    except OSError as error:
        raise write_failure(error, store.root) from error
    done.bytes_freed += freed
    return done


def _space_info(space: Space) -> SpaceInfo:
    shards = space.shards()
    return SpaceInfo(
        id=space.id,
        description=space.description,
        rows=space.stored(),
        dim=space.dim,
        dtype="+".join(sorted({shard.dtype for shard in shards})) or None,
        bytes=sum(shard.size for shard in shards),
        shards=len(shards),
    )


def _set_aside(store: Store, spaces: Sequence[Space]) -> list[Path]:
    folders = [store.root / NETWORKS, *(space.path for space in spaces)]
    return sorted(path for folder in folders for path in (folder / SET_ASIDE).glob("*"))


def _unused_networks(store: Store, spaces: Sequence[Space], older_than_seconds: float) -> list[str]:
    """Keys of converted networks of which there are no rows, but not of those that have just been made."""
    latest = time.time() - older_than_seconds
    used = [
        {**space.description["backbone"], "size": space.description["images"]["size"]}
        for space in spaces
        if {"backbone", "images"} <= space.description.keys()
    ]
    return [
        key
        for key, about in stored_networks(store.root).items()
        if about not in used
        and (older_than_seconds <= 0 or _modified(store.root / NETWORKS / f"{key}.json") <= latest)
    ]


def _leftovers(store: Store, spaces: Sequence[Space], older_than_seconds: float) -> list[Path]:
    """Unfinished files, and spaces whose dropping was interrupted, of at least this age."""
    latest = time.time() - older_than_seconds
    folders = [*store.root.glob("*"), *(space.path for space in spaces)]
    found = [path for folder in folders for path in folder.glob(f"{TEMPORARY}*")]
    return sorted(path for path in found if older_than_seconds <= 0 or _modified(path) <= latest)


def _modified(path: Path) -> float:
    """When the file was last written, in seconds of the clock; now, if its writer has just finished."""
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return time.time()


def _resolve(prefix: str, spaces: Sequence[Space]) -> str:
    fitting = [space.id for space in spaces if prefix and space.id.startswith(prefix)]
    if len(fitting) == 1:
        return fitting[0]
    found = "none does" if not fitting else f"{len(fitting)} do: {', '.join(each[:12] for each in fitting)}"
    raise UsageError(
        f"one feature space was expected whose id begins with {prefix!r}, but {found}; "
        "see featx cache info for their ids"
    )


def _merge(space: Space, done: Collection) -> None:
    merged = merge(space, dry_run=done.dry_run)
    done.merged += merged.shards
    done.written += merged.written
    done.bytes_freed += merged.bytes_freed


def _drop(space: Space, done: Collection) -> None:
    doomed = space.path
    if not done.dry_run:
        # Renamed first, so that a reader finds the whole space or none, and an interrupted removal
        # is finished by the next collection.
        doomed = doomed.rename(doomed.parent / f"{TEMPORARY}{secrets.token_hex(8)}")
    _remove(doomed, done)


def _remove(path: Path, done: Collection) -> int:
    """Remove a file or folder; returns how many went: 1, or 0 if it was gone."""
    freed = remove(path, dry_run=done.dry_run)
    done.bytes_freed += freed or 0
    return 0 if freed is None else 1
