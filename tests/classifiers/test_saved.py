from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from pipeline_data import digest, files_of, small_recipe, write_model
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from featx.classifiers.saved import METADATA, SKOPS, read_classifier, save_classifier
from featx.errors import FeatxError, RecipeError, RunError, UntrustedError
from featx.prediction import predict
from featx.recipes import dump_recipe, load_recipe
from featx.runs import FitResult, Source, fit_head, read_source

CLASSES = ("covid", "normal", "pneumonia_bac", "pneumonia_vir")


class Saved(NamedTuple):
    """A saved classifier with what it was made of."""

    folder: Path
    source: Source
    estimator: Any


@pytest.fixture
def data(fitted: FitResult) -> Path:
    return fitted.extraction.dataset.root


def estimator_on(source: Source) -> Any:
    train = source.of_split("train").table
    return make_pipeline(StandardScaler(), LogisticRegression()).fit(train.X, np.array(train.labels))


def saved_to(folder: Path, source: Source) -> Saved:
    estimator, train = estimator_on(source), source.of_split("train")
    save_classifier(folder, estimator, train, name="logreg", parameters={"C": 1.0}, seed=3, scores={"cv": 0.5})
    return Saved(folder, source, estimator)


@pytest.fixture
def saved(fitted: FitResult, cache: Path, tmp_path: Path) -> Saved:
    """A classifier of the backbone's features of the run."""
    return saved_to(tmp_path / "best", read_source(fitted.run, layer="backbone", cache=cache))


def check_predictions(saved: Saved, data: Path, cache: Path) -> None:
    """Predictions for the files are the classifier's for their cached rows."""
    found = predict(saved.folder, [data], cache=cache)
    known = dict(zip(saved.source.table.digests, saved.source.table.X, strict=True))
    rows = np.stack([known[digest(Path(row.path))] for row in found.rows])
    expected = saved.estimator.predict_proba(rows)
    got = np.array([[row.probabilities[name] for name in CLASSES] for row in found.rows])
    np.testing.assert_allclose(got, expected, atol=1e-4)
    assert [row.label for row in found.rows] == [CLASSES[number] for number in expected.argmax(axis=1)]
    assert len(found.rows) == 44
    assert got.std() > 0.05


@pytest.mark.parametrize("layer", ["backbone", "penultimate"])
def test_a_classifier_of_a_run_needs_neither_run_nor_cache(
    layer: Any, fitted: FitResult, data: Path, cache: Path, tmp_path: Path
) -> None:
    # The copy of the run is gone when the classifier is used, and so is the cache.
    run = Path(shutil.copytree(fitted.run, tmp_path / "run"))
    saved = saved_to(tmp_path / "best", read_source(run, layer=layer, cache=cache))
    shutil.rmtree(run)
    assert (saved.folder / "head.keras").exists() == (layer == "penultimate")
    check_predictions(saved, data, tmp_path / "other")


def test_a_classifier_of_data_needs_no_run(tiny_model: Path, data: Path, cache: Path, tmp_path: Path) -> None:
    recipe = small_recipe(tiny_model, {"preprocess.mode": "featurewise"})
    source = read_source(data, recipe=recipe, cache=cache)
    saved = saved_to(tmp_path / "best", source)
    # The training images' statistics are in it.
    assert load_recipe(saved.folder / "recipe.toml").preprocess.mean is not None
    check_predictions(saved, data, tmp_path / "other")
    one = files_of(data / "test")[0]
    folder = tmp_path / "ward"
    folder.mkdir()
    shutil.copy(one, folder)
    (row,) = predict(saved.folder, [folder], cache=tmp_path / "third").rows
    place = source.table.digests.index(digest(one))
    expected = saved.estimator.predict_proba(source.table.X[[place]])[0]
    np.testing.assert_allclose(list(row.probabilities.values()), expected, atol=1e-4)


def test_the_metadata_describe_it(saved: Saved, fitted: FitResult) -> None:
    known = json.loads((saved.folder / METADATA).read_text("utf-8"))
    manifest = json.loads((fitted.run / "manifest.json").read_text("utf-8"))
    assert (known["classifier"], known["parameters"], known["seed"]) == ("logreg", {"C": 1.0}, 3)
    assert (known["classes"], known["layer"], known["head"]) == (list(CLASSES), "backbone", None)
    assert known["dim"] == saved.source.table.X.shape[1]
    assert known["weights"] == manifest["weights"]
    assert known["features"]["backbone_set"] == manifest["features"]["feature_set"]
    assert known["data"]["n"] == 32
    assert known["data"]["counts"] == dict.fromkeys(CLASSES, 8)
    assert known["sha256"] == digest(saved.folder / SKOPS)
    assert known["scores"] == {"cv": 0.5}
    assert set(known["versions"]) == {"python", "featx", "numpy", "scikit-learn", "scipy", "skops"}
    assert load_recipe(saved.folder / "recipe.toml") == load_recipe(fitted.run / "recipe.toml")


def refused(saved: Saved, data: Path, cache: Path, error: type[FeatxError], match: str) -> None:
    with pytest.raises(error, match=match) as caught:
        predict(saved.folder, [data / "test"], cache=cache)
    assert caught.value.exit_code == (4 if error is UntrustedError else 1)
    assert "\n" not in str(caught.value)


