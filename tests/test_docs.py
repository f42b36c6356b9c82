"""The documentation against the code: snippets run, pictures are there, tables say what the code does."""

from __future__ import annotations

import json
import re
import runpy
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from doc_blocks import DOCS, PAGES, blocks_of, rows_below, text_of
from PIL import Image
from pipeline_data import small_data, small_recipe
from pydantic import BaseModel

from featx import compare, extract, fit_head, predict, save_best
from featx.classifiers.estimator_files import TRUSTED
from featx.features import export_rows
from featx.networks import BACKBONES, find_backbone
from featx.recipes import DenseLayer, Recipe, load_recipe, pixels, recipe_names, schema
from featx.store import Store

# Where a table's fields are in docs/recipes.md: the heading or line above it.
FIELDS_OF: dict[str, type[BaseModel]] = {
    "### At the top": schema.Recipe,
    "### `[images]`": pixels.ImagesPart,
    "### `[views]`": pixels.ViewsPart,
    "### `[preprocess]`": pixels.PreprocessPart,
    "### `[backbone]`": schema.BackbonePart,
    "### `[features]`": schema.FeaturesPart,
    "### `[head]`": schema.HeadPart,
    "A dropout layer": schema.DropoutLayer,
    "A dense layer": schema.DenseLayer,
    "### `[fit]`": schema.FitPart,
    "### `[fit.schedule]`": schema.SchedulePart,
}


# Snippets

# In the order in which they are read: each continues the examples of the one before.
PYTHON_PAGES = ("python.md", "python-features.md", "python-heads.md", "python-analysis.md", "python-errors.md")


