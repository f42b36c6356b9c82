"""The demo, with fewer images than it has."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from html_page import read_page
from pipeline_data import files_of

from featx.phantoms import demonstration
from featx.phantoms.demonstration import Demo, demo
from featx.prediction import predict

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """Three training images of each class and one test image, one epoch, random weights."""
    out = tmp_path_factory.mktemp("demonstration") / "demo"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(demonstration, "TRAIN", dict.fromkeys(demonstration.TRAIN, 3))
        patch.setattr(demonstration, "TEST", 1)
        found = demo(out, weights="random", epochs=1)
    yield found
    shutil.rmtree(out)  # the head alone has 200 MB


def test_all_files_are_in_one_folder(shown: Demo) -> None:
    out = shown.data.parent
    assert {path.name for path in out.iterdir()} == {"data", "run", "map", "cache", "report.html"}
    assert len(files_of(shown.data)) == 4 * 3 + 4
    assert {path.suffix for path in (out / "map").iterdir()} == {".html", ".png", ".svg", ".csv", ".npz"}


def test_features_are_extracted_and_a_head_is_trained(shown: Demo) -> None:
    document = json.loads(json.dumps(shown.to_json()))
    assert document["parameters"] == {"total": 66_622_532, "trainable": 51_907_844, "non_trainable": 14_714_688}
    assert [document[name]["n"] for name in ("train", "validation", "test")] == [8, 4, 4]
    assert (document["epochs"], document["batch_size"], document["steps"]) == (1, 10, 1)
    assert document["data"] == str(shown.data)
    assert (document["map"]["n"], document["failed"]) == (12, [])
    assert shown.fit.recipe.preprocess.mean is not None


def test_it_writes_a_report(shown: Demo) -> None:
    assert shown.to_json()["report"] == str(shown.data.parent / "report.html")
    page = read_page(shown.report.file)
    assert "The backbone's weights are random" in page.all("header")[0].text
    assert [node.attributes["id"] for node in page.all("section", class_="level-2")][2] == "maps"
    assert shown.report.left_out == {}


def test_its_run_and_cache_can_be_used_afterwards(shown: Demo) -> None:
    image = files_of(shown.data / "test")[0]
    found = predict(shown.fit.run, [image], cache=shown.fit.extraction.store.root)
    assert sum(found.rows[0].probabilities.values()) == pytest.approx(1)


def test_weights_on_this_machine_are_used_and_random_ones_if_there_are_none(
    no_weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert demonstration._weights_here() == "random"
    (no_weights / "vgg16_notop.weights.h5").touch()
    monkeypatch.setenv("FEATX_WEIGHTS_DIR", str(no_weights))
    assert demonstration._weights_here() == "imagenet"
