"""The store: rows of features on disk, found again by content.

`<root>/features/<space id>/` holds the rows of one feature space: `space.json`, which describes it, and
immutable shards. The key of a row is the SHA-256 of its image's bytes and the number of the view. Everything else
that changes its values is in the space's description, whose SHA-256 is the space's id.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from featx.files import names_in, write_failure
from featx.store.documents import plain_json, read_description, space_id, write_description
from featx.store.index import ShardSet
from featx.store.rows import DType, Rows, RowWriter
from featx.store.shards import Features, Keys, RowKey, Shard, encode

LOCK = "compute.lock"
_ID = re.compile(r"[0-9a-f]{32}")


class Store:
    """A cache folder. Making one touches no disk; a folder that does not exist is an empty store.

    Args:
        root: The cache's folder, created when something is first written.
    """

    def __init__(self, root: Path) -> None:
        self.root = Path(root)

    def space(self, description: Mapping[str, Any]) -> Space:
        """The feature space of this description, whether or not it holds rows yet; touches no disk.

        Args:
            description: JSON values: all that changes a row's values, except the image and the view.

        Raises:
            StoreError: The description is not JSON.
        """
        plain = plain_json(description)
        return Space(self.root, space_id(plain), plain)

    def spaces(self) -> list[Space]:
        """The spaces on disk, by id. One whose space.json is missing or damaged has an empty description."""
        ids = sorted(name for name in names_in(self.root / "features") if _ID.fullmatch(name))
        folders = [self.root / "features" / name for name in ids]
        return [Space(self.root, path.name, read_description(path) or {}) for path in folders if path.is_dir()]

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the cache's lock while a block runs; waits while another process or thread holds it.

        It only keeps two processes from computing the same rows at the same time. Their rows would be right as well,
        so a block also runs where the lock cannot be made: in a read-only cache, or a file system without locks.
        """
        from filelock import FileLock

        with ExitStack() as stack:
            with suppress(OSError):
                stack.enter_context(FileLock(self.root / LOCK, fallback_to_soft=False))
            yield


class Space(ShardSet):
    """The rows of one feature space; made by `Store.space` and `Store.spaces`.

    A space must not be used by two threads at once; any number of processes may use the same one.

    Attributes:
        id: 32 hexadecimal digits, from the description.
        path: The folder of its shards, which need not exist.
        description: JSON values; empty if the space was found on disk without a readable one.
    """

    def __init__(self, root: Path, id: str, description: dict[str, Any]) -> None:  # noqa: A002
        super().__init__(root / "features" / id)
        self.root = root
        self.id = id
        self.description = description

    def missing(self, keys: Sequence[RowKey]) -> list[RowKey]:
        """The keys whose rows are not stored, in their order, each once."""
        absent = self.index().find(encode(keys)) < 0
        return list(dict.fromkeys(key for key, gone in zip(keys, absent, strict=True) if gone))

    def contains(self, key: RowKey) -> bool:
        """Whether the row is stored."""
        return not self.missing([key])

    def views(self, digest: str) -> list[int]:
        """The stored views of the image with this SHA-256, ascending."""
        return self.index().views(digest)

    def stored(self) -> int:
        """Number of rows; a row that is stored twice counts once."""
        return len(self.index().keys)

    def shards(self) -> list[Shard]:
        """The verified shards, by name."""
        return self.index().shards

    def rows(self, keys: Sequence[RowKey]) -> Rows:
        """The rows of these keys, in this order, read only when they are used.

        Raises:
            StoreError: A row is not stored.
        """
        return Rows(self, encode(keys))

    def writer(
        self,
        *,
        dtype: DType = "float32",
        flush_bytes: int = 64 * 2**20,
        flush_seconds: float = 20,
    ) -> RowWriter:
        """A context manager that adds rows.

        Args:
            dtype: How rows are stored; they are always read as float32.
            flush_bytes: A shard is written when the rows held take more bytes than this.
            flush_seconds: A shard is written when rows are added and the oldest row held is older than this.
        """
        return RowWriter(self, dtype, flush_bytes, flush_seconds)

    def add(self, keys: Keys, features: Features) -> None:
        """Write rows as one more shard, and `space.json` if it is not there; raises StoreError if that fails."""
        try:
            if self.description and read_description(self.path) != self.description:
                write_description(self.path, self.description)
            super().add(keys, features)
        except OSError as error:
            raise write_failure(error, self.root, self.stored()) from error
