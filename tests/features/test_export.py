from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from pipeline_data import files_of, small_data, small_recipe, write_manifest

from featx.errors import StoreError, UsageError
from featx.features import export as exporting
from featx.features import spaces
from featx.features.export import export_rows
from featx.features.extraction import Extraction, extract

N_TRAIN, N_TEST, VIEWS = 6, 4, 3
COLUMNS = ["id", "label", "split", "group", "view", "sha256"]
EXTRA = ["age", "number", "taken", "extra_view"]


@pytest.fixture(scope="module")
def extraction(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Extraction:
    """Three views of training images; test images without a group. Further columns, one named like ours."""
    root = tmp_path_factory.mktemp("exporting")
    data = small_data(root / "data", train=3, test=2, classes=2)
    columns: dict[str, Callable[[Path], str]] = {
        "group": lambda path: path.stem if "train" in path.parts else "",
        "age": lambda path: str(len(path.stem)) if "train" in path.parts else "",
        "number": lambda path: str(len(path.stem)),
        "taken": lambda _: "2026-01-02",
        "view": lambda path: "AP, " + path.stem,
    }
    listed = write_manifest(data / "list.csv", data, files_of(data), columns)
    spec = small_recipe(tiny_model, {"views.count": VIEWS, "views.rotation": 20.0})
    return extract(listed, spec, cache=root / "cache")


def read(path: Path) -> dict[str, list[Any]]:
    """The columns of an export, the features as an array under `X`."""
    if path.suffix == ".npz":
        with np.load(path, allow_pickle=False) as archive:
            return {name: archive[name] if name == "X" else archive[name].tolist() for name in archive.files}
    if path.suffix == ".csv":
        frame = pd.read_csv(path)
        features = frame[[name for name in frame if re.fullmatch(r"x\d+", name)]].to_numpy(np.float32)
        others = frame.drop(columns=[f"x{n}" for n in range(features.shape[1])]).astype(object)
        return {**others.where(others.notna(), None).to_dict("list"), "X": features}
    table = pq.read_table(path).to_pydict()
    features = np.array(table.pop("features"), np.float32)
    return {**table, "X": features}


@pytest.mark.parametrize("ending", [".npz", ".parquet", ".csv", ".NPZ"])
@pytest.mark.parametrize("at_once", [1024, 4])
def test_an_export_holds_every_row_with_its_columns(
    ending: str, at_once: int, extraction: Extraction, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exporting, "ROWS_AT_ONCE", at_once)
    written = export_rows(extraction, tmp_path / "deep" / f"rows{ending}")
    assert [path.name for path in written.parent.iterdir()] == [written.name]
    columns = read(written.rename(written.with_suffix(ending.lower())))
    assert list(columns) == [*COLUMNS, *EXTRA, "X"]
    assert np.shape(columns["X"]) == (N_TRAIN * VIEWS + N_TEST, extraction.dim)
    assert np.asarray(columns["X"]).dtype == np.float32
    image = {image.item.id: image for image in extraction.images}
    rows = zip(*(columns[name] for name in (*COLUMNS, "X")), strict=True)
    for name, label, split, group, view, key, row in rows:
        item = image[name].item
        absent = "" if ending.lower() == ".npz" else None
        assert (label, split, group or None, key) == (item.label, item.split, item.group, image[name].digest)
        assert group == (item.group or absent)
        (stored,) = extraction.space.of_view(view).rows([(key, view)]).to_array()
        np.testing.assert_array_equal(row, stored)
    counts = {split: columns["split"].count(split) for split in ("train", "test")}
    assert counts == {"train": N_TRAIN * VIEWS, "test": N_TEST}


def test_further_columns_keep_their_types(extraction: Extraction, tmp_path: Path) -> None:
    image = {image.item.id: image.item.extra for image in extraction.images}
    for ending in (".npz", ".parquet", ".csv"):
        columns = read(export_rows(extraction, tmp_path / f"rows{ending}"))
        for name, age, number, taken, view in zip(*(columns[name] for name in ("id", *EXTRA)), strict=True):
            expected = image[name]
            assert (number, view) == (expected["number"], expected["view"])
            assert np.isnan(age) if age != age else age == expected["age"]
            assert taken == (expected["taken"] if ending == ".parquet" else "2026-01-02")
        assert any(age is None or age != age for age in columns["age"])


def test_view_0_is_the_table(extraction: Extraction, tmp_path: Path) -> None:
    columns = read(export_rows(extraction, tmp_path / "rows.npz"))
    first = np.array(columns["view"]) == 0
    table = extraction.table()
    assert table.extra["age"] == tuple(image.item.extra["age"] for image in extraction.images)
    frame = table.to_frame()
    assert frame.columns.tolist()[:11] == [*COLUMNS, *EXTRA, "x0"]
    assert frame["number"].dtype.kind == "i"
    assert np.array(columns["id"])[first].tolist() == list(table.ids)
    np.testing.assert_array_equal(np.asarray(columns["X"])[first], table.X)


def test_an_unknown_ending_is_refused_and_nothing_written(extraction: Extraction, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"\.npz, \.parquet or \.csv, received rows\.xlsx"):
        export_rows(extraction, tmp_path / "rows.xlsx")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("ending", [".npz", ".parquet", ".csv"])
def test_an_export_that_fails_leaves_the_earlier_one(
    ending: str, extraction: Extraction, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = export_rows(extraction, tmp_path / f"rows{ending}")
    before = path.read_bytes()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(spaces.ViewRows, "chunks", full)
    with pytest.raises(StoreError, match="No space left on device"):
        export_rows(extraction, path)
    assert path.read_bytes() == before
    assert [each.name for each in tmp_path.iterdir()] == [path.name]
