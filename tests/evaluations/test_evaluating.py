from __future__ import annotations

import csv
import json
import logging
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from evaluation_data import Place
from html_page import read_page
from label_data import label_manifest
from PIL import Image
from pipeline_data import digest, files_of, read_table, small_data, small_recipe

from featx import compare, evaluate, predict, save_best
from featx.errors import DataError, FeatxError, RunError, UntrustedError, UsageError
from featx.evaluations import Evaluation
from featx.evaluations.words import majority_words
from featx.runs import fit_head
from featx.stats import wilson

CLASSES = ("covid", "normal", "pneumonia_bac", "pneumonia_vir")


@pytest.fixture(scope="module")
def whole(place: Place) -> Evaluation:
    """The evaluation of all images of the manifest."""
    return evaluate(place.run, place.manifest, split="all", cache=place.cache)


def probabilities(result: Evaluation) -> np.ndarray[Any, Any]:
    return np.array([image.probabilities for image in result.images])


# --- numbers ---


def test_images_have_the_probabilities_of_predict_and_scores_count_them(place: Place, whole: Evaluation) -> None:
    rows = predict(place.run, place.manifest, cache=place.cache).rows
    of_path = {Path(row.path).name: row for row in rows}
    assert len(whole.images) == 20
    for image in whole.images:
        row = of_path[Path(image.path).name]
        assert (image.label, image.predicted) == (row.true_label, row.label)
        np.testing.assert_allclose(image.probabilities, list(row.probabilities.values()), rtol=1e-12)
        assert image.correct == (image.label == image.predicted)
    correct = sum(row.label == row.true_label for row in rows)
    document = whole.to_json()
    assert (document["n"], document["correct"], document["accuracy"]) == (20, correct, correct / 20)
    losses = [-np.log(row.probabilities[str(row.true_label)]) for row in rows]
    assert document["loss"] == pytest.approx(np.mean(losses), rel=1e-5)
    assert document["metrics"]["log_loss"]["value"] == pytest.approx(np.mean(losses), rel=1e-5)
    recalls = []
    for name, one in zip(CLASSES, document["per_class"], strict=True):
        own = [row for row in rows if row.true_label == name]
        both = sum(row.label == name for row in own)
        called = sum(row.label == name for row in rows)
        assert (one["class"], one["n"]) == (name, 5)
        recalls.append(one["sensitivity"]["value"])
        assert recalls[-1] == both / 5
        if called:
            assert one["precision"]["value"] == both / called
        outside = sum(row.label != name for row in rows if row.true_label != name)
        assert one["specificity"]["value"] == outside / 15
    assert document["metrics"]["balanced_accuracy"]["value"] == pytest.approx(np.mean(recalls))
    assert document["majority"]["correct"] == 5


def test_the_most_frequent_of_one_class_is_no_rival(place: Place, tmp_path: Path) -> None:
    """Images of one class show a sensitivity; that "always this class" is right for all of them says nothing."""
    shutil.copytree(place.new / "train" / "covid", tmp_path / "one" / "covid")
    words = majority_words(evaluate(place.run, tmp_path / "one", cache=place.cache).scores)
    assert words.startswith("All images are of the class covid, so the accuracy is the sensitivity for it")
    assert "no better" not in words


def test_intervals_know_the_groups(place: Place, whole: Evaluation) -> None:
    alone = evaluate(place.run, place.manifest, split="all", cache=place.cache, group_column="none")
    document = whole.to_json()
    assert document["groups"] == 10
    assert 0 < document["effective_n"] <= 20
    assert document["by_group"]["n"] + document["by_group"]["mixed"] == 10
    assert "groups" not in alone.to_json()
    assert alone.scores.score.interval == wilson(alone.scores.score.correct, 20)
    np.testing.assert_array_equal(probabilities(alone), probabilities(whole))


def test_subgroups_are_counted(whole: Evaluation) -> None:
    by_column = {column["column"]: column for column in whole.to_json()["subgroups"]}
    assert set(by_column) == {"ward", "age"}
    right = Counter(str(image.extra["ward"]) for image in whole.images if image.correct)
    wards = {one["value"]: (one["n"], one["correct"]) for one in by_column["ward"]["subgroups"]}
    assert wards == {"north": (10, right["north"]), "south": (10, right["south"])}


