from __future__ import annotations

import logging
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from pipeline_data import small_data
from source_data import source_of
from typer.testing import CliRunner

from featx.classifiers.pixels import pixel_rows
from featx.cli import app
from featx.store import Store


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return small_data(tmp_path / "data", train=3, test=1, classes=2)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "cache")


def by_pillow(path: Path) -> NDArray[np.float64]:
    with Image.open(path) as image:
        small = image.convert("RGB").resize((16, 16), Image.Resampling.BILINEAR)
    return np.asarray(small, np.float64) @ [0.299, 0.587, 0.114] / 255


def test_rows_are_the_images_in_grey(data: Path, store: Store) -> None:
    source = source_of(data)
    rows = pixel_rows(source, store)
    assert rows is not None
    assert rows.shape == (8, 256)
    assert rows.dtype == np.float32
    for path, row in zip(source.files, rows, strict=True):
        np.testing.assert_allclose(row.reshape(16, 16), by_pillow(path), atol=1e-6)


def test_colours_become_their_luma(tmp_path: Path) -> None:
    for name, colour in {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255)}.items():
        folder = tmp_path / "data" / name
        folder.mkdir(parents=True)
        Image.new("RGB", (20, 30), colour).save(folder / "image.png")
    source = source_of(tmp_path / "data")
    rows = pixel_rows(source, Store(tmp_path / "cache"))
    assert rows is not None
    found = dict(zip(source.table.labels, rows, strict=True))
    for name, luma in {"red": 0.299, "green": 0.587, "blue": 0.114}.items():
        np.testing.assert_allclose(found[name], luma, atol=1e-6)


def test_the_second_call_reads_no_image(data: Path, store: Store) -> None:
    source = source_of(data)
    first = pixel_rows(source, store)
    shutil.rmtree(data)
    again = pixel_rows(source, store)
    assert first is not None
    np.testing.assert_array_equal(again, first)
    # Part of the images, in another order, are the same rows.
    some = source.take(np.array([5, 0, 3]))
    np.testing.assert_array_equal(pixel_rows(some, store), first[[5, 0, 3]])


def test_images_with_the_same_bytes_have_one_row(data: Path, store: Store) -> None:
    one = next(data.rglob("*.png"))
    shutil.copy(one, one.with_name("copy.png"))
    rows = pixel_rows(source_of(data), store)
    assert rows is not None
    assert len(rows) == 9
    assert len(np.unique(rows, axis=0)) == 8


def changed(path: Path) -> None:
    Image.new("L", (40, 40), 7).save(path)


def damaged(path: Path) -> None:
    path.write_bytes(b"no image")


@pytest.mark.parametrize("spoil", [Path.unlink, changed, damaged])
def test_without_the_files_there_is_no_baseline(
    data: Path, store: Store, caplog: pytest.LogCaptureFixture, spoil: Callable[[Path], None]
) -> None:
    source = source_of(data)
    spoil(source.files[3])
    with caplog.at_level(logging.WARNING, "featx"):
        assert pixel_rows(source, store) is None
    (record,) = caplog.records
    assert f"left out, since the image {source.table.ids[3]} is gone" in record.getMessage()


def test_cache_info_names_them(data: Path, store: Store) -> None:
    assert pixel_rows(source_of(data), store) is not None
    done = CliRunner().invoke(app, ["cache", "info", "--cache", str(store.root)])
    assert "grey pixels, 16 × 16" in done.output
