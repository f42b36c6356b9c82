from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from stored_rows import DESCRIPTION, damage, fill, rows_of, shard_files, some_keys, start

from featx.errors import UsageError
from featx.runs.explain import explain
from featx.store import compaction
from featx.store.admin import gc, info, verify
from featx.store.documents import load_document, save_document
from featx.store.shards import RowKey
from featx.store.store import Store

OTHER = DESCRIPTION | {"size": 96}


def disk_use(root: Path) -> int:
    return sum(path.stat().st_size for path in root.rglob("*") if path.is_file())


def holds(root: Path, keys: Sequence[RowKey]) -> bool:
    rows = Store(root).space(DESCRIPTION).rows(keys).to_array()
    return bool(np.array_equal(rows, rows_of(keys)))


# info and verify


def test_info_counts_what_is_there(tmp_path: Path) -> None:
    first = fill(tmp_path, some_keys(10), per_shard=4)
    fill(tmp_path, some_keys(10))  # once more, in one shard
    second = fill(tmp_path, some_keys(3), description=OTHER, dtype="float16")
    damage(shard_files(second)[0])
    fill(tmp_path, some_keys(2), description=OTHER, dtype="float16")
    (first.path / ".tmp-x").touch()
    found = info(Store(tmp_path))
    json.dumps(asdict(found))
    by_id = {space.id: space for space in found.spaces}
    one, two = by_id[first.id], by_id[second.id]
    assert (one.rows, one.dim, one.dtype, one.shards) == (10, 8, "float32", 4)
    assert one.description == DESCRIPTION
    assert one.bytes == sum(path.stat().st_size for path in shard_files(first))
    assert (two.rows, two.dtype, two.shards) == (2, "float16", 1)
    assert (found.rows, found.shards, found.bytes) == (12, 5, one.bytes + two.bytes)
    assert (found.set_aside, found.leftovers) == (1, 1)


def test_an_absent_cache_is_empty_and_stays_absent(tmp_path: Path) -> None:
    store = Store(tmp_path / "none")
    assert (info(store).spaces, info(store).rows, verify(store).shards) == ([], 0, 0)
    assert gc(store).bytes_freed == 0
    assert explain(store, DESCRIPTION, some_keys(1)[0][0], 0).nearest is None
    assert not (tmp_path / "none").exists()


def test_verify_hashes_again_what_this_process_has_already_read(tmp_path: Path) -> None:
    space = fill(tmp_path, some_keys(10), per_shard=5)
    path = shard_files(space)[1]
    status = path.stat()
    assert verify(Store(tmp_path)).damaged == []
    damage(path)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))  # a disk that decays tells no time
    found = verify(Store(tmp_path))
    assert (found.spaces, found.shards, found.rows) == (1, 2, 5)
    assert found.damaged == [f"{space.id}/{path.name}"]
    assert (space.path / "set-aside" / path.name).exists()
    assert len(Store(tmp_path).space(DESCRIPTION).missing(some_keys(10))) == 5
    assert verify(Store(tmp_path)).damaged == []


# gc


def test_gc_merges_small_shards_and_drops_duplicates(tmp_path: Path) -> None:
    keys = some_keys(60)
    fill(tmp_path, keys, per_shard=5)
    space = fill(tmp_path, keys[:30], per_shard=3)
    before = disk_use(tmp_path)
    planned = gc(Store(tmp_path), dry_run=True)
    assert (planned.merged, planned.written, disk_use(tmp_path)) == (22, 1, before)
    done = gc(Store(tmp_path))
    assert (done.merged, done.written) == (22, 1)
    assert done.bytes_freed == before - disk_use(tmp_path)
    assert 0.5 < planned.bytes_freed / done.bytes_freed < 2
    assert len(shard_files(space)) == 1
    assert len(Store(tmp_path).space(DESCRIPTION).shards()[0].keys) == 60
    assert holds(tmp_path, keys)
    again = gc(Store(tmp_path))
    assert (again.merged, again.written, again.bytes_freed) == (0, 0, 0)


def test_gc_keeps_shards_within_their_sizes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = some_keys(100)
    space = fill(tmp_path, keys[:60])
    large = shard_files(space)[0]
    fill(tmp_path, keys[:60], per_shard=7)  # all of it is in the large one
    fill(tmp_path, keys[60:], per_shard=4)
    monkeypatch.setattr(compaction, "SMALL_SHARD", large.stat().st_size)
    monkeypatch.setattr(compaction, "LARGEST_SHARD", 6_000)
    gc(Store(tmp_path))
    shards = Store(tmp_path).space(DESCRIPTION).shards()
    assert large in [shard.path for shard in shards]
    assert all(shard.size <= 6_000 for shard in shards if shard.path != large)
    assert sum(len(shard.keys) for shard in shards) == 100
    assert holds(tmp_path, keys)


def test_gc_leaves_dtypes_apart(tmp_path: Path) -> None:
    keys = some_keys(12)
    fill(tmp_path, keys[:6], per_shard=2)
    fill(tmp_path, keys[6:], per_shard=2, dtype="float16")
    gc(Store(tmp_path))
    shards = Store(tmp_path).space(DESCRIPTION).shards()
    assert sorted((shard.dtype, len(shard.keys)) for shard in shards) == [("float16", 6), ("float32", 6)]


