from __future__ import annotations

import json
import logging
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from comparison_data import TEST, TRAIN, drawn, split_names, write_run
from pipeline_data import small_data, small_recipe
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from typer.testing import CliRunner

import featx
from featx.classifiers import Comparison, compare
from featx.cli import app
from featx.errors import DataError, UntrustedError, UsageError, in_python
from featx.runs import FitResult, fit_head

pytestmark = pytest.mark.slow

QUICK = ["logreg", "svm-linear", "knn", "lda", "forest"]


def everything(comparison: Comparison) -> list[Any]:
    """All numbers but the seconds, exactly."""
    rows = [{**row, "seconds": 0} for row in comparison.to_json()["rows"]]
    arrays = [row.cv_probabilities.tolist() for row in comparison.rows if row.cv_probabilities is not None]
    return [json.dumps(rows), arrays, comparison.fold_of.tolist()]


def test_every_classifier_is_evaluated_on_the_same_images(compared: Comparison) -> None:
    names = [row.name for row in compared.rows]
    assert set(names) == {"logreg", "svm-linear", "svm-rbf", "knn", "lda", "forest", "boosting", "majority", "head"}
    assert len(names) == 9
    assert (len(compared.y_train), len(compared.y_test)) == (TRAIN, TEST)
    assert names[-1] == "head"
    means = [row.cv["accuracy"].value for row in compared.rows if row.cv]
    assert means == sorted(means, reverse=True)
    assert compared.best == names[0]
    for row in compared.rows:
        assert row.test is not None
        assert row.test_probabilities is not None
        np.testing.assert_allclose(row.test_probabilities.sum(axis=1), 1)
        right = np.sum(row.test_probabilities.argmax(axis=1) == compared.y_test)
        assert row.test["accuracy"].value == right / TEST
        if row.fold_scores is not None and row.cv_probabilities is not None:
            # The folds' figures are those of the held-out rows' probabilities.
            for number, figure in enumerate(row.fold_scores["accuracy"]):
                repeat, fold = divmod(number, 2)
                held = compared.fold_of[repeat] == fold
                own = row.cv_probabilities[repeat, held].argmax(axis=1) == compared.y_train[held]
                assert figure == own.mean()


def test_the_head_is_evaluated_on_the_test_images(compared: Comparison) -> None:
    head = compared.row("head")
    assert (compared.correct(head), head.cv) == (24, None)
    assert head.test is not None
    assert head.test["accuracy"].interval == pytest.approx((0.6269, 0.9049), abs=1e-4)
    assert head.p_value_vs_best == head.test_p_value_vs_best
    best = compared.row(compared.best)
    assert best.test is not None
    assert head.difference is not None
    assert head.difference.value == pytest.approx(head.test["accuracy"].value - best.test["accuracy"].value)
    low, high = head.difference.interval or (0, 0)
    assert -0.5 < low < head.difference.value < high < 0.1


def test_a_verdict_is_what_the_interval_of_the_difference_says(compared: Comparison) -> None:
    best = compared.row(compared.best)
    assert (best.difference, best.p_value_vs_best, best.verdict) == (None, None, "best")
    for row in compared.rows:
        if row is best or row.cv is None or best.cv is None:
            continue
        assert row.difference is not None
        assert row.difference.value == pytest.approx(row.cv["accuracy"].value - best.cv["accuracy"].value)
        assert row.difference.interval is not None
        assert (row.verdict == "worse") == (row.difference.interval[1] < 0)
    line = compared.line(compared.row("majority"))
    assert line["difference_low"] < line["difference"] < line["difference_high"] < 0
    assert compared.to_json()["rows"][-1]["difference"].keys() == {"mean", "interval"}


def test_the_calibration_error_stands_beside_that_of_chance(compared: Comparison) -> None:
    head, majority = (compared.row(name) for name in ("head", "majority"))
    assert head.test is not None
    assert majority.test is not None
    # The head is sure of all it says, and right on 24 of 30.
    assert head.test["calibration_error"].value == pytest.approx(0.2)
    assert head.test["expected_calibration_error"].value == pytest.approx(0, abs=1e-9)
    # One in three is right, as a third of the images would be by chance, more or less.
    assert 0.03 < majority.test["expected_calibration_error"].value < 0.12
    assert compared.line(majority)["test_expected_calibration_error"] is not None


def test_the_notes_say_how_many_images_the_head_was_fitted_on(comparison: Comparison) -> None:
    roles = comparison.train.predicted.roles if comparison.train.predicted else ()
    fitted, n = roles.count("fit"), len(roles)
    assert 0 < fitted < n
    assert any(f"fitted on {fitted} of the {n} training images" in note for note in comparison.notes)


def test_the_majority_predicts_the_shares_of_the_classes(compared: Comparison) -> None:
    row = compared.row("majority")
    assert row.kind == "baseline"
    assert row.test_probabilities is not None
    np.testing.assert_allclose(row.test_probabilities, 1 / 3)
    assert row.verdict == "worse"


