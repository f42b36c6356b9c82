from __future__ import annotations

import itertools
import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from html_page import parse
from onnx_networks import write_onnx_card
from pipeline_data import read_table, small_data, small_recipe, write_model
from reproduction_data import data_of_the_report
from scipy import stats
from typer.testing import CliRunner

from featx.cli import app
from featx.errors import DataError, RunError, UsageError
from featx.recipes import Recipe, ViewsPart, dump_recipe, load_recipe
from featx.reports import OpenedRun
from featx.reproduction import fits
from featx.reproduction.fits import augmented_score, fitted
from featx.reproduction.measuring import judge_figures
from featx.reproduction.page import notes_of
from featx.reproduction.plan import PlannedFit, plan_of
from featx.reproduction.reproducing import Reproduction, reproduce
from featx.reproduction.state import ReproductionState, Stages
from featx.reproduction.verdicts import read_reported
from featx.runs import fit_head, read_run, read_source
from featx.stats import mcnemar
from featx.store import save_document

pytestmark = pytest.mark.slow

VIEWS = {"views.count": 2, "views.horizontal_flip": True, "views.rotation": 20.0, "preprocess.mode": "featurewise"}
SCHEDULE = {"kind": "absolute", "boundaries": (2, 3), "values": (1e-3, 1e-1, 1e-2)}
FACTORS = {"kind": "factor", "boundaries": (2, 3), "values": (1.0, 1e-1, 1e-2)}


@dataclass
class Place:
    """Images of two and of all, small recipes in place of the report's, a further backbone, and a cache."""

    root: Path
    cache: Path
    recipes: dict[str, Recipe]
    other: Path


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Place:
    folder = tmp_path_factory.mktemp("reproducing")
    small_data(folder / "root" / "two", train=8, test=3, classes=2)
    small_data(folder / "root" / "all", train=10, test=3, classes=4, seed=1)
    changes: dict[str, dict[str, Any]] = {
        "covid2-vgg16": {},
        "covid4-vgg16": {},
        "covid4-vgg16-asrun": {"preprocess.mode": "rescale"},
        "covid4-resnet50v2": {"backbone.pooling": "avg", "fit.schedule": SCHEDULE},
        "covid4-resnet50v2-factors": {"backbone.pooling": "avg", "fit.schedule": FACTORS},
    }
    recipes = {name: small_recipe(tiny_model, {"name": name, **VIEWS, **own}) for name, own in changes.items()}
    return Place(folder / "root", folder / "cache", recipes, write_model(folder / "other.keras", seed=5, size=None))


