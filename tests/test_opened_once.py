"""Verbs on a run read each of its files, and the rows of each layer, once."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest
from pipeline_data import small_data, small_recipe
from reads import count_reads
from report_pages import read_json

import featx
from featx.classifiers import compare_source

pytestmark = pytest.mark.slow

FILES = ("manifest.json", "recipe.toml", "predictions.csv")
FEW: dict[str, Any] = {"classifiers": ["logreg", "pixels"], "folds": 2, "repeats": 1}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Path:
    """A run, with the cache in `cache` beside it; the grey pixels of its images are in the cache, too."""
    root = tmp_path_factory.mktemp("opened_once")
    small_data(root / "data", train=6, test=3)
    featx.fit_head(root / "data", small_recipe(tiny_model), out=root / "run", cache=root / "cache")
    featx.compare(root / "run", cache=root / "cache", **FEW)
    return root / "run"


def feature_sets(run: Path) -> dict[str, str]:
    manifest = read_json(run / "manifest.json")
    return {
        "backbone": manifest["features"]["feature_set"],
        "penultimate": manifest["head"]["penultimate"]["feature_set"],
    }


def test_a_report(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("featx.reports.classifiers.compare_source", partial(compare_source, **FEW))
    layers = feature_sets(run)
    reads = count_reads(run, monkeypatch)
    written = featx.report(run, out=tmp_path / "page.html", cache=run.parent / "cache")
    assert written.left_out == {}
    assert reads.files == dict.fromkeys((*FILES, "metrics.json", "history.csv"), 1)
    assert set(layers.values()) <= reads.rows.keys()
    assert set(reads.rows.values()) == {1}


@pytest.mark.parametrize(
    ("verb", "layers"),
    [
        (partial(featx.compare, layer="backbone", **FEW), {"backbone"}),
        (partial(featx.compare, layer="penultimate", **FEW), {"penultimate"}),
        (featx.clusters, {"backbone", "penultimate"}),
    ],
    ids=["compare-backbone", "compare-penultimate", "clusters"],
)
def test_other_verbs(run: Path, verb: Any, layers: set[str], monkeypatch: pytest.MonkeyPatch) -> None:
    sets = feature_sets(run)
    reads = count_reads(run, monkeypatch)
    verb(run, cache=run.parent / "cache")
    assert {name: reads.files[name] for name in FILES} == dict.fromkeys(FILES, 1)
    assert {layer for layer, space in sets.items() if space in reads.rows} == layers
    assert set(reads.rows.values()) == {1}
