"""A run of images with several labels, from the manifest to predictions, neighbours, exports and a report."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from html_page import Node, read_page
from label_data import label_manifest
from pipeline_data import files_of, read_table, small_data, small_recipe
from report_pages import section_ids
from typer.testing import CliRunner

from featx.cli import app
from featx.errors import UsageError
from featx.exporting import export
from featx.prediction import Predictions, predict
from featx.reports import report
from featx.runs import FitResult, fit_head
from featx.searching import search
from featx.stats import label_metrics

LABELS = ("odd", "opacity", "viral")
SLOW = ["audit", "maps", "comparison", "clusters"]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("several")


@pytest.fixture(scope="module")
def fitted(root: Path, tiny_model: Path) -> FitResult:
    return fit_head(label_manifest(root), small_recipe(tiny_model), out=root / "run", cache=root / "cache")


@pytest.fixture(scope="module")
def predicted(root: Path, fitted: FitResult) -> Predictions:
    return predict(fitted.run, root / "labels.csv", cache=root / "cache")


@pytest.fixture(scope="module")
def page(root: Path, fitted: FitResult) -> Node:
    return read_page(report(fitted.run, out=root / "page.html", without=SLOW, cache=root / "cache").file)


def test_predictions_are_the_runs_own(predicted: Predictions, fitted: FitResult) -> None:
    known = {row["path"]: row for row in read_table(fitted.run / "predictions.csv")}
    assert (predicted.multilabel, predicted.classes, len(predicted.rows)) == (True, LABELS, len(known))
    for row in predicted.rows:
        expected = known[row.path]
        assert row.label is None
        assert row.labels == tuple(name for name in LABELS if row.probabilities[name] >= 0.5)
        for name in LABELS:
            assert row.probabilities[name] == pytest.approx(float(expected[f"p_{name}"]), abs=1e-5)
            there = row.true_labels[name]
            assert ("" if there is None else str(int(there))) == expected[f"label:{name}"]
    # They are no shares of one whole.
    assert any(abs(sum(row.probabilities.values()) - 1) > 0.1 for row in predicted.rows)


def test_tables_of_predictions(predicted: Predictions, tmp_path: Path) -> None:
    table = read_table(predicted.write(tmp_path / "p.csv"))
    marks = [f"label:{name}" for name in LABELS]
    assert list(table[0]) == ["path", "labels", *(f"p_{name}" for name in LABELS), *marks, "typicality"]
    assert [row["labels"] for row in table] == ["|".join(row.labels or ()) for row in predicted.rows]
    assert [row["label:odd"] for row in table].count("") == 1
    header, rows = predicted.overview()
    assert list(header) == ["image", "labels", "probability", "typicality"]
    assert len(rows) == 11
    first = predicted.to_json()["predictions"][0]
    assert list(first) == ["path", "label", "labels", "probabilities", "typicality"]
    assert first["label"] is None


def test_the_command_writes_over_its_own_table_alone(root: Path, fitted: FitResult, tmp_path: Path) -> None:
    image, out = str(files_of(root / "data")[0]), tmp_path / "p.csv"
    command = ["predict", str(fitted.run), image, "--cache", str(root / "cache"), "--json", "--out", str(out)]
    for _ in range(2):
        result = CliRunner().invoke(app, command)
        assert result.exit_code == 0, result.stderr
        assert list(json.loads(result.stdout)["predictions"][0]["probabilities"]) == list(LABELS)
    out.write_text("path,label\na.png,b\n")
    assert isinstance(CliRunner().invoke(app, command).exception, UsageError)


def test_neighbours_have_their_labels(root: Path, fitted: FitResult) -> None:
    image = next(path for path in files_of(root / "data" / "test") if path.parent.name == "covid")
    found = search(fitted.run, image, k=3, cache=root / "cache", html=root / "s.html")
    (result,) = found.results
    known = {row["path"]: row for row in read_table(fitted.run / "predictions.csv")}
    for near in result.neighbours:
        expected = tuple(name for name in LABELS if known[near.path][f"label:{name}"] == "1")
        assert (near.labels, near.label) == (expected, "|".join(expected))
    counted = [name for near in result.neighbours[1:] for name in near.labels]
    assert result.label_counts() == {name: counted.count(name) for name in result.label_counts()}
    shown = [node.text for node in read_page(root / "s.html").all("p", class_="label")]
    assert shown == [name for near in result.neighbours for name in near.labels]


def test_neighbours_without_labels_have_no_column(root: Path, fitted: FitResult, tiny_model: Path) -> None:
    image, *_ = files_of(root / "data" / "test")
    recipe = small_recipe(tiny_model)
    found = search(root / "data" / "test", image, k=2, recipe=recipe, labels="none", cache=root / "cache")
    assert found.classes == ()
    assert "label" not in found.columns()


def test_a_file_of_keras_gives_each_label_by_itself(root: Path, fitted: FitResult) -> None:
    exported = export(fitted.run, root / "m.keras", cache=root / "cache")
    assert exported.classes == LABELS
    assert exported.largest_difference < 1e-5


def test_a_file_of_onnx_gives_each_label_by_itself(root: Path, fitted: FitResult) -> None:
    pytest.importorskip("onnxruntime")
    exported = export(fitted.run, root / "m.onnx", cache=root / "cache")
    assert exported.largest_difference < 1e-4


def test_the_page_has_metrics_of_each_label(page: Node, fitted: FitResult) -> None:
    tested = [row for row in read_table(fitted.run / "predictions.csv") if row["role"] == "test"]
    targets = np.array([[float(row[f"label:{name}"] or "nan") for name in LABELS] for row in tested], np.float32)
    shares = np.array([[float(row[f"p_{name}"]) for name in LABELS] for row in tested])
    metrics = label_metrics(LABELS, shares, targets)
    _, *rows = page.table("By label, test images")
    for row, expected in zip(rows, metrics, strict=True):
        assert row[0] == expected.label
        assert row[1] == f"{expected.positive}/{expected.n} ({100 * expected.positive / expected.n:.0f} %)"
        assert row[2] == str(expected.auc)
    assert {"results", "errors", "data", "model", "training", "provenance", "limits"} <= set(section_ids(page, 2))
    assert "trained on" in page.text
    assert "3 labels: odd, opacity, viral" in page.text
    assert not page.all("table", class_="confusion")


def test_the_page_counts_labels_that_stand_together(page: Node, root: Path) -> None:
    with (root / "labels.csv").open(encoding="utf-8", newline="") as file:
        marks = [{name for name in LABELS if row[f"label:{name}"] == "1"} for row in csv.DictReader(file)]
    header, *rows = page.table("Images that have both of two labels")
    assert header[1:] == list(LABELS)
    for one, *cells in rows:
        assert cells == [str(sum({one, other} <= mark for mark in marks)) for other in LABELS]
    _, *counted = page.table("Images that have each label")
    assert [row[-2:] for row in counted[:1]] == [[str(sum("odd" in mark for mark in marks)), "1"]]


def test_runs_of_both_kinds_are_not_set_side_by_side(
    root: Path, fitted: FitResult, tiny_model: Path, tmp_path: Path
) -> None:
    small_data(tmp_path / "data", train=4, test=2)
    one = fit_head(tmp_path / "data", small_recipe(tiny_model), out=tmp_path / "run", cache=root / "cache")
    with pytest.raises(UsageError, match="all have one label for each image, or all several"):
        report(one.run, fitted.run, out=tmp_path / "page.html", without=SLOW, cache=root / "cache")
    both = report(fitted.run, fitted.run, out=tmp_path / "page.html", without=SLOW, cache=root / "cache")
    header, *rows = read_page(both.file).table("On each run's test images: means over the labels")
    assert header[:3] == ["run", "AUC", "AP"]
    assert rows[0][1:] == rows[1][1:]
