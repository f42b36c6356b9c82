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
from featx.recipes import Recipe, load_recipe
from featx.runs import fit_head
from featx.stats import LabelScore
from featx.sweeps import fits as sweep_fits
from featx.sweeps.fits import FitScores
from featx.sweeps.grid import Point
from featx.sweeps.result import compare_values
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
    assert swept.spreads(measure="accuracy")[0][1].accuracies == tuple(fit.test.accuracy for fit in swept.scores[:2])
    areas = [fit.test.to_json()["auc"] for fit in swept.scores]
    assert [spread.accuracies for _, spread in swept.spreads()] == [tuple(areas[:2]), tuple(areas[2:])]
    summary = swept.to_json()["summary"]["values"][0]
    assert summary["auc"]["mean"] == pytest.approx(sum(areas[:2]) / 2)
    assert summary["accuracy"]["mean"] == pytest.approx(sum(fit.test.accuracy or 0 for fit in swept.scores[:2]) / 2)
    row = read_table(out / "summary.csv")[0]
    assert float(row["auc_mean"]) == pytest.approx(summary["auc"]["mean"])
    assert float(row["validation_auc_mean"]) == pytest.approx(summary["validation"]["auc"]["mean"])

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


def label_fit(auc: float | None, correct: int) -> FitScores:
    one = LabelScore(10, correct, 0.5, auc, auc)
    return FitScores(test=one, validation=one, train=one, engine="fused", seconds=1.0)


def test_values_are_compared_by_areas_and_not_by_images_with_all_labels_right() -> None:
    """One value has the larger area with each of six seeds, and as many images with all labels right."""
    recipe = load_recipe("linear")
    points = [Point({"fit.batch_size": size}, seed, recipe) for size in (8, 16) for seed in range(6)]
    scores = [
        label_fit(0.7 + 0.01 * point.seed + 0.005 * (point.values["fit.batch_size"] == 16), 5) for point in points
    ]
    # The most different of 2^6 arrangements, and its mirror image.
    assert compare_values(points, scores, "test").p_value == 2 / 2**6
    compared = compare_values(points, [*scores[:-1], label_fit(None, 5)], "test")
    assert (compared.seeds, compared.seeds_left_out) == (5, 1)
    same = [label_fit(0.7 + 0.01 * point.seed, point.seed) for point in points]
    assert compare_values(points, same, "test").p_value == 1