def test_calibration_is_that_of_the_probabilities(place: Place, whole: Evaluation) -> None:
    calibration = whole.to_json()["calibration"]
    shares = probabilities(whole)
    assert calibration["confidence"] == pytest.approx(shares.max(axis=1).mean())
    own = np.array([[image.label == name for name in CLASSES] for image in whole.images])
    assert calibration["brier"] == pytest.approx(((shares - own) ** 2).sum(axis=1).mean())
    assert 0 < calibration["expected_ece"] < 1
    manifest = json.loads((place.run / "manifest.json").read_text("utf-8"))
    assert calibration["temperature"] == manifest["calibration"]["temperature"]


def test_raw_probabilities_have_the_same_classes_and_no_temperature(place: Place, tmp_path: Path) -> None:
    run = Path(shutil.copytree(place.run, tmp_path / "run"))
    manifest = json.loads((run / "manifest.json").read_text("utf-8"))
    manifest["calibration"] = {"temperature": 2.5}
    (run / "manifest.json").write_text(json.dumps(manifest), "utf-8")
    scaled = evaluate(run, place.manifest, split="all", cache=place.cache)
    raw = evaluate(run, place.manifest, split="all", cache=place.cache, raw=True)
    assert [image.predicted for image in raw.images] == [image.predicted for image in scaled.images]
    wide = probabilities(raw) ** (1 / 2.5)
    np.testing.assert_allclose(probabilities(scaled), wide / wide.sum(axis=1, keepdims=True), atol=1e-6)
    assert scaled.to_json()["calibration"]["temperature"] == 2.5
    assert raw.to_json()["calibration"]["temperature"] == 1


