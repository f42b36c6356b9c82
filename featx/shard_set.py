"""The shards of one folder: listed, verified, searched and added to, beside other processes that do the same."""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path

from featx.cache_files import names_in
from featx.errors import StoreError
from featx.index import Index, Positions
from featx.row_keys import Keys, decode
from featx.shards import SUFFIX, Fault, Features, Shard, open_shard, write_shard

SET_ASIDE = "set-aside"
"""Name of the folder for damaged shards, within the folder they were in."""

ATTEMPTS = 5  # at reading what another process merges meanwhile; a second is rare, a third rarer
_HASHING_THREADS = 4  # hashing releases the interpreter; more threads only compete for the disk
_log = logging.getLogger("featx")


class ShardSet:
    """The shards in a folder.

    What is on disk is listed and verified when first asked for, then remembered until `refresh`.

    Attributes:
        folder: Where the shards are; named by the id of the feature space.

    Args:
        folder: As above; it need not exist.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._known: dict[str, Shard] | None = None
        self._ignored: set[str] = set()
        self._index: Index | None = None

    def index(self) -> Index:
        """The index of what is on disk, read if it has not been.

        Raises:
            StoreError: The folder cannot be read, or its shards are of several widths.
        """
        if self._known is None:
            self.refresh()
        if self._index is None:
            shards = [shard for _, shard in sorted((self._known or {}).items())]
            widths = sorted({shard.dim for shard in shards})
            if len(widths) > 1:
                name = self.folder.name
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
        """Where the rows of these keys are; lists the folder again before a row is called missing.

        Args:
            keys: Encoded keys, shape (n,).
            again: List the folder again in any case.

        Returns:
            An index, and the rows' positions in it, shape (n,).

        Raises:
            StoreError: A row is not stored.
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
            f"{len(keys)} rows were expected in the space {self.folder.name}, but {len(absent)} are not stored, "
            f"the first being view {view} of {digest[:12]}…; extract them first"
        )

    def add(self, keys: Keys, features: Features) -> None:
        """Write rows as one more shard.

        Args:
            keys: Encoded keys, shape (n,).
            features: float32 or float16, shape (n, d).

        Raises:
            OSError: The shard cannot be written.
        """
        shard = write_shard(self.folder, keys, features)
        if self._known is not None:
            self._known[shard.path.name] = shard
            self._index = None

    def refresh(self, *, rehash: bool = False) -> list[str]:
        """See what this or another process has written, merged or dropped since; nothing is verified twice.

        A damaged shard is moved into the folder `set-aside`, with a warning; its rows count as missing.

        Args:
            rehash: Verify every shard again.

        Returns:
            Names of the shards found damaged.
        """
        known: dict[str, Shard] = {} if rehash or self._known is None else self._known
        damaged: list[str] = []
        if rehash:
            self._ignored.clear()
        for _ in range(ATTEMPTS):
            names = [name for name in names_in(self.folder) if name.endswith(SUFFIX)]
            known = {name: known[name] for name in names if name in known}
            fresh = [name for name in names if name not in known and name not in self._ignored]
            opened = self._open(fresh, rehash=rehash)
            known |= {name: shard for name, shard in opened.items() if isinstance(shard, Shard)}
            faults = {name: fault for name, fault in opened.items() if isinstance(fault, Fault)}
            damaged += [name for name, fault in faults.items() if fault is Fault.DAMAGED]
            for name, fault in faults.items():
                if fault is not Fault.GONE:
                    self._reject(name, fault)
            if Fault.GONE not in faults.values():
                break
        self._known, self._index = known, None
        return damaged

    def _open(self, names: list[str], *, rehash: bool) -> dict[str, Shard | Fault]:
        with ThreadPoolExecutor(_HASHING_THREADS) as pool:
            paths = [self.folder / name for name in names]
            return dict(zip(names, pool.map(partial(open_shard, rehash=rehash), paths), strict=True))

    def _reject(self, name: str, fault: Fault) -> None:
        """Set a damaged shard aside, or ignore it where that is not possible; say so."""
        self._ignored.add(name)
        done = "is ignored"
        if fault is Fault.DAMAGED:
            with suppress(OSError):  # a cache that may only be read
                (self.folder / SET_ASIDE).mkdir(exist_ok=True)
                (self.folder / name).replace(self.folder / SET_ASIDE / name)
                done = f"was moved into the folder {SET_ASIDE}"
                self._ignored.remove(name)  # the same rows written again have the same name
        text = "the cache's shard %s %s and %s; its rows count as missing and are computed again"
        _log.warning(text, self.folder / name, fault.value, done)
