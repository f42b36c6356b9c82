"""Several labels for an image: cells, columns, lists and matrices."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from pyarrow import parquet

from featx.data import Dataset, check_for_fit, read_data, read_paths
from featx.errors import DataError, UsageError

NAN = math.nan


def images(root: Path, n: int) -> list[str]:
    for number in range(n):
        (root / f"{number}.png").touch()
    return [f"{number}.png" for number in range(n)]


def table(root: Path, kind: Any = "csv", **columns: list[Any]) -> Path:
    n = len(next(iter(columns.values())))
    frame = pd.DataFrame(
        {"path": images(root, n), **{name.replace("__", ":"): each for name, each in columns.items()}}
    )
    path = root / f"m.{kind}"
    if kind == "csv":
        frame.to_csv(path, index=False)
    else:
        parquet.write_table(pa.Table.from_pandas(frame), path)
    return path


def targets(data: Dataset) -> list[list[float | None]]:
    assert data.multilabel
    assert {item.label for item in data.items} == {None}
    return [[None if target != target else target for target in item.targets or ()] for item in data.items]


def test_cells_that_name_several_labels(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", logger="featx")
    data = read_data(table(tmp_path, label=["b|a", " a ", "c | a||a", None, "b"]))
    assert data.classes == ("a", "b", "c")
    assert targets(data) == [[1, 1, 0], [1, 0, 0], [1, 0, 1], [None] * 3, [0, 1, 0]]
    assert data.counts() == {"train": {"a": 3, "b": 2, "c": 1}}
    assert caplog.messages == [
        "Data: 5 images, 3 labels, several of an image; train: a 3, b 2, c 1 of 5 images; 1 without a known label."
    ]


@pytest.mark.parametrize(
    ("cells", "separator", "classes", "multilabel"),
    [
        (["a", "b"], None, ("a", "b"), False),
        (["a|", "|b"], None, ("a|", "|b"), False),  # no cell has several parts
        (["a|b", "b"], "none", ("a|b", "b"), False),
        (["a;b", "b|c"], ";", ("a", "b", "b|c"), True),
        (["a", "b"], "|", ("a", "b"), True),  # chosen, so that a part of the data is read like the whole
        (["a b", "b"], " ", ("a", "b"), True),
    ],
)
def test_what_is_between_labels(
    tmp_path: Path, cells: list[str], separator: str | None, classes: tuple[str, ...], multilabel: bool
) -> None:
    data = read_data(table(tmp_path, label=cells), label_separator=separator)
    assert (data.classes, data.multilabel) == (classes, multilabel)


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_column_for_each_label(tmp_path: Path, kind: str, caplog: pytest.LogCaptureFixture) -> None:
    path = table(tmp_path, kind, label__B=[1.0, 0.0, None, 1.0], label__A=[-1, 1, 0, 0], age=[1, 2, 3, 4])
    data = read_data(path)
    assert data.classes == ("A", "B")  # in the order of the alphabet, as cells give them
    assert targets(data) == [[None, 1], [1, 0], [0, None], [0, 1]]
    assert [item.extra for item in data.items] == [{"age": age} for age in (1, 2, 3, 4)]
    assert "Cells of -1 are taken for unknown (1): A" in caplog.messages


def test_columns_that_are_chosen(tmp_path: Path) -> None:
    marks: dict[str, list[Any]] = {
        "No Finding": ["true", "False"],
        "Edema": ["", "1"],
        "Mass": [0, 1],
        "Sex": ["F", "M"],
    }
    path = table(tmp_path, **marks)
    data = read_data(path, label_columns="No Finding, Edema")
    assert data.classes == ("Edema", "No Finding")
    assert targets(data) == [[None, 1], [1, 0]]
    assert data.items[0].extra == {"Mass": 0, "Sex": "F"}
    assert read_data(path, label_columns=["Mass"]).classes == ("Mass",)


def test_two_kinds_of_labels(tmp_path: Path) -> None:
    path = table(tmp_path, label=["x", "y"], label__A=[1, 0], label__B=[0, 1])
    with pytest.raises(DataError, match=r"in a column label or in columns label:NAME, found both; choose one"):
        read_data(path)
    data = read_data(path, label_column="label")
    assert (data.classes, data.items[0].extra) == (("x", "y"), {"label:A": 1, "label:B": 0})
    for names in (["label:A"], ["A"], "A"):
        data = read_data(path, label_columns=names)
        assert (data.classes, data.items[0].extra) == (("A",), {"label": "x", "label:B": 0})
    # Where no labels are needed, the columns are used.
    assert read_paths([path]).classes == ("A", "B")


@pytest.mark.parametrize(
    ("columns", "choice", "error", "message"),
    [
        (
            {"label__A": [0, 2]},
            {},
            DataError,
            r"Expected 0, 1 or nothing in row 3 of .*m\.csv for the label A, found 2;",
        ),
        ({"label__A": [0, "yes"]}, {}, DataError, r"in row 3 of .* for the label A, found yes; correct the cell"),
        ({"label__A": [0, 1], "Label__A": [0, 1]}, {}, DataError, "Expected each column of .* once"),
        (
            {"Edema": [0, 1]},
            {"label_columns": "Edma"},
            DataError,
            "Expected the column Edma in .* did you mean Edema?",
        ),
        ({"A": [0, 1]}, {"label_columns": "A,A"}, UsageError, "names of columns for label_columns, each once"),
        ({"A": [0, 1]}, {"label_columns": ""}, UsageError, "names of columns for label_columns, each once"),
        ({"A": [0, 1]}, {"label_columns": "A", "label_column": "A"}, UsageError, "received both; leave one of them"),
        ({"A": [0, 1]}, {"label_columns": "A", "labels": "none"}, UsageError, "Expected no column of labels with"),
    ],
)
def test_columns_that_cannot_be_used(
    tmp_path: Path, columns: dict[str, list[Any]], choice: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message) as caught:
        read_data(table(tmp_path, **columns), **choice)
    assert "\n" not in str(caught.value)


def test_rows_that_contradict_each_other(tmp_path: Path) -> None:
    path = table(tmp_path, label=["a|b", "a"])
    path.write_text(path.read_text().replace("1.png", "0.png"))
    with pytest.raises(DataError, match=r"Rows 2 and 3 of .*m\.csv both list 0\.png, with different labels"):
        read_data(path)


@pytest.mark.parametrize(
    ("labels", "classes", "expected"),
    [
        ([["b", "a"], ["a"], [], None], ("a", "b"), [[1, 1], [1, 0], [0, 0], [None, None]]),
        ([{"b", "a"}, {"a"}, set(), None], ("a", "b"), [[1, 1], [1, 0], [0, 0], [None, None]]),
        (["a|b", "a", "b", None], ("a", "b"), [[1, 1], [1, 0], [0, 1], [None, None]]),
        (np.array([[1, 1], [1, 0], [0, NAN], [0, -1]]), ("0", "1"), [[1, 1], [1, 0], [0, None], [0, None]]),
        ([[1, 1], [1, 0], [0, 0], [0, 1]], ("0", "1"), [[1, 1], [1, 0], [0, 0], [0, 1]]),
        (
            pd.DataFrame({"z": [1, 1, 0, 0], "a": [1, 0, None, 0]}),
            ("a", "z"),
            [[1, 1], [0, 1], [None, 0], [0, 0]],
        ),
    ],
)
def test_labels_of_images_in_memory(labels: Any, classes: tuple[str, ...], expected: list[Any]) -> None:
    data = read_data(np.zeros((4, 8, 8), np.uint8), labels=labels)
    assert data.classes == classes
    assert targets(data) == expected


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([["a"], ["b"]], "Expected 4 labels, one for each image, received 2"),
        (np.full((4, 2), 2), "or a matrix of 1, 0 and NaN .* received other values in the shape"),
        ([["a"], ["b"], "c", None], "Expected a list of names of labels for each image, or None, received 'c'"),
        ([[], [], [], []], "Expected names of labels, received empty lists alone"),
        (np.eye(4), r"one for each image, received the shape \(4, 4\); where each row marks its class"),
    ],
)
def test_labels_in_memory_that_cannot_be_used(labels: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_data(np.zeros((4, 8, 8), np.uint8), labels=labels)


def test_manifests_of_several_kinds_are_read_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for folder in "ab":
        (tmp_path / folder).mkdir()
    table(tmp_path / "a", label=["x|y", "y"])
    table(tmp_path / "b", label=["z"]).write_text("path,label\n./0.png,z\n")
    monkeypatch.chdir(tmp_path)
    data = read_paths(["a/m.csv", "b/m.csv"])
    assert data.classes == ("x", "y", "z")
    assert targets(data) == [[1, 1, None], [0, 1, None], [0, 0, 1]]


def test_each_label_needs_images_with_it_and_without(tmp_path: Path) -> None:
    check_for_fit(read_data(table(tmp_path, label=["a|b", "a", "b", "c"])), 0.2)
    with pytest.raises(DataError, match=r"for 1 of 2 labels \(a \(3 with it, 0 without\)\); add images, or leave"):
        check_for_fit(read_data(table(tmp_path, label=["a|b", "a", "a"])), 0.2)
    check_for_fit(read_data(table(tmp_path, label=["a|b", "a", "b", None])), 0.2)
    with pytest.raises(DataError, match=r"found 2 images without labels; put"):
        check_for_fit(read_data(table(tmp_path, label__a=[None, None], label__b=[None, -1])), 0.2)