class Watch:
    """Counts the fits that are really done, and interrupts one."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.stop_at = 0

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        self.names.append(Path(options["out"]).name)
        if len(self.names) == self.stop_at:
            raise KeyboardInterrupt
        return fit_head(*arguments, **options)


@pytest.fixture(scope="module")
def watched() -> Iterator[Watch]:
    watch = Watch()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fits, "fit_head", watch)
        yield watch


@pytest.fixture(scope="module")
def made(place: Place, watched: Watch) -> Reproduction:
    """A reproduction that was interrupted in its third fit, and then went on."""
    out = place.root.parent / "out"
    how: dict[str, Any] = {
        "recipes": place.recipes, "cache": place.cache, "seeds": 1, "backbones": [str(place.other)],
    }  # fmt: skip
    watched.stop_at = 3
    with pytest.raises(KeyboardInterrupt):
        reproduce(place.root, out, **how)
    # What earlier versions left there.
    save_document(out, "stages", "yardstick", {"seconds": 3.0})
    save_document(out, "yardstick", "0" * 64, {"steps": 1, "step": 1.7})
    (out / "reproduction.md").write_text("verdicts as Markdown", "utf-8")
    result = reproduce(place.root, out, **how)
    watched.stop_at = 0
    return result


def test_an_interrupted_reproduction_fits_nothing_twice(made: Reproduction, watched: Watch) -> None:
    expected = ["task1", "vgg16", "resnet50v2", "resnet50v2-factors", "vgg16-rescaled", "vgg16-no-views"]
    expected += ["vgg16-rescaled-no-views", "model-other"]
    third = watched.names[2]
    assert watched.names[:3] == expected[:3]
    assert watched.names[3:11] == expected[2:]
    assert watched.names.count(third) == 2
    assert all((made.out / "runs" / name / "manifest.json").is_file() for name in expected)


def test_everything_is_written(made: Reproduction) -> None:
    assert made.failed == {}
    names = {str(path.relative_to(made.out)) for path in made.files}
    assert {"report.html", "tables/verdicts.csv", "tables/batch-sizes.csv"} <= names
    assert not (made.out / "reproduction.md").exists()
    assert {f"figures/figure-{n}-accuracy.png" for n in (2, 5, 8)} <= names
    assert {f"figures/figure-{n}-loss.svg" for n in (3, 6, 9)} <= names
    assert {f"figures/figure-{n}-tsne-{how}.png" for n in (4, 7, 10) for how in ("2020", "today")} <= names
    assert {"figures/schedules.png", "figures/batch-sizes.svg", "tables/layers-vgg16.csv"} <= names
    assert all(path.stat().st_size for path in made.files)
    assert json.loads(json.dumps(made.to_json()))["files"] == [str(path) for path in made.files]


def test_every_figure_of_the_report_has_a_verdict(made: Reproduction) -> None:
    assert [judged.figure for judged in made.table] == list(read_reported().figures)
    rows = read_table(made.out / "tables" / "verdicts.csv")
    assert [row["id"] for row in rows] == [judged.figure.id for judged in made.table]
    by_id = {judged.figure.id: judged for judged in made.table}
    # Counts are compared whatever the data, all else only where it is the report's.
    train = by_id["task1.data.train.covid"]
    assert (train.ours.value, train.verdict) == (8, "different")
    total = by_id["vgg16.parameters.total"]
    assert total.ours.value == read_run(made.out / "runs" / "vgg16").metrics["parameters"]["total"]
    for name in ("task1.test", "vgg16.loss", "batch.10", "vgg16.groups", "models.accuracy", "time.cpu"):
        assert by_id[name].verdict == "not comparable", name
    assert "Another recipe" in by_id["vgg16.test"].why
    measured = {judged.figure.id for judged in made.table if judged.ours.value is not None}
    assert {judged.figure.id for judged in made.table} - measured == {"vgg16.parameters.dense3"}


def test_tables_hold_what_the_runs_say(made: Reproduction) -> None:
    runs = {path.name: read_run(path) for path in (made.out / "runs").iterdir()}
    for row in read_table(made.out / "tables" / "accuracy.csv"):
        score = runs[row["fit"]].metrics[row["part"]]
        assert (int(row["n"]), int(row["correct"])) == (score["n"], score["correct"])
        assert float(row["loss"]) == pytest.approx(score["loss"])
    right = {
        name: np.array([i.predicted == i.label for i in sorted(run.images, key=lambda i: i.path) if i.role == "test"])
        for name, run in runs.items()
    }
    pairs = read_table(made.out / "tables" / "pairs-of-models.csv")
    assert [(row["first"], row["second"]) for row in pairs] == [
        ("vgg16", "resnet50v2"), ("vgg16", "model-other"), ("resnet50v2", "model-other"),
    ]  # fmt: skip
    for row in pairs:
        one, other = right[row["first"]], right[row["second"]]
        assert int(row["only_first_right"]) == int((one & ~other).sum())
        assert float(row["p_value"]) == pytest.approx(mcnemar(one, other))
    assert len(read_table(made.out / "tables" / "batch-sizes.csv")) == 11
    epochs = read_table(made.out / "tables" / "epochs-vgg16.csv")
    assert [float(row["loss"]) for row in epochs] == [row["loss"] for row in runs["vgg16"].history]


def ratios_of_vgg16(made: Reproduction) -> dict[tuple[str, str], float]:
    return {
        (row["first"], row["second"]): float(row["ratio"])
        for row in read_table(made.out / "tables" / "pairs-of-classes.csv")
        if (row["fit"], row["layer"], row["split"]) == ("vgg16", "penultimate", "train")
    }


def test_measured_numbers_are_those_of_the_files(made: Reproduction) -> None:
    """Curves over the same epochs as the report's, the loss's interval, and what stands in for claims, by hand."""
    by_id = {judged.figure.id: judged.ours for judged in made.table}
    epochs = read_table(made.out / "tables" / "epochs-vgg16.csv")
    last_half = [float(row["accuracy"]) for row in epochs[2:]]
    assert by_id["vgg16.training.late"].value == pytest.approx(np.mean(last_half))
    last = read_table(made.out / "tables" / "epochs-resnet50v2.csv")[-1]
    assert by_id["resnet50v2.training"].value == pytest.approx(float(last["accuracy"]))
    run = read_run(made.out / "runs" / "vgg16")
    test = [image for image in run.images if image.role == "test"]
    losses = [-np.log(image.probabilities[run.classes.index(image.label)]) for image in test]
    assert by_id["vgg16.loss"].value == pytest.approx(np.mean(losses), rel=1e-4)
    expected = stats.t.interval(0.95, len(losses) - 1, np.mean(losses), stats.sem(losses))
    assert by_id["vgg16.loss"].interval == pytest.approx(expected, rel=1e-4)
    together = {frozenset(pair) for pair, ratio in ratios_of_vgg16(made).items() if ratio < 1}
    confirmed = together == {frozenset(("pneumonia_bac", "pneumonia_vir"))}
    assert by_id["vgg16.groups"].value == float(confirmed)
    ten = next(row for row in read_table(made.out / "tables" / "batch-sizes.csv") if row["batch_size"] == "10")
    assert (ten["report"], ten["n"], ten["low"]) == ("0.75", "12", ten["high"])
    assert by_id["batch.10"].interval == (float(ten["low"]), float(ten["low"]))
    fit = run.metrics["test"]
    # The sweep's first seed at the recipe's batch size is the fit itself, but that recipe has 8.
    eight = read_table(made.out / "batch-sizes" / "sweep.csv")[3]
    assert (int(eight["batch_size"]), int(eight["test_correct"])) == (8, fit["correct"])


def test_separation_is_that_of_scikit_learn(made: Reproduction, place: Place) -> None:
    from sklearn.metrics import silhouette_score

    source = read_source(made.out / "runs" / "vgg16", layer="penultimate", cache=place.cache).of_split("train")
    expected = silhouette_score(source.table.X, source.table.labels)
    row = next(row for row in read_table(made.out / "tables" / "models.csv") if row["fit"] == "vgg16")
    assert float(row["silhouette_penultimate"]) == pytest.approx(expected, abs=1e-4)
    ratios = ratios_of_vgg16(made)
    rows = {name: source.table.X[np.array(source.table.labels) == name] for pair in ratios for name in pair}
    for (one, other), ratio in ratios.items():
        centres = [rows[name].mean(axis=0) for name in (one, other)]
        radii = [np.linalg.norm(rows[name] - c, axis=1).mean() for name, c in zip((one, other), centres, strict=True)]
        assert ratio == pytest.approx(np.linalg.norm(centres[0] - centres[1]) / sum(radii), rel=1e-3)


def test_the_page_and_its_sections(made: Reproduction) -> None:
    text = (made.out / "report.html").read_text("utf-8")
    page = parse(text)
    assert page
    for title in ("3.2 Model", "4.3.1 Batch sizes", "4.8 VGG16, ResNet50V2", "5 Time and devices", "2 As described"):
        assert title in text, title
    assert "<script" not in text
    # It opens with what was measured, although nothing but counts can be compared.
    headline = [node.text for node in page.all("p", class_="headline")]
    test = read_run(made.out / "runs" / "vgg16").metrics["test"]
    assert f"Task 2, VGG16: {test['correct']}/{test['n']} = {100 * test['accuracy']:.1f} % (" in headline[1]
    comparable = [judged for judged in made.table if judged.verdict != "not comparable"]
    assert headline[2].startswith(f"Of the report's {len(made.table)} figures, {len(comparable)} can be compared")
    equal = sum(judged.verdict == "equal" for judged in comparable)
    assert headline[2].endswith(
        f"ours: {len(comparable)} counts ({equal} equal, {len(comparable) - equal} different)."
    )
    assert [node.attributes["id"] for node in page.all("section", class_="level-2")][:2] == ["measured", "verdicts"]
    rows = {row[0]: row for row in page.id("measured").table("Accuracy of each model")[1:]}
    assert len(rows) == 8
    assert rows["Task 2, VGG16"][2:4] == [f"{test['correct']}/{test['n']}", f"{100 * test['accuracy']:.1f} %"]
    # What cannot be compared is closed at first.
    opened = [fold.all("summary")[0].text for fold in page.id("verdicts").all("details")]
    assert any(words.startswith("Accuracies, losses, claims and times that cannot") for words in opened)
    assert len(page.id("verdicts").all("table")) == len(opened) == 3
    assert "Two line charts of accuracy and learning rate" in text


def test_time_is_kept_over_interruptions(made: Reproduction) -> None:
    kept = {
        path.stem: json.loads(path.read_text("utf-8"))["document"] for path in (made.out / "stages").glob("*.json")
    }
    assert set(kept) == {*made.seconds, "settled", "yardstick"}
    for name, seconds in made.seconds.items():
        assert kept[name]["seconds"] == pytest.approx(seconds, abs=0.01)
    fit = read_run(made.out / "runs" / "task1").metrics["seconds"]
    assert made.seconds["task1"] >= fit["extract"] + fit["fit"]


# --- what is done is not done again, what has changed is ---


@pytest.fixture
def one_fit(place: Place) -> PlannedFit:
    return PlannedFit("task1", "Task 1", place.root / "two", place.recipes["covid2-vgg16"])


Refits = Callable[..., bool]


@pytest.fixture
def refits(made: Reproduction, place: Place, watched: Watch, one_fit: PlannedFit, tmp_path: Path) -> Refits:
    """Whether a copy of Task 1's run is fitted again, when the plan has this data and recipe."""
    folders = (tmp_path / f"run{number}" for number in itertools.count())

    def is_fitted(cache: Path = place.cache, damage: str = "", **changes: Any) -> bool:
        folder = shutil.copytree(made.out / "runs" / "task1", next(folders))
        if damage:
            (folder / damage).unlink()
        before = len(watched.names)
        fit = replace(one_fit, **changes)
        assert fitted(fit, folder, cache).run.recipe.fit == fit.recipe.fit
        return len(watched.names) > before

    return is_fitted


