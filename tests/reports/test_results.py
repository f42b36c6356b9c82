"""The numbers of a report, read back from the page."""

from __future__ import annotations

import json
import shutil
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from html_page import Node, read_page
from pipeline_data import small_data, small_recipe
from report_pages import CLASSES, SLOW, all_covid, edited, predictions, read_json, three_digits
from scipy.stats import sem
from scipy.stats import t as student
from sklearn.metrics import confusion_matrix, davies_bouldin_score, silhouette_score

from featx.classifiers import compare, compare_source
from featx.reports.opened import from_here
from featx.reports.reporting import report
from featx.runs import FitResult, fit_head

pytestmark = pytest.mark.slow


def test_the_headline_is_the_test_accuracy(page: Node, fitted: FitResult) -> None:
    test = fitted.test
    assert test.interval is not None
    low, high = (f"{100 * end:.1f}" for end in test.interval)
    line = page.all("p", class_="headline")[1].text
    accuracy = f"Test accuracy: {100 * test.correct / 12:.1f} % ({test.correct} of 12 images correct"
    assert line == f"{accuracy}, 95 % interval {low}–{high} %)."


def test_scores_are_those_of_the_run(page: Node, fitted: FitResult) -> None:
    rows = {row[0]: row[1:] for row in page.id("results").table("Accuracy")}
    metrics = read_json(fitted.run / "metrics.json")
    for name, part in (("test", "test"), ("validation", "validation"), ("training", "train")):
        low, high = metrics[part]["interval"]
        assert rows[name][:4] == [
            f"{metrics[part]['correct']}/{metrics[part]['n']}",
            f"{100 * metrics[part]['accuracy']:.1f} %",
            f"{100 * low:.1f}–{100 * high:.1f} %",
            f"{metrics[part]['loss']:.3f}",
        ]
    losses = [-np.log(float(row[f"p_{row['label']}"])) for row in predictions(fitted.run, "test")]
    low, high = student.interval(0.95, len(losses) - 1, np.mean(losses), sem(losses))
    assert rows["test"][4] == f"{max(low, 0):.3f}–{high:.3f}"


@pytest.mark.parametrize("role", ["test", "validation"])
def test_confusion_matrices_count_predictions(page: Node, fitted: FitResult, role: str) -> None:
    own = predictions(fitted.run, role)
    wanted = confusion_matrix([row["label"] for row in own], [row["predicted"] for row in own], labels=CLASSES)
    rows = page.id("results").table(f"Confusion matrix of {len(own)} {role} images, {wanted.trace()} correct")
    assert rows[1] == ["true", *CLASSES, "correct"]
    assert [row[0] for row in rows[2:]] == CLASSES
    assert [[int(cell) for cell in row[1:-1]] for row in rows[2:]] == wanted.tolist()


def test_recall_and_precision_by_class(page: Node, fitted: FitResult) -> None:
    own = predictions(fitted.run, "test")
    for name, n, recall, precision in page.id("results").table("By class, test images")[1:]:
        both = sum(row["label"] == row["predicted"] == name for row in own)
        called = sum(row["predicted"] == name for row in own)
        assert n == "3"
        assert recall.startswith(f"{both}/3 = ")
        assert precision.startswith(f"{both}/{called} = " if called else "–")


