from __future__ import annotations

import hashlib
import logging
import random
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from stored_rows import fill, finish, reopened, rows_of, shard_files, some_keys, start

from featx.errors import StoreError

# Processes that are killed or run at once.


@pytest.mark.slow
def test_a_killed_writer_loses_only_what_it_had_not_written(tmp_path: Path) -> None:
    script = """
keys = space.missing(some_keys(300))
print(len(keys), flush=True)
with space.writer(flush_bytes=1) as writer:
    for first in range(0, len(keys), 2):
        writer.add(keys[first:first + 2], rows_of(keys[first:first + 2], 20_000))
        print("written", flush=True)
"""
    keys, left = some_keys(300), [300]
    moments = random.Random(7)
    for _ in range(8):
        process = start(script, tmp_path)
        assert process.stdout is not None
        assert int(process.stdout.readline()) == left[-1]
        for _ in range(moments.randrange(1, 9)):
            process.stdout.readline()
        time.sleep(moments.uniform(0, 0.005))  # to any moment of a write
        process.kill()
        process.communicate(timeout=60)
        space = reopened(tmp_path)
        left.append(len(space.missing(keys)))
        present = [key for key in keys if space.contains(key)]
        np.testing.assert_array_equal(space.rows(present).to_array(), rows_of(present, 20_000))
    before = set(shard_files(reopened(tmp_path)))
    assert int(finish(start(script, tmp_path)).split()[0]) == left[-1] < 300
    space = reopened(tmp_path)
    np.testing.assert_array_equal(space.rows(keys).to_array(), rows_of(keys, 20_000))
    added = [shard for shard in space.shards() if shard.path not in before]
    assert sum(len(shard.keys) for shard in added) == left[-1]
    assert not (space.path / "set-aside").exists()


@pytest.mark.slow
def test_two_writers_at_once_on_the_same_keys(tmp_path: Path) -> None:
    script = """
with space.writer(flush_bytes=1) as writer:
    for key in some_keys(80):
        writer.add([key], rows_of([key]))
"""
    processes = [start(script, tmp_path) for _ in range(2)]
    for process in processes:
        finish(process)
    space, keys = reopened(tmp_path), some_keys(80)
    assert space.stored() == 80
    np.testing.assert_array_equal(space.rows(keys).to_array(), rows_of(keys))
    assert not list(tmp_path.rglob(".tmp-*"))


# Damage is found, said and computed again.


def damaged_offsets() -> list[int]:
    """Offsets in a shard of 3 rows of 8: magic, metadata, keys, views, features, footer, and any."""
    return [0, 40, -1, -40, *random.Random(3).sample(range(1000), 12)]


@pytest.mark.parametrize("offset", damaged_offsets())
def test_a_flipped_bit_is_found(tmp_path: Path, offset: int, caplog: pytest.LogCaptureFixture) -> None:
    keys = some_keys(6)
    space = fill(tmp_path, keys, per_shard=3)
    path = shard_files(space)[0]
    content = bytearray(path.read_bytes())
    content[offset] ^= 1 << (offset % 8)
    path.write_bytes(content)
    lost = reopened(tmp_path).missing(keys)
    assert len(lost) == 3
    [record] = caplog.records
    assert record.levelno == logging.WARNING
    assert "does not match its checksum" in record.getMessage()
    assert (space.path / "set-aside" / path.name).read_bytes() == content
    fill(tmp_path, lost)
    np.testing.assert_array_equal(reopened(tmp_path).rows(keys).to_array(), rows_of(keys))


@pytest.mark.parametrize("kept", [0, 1, 500, -1])
def test_a_truncated_shard_is_set_aside(tmp_path: Path, kept: int) -> None:
    keys = some_keys(3)
    [path] = shard_files(fill(tmp_path, keys))
    path.write_bytes(path.read_bytes()[:kept])
    space = reopened(tmp_path)
    assert space.missing(keys) == keys
    assert [found.name for found in (space.path / "set-aside").iterdir()] == [path.name]
    fill(tmp_path, keys)  # by another, the same rows and so the same name
    assert [found.name for found in shard_files(space)] == [path.name]
    space.refresh()
    np.testing.assert_array_equal(space.rows(keys).to_array(), rows_of(keys))


def test_a_sound_file_of_another_layout_is_left_where_it_is(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    space = fill(tmp_path, some_keys(2))
    other = pa.BufferOutputStream()
    schema = pa.schema([("a", pa.int32())])
    with pa.ipc.new_file(other, schema) as writer:
        writer.write_batch(pa.record_batch([pa.array([1], pa.int32())], schema=schema))
    for content in (other.getvalue().to_pybytes(), b"no Arrow file", b""):
        (space.path / f"{hashlib.sha256(content).hexdigest()}.arrow").write_bytes(content)
    again = reopened(tmp_path)
    assert again.stored() == 2
    again.refresh()
    assert [record.getMessage().count("this version") for record in caplog.records] == [1, 1, 1]
    assert len(shard_files(space)) == 4


def test_shards_of_two_widths_are_refused(tmp_path: Path) -> None:
    writers = [reopened(tmp_path).writer() for _ in range(2)]
    for writer, dim in zip(writers, (3, 4), strict=True):
        writer.add(some_keys(1), np.zeros((1, dim)))
        writer.flush()
    with pytest.raises(StoreError, match=r"\[3, 4\] were found"):
        reopened(tmp_path).stored()
