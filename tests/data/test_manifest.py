from __future__ import annotations

import datetime as dt
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet

from featx.data.tables.files import is_manifest
from featx.data.tables.manifest import Row, read_manifest
from featx.errors import DataError


def csv_file(folder: Path, content: str | bytes, name: str = "m.csv") -> Path:
    manifest = folder / name
    manifest.write_bytes(content.encode() if isinstance(content, str) else content)
    return manifest


def parquet_file(folder: Path, **columns: Any) -> Path:
    manifest = folder / "m.parquet"
    parquet.write_table(pa.table(columns), manifest)
    return manifest


@pytest.mark.parametrize(
    ("name", "expected"),
    [("a.csv", True), ("a.TSV", True), ("a.Parquet", True), ("a.pq", True), ("a.xlsx", False), ("csv", False)],
)
def test_a_manifest_is_known_by_its_ending(name: str, expected: bool) -> None:
    assert is_manifest(Path(name)) is expected


def test_csv_keeps_text_as_written_and_types_of_other_columns(tmp_path: Path) -> None:
    manifest = csv_file(
        tmp_path,
        "path,label,split,group,age,weight,seen,note\n"
        "a b/č.png,01,Train,007,54,1.5,true,2020-01-02\n"
        "b.png,NA,VALID,,,,,\n"
        "c.png,null,test,12,60,2.0,false,2020-01-03\n",
    )
    first = {"age": 54, "weight": 1.5, "seen": True, "note": dt.date(2020, 1, 2)}
    third = {"age": 60, "weight": 2.0, "seen": False, "note": dt.date(2020, 1, 3)}
    assert read_manifest(manifest) == [
        Row(2, "a b/č.png", "01", "train", "007", first),
        Row(3, "b.png", "NA", "val", None, dict.fromkeys(first)),
        Row(4, "c.png", "null", "test", "12", third),
    ]


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_csv_dialects_read_alike(tmp_path: Path, delimiter: str, mark: bytes, end: str) -> None:
    lines = ["path,label,note", "a.png,x,1", "", "b.png,y,2", ""]
    content = end.join(line.replace(",", delimiter) for line in lines)
    manifest = csv_file(tmp_path, mark + content.encode())
    assert read_manifest(manifest) == [
        Row(2, "a.png", "x", None, None, {"note": 1}),
        Row(3, "b.png", "y", None, None, {"note": 2}),
    ]


def test_the_separator_is_the_one_that_gives_known_columns(tmp_path: Path) -> None:
    manifest = csv_file(tmp_path, 'path;label;"a, b, c, d"\nx,y.png;z;1\n')
    assert read_manifest(manifest) == [Row(2, "x,y.png", "z", None, None, {"a, b, c, d": 1})]


def test_header_spaces_and_label_spaces_do_not_count(tmp_path: Path) -> None:
    manifest = csv_file(tmp_path, " path , label , group\na.png, covid , p1\n")
    assert read_manifest(manifest) == [Row(2, "a.png", "covid", None, "p1", {})]


@pytest.mark.parametrize("header", ["PATH,Label,Split,Group", "\ufeffPath,LABEL, split ,group_", "p ath,la-bel,S,G"])
def test_columns_are_known_in_any_spelling(tmp_path: Path, header: str) -> None:
    manifest = csv_file(tmp_path, f"{header.replace('S,G', 'SPLIT,_Group')}\na.png,x,Training,p1\n")
    assert read_manifest(manifest) == [Row(2, "a.png", "x", "train", "p1", {})]
    names = ("Path", "LABEL", "Split", " group")
    manifest = parquet_file(
        tmp_path, **{name: [cell] for name, cell in zip(names, ("a", "x", "dev", "p"), strict=True)}
    )
    assert read_manifest(manifest) == [Row(1, "a", "x", "val", "p", {})]


def test_a_column_with_exactly_the_name_is_the_one(tmp_path: Path) -> None:
    manifest = csv_file(tmp_path, "path,label,Label,Path\na.png,x,y,b.png\n")
    assert read_manifest(manifest) == [Row(2, "a.png", "x", None, None, {"Label": "y", "Path": "b.png"})]


