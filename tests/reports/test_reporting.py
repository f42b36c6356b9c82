"""Reports of small runs, read back from the page."""

from __future__ import annotations

import csv
import json
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from html_page import Node, read_page
from pipeline_data import files_of, read_table, small_data, small_recipe
from scipy.stats import binomtest, sem
from scipy.stats import t as student
from sklearn.metrics import confusion_matrix, davies_bouldin_score, silhouette_score
from typer.testing import CliRunner

import featx
from featx.classifiers import compare
from featx.cli import app
from featx.errors import RunError, UsageError
from featx.reports import results as report_errors
from featx.reports.reporting import report
from featx.runs import FitResult, fit_head

QUICK = ["maps", "comparison", "clusters"]
CLASSES = ["covid", "normal", "pneumonia_bac", "pneumonia_vir"]
ALONE = ["results", "errors", "maps", "clusters", "data", "model", "fitting", "provenance", "limits"]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("reporting")


@pytest.fixture(scope="module")
def fitted(root: Path, tiny_model: Path) -> FitResult:
    small_data(root / "data", train=6, test=3)
    return fit_head(root / "data", small_recipe(tiny_model), root / "run", cache=root / "cache")


@pytest.fixture(scope="module")
def other(root: Path, fitted: FitResult, tiny_model: Path) -> FitResult:
    """The same data, fitted for one epoch only."""
    recipe = small_recipe(tiny_model, {"fit.epochs": 1, "name": "brief"})
    return fit_head(root / "data", recipe, root / "brief", cache=root / "cache")


@pytest.fixture(scope="module")
def page(root: Path, fitted: FitResult) -> Node:
    found = report(fitted.run, out=root / "page.html", without=["comparison"], cache=root / "cache")
    assert found.left_out == {}
    return read_page(found.file)


def sections(page: Node, level: int) -> list[str]:
    return [node.attributes["id"] for node in page.all("section", class_=f"level-{level}")]


def shown(value: float) -> str:
    return f"{value:.3f}".replace("-", "\N{MINUS SIGN}")


def metrics(run: Path) -> dict[str, Any]:
    return dict(json.loads((run / "metrics.json").read_text("utf-8")))


