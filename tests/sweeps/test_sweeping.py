from __future__ import annotations

import json
import multiprocessing
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pipeline_data import files_of, read_table, small_data, small_recipe
from typer.testing import CliRunner, Result

from featx import limits
from featx.cli import app
from featx.data import read_data
from featx.digests import digest_of
from featx.errors import (
    DataError,
    RecipeError,
    ResourcesError,
    RunError,
    StoreError,
    UntrustedError,
    UnwrittenError,
    UsageError,
    WeightsError,
)
from featx.features import data_digest, extraction
from featx.heads import fit as head_fits
from featx.recipes import Recipe, dump_recipe, load_recipe
from featx.runs import fit_head
from featx.sweeps import fits as sweep_fits
from featx.sweeps.fits import Fits, FitScores
from featx.sweeps.grid import Point
from featx.sweeps.result import Sweep
from featx.sweeps.sweeping import sweep

GRID = {"fit.batch_size": [4, 12]}
Run = Callable[..., Sweep]
Command = Callable[..., Result]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_data(tmp_path_factory.mktemp("sweeping") / "data", train=6, test=3, classes=2)


@pytest.fixture(scope="module")
def cache(data: Path) -> Path:
    return data.parent / "cache"


@pytest.fixture
def recipe(tiny_model: Path) -> Recipe:
    return small_recipe(tiny_model, {"fit.seed": 5})


@pytest.fixture
def run(data: Path, recipe: Recipe, cache: Path, tmp_path: Path) -> Run:
    """Sweep this data and recipe with this cache into the folder `out`."""
    return partial(sweep, data, recipe, out=tmp_path / "out", cache=cache)


@pytest.fixture(scope="module")
def swept(data: Path, cache: Path, tiny_model: Path) -> Sweep:
    return sweep(
        data, small_recipe(tiny_model, {"fit.seed": 5}), grid=GRID, out=data.parent / "sweep", seeds=2, cache=cache
    )


def fits_of(result: Sweep) -> list[tuple[Point, FitScores]]:
    return list(zip(result.points, result.scores, strict=True))


@pytest.fixture
def command(tmp_path: Path, recipe: Recipe, cache: Path) -> Command:
    """Run `featx sweep` on data, with this recipe and cache, into the folder `out`."""
    (tmp_path / "own.toml").write_text(dump_recipe(recipe), "utf-8")

    def run(data: Path, *further: str, out: Path = tmp_path / "out") -> Result:
        places = ("--recipe", str(tmp_path / "own.toml"), "--out", str(out), "--cache", str(cache))
        return CliRunner().invoke(app, ["sweep", str(data), *places, *further])

    return run


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


