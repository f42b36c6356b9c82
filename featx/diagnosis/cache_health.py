"""Whether the cache can be used: its folder, its disk, and what of its files is not as it was written."""

from __future__ import annotations

import os
import shlex
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from featx.diagnosis.mending import Amiss
from featx.errors import FeatxError, StoreError
from featx.machine import free_bytes, nearest
from featx.store import KIND as NETWORKS
from featx.store import SUFFIX, CacheInfo, Fault, Store, info, open_shard, stored_networks

# VGG16's flat features of some ten thousand images; less is soon used up.
LITTLE_DISK = 2e9
WRITING = stat.S_IWUSR | stat.S_IXUSR

State = Literal["none yet", "read", "cannot be read"]


@dataclass(frozen=True)
class CacheHealth:
    """The cache as it was found.

    Attributes:
        root: Its folder, absolute.
        state: `none yet` where nothing is there, `cannot be read` also where a file is in its place.
        free_bytes: On its disk, or on that which it will be on; None if not known.
        info: What it holds, where it is read; every shard and converted network has been hashed.
        unused: Files that are there and not used, with the reason: shards, as `<space id>/<name>`, and converted
            networks, as `openvino/<key>`.
    """

    root: Path
    state: State
    free_bytes: int | None
    info: CacheInfo | None = None
    unused: dict[str, Fault] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return the attributes, and the counts where it was read."""
        known = {"root": str(self.root), "state": self.state, "free_bytes": self.free_bytes}
        if self.info is None:
            return known
        return {
            **known,
            "feature_sets": len(self.info.spaces),
            "rows": self.info.rows,
            "shards": self.info.shards,
            "bytes": self.info.bytes + self.info.network_bytes + self.info.known_files_bytes,
            "networks": self.info.networks,
            "set_aside": self.info.set_aside,
            "unused": {name: fault.value for name, fault in self.unused.items()},
            "leftovers": self.info.leftovers,
        }


def examine_cache(root: Path) -> tuple[CacheHealth, list[Amiss]]:
    """Hash what the cache holds; damaged files are set aside where it can be written, nothing else is touched.

    Args:
        root: Its folder, which need not exist.
    """
    try:
        there = root.exists() or root.is_symlink()
        free = free_bytes(root)
    except OSError as error:
        what = f"the cache {root} cannot be looked at: {error.strerror or error}"
        return CacheHealth(root.absolute(), "cannot be read", None), [Amiss(what, "choose another with --cache")]
    amiss = [*_of_place(root, there), *_of_disk(root, there, free)]
    if not there:
        return CacheHealth(root.absolute(), "none yet", free), amiss
    if not root.is_dir():
        return CacheHealth(root.absolute(), "cannot be read", free), amiss
    try:
        networks = _unused_networks(Store(root))
        found = info(Store(root))
        unused = {**networks, **_unused_shards(Store(root))}
    except (FeatxError, OSError) as error:
        amiss.append(Amiss(f"the cache cannot be read: {error}", _let(root, "r", "choose another with --cache")))
        return CacheHealth(root.absolute(), "cannot be read", free), amiss
    amiss += _of_files(root, found, unused)
    return CacheHealth(root.absolute(), "read", free, found, unused), amiss


def _unused_networks(store: Store) -> dict[str, Fault]:
    """Hash the converted networks; return those that are damaged and cannot be set aside, or cannot be read."""
    found = {}
    for key in stored_networks(store.root):
        try:
            store.load_network(key)
        except StoreError:
            found[f"{NETWORKS}/{key}"] = Fault.DAMAGED
        except OSError:
            found[f"{NETWORKS}/{key}"] = Fault.UNREADABLE
    return found


def _unused_shards(store: Store) -> dict[str, Fault]:
    """Return the shards that are ignored; a damaged one that could be set aside is there no longer."""
    found: dict[str, Fault] = {}
    for space in store.spaces():
        for path in sorted(space.path.glob(f"*{SUFFIX}")):
            fault = open_shard(path)
            if isinstance(fault, Fault) and fault is not Fault.GONE:
                found[f"{space.id}/{path.name}"] = fault
    return found


def _of_place(root: Path, there: bool) -> Iterator[Amiss]:
    if there and not root.is_dir():
        yield Amiss(f"{root} is to be the cache and is no folder", "choose another with --cache")
        return
    folder = root if there else nearest(root)
    if not folder.is_dir():
        yield Amiss(f"the cache {root} would be in {folder}, which is no folder", "choose another with --cache")
    elif not os.access(folder, os.W_OK | os.X_OK):
        what = f"the cache {root} cannot be written" if there else f"the cache {root} cannot be made in {folder}"
        yield Amiss(what, _let(folder, "w", "choose another with --cache", within=there))


def _of_disk(root: Path, there: bool, free: int) -> Iterator[Amiss]:
    if free >= LITTLE_DISK:
        return
    where = shlex.quote(str(root))
    drop = f"featx cache info --cache {where}, and of the feature sets there featx cache gc --cache {where} --drop ID"
    yield Amiss(
        f"the disk of the cache {root} has only {free / 1e9:.1f} GB left",
        f"{drop}, or choose a --cache on another disk" if there else "choose a --cache on another disk",
    )


def _of_files(root: Path, found: CacheInfo, unused: dict[str, Fault]) -> Iterator[Amiss]:
    where = shlex.quote(str(root))
    if found.set_aside:
        what = f"{found.set_aside} damaged files of the cache were set aside; what was in them is computed again"
        yield Amiss(what, f"featx cache gc --cache {where}")
    again = f"featx doctor --cache {where}, and then featx cache gc --cache {where}"
    mends = {
        Fault.DAMAGED: f"from an account that may write there: {again}",
        Fault.UNREADABLE: _let(root, "r", "choose another with --cache"),
    }
    for fault in sorted(set(unused.values()), key=lambda one: one.value):
        names = [name for name, its in unused.items() if its is fault]
        ids = sorted({name.split("/")[0][:12] for name in names})
        drop = f"featx cache gc --cache {where} {' '.join(f'--drop {each}' for each in ids)}"
        yield Amiss(
            f"{len(names)} files of the cache are not used, each of which {fault.value}; what is in them is computed "
            "again",
            mends.get(fault, f"{drop}, unless another version of featx still uses them"),
        )


def _let(path: Path, what: Literal["r", "w"], otherwise: str, *, within: bool = True) -> str:
    """Return the chmod that lets its owner use a folder, where it is one's own and that is what it lacks.

    Args:
        path: The folder.
        what: To read it or to write it.
        otherwise: What helps in any case.
        within: And all that is in it.
    """
    status = path.stat()
    mine = hasattr(os, "getuid") and status.st_uid == os.getuid()
    # A folder that lets its owner write and cannot be written lies on a disk that is mounted to be read.
    lacks = what == "r" or status.st_mode & WRITING != WRITING
    return (
        f"chmod {'-R ' * within}u+{what}X {shlex.quote(str(path))}, or {otherwise}" if mine and lacks else otherwise
    )
