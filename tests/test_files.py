from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from disks import mounted, read_only
from stored_rows import damage, fill, finish, reopened, rows_of, shard_files, some_keys, start, tree, write_then

from featx.errors import StoreError
from featx.store import save_document

# Disks that are full or may not be written.


def test_a_disk_that_fills_up_keeps_the_rows_written(tmp_path: Path) -> None:
    script = """
import resource, signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, resource.RLIM_INFINITY))
keys = some_keys(30)
try:
    with space.writer(flush_bytes=1) as writer:
        writer.add(keys[:10], rows_of(keys[:10], 1000))
        writer.add(keys[10:], rows_of(keys[10:], 1000))
        writer.add(some_keys(100, 1), rows_of(some_keys(100, 1), 1000))
except StoreError as error:
    print(error)
"""
    message = finish(start(script, tmp_path))
    assert message.startswith("no space left to write the cache at")
    assert "; 30 rows are kept; free some space or use --cache DIR/FEATX_CACHE" in message
    keys = some_keys(30)
    np.testing.assert_array_equal(reopened(tmp_path).rows(keys).to_array(), rows_of(keys, 1000))
    assert not list(tmp_path.rglob(".tmp-*"))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MiB."""
    if os.geteuid() != 0:
        pytest.skip("only root may mount a small file system")
    with mounted(tmp_path, ["-t", "tmpfs", "-o", "size=1m", "tmpfs"]):
        yield tmp_path


def test_a_full_disk_keeps_the_rows_written(small_disk: Path) -> None:
    space, keys = reopened(small_disk), some_keys(8)
    with pytest.raises(StoreError, match=r"no space left .* 4 rows are kept; free some space"):
        write_then(space, keys, dim=55_000)
    assert not list(small_disk.rglob(".tmp-*"))
    assert reopened(small_disk).missing(keys) == keys[4:]
    with pytest.raises(StoreError, match="no space left"):
        save_document(small_disk, "large", "a", {"text": "x" * 10**6})


@pytest.fixture
def frozen(tmp_path: Path) -> Iterator[Path]:
    """A cache with two shards of three rows, one of them damaged, that may only be read."""
    damage(shard_files(fill(tmp_path, some_keys(6), per_shard=3))[0])
    with read_only(tmp_path):
        yield tmp_path


def test_a_cache_that_may_only_be_read_is_read(frozen: Path, caplog: pytest.LogCaptureFixture) -> None:
    before = tree(frozen)
    space = reopened(frozen)
    present = [key for key in some_keys(6) if space.contains(key)]
    assert len(present) == 3
    np.testing.assert_array_equal(space.rows(present).to_array(), rows_of(present))
    space.refresh()
    assert [record.getMessage().count("is ignored") for record in caplog.records] == [1]
    with pytest.raises(StoreError, match=r"cannot be written .* use --cache DIR/FEATX_CACHE"):
        write_then(space, some_keys(1, view=1))
    with pytest.raises(StoreError, match="cannot be written"):
        save_document(frozen, "statistics", "a", {})
    with pytest.raises(StoreError, match="cannot be written"):
        fill(frozen / "below", some_keys(1))
    assert tree(frozen) == before


def test_a_cache_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "cache").touch()
    with pytest.raises(StoreError, match="cannot be read"):
        reopened(tmp_path / "cache").stored()
    with pytest.raises(StoreError, match="cannot be written"):
        save_document(tmp_path / "cache", "statistics", "a", {})
