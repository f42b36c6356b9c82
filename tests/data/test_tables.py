from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from featx.data.tables.files import is_frame
from featx.data.tables.manifest import Row, read_frame
from featx.errors import DataError


def categories(*values: str) -> pa.Array:
    """Texts as polars gives those of a categorical column."""
    return pa.DictionaryArray.from_arrays(list(range(len(values))), pa.array(values, pa.string_view()))


class Exported:
    """A data frame of another library, such as polars: names of columns, and a stream of Arrow's."""

    def __init__(self, table: pa.Table) -> None:
        self.columns = table.column_names
        self._table = table

    def __arrow_c_stream__(self, requested_schema: Any = None) -> Any:
        return self._table.__arrow_c_stream__(requested_schema)


FIRST = Row(0, "a.png", "x", None, "1", {"age": 30})
SECOND = Row(1, "b.png", "y", None, None, {"age": 41})
COLUMNS = {"path": ["a.png", "b.png"], "label": ["x", "y"], "group": ["1", None], "age": [30, 41]}


@pytest.mark.parametrize(
    "frame",
    [
        pd.DataFrame(COLUMNS),
        pd.DataFrame(COLUMNS, index=["p", "q"]),
        pd.DataFrame(COLUMNS).astype({"path": "string", "label": "category", "group": "category", "age": "Int64"}),
        pd.DataFrame({**COLUMNS, "path": [Path("a.png"), Path("b.png")]}, dtype=object),
        pd.DataFrame({**COLUMNS, "path": pd.Categorical([Path("a.png"), Path("b.png")])}),
        pd.DataFrame({**COLUMNS, "path": ["a.png", Path("b.png")], "group": [1, float("nan")]}),
        pd.DataFrame({**COLUMNS, "group": pd.Series([1, pd.NA], dtype="Int64")}),
        pd.DataFrame({**COLUMNS, "group": pd.Series([1, pd.NA], dtype=object)}),
        pd.DataFrame({**COLUMNS, "group": np.array([1, np.nan], np.float32)}),
        pd.DataFrame({**COLUMNS, "label": pd.Series(["x", "y"], dtype=pd.ArrowDtype(pa.string()))}),
        pa.table(COLUMNS),
        Exported(pa.table(COLUMNS)),
        Exported(pa.table({**COLUMNS, "label": pa.array(["x", "y"], pa.large_string()).dictionary_encode()})),
        Exported(pa.table({**COLUMNS, "label": categories("x", "y")})),
        Exported(pa.table({**COLUMNS, "path": pa.array(COLUMNS["path"], pa.string_view())})),
    ],
)
def test_data_frames_of_all_kinds_have_the_same_rows(frame: Any) -> None:
    assert is_frame(frame)
    assert read_frame(frame) == [FIRST, SECOND]


def test_series_and_lists_are_no_frames() -> None:
    assert not any(map(is_frame, (pd.Series(["a"]), ["a"], np.zeros((1, 2, 2), np.uint8), "a.csv", {"path": ["a"]})))


def test_further_columns_keep_their_types() -> None:
    day = dt.date(2026, 1, 2)
    frame = pd.DataFrame(
        {**COLUMNS, "kv": [1.5, np.nan], "day": [day, day], "at": pd.to_datetime(["2026-01-02"] * 2)}
    )
    first, second = read_frame(frame)
    assert first.extra == {"age": 30, "kv": 1.5, "day": day, "at": dt.datetime(2026, 1, 2)}
    assert second.extra["kv"] is None


def test_columns_that_are_no_cells_are_left_out_with_a_notice(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", logger="featx")
    frame = pd.DataFrame(COLUMNS)
    frame["pixels"] = [np.zeros((2, 2)), np.ones((2, 2))]
    frame["boxes"] = [[1, 2], [3]]
    frame["things"] = [object(), object()]
    frame["month"] = pd.period_range("2026-01", periods=2, freq="M")
    frame["z"] = [1 + 2j, 3j]
    assert [row.extra for row in read_frame(frame)] == [{"age": 30}, {"age": 41}]
    assert caplog.messages == [
        "Columns of other values than text and numbers were left out of the data frame: boxes, month, pixels, "
        "things, z"
    ]


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (pd.DataFrame(), "Expected a column path in the data frame, found none; add or rename path"),
        (pd.DataFrame({"path": [], "label": []}), "Expected a row for each image in the data frame, found no rows"),
        (pd.DataFrame([["a", "x", "x"]], columns=["path", "label", "label"]), "found path, label, label; rename"),
        (pd.DataFrame({"path": ["a", None], "label": ["x", "y"]}), "Row 1 of the data frame has no path"),
        (
            pd.DataFrame({"image": [np.zeros((2, 2))], "label": ["x"]}),
            "text or numbers in column image of the data frame, used as path, .* Pass images in memory as a",
        ),
        (pd.DataFrame({"path": [b"a"], "label": ["x"]}), "text or numbers in column path of the data frame"),
        (pd.DataFrame({"path": ["a"], "label": [["x"]]}), "text or numbers in column label of the data frame"),
        (pa.table({"path": [b"a"], "label": ["x"]}), "text or numbers in column path of the data frame"),
    ],
)
def test_a_frame_that_cannot_be_used_says_why(frame: Any, message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        read_frame(frame)
    assert "\n" not in str(caught.value)
