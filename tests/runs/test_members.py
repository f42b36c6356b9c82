"""Runs whose head has several members, or the mean of the last epochs."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from pipeline_data import read_table, small_data, small_recipe

from featx.prediction import predict
from featx.reports import report
from featx.runs import FitResult, fit_head, read_run
from featx.runs.source import read_source


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("members")
    small_data(root / "data", train=8, test=3)
    return root


@pytest.fixture(scope="module")
def fitted(home: Path, tiny_model: Path) -> FitResult:
    recipe = small_recipe(tiny_model, {"fit.seed": 2})
    return fit_head(home / "data", recipe, out=home / "run", cache=home / "cache", seeds=3, average=2)


def test_the_scores_of_each_member_are_beside_those_of_the_head(fitted: FitResult) -> None:
    metrics = json.loads((fitted.run / "metrics.json").read_text("utf-8"))
    assert [member["seed"] for member in metrics["members"]] == [2, 3, 4]
    assert [member["test"]["n"] for member in metrics["members"]] == [12] * 3
    assert len({member["test"]["loss"] for member in metrics["members"]}) == 3
    # The loss of a mean of probabilities is at most the mean of the losses.
    assert metrics["test"]["loss"] <= np.mean([member["test"]["loss"] for member in metrics["members"]])
    words = {row[0]: row[1] for row in fitted.overview()[1]}
    each = ", ".join(f"{100 * member['test']['accuracy']:.1f}" for member in metrics["members"])
    assert words["members"] == f"3, test accuracy of each by itself: {each} %"
    assert words["trained"] == "4 epochs of 3 steps, mean of the last 2, engine fused"
    assert read_run(fitted.run).recipe.fit.members == 3


def test_a_single_head_has_no_members(home: Path, tiny_model: Path, tmp_path: Path) -> None:
    alone = fit_head(home / "data", small_recipe(tiny_model), out=tmp_path / "run", cache=home / "cache")
    assert "members" not in alone.to_json()
    assert alone.recipe.fit.members == 1


def test_predictions_and_penultimate_features_are_of_all_members(fitted: FitResult, home: Path) -> None:
    rows = {row["sha256"]: row for row in read_table(fitted.run / "predictions.csv")}
    images = sorted((home / "data" / "test").rglob("*.png"))
    predictions = predict(fitted.run, images, cache=home / "cache", raw=True)
    for row in predictions.rows:
        stored = rows[row.digest]
        for name, share in row.probabilities.items():
            assert share == pytest.approx(float(stored[f"p_{name}"]), abs=2e-5)
    source = read_source(fitted.run, layer="penultimate", cache=home / "cache")
    assert source.table.X.shape == (32 + 12, 3 * 16)


@pytest.mark.slow
def test_the_report_names_members_and_mean(fitted: FitResult, home: Path) -> None:
    page = report(fitted.run, cache=home / "cache").file.read_text("utf-8")
    assert "mean of those at the ends of the last 2 epochs" in page
    assert "3, with seeds 2 to 4; the head gives the mean of their probabilities" in page
    assert "Dense (dense_1, 3 of them)" in page
    assert "The head has the mean of the weights at the ends of epochs 3 to 4." in page


@pytest.mark.slow
def test_the_other_engine_saves_members_too(fitted: FitResult, home: Path, tmp_path: Path) -> None:
    result = fit_head(home / "data", fitted.recipe, out=tmp_path / "run", cache=home / "cache", engine="keras")
    assert [member.seed for member in result.members] == [2, 3, 4]
    assert result.parameters == fitted.parameters