@pytest.mark.parametrize(
    ("cell", "split"),
    [("Training", "train"), ("dev", "val"), ("tr", "train"), ("te", "test"), ("test_set", "test"), ("VALID", "val")],
)
def test_names_of_splits(tmp_path: Path, cell: str, split: str) -> None:
    assert read_manifest(csv_file(tmp_path, f"path,label,split\na,x,{cell}\n"))[0].split == split


def test_a_column_set_of_splits_is_the_split(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", logger="featx")
    rows = read_manifest(csv_file(tmp_path, "path,label,Partition\na,x,train\nb,x,test\n"))
    assert [(row.split, row.extra) for row in rows] == [("train", {}), ("test", {})]
    assert caplog.messages == [
        "Column Partition of m.csv has the split of each image; choose another with split_column, or none."
    ]


@pytest.mark.parametrize(
    ("content", "notice"),
    [
        ("path,label,fold\na,x,1\nb,x,2\n", "it has no column split; fold is kept as a further column, so name it"),
        ("path,label,part\na,x,train\nb,x,test\n", "it has no column split; part is kept as a further column"),
        (
            "path,label,PatientID\na,x,1\nb,x,1\n",
            "Column PatientID of m.csv is kept as a further column; name it with group_column",
        ),
        (
            "path,label,subject_id,patient\na,x,1,1\nb,x,1,1\n",
            "Columns patient, subject_id of m.csv are kept as further columns; name one of them with group_column",
        ),
        ("path,label,subject_id\na,x,1\nb,x,1\n", "Column subject_id of m.csv is kept as a further column"),
        ("path,label,patient\na,x,1\nb,x,2\n", None),  # each patient once: there is nothing to keep together
        ("path,label,group,patient\na,x,p,1\nb,x,p,1\n", None),
        ("path,label,set\na,x,A\nb,x,B\n", "it has no column split; set is kept as a further column"),
        (
            "path,label,is_train\na,x,True\nb,x,False\n",
            "it has no column split; is_train is kept as a further column",
        ),
        ("path,label,test\na,x,1\nb,x,0\n", "it has no column split; test is kept as a further column"),
        ("path,label,split,set\na,x,train,A\nb,x,test,B\n", None),
        ("path,label,test\na,x,PCR\nb,x,PCR\n", None),  # it divides nothing
    ],
)
def test_columns_that_look_like_split_or_group_are_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, content: str, notice: str | None
) -> None:
    rows = read_manifest(csv_file(tmp_path, content))
    assert {row.split for row in rows} == ({"train", "test"} if ",split," in content else {None})
    assert notice in caplog.text if notice else not caplog.messages
    caplog.clear()
    read_manifest(tmp_path / "m.csv", labelled=False)
    assert not caplog.messages


def test_quotes_after_a_space_are_quotes(tmp_path: Path) -> None:
    manifest = csv_file(tmp_path, 'path, "label" ,note\n "a b.png", "covid" , "kept"\n"c.png","""x""",y\n')
    assert [(row.path, row.label, row.extra["note"]) for row in read_manifest(manifest)] == [
        ("a b.png", "covid", ' "kept"'),
        ("c.png", '"x"', "y"),
    ]


def test_columns_without_a_name_are_dropped(tmp_path: Path) -> None:
    manifest = csv_file(tmp_path, ",path,label,,\n0,a.png,x,,\n1,b.png,y,,\n")
    assert [(row.path, row.extra) for row in read_manifest(manifest)] == [("a.png", {}), ("b.png", {})]


def test_a_decomposed_label_is_the_same_class(tmp_path: Path) -> None:
    manifest = csv_file(tmp_path, "path,label\na.png,cafe\u0301\nb.png,caf\u00e9\n")
    assert {row.label for row in read_manifest(manifest)} == {"caf\u00e9"}