@pytest.mark.slow
def test_scores_are_those_of_single_fits(
    swept: Sweep, data: Path, cache: Path, tmp_path: Path, recipe: Recipe
) -> None:
    assert [(*p.values.values(), p.seed) for p in swept.points] == [(4, 5), (4, 6), (12, 5), (12, 6)]
    for place in (0, 3):
        point, scores = swept.points[place], swept.scores[place]
        single = fit_head(
            data,
            recipe.replaced({"fit.batch_size": point.values["fit.batch_size"], "fit.seed": point.seed}),
            out=tmp_path / str(place),
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
        held_out = [scores.validation.accuracy or 0.0 for scores in swept.scores[place : place + 2]]
        assert float(row["validation_mean"]) == pytest.approx(np.mean(held_out))
        assert float(row["validation_sd"]) == pytest.approx(np.std(held_out, ddof=1))
    document = json.loads((swept.out / "sweep.json").read_text("utf-8"))
    assert document == json.loads(json.dumps(swept.to_json()))
    assert document["rows"][0]["test"]["n"] == 6
    assert {path.name for path in swept.files} == {path.name for path in swept.out.iterdir()} - {"fits"}


def test_what_was_fitted_is_not_fitted_again(swept: Sweep, run: Run, fitted: list[tuple[int, int]]) -> None:
    again = run(grid=GRID, out=swept.out, seeds=2)
    assert fitted == []
    assert again.scores == swept.scores
    more = run(grid={"fit.batch_size": [4, 8]}, out=swept.out, seeds=3)
    assert sorted(fitted) == [(4, 7), (8, 5), (8, 6), (8, 7)]
    assert more.scores[:2] == swept.scores[:2]


def test_an_interrupted_sweep_goes_on_where_it_stopped(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    true, calls = head_fits.fit_rows, []

    def interrupted(*arguments: Any) -> Any:
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return true(*arguments)

    monkeypatch.setattr(sweep_fits, "fit_rows", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run(grid=GRID, seeds=2)
    assert len(list((tmp_path / "out" / "fits").glob("*.json"))) == 2
    assert len(run(grid=GRID, seeds=2).scores) == 4
    assert len(calls) == 3 + 2


def test_a_damaged_score_is_fitted_again(swept: Sweep, run: Run, fitted: list[tuple[int, int]]) -> None:
    (path,) = (run(grid={"fit.batch_size": [4]}, seeds=1).out / "fits").glob("*.json")
    path.write_text(path.read_text("utf-8").replace('"correct":', '"correct": 1'), "utf-8")
    result = run(grid={"fit.batch_size": [4]}, seeds=1)
    assert fitted == [(4, 5)] * 2
    assert result.scores[0].test == swept.scores[0].test


def test_other_images_are_fitted_again(
    swept: Sweep, cache: Path, recipe: Recipe, tmp_path: Path, fitted: list[tuple[int, int]]
) -> None:
    other = small_data(tmp_path / "data", train=6, test=3, classes=2, seed=1)
    sweep(other, recipe, grid={"fit.batch_size": [4]}, out=swept.out, seeds=1, cache=cache)
    assert fitted == [(4, 5)]


@pytest.mark.slow
@pytest.mark.skipif("spawn" not in multiprocessing.get_all_start_methods(), reason="processes cannot be spawned")
def test_several_processes_give_the_same(swept: Sweep, run: Run) -> None:
    one, two = run(grid=GRID, seeds=1, jobs=2).scores
    for ours, theirs in ((one, swept.scores[0]), (two, swept.scores[2])):
        assert (ours.train, ours.validation, ours.test) == (theirs.train, theirs.validation, theirs.test)


@pytest.mark.slow
@pytest.mark.skipif("spawn" not in multiprocessing.get_all_start_methods(), reason="processes cannot be spawned")
def test_images_in_memory_reach_the_processes(
    data: Path, recipe: Recipe, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    files = files_of(data / "train")
    pixels = [np.asarray(Image.open(path).convert("RGB")) for path in files]
    labels = [path.parent.name for path in files]
    grid: Mapping[str, Sequence[Any]] = {"preprocess.mode": ["rescale", "featurewise"]}
    found = []
    for jobs in (1, 2):
        caplog.clear()
        with caplog.at_level("INFO", "featx"):
            found.append(
                sweep(
                    pixels, recipe, grid=grid, out=tmp_path / str(jobs), seeds=1, jobs=jobs, labels=labels, test=0.3
                )
            )
        # Once, although there are two sets of features.
        assert sum("Set aside for testing" in message for message in caplog.messages) == 1
    one, two = ([(fit.train, fit.validation, fit.test) for fit in result.scores] for result in found)
    assert one == two
    assert one[0][2].n == 4


@pytest.mark.slow
def test_features_are_extracted_for_what_changes_them_alone(
    data: Path, tmp_path: Path, recipe: Recipe, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    computed: list[int] = []
    true = extraction.extract_dataset

    def watched(*arguments: Any, **named: Any) -> Any:
        result = true(*arguments, **named)
        computed.append(result.computed)
        return result

    monkeypatch.setattr(head_fits, "extract_dataset", watched)
    grid: Mapping[str, Sequence[Any]] = {"preprocess.mode": ["rescale", "featurewise"], "fit.epochs": [1, 2]}
    result = run(grid=grid, seeds=1, cache=tmp_path / "cache")
    assert computed == [18, 18]  # 2 classes of 6 training and 3 test images, once for each mode
    losses = {(p.values["preprocess.mode"], p.values["fit.epochs"]): s.test.loss for p, s in fits_of(result)}
    for (mode, epochs), loss in losses.items():
        changes = {"preprocess.mode": mode, "fit.epochs": epochs}
        single = fit_head(data, recipe.replaced(changes), out=tmp_path / f"{mode}{epochs}", cache=tmp_path / "cache")
        assert loss == pytest.approx(single.test.loss, rel=1e-4)
    assert len(set(losses.values())) == 4


def test_a_fit_that_diverges_has_no_scores_and_does_not_end_the_sweep(run: Run) -> None:
    result = run(grid={"fit.learning_rate": [1e-3, 1e30]}, seeds=2)
    assert [scores.refused is None for scores in result.scores] == [True, True, False, False]
    (_, kept), (_, refused) = result.spreads()
    assert (kept.refused, refused.refused, refused.mean) == (0, 2, None)
    assert result.p_value is None
    assert "to see whether learning rate makes a difference, and only one value has scores" in result.conclusion()
    rows = read_table(result.out / "summary.csv")
    assert [(row["learning_rate"], row["fits"], row["refused"]) for row in rows] == [
        ("0.001", "2", "0"),
        ("1e+30", "0", "2"),
    ]


def test_a_folder_with_other_things_is_left_alone(run: Run, tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(RunError, match="holds other files"):
        run(grid=GRID, out=tmp_path)
    with pytest.raises(RunError, match="is a file"):
        run(grid=GRID, out=tmp_path / "thesis.tex")
    with pytest.raises(UsageError, match="valid integer"):
        run(grid={"fit.batch_size": ["x"]})
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_the_command(swept: Sweep, data: Path, command: Command) -> None:
    result = command(data, "--batch-size", "4..12..8", "--seeds", "2", "--json", out=swept.out)
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    assert [(row["batch_size"], row["seed"]) for row in document["rows"]] == [(4, 5), (4, 6), (12, 5), (12, 6)]
    assert [row["test"]["correct"] for row in document["rows"]] == [s.test.correct for s in swept.scores]
    text = command(data, "--set", "fit.batch_size=4,12", "--seeds", "2", out=swept.out).stdout
    assert "2 seeds cannot show whether batch size makes a difference" in " ".join(text.split())


EARLIER_FIELDS = {"optimizer", "learning_rate", "schedule", "epochs", "batch_size", "validation", "seed"}


def test_kept_fits_stay_valid(swept: Sweep, data: Path, cache: Path) -> None:
    """The key is that of fits that were kept by earlier versions: all that moves the scores, and nothing else."""
    for point, scores in fits_of(swept):
        features = Fits(read_data(data), swept.out, cache, "auto", "fail").extraction(point.recipe)
        groups = sorted([image.digest, ""] for image in features.images)
        key = {
            "rule": 1,
            "images": digest_of([data_digest(features.images), groups]),
            "features": [features.space.plain.id, features.space.augmented.id],
            "views": 1,
            "head": point.recipe.head.model_dump(mode="json", exclude={"logits_kernel"}),
            "fit": point.recipe.fit.model_dump(mode="json", include=EARLIER_FIELDS),
            "engine": "auto",
        }
        kept = json.loads((swept.out / "fits" / f"{digest_of(key)}.json").read_text("utf-8"))
        assert kept["document"] == scores.to_json()
        assert kept["sha256"] == digest_of(scores.to_json())


def test_what_it_was_made_of_is_recorded(swept: Sweep, data: Path, cache: Path) -> None:
    document = json.loads((swept.out / "sweep.json").read_text("utf-8"))
    features = Fits(read_data(data), swept.out, cache, "auto", "fail").extraction(swept.points[0].recipe)
    assert document["data"]["sha256"] == data_digest(features.images)
    assert document["data"]["counts"]["train"] == {"covid": 6, "normal": 6}
    assert document["versions"]["numpy"] == np.__version__


def test_every_fit_is_checked_before_any_work(data: Path, tmp_path: Path, recipe: Recipe) -> None:
    four = small_data(tmp_path / "four", train=3, test=1, classes=4)
    cases: list[tuple[Path, dict[str, list[Any]], type[Exception], str]] = [
        (four, {"head.output": ["softmax", "sigmoid"]}, RecipeError, "is for two classes, and the data has 4"),
        (data, {"fit.validation": [0.25, 0.95]}, DataError, "leaves too few"),
        (data, {"backbone.name": [recipe.backbone.name, "vgg61"]}, UsageError, "vgg61"),
    ]
    for where, grid, kind, says in cases:
        with pytest.raises(kind, match=says):
            sweep(where, recipe, grid=grid, out=tmp_path / "out", cache=tmp_path / "cache")
    gelu = recipe.replaced({"head.layers.1.activation": "gelu"})
    with pytest.raises(RecipeError, match="the activation gelu"):
        sweep(data, gelu, grid={"head.layers.1.activation": ["relu", "gelu"]}, out=tmp_path / "out", engine="fused")
    assert not (tmp_path / "cache").exists()
    assert not (tmp_path / "out").exists()


def test_layers_are_swept_by_their_number(run: Run) -> None:
    rows = read_table(run(grid={"head.layers.1.units": [4, 16]}, seeds=1).out / "sweep.csv")
    assert [row["units"] for row in rows] == ["4", "16"]
    assert rows[0]["test_loss"] != rows[1]["test_loss"]


@pytest.mark.slow
def test_tables_are_values(run: Run, tmp_path: Path) -> None:
    schedule = {"kind": "factor", "boundaries": [1], "values": [1.0, 0.1]}
    result = run(grid={"fit.schedule": [None, schedule]}, seeds=2)
    assert [spread.refused for _, spread in result.spreads()] == [0, 0]
    assert [json.loads(row["schedule"]) for row in read_table(result.out / "summary.csv")] == [None, schedule]
    assert json.loads((result.out / "sweep.json").read_text("utf-8"))["rows"][2]["schedule"] == schedule
    plain = run(grid={"fit.epochs": [4]}, out=tmp_path / "plain", seeds=2)
    assert [scores.test for scores in result.scores[:2]] == [scores.test for scores in plain.scores]
    assert [scores.test for scores in result.scores[2:]] != [scores.test for scores in plain.scores]


def test_without_test_images_validation_is_reported(
    cache: Path, recipe: Recipe, tmp_path: Path, command: Command
) -> None:
    data = small_data(tmp_path / "data", train=8, test=0, classes=2)
    result = command(data, "--batch-size", "4,12", "--seeds", "1", "--json")
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    first = document["summary"]["values"][0]
    correct = [row["validation"]["correct"] for row in document["rows"] if row["batch_size"] == 4]
    assert (document["summary"]["of"], first["n"]) == ("validation", 4)
    assert first["accuracy"]["mean"] == pytest.approx(np.mean(correct) / 4)
    assert "one validation image is worth 25.0 points" in document["summary"]["conclusion"]
    assert [row["of"] for row in read_table(tmp_path / "out" / "summary.csv")] == ["validation"] * 2
    with pytest.raises(DataError, match=r"Expected a split test in .*, or images held out"):
        sweep(data, recipe, grid={"fit.validation": [0.25, 0.0]}, out=tmp_path / "none", cache=cache)


@pytest.mark.slow
def test_skipped_images_are_listed_and_the_exit_code_is_3(tmp_path: Path, command: Command) -> None:
    data = small_data(tmp_path / "data", train=6, test=3, classes=2)
    (data / "train" / "covid" / "broken.png").write_bytes(b"no image")
    arguments = ("--batch-size", "4,12", "--seeds", "1", "--on-error", "skip")
    result = command(data, *arguments, "--json")
    assert result.exit_code == 3, result.output
    (failure,) = json.loads(result.stdout)["failed"]
    assert failure["path"] == "train/covid/broken.png"
    text = command(data, *arguments)
    assert text.exit_code == 3
    assert "1 skipped:" in text.stdout
    assert "train/covid/broken.png: " in text.stdout


def test_where_all_fits_diverge_the_result_is_refused(data: Path, command: Command) -> None:
    result = command(data, "--learning-rate", "1e30,1e31", "--seeds", "1", "--json")
    assert isinstance(result.exception, UntrustedError)
    assert result.exception.exit_code == 4
    assert str(result.exception).startswith("All 2 fits were refused; the first: Expected a finite loss")
    summary = json.loads(result.stdout)["summary"]
    assert summary["conclusion"] == "No fit gave a test accuracy."
    assert [value["refused"] for value in summary["values"]] == [1, 1]


@pytest.mark.slow
def test_settings_of_one_value_hold_for_all_fits(data: Path, tmp_path: Path, command: Command) -> None:
    fixed = ("--set", "fit.seed=7", "--set", "fit.batch_size=4", "--set", "head.penultimate=null")
    result = command(data, "--epochs", "1,2", *fixed, "--seeds", "2", "--json")
    assert result.exit_code == 0, result.output
    assert [row["seed"] for row in json.loads(result.stdout)["rows"]] == [7, 8, 7, 8]
    kept = load_recipe(tmp_path / "out" / "recipe.toml")
    assert (kept.fit.seed, kept.fit.batch_size, kept.head.penultimate) == (7, 4, None)


@pytest.mark.parametrize(
    ("further", "says"),
    [
        (("--batch-size", "4,12", "--set", "fit.batch_size=4,12"), "fit.batch_size once"),
        (("--batch-size", "4,12", "--seed", "3", "--set", "fit.seed=7"), "fit.seed once"),
        (
            ("--batch-size", "4,12", "--weights", "random", "--set", "backbone.weights=imagenet"),
            "backbone.weights once",
        ),
        (("--epochs", "1,2", "--set", "fit.batch_size=4", "--set", "fit.batch_size=5"), "fit.batch_size once"),
        (("--set", "fit.seed=7"), "Expected values to try"),
    ],
)
def test_what_is_given_twice_is_refused(further: tuple[str, ...], says: str, data: Path, command: Command) -> None:
    result = command(data, *further)
    assert isinstance(result.exception, UsageError), result.output
    assert says in str(result.exception)


def test_weights_are_those_of_each_backbone(data: Path, tmp_path: Path, no_weights: Path, command: Command) -> None:
    """Weights of one network would not load into another; what is missing is reported before any work."""
    backbones = ("--set", "backbone.name=mobilenetv2,resnet50v2", "--cache", str(tmp_path / "cache"))
    weights = ("--weights", "mobilenetv2=random", "--weights", f"resnet50v2={tmp_path / 'gone.h5'}")
    result = command(data, *backbones, *weights)
    assert isinstance(result.exception, WeightsError)
    assert "gone.h5" in str(result.exception)
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize("values", ["adam", 8])
def test_a_single_value_is_no_list_of_letters(run: Run, values: Any) -> None:
    with pytest.raises(UsageError, match=rf"a list of values for fit.batch_size, .* pass \[{values!r}\]\.$"):
        run(grid={"fit.batch_size": values})


@pytest.mark.slow
def test_the_scores_are_printed_though_the_tables_cannot_be_written(
    command: Command, data: Path, tmp_path: Path
) -> None:
    for name in ("fits", "summary.csv"):
        (tmp_path / "out" / name).mkdir(parents=True)
    result = command(data, "--batch-size", "4,12", "--seeds", "1", "--json")
    assert [row["batch_size"] for row in json.loads(result.stdout)["rows"]] == [4, 12]
    assert isinstance(result.exception, UnwrittenError)
    assert "summary.csv cannot be written: Is a directory" in str(result.exception)


def test_a_folder_that_cannot_be_written_is_not_called_the_cache(run: Run, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "fits").touch()
    with pytest.raises(StoreError) as error:
        run(grid=GRID)
    assert str(out) in str(error.value)
    assert "choose another out" in str(error.value)
    assert "cache" not in str(error.value).replace(str(tmp_path), "")


def test_a_sweep_of_more_than_a_day_stops_and_keeps_what_is_done(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "MEASURED_SECONDS", 0.0)
    monkeypatch.setattr(head_fits, "PacedBatches", lambda batches, epochs: batches)
    monkeypatch.setattr(limits, "LONGEST_SECONDS", -1.0)
    with pytest.raises(ResourcesError, match="a sweep of 4 fits takes about 0 hours; try fewer values or seeds"):
        run(grid=GRID, seeds=2)
    assert len(list((tmp_path / "out" / "fits").iterdir())) == 2
    assert len(run(grid=GRID, seeds=2, yes=True).scores) == 4
