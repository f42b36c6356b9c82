"""A cache, a run, a map and a saved classifier that version 0.1.0 wrote are still used.

They were made from the images and the network in the same folder, by the engines `keras` and `fused`.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from pipeline_data import digest, files_of, read_table

import featx

MADE = Path(__file__).parent / "made_before"


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy in the working directory, since the recipe names the network by a path that is relative to it."""
    folder = Path(shutil.copytree(MADE, tmp_path / "made"))
    monkeypatch.chdir(folder)
    return folder


def digests(folder: Path) -> dict[str, str]:
    """The SHA-256 of each file."""
    return {str(path.relative_to(folder)): digest(path) for path in files_of(folder)}


def predicted(run: Path) -> dict[str, list[float]]:
    rows = read_table(run / "predictions.csv")
    return {row["path"]: [float(row[name]) for name in row if name.startswith("p_")] for row in rows}


def test_no_row_is_computed_again_and_no_file_of_the_features_changes(made: Path) -> None:
    before = digests(made / "cache" / "features")
    assert len(before) == 8
    found = featx.extract("images", "run/recipe.toml", cache="cache", engine="keras")
    assert (found.computed, found.to_json()["reused"]) == (0, 18 * 2 + 6)
    assert found.to_json()["feature_set"] == "f825265d359fdb58ff0be07fe7a58b70"
    after = digests(made / "cache" / "features")
    assert {name: after[name] for name in before} == before


def test_the_statistics_of_the_training_images_are_those_that_were_kept(made: Path) -> None:
    fixed = featx.load_recipe("run/recipe.toml").replaced({"preprocess.mean": None, "preprocess.std": None})
    assert featx.extract("images", fixed, cache="cache", engine="keras").computed == 0


def test_fitting_again_gives_the_run_that_is_there(made: Path) -> None:
    featx.fit_head("images", "run/recipe.toml", out="again", cache="cache", engine="fused")
    for path, row in predicted(made / "run").items():
        assert predicted(made / "again")[path] == pytest.approx(row, abs=1e-4)


def test_the_run_is_read_and_its_head_predicts_the_same(made: Path) -> None:
    found = featx.predict("run", ["images/test"], cache="cache")
    expected = predicted(made / "run")
    assert len(found.rows) == 6
    for row in found.rows:
        assert list(row.probabilities.values()) == pytest.approx(expected[row.path.removeprefix("images/")], abs=1e-5)


def test_the_stored_map_is_used(made: Path) -> None:
    stored = made / "run" / "pca-penultimate-train.npz"
    before = digest(stored)
    drawn = featx.visualize("run", method="pca", cache="cache", formats=["csv"])
    assert digest(stored) == before
    rows = read_table(MADE / "run" / "pca-penultimate-train.csv")
    np.testing.assert_allclose(drawn.points.xy, [[float(row["x"]), float(row["y"])] for row in rows], rtol=1e-4)


@pytest.mark.parametrize("layer", ["penultimate", "backbone"])
def test_both_layers_are_measured(made: Path, layer: str) -> None:
    found = featx.clusters("run", layer=layer, cache="cache", permutations=3)  # type: ignore[arg-type]
    assert len(found.main.ids) == 18


def test_a_manifest_needs_only_what_identifies_the_run(made: Path) -> None:
    """The first versions wrote no engine for the features; who publishes a run may remove paths and times."""
    path = made / "run" / "manifest.json"
    manifest = json.loads(path.read_text("utf-8"))
    needed = {
        "classes": manifest["classes"],
        "weights": {"sha256": manifest["weights"]["sha256"]},
        "features": {name: manifest["features"][name] for name in ("feature_set", "dim")},
        "head": manifest["head"],
    }
    path.write_text(json.dumps(needed), "utf-8")
    assert len(featx.predict("run", ["images/test"], cache="cache").rows) == 6
    assert len(featx.visualize("run", method="pca", cache="cache", formats=["csv"]).points.xy) == 18
    page = featx.report("run", cache="cache", without=["audit", "maps", "comparison", "clusters"]).file
    assert manifest["head"]["sha256"] in page.read_text("utf-8")


def test_the_saved_classifier_is_read(made: Path) -> None:
    found = featx.predict("classifier", ["images/test"], cache="cache")
    assert len(found.rows) == 6
    assert sum(found.rows[0].probabilities.values()) == pytest.approx(1)
