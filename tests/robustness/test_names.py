"""Classes and files with names that are markup, formulas or code elsewhere: each verb gives them as they are."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pyarrow.parquet as pq
import pytest
from html_page import Node, read_page
from killed_processes import Ended, Workshop
from PIL import Image
from pipeline_data import read_table, small_recipe

from featx.recipes import dump_recipe

pytestmark = pytest.mark.slow

NAMES = [
    "<img src=x onerror=alert(1)>",
    "<b>bold&amp;",
    "[bold red]x",
    "$\\alpha$",
    "$x^{",
    "\"double\" 'single'",
    "two\nlines",
    "a,b;c\td",
    "--help",
    "=1+1",
    "\N{RIGHT-TO-LEFT OVERRIDE}backwards",
    "\N{GRINNING FACE} lung",
    "%s %d {} {x} {{x}}",
    "back\\slash `tick`",
]
TRAIN, TEST = 3, 2
N = len(NAMES)


class Named:
    """Images of such classes and names, and what each verb made of them."""

    def __init__(self, place: Workshop, root: Path) -> None:
        self.root, self._place = root, place
        generator = np.random.default_rng(0)
        for split, count in (("train", TRAIN), ("test", TEST)):
            for number, name in enumerate(NAMES):
                folder = root / "data" / split / name
                folder.mkdir(parents=True)
                for image in range(count):
                    pixels = generator.integers(0, 80, (32, 32)) + 12 * number
                    Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{name} {image}.png")
        recipe = root / "plain.toml"
        recipe.write_text(dump_recipe(small_recipe(place.root / "small.keras", {"fit.validation": 0.0})), "utf-8")
        self.cache = place.empty_cache(root / "cache")
        self.recipe = ["--recipe", recipe]

    def run(self, verb: str, *words: object) -> Ended:
        done = self._place.run([verb, *words, "--cache", self.cache], cwd=self.root, changes={"COLUMNS": "300"})
        assert done.code == 0, done.err
        assert not re.search(r"Traceback|did not expect|Warning", done.err), done.err
        return done

    def files(self, split: str, count: int) -> set[str]:
        return {f"{split}/{name}/{name} {number}.png" for name in NAMES for number in range(count)}


@pytest.fixture(scope="module")
def named(place: Workshop, tmp_path_factory: pytest.TempPathFactory) -> Named:
    named = Named(place, tmp_path_factory.mktemp("named"))
    named.run("fit-head", "data", *named.recipe, "--out", "run")
    return named


@pytest.mark.parametrize("ending", ["npz", "parquet"])
def test_an_export_has_them(ending: str, named: Named) -> None:
    named.run("extract", "data", *named.recipe, "--export", f"rows.{ending}")
    if ending == "npz":
        with np.load(named.root / "rows.npz", allow_pickle=False) as rows:
            columns: dict[str, Any] = {name: rows[name].tolist() for name in ("id", "label")}
    else:
        columns = pq.read_table(named.root / "rows.parquet").to_pydict()
    assert set(columns["id"]) == named.files("train", TRAIN) | named.files("test", TEST)
    assert all(label == path.split("/")[1] for path, label in zip(columns["id"], columns["label"], strict=True))


def test_a_run_has_them(named: Named) -> None:
    rows = read_table(named.root / "run" / "predictions.csv")
    assert {row["path"] for row in rows} == named.files("train", TRAIN) | named.files("test", TEST)
    assert all(row["label"] == row["path"].split("/")[1] for row in rows)
    assert {f"p_{name}" for name in NAMES} <= rows[0].keys()
    manifest = json.loads((named.root / "run" / "manifest.json").read_text("utf-8"))
    assert sorted(manifest["classes"]) == sorted(NAMES)
    with Image.open(named.root / "run" / "confusion.png") as picture:
        picture.load()


def test_predictions_have_them(named: Named) -> None:
    document = named.run("predict", "run", "data/test", "--out", "new.csv", "--json").json
    assert {row["path"] for row in document["predictions"]} == {f"data/{path}" for path in named.files("test", TEST)}
    assert all(sorted(row["probabilities"]) == sorted(NAMES) for row in document["predictions"])
    table = read_table(named.root / "new.csv")
    assert [(row["path"], row["label"]) for row in table] == [
        (row["path"], row["label"]) for row in document["predictions"]
    ]


def test_the_table_of_predictions_shows_them(named: Named) -> None:
    out = named.run("predict", "run", "data/test").out
    shown = [name for name in NAMES if name not in ("two\nlines", "a,b;c\td")]  # on two lines, and with spaces
    assert [name for name in shown if f"{name} 0.png" not in out] == []


def test_a_map_has_them_as_text(named: Named) -> None:
    files = named.run("visualize", "run", "--method", "pca", "--out", "map", "--json").json["files"]
    table = read_table(named.root / "map" / "pca-penultimate-train.csv")
    assert {row["path"] for row in table} == named.files("train", TRAIN)
    assert {row["label"] for row in table} == set(NAMES)
    page = read_page(named.root / "map" / "pca-penultimate-train.html")
    check_no_markup_of_names(page)
    (script,) = page.all("script", id="map-1-data") or page.all("script", type="application/json")[:1]
    texts = set(strings(json.loads(script.text)))
    assert [name for name in NAMES if not any(name in text for text in texts)] == []
    ElementTree.parse(named.root / "map" / "pca-penultimate-train.svg")
    assert {Path(file).suffix for file in files} == {".png", ".svg", ".html", ".csv"}


def test_clusters_have_them(named: Named) -> None:
    done = named.run("clusters", "run", "--layer", "backbone", "--permutations", "19", "--out", "cl", "--json")
    assert done.json["per_class"].keys() == set(NAMES)
    assert {row["class"] for row in read_table(named.root / "cl" / "classes.csv")} >= set(NAMES)
    images = read_table(named.root / "cl" / "per_image.csv")
    assert {row["path"] for row in images} >= named.files("train", TRAIN)
    for picture in ("silhouette.svg", "pairs.svg"):
        ElementTree.parse(named.root / "cl" / picture)
    out = named.run("clusters", "run", "--layer", "backbone", "--permutations", "19").out
    assert [name for name in NAMES if "\n" not in name and "\t" not in name and name not in out] == []


def test_a_comparison_has_them(named: Named) -> None:
    words = ["--classifiers", "knn", "--folds", 3, "--repeats", 1, "--jobs", 1]
    done = named.run("compare", "run", *words, "--out", "cmp", "--save-best", "best", "--json")
    assert sorted(done.json["classes"]) == sorted(NAMES)
    predictions = read_table(named.root / "cmp" / "predictions.csv")
    assert {row["label"] for row in predictions} == set(NAMES)
    ElementTree.parse(named.root / "cmp" / "comparison.svg")
    best = named.run("predict", "best", "data/test", "--json").json["predictions"]
    assert all(sorted(row["probabilities"]) == sorted(NAMES) for row in best)


def test_a_report_has_them_as_text(named: Named) -> None:
    named.run("report", "run", "--without", "audit,maps,comparison,clusters")
    page = read_page(named.root / "run" / "report.html")
    check_no_markup_of_names(page)
    text = page.text
    assert [name for name in NAMES if " ".join(name.split()) not in text] == []


def check_no_markup_of_names(page: Node) -> None:
    """No name has become an element or an attribute that runs."""
    assert not [node for node in page.walk() if any(name.startswith("on") for name in node.attributes)]
    assert not page.all("img", src="x")
    assert not [node for node in page.all("b") if node.text.startswith("bold")]


def strings(value: Any) -> list[str]:
    """All texts in a JSON document, keys too."""
    if isinstance(value, dict):
        return [text for pair in value.items() for part in pair for text in strings(part)]
    if isinstance(value, list):
        return [text for part in value for text in strings(part)]
    return [value] if isinstance(value, str) else []
