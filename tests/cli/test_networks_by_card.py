"""Networks by cards on the command line: from extract to report, moved, mistaken, and with other pixels."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pipeline_data import small_data, write_model

from featx.digests import digest_of_file
from featx.networks import load_card
from featx.recipes import load_recipe

Featx = Callable[..., Any]

CARD = """
name = "small"
kind = "keras"
[files]
"network.keras" = "{digest}"
[input]
layout = "nhwc"
colour = "rgb"
size = [32, 32]
[pixels]
interpolation = "bicubic"
fit = "crop"
resize_to = 36
scale = 0.00392156862745098
mean = [0.485, 0.456, 0.406]
std = [0.229, 0.224, 0.225]
[output]
pooling = "avg"
[about]
licence = "MIT"
source = "a seeded network"
"""
RECIPE = """
base = "covid4-resnet50v2"
name = "mine"
views.count = 1
preprocess.mode = "card"
backbone = { name = "net" }
fit = { epochs = 1, batch_size = 4 }
head = { layers = [{ type = "dense", units = 4 }] }
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder of data, a folder with a network and its card, and a recipe that names it."""
    folder = tmp_path / "project"
    small_data(folder / "data", classes=2)
    (folder / "net").mkdir()
    model = write_model(folder / "net" / "network.keras")
    (folder / "net" / "card.toml").write_text(CARD.format(digest=digest_of_file(model)))
    (folder / "mine.toml").write_text(RECIPE.replace('"net"', '"./net"'))
    return folder


def test_mistakes_cost_no_traceback(project: Path, featx: Featx, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project)
    card = project / "net" / "card.toml"
    text = card.read_text()

    def refused(change: tuple[str, str], code: int, message: str, *options: str) -> None:
        card.write_text(text.replace(*change))
        outcome = featx("extract", "data", "--backbone", "net", *options)
        assert (outcome.code, outcome.out) == (code, "")
        assert message in outcome.err
        assert len(outcome.err.strip().splitlines()) <= 2

    refused(("mean = [0.485, 0.456, 0.406]\n", ""), 2, "pixels.mean is missing; featx does not guess")
    refused(("mean =", "meen ="), 1, "there is no field pixels.meen; did you mean mean?")
    refused(("0.485, ", ""), 1, "pixels.mean must have 3 numbers")
    refused(('"network.keras" = "', '"network.keras" = "0'), 1, "a SHA-256 has 64 hexadecimal digits")
    refused(("32, 32", "32, 32.5"), 1, "input.size[1]")
    refused(("x", "x"), 1, "has a card; choose preprocess.mode 'card'", "--preprocess", "imagenet")
    refused(("x", "x"), 2, "--weights to name the card or folder", "--weights", "vgg.h5")
    (project / "net" / "network.keras").write_bytes(b"changed")
    refused(("x", "x"), 1, "network.keras to be the file that the card small describes")
    card.unlink()
    outcome = featx("extract", "data", "--backbone", "net")
    assert outcome.code == 2
    assert "featx does not guess how pixels are prepared" in outcome.err
    outcome = featx("extract", "data", "--backbone", "efficientnetlite0", "--preprocess", "card")
    assert (outcome.code, "is for networks with a card, and efficientnetlite0 has none" in outcome.err) == (1, True)


@pytest.mark.slow
def test_the_same_rows_by_any_path_and_other_rows_for_other_pixels(
    project: Path, featx: Featx, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project)
    extract = ("extract", "data", "--cache", str(project / "cache"), "--json", "--backbone")
    first = featx(*extract, "net").json
    assert (first["computed"], first["dim"]) == (first["rows"], 6)
    shutil.copytree(project / "net", project / "other")
    (project / "other" / "card.toml").rename(project / "other" / "renamed.toml")
    for place in ("net/", "./net", "net/card.toml", str(project / "net"), "other", "other/renamed.toml"):
        again = featx(*extract, place).json
        assert (again["computed"], again["feature_set"]) == (0, first["feature_set"])
    for options in (("--preprocess", "rescale"), ("--preprocess", "raw"), ("--preprocess", "featurewise")):
        other = featx(*extract, "net", *options).json
        assert other["computed"] == other["rows"]
        assert other["feature_set"] != first["feature_set"]
    described = json.loads(next((project / "cache").rglob(f"*{first['feature_set']}*/space.json")).read_text())
    card = load_card(project / "net")
    assert described["description"]["backbone"]["weights"] == card.digest()
    assert described["description"]["images"]["resize_to"] == 36


@pytest.mark.slow
def test_from_a_recipe_to_a_report_and_after_a_move(
    project: Path, tmp_path: Path, featx: Featx, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = str(tmp_path / "cache")
    monkeypatch.chdir(tmp_path)
    assert (
        featx(
            "fit-head", "project/data", "--recipe", "project/mine.toml", "--out", "project/run", "--cache", cache
        ).code
        == 0
    )
    recipe = load_recipe(project / "run" / "recipe.toml")
    card = load_card(project / "net")
    assert recipe.images == card.images().model_copy(update={"depth": "image"})  # no image has more than 8 bits
    assert recipe.backbone.pooling == "avg"
    manifest = json.loads((project / "run" / "manifest.json").read_text())
    assert manifest["weights"]["sha256"] == card.digest()
    assert manifest["weights"]["card"]["files"] == dict(card.files)
    image = str(next((project / "data").rglob("*.png")))
    predict = ("predict", "project/run", image, "--cache")
    expected = featx(*predict, cache)
    assert expected.code == 0
    report = featx("report", "project/run", "--out", "page.html", "--cache", cache, "--without", "comparison")
    assert report.code == 0
    page = (tmp_path / "page.html").read_text("utf-8")
    for text in (
        "small, frozen",
        "its own weights",
        "MIT",
        "a seeded network",
        "as the network&#39;s card says",
        card.digest(),
    ):
        assert text in page or text.replace("&#39;", "'") in page
    # The card elsewhere: it is missing, and --weights finds it. The cache knows the run's rows without it.
    (project / "net").rename(tmp_path / "elsewhere")
    missing = featx(*predict, str(tmp_path / "empty"))
    assert missing.code == 1
    assert "name its new place with --weights" in missing.err
    assert featx(*predict, str(tmp_path / "empty"), "--weights", "elsewhere").out == expected.out
    explained = featx("cache", "explain", image, "--run", "project/run", "--cache", cache)
    assert "is stored: it is not computed again" in explained.out
    # Another network is refused.
    other = tmp_path / "another"
    shutil.copytree(tmp_path / "elsewhere", other)
    model = write_model(other / "network.keras", seed=1)
    (other / "card.toml").write_text(CARD.format(digest=digest_of_file(model)))
    refused = featx(*predict, str(tmp_path / "empty"), "--weights", "another")
    assert (refused.code, "[pixels] or [output] of its card, have changed" in refused.err) == (4, True)
    # The whole project, moved.
    (tmp_path / "elsewhere").rename(project / "net")
    project.rename(tmp_path / "moved")
    image = str(next((tmp_path / "moved" / "data").rglob("*.png")))
    assert featx("predict", "moved/run", image, "--cache", str(tmp_path / "third")).code == 0


def test_a_recipe_that_contradicts_the_card(project: Path, featx: Featx, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project)
    recipe = project / "mine.toml"
    recipe.write_text(recipe.read_text() + '\n[images]\nsize = 32\nresize = "box"\n')
    outcome = featx("extract", "data", "--recipe", "mine.toml")
    assert outcome.code == 1
    assert "(resize 'bicubic', fit 'crop', resize_to 36), but the recipe's [images] says resize 'box'" in outcome.err