def run_snippets(text: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.chdir(folder)
    names: dict[str, Any] = {}
    for block in blocks_of(text):
        if block.runnable:
            exec(compile(block.body, "snippet", "exec"), names)
    return names


@pytest.mark.slow
def test_python_pages_run_one_after_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    names = run_snippets("\n".join(map(text_of, PYTHON_PAGES)), tmp_path, monkeypatch)
    shown = capsys.readouterr().out
    # 4 classes: 6 images of 2 views each to train on, 2 to test.
    assert "56 rows computed, 0 reused" in shown
    assert "(24, 1280) covid train/covid/covid-000.png" in shown
    assert "DataError 1 Expected" in shown
    assert "1280 features of mobilenetv2" in shown
    assert names["swept"].conclusion() in shown
    points = [(point.values["fit.batch_size"], point.seed) for point in names["swept"].points]
    assert points == [(4, 0), (4, 1), (8, 0), (8, 1)]
    assert names["result"].test.n == 8
    assert len(names["result"].history) == 3
    assert len(names["predictions"].rows) == 8
    assert "(24, 1286) ['id', 'label', 'split', 'group', 'view', 'sha256', 'x0']" in shown
    assert names["rows"].shape == (2, 1280)
    predicted = names["search"].predict(["phantoms/test/normal/normal-000.png"])[0]
    assert predicted in names["result"].extraction.dataset.classes
    assert all((tmp_path / file).is_file() for file in (*names["drawn"].files, *names["files"]))
    assert [len(part.ids) for part in names["measured"].parts] == [24, 24, 8, 8]


def test_cache_page_reads_what_the_store_wrote(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    digest = "ab" * 32
    rows = np.arange(6, dtype=np.float32).reshape(2, 3)
    for dtype in ("float32", "float16"):
        with Store(tmp_path / "cache").space({"kind": dtype}).writer(dtype=dtype) as writer:
            writer.add([(digest, 0), (digest, 2)], rows)
    names = run_snippets(text_of("cache.md"), tmp_path, monkeypatch)
    shown = capsys.readouterr().out.splitlines()
    assert sorted(shown) == [f"{dtype} (2, 3) {dtype} abababababab 0" for dtype in ("float16", "float32")]
    np.testing.assert_array_equal(names["X"], rows)
    assert names["digests"] == [digest, digest]


def test_interactive_page_writes_a_map(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run_snippets(text_of("interactive-maps.md"), tmp_path, monkeypatch)
    assert "<h1" in (tmp_path / "map.html").read_text("utf-8")


@pytest.mark.slow
def test_a_saved_classifier_is_read_without_featx_as_its_page_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny_model: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    small_data(tmp_path / "data", train=4, test=2)
    recipe = small_recipe(tiny_model, {"fit.epochs": 2})
    fit_head("data", recipe, out="run")
    first, second = (
        block.body
        for block in blocks_of(text_of("saved-classifiers.md"))
        if "import featx" not in block.body and block.language == "python"
    )
    for layer in ("backbone", "penultimate"):
        found = compare("run", layer=layer, classifiers=["forest"], folds=3, repeats=1)
        save_best(found, "best")
        export_rows(extract("data", load_recipe("best/recipe.toml")), Path("rows.parquet"))
        reading, _, asking = first.partition("\nclassifier = ")
        code = [reading, *([second] if layer == "penultimate" else []), f"classifier = {asking}"]
        names: dict[str, Any] = {}
        exec(compile("\n".join(code), "saved-classifiers.md", "exec"), names)
        assert names["TRUSTED"] == list(TRUSTED)
        said = names["classifier"].predict_proba(names["X"])
        expected = predict("best", ["data"]).rows
        by_path = dict(zip(names["rows"]["id"].to_pylist(), said, strict=True))
        for row in expected:
            shares = [row.probabilities[name] for name in names["about"]["classes"]]
            np.testing.assert_allclose(by_path[row.path.removeprefix("data/")], shares, atol=1e-5)


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_python_blocks_compile(path: Path) -> None:
    for block in blocks_of(path.read_text("utf-8")):
        if block.language == "python":
            compile(block.body, path.name, "exec")


# Pictures


def test_the_gallery_shows_every_picture_that_its_script_makes() -> None:
    script = runpy.run_path(str(DOCS / "gallery.py"))
    shown = re.findall(r"^!\[[^\]]+\]\(images/gallery/(\S+?)\)", text_of("gallery.md"), re.MULTILINE)
    assert sorted(shown) == sorted(script["SOURCES"])
    assert sorted(path.name for path in script["PICTURES"].iterdir()) == sorted(shown)


def test_pictures_are_there_and_small() -> None:
    pictures = {
        path.parent / name
        for path in PAGES
        for name in re.findall(r"!\[[^\]]*\]\(([^)\s]+)\)", path.read_text("utf-8"))
        if "://" not in name
    }
    assert len(pictures) > 15
    sizes = {path.name: path.stat().st_size for path in pictures if path.parent.name == "gallery"}
    assert max(sizes.values()) <= 60_000
    assert sum(sizes.values()) <= 1_000_000
    for path in pictures:
        with Image.open(path) as picture:
            picture.verify()


def test_the_gallery_has_a_recipe(tmp_path: Path) -> None:
    path = tmp_path / "gallery.toml"
    path.write_text(next(block.body for block in blocks_of(text_of("gallery.md")) if block.language == "toml"))
    assert load_recipe(str(path)).backbone.name == "mobilenetv2"


# Recipes


@pytest.mark.parametrize("start", FIELDS_OF)
def test_every_field_is_documented_with_its_default(start: str) -> None:
    fields = FIELDS_OF[start].model_fields
    table = {row[0].strip("`"): row[2] for row in rows_below(text_of("recipes.md"), start) if row[0] != "`base`"}
    parts = {name for name in fields if FIELDS_OF[start] is Recipe and f"\n### `[{name}]`" in text_of("recipes.md")}
    assert set(table) == set(fields) - parts
    for name, default in table.items():
        field = fields[name]
        if field.is_required():
            assert default == "required", name
        else:
            assert default == ("none" if field.default is None else f"`{json.dumps(field.default)}`"), name


def parameters(recipe: Recipe, classes: int) -> int:
    """Trainable parameters of a head: weights and a bias a unit."""
    widths = [find_backbone(recipe.backbone.name).width(recipe.backbone.pooling, recipe.images.size)]
    widths += [layer.units for layer in recipe.head.layers if isinstance(layer, DenseLayer)]
    widths += [1 if recipe.head.output == "sigmoid" else classes]
    return sum((width + 1) * units for width, units in pairwise(widths))


def test_shipped_recipes_are_tabled_with_their_parameters() -> None:
    text = text_of("recipes.md")
    table = rows_below(text, "## The recipes that come with featx")
    variants = rows_below(text, "### Variants by name")
    assert sorted(row[0].strip("`") for row in table + variants) == recipe_names()
    for name, classes, _, trainable, frozen, total in table:
        found = parameters(load_recipe(name.strip("`")), int(classes))
        assert trainable == f"{found:,}"
        assert total == f"{found + int(frozen.replace(',', '')):,}"


def test_rates_by_epoch() -> None:
    table = rows_below(text_of("recipes.md"), "### The schedule")
    for column, name in ((1, "covid4-resnet50v2"), (2, "covid4-resnet50v2-factors")):
        fit = load_recipe(name).fit
        for row in table:
            for epoch in map(int, re.findall(r"\d+", row[0])):
                assert fit.rate(epoch) == pytest.approx(float(row[column])), (name, epoch)


def test_backbones_are_tabled_with_their_widths() -> None:
    table = rows_below(text_of("recipes.md"), "Networks known by name")
    found = {row[0].strip("`"): [int(cell.replace(",", "")) for cell in row[1:]] for row in table}
    assert found == {name: [row.width("avg"), row.width("none", 224)] for name, row in BACKBONES.items()}
