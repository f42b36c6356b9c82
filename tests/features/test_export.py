from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
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


@pytest.fixture(scope="module")
def extraction(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Extraction:
    """Three views of training images; test images without a group."""
    root = tmp_path_factory.mktemp("exporting")
    data = small_data(root / "data", train=3, test=2, classes=2)
    groups = {"group": lambda path: path.stem if "train" in path.parts else ""}
    listed = write_manifest(data / "list.csv", data, files_of(data), groups)
    spec = small_recipe(tiny_model, {"views.count": VIEWS, "views.rotation": 20.0})
    return extract(listed, spec, cache=root / "cache")


def read(path: Path) -> dict[str, list[Any]]:
    """The columns of an export, the features as an array under `X`."""
    if path.suffix == ".npz":
        with np.load(path, allow_pickle=False) as archive:
            return {name: archive[name] if name == "X" else archive[name].tolist() for name in archive.files}
    table = pq.read_table(path).to_pydict()
    features = np.array(table.pop("features"), np.float32)
    return {**table, "X": features}


@pytest.mark.parametrize("ending", [".npz", ".parquet", ".NPZ"])
@pytest.mark.parametrize("at_once", [1024, 4])
def test_an_export_holds_every_row_with_its_columns(
    ending: str, at_once: int, extraction: Extraction, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exporting, "ROWS_AT_ONCE", at_once)
    written = export_rows(extraction, tmp_path / "deep" / f"rows{ending}")
    assert [path.name for path in written.parent.iterdir()] == [written.name]
    columns = read(written.rename(written.with_suffix(ending.lower())))
    assert list(columns) == [*COLUMNS, "X"]
    assert np.shape(columns["X"]) == (N_TRAIN * VIEWS + N_TEST, extraction.dim)
    assert np.asarray(columns["X"]).dtype == np.float32
    image = {image.item.id: image for image in extraction.images}
    for name, label, split, group, view, key, row in zip(*columns.values(), strict=True):
        item = image[name].item
        absent = "" if ending.lower() == ".npz" else None
        assert (label, split, group or None, key) == (item.label, item.split, item.group, image[name].digest)
        assert group == (item.group or absent)
        (stored,) = extraction.space.of_view(view).rows([(key, view)]).to_array()
        np.testing.assert_array_equal(row, stored)
    counts = {split: columns["split"].count(split) for split in ("train", "test")}
    assert counts == {"train": N_TRAIN * VIEWS, "test": N_TEST}


def test_view_0_is_the_table(extraction: Extraction, tmp_path: Path) -> None:
    columns = read(export_rows(extraction, tmp_path / "rows.npz"))
    first = np.array(columns["view"]) == 0
    table = extraction.table()
    assert np.array(columns["id"])[first].tolist() == list(table.ids)
    np.testing.assert_array_equal(np.asarray(columns["X"])[first], table.X)


def test_an_unknown_ending_is_refused_and_nothing_written(extraction: Extraction, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"\.npz or \.parquet, received rows\.csv"):
        export_rows(extraction, tmp_path / "rows.csv")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("ending", [".npz", ".parquet"])
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
