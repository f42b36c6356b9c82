"""Sweeps over data with several labels for each image."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
from label_manifests import write_columns
from pipeline_data import read_table, small_data, small_recipe

from featx import heads
from featx.features import Extraction
from featx.heads import FitEngine, HeadFit
from featx.recipes import Recipe
from featx.runs import fit_head
from featx.stats import LabelScore
from featx.sweeps import fits as sweep_fits
from featx.sweeps.sweeping import sweep


def test_a_sweep_scores_all_labels(tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    manifest = write_columns(small_data(tmp_path / "data", train=8, test=4))
    recipe, cache = small_recipe(tiny_model), tmp_path / "cache"
    grid, out = {"fit.batch_size": [4, 12]}, tmp_path / "sweep"
    run = partial(sweep, manifest, recipe, grid=grid, out=out, seeds=2, cache=cache)
    swept = run()
    alone = fit_head(manifest, recipe.replaced({"fit.batch_size": 4}), out=tmp_path / "run", cache=cache)
    first = swept.scores[0].test
    assert isinstance(first, LabelScore)
    assert (first.n, first.correct) == (alone.test.n, alone.test.correct)
    assert first.loss == pytest.approx(alone.test.loss)
    rows = read_table(out / "sweep.csv")
    assert float(rows[0]["test_auc"]) == pytest.approx(alone.test.to_json()["auc"])
    assert swept.spreads()[0][1].accuracies == tuple(fit.test.accuracy for fit in swept.scores[:2])

    trained: list[Recipe] = []
    fit_rows = heads.fit_rows

    def counted(extraction: Extraction, recipe: Recipe, engine: FitEngine) -> HeadFit:
        trained.append(recipe)
        return fit_rows(extraction, recipe, engine)

    monkeypatch.setattr(sweep_fits, "fit_rows", counted)
    assert run().scores == swept.scores
    assert not trained
    # Another label of the same images is other data.
    lines = manifest.read_text().splitlines()
    manifest.write_text("\n".join([*lines[:-1], lines[-1][:-1] + "0"]) + "\n")
    run()
    assert len(trained) == 4
