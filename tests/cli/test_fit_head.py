"""What `featx fit-head` prints of training, and its options for when to stop."""

from __future__ import annotations

from pathlib import Path

import pytest
from command_line import Featx
from pipeline_data import small_data, small_recipe

from featx.recipes import dump_recipe


@pytest.mark.slow
def test_the_patience_that_is_advised_keeps_the_best_epoch(featx: Featx, tiny_model: Path, tmp_path: Path) -> None:
    data, recipe = small_data(tmp_path / "data", train=8, test=3), tmp_path / "small.toml"
    restless = {"fit.epochs": 40, "fit.learning_rate": 0.05}
    recipe.write_text(dump_recipe(small_recipe(tiny_model, restless)), encoding="utf-8")
    words = ("fit-head", data, "--recipe", recipe, "--cache", tmp_path / "cache", "--out", tmp_path / "run")
    first = featx(*words)
    assert first.code == 0
    sentence = " ".join(first.out.split())
    assert "Validation loss was lowest at epoch " in sentence
    best = int(sentence.partition("lowest at epoch ")[2].split()[0])
    patience = int(sentence.partition("--patience ")[2].split()[0])
    again = featx(*words, "--patience", patience)
    assert again.code == 0
    assert f"weights of epoch {best}, with the lowest validation loss (" in " ".join(again.out.split())
    assert f"weights of epoch {best}, engine fused" in again.out
    document = featx(
        *words, "--patience", patience, "--class-weight", "balanced", "--weight-decay", 0.5, "--json"
    ).json
    assert document["kept_epoch"] == document["best_epoch"] <= document["epochs"] <= 40


def test_patience_without_validation_images_is_one_sentence(featx: Featx, tiny_model: Path, tmp_path: Path) -> None:
    data, recipe = small_data(tmp_path / "data", train=4, test=1), tmp_path / "small.toml"
    recipe.write_text(dump_recipe(small_recipe(tiny_model)), encoding="utf-8")
    words = ("fit-head", data, "--recipe", recipe, "--out", "run", "--validation", 0, "--patience", 5, "-q")
    refused = featx(*words)
    assert (refused.code, refused.out) == (1, "")
    assert "hold out a share (--validation 0.2), add a split val, or set the patience to 0" in refused.err


@pytest.mark.slow
def test_several_heads_as_one_with_the_mean_of_the_last_epochs(
    featx: Featx, tiny_model: Path, tmp_path: Path
) -> None:
    data, recipe = small_data(tmp_path / "data", train=4, test=1), tmp_path / "small.toml"
    recipe.write_text(dump_recipe(small_recipe(tiny_model)), encoding="utf-8")
    words = ("fit-head", data, "--recipe", recipe, "--cache", tmp_path / "cache", "--out", tmp_path / "run")
    shown = featx(*words, "--seeds", 3, "--average", 2, "--label-smoothing", 0.1)
    assert shown.code == 0
    text = " ".join(shown.out.split())
    assert "3, test accuracy of each by itself: " in text
    assert "The head has the mean of the weights at the ends of epochs 3 to 4." in text
    document = featx(*words, "--seeds", 2, "--keep", "best", "--json").json
    assert [member["seed"] for member in document["members"]] == [0, 1]
    assert document["kept_epoch"] == document["best_epoch"]
    refused = featx(*words, "--keep", "best", "--average", 2)
    assert (refused.code, refused.out) == (2, "")
    assert "average 2 takes the mean of the last epochs, but keep is 'best'" in " ".join(refused.err.split())
