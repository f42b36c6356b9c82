"""The index of a feature space: in which shard a row is, and where in it."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from featx.errors import StoreError
from featx.files import names_in
from featx.store.shards import SUFFIX, Fault, Features, Keys, Shard, decode, encode, open_shard, write_shard

Positions: TypeAlias = NDArray[np.int64]
"""Numbers of rows, counted through all shards of an index in their order."""

SET_ASIDE = "set-aside"  # the folder for damaged shards, within the folder they were in
ATTEMPTS = 5  # at reading what another process is merging; a second is rare, a third rarer
_HASHING_THREADS = 4  # hashing releases the interpreter; more threads only compete for the disk
log = logging.getLogger("featx")


class Index:
    """Finds rows by their keys in shards of one width. If a row is stored twice, the first one counts.

    `keys` holds each encoded key that is stored, once, sorted, and `positions` where its row is.
    """

    def __init__(self, shards: Sequence[Shard]) -> None:
        self.shards = list(shards)
        self._starts = np.cumsum([0, *(len(shard.keys) for shard in self.shards)])
        all_keys = np.concatenate([encode([]), *(shard.keys for shard in self.shards)])
        self.keys, self.positions = np.unique(all_keys, return_index=True)

    def find(self, keys: Keys) -> Positions:
        """Position of each key, shape (len(keys),); -1 where no shard holds it."""
        if not len(self.keys):
            return np.full(len(keys), -1, np.int64)
        at = np.minimum(np.searchsorted(self.keys, keys), len(self.keys) - 1)
        return np.where(self.keys[at] == keys, self.positions[at], -1).astype(np.int64)

    def views(self, digest: str) -> list[int]:
        """The stored views of an image, ascending."""
        first, last = np.searchsorted(self.keys, encode([(digest, 0), (digest, 2**31 - 1)]))
        keys = decode(self.keys[first : last + 1])  # the last may be of the next digest
        return [view for other, view in keys if other == digest.lower()]

    def gather(self, positions: Positions, out: Features) -> Features:
        """Copy rows into `out`, shape (len(positions), d); raises OSError if a shard is gone or cannot be read."""
        owners = np.searchsorted(self._starts, positions, side="right") - 1
        for owner in np.unique(owners):
            places = np.flatnonzero(owners == owner)
            out[places] = self.shards[owner].features[positions[places] - self._starts[owner]]
        return out


class ShardSet:
    """The shards in a folder: listed and verified when first asked for, then remembered until `refresh`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._shards: dict[str, Shard] | None = None
        self._ignored: set[str] = set()
        self._index: Index | None = None

    def index(self) -> Index:
        """The index of the shards; raises StoreError if the folder cannot be read or widths differ."""
        if self._shards is None:
            self.refresh()
        if self._index is None:
            shards = [shard for _, shard in sorted((self._shards or {}).items())]
            widths = sorted({shard.dim for shard in shards})
            if len(widths) > 1:
                name = self.path.name
                raise StoreError(
                    f"rows of one width were expected in the space {name}, but {widths} were found; "
                    f"drop it with featx cache gc --drop {name[:12]} and run the same command again"
                )
            self._index = Index(shards)
        return self._index

    @property
    def dim(self) -> int | None:
        """Width of a row; None while there are no shards."""
        return next((shard.dim for shard in self.index().shards), None)

    def locate(self, keys: Keys, *, again: bool = False) -> tuple[Index, Positions]:
        """An index, and the position in it of each of these encoded keys; raises StoreError if a row is not stored.

        The folder is listed again if a row is missing, or in any case if `again`.
        """
        for _ in range(ATTEMPTS):
            if again:
                self.refresh()
            index = self.index()
            positions = index.find(keys)
            if (positions >= 0).all():
                return index, positions
            again = True
        absent = keys[positions < 0]
        digest, view = decode(absent[:1])[0]
        raise StoreError(
            f"{len(keys)} rows were expected in the space {self.path.name}, but {len(absent)} are not stored, "
            f"the first being view {view} of {digest[:12]}…; extract them first"
        )

    def add(self, keys: Keys, features: Features) -> None:
        """Write rows, shape (n, d), with encoded keys, shape (n,), as one more shard."""
        shard = write_shard(self.path, keys, features)
        if self._shards is not None:
            self._shards[shard.path.name] = shard
            self._index = None

    def refresh(self, *, rehash: bool = False) -> list[str]:
        """Take in what any process has written, merged or dropped since; no shard is verified twice.

        A damaged shard is moved into the folder `set-aside`, with a warning; its rows count as missing.

        Args:
            rehash: Verify every shard again.

        Returns:
            Names of the shards found damaged.
        """
        shards: dict[str, Shard] = {} if rehash or self._shards is None else self._shards
        damaged: list[str] = []
        if rehash:
            self._ignored.clear()
        for _ in range(ATTEMPTS):
            names = [name for name in names_in(self.path) if name.endswith(SUFFIX)]
            shards = {name: shards[name] for name in names if name in shards}
            new = [name for name in names if name not in shards and name not in self._ignored]
            opened = self._open(new, rehash=rehash)
            shards |= {name: shard for name, shard in opened.items() if isinstance(shard, Shard)}
            faults = {name: fault for name, fault in opened.items() if isinstance(fault, Fault)}
            damaged += [name for name, fault in faults.items() if fault is Fault.DAMAGED]
            for name, fault in faults.items():
                if fault is not Fault.GONE:
                    self._reject(name, fault)
            if Fault.GONE not in faults.values():
                break
        self._shards, self._index = shards, None
        return damaged

    def _open(self, names: list[str], *, rehash: bool) -> dict[str, Shard | Fault]:
        with ThreadPoolExecutor(_HASHING_THREADS) as pool:
            paths = [self.path / name for name in names]
            return dict(zip(names, pool.map(partial(open_shard, rehash=rehash), paths), strict=True))

    def _reject(self, name: str, fault: Fault) -> None:
        """Move a damaged shard away; ignore it where that is not possible; log a warning."""
        self._ignored.add(name)
        done = "is ignored"
        if fault is Fault.DAMAGED:
            with suppress(OSError):  # a cache that may only be read
                (self.path / SET_ASIDE).mkdir(exist_ok=True)
                (self.path / name).replace(self.path / SET_ASIDE / name)
                done = f"was moved into the folder {SET_ASIDE}"
                self._ignored.remove(name)  # the same rows written again have the same name
        text = "the cache's shard %s %s and %s; its rows count as missing and are computed again"
        log.warning(text, self.path / name, fault.value, done)
