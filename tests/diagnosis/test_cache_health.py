from __future__ import annotations

import hashlib
import os
import shlex
from pathlib import Path

import pytest
from stored_rows import damage, fill, shard_files, some_keys, tree

from featx.diagnosis import cache_health
from featx.diagnosis.cache_health import examine_cache
from featx.diagnosis.mending import Amiss
from featx.store import Store

not_root = pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() == 0, reason="permissions do not stop root, or are others"
)


def told(amiss: list[Amiss]) -> str:
    return "\n".join(f"{item.what}: {item.mend}" for item in amiss)


@pytest.fixture(autouse=True)
def ample(monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk with room."""
    monkeypatch.setattr(cache_health, "free_bytes", lambda _: 10**12)


def test_a_cache_that_is_not_there_yet_is_no_fault(tmp_path: Path) -> None:
    health, amiss = examine_cache(tmp_path / "not" / "there")
    assert (health.state, health.info, amiss) == ("none yet", None, [])
    assert list(tmp_path.iterdir()) == []


def test_a_sound_cache_is_counted_and_left_as_it_is(tmp_path: Path) -> None:
    fill(tmp_path, some_keys(7))
    before = tree(tmp_path)
    health, amiss = examine_cache(tmp_path)
    assert health.info is not None
    assert (health.state, health.info.rows, health.unused, amiss) == ("read", 7, {}, [])
    assert tree(tmp_path) == before


def test_a_full_disk_is_told_before_there_is_a_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache_health, "free_bytes", lambda _: 10**8)
    _, amiss = examine_cache(tmp_path / "a cache")
    assert "only 0.1 GB left: choose a --cache on another disk" in told(amiss)
    fill(tmp_path / "a cache", some_keys(3))
    _, amiss = examine_cache(tmp_path / "a cache")
    # gc alone gives little back; the path is one word of a command.
    where = shlex.quote(str(tmp_path / "a cache"))
    assert where[0] == "'"
    assert f"featx cache info --cache {where}" in told(amiss)
    assert f"featx cache gc --cache {where} --drop ID" in told(amiss)


def test_what_is_no_folder_is_not_taken_for_none_yet(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    health, amiss = examine_cache(tmp_path / "file")
    assert health.state == "cannot be read"
    assert "is no folder: choose another with --cache" in told(amiss)
    _, amiss = examine_cache(tmp_path / "file" / "cache")
    assert "which is no folder: choose another with --cache" in told(amiss)


def write_network(path: Path) -> None:
    path.write_bytes(b"topology")
    path.with_suffix(".bin").write_bytes(b"weights of a network")


def test_damaged_shards_and_networks_are_found(tmp_path: Path) -> None:
    space = fill(tmp_path, some_keys(7))
    files = Store(tmp_path).save_network("abc", {"backbone": "x"}, write_network)
    health, amiss = examine_cache(tmp_path)
    assert health.info is not None
    assert (health.info.networks, amiss) == (1, [])
    damage(files.model.with_suffix(".bin"))
    damage(shard_files(space)[0])
    health, amiss = examine_cache(tmp_path)
    assert health.info is not None
    assert health.info.set_aside == 2
    assert f"featx cache gc --cache {shlex.quote(str(tmp_path))}" in told(amiss)


def test_shards_of_another_version_are_told_and_kept(tmp_path: Path) -> None:
    space = fill(tmp_path, some_keys(7))
    content = b"of another version"
    foreign = space.path / f"{hashlib.sha256(content).hexdigest()}.arrow"
    foreign.write_bytes(content)
    health, amiss = examine_cache(tmp_path)
    assert list(health.unused) == [f"{space.id}/{foreign.name}"]
    assert health.to_json()["unused"] == {f"{space.id}/{foreign.name}": "was not written by this version of featx"}
    assert f"featx cache gc --cache {shlex.quote(str(tmp_path))} --drop {space.id[:12]}" in told(amiss)
    assert foreign.exists()


@not_root
def test_what_may_not_be_read_or_written_is_told(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    space = fill(cache, some_keys(7), per_shard=4)
    first, second = shard_files(space)
    first.chmod(0)
    health, amiss = examine_cache(cache)
    assert list(health.unused) == [f"{space.id}/{first.name}"]
    assert f"chmod -R u+rX {cache}" in told(amiss)
    damage(second)
    space.path.chmod(0o500)
    health, amiss = examine_cache(cache)
    assert len(health.unused) == 2
    space.path.chmod(0)
    health, amiss = examine_cache(cache)
    assert health.state == "cannot be read"
    space.path.chmod(0o700)
    cache.chmod(0o500)
    assert f"cannot be written: chmod -R u+wX {cache}" in told(examine_cache(cache)[1])
    cache.chmod(0o700)
    tmp_path.chmod(0o500)
    assert f"cannot be made in {tmp_path}: chmod u+wX {tmp_path}" in told(examine_cache(tmp_path / "new")[1])
    tmp_path.chmod(0)
    assert examine_cache(cache / "inner")[0].state == "cannot be read"
    tmp_path.chmod(0o700)


@not_root
def test_a_damaged_network_that_cannot_be_moved_is_told(tmp_path: Path) -> None:
    files = Store(tmp_path).save_network("abc", {"backbone": "x"}, write_network)
    damage(files.model)
    folder = files.model.parent.parent
    folder.chmod(0o500)
    assert list(examine_cache(tmp_path)[0].unused) == ["openvino/abc"]
    folder.chmod(0o700)
    files.model.chmod(0)
    health, amiss = examine_cache(tmp_path)
    assert list(health.unused) == ["openvino/abc"]
    assert "cannot be read" in told(amiss)


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="the system has other permissions")
def test_chmod_is_advised_to_the_owner_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)
    # The owner may write, by its mode: the disk is mounted to be read.
    assert "cannot be written: choose another with --cache" in told(examine_cache(tmp_path)[1])
    tmp_path.chmod(0o500)
    assert "chmod -R u+wX" in told(examine_cache(tmp_path)[1])
    monkeypatch.setattr(os, "getuid", lambda: -2)
    assert "cannot be written: choose another with --cache" in told(examine_cache(tmp_path)[1])
    tmp_path.chmod(0o700)
