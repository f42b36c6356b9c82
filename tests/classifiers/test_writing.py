from __future__ import annotations

import json
import logging
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pipeline_data import small_data, small_recipe
from typer.testing import CliRunner

from featx.classifiers.comparing import compare
from featx.classifiers.comparison import Comparison
from featx.classifiers.estimator_files import class_probabilities, load_estimator, save_estimator
from featx.classifiers.models import CLASSIFIERS
from featx.classifiers.winning import fit_winner
from featx.classifiers.writing import save_best, to_latex, write_pictures
from featx.cli import app
from featx.errors import RunError, UsageError
from featx.prediction import predict
from featx.runs import FitResult, fit_head

PICTURES = ["comparison.png", "comparison.svg", "confusion.png", "roc.png", "calibration.png", "comparison.tex"]


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> FitResult:
    root = tmp_path_factory.mktemp("comparison")
    small_data(root / "data", train=8, test=3)
    recipe = small_recipe(tiny_model, {"fit.epochs": 2})
    return fit_head(root / "data", recipe, root / "run", cache=root / "cache")


@pytest.fixture
def cache(fitted: FitResult) -> Path:
    return fitted.extraction.store.root


@pytest.fixture(scope="module")
def comparison(fitted: FitResult) -> Comparison:
    names = ["logreg", "svm-linear", "pixels"]
    return compare(fitted.run, classifiers=names, folds=2, repeats=1, jobs=1, cache=fitted.extraction.store.root)


def test_all_is_drawn(comparison: Comparison, tmp_path: Path) -> None:
    files = write_pictures(comparison, tmp_path / "out")
    assert [path.name for path in files] == PICTURES
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(PICTURES)
    for path in files[2:5]:
        with Image.open(path) as image:
            assert len(image.convert("RGB").getcolors(image.width * image.height) or ()) > 10
    again = write_pictures(comparison, tmp_path / "again")
    assert [path.read_bytes() for path in again] == [path.read_bytes() for path in files]


def test_without_test_images_the_held_out_ones_are_shown(tmp_path: Path, tiny_model: Path, cache: Path) -> None:
    data = small_data(tmp_path / "data", train=6, test=0, classes=2)
    shutil.rmtree(data / "test", ignore_errors=True)
    found = compare(data, classifiers=["logreg"], folds=2, repeats=1, spec=small_recipe(tiny_model), cache=cache)
    assert found.test is None
    assert [path.name for path in write_pictures(found, tmp_path / "out")] == PICTURES
    text = (tmp_path / "out" / "comparison.tex").read_text("utf-8")
    assert "there are no test images" in text


def test_the_table_says_what_was_found(comparison: Comparison) -> None:
    lines = re.findall(r"^    (.+) \\\\$", to_latex(comparison), re.MULTILINE)
    assert len(lines) == 1 + len(comparison.rows)
    for row, line in zip(comparison.rows, lines[1:], strict=True):
        cells = [re.sub(r"\\textbf{(.*)}", r"\1", cell).strip() for cell in line.split(" & ")]
        assert row.test is not None
        assert row.test["accuracy"].interval is not None
        low, high = (f"{100 * end:.0f}" for end in row.test["accuracy"].interval)
        assert (cells[0], cells[2]) == (row.name, f"{comparison.correct(row)}/12")
        assert cells[3] == f"{100 * row.test['accuracy'].value:.1f} ({low}--{high})"
        assert cells[5] == (row.verdict or "")
        assert ("textbf" in line) == (row.name == comparison.best)


def test_raw_pixels_are_compared_as_they_are(comparison: Comparison) -> None:
    row = comparison.row("pixels")
    assert (row.kind, row.test_probabilities is not None) == ("baseline", True)
    assert comparison.row("logreg").test_probabilities is not None
    assert not np.allclose(row.test_probabilities, comparison.row("logreg").test_probabilities)  # type: ignore[arg-type]


def test_without_its_images_a_run_is_compared_without_pixels(
    tmp_path: Path, tiny_model: Path, caplog: pytest.LogCaptureFixture
) -> None:
    data = small_data(tmp_path / "data", train=6, test=2, classes=2)
    fit_head(data, small_recipe(tiny_model, {"fit.epochs": 1}), tmp_path / "run", cache=tmp_path / "cache")
    shutil.rmtree(data)
    with caplog.at_level(logging.WARNING, "featx"):
        found = compare(
            tmp_path / "run", classifiers=["logreg", "pixels"], folds=2, repeats=1, cache=tmp_path / "cache"
        )
    assert {row.name for row in found.rows} == {"logreg", "majority", "head"}
    assert [record for record in caplog.records if "baseline of raw pixels is left out" in record.getMessage()]


def test_the_saved_best_says_what_the_comparison_says(
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


def test_every_classifier_can_be_saved(fitted: FitResult, cache: Path, tmp_path: Path) -> None:
    found = compare(fitted.run, folds=2, repeats=1, jobs=1, cache=cache)
    assert found.test is not None
    X = found.test.table.X
    assert X.shape[1] > len(found.y_train)
    rows = [row for row in found.rows if row.kind == "classifier"]
    assert len(rows) == len(CLASSIFIERS) - 2
    for row in rows:
        save_estimator(fit_winner(found, row.name), tmp_path / f"{row.name}.skops")
        again = load_estimator(tmp_path / f"{row.name}.skops", X.shape[1], len(found.classes))
        assert row.test_probabilities is not None
        np.testing.assert_allclose(class_probabilities(again, X), row.test_probabilities, atol=1e-6)


def test_a_baseline_is_not_saved(fitted: FitResult, cache: Path, tmp_path: Path) -> None:
    found = compare(fitted.run, classifiers=["majority"], folds=2, repeats=1, cache=cache)
    with pytest.raises(UsageError, match="there are only baselines"):
        save_best(found, tmp_path / "best")
    assert not (tmp_path / "best").exists()


def test_the_command_line_writes_and_saves(fitted: FitResult, cache: Path, tmp_path: Path) -> None:
    out, best = tmp_path / "out", tmp_path / "best"
    arguments = ["compare", str(fitted.run), "--classifiers", "logreg", "--folds", "2", "--repeats", "1", "--json"]
    places = ["--cache", str(cache), "--out", str(out), "--save-best", str(best)]
    done = CliRunner().invoke(app, [*arguments, *places])
    assert done.exit_code == 0, done.output
    files = [Path(name) for name in json.loads(done.stdout)["files"]]
    assert all(path.exists() for path in files)
    assert {path.name for path in files} >= {*PICTURES, "comparison.csv", "best"}
    image = next((fitted.extraction.dataset.root / "test").rglob("*.png"))
    again = CliRunner().invoke(app, ["predict", str(best), str(image), "--cache", str(cache), "--json"])
    assert len(json.loads(again.stdout)["predictions"]) == 1


def test_a_folder_that_holds_other_things_is_refused_before_any_work(fitted: FitResult, tmp_path: Path) -> None:
    # With this cache the comparison itself would fail.
    arguments = ["compare", str(fitted.run), "--cache", str(tmp_path), "--save-best", str(fitted.run)]
    done = CliRunner().invoke(app, arguments)
    assert isinstance(done.exception, RunError)
    assert "holds other files" in str(done.exception)