def test_gc_of_a_shard_that_holds_all_of_another_keeps_it(tmp_path: Path) -> None:
    keys = some_keys(4)
    whole = shard_files(fill(tmp_path, keys))[0]
    for count in range(1, 4):  # of the names, some come before and some after
        fill(tmp_path, keys[:count])
    gc(Store(tmp_path))
    assert len(shard_files(Store(tmp_path).space(DESCRIPTION))) == 1
    assert holds(tmp_path, keys)
    fill(tmp_path, keys)
    gc(Store(tmp_path))
    assert whole.parent.exists()
    assert holds(tmp_path, keys)


def test_gc_removes_what_damage_and_killed_writers_left(tmp_path: Path) -> None:
    space = fill(tmp_path, some_keys(6), per_shard=3)
    damage(shard_files(space)[0])
    save_document(tmp_path, "statistics", "a", {})
    old = [space.path / ".tmp-old", tmp_path / "statistics" / ".tmp-old"]
    young = space.path / ".tmp-young"
    for path in (*old, young):
        path.write_bytes(b"1234")
    for path in old:
        os.utime(path, (1, 1))
    before = disk_use(tmp_path)
    planned = gc(Store(tmp_path), dry_run=True)
    assert disk_use(tmp_path) == before
    done = gc(Store(tmp_path))
    assert (done.set_aside, done.leftovers, done.merged) == (1, 2, 0)
    assert (planned.set_aside, planned.leftovers) == (1, 2)
    assert done.bytes_freed == planned.bytes_freed == before - disk_use(tmp_path)
    assert young.exists()
    assert gc(Store(tmp_path), older_than_seconds=0).leftovers == 1
    assert load_document(tmp_path, "statistics", "a") == {}


def test_gc_drops_spaces_by_the_beginning_of_their_id(tmp_path: Path) -> None:
    keys = some_keys(3)
    kept, doomed = fill(tmp_path, keys), fill(tmp_path, keys, description=OTHER)
    before = disk_use(tmp_path)
    planned = gc(Store(tmp_path), drop=[doomed.id[:8]], dry_run=True)
    assert doomed.path.exists()
    done = gc(Store(tmp_path), drop=[doomed.id[:8], doomed.id])
    assert done.dropped == planned.dropped == [doomed.id]
    assert done.bytes_freed == planned.bytes_freed == before - disk_use(tmp_path)
    assert [space.id for space in Store(tmp_path).spaces()] == [kept.id]
    assert holds(tmp_path, keys)
    assert list((tmp_path / "features").iterdir()) == [kept.path]


def test_gc_drops_nothing_if_a_name_is_not_clear(tmp_path: Path) -> None:
    spaces = [fill(tmp_path, some_keys(1), description={"n": n}) for n in range(17)]  # two begin alike
    first = [space.id[0] for space in spaces]
    shared = next(digit for digit in first if first.count(digit) > 1)
    for prefix, found in ((shared, "do:"), ("", "none does"), ("xyz", "none does")):
        with pytest.raises(UsageError, match=found):
            gc(Store(tmp_path), drop=[spaces[0].id, prefix])
    assert len(Store(tmp_path).spaces()) == 17


@pytest.mark.slow
def test_gc_beside_a_reader_and_a_writer(tmp_path: Path) -> None:
    """A reader sees right rows and all of them while shards are merged, and written again, under it."""
    script = """
keys = some_keys(200)
expected = rows_of(keys)
held = space.rows(keys)
print("ready", flush=True)
rounds = 0
while not (Path(sys.argv[1]) / "stop").exists():
    space.refresh()
    fresh = Store(Path(sys.argv[1])).space(DESCRIPTION).rows(keys)
    for rows in (held, space.rows(keys), fresh):
        if not np.array_equal(rows[rounds % 7 :: 7], expected[rounds % 7 :: 7]):
            sys.exit("wrong rows")
    rounds += 1
print(rounds)
"""
    keys = some_keys(200)
    fill(tmp_path, keys, per_shard=10)
    with start(script, tmp_path) as reader:
        assert reader.stdout is not None
        try:
            assert reader.stdout.readline() == "ready\n"
            for turn in range(30):
                fill(tmp_path, keys[turn : turn + 60], per_shard=10)
                gc(Store(tmp_path))
        finally:
            (tmp_path / "stop").touch()
        assert int(reader.stdout.read()) > 5
    assert reader.returncode == 0
    assert holds(tmp_path, keys)


def test_rows_that_are_held_survive_a_merge(tmp_path: Path) -> None:
    keys = some_keys(20)
    fill(tmp_path, keys, per_shard=2)
    space = Store(tmp_path).space(DESCRIPTION)
    rows = space.rows(keys)
    gc(Store(tmp_path))
    np.testing.assert_array_equal(rows[::3], rows_of(keys)[::3])
    assert len(space.shards()) == 1
