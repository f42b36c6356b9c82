from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from pipeline_data import digest, files_of, small_data, small_recipe, write_model

from featx.errors import ImageError
from featx.features import extract
from featx.runs.explain import explain_image, explain_of_run
from featx.runs.fitting import fit_head


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A `model.keras` for images of any size, `data`, and a `cache` with two views of its training images."""
    root = tmp_path_factory.mktemp("explaining")
    write_model(root / "model.keras", size=None)
    small_data(root / "data", train=2, test=1, classes=2)
    spec = small_recipe(root / "model.keras", {"views.count": 2, "views.rotation": 20.0})
    extract(root / "data", spec, cache=root / "cache")
    return root


def image_of(root: Path, split: str = "train") -> Path:
    return files_of(root / "data" / split)[0]


def test_a_stored_row_is_a_hit_wherever_the_file_lies(root: Path, tmp_path: Path) -> None:
    moved = shutil.copy(image_of(root), tmp_path / "moved.png")
    found = explain_image(moved, small_recipe(root / "model.keras"), cache=root / "cache")
    assert (found.hit, found.digest, found.differences) == (True, digest(image_of(root)), [])
    assert "is stored: it is not computed again" in " ".join(found.sentences())


@pytest.mark.parametrize(
    ("changes", "field", "wanted", "stored"),
    [
        ({"images.size": 40}, "images.size", 40, 32),
        ({"images.resize": "box"}, "images.resize", "box", "bilinear"),
        ({"backbone.pooling": "avg"}, "backbone.pooling", "avg", "none"),
        ({"backbone.cut": "conv_1"}, "backbone.cut", "conv_1", None),
        ({"features.dtype": "float16"}, "dtype", "float16", "float32"),
    ],
)
def test_the_part_that_differs_is_named(
    changes: dict[str, Any], field: str, wanted: object, stored: object, root: Path
) -> None:
    found = explain_image(image_of(root), small_recipe(root / "model.keras", changes), cache=root / "cache")
    assert not found.hit
    assert found.differences == [(field, wanted, stored)]
    assert field in found.sentences()[-1]


def test_other_weights_are_named(root: Path, tmp_path: Path) -> None:
    other = write_model(tmp_path / "model.keras", seed=3, size=None)
    found = explain_image(image_of(root), small_recipe(other), cache=root / "cache")
    assert found.differences == [("backbone.weights", digest(other), digest(root / "model.keras"))]


def test_other_preprocessing_is_named(root: Path) -> None:
    spec = small_recipe(root / "model.keras", {"preprocess.mode": "featurewise"})
    found = explain_image(image_of(root), spec, cache=root / "cache")
    # Statistics that are not known yet explain nothing and are not named.
    assert (found.hit, found.differences) == (False, [("preprocess.rule", "featurewise", "rescale")])


def test_a_view_is_asked_for_by_its_number(root: Path) -> None:
    changes = {"views.count": 2, "views.rotation": 20.0}
    spec = small_recipe(root / "model.keras", changes)
    assert explain_image(image_of(root), spec, view=1, cache=root / "cache").hit
    beyond = explain_image(image_of(root), spec, view=5, cache=root / "cache")
    assert (beyond.hit, beyond.views) == (False, [1])
    other = spec.replaced({"views.rotation": 30.0})
    found = explain_image(image_of(root), other, view=1, cache=root / "cache")
    assert found.differences == [("views.rotation", 30.0, 20.0)]
    # A test image has no views but itself.
    assert not explain_image(image_of(root, "test"), spec, view=1, cache=root / "cache").hit


def test_stored_statistics_are_taken_for_the_same(root: Path, tmp_path: Path) -> None:
    spec = small_recipe(root / "model.keras", {"preprocess.mode": "featurewise"})
    extract(root / "data", spec, cache=tmp_path / "cache")
    assert explain_image(image_of(root), spec, cache=tmp_path / "cache").hit
    # Statistics that are named are meant.
    fixed = spec.replaced({"preprocess.mean": (0.5, 0.5, 0.5), "preprocess.std": (0.1, 0.1, 0.1)})
    found = explain_image(image_of(root), fixed, cache=tmp_path / "cache")
    assert {field for field, _, _ in found.differences} == {"preprocess.mean", "preprocess.std"}


def test_an_image_that_was_never_extracted(root: Path, tmp_path: Path) -> None:
    other = files_of(small_data(tmp_path / "data", train=1, test=0, classes=1, seed=8))[0]
    for cache in (root / "cache", tmp_path / "empty"):
        found = explain_image(other, small_recipe(root / "model.keras"), cache=cache)
        assert (found.hit, found.nearest, found.differences) == (False, None, [])
        assert "never extracted" in found.sentences()[0]
    assert not (tmp_path / "empty").exists()


def test_a_file_that_cannot_be_read(root: Path, tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="does not exist"):
        explain_image(tmp_path / "nowhere.png", small_recipe(root / "model.keras"), cache=root / "cache")


@pytest.mark.slow
def test_a_run_is_asked_without_its_weights_on_this_machine(tmp_path: Path) -> None:
    model = write_model(tmp_path / "model.keras", size=None)
    data = small_data(tmp_path / "data", train=8, test=1)
    fit_head(data, small_recipe(model), out=tmp_path / "run", cache=tmp_path / "cache")
    image = files_of(data)[0]
    model.unlink()
    assert explain_of_run(image, tmp_path / "run", cache=tmp_path / "cache").hit
    write_model(model, seed=5, size=None)
    assert not explain_image(image, small_recipe(model), cache=tmp_path / "cache").hit
    assert explain_of_run(image, tmp_path / "run", cache=tmp_path / "cache").hit