def test_the_order_and_the_names_of_files_change_no_number(place: Place, whole: Evaluation, tmp_path: Path) -> None:
    rows = read_table(place.manifest)
    for number, row in enumerate(rows):
        source = place.manifest.parent / row["path"]
        row["path"] = f"{(number * 7) % 20:02}{source.suffix}"
        shutil.copy(source, tmp_path / row["path"])
    with (tmp_path / "again.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(sorted(rows, key=lambda row: row["path"]))
    again = evaluate(place.run, tmp_path / "again.csv", split="all", cache=place.cache)
    ignored = {"data", "seconds"}
    one, other = (
        {key: value for key, value in each.to_json().items() if key not in ignored} for each in (whole, again)
    )
    assert one == other


# --- splits ---


def test_the_test_split_is_evaluated_or_else_all_images(place: Place) -> None:
    tested = evaluate(place.run, place.new, cache=place.cache)
    assert (tested.split, tested.n) == ("test", 12)
    assert "not its other images" in tested.why
    flat = evaluate(place.run, place.new / "train", cache=place.cache)
    assert (flat.split, flat.n) == ("all", 20)
    assert "no test split" in flat.why
    assert evaluate(place.run, place.new, split="train", cache=place.cache).n == 20
    assert evaluate(place.run, place.new, split="all", cache=place.cache).n == 32
    aside = evaluate(place.run, place.new / "train", test=0.4, cache=place.cache)
    assert (aside.split, aside.n) == ("test", 8)
    with pytest.raises(DataError, match="no images of the split 'val', only of train and test; choose another split"):
        evaluate(place.run, place.new, split="val", cache=place.cache)
    with pytest.raises(UsageError, match="train, val, test or all, received 'tset'"):
        evaluate(place.run, place.new, split="tset", cache=place.cache)


# --- images that the model has seen ---


def test_images_of_the_training_are_refused_or_left_out(place: Place) -> None:
    with pytest.raises(
        UntrustedError, match=r"32 of 44 images .*\(32 with the same bytes\), such as: .* has the bytes"
    ):
        evaluate(place.run, place.data, split="all", cache=place.cache)
    rest = evaluate(place.run, place.data, split="all", skip_seen=True, cache=place.cache)
    # What is left is the run's own test split, and its score.
    assert (rest.n, rest.skipped) == (12, 32)
    assert rest.to_json()["skipped_seen"] == 32
    assert rest.scores.score.correct == place.fit.test.correct
    assert evaluate(place.run, place.data, cache=place.cache).n == 12
    with pytest.raises(DataError, match="has not seen, found none"):
        evaluate(place.run, place.data, split="train", skip_seen=True, cache=place.cache)


def test_patients_of_the_training_are_refused(place: Place, tiny_model: Path, tmp_path: Path) -> None:
    number = {image: i for i, image in enumerate(files_of(place.data / "train"))}
    trained = tmp_path / "trained.csv"
    lines = [f"{image},{image.parent.name},p{i}" for image, i in number.items()]
    trained.write_text("\n".join(["path,label,group", *lines]), "utf-8")
    recipe = small_recipe(tiny_model, {"fit.epochs": 1})
    fit_head(trained, recipe, out=tmp_path / "run", cache=place.cache)
    images = files_of(place.new / "train")
    # Two of the new images are of a patient who was trained on.
    lines = [f"{image},{image.parent.name},{'p3' if i in (4, 5) else f'q{i}'}" for i, image in enumerate(images)]
    new = tmp_path / "new.csv"
    new.write_text("\n".join(["path,label,group", *lines]), "utf-8")
    message = (
        r"2 of 20 images .*\(2 of the same groups\), such as: .* is of group p3, of which .* is one; .*--skip-seen"
    )
    with pytest.raises(UntrustedError, match=message.replace("--skip-seen", "skip_seen")):
        evaluate(tmp_path / "run", new, cache=place.cache)
    rest = evaluate(tmp_path / "run", new, skip_seen=True, cache=place.cache)
    assert (rest.n, rest.skipped) == (18, 2)
    assert "p3" not in {image.group for image in rest.images}


# --- saved classifiers ---


@pytest.fixture(scope="module")
def saved(place: Place, tmp_path_factory: pytest.TempPathFactory) -> Path:
    compared = compare(place.run, classifiers=["knn"], folds=2, repeats=1, cache=place.cache)
    return save_best(compared, tmp_path_factory.mktemp("saved") / "best")


def test_a_saved_classifier_is_evaluated_and_knows_what_it_has_seen(saved: Path, place: Place) -> None:
    result = evaluate(saved, place.manifest, split="all", cache=place.cache)
    rows = {Path(row.path).name: row for row in predict(saved, place.manifest, cache=place.cache).rows}
    assert [image.predicted for image in result.images] == [
        rows[Path(image.path).name].label for image in result.images
    ]
    assert (result.kind, result.temperature, result.notes) == ("classifier", None, ())
    with pytest.raises(UntrustedError, match=r"32 of 44 images .* such as: .* has the bytes of a training image"):
        evaluate(saved, place.data, split="all", cache=place.cache)
    written = {row["sha256"] for row in read_table(saved / "trained-on.csv")}
    assert written == {digest(image) for image in files_of(place.data / "train")}


def test_a_classifier_of_an_earlier_version_says_what_is_not_known(
    saved: Path, place: Place, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    old = Path(shutil.copytree(saved, tmp_path / "old"))
    (old / "trained-on.csv").unlink()
    with caplog.at_level(logging.WARNING, "featx"):
        result = evaluate(old, place.new, cache=place.cache)
    assert ["not known which images" in note for note in result.notes] == [True]
    assert "not known which images" in caplog.text
    (old / "trained-on.csv").write_text("sha256,group\nno digest,\n", "utf-8")
    with pytest.raises(RunError, match=r"cannot be read .*'no digest' is no digest"):
        evaluate(old, place.new, cache=place.cache)


# --- what is refused ---


def refused(place: Place, rows: list[str], error: type[FeatxError], match: str, folder: Path, **given: Any) -> None:
    path = folder / "rows.csv"
    path.write_text("\n".join(rows), "utf-8")
    with pytest.raises(error, match=match) as caught:
        evaluate(place.run, path, cache=place.cache, **given)
    assert "\n" not in str(caught.value)


def test_labels_that_the_model_does_not_know_are_refused(place: Place, tmp_path: Path) -> None:
    image = files_of(place.new / "train")[0]
    known = "covid, normal, pneumonia_bac, pneumonia_vir"
    rows = ["path,label", f"{image},flu", f"{files_of(place.new / 'test')[0]},covid"]
    refused(place, rows, DataError, rf"the model knows \({known}\) .* found flu \(1 image\); leave", tmp_path)
    rows = ["path,label", f"{image},", f"{files_of(place.new / 'test')[0]},covid"]
    refused(place, rows, DataError, "a label for each image to evaluate a model, found 1 of 2", tmp_path)
    rows = ["path,label", f"{image},covid|normal", f"{files_of(place.new / 'test')[0]},covid"]
    refused(place, rows, DataError, "one label for each image .* found several", tmp_path)
    rows = ["path,label", f"{image},covid", f"{files_of(place.new / 'test')[0]},covid"]
    path = tmp_path / "fine.csv"
    path.write_text("\n".join(rows), "utf-8")
    result = evaluate(place.run, path, cache=place.cache)  # classes without images are fine
    assert result.n == 2
    assert [one["sensitivity"] is None for one in result.to_json()["per_class"]] == [False, True, True, True]


def test_images_that_cannot_be_read_are_listed_with_skip(place: Place, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(place.new / "test", tmp_path / "images"))
    (folder / "covid" / "broken.png").write_bytes(b"no image")
    with pytest.raises(FeatxError, match=r"broken\.png"):
        evaluate(place.run, folder, cache=place.cache)
    result = evaluate(place.run, folder, on_error="skip", cache=place.cache)
    assert result.n == 12
    assert [Path(failure.path).name for failure in result.failed] == ["broken.png"]


# --- files ---


def test_the_files_show_the_result(place: Place, tmp_path: Path) -> None:
    result = evaluate(place.run, place.manifest, split="all", out=tmp_path / "out", cache=place.cache)
    out = tmp_path / "out"
    assert {path.name for path in result.files} == {path.name for path in out.iterdir()}
    assert {path.name for path in result.files} == {
        "evaluation.html",
        "evaluation.json",
        "predictions.csv",
        "confusion.png",
    }
    assert json.loads((out / "evaluation.json").read_text("utf-8"))["correct"] == result.scores.score.correct
    rows = read_table(out / "predictions.csv")
    assert [row["predicted"] for row in rows] == [image.predicted for image in result.images]
    assert {row["correct"] for row in rows} <= {"0", "1"}
    assert list(rows[0])[:5] == ["path", "split", "label", "predicted", "correct"]
    assert {"ward", "age", "group", "sha256", "p_covid"} <= set(rows[0])
    page = read_page(out / "evaluation.html")
    matrix = page.id("results").table("Confusion matrix of 20 images")
    counts = Counter((image.label, image.predicted) for image in result.images)
    assert [[int(cell) for cell in row[1:-1]] for row in matrix[2:]] == [
        [counts[true, predicted] for predicted in CLASSES] for true in CLASSES
    ]
    metrics = dict(row[:2] for row in page.id("results").table("20 images")[1:])
    assert metrics["accuracy"] == f"{100 * (result.scores.score.accuracy or 0):.1f} %"
    shown = page.id("errors").all("figure", class_="gallery")
    wrong = [image for image in result.images if not image.correct]
    assert len(shown[0].all("li") if shown else []) == len(wrong)
    assert "10 groups" in page.id("limits").text
    # An earlier evaluation is replaced, and no other folder.
    evaluate(place.run, place.new, out=out, cache=place.cache)
    with pytest.raises(RunError, match="holds other files"):
        evaluate(place.run, place.new, out=place.run, cache=place.cache)
    with pytest.raises(UsageError, match="apart from the images"):
        evaluate(place.run, place.new, out=place.new, cache=place.cache)


# --- beside the training images ---


def test_altered_copies_of_training_images_are_counted_and_left_out_of_a_second_accuracy(
    place: Place, tmp_path: Path
) -> None:
    originals = files_of(place.data / "train")[::8]  # one of each class
    folder = Path(shutil.copytree(place.new / "test", tmp_path / "images"))
    for original in originals:
        with Image.open(original) as image:
            image.save(folder / original.parent.name / "copy.jpg", quality=92)
    result = evaluate(place.run, folder, cache=place.cache)
    document = result.to_json()
    assert {(Path(copy["path"]).parts[-2], copy["training"]) for copy in document["copies"]} == {
        (original.parent.name, original.relative_to(place.data).as_posix()) for original in originals
    }
    assert document["duplicates"] == 4
    others = [image for image in result.images if Path(image.path).name != "copy.jpg"]
    assert document["without_duplicates"]["n"] == len(others) == 12
    assert document["without_duplicates"]["correct"] == sum(image.correct for image in others)
    assert any("copies of training images" in sentence for sentence in result.sentences())
    plain = evaluate(place.run, place.new / "test", cache=place.cache).to_json()
    assert (plain["duplicates"], plain["copies"], "without_duplicates" in plain) == (0, [], False)


def test_strange_images_are_named_and_the_others_have_the_typicality_of_predict(place: Place, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(place.new / "test", tmp_path / "images"))
    noise = np.random.default_rng(0).integers(0, 256, (40, 40, 3), np.uint8)
    Image.fromarray(noise).save(folder / "covid" / "noise.png")
    result = evaluate(place.run, folder, out=tmp_path / "out", cache=place.cache)
    document = result.to_json()
    assert "covid/noise.png" in [one["path"] for one in document["atypical"]]
    assert [one["percentile"] for one in document["atypical"]] == sorted(
        one["percentile"] for one in document["atypical"]
    )
    rows = {Path(row.path).parts[-2:]: row for row in predict(place.run, folder, cache=place.cache).rows}
    for image in result.images:
        assert image.typicality == pytest.approx(rows[Path(image.path).parts[-2:]].typicality)
    shown = read_page(tmp_path / "out" / "evaluation.html").id("training")
    assert "outside what the training images span" in shown.text
    assert len(shown.all("li")) == len(document["atypical"])


def test_without_the_features_of_the_training_images_their_typicality_is_not_known(
    place: Place, tmp_path: Path
) -> None:
    result = evaluate(place.run, place.new, cache=tmp_path / "other")
    assert [image.typicality for image in result.images] == [None] * 12
    assert any(note.startswith("It is not known how typical") for note in result.notes)
    assert result.to_json()["atypical"] == []


# --- two classes, several labels ---


def test_of_two_classes_one_is_looked_for(tiny_model: Path, tmp_path: Path) -> None:
    data, new = small_data(tmp_path / "data", train=6, classes=2), small_data(tmp_path / "new", classes=2, seed=3)
    cache = tmp_path / "cache"
    fit_head(data, small_recipe(tiny_model, {"fit.epochs": 3}), out=tmp_path / "run", cache=cache)
    for positive, other in (("covid", "normal"), ("normal", "covid")):
        result = evaluate(tmp_path / "run", new, split="all", positive=positive, cache=cache)
        own = [image for image in result.images if image.label == positive]
        rest = [image for image in result.images if image.label == other]
        metrics = result.to_json()["metrics"]
        assert metrics["sensitivity"]["value"] == sum(image.predicted == positive for image in own) / len(own)
        assert metrics["specificity"]["value"] == sum(image.predicted != positive for image in rest) / len(rest)
        assert any(name == f"sensitivity for {positive}" for name, _ in result.overview()[1])
    assert evaluate(tmp_path / "run", new, split="all", cache=cache).to_json()["positive"] == "covid"
    with pytest.raises(UsageError, match="positive to be covid or normal, received 'flu'"):
        evaluate(tmp_path / "run", new, positive="flu", cache=cache)


def test_of_several_labels_each_has_its_areas(tiny_model: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    manifest = label_manifest(tmp_path / "trained")
    fit_head(manifest, small_recipe(tiny_model, {"fit.epochs": 10}), out=tmp_path / "run", cache=cache)
    other = label_manifest(tmp_path / "new", train=3, test=1)
    images = files_of(tmp_path / "new" / "data")
    for image in images:  # other bytes than those of the training images
        with Image.open(image) as opened:
            opened.transpose(Image.Transpose.FLIP_TOP_BOTTOM).save(image)
    result = evaluate(tmp_path / "run", other, split="all", out=tmp_path / "out", cache=cache)
    document = result.to_json()
    assert [one["label"] for one in document["per_class"]] == ["odd", "opacity", "viral"]
    rows = read_table(tmp_path / "out" / "predictions.csv")
    assert [row["label:odd"] for row in rows].count("") == 1
    right = 0
    for row in rows:
        known = [name for name in result.classes if row[f"label:{name}"]]
        right += all((float(row[f"p_{name}"]) >= 0.5) == (row[f"label:{name}"] == "1") for name in known)
    assert document["correct"] == right == sum(int(row["correct"]) for row in rows)
    page = read_page(tmp_path / "out" / "evaluation.html")
    assert len(page.id("classes").table("Images that have a label")) == 4
    with pytest.raises(DataError, match=r"Expected several labels .* found one"):
        evaluate(tmp_path / "run", tmp_path / "new" / "data", split="all", cache=cache)
    plain = tmp_path / "flu.csv"
    plain.write_text(f"path,label:flu\n{images[0]},1\n{images[1]},0\n", "utf-8")
    with pytest.raises(DataError, match="found flu; name those to use"):
        evaluate(tmp_path / "run", plain, cache=cache)