def test_a_quoted_note_may_have_lines_and_separators(tmp_path: Path) -> None:
    manifest = csv_file(tmp_path, 'path,label,note\na.png,x,"one, two\nthree"\nb.png,y,plain\n')
    assert [row.extra["note"] for row in read_manifest(manifest)] == ["one, two\nthree", "plain"]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize(
    "rows",
    [
        ["b.png,y,plain", "c.png,x,plain"],  # it runs to the end of the file
        ['b.png,y,"fine"', 'c.png,x,"fine"'],  # the next quote closes it
        ['b.png,y,""', 'c.png,x,"fine"'],
        ['"b.png","y","fine"', '"c.png","x","fine"'],
        [f"{i}.png,y,plain" for i in range(20_000)],
    ],
)
def test_a_quote_left_open_swallows_no_rows(tmp_path: Path, rows: list[str], end: str) -> None:
    lines = ["path,label,note", "", 'first.png,x,"a ""good"" one"', 'a.png,x,"left open', *rows, ""]
    with pytest.raises(
        DataError, match=r"Row 3 of .*m\.csv has a quoted cell without a clear end \(.*close its quotes"
    ):
        read_manifest(csv_file(tmp_path, end.join(lines)))


def test_a_quote_within_a_cell_is_text(tmp_path: Path) -> None:
    manifest = csv_file(tmp_path, 'path,label,note\na.png,x,5" wide\nb.png,y,"5"" wide"\nc.png,z,""\n')
    assert [row.extra["note"] for row in read_manifest(manifest)] == ['5" wide', '5" wide', ""]


def test_quoted_lines_survive_in_a_file_longer_than_a_block(tmp_path: Path) -> None:
    rows = "".join(f'{i}.png,x,"{"a" * 40}\n{"b" * 40}"\n' for i in range(30_000))
    manifest = csv_file(tmp_path, f"path,label,note\n{rows}")
    assert manifest.stat().st_size > 2 * 2**20, "must be longer than blocks of the CSV reader"
    read = read_manifest(manifest)
    assert len(read) == 30_000
    assert {row.extra["note"] for row in read} == {"a" * 40 + "\n" + "b" * 40}


@pytest.mark.slow
def test_a_type_that_changes_late_is_read_as_text(tmp_path: Path) -> None:
    rows = "".join(f"{i}.png,x,{i}\n" for i in range(100_000))
    manifest = csv_file(tmp_path, f"path,label,code\n{rows}last.png,y,A7\n")
    assert len(manifest.read_bytes()) > 2**20, "must be longer than a block of the CSV reader"
    read = read_manifest(manifest)
    assert (len(read), read[0].extra, read[-1].extra) == (100_001, {"code": "0"}, {"code": "A7"})


def test_labels_are_optional_where_none_are_needed(tmp_path: Path) -> None:
    assert read_manifest(csv_file(tmp_path, "path\na.png\n"), labelled=False)[0].label is None
    rows = read_manifest(csv_file(tmp_path, "path,label\na.png,\nb.png,x\n"), labelled=False)
    assert [row.label for row in rows] == [None, "x"]


def test_parquet_numbers_become_text_as_people_write_them(tmp_path: Path) -> None:
    manifest = parquet_file(
        tmp_path,
        path=["a", "b", "c"],
        label=pa.array([1, 2, 10]),
        group=pa.array([1.0, float("nan"), 0.5]),
    )
    assert [(row.number, row.label, row.group) for row in read_manifest(manifest)] == [
        (1, "1", "1"),
        (2, "2", None),
        (3, "10", "0.5"),
    ]


def test_parquet_integers_with_gaps_written_as_floats(tmp_path: Path) -> None:
    manifest = parquet_file(tmp_path, path=["a", "b"], label=pa.array([1.0, 2.0]))
    assert [row.label for row in read_manifest(manifest)] == ["1", "2"]
    manifest = parquet_file(tmp_path, path=["a", "b"], label=pa.array([1.0, None]))
    assert [row.label for row in read_manifest(manifest)] == ["1", None]


