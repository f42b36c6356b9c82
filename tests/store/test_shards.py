from __future__ import annotations

import hashlib
import random
from pathlib import Path

import pyarrow as pa
import pytest
from stored_rows import fill, rows_of, shard_files, some_keys

from featx.store.shards import Shard, open_shard


# When this changes, so must the schema number.
def test_shard_layout_is_fixed(tmp_path: Path) -> None:
    space = fill(tmp_path, some_keys(3, view=258), dim=4)
    [path] = shard_files(space)
    assert path.name == hashlib.sha256(path.read_bytes()).hexdigest() + ".arrow"
    reader = pa.ipc.open_file(path.read_bytes())
    assert reader.num_record_batches == 1
    assert [(field.name, str(field.type)) for field in reader.schema] == [
        ("digest", "fixed_size_binary[32]"),
        ("view", "int32"),
        ("features", "fixed_size_list<item: float>[4]"),
    ]
    assert reader.schema.metadata == {b"featx.schema": b"1"}
    table = reader.read_all().to_pydict()
    assert [digest.hex() for digest in table["digest"]] == [digest for digest, _ in some_keys(3)]
    assert table["view"] == [258, 258, 258]
    assert table["features"] == rows_of(some_keys(3, view=258), 4).tolist()


@pytest.mark.slow
def test_a_forged_shard_under_its_right_name_is_read_or_set_aside(tmp_path: Path) -> None:
    space = fill(tmp_path, some_keys(20), dim=7)
    [path] = shard_files(space)
    content, generator = path.read_bytes(), random.Random(0)
    opened = []
    for _ in range(500):
        forged = bytearray(content)
        for _ in range(generator.randrange(1, 5)):
            forged[generator.randrange(len(forged))] = generator.choice([0, 1, 64, 127, 128, 255])
        if generator.random() < 0.1:
            del forged[generator.randrange(len(forged)) :]
        other = tmp_path / f"{hashlib.sha256(forged).hexdigest()}.arrow"
        other.write_bytes(forged)
        opened.append(open_shard(other))
    shards = [shard for shard in opened if isinstance(shard, Shard)]
    assert all(shard.features.shape == (len(shard.keys), 7) for shard in shards)
    assert 100 < len(shards) < 450
