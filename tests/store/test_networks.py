from __future__ import annotations

import errno
import logging
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from stored_rows import damage, fill, some_keys

from featx.errors import StoreError
from featx.store import admin as cache_admin
from featx.store.networks import NetworkFiles, load_network, save_network, seal_compiled
from featx.store.store import Store

KEY = "ab" * 32
ABOUT = {"name": "vgg16", "weights": "cd" * 32, "cut": None, "pooling": "avg", "size": 32}


def writer(text: str = "one") -> Callable[[Path], None]:
    def write(target: Path) -> None:
        target.write_text(f"topology {text}")
        target.with_suffix(".bin").write_text(f"weights {text}")

    return write


def contents(files: NetworkFiles) -> tuple[str, str]:
    return files.model.read_text(), files.model.with_suffix(".bin").read_text()


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "cache")


def loaded(store: Store) -> NetworkFiles:
    files = load_network(store.root, KEY)
    assert files is not None
    return files


# Written and read


def test_a_network_is_read_as_it_was_written(store: Store) -> None:
    assert load_network(store.root, KEY) is None
    assert not store.root.exists()
    saved = save_network(store.root, KEY, ABOUT, writer())
    assert contents(saved) == ("topology one", "weights one")
    assert loaded(store) == saved
    assert load_network(store.root, KEY) == saved
    assert load_network(store.root, "ef" * 32) is None
    assert not list(store.root.rglob(".tmp-*"))


def test_two_processes_that_make_the_same_network(store: Store) -> None:
    """The later one's is found, and the earlier one's files stay as they were for whoever reads them."""
    first = save_network(store.root, KEY, ABOUT, writer("one"))
    second = save_network(store.root, KEY, ABOUT, writer("two"))
    assert contents(loaded(store)) == contents(second) == ("topology two", "weights two")
    assert contents(first) == ("topology one", "weights one")


def test_what_fails_while_it_is_written_leaves_nothing(store: Store) -> None:
    def full(target: Path) -> None:
        writer()(target)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(StoreError, match="No space is left to write the cache"):
        save_network(store.root, KEY, ABOUT, full)
    assert load_network(store.root, KEY) is None
    assert not [path for path in store.root.rglob("*") if path.is_file()]


def cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-3])


@pytest.mark.parametrize("suffix", [".xml", ".bin"])
@pytest.mark.parametrize("harm", [damage, cut_short])
def test_a_damaged_network_is_set_aside_aloud(
    suffix: str, harm: Callable[[Path], None], store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    saved = save_network(store.root, KEY, ABOUT, writer())
    harm(saved.model.with_suffix(suffix))
    damaged = saved.model.with_suffix(suffix).read_bytes()
    assert load_network(store.root, KEY) is None
    assert "does not match its checksum and was moved" in caplog.text
    assert [path.read_bytes() for path in (store.root / "openvino" / "set-aside").iterdir()] == [damaged]
    assert load_network(store.root, KEY) is None
    save_network(store.root, KEY, ABOUT, writer())
    assert contents(loaded(store)) == ("topology one", "weights one")


def test_a_network_without_its_weights_is_made_again(store: Store) -> None:
    save_network(store.root, KEY, ABOUT, writer()).model.with_suffix(".bin").unlink()
    assert load_network(store.root, KEY) is None


# What was compiled of it


def test_compiled_networks_are_kept_while_they_are_as_they_were_made(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    files = save_network(store.root, KEY, ABOUT, writer())
    files.compiled.mkdir()
    good, bad, unsealed = (files.compiled / f"{number}.blob" for number in (1, 2, 3))
    for path in (good, bad):
        path.write_text(f"compiled {path.name}")
    seal_compiled(store.root, files)
    unsealed.write_text("begun by a process that was killed")
    damage(bad)
    loaded(store)
    assert good.exists()
    assert not bad.exists()
    assert not unsealed.exists()
    assert caplog.text.count("does not match its checksum and is compiled again") == 1
    bad.write_text("compiled again")
    seal_compiled(store.root, files)
    caplog.clear()
    loaded(store)
    assert bad.exists()
    assert not caplog.text


# Care


def test_gc_removes_networks_whose_last_rows_have_gone(store: Store) -> None:
    backbone = {name: ABOUT[name] for name in ("name", "weights", "cut", "pooling")}
    descriptions = [{"backbone": backbone, "images": {"size": 32}, "numerics": text} for text in ("float32", "other")]
    spaces = [fill(store.root, some_keys(1), description=each).id for each in descriptions]
    fill(store.root, some_keys(1), description={"backbone": backbone, "images": {"size": 64}})
    saved = save_network(store.root, KEY, ABOUT, writer())
    saved.compiled.mkdir()
    (saved.compiled / "1.blob").write_text("compiled")
    size = sum(path.stat().st_size for path in saved.model.parent.rglob("*") if path.is_file())
    assert (cache_admin.info(store).networks, cache_admin.info(store).network_bytes) == (1, size)
    assert cache_admin.gc(store, drop=spaces[:1], older_than_seconds=0).networks == 0
    planned = cache_admin.gc(store, drop=spaces[1:], dry_run=True, older_than_seconds=0)
    assert planned.networks == 1
    assert load_network(store.root, KEY) == saved
    # One that has just been made may be about to get its first rows.
    assert cache_admin.gc(store, drop=spaces[1:], older_than_seconds=3600).networks == 0
    done = cache_admin.gc(store, older_than_seconds=0)
    assert (done.networks, load_network(store.root, KEY)) == (1, None)
    assert done.bytes_freed > size
    assert not [path for path in (store.root / "openvino").rglob("*") if path.is_file()]


def test_gc_removes_what_was_set_aside_and_what_killed_processes_left(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    damage(save_network(store.root, KEY, ABOUT, writer()).model)
    assert load_network(store.root, KEY) is None
    left = store.root / "openvino" / ".tmp-1"
    left.mkdir()
    (left / "network.xml").write_text("half")
    os.utime(left, (time.time() - 7200,) * 2)
    assert (cache_admin.info(store).set_aside, cache_admin.info(store).leftovers) == (1, 1)
    assert cache_admin.info(store).networks == 1
    done = cache_admin.gc(store)
    assert (done.set_aside, done.leftovers, left.exists()) == (1, 1, False)
    assert logging.WARNING in {record.levelno for record in caplog.records}