def test_many_classes_have_their_most_frequent_confusions(
    fitted: FitResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("featx.pages.confusions.MOST_CLASSES", 3)
    run = edited(fitted.run, tmp_path / "run", all_covid)
    rows = read_page(report(run, without=SLOW).file).id("results").table("Confusion matrix of 12 test images")
    assert sorted(rows[1:]) == [[name, "covid", "3"] for name in CLASSES[1:]]


def test_misclassified_images_are_sorted_by_probability(
    fitted: FitResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = edited(fitted.run, tmp_path / "run", all_covid)
    gallery = read_page(report(run, without=SLOW).file).id("errors").all("figure", class_="gallery")[0]
    assert gallery.all("figcaption")[0].text.startswith("9 of 12 test images misclassified")
    items = gallery.all("li")
    true_classes = [name for name in CLASSES[1:] for _ in range(3)]
    titles = [item.all("p", class_="title")[0].text for item in items]
    assert titles == [f"{name}, predicted as covid" for name in true_classes]
    shares = [item.all("dl")[0].text for item in items]
    assert shares[0] == "covid 70.0 % normal 30.0 % pneumonia_bac 0.0 %"
    assert shares[-1] == "covid 50.0 % pneumonia_vir 50.0 % normal 0.0 %"
    assert [item.all("div", class_="own")[0].all("dt")[0].text for item in items] == true_classes
    # Those after the first are closed at first.
    (fold,) = gallery.all("details")
    assert (fold.all("summary")[0].text, len(fold.all("li"))) == ("5 more", 5)
    monkeypatch.setattr("featx.reports.results.SHOWN", 4)
    gallery = read_page(report(run, without=SLOW).file).id("errors").all("figure", class_="gallery")[0]
    assert gallery.all("figcaption")[0].text.endswith("The first 4 are shown.")
    assert len(gallery.all("li")) == 4
    assert not gallery.all("details")


def test_layers_add_up(page: Node, fitted: FitResult) -> None:
    table = page.id("model").table("Layers")
    numbers = [int(row[2].replace(",", "")) for row in table[1:]]
    assert sum(numbers[:-1]) == numbers[-1] == fitted.parameters["total"]
    trained = sum(int(row[2].replace(",", "")) for row in table[1:-1] if row[3] == "yes")
    assert trained == fitted.parameters["trainable"]
    assert [row[0] for row in table[3:-1]] == ["Dropout 0.1", "Dense (dense_1)", "ReLU", "Dense (logits)", "Softmax"]


def test_layers_of_a_sigmoid_for_two_classes(tiny_model: Path, tmp_path: Path) -> None:
    data = small_data(tmp_path / "data", train=4, test=2, classes=2)
    recipe = small_recipe(tiny_model, {"head.output": "sigmoid"})
    fit = fit_head(data, recipe, out=tmp_path / "run", cache=tmp_path / "cache")
    page = read_page(report(fit.run, without=SLOW).file)
    table = page.id("model").table("Layers")
    assert table[-2][:3] == ["Sigmoid", "1", "0"]
    assert table[-3][:3] == ["Dense (logits)", "1", "17"]
    assert int(table[-1][2].replace(",", "")) == fit.parameters["total"]
    assert "binary cross-entropy" in page.id("model").text


def test_data_is_counted_and_shown(page: Node, fitted: FitResult) -> None:
    data = page.id("data")
    held_out = f"Images by class and split; {fitted.validation.n} of the training images were held out"
    assert data.table(held_out)[1:] == [*([name, "6", "3", "9"] for name in CLASSES), ["all", "24", "12", "36"]]
    gallery = data.all("figure", class_="gallery")[0]
    shown = [item.all("p", class_="name")[0].text for item in gallery.all("li")]
    assert len(shown) == len(set(shown)) == 20
    # One of each class is seen at first.
    seen = [item.all("p", class_="title")[0].text for item in gallery.all("ul")[0].all("li")]
    assert seen == CLASSES
    assert {Path(name).parts[0] for name in shown} == {"train"}
    assert all(node.attributes["src"].startswith("data:image/jpeg;base64,") for node in gallery.all("img"))
    assert read_json(fitted.run / "manifest.json")["data"]["sha256"] in data.text


def test_every_epoch_has_a_row(page: Node, fitted: FitResult) -> None:
    table = page.id("training").table("By epoch")
    assert [row[0] for row in table[1:]] == ["1", "2", "3", "4"]
    assert [row[2] for row in table[1:]] == [f"{epoch.loss:.4f}" for epoch in fitted.history]
    assert [row[5] for row in table[1:]] == [f"{100 * (epoch.val_accuracy or 0):.1f} %" for epoch in fitted.history]


def test_a_loss_that_has_risen_is_said(page: Node, fitted: FitResult, tmp_path: Path) -> None:
    def rise(row: dict[str, str]) -> None:
        row["val_loss"] = "0.1" if row["epoch"] == "1" else "0.9"

    run = edited(fitted.run, tmp_path / "run", rise, "history.csv")
    training = read_page(report(run, without=SLOW).file).id("training")
    sentence = training.all("p")[0].text
    assert sentence.startswith("Validation loss was lowest at epoch 2 of 4 (0.100) and has risen since (0.900)")


def test_scores_of_images_that_chose_the_epoch_are_called_too_good(
    page: Node, fitted: FitResult, tiny_model: Path, root: Path, cache: Path, tmp_path: Path
) -> None:
    sentence = "The validation images chose the epoch, so the validation accuracy and loss are a little too good."
    assert sentence not in page.id("training").text
    chosen = fit_head(root / "data", small_recipe(tiny_model, {"fit.patience": 1}), out=tmp_path / "run", cache=cache)
    training = read_page(report(chosen.run, without=SLOW, cache=cache).file).id("training")
    assert sentence in training.all("p")[0].text


def test_paths_are_those_from_here(fitted: FitResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = Path(shutil.copytree(fitted.run, tmp_path / "project" / "run"))
    manifest = read_json(run / "manifest.json")
    manifest["data"]["root"] = str(tmp_path / "data")
    (run / "manifest.json").write_text(json.dumps(manifest), "utf-8")
    monkeypatch.chdir(tmp_path)
    shown = dict(read_page(report(run, without=SLOW).file).id("data").table("Source of the data"))
    assert shown["folder of the data or of its manifest"] == "data"
    monkeypatch.chdir(run.parent)
    page = read_page(report(run, without=SLOW).file)
    assert dict(page.id("data").table("Source of the data"))["folder of the data or of its manifest"] == "../data"
    assert dict(page.id("provenance").table("The run"))["folder"] == "run"
    # Far away, a path is not a chain of dots.
    (tmp_path / "a" / "b").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "a" / "b")
    assert from_here(tmp_path / "data") == str(tmp_path / "data")


def test_digests_and_versions_are_those_of_the_manifest(page: Node, fitted: FitResult) -> None:
    text = page.id("provenance").text
    manifest = read_json(fitted.run / "manifest.json")
    for digest in (manifest["weights"]["sha256"], manifest["head"]["sha256"], manifest["features"]["feature_set"]):
        assert digest in text
    for name, number in manifest["versions"].items():
        assert f"{name} {number}" in text


def test_maps_show_all_images_and_their_silhouettes(page: Node, fitted: FitResult) -> None:
    maps = page.id("maps")
    assert len(maps.all("script", type="application/json")) == 2
    table = fitted.extraction.table("train")
    row = {row[0]: row for row in maps.table("How far")[1:]}["backbone features"]
    assert row[1] == "24"
    assert row[4] == three_digits(silhouette_score(table.X, table.labels))
    data = json.loads(maps.all("script", type="application/json")[0].text)
    assert len(data["names"]) == 24 + 12
    assert len([name for group in data["groups"] if group["placed"] for name in group["index"]]) == 12


def test_cluster_quality_is_that_of_both_layers(page: Node, fitted: FitResult) -> None:
    clusters = page.id("clusters")
    caption = "Separation of the classes in the features of 24 training images and 12 test images"
    rows = {row[0]: row[1:] for row in clusters.table(caption)}
    assert rows["measure"] == ["penultimate, training", "backbone, training", "penultimate, test", "backbone, test"]
    for split, place in (("train", 1), ("test", 3)):
        table = fitted.extraction.table(split)
        assert rows["silhouette"][place] == three_digits(silhouette_score(table.X, table.labels))
        bouldin = davies_bouldin_score(table.X, table.labels)
        assert rows["Davies–Bouldin (lower is better)"][place] == three_digits(bouldin)
    assert [row[1] for row in clusters.table("By class, penultimate features of 24")[1:]] == ["6"] * 4
    assert len(clusters.all("details")) == 4


def test_other_classifiers_are_those_of_compare(
    fitted: FitResult, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    few: dict[str, Any] = {"classifiers": ["logreg", "knn"], "folds": 2, "repeats": 1}
    monkeypatch.setattr("featx.reports.classifiers.compare_source", partial(compare_source, **few))
    written = report(fitted.run, out=tmp_path / "page.html", cache=cache, without=["audit", "maps", "clusters"])
    section = read_page(written.file).id("comparison")
    rows = {row[0]: row[1:] for row in section.table("Classifiers on the backbone features")[1:]}
    assert set(rows) == {"logistic regression", "nearest neighbours", "most frequent class (baseline)", "head"}
    comparison = compare(fitted.run, cache=cache, **few)
    for row in comparison.rows:
        own = rows[row.title + (" (baseline)" if row.kind == "baseline" else "")]
        assert own[2].startswith(f"{comparison.correct(row)}/12 = ")
        assert own[0] == ("–" if row.cv is None else f"{100 * row.cv['accuracy'].value:.1f} %")
        assert own[-1] == row.verdict
    assert rows["head"][2].startswith(f"{fitted.test.correct}/12 = ")
    alternative = section.all("div", class_="card")[0].attributes["aria-label"]
    assert all(row.title in alternative for row in comparison.rows)
    areas = {row[0]: row[3] for row in section.table("Other measures")[1:]}
    found = comparison.row("logreg").test
    assert found is not None
    ends = found["roc_auc"].interval
    assert ends is not None
    assert areas["logistic regression"] == f"{found['roc_auc'].value:.3f} ({ends[0]:.3f}–{ends[1]:.3f})"
