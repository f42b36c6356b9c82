from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
from pyarrow import parquet

from featx.data.tables.manifest import Row, read_frame, read_manifest
from featx.errors import DataError, UsageError

Reader = Callable[..., list[Row]]
Columns = dict[str, list[Any]]


@pytest.fixture(params=["csv", "parquet", "pandas", "pyarrow"])
def read(request: pytest.FixtureRequest, tmp_path: Path) -> Reader:
    """Read columns as a table of one kind, with the columns that are chosen."""

    def read(columns: Columns, **chosen: str) -> list[Row]:
        frame = pd.DataFrame(columns)
        if request.param == "csv":
            frame.to_csv(tmp_path / "m.csv", index=False)
            return read_manifest(tmp_path / "m.csv", chosen=chosen)
        if request.param == "parquet":
            parquet.write_table(pa.table(columns), tmp_path / "m.parquet")
            return read_manifest(tmp_path / "m.parquet", chosen=chosen)
        return read_frame(frame if request.param == "pandas" else pa.table(columns), chosen=chosen)

    return read


PATIENTS = ["1", "1", "2", "3", "4", "4"]


def table(**columns: list[Any]) -> Columns:
    """Six images of two classes."""
    return {"path": [f"{n}.png" for n in range(6)], "label": ["x", "y"] * 3, **columns}


@pytest.mark.parametrize(
    ("path", "label"),
    [
        *(("filename", "class"), ("file", "category"), ("image", "target"), ("Image Index", "Finding Labels")),
        *(("Photo", "diagnosis"), ("File Name", "Species"), ("id", "Class"), ("image_path", "labels")),
    ],
)
def test_columns_of_paths_and_classes_are_recognised(
    read: Reader, path: str, label: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", logger="featx")
    rows = read({path: ["a.png", "b.png"], label: ["x", "y"], "age": [30, 40]})
    assert [(row.path, row.label, row.extra) for row in rows] == [
        ("a.png", "x", {"age": 30}),
        ("b.png", "y", {"age": 40}),
    ]
    assert len(caplog.messages) == 2
    assert f"Column {path} of " in caplog.text
    assert "path_column" in caplog.text
    assert f"Column {label} of " in caplog.text
    assert "label_column" in caplog.text


def test_a_recognised_class_keeps_its_zeros(tmp_path: Path) -> None:
    manifest = tmp_path / "m.csv"
    manifest.write_text("file,class\na.png,01\nb.png,02\n")
    assert [row.label for row in read_manifest(manifest)] == ["01", "02"]


def test_the_clearer_name_is_the_path(read: Reader) -> None:
    rows = read({"id": [1, 2], "image": ["a", "b"], "filename": ["a.png", "b.png"], "label": ["x", "y"]})
    assert [(row.path, row.extra) for row in rows] == [
        ("a.png", {"id": 1, "image": "a"}),
        ("b.png", {"id": 2, "image": "b"}),
    ]


@pytest.mark.parametrize("name", ["patient_id", "Patient ID", "patient", "SubjectID", "lesion_id"])
def test_patients_who_are_there_several_times_are_groups(
    read: Reader, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    rows = read(table(**{name: PATIENTS}))
    assert [row.group for row in rows] == PATIENTS
    assert f"Column {name} of " in caplog.text
    assert "group_column, or none" in caplog.text
    caplog.clear()
    rows = read(table(**{name: PATIENTS}), group="none")
    assert [(row.group, row.extra[name]) for row in rows] == [(None, patient) for patient in PATIENTS]
    assert not caplog.messages


@pytest.mark.parametrize(
    ("columns", "notice"),
    [
        ({"patient": ["1", "2", "3", "4", "5", "6"]}, False),  # nothing is to be kept together
        ({"patient": ["yes", "no"] * 3}, True),  # no more than classes
        ({"case": PATIENTS}, True),  # what it says is not clear
        ({"patient_id": PATIENTS, "lesion_id": ["a", "a", "b", "c", "d", "e"]}, True),  # which of them?
        ({"group": PATIENTS, "patient_id": ["a", "a", "b", "c", "d", "e"]}, False),
    ],
)
def test_doubtful_groups_are_not_used(
    read: Reader, columns: Columns, notice: bool, caplog: pytest.LogCaptureFixture
) -> None:
    rows = read(table(**columns))
    assert [row.group for row in rows] == columns.get("group", [None] * 6)
    assert {"patient", "patient_id", "case"}.intersection(rows[0].extra)
    assert ("with group_column to keep images of each together" in caplog.text) == notice


def test_a_split_is_recognised_by_its_cells_and_can_be_refused(read: Reader) -> None:
    cells = ["train", "test"] * 3
    assert [row.split for row in read(table(Partition=cells))] == cells
    for name in ("split", "Split", "set"):
        assert [(row.split, row.extra) for row in read(table(**{name: cells}), split="none")] == [
            (None, {name: cell}) for cell in cells
        ]


def test_a_chosen_column_goes_before_one_that_has_the_name(read: Reader) -> None:
    columns = table(Diagnose=["a", "b"] * 3, where=[f"f/{n}.png" for n in range(6)], group=["q"] * 6, ward=PATIENTS)
    rows = read(columns, label="Diagnose", path="where", group="ward")
    assert [(row.path, row.label, row.group) for row in rows] == list(
        zip(columns["where"], columns["Diagnose"], PATIENTS, strict=True)
    )
    assert rows[1].extra == {"path": "1.png", "label": "y", "group": "q"}


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        ({"label": "diagnosis"}, "Expected the column diagnosis in .* did you mean Diagnosis?"),
        ({"label": "DIAGNOSIS"}, "did you mean Diagnosis?"),
        ({"group": "patient"}, "did you mean Patient ID?"),
        ({"group": "patientid"}, "did you mean Patient ID?"),
        ({"group": "nurse"}, "choose another --group-column"),
    ],
)
def test_a_chosen_column_that_is_not_there(read: Reader, chosen: dict[str, str], message: str) -> None:
    with pytest.raises(DataError, match=message):
        read(table(**{"Diagnosis": ["a", "b"] * 3, "Patient ID": PATIENTS}), **chosen)


def test_a_column_has_one_meaning(read: Reader) -> None:
    with pytest.raises(UsageError, match="received ward for both; choose another --group-column"):
        read(table(ward=PATIENTS), label="ward", group="ward")
