from __future__ import annotations

import hashlib
from pathlib import Path

import pyarrow as pa
from stored_rows import fill, rows_of, shard_files, some_keys


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