def edited(run: Path, copy: Path, edit: Callable[[dict[str, str]], None]) -> Path:
    """A copy of a run with other predictions."""
    shutil.copytree(run, copy)
    rows = read_table(run / "predictions.csv")
    for row in rows:
        edit(row)
    with (copy / "predictions.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return copy


# The page as a page


def test_it_is_one_page_in_order(page: Node) -> None:
    assert sections(page, 2) == ALONE
    assert [node.attributes["href"] for node in page.all("nav")[0].all("a")] == [f"#{name}" for name in ALONE]
    headings = [int(node.tag[1]) for node in page.all("h1", "h2", "h3", "h4", "h5", "h6")]
    assert headings.count(1) == 1
    assert headings[0] == 1
    assert all(later <= earlier + 1 for earlier, later in pairwise(headings))


def test_names_are_there_once_and_links_lead_somewhere(page: Node) -> None:
    ids = [node.attributes["id"] for node in page.walk() if "id" in node.attributes]
    assert len(ids) > 50
    assert [name for name, times in Counter(ids).items() if times > 1] == []
    text = [value for node in page.walk() for value in node.attributes.values()]
    used = [name for value in text for name in re.findall(r"url\(#(.+?)\)", value)]
    used += [value[1:] for value in text if re.fullmatch(r"#[A-Za-z][\w.-]+", value) and not is_colour(value)]
    for name in ("aria-labelledby", "aria-describedby"):
        used += [node.attributes[name] for node in page.walk() if name in node.attributes]
    assert len(used) > 50
    assert set(used) <= set(ids)


def is_colour(value: str) -> bool:
    return re.fullmatch(r"#([0-9a-fA-F]{3}|[0-9a-fA-F]{6})", value) is not None


def test_nothing_is_loaded_from_elsewhere(page: Node) -> None:
    policy = {node.attributes.get("http-equiv"): node.attributes.get("content", "") for node in page.all("meta")}
    assert policy["Content-Security-Policy"].startswith("default-src 'none'; img-src data:;")
    for node in page.walk():
        for name in ("src", "href", "xlink:href", "srcset", "poster", "data", "action"):
            assert not re.match(r"(?!data:)\w+:|//", node.attributes.get(name, ""), re.ASCII), node
    assert not page.all("iframe", "object", "embed", "base")
    styles = " ".join(node.text for node in page.all("style"))
    assert "@import" not in styles
    assert not re.search(r"url\((?!\s*[\"']?data:)", styles)


def test_tables_have_captions_and_heads(page: Node) -> None:
    tables = page.all("table")
    assert len(tables) > 8
    for table in tables:
        assert table.all("caption")[0].text
        assert all(node.attributes.get("scope") for node in table.all("th"))
        assert all(row.all("th", scope="row") for row in table.all("tbody")[0].all("tr"))


def test_pictures_have_text_alternatives(page: Node) -> None:
    assert page.all("img")
    assert all(node.attributes["alt"] for node in page.all("img"))
    cards = page.all("div", class_="card")
    assert len(cards) == 4  # curves, silhouettes and, for paper, two maps
    assert all(node.attributes["role"] == "img" and node.attributes["aria-label"] for node in cards)
    assert page.all("html")[0].attributes["lang"] == "en"


def test_the_same_run_gives_the_same_page(root: Path, fitted: FitResult, page: Node, tmp_path: Path) -> None:
    found = report(fitted.run, out=tmp_path / "again.html", cache=root / "cache", without=QUICK)
    twice = report(fitted.run, out=tmp_path / "twice.html", cache=root / "cache", without=QUICK)
    texts = [re.sub(r"Written .*? by", "", path.read_text("utf-8")) for path in (found.file, twice.file)]
    assert texts[0] == texts[1]
    assert found.bytes == found.file.stat().st_size


# Numbers


def test_the_headline_is_the_test(page: Node, fitted: FitResult) -> None:
    test = fitted.test
    assert test.interval is not None
    low, high = test.interval
    line = page.all("p", class_="headline")[1].text
    wanted = f"{test.correct} of 12 images right: {100 * test.correct / 12:.1f} % "
    assert line == f"Test: {wanted}(95 % interval {100 * low:.1f}–{100 * high:.1f} %)."


def test_scores_are_those_of_the_run(page: Node, fitted: FitResult) -> None:
    rows = {row[0]: row[1:] for row in page.id("results").table("Accuracy")}
    known = metrics(fitted.run)
    for name, part in (("test", "test"), ("validation", "validation"), ("fitted on", "train")):
        low, high = known[part]["interval"]
        assert rows[name][:4] == [
            f"{known[part]['correct']}/{known[part]['n']}",
            f"{100 * known[part]['accuracy']:.1f} %",
            f"{100 * low:.1f}–{100 * high:.1f} %",
            f"{known[part]['loss']:.3f}",
        ]
    losses = [
        -np.log(float(row[f"p_{row['label']}"]))
        for row in read_table(fitted.run / "predictions.csv")
        if row["role"] == "test"
    ]
    low, high = student.interval(0.95, len(losses) - 1, np.mean(losses), sem(losses))
    assert rows["test"][4] == f"{max(low, 0):.3f}–{high:.3f}"


@pytest.mark.parametrize("role", ["test", "validation"])
def test_confusion_matrices_count_predictions(page: Node, fitted: FitResult, role: str) -> None:
    own = [row for row in read_table(fitted.run / "predictions.csv") if row["role"] == role]
    wanted = confusion_matrix([row["label"] for row in own], [row["predicted"] for row in own], labels=CLASSES)
    found = page.id("results").table(f"Confusion matrix of {len(own)} images ({role}), {wanted.trace()} right")
    assert found[1] == ["true", *CLASSES, "right"]
    assert [row[0] for row in found[2:]] == CLASSES
    assert [[int(cell) for cell in row[1:-1]] for row in found[2:]] == wanted.tolist()


def test_recall_and_precision_by_class(page: Node, fitted: FitResult) -> None:
    own = [row for row in read_table(fitted.run / "predictions.csv") if row["role"] == "test"]
    for name, n, recall, precision in page.id("results").table("By class, test images")[1:]:
        both = sum(row["label"] == row["predicted"] == name for row in own)
        called = sum(row["predicted"] == name for row in own)
        assert n == "3"
        assert recall.startswith(f"{both}/3 = ")
        assert precision.startswith(f"{both}/{called} = " if called else "–")


def test_layers_add_up(page: Node, fitted: FitResult) -> None:
    table = page.id("model").table("Layers")
    numbers = [int(row[2].replace(",", "")) for row in table[1:]]
    assert sum(numbers[:-1]) == numbers[-1] == fitted.parameters["total"]
    fitted_ones = sum(int(row[2].replace(",", "")) for row in table[1:-1] if row[3] == "yes")
    assert fitted_ones == fitted.parameters["trainable"]
    assert [row[0] for row in table[3:-1]] == ["Dropout 0.1", "Dense (dense_1)", "ReLU", "Dense (logits)", "Softmax"]


def test_data_is_counted_and_shown(page: Node, fitted: FitResult) -> None:
    data = page.id("data")
    held = f"Images by class and split; of those for training, {fitted.validation.n} were held out"
    assert data.table(held)[1:] == [
        *([name, "6", "3", "9"] for name in CLASSES),
        ["all", "24", "12", "36"],
    ]
    gallery = data.all("figure", class_="gallery")[0]
    shown = [item.all("p", class_="name")[0].text for item in gallery.all("li")]
    assert len(shown) == len(set(shown)) == 20
    assert {Path(name).parts[0] for name in shown} == {"train"}
    assert all(node.attributes["src"].startswith("data:image/jpeg;base64,") for node in gallery.all("img"))
    manifest = json.loads((fitted.run / "manifest.json").read_text("utf-8"))
    assert manifest["data"]["sha256"] in data.text


def test_every_epoch_is_told(page: Node, fitted: FitResult) -> None:
    table = page.id("fitting").table("By epoch")
    assert [row[0] for row in table[1:]] == ["0", "1", "2", "3"]
    assert [row[2] for row in table[1:]] == [f"{epoch.loss:.4f}" for epoch in fitted.history]
    assert [row[5] for row in table[1:]] == [f"{100 * (epoch.val_accuracy or 0):.1f} %" for epoch in fitted.history]


def test_where_it_comes_from(page: Node, fitted: FitResult) -> None:
    text = page.id("provenance").text
    manifest = json.loads((fitted.run / "manifest.json").read_text("utf-8"))
    for digest in (manifest["weights"]["sha256"], manifest["head"]["sha256"], manifest["features"]["feature_set"]):
        assert digest in text
    for name, number in manifest["versions"].items():
        assert f"{name} {number}" in text


def test_maps_show_all_images_and_their_coefficients(page: Node, root: Path, fitted: FitResult) -> None:
    maps = page.id("maps")
    assert len(maps.all("script", type="application/json")) == 2
    table = fitted.extraction.table("train")
    rows = {row[0]: row for row in maps.table("How far to trust")[1:]}
    own = rows["backbone's features"]
    assert own[1] == "24"
    assert own[4] == shown(silhouette_score(table.X, table.labels))
    data = json.loads(maps.all("script", type="application/json")[0].text)
    assert len(data["names"]) == 24 + 12
    assert len([name for group in data["groups"] if group["added"] for name in group["index"]]) == 12


def test_cluster_quality_is_that_of_both_layers(page: Node, fitted: FitResult) -> None:
    clusters = page.id("clusters")
    rows = {row[0]: row[1:] for row in clusters.table("Of the classes in the features of 24 training, 12 test")}
    assert rows["measure"] == ["penultimate, training", "backbone, training", "penultimate, test", "backbone, test"]
    for split, place in (("train", 1), ("test", 3)):
        table = fitted.extraction.table(split)
        assert rows["silhouette"][place] == shown(silhouette_score(table.X, table.labels))
        bouldin = davies_bouldin_score(table.X, table.labels)
        assert rows["Davies–Bouldin (low is good)"][place] == shown(bouldin)
    assert [row[1] for row in clusters.table("By class, penultimate features of 24")[1:]] == ["6"] * 4
    assert len(clusters.all("details")) == 4


def test_classifiers_stand_beside_the_head(
    fitted: FitResult, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = partial(compare, classifiers=["logreg", "knn"], folds=2, repeats=1)
    monkeypatch.setattr("featx.classifiers.comparing.compare", few)
    without = ["maps", "clusters"]
    page = read_page(report(fitted.run, out=tmp_path / "page.html", cache=root / "cache", without=without).file)
    rows = {row[0]: row[1:] for row in page.id("comparison").table("Classifiers on the backbone features")[1:]}
    assert set(rows) == {"logreg", "knn", "majority (baseline)", "head"}
    known = few(fitted.run, cache=root / "cache")
    for row in known.rows:
        own = rows[row.name + (" (baseline)" if row.kind == "baseline" else "")]
        assert own[2].startswith(f"{known.correct(row)}/12 = ")
        assert own[0] == ("–" if row.cv is None else f"{100 * row.cv['accuracy'].value:.1f} %")
        assert own[-1] == row.verdict
    assert rows["head"][2].startswith(f"{fitted.test.correct}/12 = ")
    alternative = page.id("comparison").all("div", class_="card")[0].attributes["aria-label"]
    assert all(row.name in alternative for row in known.rows)


# Images got wrong


def test_wrong_images_come_surest_first(fitted: FitResult, root: Path, tmp_path: Path) -> None:
    run = edited(fitted.run, tmp_path / "run", misled)
    page = read_page(report(run, without=QUICK).file)
    gallery = page.id("errors").all("figure", class_="gallery")[0]
    assert gallery.all("figcaption")[0].text.startswith("Of 12 images (test), 9 got wrong")
    items = gallery.all("li")
    assert [item.all("p", class_="title")[0].text for item in items] == [
        f"{name}, taken for covid" for name in CLASSES[1:] for _ in range(3)
    ]
    told = [item.all("dl")[0].text for item in items]
    assert told[0] == "covid 70.0 % normal 30.0 % pneumonia_bac 0.0 % pneumonia_vir 0.0 %"
    assert told[-1] == "covid 50.0 % pneumonia_vir 50.0 % normal 0.0 % pneumonia_bac 0.0 %"
    own = [item.all("div", class_="own")[0].all("dt")[0].text for item in items]
    assert own == [name for name in CLASSES[1:] for _ in range(3)]


def misled(row: dict[str, str]) -> None:
    """Test images are all taken for covid, the surer the earlier the class."""
    if row["role"] == "test":
        row["predicted"] = "covid"
        surety = {"covid": 1.0, "normal": 0.7, "pneumonia_bac": 0.6, "pneumonia_vir": 0.5}[row["label"]]
        row.update({f"p_{name}": "0" for name in CLASSES})
        row[f"p_{row['label']}"] = f"{1 - surety:g}"
        row["p_covid"] = f"{surety:g}"


def test_more_are_counted_than_shown(fitted: FitResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report_errors, "SHOWN", 4)
    run = edited(fitted.run, tmp_path / "run", misled)
    gallery = read_page(report(run, without=QUICK).file).id("errors").all("figure", class_="gallery")[0]
    assert gallery.all("figcaption")[0].text.endswith("; the first 4 of 9 are shown.")
    assert len(gallery.all("li")) == 4


def test_images_that_have_gone_are_told(root: Path, tiny_model: Path, tmp_path: Path) -> None:
    data = small_data(tmp_path / "data", train=4, test=1)
    run = fit_head(data, small_recipe(tiny_model), tmp_path / "run", cache=tmp_path / "cache").run
    for path in files_of(data):
        path.write_bytes(b"another image")
    run = edited(run, tmp_path / "misled", misled)
    page = read_page(report(run, without=["clusters", "comparison"], cache=tmp_path / "cache").file)
    assert not page.all("img")
    assert "16 of 16 sample images are not shown" in page.id("data").text
    assert len(page.id("errors").all("div", class_="gone")) >= 3


# Other data


def test_without_a_test_split(tiny_model: Path, tmp_path: Path) -> None:
    data = small_data(tmp_path / "data", train=5, test=1)
    shutil.rmtree(data / "test")
    run = fit_head(data, small_recipe(tiny_model), tmp_path / "run", cache=tmp_path / "cache").run
    page = read_page(report(run, without=QUICK).file)
    assert page.all("p", class_="headline")[1].text.startswith("There is no test split. Validation: ")
    assert "The data has no test split" in page.id("results").text
    assert page.id("results").table("Accuracy")[1] == ["test", "–", "–", "–", "–", "–"]
    assert "There is no test split" in page.id("limits").text


def test_two_classes_by_a_sigmoid(tiny_model: Path, tmp_path: Path) -> None:
    data = small_data(tmp_path / "data", train=4, test=2, classes=2)
    recipe = small_recipe(tiny_model, {"head.output": "sigmoid"})
    fit = fit_head(data, recipe, tmp_path / "run", cache=tmp_path / "cache")
    page = read_page(report(fit.run, without=QUICK).file)
    table = page.id("model").table("Layers")
    assert table[-2][:3] == ["Sigmoid", "1", "0"]
    assert table[-3][:3] == ["Dense (logits)", "1", "17"]
    assert int(table[-1][2].replace(",", "")) == fit.parameters["total"]
    assert "binary cross-entropy" in page.id("model").text


HOSTILE = "<img src=x onerror=alert(1)>\"'&{{7*7}}"


def test_names_of_users_are_text(tiny_model: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    phantoms = small_data(tmp_path / "phantoms", train=4, test=2, classes=2)
    for place, path in enumerate(files_of(phantoms)):
        label = {"covid": "<b>a&b</b>", "normal": "</script><script>alert(2)</script>"}[path.parent.name]
        target = data / path.parent.parent.name / label.replace("/", "\u2215") / f"{HOSTILE}{place}.png"
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    recipe = small_recipe(tiny_model, {"name": "<script>alert(3)</script>"})
    run = fit_head(data, recipe, tmp_path / "<i>run", cache=tmp_path / "cache").run
    page = read_page(report(run, without=["comparison"], cache=tmp_path / "cache").file)
    assert page.all("h1")[0].text == "<script>alert(3)</script>: <i>run"
    assert page.all("title")[0].text == page.all("h1")[0].text
    assert not page.all("b", "i")
    assert not [node for node in page.walk() if "onerror" in node.attributes]
    assert all(node.attributes["src"].startswith("data:") for node in page.all("img"))
    assert not [node for node in page.all("script") if node.text.startswith("alert")]
    names = {node.text for node in page.id("data").all("p", class_="name")}
    assert all(HOSTILE in name for name in names)


def test_random_weights_are_said_aloud(fitted: FitResult, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(fitted.run, run)
    manifest = json.loads((run / "manifest.json").read_text("utf-8"))
    manifest["weights"]["source"] = "random:3"
    (run / "manifest.json").write_text(json.dumps(manifest), "utf-8")
    page = read_page(report(run, without=QUICK).file)
    loud = page.all("p", class_="note loud")
    assert len(loud) == 2
    assert page.all("header")[0].all("p", class_="note loud")[0].text.startswith("The backbone's weights are random")


def test_many_classes_have_their_commonest_confusions(
    fitted: FitResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("featx.reports.results.CONFUSION_CLASSES", 3)
    run = edited(fitted.run, tmp_path / "run", misled)
    found = read_page(report(run, without=QUICK).file).id("results").table("Confusion matrix of 12 images (test)")
    assert sorted(found[1:]) == [[name, "covid", "3"] for name in CLASSES[1:]]


# Several runs


def test_several_runs_are_put_side_by_side(root: Path, fitted: FitResult, other: FitResult) -> None:
    found = report(
        fitted.run, other.run, out=root / "both.html", without=["clusters", "comparison"], cache=root / "cache"
    )
    page = read_page(found.file)
    assert sections(page, 2) == ["models", "data", "run1-run", "run2-run", "limits"]
    assert sections(page, 3)[:3] == ["run1-results", "run1-errors", "run1-maps"]
    ids = [node.attributes["id"] for node in page.walk() if "id" in node.attributes]
    assert len(ids) == len(set(ids))
    models = page.id("models")
    for row, fit in zip(models.table("Accuracy on each")[1:], (fitted, other), strict=True):
        assert row[:2] == [fit.run.name, f"{fit.test.correct}/12"]
    for row, fit in zip(models.table("Parameters")[1:], (fitted, other), strict=True):
        assert row[3:] == [f"{fit.parameters[name]:,}" for name in ("trainable", "non_trainable", "total")]
    assert [row[2] for row in models.table("Fitting")[1:]] == ["4", "1"]
    table = fitted.extraction.table("train")
    silhouette = shown(silhouette_score(table.X, table.labels))
    assert [row[1] for row in models.table("Separation")[1:]] == [silhouette, silhouette]
    # The thumbnails of the same images are there once.
    assert len(re.findall(r"\{background-image:url\(", found.file.read_text("utf-8"))) == 1


def test_runs_are_tested_on_the_same_images(fitted: FitResult, root: Path, tmp_path: Path) -> None:
    """One run right for all 12, the other wrong for 6: McNemar's exact p is 2 / 2^6."""

    def right(row: dict[str, str]) -> None:
        row["predicted"] = row["label"]

    def half_right(row: dict[str, str]) -> None:
        row["predicted"] = row["label"] if row["label"] in CLASSES[:2] else "covid"

    one = edited(fitted.run, tmp_path / "one", right)
    two = edited(fitted.run, tmp_path / "two", half_right)
    three = edited(fitted.run, tmp_path / "three", lambda row: row.update(sha256=row["sha256"][::-1]))
    page = read_page(report(one, two, three, out=tmp_path / "page.html", without=QUICK).file)
    rows = page.id("models").table("Pairs")[1:]
    assert binomtest(6, 6).pvalue == 2 / 2**6
    assert rows[0] == ["one – two", "12", "6", "0", "0.031", "distinguishable"]
    assert rows[1] == ["one – three", "0", "–", "–", "–", "no test image in common"]
    again = read_page(
        report(two, edited(two, tmp_path / "four", half_right), out=tmp_path / "b.html", without=QUICK).file
    )
    assert again.id("models").table("Pairs")[1][1:] == ["12", "0", "0", "1.000", "indistinguishable"]


# What cannot be had


def test_features_that_have_gone_leave_the_rest(
    fitted: FitResult, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    found = report(fitted.run, out=tmp_path / "page.html", cache=tmp_path / "empty")
    assert list(found.left_out) == ["run: maps", "run: comparison", "run: clusters"]
    page = read_page(found.file)
    assert sorted(sections(page, 2)) == sorted([*ALONE, "comparison"])
    assert page.id("maps").text.startswith("Maps This part could not be made.")
    assert "has no maps" in caplog.text
    assert not page.all("script"), "a page without maps needs no script"


def test_what_is_left_out_is_not_made(fitted: FitResult, tmp_path: Path) -> None:
    found = report(fitted.run, out=tmp_path / "page.html", without=QUICK, cache=tmp_path / "empty")
    assert found.left_out == {}
    assert not set(sections(read_page(found.file), 2)) & set(QUICK)


def test_wrong_usage(fitted: FitResult, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="Expected a file for the report of several runs"):
        report(fitted.run, fitted.run)
    with pytest.raises(UsageError, match="received maps3"):
        report(fitted.run, without=["maps3"])
    with pytest.raises(UsageError, match="received the folder"):
        report(fitted.run, out=tmp_path)
    with pytest.raises(UsageError, match="received none"):
        report()
    with pytest.raises(RunError, match="does not exist"):
        report(tmp_path / "nowhere")


@pytest.mark.parametrize("name", ["metrics.json", "history.csv", "predictions.csv"])
def test_a_damaged_run_is_told_in_a_sentence(fitted: FitResult, tmp_path: Path, name: str) -> None:
    run = tmp_path / "run"
    shutil.copytree(fitted.run, run)
    (run / name).write_text('{"test": \n1,2,"', "utf-8")
    with pytest.raises(RunError, match=re.escape(name)):
        report(run, without=QUICK)
    assert not (run / "report.html").exists()


def test_it_needs_no_network(fitted: FitResult, root: Path, tmp_path: Path) -> None:
    script = (
        f"import sys, featx\nfound = featx.report({str(fitted.run)!r}, out={str(tmp_path / 'page.html')!r}, "
        f"without=['comparison'], cache={str(root / 'cache')!r})\nprint(found.left_out, *sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    left_out, *modules = done.stdout.split()
    assert left_out == "{}"
    assert "bokeh" in modules
    assert not {"tensorflow", "keras", "umap"} & set(modules)


# The command


def test_the_command_writes_into_the_run(fitted: FitResult, root: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(fitted.run, run)
    done = CliRunner().invoke(
        app, ["report", str(run), "--cache", str(root / "cache"), "--without", "maps, comparison,clusters", "--json"]
    )
    assert done.exit_code == 0, done.output
    document = json.loads(done.stdout)
    assert document["file"] == str(run / "report.html")
    assert document["bytes"] == (run / "report.html").stat().st_size
    assert document["left_out"] == {}
    assert not [path for path in run.iterdir() if path.name.startswith(".")]
    assert featx.report is report
