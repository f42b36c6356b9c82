"""Networks in files: named relative to a recipe, used from any folder, and moved."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pipeline_data import small_data, write_model

from featx.errors import UsageError
from featx.networks.weights import find_weights
from featx.recipes import dump_recipe, load_recipe

RECIPE = """
images.size = 32
preprocess.mode = "rescale"
backbone = { name = "network.keras", pooling = "avg" }
fit = { epochs = 1 }
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder of data, a network and a recipe that names it."""
    folder = tmp_path / "project"
    small_data(folder / "data", classes=2)
    write_model(folder / "network.keras")
    (folder / "mine.toml").write_text(RECIPE)
    return folder


def test_a_path_in_a_recipe_is_relative_to_the_recipe(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    recipe = load_recipe("project/mine.toml")
    assert recipe.backbone.name == str(project / "network.keras")
    # Written elsewhere, it still names the same file.
    (tmp_path / "copy.toml").write_text(dump_recipe(recipe))
    assert load_recipe("copy.toml").backbone == recipe.backbone
    # A path that only the current folder has is that of the current folder.
    (tmp_path / "other").mkdir()
    shutil.copy(project / "mine.toml", tmp_path / "other")
    monkeypatch.chdir(project)
    assert load_recipe(tmp_path / "other" / "mine.toml").backbone.name == str(project / "network.keras")


def test_weights_in_a_recipe_are_relative_to_the_recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "mine.toml").write_text('backbone = { name = "vgg16", weights = "mine.h5" }')
    (tmp_path / "a" / "random.toml").write_text('backbone = { name = "vgg16", weights = "random:3" }')
    monkeypatch.chdir(tmp_path)
    assert load_recipe("a/mine.toml").backbone.weights == str(tmp_path / "a" / "mine.h5")
    assert load_recipe("a/random.toml").backbone.weights == "random:3"


@pytest.mark.slow
def test_a_run_is_used_from_another_folder_and_after_a_move(
    project: Path, tmp_path: Path, featx: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project)
    cache = str(tmp_path / "cache")
    assert featx("fit-head", "data", "--recipe", "mine.toml", "--out", "run", "--cache", cache, "-q").code == 0
    monkeypatch.chdir(tmp_path)
    image = str(next((project / "data").rglob("*.png")))
    predict = ("predict", "project/run", image, "--cache", str(tmp_path / "empty"))
    expected = featx(*predict)
    assert expected.code == 0
    # The network elsewhere: it is missing, and --weights finds it.
    (project / "network.keras").rename(tmp_path / "elsewhere.keras")
    missing = featx(*predict)
    assert missing.code == 1
    assert "name the file with --weights" in missing.err
    again = featx(*predict, "--weights", "elsewhere.keras")
    assert (again.code, again.out) == (0, expected.out)
    # Another network is refused.
    write_model(tmp_path / "another.keras", seed=1)
    other = featx(*predict, "--weights", "another.keras")
    assert other.code == 4
    assert "found others in another.keras" in other.err
    # The whole project, moved.
    (tmp_path / "elsewhere.keras").rename(project / "network.keras")
    project.rename(tmp_path / "moved")
    image = str(next((tmp_path / "moved" / "data").rglob("*.png")))
    assert featx("predict", "moved/run", image, "--cache", str(tmp_path / "third")).code == 0


def test_weights_of_a_model_file_are_its_own(tiny_model: Path, caplog: pytest.LogCaptureFixture) -> None:
    own = find_weights(str(tiny_model))
    with caplog.at_level("WARNING", "featx"):
        assert find_weights(str(tiny_model), "random").digest == own.digest
    assert "tiny.keras has its own weights; the choice 'random' does not change them" in caplog.text
    with pytest.raises(UsageError, match=r"name the \.keras file of tiny\.keras, .* received 'vgg\.h5'"):
        find_weights(str(tiny_model), "vgg.h5")


@pytest.mark.parametrize("ending", [".KERAS", ".Keras"])
def test_an_ending_in_capitals(ending: str, tiny_model: Path, tmp_path: Path) -> None:
    from network_data import keras_network, some_pixels

    path = tmp_path / f"net{ending}"
    shutil.copyfile(tiny_model, path)
    assert (keras_network(str(path)).rows(some_pixels()) == keras_network(str(tiny_model)).rows(some_pixels())).all()
