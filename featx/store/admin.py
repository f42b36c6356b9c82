"""What is in the cache, whether it is sound, and what can be removed."""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from featx.errors import UsageError
from featx.files import TEMPORARY, size, write_failure
from featx.store.compaction import Collection, merge
from featx.store.index import SET_ASIDE
from featx.store.networks import KIND as NETWORKS
from featx.store.networks import stored_networks
from featx.store.stat_cache import StatCache
from featx.store.store import Space, Store

OBSOLETE = ("known-files", "turn.lock")  # what earlier versions kept in the cache and nothing reads any more


@dataclass(frozen=True)
class SpaceInfo:
    """One feature space on disk."""

    id: str  # 32 hexadecimal digits
    description: dict[str, Any]  # what decides the rows; empty if its space.json is missing or damaged
    rows: int  # different ones
    dim: int | None  # width of a row; None if there are none
    dtype: str | None  # "float32", "float16" or "float16+float32", as stored; None if there are no rows
    bytes: int  # size of its shards
    shards: int


# Kinds of spaces that say something of images beside their features.
NO_FEATURES = ("previews", "sample ranges")


@dataclass(frozen=True)
class CacheInfo:
    """The whole cache: its feature spaces, with their rows, and size and number of their shards.

    Attributes:
        rows: Number of rows of features; previews and sample ranges do not count.
        networks: Number of converted networks.
        set_aside: Damaged shards and networks, which `gc` removes.
        leftovers: Unfinished files, which `gc` removes when they are old enough.
        known_files: Image files in the stat cache.
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
    """What `verify` found."""

    spaces: int
    shards: int  # all of them were hashed
    rows: int  # different ones in undamaged shards
    known_files: int  # image files in the stat cache
    damaged: list[str]  # "<space id>/<name>" or "stat-cache/<name>"


def info(store: Store) -> CacheInfo:
    """Count what the cache holds; shards that this process has not verified yet are verified."""
    spaces = store.spaces()
    held = [_space_info(space) for space in spaces]
    stat_cache = StatCache(store.root)
    networks = stored_networks(store.root)
    return CacheInfo(
        root=str(store.root),
        spaces=held,
        rows=sum(space.rows for space in held if space.description.get("kind") not in NO_FEATURES),
        bytes=sum(space.bytes for space in held),
        shards=sum(space.shards for space in held),
        networks=len(networks),
        network_bytes=sum(size(store.root / NETWORKS / key) for key in networks),
        set_aside=len(_set_aside(store, spaces)),
        leftovers=len(_leftovers(store, spaces, 0)),
        known_files=stat_cache.check()[0],
        known_files_bytes=stat_cache.size(),
    )


def verify(store: Store) -> Verification:
    """Hash every shard again and set the damaged ones aside; their rows are then computed again.

    A damaged stat cache is removed; the image files are then read again.
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
    """Remove damaged and unfinished files and the named spaces, merge small shards, forget files that are gone.

    A converted network is removed when no rows of it are left; it is made again when it is needed.

    Other processes may read and write meanwhile: a merged shard is in place before those that it replaces are
    removed, and a reader that misses a shard lists the folder again.

    Args:
        store: The cache.
        drop: Ids of spaces to remove with all their rows, or beginnings of ids that fit only one space.
        dry_run: Change nothing, only report what would be done.
        older_than_seconds: Age from which an unfinished file counts as left by a writer that was killed.

    Raises:
        UsageError: An item of `drop` fits no space, or several spaces.
        StoreError: The cache cannot be written.
    """
    spaces = store.spaces()
    done = Collection(dry_run=dry_run, dropped=sorted({_resolved(prefix, spaces) for prefix in drop}))
    try:
        _collect(store, spaces, older_than_seconds, done)
    except OSError as error:
        raise write_failure(error, store.root) from error
    return done


def _collect(store: Store, spaces: Sequence[Space], older_than_seconds: float, done: Collection) -> None:
    kept = [space for space in spaces if space.id not in done.dropped]
    for space in spaces:
        if space in kept:
            merge(space, done)
        else:
            _drop(space, done)
    networks = store.root / NETWORKS
    for key in _unused_networks(store, kept, older_than_seconds):
        done.networks += done.remove(networks / f"{key}.json")
        done.remove(networks / key)
    for path in _set_aside(store, kept):
        done.set_aside += done.remove(path)
    for path in _leftovers(store, kept, older_than_seconds):
        done.leftovers += done.remove(path)
    stat_cache = StatCache(store.root)
    for path in [*(store.root / name for name in OBSOLETE), *stat_cache.outdated()]:
        done.remove(path)
    done.forgotten, freed = stat_cache.drop_gone(dry_run=done.dry_run)
    done.bytes_freed += freed


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
    """Keys of converted networks that have no rows, except those that have just been made."""
    used = [
        {**space.description["backbone"], "size": space.description["images"]["size"]}
        for space in spaces
        if {"backbone", "images"} <= space.description.keys()
    ]
    return [
        key
        for key, about in stored_networks(store.root).items()
        if about not in used and _is_old(store.root / NETWORKS / f"{key}.json", older_than_seconds)
    ]


def _leftovers(store: Store, spaces: Sequence[Space], older_than_seconds: float) -> list[Path]:
    """Unfinished files, and spaces whose dropping was interrupted, of at least this age."""
    folders = [store.root, *store.root.glob("*"), *(space.path for space in spaces)]
    unfinished = [path for folder in folders for path in folder.glob(f"{TEMPORARY}*")]
    return sorted(path for path in unfinished if _is_old(path, older_than_seconds))


def _is_old(path: Path, seconds: float) -> bool:
    """Whether a file was last written so long ago; it was not if its writer has just finished it."""
    with suppress(FileNotFoundError):
        return seconds <= 0 or path.stat().st_mtime <= time.time() - seconds
    return False


def _resolved(prefix: str, spaces: Sequence[Space]) -> str:
    fitting = [space.id for space in spaces if prefix and space.id.startswith(prefix)]
    if len(fitting) == 1:
        return fitting[0]
    number = "none does" if not fitting else f"{len(fitting)} do: {', '.join(each[:12] for each in fitting)}"
    raise UsageError(
        f"one feature space was expected whose id begins with {prefix!r}, but {number}; "
        "see featx cache info for their ids"
    )


def _drop(space: Space, done: Collection) -> None:
    doomed = space.path
    if not done.dry_run:
        # Renamed first, so that a reader finds the whole space or none, and an interrupted removal
        # is finished by the next collection.
        doomed = doomed.rename(doomed.parent / f"{TEMPORARY}{secrets.token_hex(8)}")
    done.remove(doomed)