def test_results_depend_on_the_seed_not_on_the_workers(place: Path) -> None:
    one, two = (
        compare(place, classifiers=QUICK, folds=2, repeats=1, jobs=jobs, cache=place.parent / "cache")
        for jobs in (1, 2)
    )
    assert everything(one) == everything(two)
    other = compare(place, classifiers=["lda"], folds=2, repeats=1, seed=1, cache=place.parent / "cache")
    assert other.fold_of.tolist() != one.fold_of.tolist()


def test_parameters_are_chosen_without_the_held_out_rows(tmp_path: Path) -> None:
    """Labels without meaning: what is chosen on the rows that it is tested on would look better than chance."""
    X, y = drawn(90, 400, distance=0)
    y = np.random.default_rng(3).permutation(y)
    place = write_run(tmp_path, X, y.tolist(), ["train"] * 90)
    found = compare(place, classifiers=["logreg", "knn"], repeats=2, cache=tmp_path / "cache")
    for row in found.rows:
        assert row.cv is not None
        assert row.cv["accuracy"].value < 0.62
        assert row.test is None
    assert found.test is None
    assert "no images of the split test" in found.notes[0]


def test_a_fold_gives_the_same_as_scikit_learn_alone(place: Path) -> None:
    """The whole pipeline at full width, with the parameters that were chosen in the fold."""
    found = compare(place, classifiers=["logreg"], folds=3, repeats=1, cache=place.parent / "cache")
    row, X, y = found.row("logreg"), found.train.table.X.astype(float), found.y_train
    assert row.cv_probabilities is not None
    for fold, parameters in enumerate(row.fold_parameters):
        held = found.fold_of[0] == fold
        model = make_pipeline(StandardScaler(), LogisticRegression(**parameters, tol=1e-5, max_iter=1000))
        expected = model.fit(X[~held], y[~held]).predict_proba(X[held])
        np.testing.assert_allclose(row.cv_probabilities[0, held], expected, atol=1e-3)


def test_images_of_a_group_are_never_on_both_sides(tmp_path: Path) -> None:
    """Pairs of nearly equal images with labels without meaning: divided pairs would be recognised."""
    X, _ = drawn(80, 50, distance=0)
    X[1::2] = X[::2] + 0.01
    y = np.repeat(np.random.default_rng(0).permutation(np.arange(40) % 2), 2)
    groups = [f"pair {i // 2}" for i in range(80)]
    kept = write_run(tmp_path / "kept", X, y.tolist(), ["train"] * 80, groups)
    apart = write_run(tmp_path / "apart", X, y.tolist(), ["train"] * 80)
    one, other = (
        compare(run, classifiers=["knn"], cache=run.parent / "cache").row("knn").cv_accuracy for run in (kept, apart)
    )
    assert 0 <= one <= 0.75
    assert 0.9 <= other <= 1


def test_a_group_on_both_sides_of_the_test_split_is_refused(tmp_path: Path) -> None:
    X, y = drawn(40, 4)
    groups = [f"p{i // 2}" for i in range(40)]
    inside = write_run(tmp_path / "inside", X, y.tolist(), split_names(30, 10), groups)
    across = write_run(tmp_path / "across", X, y.tolist(), split_names(29, 11), groups)
    # Groups that are divided between train and val are none here: both are for training.
    assert compare(inside, classifiers=["knn"], folds=2, repeats=1, cache=inside.parent / "cache").row("knn").test
    with pytest.raises(
        UntrustedError, match=r"but 1 is in both parts, such as 2[89]\.png in .* one split, or have the images"
    ):
        compare(across, classifiers=["knn"], cache=across.parent / "cache")


def test_penultimate_features_come_with_a_note(place: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "featx"):
        found = compare(place, layer="penultimate", classifiers=["lda"], cache=place.parent / "cache")
    assert "trust only the test columns" in found.notes[0]
    assert in_python(found.notes[0]) in caplog.text


def test_a_class_may_be_missing_from_the_test_part(tmp_path: Path) -> None:
    X, y = drawn(70, 4, classes=3, distance=4.0)
    part = ["test" if i >= 50 and y[i] else "train" for i in range(70)]
    place = write_run(tmp_path, X, y.tolist(), part)
    row = compare(place, classifiers=["lda"], cache=tmp_path / "cache").row("lda")
    assert row.test is not None
    assert row.test["roc_auc"].value > 0.8


def test_what_cannot_be_compared_is_refused(place: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"received 'svm-lin'; did you mean svm-linear\?"):
        compare(place, classifiers=["svm-lin"], cache=place.parent / "cache")
    with pytest.raises(UsageError, match="at least 2 folds, received 1"):
        compare(place, folds=1, cache=place.parent / "cache")
    X, y = drawn(20, 4)
    only = write_run(tmp_path / "only", X, y.tolist(), ["test" if k else "train" for k in y])
    with pytest.raises(DataError, match="found a and test images of b"):
        compare(only, cache=only.parent / "cache")
    few = write_run(tmp_path / "few", X, [int(i < 2) for i in range(20)], ["train"] * 20)
    with pytest.raises(DataError, match=r"found fewer for b \(2\)"):
        compare(few, cache=few.parent / "cache")


