"""The demo, with fewer images than it has, and what its head and simple rules make of all its images."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from html_page import read_page
from PIL import Image
from pipeline_data import files_of
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from featx.phantoms import demonstration
from featx.phantoms.demonstration import ENGINE, EPOCHS, RECIPE, TEST, TRAIN, Demo, demo
from featx.phantoms.phantoms import write_phantoms
from featx.prediction import predict
from featx.recipes import load_recipe
from featx.runs import fit_head

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """Three training images of each class and one test image, one epoch, random weights."""
    out = tmp_path_factory.mktemp("demonstration") / "demo"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(demonstration, "TRAIN", 3)
        patch.setattr(demonstration, "TEST", 1)
        found = demo(out, weights="random", epochs=1)
    yield found
    shutil.rmtree(out)


def test_all_files_are_in_one_folder(shown: Demo) -> None:
    out = shown.data.parent
    assert {path.name for path in out.iterdir()} == {"data", "run", "cache", "report.html"}
    assert len(files_of(shown.data)) == 4 * 3 + 4
    assert {path.suffix for path in (out / "run").glob("tsne-*")} == {".html", ".png", ".svg", ".csv", ".npz"}


def test_features_are_extracted_and_a_head_is_trained(shown: Demo) -> None:
    document = json.loads(json.dumps(shown.to_json()))
    assert document["parameters"] == {"total": 3_741_988, "trainable": 328_964, "non_trainable": 3_413_024}
    assert [document[name]["n"] for name in ("train", "validation", "test")] == [8, 4, 4]
    assert (document["epochs"], document["batch_size"], document["steps"]) == (1, 10, 1)
    assert document["data"] == str(shown.data)
    assert (document["map"]["n"], document["failed"]) == (12, [])
    assert (shown.fit.recipe.name, shown.fit.recipe.views.count) == (RECIPE, 1)
    assert shown.fit.recipe.fit.learning_rate == demonstration.RANDOM_WEIGHTS_RATE


def test_it_writes_a_report(shown: Demo) -> None:
    assert shown.to_json()["report"] == str(shown.data.parent / "report.html")
    page = read_page(shown.report.file)
    assert "The backbone's weights are random" in page.all("header")[0].text
    assert [node.attributes["id"] for node in page.all("section", class_="level-2")][2:4] == ["audit", "maps"]
    assert shown.report.left_out == {}


def test_its_run_and_cache_can_be_used_afterwards(shown: Demo) -> None:
    image = files_of(shown.data / "test")[0]
    found = predict(shown.fit.run, [image], cache=shown.fit.extraction.store.root)
    assert sum(found.rows[0].probabilities.values()) == pytest.approx(1)


def test_weights_on_this_machine_are_used_and_random_ones_if_there_are_none(
    no_weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    vgg16 = load_recipe("covid4-vgg16")
    assert demonstration._weights_here(load_recipe(RECIPE)) == "imagenet"
    assert demonstration._weights_here(vgg16) == "random"
    assert demonstration._weights_here(vgg16.replaced({"backbone.weights": "own.h5"})) == "own.h5"
    (no_weights / "vgg16_notop.weights.h5").touch()
    monkeypatch.setenv("FEATX_WEIGHTS_DIR", str(no_weights))
    assert demonstration._weights_here(vgg16) == "imagenet"


def small_pixels(root: Path, split: str) -> tuple[npt.NDArray[np.float64], list[str]]:
    """Return images as 16 × 16 grey values in rows, and their classes."""
    paths = files_of(root / split)
    images = [np.asarray(Image.open(path)).reshape(16, 14, 16, 14).mean(axis=(1, 3)).ravel() for path in paths]
    return np.stack(images), [path.parent.name for path in paths]


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_network_sees_what_small_images_do_not_show(seed: int, tmp_path: Path) -> None:
    root = write_phantoms(tmp_path / "data", train=TRAIN, test=TEST, seed=seed)
    recipe = demonstration._shortened(RECIPE, None, EPOCHS, seed)
    accuracy = fit_head(root, recipe, out=tmp_path / "run", cache=tmp_path / "cache", engine=ENGINE).test.accuracy
    assert accuracy is not None
    train, test = small_pixels(root, "train"), small_pixels(root, "test")
    models = [LogisticRegression(C=c, max_iter=5000) for c in (0.01, 0.1, 1)]
    models += [KNeighborsClassifier(5), SVC(C=3)]
    pixels = max(make_pipeline(StandardScaler(), model).fit(*train).score(*test) for model in models)
    assert accuracy >= 0.8
    assert pixels <= accuracy - 0.15
