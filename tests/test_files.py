from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from stored_rows import (
    fill,
    finish,
    reopened,
    rows_of,
    shard_files,
    some_keys,
    start,
    tree,
    write_then,
)

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
    mount(["-t", "tmpfs", "-o", "size=1m", "tmpfs"], tmp_path)
    yield tmp_path
    subprocess.run(["umount", "--lazy", str(tmp_path)], check=True)


def mount(arguments: Sequence[str], folder: Path) -> None:
    done = subprocess.run(["mount", *arguments, str(folder)], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"mounting is not possible here: {done.stderr.strip()}")


def test_a_full_disk_keeps_the_rows_written(small_disk: Path) -> None:
    space, keys = reopened(small_disk), some_keys(8)
    with pytest.raises(StoreError, match=r"no space left .* 4 rows are kept; free some space"):
        write_then(space, keys, dim=55_000)
    assert not list(small_disk.rglob(".tmp-*"))
    assert reopened(small_disk).missing(keys) == keys[4:]
    with pytest.raises(StoreError, match="no space left"):
        save_document(small_disk, "large", "a", {"text": "x" * 10**6})


@pytest.fixture
def read_only(tmp_path: Path) -> Iterator[Path]:
    """A cache with two shards of three rows, one of them damaged, that may only be read."""
    space = fill(tmp_path, some_keys(6), per_shard=3)
    content = bytearray(shard_files(space)[0].read_bytes())
    content[-1] ^= 1
    shard_files(space)[0].write_bytes(content)
    folders = [path for path in (tmp_path, *tmp_path.rglob("*")) if path.is_dir()]
    if os.geteuid() == 0:  # whom no permission stops
        mount(["--bind", str(tmp_path)], tmp_path)
        try:
            mount(["-o", "remount,ro,bind"], tmp_path)
            yield tmp_path
        finally:
            subprocess.run(["umount", "--lazy", str(tmp_path)], check=True)
    else:
        for folder in folders:
            folder.chmod(0o555)
        yield tmp_path
        for folder in folders:
            folder.chmod(0o755)


def test_a_cache_that_may_only_be_read_is_read(read_only: Path, caplog: pytest.LogCaptureFixture) -> None:
    before = tree(read_only)
    space = reopened(read_only)
    present = [key for key in some_keys(6) if space.contains(key)]
    assert len(present) == 3
    np.testing.assert_array_equal(space.rows(present).to_array(), rows_of(present))
    space.refresh()
    assert [record.getMessage().count("is ignored") for record in caplog.records] == [1]
    with pytest.raises(StoreError, match=r"cannot be written .* use --cache DIR/FEATX_CACHE"):
        write_then(space, some_keys(1, view=1))
    with pytest.raises(StoreError, match="cannot be written"):
        save_document(read_only, "statistics", "a", {})
    with pytest.raises(StoreError, match="cannot be written"):
        fill(read_only / "below", some_keys(1))
    assert tree(read_only) == before


def test_a_cache_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "cache").touch()
    with pytest.raises(StoreError, match="cannot be read"):
        reopened(tmp_path / "cache").stored()
    with pytest.raises(StoreError, match="cannot be written"):
        save_document(tmp_path / "cache", "statistics", "a", {})
