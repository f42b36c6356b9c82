from __future__ import annotations

import csv
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from pipeline_data import files_of, read_table, small_data, small_recipe, write_model

from featx.errors import DataError, ImageError, RunError, UntrustedError, UsageError
from featx.networks import build as networks
from featx.prediction import Predictions, predict
from featx.recipes import dump_recipe, load_recipe
from featx.runs import FitResult, fit_head

CLASSES = ("covid", "normal", "pneumonia_bac", "pneumonia_vir")


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> FitResult:
    """A run in `run`, with its `data` and `cache` beside it."""
    root = tmp_path_factory.mktemp("prediction")
    small_data(root / "data", train=4, test=2)
    recipe = small_recipe(tiny_model, {"preprocess.mode": "featurewise", "views.count": 2, "views.rotation": 10.0})
    return fit_head(root / "data", recipe, out=root / "run", cache=root / "cache")


@pytest.fixture
def cache(fitted: FitResult) -> Path:
    return fitted.extraction.store.root


@pytest.fixture
def data(fitted: FitResult) -> Path:
    return fitted.extraction.dataset.root


def check_as_fitted(found: Predictions, fitted: FitResult, data: Path) -> None:
    """Each prediction is the one in the run for the same image."""
    known = {row["path"]: row for row in read_table(fitted.run / "predictions.csv")}
    for row in found.rows:
        expected = known[Path(row.path).relative_to(data).as_posix()]
        assert row.label == expected["predicted"]
        assert list(row.probabilities) == list(CLASSES)
        for name, p in row.probabilities.items():
            assert p == pytest.approx(float(expected[f"p_{name}"]), abs=1e-5)


def test_predictions_are_the_runs_own(fitted: FitResult, data: Path, cache: Path) -> None:
    found = predict(fitted.run, [data / "test", data / "train"], cache=cache)
    assert len(found.rows) == 4 * 4 + 4 * 2
    check_as_fitted(found, fitted, data)
    # The probabilities differ from image to image.
    assert len({f"{row.probabilities['covid']:.4f}" for row in found.rows}) > 12
    row = found.rows[0]
    as_json = {"path": row.path, "label": row.label, "probabilities": row.probabilities, "typicality": None}
    assert found.to_json()["predictions"][0] == as_json


def test_other_data_have_the_stored_preprocessing(fitted: FitResult, data: Path, tmp_path: Path) -> None:
    # One image alone has channel statistics far from the training images'.
    one = files_of(data / "test")[0]
    folder = tmp_path / "ward" / one.relative_to(data)
    folder.parent.mkdir(parents=True)
    shutil.copy(one, folder)
    found = predict(fitted.run, [tmp_path / "ward"], cache=tmp_path / "cache")
    assert len(found.rows) == 1
    check_as_fitted(found, fitted, tmp_path / "ward")


