from __future__ import annotations

import json
import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from featx.classifiers import Comparison, compare, fit_winner, save_best
from featx.classifiers.estimator_files import class_probabilities, load_estimator, save_estimator
from featx.classifiers.models import CLASSIFIERS
from featx.cli import app
from featx.errors import RunError, UsageError
from featx.prediction import predict
from featx.runs import FitResult


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name, classifier in CLASSIFIERS.items() if not classifier.pixels])
def test_a_winner_predicts_as_in_the_comparison_also_after_saving(
    compared: Comparison, name: str, tmp_path: Path
) -> None:
    assert compared.test is not None
    pipeline, row = fit_winner(compared, name), compared.row(name)
    assert row.test_probabilities is not None
    assert row.test_predicted is not None
    X = compared.test.table.X
    np.testing.assert_allclose(pipeline.predict_proba(X), row.test_probabilities, atol=1e-5)
    assert [str(label) for label in pipeline.predict(X)] == [compared.classes[i] for i in row.test_predicted]
    assert pipeline.n_features_in_ == 300
    save_estimator(pipeline, tmp_path / "winner.skops")
    again = load_estimator(tmp_path / "winner.skops", 300, 3)
    np.testing.assert_array_equal(class_probabilities(again, X), pipeline.predict_proba(X))


@pytest.mark.parametrize("name", ["logreg", "lda", "boosting"])
def test_a_winner_does_not_store_the_training_rows(compared: Comparison, name: str) -> None:
    arrays = [value for step in fit_winner(compared, name) for value in vars(step).values()]
    largest = max(np.size(array) for array in arrays if isinstance(array, np.ndarray))
    assert largest <= 50 * 300 < compared.train.table.X.size


def test_the_head_cannot_be_fitted_as_a_winner(compared: Comparison) -> None:
    with pytest.raises(UsageError, match="received 'head'"):
        fit_winner(compared, "head")


def test_the_saved_best_predicts_what_the_comparison_predicts(
    comparison: Comparison, fitted: FitResult, cache: Path, tmp_path: Path
) -> None:
    folder = save_best(comparison, tmp_path / "best")
    known = json.loads((folder / "classifier.json").read_text("utf-8"))
    row = comparison.row(known["classifier"])
    assert row.kind == "classifier"
    assert known["scores"]["test"]["correct"] == comparison.correct(row)
    assert comparison.test is not None
    assert row.test_probabilities is not None
    expected = dict(zip(comparison.test.table.ids, row.test_probabilities, strict=True))
    data = fitted.extraction.dataset.root
    found = predict(folder, [data / "test"], cache=cache)
    assert len(found.rows) == len(expected)
    for image in found.rows:
        own = expected[Path(image.path).relative_to(data).as_posix()]
        np.testing.assert_allclose(list(image.probabilities.values()), own, atol=1e-6)


def test_where_a_baseline_is_best_the_best_other_classifier_is_saved(
    comparison: Comparison, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    names = [row.name for row in comparison.rows if row.kind == "classifier"]
    with caplog.at_level(logging.WARNING, "featx"):
        folder = save_best(replace(comparison, best="pixels"), tmp_path / "best")
    assert json.loads((folder / "classifier.json").read_text("utf-8"))["classifier"] == names[0]
    assert f"The best row, pixels, is not a classifier of features; {names[0]} is saved." in caplog.text


def test_a_baseline_is_not_saved(fitted: FitResult, cache: Path, tmp_path: Path) -> None:
    found = compare(fitted.run, classifiers=["majority"], folds=2, repeats=1, cache=cache)
    with pytest.raises(UsageError, match="only baselines are compared"):
        save_best(found, tmp_path / "best")
    assert not (tmp_path / "best").exists()


def test_a_folder_with_other_files_is_refused_before_any_work(fitted: FitResult, tmp_path: Path) -> None:
    # With this cache the comparison itself would fail.
    arguments = ["compare", str(fitted.run), "--cache", str(tmp_path), "--save-best", str(fitted.run)]
    done = CliRunner().invoke(app, arguments)
    assert isinstance(done.exception, RunError)
    assert "holds other files" in str(done.exception)


def test_what_cannot_be_saved_is_refused_before_the_work(place: Path) -> None:
    with pytest.raises(UsageError, match="only baselines are compared"):
        compare(place, cache=place.parent / "cache", classifiers=["majority"], to_save=True)