def test_parquet_keeps_other_columns_as_plain_values(tmp_path: Path) -> None:
    stamp = dt.datetime(2020, 1, 2, 3, 4, 5, 678)
    manifest = parquet_file(
        tmp_path,
        path=["a"],
        label=pa.array(["x"]).dictionary_encode(),
        seen=pa.array([stamp], pa.timestamp("ns")),
        took=pa.array([1_500], pa.duration("ns")),
        none=pa.array([None], pa.int64()),
    )
    (row,) = read_manifest(manifest)
    assert row.label == "x"
    assert row.extra == {"seen": stamp, "took": dt.timedelta(microseconds=1), "none": None}
    assert type(row.extra["seen"]) is dt.datetime


def test_parquet_lists_and_records_are_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", logger="featx")
    manifest = parquet_file(tmp_path, path=["a"], label=["x"], box=[[1, 2]], age=[5], who=[{"name": "b"}])
    assert read_manifest(manifest) == [Row(1, "a", "x", None, None, {"age": 5})]
    assert caplog.messages == ["Columns of lists or records in m.parquet were left out: box, who"]


def test_folder_names_add_no_column_to_parquet(tmp_path: Path) -> None:
    folder = tmp_path / "split=test"
    folder.mkdir()
    assert read_manifest(parquet_file(folder, path=["a"], label=["x"])) == [Row(1, "a", "x", None, None, {})]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("paht,label\na,x\n", r"Expected a column path in .*, found paht, label; add or rename path, or choose"),
        (
            "Path,LABEL, label_\na,x,y\n",
            r"Expected one column label in .*, found 'LABEL' and 'label_'; rename the right",
        ),
        ("path,label\na\0b,x\n", r"Expected UTF-8 text in .*, found a null character in line 2"),
        ("path,label\na," + "x" * 10_000_000, r"Expected a manifest of .*, found a line of 9 MiB in .*; keep a row"),
        (",".join(f"c{i}" for i in range(20_000)) + "\n1\n", r"Expected at most 10000 columns in .*, found 20000"),
        (
            "image_path,image_file,label\na,b,x\n",
            r"did you mean image_path or image_file for path\? Choose with --p",
        ),
        ("pic,label,age\na,x,5\n", r"found pic, label, age; add or rename path, or choose with --path-column"),
        ("imagepaths,label\na,x\n", r"did you mean imagepaths for path\?"),
        ("path,label,label\na,x,x\n", r"Expected each column of .* once, found path, label, label; rename"),
        ("path,label\na.png,x\n,y\n", r"Row 3 of .* has no path"),
        ("path,label,split\na,x,0\n", r"Expected train, val or test as split in row 2 of .*, found 0; write these n"),
        ("path,label,split\na,x,eval\n", r"as split in row 2 of .*, found eval; write val if .*, test if"),
        ("path,label,split\na,x,train\nb,x,\n", r"split in row 3 of .*, found an empty cell"),
        ("path,label\na,x\nb,y,z\n", r"Row 3 of .* has 3 cells where the header has 2; .*','"),
        ("path,label\na,x\nb\n", r"Row 3 of .* has 1 cells where the header has 2"),
        ("path,label\n", r"Expected a header and a row for each image in .*, found no rows"),
        ("path,label", r"found no rows"),
        ("", r"found an empty file"),
        (b"\xef\xbb\xbf\n", r"found an empty file"),
        (b"path,label\na,x\nb,caf\xe9\n", r"Expected UTF-8 text in .*, found other bytes in line 3"),
        ("path,label\na,x\n".encode("utf-16"), r"Expected UTF-8 text in .* line 1"),
        ('path,label\na,"x\nb",y\n', r"Row 2 of .* has 3 cells"),
        ('path,label\na,"x\nb"\n', r"Row 2 of .* has a label of several lines; write it on one line\."),
        ('path,label\n"a\nb",y\n', r"Row 2 of .* has a path of several lines"),
        ('path,label,group\na,x,p\nb,y,"p\nq"\n', r"Row 3 of .* has a group of several lines"),
        (
            "path,label\n" + "x" * 200_000,
            r"Row 2 of .* has a cell of more than 131072 letters; shorten",
        ),
        ("x" * 200_000 + "\na,b\n", r"cannot be read \(field larger than field limit"),
    ],
)
def test_a_csv_that_cannot_be_used_says_why(tmp_path: Path, content: str | bytes, message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        read_manifest(csv_file(tmp_path, content))
    assert "\n" not in str(caught.value)


def test_a_parquet_that_cannot_be_used_says_why(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is not valid Parquet"):
        read_manifest(csv_file(tmp_path, "path,label\na,x\n", "m.parquet"))
    with pytest.raises(DataError, match="found no rows"):
        read_manifest(parquet_file(tmp_path, path=pa.array([], pa.string()), label=pa.array([], pa.string())))
    with pytest.raises(DataError, match="did you mean file_names for path"):
        read_manifest(parquet_file(tmp_path, file_names=["a"], label=["x"]))
    with pytest.raises(DataError, match=r"Expected text or numbers in column label .*, found list"):
        read_manifest(parquet_file(tmp_path, path=["a"], label=[["x"]]))
    with pytest.raises(DataError, match=r"Expected text or numbers in column path .*, found binary"):
        read_manifest(parquet_file(tmp_path, path=[b"a"], label=["x"]))


@pytest.mark.parametrize("rows", [400, 30_000_000])
def test_a_parquet_file_that_unpacks_to_gigabytes_is_refused(tmp_path: Path, rows: int) -> None:
    # One value of 2 MB in each row, or one short value in very many: the file has some kB.
    value = "x" * (2_000_000 if rows == 400 else 1)
    column = pa.DictionaryArray.from_arrays(_zeros(rows), [value])
    manifest = parquet_file(tmp_path, path=column, label=column)
    assert manifest.stat().st_size < 500_000
    with pytest.raises(
        DataError, match=r"Expected a manifest of at most 512 MiB and 50 million cells, found .*; keep"
    ):
        read_manifest(manifest)


def _zeros(rows: int) -> pa.Array:
    return pa.Array.from_buffers(pa.int8(), rows, [None, pa.py_buffer(bytes(rows))])


@pytest.mark.parametrize(
    "column",
    [
        pa.array([2**62], pa.timestamp("us")),
        pa.array([2**30], pa.date32()),
        pa.array([2**62], pa.duration("ms")),
        pa.array([1], pa.timestamp("us", tz="Nowhere/No")),
    ],
    ids=str,
)
def test_values_that_python_does_not_have_are_refused(tmp_path: Path, column: pa.Array) -> None:
    with pytest.raises(
        DataError, match=r"Column seen of .*m\.parquet has values that Python cannot hold \(.*as text"
    ):
        read_manifest(parquet_file(tmp_path, path=["a"], label=["x"], seen=column))


def test_parquet_categories_of_numbers_and_flags(tmp_path: Path) -> None:
    manifest = parquet_file(
        tmp_path, path=["a", "b"], label=pa.array([1, 2]).dictionary_encode(), ill=pa.array([True, False])
    )
    assert [(row.label, row.extra) for row in read_manifest(manifest)] == [
        ("1", {"ill": True}),
        ("2", {"ill": False}),
    ]


def test_damaged_parquet_is_refused(tmp_path: Path) -> None:
    # PyArrow ends the whole process when it reads a damaged list.
    manifest = parquet_file(tmp_path, path=["a", "b"], label=["x", "ž"], box=[[1], [2, 3]])
    content = manifest.read_bytes()
    for bit in range(0, 8 * len(content), 37):
        place = bit // 8
        manifest.write_bytes(content[:place] + bytes([content[place] ^ (1 << bit % 8)]) + content[place + 1 :])
        with suppress(DataError):  # a changed letter of a name or a cell goes unnoticed
            read_manifest(manifest)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes")
@pytest.mark.parametrize("name", ["m.csv", "m.parquet"])
def test_what_is_no_file_on_a_disk_is_not_waited_for(tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / name)
    with pytest.raises(DataError, match=r"cannot be read \(it is not a regular file but a named pipe\)"):
        read_manifest(tmp_path / name)


def test_a_manifest_that_cannot_be_opened_says_why(tmp_path: Path) -> None:
    for name in ("m.csv", "m.parquet"):
        (tmp_path / name).mkdir()
        with pytest.raises(DataError, match=rf"The manifest .*{name} cannot be read \("):
            read_manifest(tmp_path / name)
