from __future__ import annotations

import logging
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pipeline_data import files_of, read_table, small_data, small_recipe

from featx.classifiers import compare, save_best
from featx.errors import RunError, UsageError
from featx.prediction import Prediction, Predictions, predict
from featx.runs import FitResult, fit_head


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> FitResult:
    """A run of 40 training images in `run`, a saved classifier in `best`, and noise in `noise.png`."""
    root = tmp_path_factory.mktemp("evidence")
    small_data(root / "data", train=10, test=2)
    found = fit_head(root / "data", small_recipe(tiny_model), out=root / "run", cache=root / "cache")
    save_best(compare(root / "run", classifiers=["logreg"], folds=2, cache=root / "cache"), root / "best")
    noise = np.random.default_rng(0).integers(0, 256, (40, 40, 3), np.uint8)
    Image.fromarray(noise).save(root / "noise.png")
    return found


@pytest.fixture
def root(fitted: FitResult) -> Path:
    return fitted.run.parent


def predicted(root: Path, model: str = "run", neighbours: int = 0) -> Predictions:
    return predict(
        root / model, [root / "data" / "test", root / "noise.png"], cache=root / "cache", neighbours=neighbours
    )


@pytest.mark.parametrize("model", ["run", "best"])
def test_noise_is_outside_and_test_images_are_not(root: Path, model: str, caplog: pytest.LogCaptureFixture) -> None:
    found = predicted(root, model)
    assert found.training_images == 40
    *tests, noise = found.rows
    assert (noise.typicality, noise.outside) == (0, True)
    assert sum(row.outside for row in tests) <= 1
    assert max(row.typicality or 0 for row in tests) > 20
    warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    outside = [text for text in warnings if "outside what the training images span" in text]
    assert len(outside) == 1
    assert "noise.png" in outside[0]


def test_a_prediction_does_not_depend_on_the_other_images(root: Path) -> None:
    together = predicted(root).rows[-1]
    alone = predict(root / "run", root / "noise.png", cache=root / "cache").rows[0]
    assert (alone.typicality, alone.label) == (together.typicality, together.label)


def test_the_nearest_training_images_are_named(root: Path) -> None:
    training = files_of(root / "data" / "train")[7]
    found = predict(root / "run", [training, root / "noise.png"], cache=root / "cache", neighbours=2)
    itself = found.rows[0].neighbours[0]
    assert (itself.path, itself.same_file) == (training.relative_to(root / "data").as_posix(), True)
    assert itself.cosine == pytest.approx(1)
    document = found.to_json()["predictions"][1]
    assert list(document) == ["path", "label", "probabilities", "typicality", "neighbours"]
    assert [near["label"] for near in document["neighbours"]] == [near.label for near in found.rows[1].neighbours]
    assert all(near.split != "test" for row in found.rows for near in row.neighbours)
    cosines = [near.cosine for near in found.rows[1].neighbours]
    assert cosines == sorted(cosines, reverse=True)


def test_new_columns_of_the_table_come_last(root: Path, tmp_path: Path) -> None:
    manifest = tmp_path / "new.csv"
    manifest.write_text(f"path,typicality,ward\n{root / 'noise.png'},own,3\n", "utf-8")
    found = predict(root / "run", manifest, cache=root / "cache", neighbours=1)
    (row,) = read_table(found.write(tmp_path / "p.csv"))
    names = ["extra_typicality", "ward", "typicality", "neighbour_1", "neighbour_1_label", "neighbour_1_cosine"]
    assert list(row)[-6:] == names
    assert (row["extra_typicality"], row["typicality"]) == ("own", "0")
    (near,) = found.rows[0].neighbours
    assert (row["neighbour_1"], row["neighbour_1_label"]) == (near.path, near.label)


def test_a_cache_without_the_training_images_gives_one_notice(
    root: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    found = predict(root / "run", root / "noise.png", cache=tmp_path)
    assert found.rows[0].typicality is None
    assert found.to_json()["predictions"][0]["typicality"] is None
    assert "typicality" not in found.columns()
    notices = [text for text in caplog.messages if text.startswith("How typical images are")]
    assert len(notices) == 1
    assert "pass the cache of the fit" in notices[0]
    with pytest.raises(RunError, match="not all in the cache"):
        predict(root / "run", root / "noise.png", cache=tmp_path, neighbours=1)


def test_a_saved_classifier_has_no_names_of_training_images(root: Path) -> None:
    with pytest.raises(UsageError, match="does not have the names of its training images"):
        predicted(root, "best", neighbours=1)
    with pytest.raises(UsageError, match="at least 0, received -1"):
        predicted(root, neighbours=-1)


def test_a_classifier_that_was_saved_before_gives_a_notice(
    root: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    shutil.copytree(root / "best", tmp_path / "best")
    (tmp_path / "best" / "trained-on.csv").unlink()
    found = predict(tmp_path / "best", root / "noise.png", cache=root / "cache")
    assert found.rows[0].typicality is None
    assert "save it again with featx compare --save-best" in caplog.text


def test_the_page_shows_images_and_neighbours(root: Path, tmp_path: Path) -> None:
    found = predicted(root, neighbours=3)
    page = found.write_page(tmp_path / "p.html").read_text("utf-8")
    assert page.count("data:image/jpeg") == len(found.rows) * 4
    assert re.search(f"{len(found.outside)} of 9 images lies? outside what the training images span", page)
    # What is strange comes first.
    assert page.index("noise.png") < page.index(next(row.path for row in found.rows if not row.outside))
    for near in found.rows[-1].neighbours:
        assert f"{near.label}, cosine {near.cosine:.3f}" in page
    assert not re.search(r"(src|href)=\"(?!data:|#)", page)
    # Without a true label no bar has the colour of a wrong class where the class is the predicted one.
    assert all(row.true_label is None for row in found.rows)
    for row in found.rows:
        assert f'class="own"><dt>{row.label}</dt>' in page


def test_of_many_images_the_page_shows_those_outside(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = predicted(root)
    strange = len(found.outside)
    assert 0 < strange < len(found.rows) - 1
    ordered = replace(found, rows=tuple(sorted(found.rows, key=lambda row: row.outside)))
    monkeypatch.setattr("featx.prediction.page.MOST_PICTURES", strange + 1)
    page = ordered.write_page(tmp_path / "p.html").read_text("utf-8")
    assert f"Only {strange + 1} of {len(found.rows)} images are shown, those outside before the others." in page
    assert all(row.path in page for row in found.outside)


def test_a_typicality_just_below_the_limit_stays_below_it_in_json() -> None:
    row = Prediction("a.png", "a", {"a": 1.0}, typicality=100 * 2 / 201)
    assert row.outside
    assert row.to_json()["typicality"] < 1


def test_people_see_the_typicality_and_the_neighbours(root: Path) -> None:
    found = predicted(root, neighbours=1)
    header, rows = found.shown(found.rows[-1:], neighbours=True)
    assert header == ("image", "class", "probability", "typicality or cosine")
    assert rows[0][3] == "< 1"
    assert rows[1][0].strip() == f"near {found.rows[-1].neighbours[0].path}"
    header, rows = found.shown(found.rows)
    assert header[-1] == "typicality"
    assert len(rows) == len(found.rows)
