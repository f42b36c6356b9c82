"""Copies of training images among test images: found by `fit_head`, scored without, and refused on request."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from altered_copies import ALTERATIONS, picture
from pipeline_data import small_recipe

from featx.classifiers import compare
from featx.errors import UntrustedError
from featx.recipes import Recipe
from featx.runs.fitting import fit_head

CLASSES = ("cat", "dog")


@pytest.fixture(scope="module")
def recipe(tiny_model: Path) -> Recipe:
    return small_recipe(tiny_model)


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("copies") / "data"
    for number in range(24):
        split = "test" if number >= 16 else "train"
        folder = root / split / CLASSES[number % 2]
        folder.mkdir(parents=True, exist_ok=True)
        picture(number).save(folder / f"{number:02d}.png")
    return root


@pytest.fixture(scope="module")
def leaky(clean: Path) -> Path:
    root = Path(shutil.copytree(clean, clean.parent / "leaky"))
    ALTERATIONS["mirrored"](picture(0)).save(root / "test" / "cat" / "copy.png")
    ALTERATIONS["saved again"](picture(3)).save(root / "test" / "dog" / "copy.png")
    return root


def test_a_copy_in_the_test_split_is_told_and_left_out(
    leaky: Path, recipe: Recipe, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    result = fit_head(leaky, recipe, out=tmp_path / "run", cache=leaky.parent / "cache")
    (warning,) = [record.message for record in caplog.records if "copies of training" in record.message]
    assert warning.startswith("2 of 10 test images are copies of training images in all but the bytes, such as test/")
    document = json.loads((tmp_path / "run" / "metrics.json").read_text("utf-8"))
    assert document["duplicates"] == 2
    without = document["without_duplicates"]
    assert without["n"] == 8
    copies = [
        image for image in (tmp_path / "run" / "predictions.csv").read_text("utf-8").splitlines() if "copy" in image
    ]
    right = sum(line.split(",")[3] == line.split(",")[4] for line in copies)
    assert without["correct"] == document["test"]["correct"] - right
    assert result.copies is not None
    assert ("without copies", str(result.copies.rest)) in result.overview()[1]


def test_strict_refuses_copies_before_anything_is_trained(leaky: Path, recipe: Recipe, tmp_path: Path) -> None:
    with pytest.raises(UntrustedError, match=r"2 of 10 test images .*remove one of each pair .* strict"):
        fit_head(leaky, recipe, out=tmp_path / "run", cache=leaky.parent / "cache", strict=True)
    assert not (tmp_path / "run").exists()


def test_clean_data_is_not_refused(
    clean: Path, recipe: Recipe, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    result = fit_head(clean, recipe, out=tmp_path / "run", cache=clean.parent / "cache", strict=True)
    assert "copies" not in caplog.text
    document = result.to_json()
    assert document["duplicates"] == 0
    assert "without_duplicates" not in document


def test_the_same_bytes_under_two_labels_are_refused(clean: Path, recipe: Recipe, tmp_path: Path) -> None:
    data = Path(shutil.copytree(clean, tmp_path / "data"))
    shutil.copy(data / "train" / "cat" / "00.png", data / "train" / "dog" / "other.png")
    message = r"1 image is there under two: train/cat/00.png is cat and train/dog/other.png is dog"
    with pytest.raises(UntrustedError, match=message):
        fit_head(data, recipe, out=tmp_path / "run", cache=clean.parent / "cache")
    with pytest.raises(UntrustedError, match=r"under two: .* is (cat|dog) and .* is (cat|dog)"):
        compare(data, recipe=recipe, cache=clean.parent / "cache", classifiers=["logreg"])