def test_other_weights_are_refused(saved: Saved, data: Path, cache: Path, tmp_path: Path) -> None:
    other = write_model(tmp_path / "other.keras", seed=9)
    change_recipe(saved, {"backbone.name": str(other)})
    match = "that the classifier was trained on .* predictions would mean nothing"
    refused(saved, data, cache, UntrustedError, match)


@pytest.mark.parametrize(
    "changes", [{"images.resize": "box"}, {"preprocess.mean": (0.1, 0.1, 0.1)}, {"backbone.cut": "conv_1"}]
)
def test_other_features_are_refused(saved: Saved, data: Path, cache: Path, changes: dict[str, Any]) -> None:
    change_recipe(saved, changes)
    refused(saved, data, cache, UntrustedError, "this version of featx make others")


def change_recipe(saved: Saved, changes: dict[str, Any]) -> None:
    path = saved.folder / "recipe.toml"
    path.write_text(dump_recipe(load_recipe(path, changes)), "utf-8")


def test_missing_statistics_are_refused(saved: Saved, data: Path, cache: Path) -> None:
    path = saved.folder / "recipe.toml"
    kept = load_recipe(path).replaced({"preprocess.mean": None, "preprocess.std": None})
    path.write_text(dump_recipe(kept), "utf-8")
    refused(saved, data, cache, RecipeError, "needs the channel means and deviations of training images")


@pytest.mark.slow
def test_another_head_is_refused(fitted: FitResult, data: Path, cache: Path, tmp_path: Path) -> None:
    saved = saved_to(tmp_path / "best", read_source(fitted.run, layer="penultimate", cache=cache))
    other = fit_head(data, fitted.recipe.replaced({"fit.seed": 5}), out=tmp_path / "other", cache=cache)
    shutil.copy(other.run / "head.keras", saved.folder)
    refused(saved, data, cache, UntrustedError, "found another in .*head.keras")


def replace_with_another(saved: Saved) -> None:
    from featx.classifiers.estimator_files import save_estimator

    save_estimator(estimator_on(saved.source.take(np.arange(20))), saved.folder / SKOPS)


@pytest.mark.parametrize(
    ("spoil", "match"),
    [
        (replace_with_another, "is damaged or another; save it again"),
        (lambda saved: (saved.folder / SKOPS).unlink(), "cannot be read"),
        (lambda saved: (saved.folder / METADATA).write_text("{}"), "cannot be read \\(schema: field required\\)"),
        (lambda saved: (saved.folder / METADATA).write_text("not json"), "cannot be read"),
        (lambda saved: (saved.folder / METADATA).write_text('{"schema": 2}'), "this version of featx reads 1"),
    ],
)
def test_a_damaged_folder_is_one_sentence(
    spoil: Callable[[Saved], None], match: str, saved: Saved, data: Path, cache: Path
) -> None:
    spoil(saved)
    refused(saved, data, cache, RunError, match)


def test_another_version_of_scikit_learn_gives_a_notice(
    saved: Saved, data: Path, cache: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = saved.folder / METADATA
    known = json.loads(path.read_text("utf-8"))
    known["versions"]["scikit-learn"] = "1.5.0"
    path.write_text(json.dumps(known), "utf-8")
    with caplog.at_level(logging.WARNING, "featx"):
        predict(saved.folder, [data / "test"], cache=cache)
    assert "scikit-learn 1.5.0 and this is" in caplog.text


def test_only_an_earlier_classifier_is_replaced(saved: Saved, fitted: FitResult, tmp_path: Path) -> None:
    before = (saved.folder / SKOPS).read_bytes()
    # An interrupted writing leaves no metadata; the folder may be written again.
    (saved.folder / METADATA).unlink()
    saved_to(saved.folder, saved.source)
    assert read_classifier(saved.folder).classes == CLASSES
    assert len(before) == len((saved.folder / SKOPS).read_bytes())
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "recipe.toml").write_text("mine")
    for folder in (mine, fitted.run):
        with pytest.raises(RunError, match="it holds other files"):
            saved_to(folder, saved.source)
    with pytest.raises(RunError, match="is a file"):
        saved_to(mine / "recipe.toml", saved.source)
    assert (mine / "recipe.toml").read_text() == "mine"


@pytest.mark.parametrize("entry", ["schema", "classes", "dim", "features", "weights", "head", "sha256", "versions"])
def test_an_entry_of_another_kind_is_one_sentence(entry: str, tmp_path: Path) -> None:
    made = Path(__file__).parents[1] / "made_before" / "classifier"
    shutil.copytree(made, tmp_path / "best")
    document = json.loads((made / METADATA).read_text("utf-8"))
    values: tuple[object, ...] = (7.5, "x", [], [[]], {}, [{}], -1)
    for value in values:
        (tmp_path / "best" / METADATA).write_text(json.dumps({**document, entry: value}), "utf-8")
        with pytest.raises(RunError, match=r"classifier\.json cannot be read \(.+\); save it again\.$"):
            read_classifier(tmp_path / "best")
