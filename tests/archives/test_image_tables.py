"""Parquet and Arrow tables with images: which column, which rows, in any order, within bounded memory."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from archive_files import image_table, pictures, write_arrow, write_parquet

from featx.archives import ImageTable, has_member, open_archive, read_member
from featx.archives import parquet_tables as parquet_module

LIMIT = 2**32
WRITERS = [write_parquet, write_arrow]
ENDINGS = {write_parquet: "x.parquet", write_arrow: "x.arrow"}


@pytest.fixture(params=WRITERS, ids=["parquet", "arrow"])
def table_of(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    def write(table: Any, rows: int = 4) -> Path:
        path: Path = request.param(tmp_path / ENDINGS[request.param], table, rows)
        return path

    return write


def opened(path: Path) -> ImageTable:
    table = open_archive(path)
    assert isinstance(table, ImageTable)
    return table


def test_rows_are_read_by_their_number(table_of: Any) -> None:
    data = pictures(11)
    path = table_of(image_table(data, files=[f"{i}.png" for i in range(11)]))
    assert [read_member(path / f"{i:06d}", LIMIT) for i in range(11)] == data
    assert read_member(path / "7", LIMIT) == data[7]
    assert list(opened(path))[-1] == "000010"
    assert has_member(path / "000010")
    for name in ("000011", "x", "-1", "image/000011", "other/000000"):
        assert not has_member(path / name)
        with pytest.raises(FileNotFoundError):
            read_member(path / name, LIMIT)


def test_rows_are_read_in_any_order_by_many_threads(table_of: Any) -> None:
    data = pictures(200)
    path = table_of(image_table(data), 16)
    rows = [*range(200), *reversed(range(200)), *random.Random(0).sample(range(200), 200)]
    with ThreadPoolExecutor(16) as pool:
        assert list(pool.map(lambda row: read_member(path / str(row), LIMIT), rows)) == [data[row] for row in rows]


@pytest.mark.parametrize("kind", ["binary", "large_binary", "binary_view"])
def test_a_column_of_bytes_alone(table_of: Any, kind: str) -> None:
    import pyarrow as pa

    data = pictures(5)
    path = table_of(pa.table({"label": list("ababa"), "content": pa.array(data, getattr(pa, kind)())}))
    assert opened(path).image_column == "content"
    assert [read_member(path / str(i), LIMIT) for i in range(5)] == data


def test_of_several_columns_the_one_named_like_images_is_taken(
    table_of: Any,
) -> None:
    import pyarrow as pa

    left, right = pictures(2), pictures(2, seed=1)
    path = table_of(pa.table({"image": left, "right": right, "md5": [b"1", b"2"]}))
    assert opened(path).image_column == "image"
    assert read_member(path / "000001", LIMIT) == left[1]
    assert read_member(path / "right/000001", LIMIT) == right[1]
    assert opened(path).row_name(1, "right") == "right/000001"


def test_of_several_columns_without_such_a_name_none_is_taken(table_of: Any) -> None:
    import pyarrow as pa

    path = table_of(pa.table({"left": pictures(2), "right": pictures(2, seed=1)}))
    assert opened(path).image_column is None
    with pytest.raises(OSError, match=r"it has several columns of images \(left, right\)"):
        read_member(path / "000001", LIMIT)


def test_an_empty_cell_and_one_that_is_too_large_are_refused(table_of: Any) -> None:
    path = table_of(image_table([pictures(1)[0], None, bytes(2**21)]))
    with pytest.raises(OSError, match=r"it is an empty cell of column image"):
        read_member(path / "1", LIMIT)
    with pytest.raises(OSError, match=r"2.0 MiB, more than the limit of 1 MiB"):
        read_member(path / "2", 2**20)
    assert len(read_member(path / "2", LIMIT)) == 2**21


@pytest.mark.parametrize("kept", [slice(0, 0), slice(0, 100), slice(0, -30), slice(5, None)])
def test_a_part_of_a_table_is_refused(table_of: Any, kept: slice) -> None:
    path = table_of(image_table(pictures(20)))
    path.write_bytes(path.read_bytes()[kept])
    with pytest.raises(OSError, match=r"it is damaged|it has no rows|it ends before"):
        [read_member(path / str(row), LIMIT) for row in range(20)]


def test_damaged_bytes_of_a_parquet_file_are_refused_and_end_no_process(tmp_path: Path) -> None:
    rng = random.Random(0)
    whole = write_parquet(tmp_path / "x.parquet", image_table(pictures(20))).read_bytes()
    refused = 0
    for number in range(60):
        raw = bytearray(whole)
        for _ in range(20):
            raw[rng.randrange(len(raw))] = rng.randrange(256)
        path = tmp_path / f"{number}.parquet"
        path.write_bytes(raw)
        try:
            for row in range(20):
                read_member(path / str(row), LIMIT)
        except OSError:
            refused += 1
    assert refused > 30


@pytest.mark.parametrize("name", [b"image", b"label"])
def test_names_of_columns_that_are_no_text_are_refused(table_of: Any, name: bytes) -> None:
    path = table_of(image_table(pictures(4), label=["a", "b", "a", "b"]))
    path.write_bytes(path.read_bytes().replace(name, b"\xff" + name[1:]))
    with pytest.raises(OSError, match=r"it is damaged or no (Parquet|Arrow) file|is damaged"):
        open_archive(path)


def test_rows_in_order_are_read_once_and_few_are_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One row group of 64 MB, as writers make it that do not think of images."""
    import pyarrow as pa

    monkeypatch.setattr(parquet_module, "available_memory", lambda: 0)  # the smallest window, of 64 MiB
    data = [random.Random(i).randbytes(2**18) for i in range(16)] * 16
    path = write_parquet(tmp_path / "x.parquet", image_table(data), rows=1000)
    del data
    table = opened(path)
    read_member(path / "0", LIMIT)
    before, most = pa.total_allocated_bytes(), 0
    for row in range(256):
        assert read_member(path / str(row), LIMIT) == random.Random(row % 16).randbytes(2**18)
        most = max(most, pa.total_allocated_bytes() - before)
    assert most < 2**26 + 2**24
    assert len(table._cursors) == 1  # type: ignore[attr-defined]


def test_an_image_that_is_in_the_file_once_for_all_rows_takes_little_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    monkeypatch.setattr(parquet_module, "available_memory", lambda: 0)
    data = random.Random(0).randbytes(2**22)
    images = pa.DictionaryArray.from_arrays(pa.array([0] * 200, pa.int32()), pa.array([data], pa.binary()))
    path = tmp_path / "x.parquet"
    parquet.write_table(pa.table({"image": images}), path, dictionary_pagesize_limit=2**30, store_schema=False)
    assert path.stat().st_size < 2**23
    before = pa.total_allocated_bytes()
    assert read_member(path / "199", LIMIT) == data
    assert pa.total_allocated_bytes() - before < 2**28  # not 800 MB


def test_compressed_arrow_files_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import pyarrow as pa

    from featx.archives import arrow_tables

    monkeypatch.setattr(arrow_tables, "MOST_UNPACKED", 2**20)
    table = image_table([bytes(2**20)] * 8)
    options = pa.ipc.IpcWriteOptions(compression="lz4")
    with (
        pa.OSFile(str(tmp_path / "x.arrow"), "wb") as file,
        pa.ipc.new_file(file, table.schema, options=options) as out,
    ):
        out.write_table(table, 2)
    with pytest.raises(OSError, match=r"it is compressed, so save it with to_parquet"):
        open_archive(tmp_path / "x.arrow")