def test_features_of_known_images_are_not_computed_again(
    fitted: FitResult, data: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("KerasNetwork", "OpenVINONetwork"):
        monkeypatch.delattr(networks, name)
    assert len(predict(fitted.run, [data / "train"], cache=cache).rows) == 16


def test_predictions_come_in_the_order_of_the_paths(
    fitted: FitResult, data: Path, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(data)
    given = [path.relative_to(data) for path in files_of(data / "train")[::-3]]
    found = predict(fitted.run, given, cache=cache)
    assert [row.path for row in found.rows] == [path.as_posix() for path in given]
    check_as_fitted(found, fitted, Path())
    mixed = predict(fitted.run, ["test/normal", given[0], "test/covid"], cache=cache)
    names = [[path.as_posix() for path in sorted(Path("test", name).iterdir())] for name in ("normal", "covid")]
    assert [row.path for row in mixed.rows] == [*names[0], given[0].as_posix(), *names[1]]


def test_a_manifest_with_or_without_labels(fitted: FitResult, data: Path, cache: Path, tmp_path: Path) -> None:
    paths = files_of(data / "test")[::-1]
    with (tmp_path / "ward.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["path"], *([path] for path in paths)])
    found = predict(fitted.run, [tmp_path / "ward.csv"], cache=cache)
    assert {row.path for row in found.rows} == {str(path) for path in paths}
    check_as_fitted(found, fitted, data)


def test_the_csv_says_the_same(fitted: FitResult, data: Path, cache: Path, tmp_path: Path) -> None:
    found = predict(fitted.run, [data / "test"], cache=cache)
    found.write(str(tmp_path / "out" / "predictions.csv"))
    table = read_table(tmp_path / "out" / "predictions.csv")
    assert list(table[0]) == ["path", "label", *(f"p_{name}" for name in CLASSES)]
    for row, line in zip(found.rows, table, strict=True):
        assert (line["path"], line["label"]) == (row.path, row.label)
        for name, p in row.probabilities.items():
            assert float(line[f"p_{name}"]) == pytest.approx(p, rel=1e-5)


def test_a_bad_image_fails_or_is_skipped(fitted: FitResult, data: Path, cache: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.png").write_text("not an image")
    good = files_of(data / "test")[0]
    with pytest.raises(ImageError, match=r"bad\.png"):
        predict(fitted.run, [good, tmp_path / "bad.png"], cache=cache)
    found = predict(fitted.run, [tmp_path / "bad.png", good], cache=cache, on_error="skip")
    assert [row.path for row in found.rows] == [good.as_posix()]
    assert [row["path"] for row in found.to_json()["failed"]] == [(tmp_path / "bad.png").as_posix()]
    with pytest.raises(DataError, match="found nothing"):
        predict(fitted.run, [tmp_path / "nowhere.png"], cache=cache)


def with_backbone(run: Path, copy: Path, changes: dict[str, str]) -> Path:
    """Copy a run with changes in its recipe."""
    recipe = shutil.copytree(run, copy) / "recipe.toml"
    recipe.write_text(dump_recipe(load_recipe(recipe).replaced(changes)), "utf-8")
    return copy


def test_other_weights_are_refused(fitted: FitResult, data: Path, cache: Path, tmp_path: Path) -> None:
    other = write_model(tmp_path / "other.keras", seed=9)
    run = with_backbone(fitted.run, tmp_path / "run", {"backbone.name": str(other)})
    with pytest.raises(UntrustedError, match="predictions would mean nothing") as caught:
        predict(run, [data / "test"], cache=cache)
    assert caught.value.exit_code == 4


def test_other_weights_of_a_named_backbone_are_refused(
    fitted: FitResult, data: Path, cache: Path, tmp_path: Path
) -> None:
    changes = {"backbone.name": "mobilenetv2", "backbone.weights": "random:1"}
    run = with_backbone(fitted.run, tmp_path / "run", changes)
    with pytest.raises(UntrustedError, match="found others in random:2"):
        predict(run, [data / "test"], cache=cache, weights="random:2")


def test_what_is_no_run_is_refused(data: Path, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="does not exist"):
        predict(tmp_path / "nowhere", [data])
    with pytest.raises(RunError, match=r"has no manifest\.json"):
        predict(data, [data])


def test_one_path_is_no_list_of_letters(fitted: FitResult, data: Path, cache: Path) -> None:
    first, second = files_of(data / "test")[:2]
    alone = predict(fitted.run, str(first), cache=cache)
    assert [row.path for row in alone.rows] == [str(first)]
    assert alone.rows == predict(fitted.run, first, cache=cache).rows
    assert alone.rows == predict(fitted.run, [first], cache=cache).rows
    both = predict(fitted.run, [first, second], cache=cache).rows
    assert both == predict(fitted.run, (path for path in (first, second)), cache=cache).rows
    assert both == predict(fitted.run, np.array([str(first), str(second)]), cache=cache).rows
    assert both == predict(fitted.run, pd.Series([first, second]), cache=cache).rows


def test_images_in_memory_are_and_data_frames_are_in_their_order(fitted: FitResult, data: Path, cache: Path) -> None:
    files = files_of(data / "train")[:12]
    expected = [row.probabilities for row in predict(fitted.run, files, cache=cache).rows]
    pixels = [np.asarray(Image.open(path).convert("RGB")) for path in files]
    for images in (pixels, np.stack(pixels)):
        found = predict(fitted.run, images, cache=cache).rows
        assert [row.path for row in found] == [f"image {number:02}" for number in range(12)]
        for row, shares in zip(found, expected, strict=True):
            assert row.probabilities == pytest.approx(shares, abs=1e-5)
    table = pd.DataFrame({"path": [str(path) for path in files[::-1]]})
    assert [row.path for row in predict(fitted.run, table, cache=cache).rows] == list(table["path"])


@pytest.mark.parametrize(
    ("paths", "received"),
    [
        (3, "a value of type int; pass a list"),
        (b"x.png", "a value of type bytes; pass a list"),
        ([b"x.png"], "a list with a value of type bytes; pass texts or paths alone"),
        ([1, 2], "a list with a value of type int; pass texts or paths alone"),
        ({"x.png": 1}, "a value of type dict; pass a list"),
    ],
)
def test_what_is_no_path_is_refused_in_one_sentence(fitted: FitResult, paths: Any, received: str) -> None:
    with pytest.raises(UsageError, match=f"^Expected paths of images.* received {received}"):
        predict(fitted.run, paths)
