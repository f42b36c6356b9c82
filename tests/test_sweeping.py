from __future__ import annotations

import json
import multiprocessing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pipeline_data import read_table, small_data, small_recipe
from typer.testing import CliRunner

from featx.cli import app
from featx.errors import RunError, UsageError
from featx.pipeline import head_fits, sweep_fits
from featx.pipeline.fitting import fit_head
from featx.pipeline.sweep_fits import FitScores
from featx.pipeline.sweeping import Sweep, sweep
from featx.recipe import Recipe
from featx.recipe_files import dump_recipe

GRID = {"fit.batch_size": [4, 12]}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_data(tmp_path_factory.mktemp("sweeping") / "data", train=6, test=3, classes=2)


@pytest.fixture(scope="module")
def cache(data: Path) -> Path:
    return data.parent / "cache"


@pytest.fixture
def recipe(tiny_model: Path) -> Recipe:
    return small_recipe(tiny_model, {"fit.seed": 5})


@pytest.fixture(scope="module")
def swept(data: Path, cache: Path, tiny_model: Path) -> Sweep:
    return sweep(data, small_recipe(tiny_model, {"fit.seed": 5}), GRID, data.parent / "sweep", seeds=2, cache=cache)


@pytest.fixture
def fitted(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """Batch size and seed of every fit that is really done."""
    done: list[tuple[int, int]] = []
    true = head_fits.fit_rows

    def watched(extraction: Any, recipe: Recipe, *arguments: Any) -> Any:
        done.append((recipe.fit.batch_size, recipe.fit.seed))
        return true(extraction, recipe, *arguments)

    monkeypatch.setattr(sweep_fits, "fit_rows", watched)
    return done


def test_scores_are_those_of_single_fits(
    swept: Sweep, data: Path, cache: Path, tmp_path: Path, recipe: Recipe
) -> None:
    assert [(*p.values.values(), p.seed) for p in swept.points] == [(4, 5), (4, 6), (12, 5), (12, 6)]
    for place in (0, 3):
        point, scores = swept.points[place], swept.scores[place]
        single = fit_head(
            data,
            recipe.replaced({"fit.batch_size": point.values["fit.batch_size"], "fit.seed": point.seed}),
            tmp_path / str(place),
            cache=cache,
        )
        for role in ("train", "validation", "test"):
            ours, theirs = getattr(scores, role), getattr(single, role)
            assert (ours.n, ours.correct) == (theirs.n, theirs.correct)
            assert ours.loss == pytest.approx(theirs.loss, rel=1e-4)


def test_tables_hold_every_fit_and_every_value(swept: Sweep) -> None:
    rows = read_table(swept.out / "sweep.csv")
    assert [(row["batch_size"], row["seed"]) for row in rows] == [("4", "5"), ("4", "6"), ("12", "5"), ("12", "6")]
    for row, scores in zip(rows, swept.scores, strict=True):
        assert int(row["test_correct"]) == scores.test.correct
        assert float(row["test_loss"]) == pytest.approx(scores.test.loss)
    summary = read_table(swept.out / "summary.csv")
    for value, place in (("4", 0), ("12", 2)):
        accuracies = [scores.test.accuracy or 0.0 for scores in swept.scores[place : place + 2]]
        row = next(row for row in summary if row["batch_size"] == value)
        assert float(row["mean"]) == pytest.approx(np.mean(accuracies))
        assert (float(row["low"]), float(row["high"])) == (min(accuracies), max(accuracies))
    document = json.loads((swept.out / "sweep.json").read_text("utf-8"))
    assert document == json.loads(json.dumps(swept.to_json()))
    assert document["rows"][0]["test"]["n"] == 6
    assert {path.name for path in swept.files} == {path.name for path in swept.out.iterdir()} - {"fits"}


def test_what_was_fitted_is_not_fitted_again(
    swept: Sweep, data: Path, cache: Path, recipe: Recipe, fitted: list[tuple[int, int]]
) -> None:
    again = sweep(data, recipe, GRID, swept.out, seeds=2, cache=cache)
    assert fitted == []
    assert again.scores == swept.scores
    more = sweep(data, recipe, {"fit.batch_size": [4, 8]}, swept.out, seeds=3, cache=cache)
    assert sorted(fitted) == [(4, 7), (8, 5), (8, 6), (8, 7)]
    assert more.scores[:2] == swept.scores[:2]


def test_an_interrupted_sweep_goes_on_where_it_stopped(
    data: Path, cache: Path, recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    true, calls = head_fits.fit_rows, []

    def interrupted(*arguments: Any) -> Any:
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return true(*arguments)

    monkeypatch.setattr(sweep_fits, "fit_rows", interrupted)
    with pytest.raises(KeyboardInterrupt):
        sweep(data, recipe, GRID, tmp_path / "out", seeds=2, cache=cache)
    assert len(list((tmp_path / "out" / "fits").glob("*.json"))) == 2
    found = sweep(data, recipe, GRID, tmp_path / "out", seeds=2, cache=cache)
    assert len(calls) == 3 + 2
    assert len(found.scores) == 4


def test_a_damaged_score_is_fitted_again(
    swept: Sweep, data: Path, cache: Path, recipe: Recipe, tmp_path: Path, fitted: list[tuple[int, int]]
) -> None:
    out = tmp_path / "out"
    sweep(data, recipe, {"fit.batch_size": [4]}, out, seeds=1, cache=cache)
    (path,) = (out / "fits").glob("*.json")
    path.write_text(path.read_text("utf-8").replace('"correct":', '"correct": 1'), "utf-8")
    found = sweep(data, recipe, {"fit.batch_size": [4]}, out, seeds=1, cache=cache)
    assert fitted == [(4, 5)] * 2
    assert found.scores[0].test == swept.scores[0].test


def test_other_images_are_fitted_anew(
    swept: Sweep, cache: Path, recipe: Recipe, tmp_path: Path, fitted: list[tuple[int, int]]
) -> None:
    other = small_data(tmp_path / "data", train=6, test=3, classes=2, seed=1)
    sweep(other, recipe, {"fit.batch_size": [4]}, swept.out, seeds=1, cache=cache)
    assert fitted == [(4, 5)]


@pytest.mark.skipif("spawn" not in multiprocessing.get_all_start_methods(), reason="processes cannot be spawned")
def test_several_processes_find_the_same(
    swept: Sweep, data: Path, cache: Path, recipe: Recipe, tmp_path: Path
) -> None:
    found = sweep(data, recipe, GRID, tmp_path / "out", seeds=1, cache=cache, jobs=2)
    one, two = found.scores
    for ours, theirs in ((one, swept.scores[0]), (two, swept.scores[2])):
        assert (ours.train, ours.validation, ours.test) == (theirs.train, theirs.validation, theirs.test)


def test_features_are_extracted_for_what_moves_them_alone(data: Path, tmp_path: Path, recipe: Recipe) -> None:
    stages: list[str] = []
    grid: Mapping[str, Sequence[Any]] = {"preprocess.mode": ["rescale", "featurewise"], "fit.epochs": [1, 2]}
    found = sweep(
        data,
        recipe,
        grid,
        tmp_path / "out",
        seeds=1,
        cache=tmp_path / "cache",
        progress=lambda s, *_: stages.append(s),
    )
    assert len(found.scores) == 4
    extracted = [stage for stage in stages if stage == "extracting"]
    assert 0 < len(extracted) <= 2 * 18
    accuracies = {(p.values["preprocess.mode"], p.values["fit.epochs"]) for p in found.points}
    assert len(accuracies) == 4


def test_a_fit_that_diverges_has_no_scores_and_does_not_end_the_sweep(
    data: Path, cache: Path, recipe: Recipe, tmp_path: Path
) -> None:
    grid = {"fit.learning_rate": [1e-3, 1e30]}
    found = sweep(data, recipe, grid, tmp_path / "out", seeds=2, cache=cache)
    assert [scores.refused is None for scores in found.scores] == [True, True, False, False]
    (_, kept), (_, refused) = found.spreads()
    assert (kept.refused, refused.refused, refused.mean) == (0, 2, None)
    assert found.p_value is None
    assert "takes two values and two seeds" in found.conclusion()


def test_the_conclusion_says_whether_values_matter(swept: Sweep) -> None:
    means = [100 * float(spread.mean or 0) for _, spread in swept.spreads()]
    assert f"go from {min(means):.1f} to {max(means):.1f} %" in swept.conclusion()
    assert swept.p_value is not None
    told = "makes no difference" if swept.p_value >= 0.05 else "makes a difference"
    assert f"batch size {told}" in swept.conclusion()
    assert "one test image is 16.7" in swept.conclusion()


def test_scores_are_read_back_as_they_were(swept: Sweep) -> None:
    for scores in swept.scores:
        back = FitScores.from_json(json.loads(json.dumps(scores.to_json())))
        assert (back.train, back.validation, back.test) == (scores.train, scores.validation, scores.test)


def test_a_folder_with_other_things_is_left_alone(data: Path, cache: Path, recipe: Recipe, tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(RunError, match="holds other files"):
        sweep(data, recipe, GRID, tmp_path, cache=cache)
    with pytest.raises(RunError, match="is a file"):
        sweep(data, recipe, GRID, tmp_path / "thesis.tex", cache=cache)
    with pytest.raises(UsageError, match="valid integer"):
        sweep(data, recipe, {"fit.batch_size": ["x"]}, tmp_path / "new", cache=cache)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_the_command(swept: Sweep, data: Path, cache: Path, recipe: Recipe, tmp_path: Path) -> None:
    own = tmp_path / "own.toml"
    own.write_text(dump_recipe(recipe), "utf-8")
    arguments = ["sweep", str(data), "--recipe", str(own), "--out", str(swept.out), "--cache", str(cache)]
    result = CliRunner().invoke(app, [*arguments, "--batch-size", "4..12..8", "--seeds", "2", "--json"])
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    assert [(row["batch_size"], row["seed"]) for row in document["rows"]] == [(4, 5), (4, 6), (12, 5), (12, 6)]
    assert [row["test"]["correct"] for row in document["rows"]] == [s.test.correct for s in swept.scores]
    text = CliRunner().invoke(app, [*arguments, "--set", "fit.batch_size=4,12", "--seeds", "2"]).stdout
    assert "batch size makes" in " ".join(text.split())
    twice = CliRunner().invoke(app, [*arguments, "--batch-size", "4,12", "--set", "fit.batch_size=4,12"])
    assert isinstance(twice.exception, UsageError)