@pytest.mark.parametrize("changes", [{"fit.epochs": 2}, {"fit.seed": 1}, {"preprocess.mode": "rescale"}])
def test_another_recipe_is_fitted(changes: dict[str, Any], one_fit: PlannedFit, refits: Refits) -> None:
    assert refits(recipe=one_fit.recipe.replaced(changes))


def test_other_data_weights_and_caches_are_fitted(
    one_fit: PlannedFit, place: Place, refits: Refits, tmp_path: Path
) -> None:
    assert not refits()
    assert refits(data=small_data(tmp_path / "two", train=8, test=3, classes=2, seed=9))
    # The same data elsewhere is the same data.
    assert not refits(data=shutil.copytree(place.root / "two", tmp_path / "moved"))
    assert refits(tmp_path / "cache")
    assert refits(damage="history.csv")
    path = Path(one_fit.recipe.backbone.name)
    bytes_before = path.read_bytes()
    try:
        write_model(path, seed=77)
        assert refits()
    finally:
        path.write_bytes(bytes_before)


def test_channel_statistics_of_other_data_and_what_is_in_the_data_are_no_notice(
    one_fit: PlannedFit, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", logger="featx")
    stages, cache = Stages(tmp_path / "out", 2), tmp_path / "cache"
    data = shutil.copytree(one_fit.data, tmp_path / "data")
    fit = replace(one_fit, data=data)
    for _ in range(2):
        stages.run("task1", "Task 1", lambda: fitted(fit, tmp_path / "run", cache))
        next(data.rglob("train/*/*.png")).unlink()
    assert "channel statistics" not in caplog.text
    assert "Data: " not in caplog.text
    fitted(fit, tmp_path / "run", cache)
    assert "channel statistics" in caplog.text
    assert "Data: " in caplog.text


def test_augmented_views_are_scored_without_the_image_itself(made: Reproduction, place: Place) -> None:
    fit = PlannedFit("vgg16", "Task 2", place.root / "all", place.recipes["covid4-vgg16"])
    opened = fitted(fit, made.out / "runs" / "vgg16", place.cache)
    metrics = opened.run.metrics["validation"]
    plain = augmented_score(opened, fit.data, ViewsPart(count=3), place.cache)  # views that change nothing
    assert (plain.n, plain.correct) == (2 * metrics["n"], 2 * metrics["correct"])
    assert plain.loss == pytest.approx(metrics["loss"], rel=1e-4)
    views = augmented_score(opened, fit.data, fit.recipe.views, place.cache)
    assert views.n == metrics["n"]
    assert views.loss != pytest.approx(metrics["loss"], rel=1e-6)


# --- the plan ---


def plan(root: Path, **changes: Any) -> Any:
    how: dict[str, Any] = {"quick": False, "seeds": None, "seed": 0, "weights": {}, "backbones": (), "recipes": {}}
    return plan_of(root, **{**how, **changes})


def test_the_plan_is_the_reports(place: Place) -> None:
    whole = plan(place.root, weights={"resnet50v2": "random"}, backbones=["MobileNetV2"])
    recipe = whole.fit("vgg16").recipe
    assert recipe == load_recipe("covid4-vgg16", {"fit.seed": 0})
    assert (whole.batch_sizes, whole.seeds, whole.epochs["task1"]) == (tuple(range(5, 16)), 3, 40)
    assert whole.fit("resnet50v2").recipe.backbone.weights == "random"
    assert whole.fit("resnet50v2-factors").recipe.backbone.weights == "random"
    assert whole.fit("vgg16").recipe.backbone.weights == "imagenet"
    other = whole.fit("mobilenetv2").recipe
    assert (other.fit.schedule, other.fit.epochs, other.head) == (None, 100, whole.fit("resnet50v2").recipe.head)
    assert (whole.fit("vgg16-no-views").recipe.views.count, whole.fit("vgg16-rescaled").recipe.views.count) == (1, 4)
    assert whole.fit("task1").data == place.root / "two"


def test_a_models_own_name_may_be_anything(place: Place) -> None:
    whole = plan(place.root, backbones=["nets/my net (v2).keras", "maps.keras"])
    assert whole.others == ("model-my-net-v2", "model-maps")
    assert whole.fit("model-maps").title == "Task 2, maps.keras"


def test_a_network_with_a_card_is_used_as_the_card_says(place: Place, tmp_path: Path) -> None:
    (tmp_path / "net.onnx").write_bytes(b"weights")
    card = write_onnx_card(tmp_path / "net.onnx", {"name": "My net", "output.tokens": "cls"})
    for choice in (card, tmp_path):
        whole = plan(place.root, backbones=[str(choice)])
        fit = whole.fit("model-My-net")
        assert fit.title == "Task 2, My net"
        assert (fit.recipe.backbone.name, fit.recipe.backbone.pooling) == (str(choice), "none")
        assert (fit.recipe.images.shape, fit.recipe.preprocess.mode) == ((24, 32), "card")
        assert "pooling" not in fit.recipe.description


def test_quick_is_the_same_made_short(place: Place) -> None:
    short = plan(place.root, quick=True)
    assert {fit.recipe.fit.epochs for fit in short.fits} == {5}
    assert short.fit("vgg16").recipe.views.count == 2
    schedule = short.fit("resnet50v2").recipe.fit.schedule
    # It still rises within the epochs that there are.
    assert schedule.boundaries == (4, 6, 8, 9)
    assert short.fit("resnet50v2").recipe.fit.rate(4) == 0.1
    assert len(short.batch_sizes) == 3
    assert short.seeds == 2


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"backbones": ["alexnet"]}, "received 'alexnet'"),
        ({"backbones": ["vgg16"]}, "whose name vgg16 is taken"),
        ({"backbones": ["mobilenetv2", "MobileNetV2"]}, "whose name mobilenetv2 is taken"),
        ({"backbones": ["a/net.keras", "b/net.keras"]}, "rename the file"),
        ({"recipes": {"covid3": "covid4-vgg16"}}, "received one for 'covid3'"),
        ({"recipes": {"covid4-vgg16": "covid5"}}, "No recipe is named 'covid5'"),
        ({"seeds": 0}, "at least one seed"),
        ({"weights": {"resnet50": "random", "vgg": "random"}}, "received some of 'vgg'"),
    ],
)
def test_what_cannot_be_planned_is_refused(place: Place, changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        plan(place.root, **changes)


# --- a folder that another reproduction is in ---


def test_a_reproduction_goes_on_as_it_was_begun(made: Reproduction, place: Place, watched: Watch) -> None:
    """Another seed, haste or recipe would fit over what took hours."""
    before = len(watched.names)
    changed: list[dict[str, Any]] = [{"seed": 1}, {"quick": True}, {"recipes": {}}]
    for changes in changed:
        how: dict[str, Any] = {"recipes": place.recipes, "cache": place.cache, **changes}
        with pytest.raises(UsageError, match="was begun with"):
            reproduce(place.root, made.out, **how)
    assert len(watched.names) == before


def test_a_reproduction_of_an_earlier_version_goes_on(place: Place) -> None:
    """Its choices were written before heads and fits had further fields, which count only where they do something."""
    begun = {"quick": False, "seed": 0}
    digest = "055f5564cab6b424b5f5c8852ee9b5ef2786f3b2db30072a61360342ac7c7f9b"
    assert plan(place.root).settled() == {**begun, "recipes": digest}
    changes: list[dict[str, Any]] = [{"fit.patience": 5}, {"fit.weight_decay": 0.1}, {"head.logits_kernel": "zeros"}]
    changes += [{"fit.keep": "best"}, {"fit.average": 10}, {"fit.label_smoothing": 0.1}, {"fit.members": 3}]
    for change in changes:
        changed = plan(place.root, recipes={"covid4-vgg16": load_recipe("covid4-vgg16", change)})
        assert changed.settled()["recipes"] != digest


# --- roots and folders that are not what they should be ---


def test_a_root_without_two_or_all_is_refused(place: Place, tmp_path: Path) -> None:
    for root in (tmp_path / "nowhere", tmp_path, place.root / "all"):
        with pytest.raises(DataError, match="there is no two/train"):
            reproduce(root, tmp_path / "out")
    shutil.copytree(place.root, tmp_path / "root")
    shutil.rmtree(tmp_path / "root" / "all" / "test")
    with pytest.raises(DataError, match="there is no all/test"):
        reproduce(tmp_path / "root", tmp_path / "out")
    (tmp_path / "root" / "all" / "test").write_text("not a folder")
    with pytest.raises(DataError, match="there is no all/test"):
        reproduce(tmp_path / "root", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_another_number_of_classes_is_refused(place: Place, tmp_path: Path) -> None:
    root = tmp_path / "root"
    shutil.copytree(place.root / "all", root / "two")
    shutil.copytree(place.root / "all", root / "all")
    with pytest.raises(DataError, match=r"Expected 2 classes in .*two, found 4"):
        reproduce(root, tmp_path / "out")


def test_a_folder_with_other_things_is_left_alone(place: Place, tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").touch()
    for out, sentence in ((tmp_path, "holds other files"), (tmp_path / "thesis.tex", "is a file")):
        with pytest.raises(RunError, match=sentence):
            reproduce(place.root, out)
    with pytest.raises(UsageError, match="outside"):
        reproduce(place.root, place.root / "all" / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


# --- the command ---


def test_the_command_quick_with_a_stage_that_fails(place: Place, tmp_path: Path) -> None:
    """A backbone's file that is not there fails its stage; the others are done, told, and the exit code is 1."""
    arguments = ["reproduce", str(place.root), "--out", str(tmp_path / "out"), "--quick", "--json", "--seeds", "1"]
    for name, recipe in place.recipes.items():
        path = tmp_path / f"{name}.toml"
        path.write_text(dump_recipe(recipe), "utf-8")
        arguments += ["--recipe", f"{name}={path}"]
    arguments += ["--backbones", f"{tmp_path}/lost.keras,{tmp_path}/gone.keras", "--cache", str(place.cache)]
    tables = tmp_path / "out" / "tables"
    (tmp_path / "out" / "runs").mkdir(parents=True)
    tables.mkdir()
    (tables / "epochs-model-lost.csv").write_text("of an earlier call, in which it was there")
    (tables / "notes.txt").write_text("the user's own")
    result = CliRunner().invoke(app, arguments)
    assert isinstance(result.exception, RunError), result.exception
    assert result.exception.exit_code == 1
    assert "2 stages failed (model-lost: " in str(result.exception)
    document = json.loads(result.stdout)
    assert set(document) == {"files", "table", "failed", "seconds"}
    assert list(document["failed"]) == ["model-lost", "model-gone"]
    assert len(document["table"]) == len(read_reported().figures)
    assert not (tables / "epochs-model-lost.csv").exists()
    assert (tables / "notes.txt").exists()
    text = (tmp_path / "out" / "report.html").read_text("utf-8")
    assert "lost.keras failed" in text
    assert "Quick: few epochs" in text
    sweep = json.loads((tmp_path / "out" / "batch-sizes" / "sweep.json").read_text("utf-8"))
    assert [row["batch_size"] for row in sweep["rows"]] == [5, 10, 15]


def test_the_command_refuses_a_recipe_without_a_name(place: Place, tmp_path: Path) -> None:
    arguments = ["reproduce", str(place.root), "--out", str(tmp_path / "out"), "--recipe", "mine.toml"]
    result = CliRunner().invoke(app, arguments)
    assert isinstance(result.exception, UsageError)
    assert "--recipe NAME=R" in str(result.exception)


def test_random_weights_are_marked_and_not_compared(made: Reproduction, place: Place, tmp_path: Path) -> None:
    whole = plan(place.root, weights={"resnet50v2": "random"})
    whole = replace(whole, data=data_of_the_report())
    state = ReproductionState(whole, Stages(tmp_path, 1))
    for name in ("vgg16", "resnet50v2"):
        folder = shutil.copytree(made.out / "runs" / name, tmp_path / name)
        manifest = json.loads((folder / "manifest.json").read_text("utf-8"))
        manifest["weights"]["source"] = "random" if name == "resnet50v2" else "imagenet"
        (folder / "manifest.json").write_text(json.dumps(manifest), "utf-8")
        state.runs[name] = OpenedRun(read_run(folder), "", name, place.cache)
    assert "random weights" in state.title("resnet50v2")
    assert "random" not in state.title("vgg16")
    assert any("Random weights: Task 2, ResNet50V2" in line for line in notes_of(state))
    by_id = {judged.figure.id: judged for judged in judge_figures(state, read_reported())}
    for name in ("resnet50v2.test", "resnet50v2.training", "models.accuracy"):
        assert by_id[name].verdict == "not comparable"
        assert by_id[name].ours.shown.endswith("; random weights")
        assert "never trained" in by_id[name].why
    # Layers have as many parameters whatever is in them.
    assert by_id["resnet50v2.parameters.total"].verdict != "not comparable"
    assert "random" not in by_id["vgg16.loss"].ours.shown