def test_three_groups_per_class_are_enough(tmp_path: Path) -> None:
    X, y = drawn(6, 40, distance=9.0)
    place = write_run(tmp_path, X, y.tolist(), ["train"] * 6)
    found = compare(place, repeats=1, cache=tmp_path / "cache")
    assert (found.folds, len(found.rows)) == (3, 8)


def test_images_with_the_same_features_are_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    place = write_run(tmp_path, np.ones((8, 4), np.float32), [0, 1] * 4, ["train"] * 8)
    found = compare(place, classifiers=["lda"], folds=2, repeats=1, cache=tmp_path / "cache")
    cv = found.row("lda").cv
    assert cv is not None
    assert cv["accuracy"].value == 0.5
    assert "All 8 images have the same features, so no classifier can tell them apart; check that" in caplog.text


def test_many_images_are_compared_without_kernels(
    place: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("featx.classifiers.preparing.MANY", 50)
    monkeypatch.setattr("featx.classifiers.comparing._evaluate_all", lambda *rest: pytest.fail("enough"))
    with caplog.at_level(logging.WARNING, "featx"), pytest.raises(pytest.fail.Exception):
        compare(place, cache=place.parent / "cache")
    assert "60 training images: svm-linear, svm-rbf, knn;" in caplog.text


def test_the_command_line(place: Path, tmp_path: Path) -> None:
    arguments = ["compare", str(place), "--cache", str(place.parent / "cache"), "--classifiers", "logreg, lda"]
    done = CliRunner().invoke(app, [*arguments, "--folds", "3", "-j", "1", "--json", "--out", str(tmp_path / "out")])
    assert done.exit_code == 0, done.output
    document = json.loads(done.stdout)
    in_python = featx.compare(place, classifiers=["logreg", "lda"], folds=3, cache=place.parent / "cache").to_json()
    for row, expected in zip(document["rows"], in_python["rows"], strict=True):
        assert {**row, "seconds": 0} == {**json.loads(json.dumps(expected)), "seconds": 0}
    keys = {"classifier", "cv", "test", "p_value_vs_best", "seconds", "metrics", "parameters", "verdict"}
    assert all(set(row) >= keys for row in document["rows"])
    assert set(document["rows"][0]["cv"]) == {"mean", "interval"}
    assert set(document["rows"][0]["test"]) >= {"n", "correct", "accuracy", "interval"}
    assert all(Path(name).is_file() for name in document["files"])
    assert [Path(name).name for name in document["files"]][:3] == ["comparison.csv", "folds.csv", "predictions.csv"]
    shown = CliRunner().invoke(app, [*arguments, "--folds", "3"])
    assert shown.exit_code == 0, shown.output
    assert "best" in shown.stdout
    assert "80.0 (63–90)" in shown.stdout
    # The table is no wider than a terminal, so that no cell is broken.
    rows = shown.stdout[shown.stdout.index("folds (95 %)") :].splitlines()[:4]
    assert all(len(line.rstrip()) <= 80 for line in rows)


def test_grey_pixels_are_compared(comparison: Comparison) -> None:
    row = comparison.row("pixels")
    assert (row.kind, row.test_probabilities is not None) == ("baseline", True)
    assert comparison.row("logreg").test_probabilities is not None
    assert not np.allclose(row.test_probabilities, comparison.row("logreg").test_probabilities)  # type: ignore[arg-type]


def test_without_its_images_a_run_is_compared_without_pixels(
    tmp_path: Path, tiny_model: Path, caplog: pytest.LogCaptureFixture
) -> None:
    data = small_data(tmp_path / "data", train=6, test=2, classes=2)
    fit_head(data, small_recipe(tiny_model, {"fit.epochs": 1}), out=tmp_path / "run", cache=tmp_path / "cache")
    shutil.rmtree(data)
    with caplog.at_level(logging.WARNING, "featx"):
        names = ["logreg", "pixels"]
        found = compare(tmp_path / "run", classifiers=names, folds=2, repeats=1, cache=tmp_path / "cache")
    assert {row.name for row in found.rows} == {"logreg", "majority", "head"}
    assert "baseline of raw pixels is left out" in caplog.text


def test_the_command_line_writes_and_saves(fitted: FitResult, cache: Path, tmp_path: Path) -> None:
    out, best = tmp_path / "out", tmp_path / "best"
    arguments = ["compare", str(fitted.run), "--classifiers", "logreg", "--folds", "2", "--repeats", "1", "--json"]
    places = ["--cache", str(cache), "--out", str(out), "--save-best", str(best)]
    done = CliRunner().invoke(app, [*arguments, *places])
    assert done.exit_code == 0, done.output
    files = [Path(name) for name in json.loads(done.stdout)["files"]]
    assert all(path.exists() for path in files)
    assert {path.name for path in files} >= {"comparison.csv", "comparison.tex", "comparison.png", "best"}
    image = next((fitted.extraction.dataset.root / "test").rglob("*.png"))
    again = CliRunner().invoke(app, ["predict", str(best), str(image), "--cache", str(cache), "--json"])
    assert len(json.loads(again.stdout)["predictions"]) == 1
