"""The store: rows of features on disk, found again by content.

`<root>/features/<space id>/` holds the rows of one feature space: `space.json`, which describes it, and
immutable shards. The key of a row is the SHA-256 of its image's bytes and the number of the view. Everything else
that changes its values is in the space's description, whose SHA-256 is the space's id.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from featx.files import names_in, write_failure
from featx.store.documents import (
    load_document,
    plain_json,
    read_description,
    save_document,
    space_id,
    write_description,
)
from featx.store.index import ShardSet
from featx.store.networks import NetworkFiles, load_network, save_network, seal_compiled
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

    def load_document(self, kind: str, key: str) -> dict[str, Any] | None:
        """A small JSON document; None if it is missing, or damaged (with a warning).

        Raises:
            StoreError: The kind or key is not a plain name.
        """
        return load_document(self.root, kind, key)

    def save_document(self, kind: str, key: str, document: Mapping[str, Any]) -> None:
        """Write a small JSON document to `<root>/<kind>/<key>.json`, with its own checksum.

        Raises:
            StoreError: The kind or key is not a plain name, the document is not JSON, or the cache cannot
                be written.
        """
        save_document(self.root, kind, key, document)

    def load_network(self, key: str) -> NetworkFiles | None:
        """A converted network's files; None if they are missing, or damaged.

        Damaged files are moved into the folder `set-aside`, with a warning.

        Raises:
            StoreError: The cache cannot be read, or a damaged file cannot be moved.
        """
        return load_network(self.root, key)

    def save_network(self, key: str, about: Mapping[str, Any], write: Callable[[Path], None]) -> NetworkFiles:
        """Keep a converted network under `<root>/openvino`.

        Args:
            key: The name to find it by.
            about: JSON values that describe it, as in the description of a feature space.
            write: Writes the topology to the path that it is given, and the weights beside it (.bin).

        Raises:
            StoreError: The cache cannot be written.
        """
        return save_network(self.root, key, about, write)

    def seal_compiled(self, files: NetworkFiles) -> None:
        """Record the digests of the compiled network, which are checked when it is loaded.

        Raises:
            StoreError: The cache cannot be written.
        """
        seal_compiled(self.root, files)

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


class Space:
    """The rows of one feature space; made by `Store.space` and `Store.spaces`.

    Shards are listed and verified when first asked for, then remembered until `refresh`. A space must not be used
    by two threads at once; any number of processes may use the same one.

    Attributes:
        id: 32 hexadecimal digits, from the description.
        path: The folder of its shards, which need not exist.
        description: JSON values; empty if the space was found on disk without a readable one.
    """

    def __init__(self, root: Path, id: str, description: dict[str, Any]) -> None:  # noqa: A002
        self.root = root
        self.id = id
        self.path = root / "features" / id
        self.description = description
        self._shards = ShardSet(self.path)

    def missing(self, keys: Sequence[RowKey]) -> list[RowKey]:
        """The keys whose rows are not stored, in their order, each once."""
        absent = self._shards.index().find(encode(keys)) < 0
        return list(dict.fromkeys(key for key, gone in zip(keys, absent, strict=True) if gone))

    def contains(self, key: RowKey) -> bool:
        """Whether the row is stored."""
        return not self.missing([key])

    def views(self, digest: str) -> list[int]:
        """The stored views of the image with this SHA-256, ascending."""
        return self._shards.index().views(digest)

    def stored(self) -> int:
        """Number of rows; a row that is stored twice counts once."""
        return len(self._shards.index().keys)

    def rows(self, keys: Sequence[RowKey]) -> Rows:
        """The rows of these keys, in this order, read only when they are used.

        Raises:
            StoreError: A row is not stored.
        """
        return Rows(self._shards, encode(keys))

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
        return RowWriter(self._shards, self._write, dtype=dtype, flush_bytes=flush_bytes, flush_seconds=flush_seconds)

    @property
    def dim(self) -> int | None:
        """Width of a row; None while the space is empty."""
        return self._shards.dim

    def shards(self) -> list[Shard]:
        """The verified shards, by name."""
        return self._shards.index().shards

    def refresh(self, *, rehash: bool = False) -> list[str]:
        """Take in what any process has written, merged or dropped since; no shard is verified twice.

        A damaged shard is moved into the folder `set-aside`, with a warning; its rows count as missing.

        Args:
            rehash: Verify every shard again.

        Returns:
            Names of the shards found damaged.
        """
        return self._shards.refresh(rehash=rehash)

    def _write(self, keys: Keys, features: Features) -> None:
        try:
            if self.description and read_description(self.path) != self.description:
                write_description(self.path, self.description)
            self._shards.add(keys, features)
        except OSError as error:
            raise write_failure(error, self.root, self.stored()) from error
