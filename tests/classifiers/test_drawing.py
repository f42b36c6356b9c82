from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from PIL import Image
from pipeline_data import small_data, small_recipe

from featx.classifiers import Comparison, compare, write_pictures, write_tables

PICTURES = ["comparison.png", "comparison.svg", "confusion.png", "roc.png", "calibration.png"]


@pytest.mark.slow
def test_all_is_drawn(comparison: Comparison, tmp_path: Path) -> None:
    files = write_pictures(comparison, tmp_path / "out")
    assert [path.name for path in files] == PICTURES
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(PICTURES)
    for path in files[2:5]:
        with Image.open(path) as image:
            assert len(image.convert("RGB").getcolors(image.width * image.height) or ()) > 10
    again = write_pictures(comparison, tmp_path / "again")
    assert [path.read_bytes() for path in again] == [path.read_bytes() for path in files]


@pytest.mark.slow
def test_without_test_images_the_held_out_ones_are_shown(tmp_path: Path, tiny_model: Path, cache: Path) -> None:
    data = small_data(tmp_path / "data", train=6, test=0, classes=2)
    shutil.rmtree(data / "test", ignore_errors=True)
    found = compare(data, classifiers=["logreg"], folds=2, repeats=1, recipe=small_recipe(tiny_model), cache=cache)
    assert found.test is None
    assert [path.name for path in write_pictures(found, tmp_path / "out")] == PICTURES
    write_tables(found, tmp_path / "out")
    assert "there are no test images" in (tmp_path / "out" / "comparison.tex").read_text("utf-8")
