from __future__ import annotations

import hashlib
import json
import math
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pipeline_data import VIEWS, files_of, read_table, rows_by_digest, small_data, small_recipe, write_manifest
from sklearn.model_selection import cross_val_score
from sklearn.neighbors import KNeighborsClassifier

from featx import plots
from featx.errors import DataError, RecipeError, RunError, StoreError, UntrustedError, UsageError
from featx.features import extract
from featx.heads import FitEngine, TrainingBatches
from featx.heads import fit as head_fits
from featx.networks import load_keras
from featx.recipes import Recipe, load_recipe
from featx.runs.fitting import FitResult, fit_head, recipe_to_fit
from featx.runs.folder import read_run
from featx.stats import wilson

CLASSES = ("covid", "normal", "pneumonia_bac", "pneumonia_vir")
DOCUMENTS = {"recipe.toml", "manifest.json", "metrics.json", "history.csv", "predictions.csv"}
FILES = DOCUMENTS | {"head.keras", "curves.png", "confusion.png"}
N_TRAIN, N_TEST = 32, 12
# A quarter of eight images of each class.
N_FIT, N_VALIDATION = 24, 8


@pytest.fixture(scope="module")
def recipe(tiny_model: Path) -> Recipe:
    return small_recipe(tiny_model, {"preprocess.mode": "featurewise"})


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `data` and, once it is used, a `cache`."""
    root = tmp_path_factory.mktemp("fitting")
    small_data(root / "data", train=8, test=3)
    return root


@pytest.fixture(scope="module")
def fitted(home: Path, recipe: Recipe) -> FitResult:
    return fit_head(home / "data", recipe, out=home / "run", cache=home / "cache")


def as_json(path: Path) -> dict[str, Any]:
    def refuse(name: str) -> None:
        raise AssertionError(f"{name} is not JSON")

    document: dict[str, Any] = json.loads(path.read_text("utf-8"), parse_constant=refuse)
    return document


def figures(result: FitResult) -> dict[str, Any]:
    """The scores and the history of a fit."""
    document = result.to_json()
    return {**{key: document[key] for key in ("train", "validation", "test")}, "history": result.history}


# The folder.


def test_the_run_holds_its_files_and_nothing_else(fitted: FitResult) -> None:
    assert {path.name for path in fitted.run.iterdir()} == FILES
    for name in ("curves.png", "confusion.png"):
        assert (fitted.run / name).read_bytes().startswith(b"\x89PNG")


def test_metrics_are_what_was_returned(fitted: FitResult) -> None:
    metrics = as_json(fitted.run / "metrics.json")
    assert metrics == json.loads(json.dumps(fitted.to_json()))
    assert (metrics["epochs"], metrics["batch_size"], metrics["steps"]) == (4, 8, N_FIT // 8)
    assert [metrics[name]["n"] for name in ("train", "validation", "test")] == [N_FIT, N_VALIDATION, N_TEST]
    width = fitted.extraction.dim
    trainable = (width + 1) * 16 + 17 * 4
    network = load_keras().models.load_model(fitted.recipe.backbone.name).count_params()
    assert metrics["parameters"] == {
        "total": trainable + network,
        "trainable": trainable,
        "non_trainable": network,
    }
    assert (metrics["engine"], metrics["failed"]) == ("fused", [])


def test_predictions_recompute_the_metrics(fitted: FitResult) -> None:
    rows = read_table(fitted.run / "predictions.csv")
    assert len(rows) == N_TRAIN + N_TEST
    metrics = as_json(fitted.run / "metrics.json")
    for name, role in (("train", "fit"), ("validation", "validation"), ("test", "test")):
        chosen = [row for row in rows if row["role"] == role]
        correct = sum(row["label"] == row["predicted"] for row in chosen)
        losses = [-math.log(float(row[f"p_{row['label']}"])) for row in chosen]
        assert (metrics[name]["n"], metrics[name]["correct"]) == (len(chosen), correct)
        assert metrics[name]["accuracy"] == pytest.approx(correct / len(chosen))
        assert metrics[name]["interval"] == pytest.approx(wilson(correct, len(chosen)))
        assert metrics[name]["loss"] == pytest.approx(np.mean(losses), rel=1e-4)
    for row in rows:
        p = {name: float(row[f"p_{name}"]) for name in CLASSES}
        assert sum(p.values()) == pytest.approx(1, abs=1e-4)
        assert row["predicted"] == max(p, key=lambda name: p[name])
        content = (fitted.extraction.dataset.root / row["path"]).read_bytes()
        assert row["sha256"] == hashlib.sha256(content).hexdigest()
        assert row["path"].startswith(f"{row['split']}/{row['label']}/")


def test_the_history_ends_where_the_metrics_are(fitted: FitResult) -> None:
    rows = read_table(fitted.run / "history.csv")
    assert [int(row["epoch"]) for row in rows] == [0, 1, 2, 3]
    assert [float(row["learning_rate"]) for row in rows] == [3e-3] * 4
    metrics = as_json(fitted.run / "metrics.json")
    assert float(rows[-1]["val_loss"]) == pytest.approx(metrics["validation"]["loss"], rel=1e-6)
    assert float(rows[-1]["val_accuracy"]) == metrics["validation"]["accuracy"]
    assert [float(row["loss"]) for row in rows] == [epoch.loss for epoch in fitted.history]


def test_the_manifest_says_what_the_run_is_made_of(fitted: FitResult) -> None:
    manifest = as_json(fitted.run / "manifest.json")
    assert manifest["classes"] == list(CLASSES)
    assert manifest["data"]["counts"] == {"train": dict.fromkeys(CLASSES, 8), "test": dict.fromkeys(CLASSES, 3)}
    model = Path(fitted.recipe.backbone.name)
    assert manifest["weights"]["sha256"] == hashlib.sha256(model.read_bytes()).hexdigest()
    assert manifest["features"]["feature_set"] == fitted.extraction.space.plain.id
    assert manifest["features"]["dim"] == fitted.extraction.dim
    assert manifest["head"]["penultimate"]["layer"] == "dense_1"
    assert manifest["versions"]["keras"] == load_keras().__version__
    assert read_run(fitted.run).classes == CLASSES


def predicted_by_keras(result: FitResult, predictions: list[dict[str, str]]) -> NDArray[np.float32]:
    """The output of the stored head, as a plain Keras model, for the stored rows of the images."""
    row = rows_by_digest(result.extraction)
    head = load_keras().models.load_model(result.run / "head.keras", compile=False)
    return np.asarray(head.predict(np.stack([row[entry["sha256"]] for entry in predictions]), verbose=0))


def check_predictions(result: FitResult) -> None:
    predictions = read_table(result.run / "predictions.csv")
    assert len(predictions) == N_TRAIN + N_TEST
    expected = [[float(entry[f"p_{name}"]) for name in CLASSES] for entry in predictions]
    np.testing.assert_allclose(predicted_by_keras(result, predictions), expected, atol=1e-5)


def test_the_head_is_a_plain_keras_model_of_the_stored_rows(fitted: FitResult) -> None:
    check_predictions(fitted)


def test_the_recipe_is_resolved_and_reused_by_its_path(fitted: FitResult, home: Path, recipe: Recipe) -> None:
    resolved = load_recipe(fitted.run / "recipe.toml")
    assert resolved.preprocess.mean == fitted.extraction.spec.preprocess.mean
    assert resolved.preprocess.std is not None
    assert resolved.images.depth == "image"  # no image has more than 8 bits
    assert resolved.model_copy(update={"preprocess": recipe.preprocess, "images": recipe.images}) == recipe
    text = (fitted.run / "recipe.toml").read_text("utf-8")
    assert "learning_rate = 0.003" in text
    assert 'resize = "bilinear"' in text  # a default, written out
    assert extract(home / "data", str(fitted.run / "recipe.toml"), cache=home / "cache").computed == 0


# Which images are used for what.


def roles(run: Path) -> dict[str, str]:
    return {row["sha256"]: row["role"] for row in read_table(run / "predictions.csv")}


def test_without_a_recipe_a_head_is_put_on_the_features_of_a_backbone(tiny_model: Path) -> None:
    linear = recipe_to_fit(None, None, {"backbone": tiny_model, "pooling": "max"}, {"fit.epochs": np.int64(3)})
    assert linear.name == f"linear-{tiny_model.stem}"
    assert (linear.backbone.name, linear.backbone.pooling) == (str(tiny_model), "max")
    assert (linear.head, linear.fit) == (load_recipe("linear").head, load_recipe("linear", {"fit.epochs": 3}).fit)
    mlp = recipe_to_fit(None, "mlp", {})
    assert (mlp.name, mlp.backbone.name) == ("mlp-efficientnetlite0", "efficientnetlite0")
    assert (mlp.head, mlp.fit) == (load_recipe("mlp").head, load_recipe("mlp").fit)
    with pytest.raises(UsageError, match="a recipe or a head, received both"):
        recipe_to_fit("linear", "mlp", {})
    with pytest.raises(UsageError, match="a recipe or a backbone, received both"):
        recipe_to_fit("covid4-vgg16", None, {"backbone": "vgg16"})


def test_validation_is_stratified(fitted: FitResult) -> None:
    rows = read_table(fitted.run / "predictions.csv")
    assert Counter((row["role"], row["label"]) for row in rows) == {
        (role, name): n for role, n in (("fit", 6), ("validation", 2), ("test", 3)) for name in CLASSES
    }


@pytest.mark.slow
def test_the_same_seed_gives_the_same_run_and_another_seed_another(
    fitted: FitResult, home: Path, tmp_path: Path, recipe: Recipe
) -> None:
    data = Path(shutil.copytree(home / "data", tmp_path / "data"))
    for number, path in enumerate(reversed(files_of(data))):
        path.rename(path.with_name(f"{number:03d}.png"))
    same = fit_head(data, recipe, out=tmp_path / "same", cache=home / "cache")
    assert same.extraction.computed == 0
    assert figures(same) == figures(fitted)
    assert roles(same.run) == roles(fitted.run)
    other = fit_head(data, recipe.replaced({"fit.seed": 1}), out=tmp_path / "other", cache=home / "cache")
    assert figures(other) != figures(fitted)
    assert roles(other.run) != roles(fitted.run)


def test_without_validation_all_training_images_are_used(home: Path, tmp_path: Path, recipe: Recipe) -> None:
    none = fit_head(
        home / "data", recipe.replaced({"fit.validation": 0.0}), out=tmp_path / "run", cache=home / "cache"
    )
    assert (none.train.n, none.validation.n, none.test.n) == (N_TRAIN, 0, N_TEST)
    metrics = as_json(tmp_path / "run" / "metrics.json")
    assert metrics["validation"] == {"n": 0, "correct": 0, "accuracy": None, "interval": None, "loss": None}
    assert {row["val_loss"] for row in read_table(tmp_path / "run" / "history.csv")} == {""}
    assert (metrics["best_epoch"], metrics["kept_epoch"], metrics["stopped"]) == (None, 4, False)
    assert none.stopping is None


# When training stops.


@pytest.mark.parametrize("engine", ["fused", "keras"])
def test_patience_stops_training_and_scores_the_best_epoch(
    engine: FitEngine, home: Path, tmp_path: Path, recipe: Recipe
) -> None:
    """At a learning rate at which the validation loss soon rises."""
    fields = {"fit.epochs": 40, "fit.learning_rate": 0.05}
    restless = recipe.replaced(fields)

    def fit(name: str, **further: Any) -> FitResult:
        return fit_head(home / "data", restless, out=tmp_path / name, cache=home / "cache", engine=engine, **further)

    all_epochs, stopped = fit("all"), fit("stopped", patience=3)
    losses = [epoch.val_loss or 0.0 for epoch in all_epochs.history]
    trained = len(stopped.history)
    best = int(np.argmin(losses[:trained]))
    assert trained == best + 1 + 3 < 40
    assert [epoch.val_loss for epoch in stopped.history] == pytest.approx(losses[:trained], rel=1e-3)
    assert (stopped.best_epoch, stopped.kept_epoch, stopped.stopped) == (best + 1, best + 1, True)
    assert stopped.validation.loss == pytest.approx(losses[best], rel=1e-3)
    assert f"stopped at epoch {trained} of 40; the weights of epoch {best + 1}, " in str(stopped.stopping)
    assert (all_epochs.kept_epoch, all_epochs.stopped) == (40, False)
    assert all_epochs.validation.loss == pytest.approx(losses[-1], rel=1e-3)
    assert "and has risen since" in str(all_epochs.stopping)

    metrics, run = as_json(stopped.run / "metrics.json"), read_run(stopped.run)
    assert [metrics[name] for name in ("epochs", "best_epoch", "kept_epoch")] == [trained, best + 1, best + 1]
    assert len(read_table(stopped.run / "history.csv")) == trained
    assert run.recipe.fit.patience == 3
    assert run.stopping == stopped.stopping
    # What is stored is the kept head.
    rows = [row for row in read_table(stopped.run / "predictions.csv") if row["role"] == "validation"]
    loss = np.mean([-math.log(float(row[f"p_{row['label']}"])) for row in rows])
    assert loss == pytest.approx(losses[best], rel=1e-3)
    check_predictions(stopped)


def test_patience_without_validation_images_is_refused_before_any_work(
    home: Path, tmp_path: Path, recipe: Recipe
) -> None:
    cache = tmp_path / "cache"
    with pytest.raises(RecipeError, match=r"has no split val and fit\.validation is 0; hold out a share"):
        fit_head(home / "data", recipe, out=tmp_path / "run", cache=cache, patience=5, validation=0.0)
    assert nothing_extracted(cache)
    data = Path(shutil.copytree(home / "data", tmp_path / "data"))
    (data / "test").rename(data / "val")
    fitted = fit_head(data, recipe, out=tmp_path / "run", cache=home / "cache", patience=5, validation=0.0)
    assert fitted.kept_epoch == fitted.best_epoch


def test_balanced_classes_count_the_same(home: Path, tmp_path: Path, recipe: Recipe) -> None:
    """One class has a quarter of the images; balanced, it is predicted with a higher probability."""
    data = Path(shutil.copytree(home / "data", tmp_path / "data"))
    for path in files_of(data / "train" / "covid")[2:]:
        path.unlink()
    fields = {"fit.epochs": 30, "fit.learning_rate": 1e-2, "fit.validation": 0.5}
    few = recipe.replaced(fields)
    plain = fit_head(data, few, out=tmp_path / "plain", cache=home / "cache")
    balanced = fit_head(data, few, out=tmp_path / "balanced", cache=home / "cache", class_weight="balanced")

    def mean_share(result: FitResult) -> float:
        rows = [row for row in read_table(result.run / "predictions.csv") if row["role"] != "fit"]
        return float(np.mean([float(row["p_covid"]) for row in rows]))

    assert mean_share(balanced) > mean_share(plain)
    assert read_run(balanced.run).recipe.fit.class_weight == "balanced"


def test_a_split_val_is_used_for_validation(home: Path, tmp_path: Path, recipe: Recipe) -> None:
    data = Path(shutil.copytree(home / "data", tmp_path / "data"))
    (data / "test").rename(data / "val")
    result = fit_head(data, recipe, out=tmp_path / "run", cache=home / "cache")
    assert (result.train.n, result.validation.n, result.test.n) == (N_TRAIN, N_TEST, 0)
    assert as_json(tmp_path / "run" / "metrics.json")["test"]["accuracy"] is None
    rows = read_table(tmp_path / "run" / "predictions.csv")
    assert {(row["split"], row["role"]) for row in rows} == {("train", "fit"), ("val", "validation")}


def test_training_separates_classes_that_the_features_did_not(home: Path, tmp_path: Path, recipe: Recipe) -> None:
    changes = {"fit.epochs": 40, "fit.validation": 0.0, "fit.learning_rate": 5e-3}
    result = fit_head(home / "data", recipe.replaced(changes), out=tmp_path / "run", cache=home / "cache")
    assert result.history[-1].loss < 0.5 * result.history[0].loss
    assert result.train.correct > 0.9 * N_TRAIN
    raw = result.extraction.table("train")
    penultimate = stored_penultimate(result, raw.digests)
    accuracy = {
        name: cross_val_score(KNeighborsClassifier(3), rows, raw.labels, cv=4).mean()
        for name, rows in (("raw", raw.X), ("penultimate", penultimate))
    }
    assert accuracy["penultimate"] >= accuracy["raw"] + 0.2


def stored_penultimate(result: FitResult, digests: tuple[str, ...], view: int = 0) -> NDArray[np.float32]:
    manifest = as_json(result.run / "manifest.json")
    (space,) = [
        space
        for space in result.extraction.store.spaces()
        if space.description["kind"] == "penultimate"
        and space.description["head"] == manifest["head"]["sha256"]
        and space.description["features"] == result.extraction.space.of_view(view).id
    ]
    if view == 0:
        assert space.id == manifest["head"]["penultimate"]["feature_set"]
    return space.rows([(digest, view) for digest in digests]).to_array()


def layer_output(run: Path, layer: str, rows: NDArray[np.float32]) -> NDArray[np.float32]:
    keras = load_keras()
    head = keras.models.load_model(run / "head.keras", compile=False)
    part = keras.Model(head.inputs, head.get_layer(layer).output)
    return np.asarray(part.predict(rows, verbose=0))


def test_penultimate_features_of_all_rows_are_stored(fitted: FitResult) -> None:
    table = fitted.extraction.table()
    stored = stored_penultimate(fitted, table.digests)
    assert stored.shape == (N_TRAIN + N_TEST, 16)
    np.testing.assert_allclose(stored, layer_output(fitted.run, "dense_1", table.X), rtol=1e-4, atol=1e-5)


# Views.


@pytest.fixture(scope="module")
def viewed(home: Path, recipe: Recipe) -> tuple[FitResult, list[list[int]]]:
    """A fit over three views, and the rows that its batches took, epoch by epoch."""
    taken: list[list[int]] = []

    class Watched(TrainingBatches):
        def epoch(self, number: int) -> Any:
            rows, watch = self.rows, []

            class Source:
                def __getitem__(self, index: NDArray[np.int64]) -> NDArray[np.float32]:
                    watch.extend(index.tolist())
                    return rows[index]

            yield from TrainingBatches(Source(), self.labels, self.views, self.batch_size, self.seed).epoch(number)
            taken.append(watch)

    spec = recipe.replaced({f"views.{name}": value for name, value in {**VIEWS, "count": 3}.items()})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(head_fits, "TrainingBatches", Watched)
        result = fit_head(home / "data", spec, out=home / "viewed", cache=home / "cache")
    return result, taken


def test_training_flows_through_all_views(viewed: tuple[FitResult, list[list[int]]]) -> None:
    result, taken = viewed
    assert result.extraction.rows == 3 * N_TRAIN + N_TEST
    assert len(taken) == 4
    for rows in taken:
        assert sorted(row // 3 for row in rows) == list(range(N_FIT))
    assert {row % 3 for rows in taken for row in rows} == {0, 1, 2}
    assert len({tuple(rows) for rows in taken}) == 4


def test_validation_and_test_see_the_images_themselves(viewed: tuple[FitResult, list[list[int]]]) -> None:
    check_predictions(viewed[0])


def test_penultimate_features_of_all_views_are_stored(viewed: tuple[FitResult, list[list[int]]]) -> None:
    result, _ = viewed
    train = result.extraction.select("train")
    digests = tuple(image.digest for image in train)
    rows = result.extraction.view_rows(train, 3)[np.arange(3 * N_TRAIN)]
    expected = layer_output(result.run, "dense_1", rows)
    for view in range(3):
        stored = stored_penultimate(result, digests, view)
        np.testing.assert_allclose(stored, expected[view::3], rtol=1e-4, atol=1e-5)


# What is refused.


def check_refused(data: Path, recipe: Recipe, root: Path, error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        fit_head(data, recipe, out=root / "run", cache=root / "cache")
    assert not (root / "run").exists()


def nothing_extracted(cache: Path) -> bool:
    return not (cache / "features").exists()


def test_an_image_in_two_splits_is_refused(home: Path, tmp_path: Path, recipe: Recipe) -> None:
    data = Path(shutil.copytree(home / "data", tmp_path / "data"))
    shutil.copy(data / "train" / "covid" / "covid-000.png", data / "test" / "covid" / "other name.png")
    match = r"train/covid/covid-000\.png in train and test/covid/other name\.png in test"
    check_refused(data, recipe, tmp_path, UntrustedError, match)


def test_a_patient_in_two_splits_is_refused(home: Path, tmp_path: Path, recipe: Recipe) -> None:
    def group(path: Path) -> str:
        return "p1" if path.name == "normal-001.png" else str(path)

    data = Path(shutil.copytree(home / "data", tmp_path / "data"))
    listed = write_manifest(data / "manifest.csv", data, files_of(data), {"group": group})
    check_refused(listed, recipe, tmp_path, UntrustedError, "group 'p1' is train/normal")


@pytest.mark.parametrize(
    ("train", "classes", "match"), [(4, 1, "at least two classes"), (1, 2, r"covid \(1\), normal \(1\)")]
)
def test_too_few_classes_or_images_are_refused(
    train: int, classes: int, match: str, tmp_path: Path, recipe: Recipe
) -> None:
    data = small_data(tmp_path / "data", train=train, test=1, classes=classes)
    check_refused(data, recipe, tmp_path, DataError, match)
    assert nothing_extracted(tmp_path / "cache")


def test_a_class_that_is_lost_by_skipping_is_refused(tmp_path: Path, recipe: Recipe) -> None:
    data = small_data(tmp_path / "data", train=4, test=1, classes=2)
    for path in files_of(data / "train" / "normal"):
        path.write_bytes(b"damaged")
    with pytest.raises(DataError, match="at least two classes"):
        fit_head(data, recipe, out=tmp_path / "run", cache=tmp_path / "cache", on_error="skip")
    assert not (tmp_path / "run").exists()


def test_a_sigmoid_and_four_classes_are_refused_before_anything_is_extracted(
    home: Path, tmp_path: Path, recipe: Recipe
) -> None:
    sigmoid = recipe.replaced({"head.output": "sigmoid"})
    check_refused(home / "data", sigmoid, tmp_path, RecipeError, "is for two classes, and the data has 4")
    assert nothing_extracted(tmp_path / "cache")


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["fused", "keras"])
def test_a_last_step_that_diverges_is_refused(engine: FitEngine, home: Path, tmp_path: Path, recipe: Recipe) -> None:
    """Its loss is measured before the step and is finite; no images are held out that would show the divergence."""
    hopeless = recipe.replaced(
        {"fit.learning_rate": 1e30, "fit.epochs": 1, "fit.validation": 0.0, "fit.batch_size": N_TRAIN}
    )
    with pytest.raises(UntrustedError, match="the training diverged"):
        fit_head(home / "data", hopeless, out=tmp_path / "run", cache=home / "cache", engine=engine)
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_a_hopeless_rate_still_writes_valid_files(home: Path, tmp_path: Path, recipe: Recipe) -> None:
    result = fit_head(
        home / "data", recipe.replaced({"fit.learning_rate": 1e6}), out=tmp_path / "run", cache=home / "cache"
    )
    assert result.history[-1].loss > 1e3
    assert as_json(result.run / "metrics.json")["train"]["loss"] > 1e3
    as_json(result.run / "manifest.json")
    assert {path.name for path in result.run.iterdir()} == FILES


# Two classes, skipped images, and where the run goes.


@pytest.mark.slow
def test_two_classes_with_a_sigmoid(home: Path, tmp_path: Path, recipe: Recipe) -> None:
    data = Path(shutil.copytree(home / "data", tmp_path / "data"))
    for split in ("train", "test"):
        for name in CLASSES[2:]:
            shutil.rmtree(data / split / name)
    sigmoid = recipe.replaced({"head.output": "sigmoid", "preprocess.mode": "rescale"})
    result = fit_head(data, sigmoid, out=tmp_path / "run", cache=home / "cache")
    assert result.parameters["trainable"] == (result.extraction.dim + 1) * 16 + 17
    predictions = read_table(result.run / "predictions.csv")
    p = predicted_by_keras(result, predictions)[:, 0]
    np.testing.assert_allclose([float(entry["p_normal"]) for entry in predictions], p, atol=1e-5)
    assert [entry["predicted"] for entry in predictions] == ["normal" if each > 0.5 else "covid" for each in p]


def test_a_skipped_image_is_named_and_left_out(home: Path, tmp_path: Path, recipe: Recipe) -> None:
    data = Path(shutil.copytree(home / "data", tmp_path / "data"))
    (data / "train" / "covid" / "bad.png").write_bytes(b"damaged")
    result = fit_head(data, recipe, out=tmp_path / "run", cache=home / "cache", on_error="skip")
    metrics = as_json(result.run / "metrics.json")
    assert [row["path"] for row in metrics["failed"]] == ["train/covid/bad.png"]
    assert metrics["train"]["n"] + metrics["validation"]["n"] == N_TRAIN


@pytest.mark.slow
def test_an_earlier_run_is_replaced(home: Path, tmp_path: Path, recipe: Recipe) -> None:
    run = tmp_path / "run"
    fit_head(home / "data", recipe.replaced({"fit.epochs": 2}), out=run, cache=home / "cache")
    result = fit_head(home / "data", recipe.replaced({"fit.epochs": 3}), out=run, cache=home / "cache")
    assert {path.name for path in run.iterdir()} == FILES
    assert len(read_table(run / "history.csv")) == 3
    assert as_json(run / "metrics.json") == json.loads(json.dumps(result.to_json()))


def test_a_folder_with_other_files_is_left_alone(home: Path, tmp_path: Path, recipe: Recipe) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    with pytest.raises(RunError, match="holds other files"):
        fit_head(home / "data", recipe, out=tmp_path / "mine", cache=tmp_path / "cache")
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["thesis.txt"]
    assert nothing_extracted(tmp_path / "cache")


@pytest.mark.slow
def test_an_interrupted_replacement_is_no_run_and_can_be_repeated(
    home: Path, tmp_path: Path, recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "run"
    fit_head(home / "data", recipe, out=run, cache=home / "cache")

    def fail(*_: object) -> None:
        raise StoreError("no space left")

    with monkeypatch.context() as patch:
        patch.setattr("featx.runs.writing.write_csv", fail)
        with pytest.raises(StoreError, match="no space left"):
            fit_head(home / "data", recipe.replaced({"fit.seed": 5}), out=run, cache=home / "cache")
    # The head is the new one and the history the old one: that is no run.
    with pytest.raises(RunError, match=r"has no manifest\.json"):
        read_run(run)
    again = fit_head(home / "data", recipe, out=run, cache=home / "cache")
    assert read_run(again.run).classes == CLASSES


def test_progress_is_reported_to_its_end(home: Path, tmp_path: Path, recipe: Recipe) -> None:
    reported: dict[str, tuple[int, int]] = {}

    def progress(stage: str, done: int, total: int) -> None:
        reported[stage] = (done, total)

    fit_head(home / "data", recipe, out=tmp_path / "run", cache=tmp_path / "cache", progress=progress)
    assert reported["fitting"] == (4, 4)
    assert reported["extracting"] == reported["penultimate features"] == (N_TRAIN + N_TEST, N_TRAIN + N_TEST)


def test_groups_widen_intervals_and_have_results_of_their_own(
    home: Path, recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The three test images of each class are of one patient; so are pairs of training images."""

    def group(path: Path) -> str:
        number = int(path.stem.rsplit("-", 1)[1])
        return f"{path.parts[-3]} {path.parts[-2]} {number // (3 if path.parts[-3] == 'test' else 2)}"

    data = home / "data"
    listed = write_manifest(home / "grouped.csv", data, files_of(data), {"group": group})
    draw, titles = plots.draw_confusion, []

    def drawn(counts: Any, classes: Any, title: str) -> Any:
        titles.append(title)
        return draw(counts, classes, title)

    monkeypatch.setattr(plots, "draw_confusion", drawn)
    result = fit_head(listed, recipe, out=tmp_path / "run", cache=home / "cache")
    assert (result.test.n, result.test.groups) == (12, 4)
    assert (result.train.groups, result.validation.groups) == (N_FIT // 2, N_VALIDATION // 2)
    assert result.test.effective is not None
    assert result.test.effective < 12
    low, high = result.test.interval or (0, 0)
    plain_low, plain_high = wilson(result.test.correct, 12)
    assert low < plain_low or high > plain_high
    document = as_json(tmp_path / "run" / "metrics.json")
    assert document["test"]["groups"] == 4
    assert document["by_group"]["test"]["n"] == 4
    assert document["by_group"]["test"]["mixed"] == 0
    assert "in 4 groups" in str(result.test)
    assert titles[0].endswith(f"\n{result.test}")
    assert any(row[0] == "test, by group" for row in result.overview()[1])


def test_metrics_of_each_class_stand_beside_the_accuracy(fitted: FitResult) -> None:
    document = as_json(fitted.run / "metrics.json")
    assert document["metrics"].keys() == {"validation", "test"}
    assert document["by_group"] == {}
    metrics = document["metrics"]["test"]
    images = [image for image in read_run(fitted.run).images if image.role == "test"]
    recalls = []
    for name, of_class in zip(CLASSES, metrics["per_class"], strict=True):
        own = [image.predicted == name for image in images if image.label == name]
        recalls.append(np.mean(own))
        assert (of_class["class"], of_class["n"]) == (name, 3)
        assert of_class["sensitivity"] == {"value": recalls[-1], "interval": list(wilson(sum(own), 3))}
    assert metrics["balanced_accuracy"]["value"] == pytest.approx(np.mean(recalls))
    assert metrics["majority"] == {"class": "covid", "correct": 3, "accuracy": 0.25}
    assert "groups" not in document["test"]
