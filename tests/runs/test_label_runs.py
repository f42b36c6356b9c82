"""Runs of images with several labels: fitted, written, read, and used for new images."""

from __future__ import annotations

import csv
import json
import logging
import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from label_manifests import NAMES, THERE, write_columns
from pipeline_data import read_table, small_data, small_recipe
from sklearn.metrics import average_precision_score, log_loss, roc_auc_score

from featx.cli import fit_head as fit_head_command
from featx.errors import RunError, UntrustedError
from featx.recipes import load_recipe
from featx.runs import FitResult, HeadModel, extract_new, fit_head, read_run, read_source
from featx.stats import LabelScore


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> FitResult:
    root = tmp_path_factory.mktemp("labels")
    manifest = write_columns(small_data(root / "data", train=8, test=4))
    recipe = small_recipe(tiny_model, {"fit.class_weight": "balanced"})
    return fit_head(manifest, recipe, out=root / "run", cache=root / "cache")


def test_the_files_of_a_run(fitted: FitResult) -> None:
    run = fitted.run
    manifest = json.loads((run / "manifest.json").read_text())
    assert (manifest["classes"], manifest["multilabel"]) == (list(NAMES), True)
    assert load_recipe(run / "recipe.toml").head.output == "sigmoid"
    table = read_table(run / "predictions.csv")
    own, shares = ([f"{before}{name}" for name in NAMES] for before in ("label:", "p_"))
    assert list(table[0]) == ["path", "split", "role", *own, *shares, "sha256", "group"]
    for row in table:
        there = THERE[Path(row["path"]).parts[1]]
        assert [row[name] for name in own[1:]] == [str(int(name in there)) for name in NAMES[1:]]
        assert row[own[0]] in ("", str(int("covid" in there)))
    assert 0 < sum(row[own[0]] == "" for row in table) < len(table) / 2
    assert (run / "confusion.png").stat().st_size > 5000
    assert (run / "curves.png").stat().st_size > 5000


def test_scores_are_those_of_the_predictions(fitted: FitResult) -> None:
    table = [row for row in read_table(fitted.run / "predictions.csv") if row["role"] == "test"]
    assert isinstance(fitted.test, LabelScore)
    areas, losses = [], []
    right = np.ones(len(table), bool)
    per_label = {one.label: one for one in fitted.per_label["test"]}
    for name in NAMES:
        known = np.array([row[f"label:{name}"] != "" for row in table])
        y = np.array([row[f"label:{name}"] == "1" for row in table])[known]
        p = np.array([float(row[f"p_{name}"]) for row in table])[known]
        areas.append((roc_auc_score(y, p), average_precision_score(y, p)))
        losses += [log_loss([each], [share], labels=[False, True]) for each, share in zip(y, p, strict=True)]
        right[known] &= (p >= 0.5) == y
        one = per_label[name]
        assert (one.n, one.positive) == (known.sum(), y.sum())
        assert one.auc is not None
        assert one.auc.value == pytest.approx(areas[-1][0])
    assert (fitted.test.n, fitted.test.correct) == (len(table), right.sum())
    assert fitted.test.loss == pytest.approx(np.mean(losses), rel=1e-3)
    assert (fitted.test.auc, fitted.test.average_precision) == pytest.approx(tuple(np.mean(areas, axis=0)))


def test_the_json_of_a_run_is_read_back(fitted: FitResult) -> None:
    document = json.loads(json.dumps(fitted.to_json(), allow_nan=False))
    assert list(document["test"])[-2:] == ["auc", "average_precision"]
    assert [one["label"] for one in document["per_label"]["validation"]] == list(NAMES)
    assert list(document["per_label"]) == ["train", "validation", "test"]
    metrics = read_run(fitted.run).metrics
    assert metrics["per_label"] == document["per_label"]
    # Scores of runs without groups have no such keys in the file.
    assert {name: metrics["test"][name] for name in document["test"]} == document["test"]
    assert all(metrics["test"].get(name) is None for name in metrics["test"].keys() - document["test"].keys())


def test_a_run_is_read(fitted: FitResult) -> None:
    run = read_run(fitted.run)
    assert run.multilabel
    assert run.classes == NAMES
    cells: Mapping[float, str] = {1.0: "1", 0.0: "0"}
    for image, row in zip(run.images, read_table(fitted.run / "predictions.csv"), strict=True):
        assert image.targets is not None
        assert [cells.get(value, "") for value in image.targets] == [row[f"label:{name}"] for name in NAMES]
        assert image.label == "|".join(n for n, v in zip(NAMES, image.targets, strict=True) if v == 1)
        assert image.predicted == "|".join(n for n, p in zip(NAMES, image.probabilities, strict=True) if p >= 0.5)
    assert max(abs(sum(image.probabilities) - 1) for image in run.images) > 0.01
    assert any(math.isnan(image.targets[0]) for image in run.images if image.targets)


def test_rows_of_a_run_have_targets(fitted: FitResult) -> None:
    source = read_source(fitted.run, cache=fitted.run.parent / "cache")
    table, run = source.table, {image.path: image for image in read_run(fitted.run).images}
    assert table.label_names == NAMES
    assert set(table.labels) == {None}
    assert table.targets is not None
    np.testing.assert_array_equal(table.targets, [run[name].targets for name in table.ids])
    assert source.predicted is not None
    assert source.predicted.labels == tuple(run[name].predicted for name in table.ids)
    assert source.take(np.arange(3)).predicted.labels == source.predicted.labels[:3]  # type: ignore[union-attr]


def test_new_images_have_the_probabilities_of_the_run(fitted: FitResult) -> None:
    run = read_run(fitted.run)
    root = fitted.run.parent
    model = HeadModel(run)
    assert model.multilabel
    extraction = extract_new(model, [root / "data" / "test"], cache=root / "cache")
    wanted = {image.digest: image.probabilities for image in run.images}
    shares = model.probabilities(extraction.view_rows(extraction.images))
    np.testing.assert_allclose(shares, [wanted[image.digest] for image in extraction.images], atol=1e-5)


def test_a_softmax_recipe_is_changed_with_one_notice(
    tiny_model: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    manifest = write_columns(small_data(tmp_path / "data", train=8, test=3))
    recipe = small_recipe(tiny_model)
    with caplog.at_level(logging.INFO, "featx"):
        results = [
            fit_head(manifest, recipe.replaced({"head.output": output}), out=tmp_path / output, cache=tmp_path / "c")
            for output in ("softmax", "sigmoid")
        ]
    notices = [message for message in caplog.messages if "sigmoid output for each" in message]
    assert notices == [
        "The images may have several labels, so the head has a sigmoid output for each label (3) instead of "
        "the recipe's output softmax."
    ]
    # The same head, whatever the recipe said.
    digests = {json.loads((result.run / "manifest.json").read_text())["head"]["sha256"] for result in results}
    assert len(digests) == 1


def test_both_engines_fit_one_label(tiny_model: Path, tmp_path: Path) -> None:
    """One label is no class against another: what is not known does not count."""
    manifest = write_columns(small_data(tmp_path / "data", train=8, test=3), names=("opacity",))
    data = "\n".join(line for line in manifest.read_text().splitlines() if not line.endswith(",")) + "\n"
    manifest.write_text(data)
    recipe = small_recipe(tiny_model, {"head.layers": ()}, head={})
    results = [
        fit_head(manifest, recipe, out=tmp_path / engine, cache=tmp_path / "c", engine=engine)
        for engine in ("fused", "keras")
    ]
    assert [result.engine for result in results] == ["fused", "keras"]
    fused, keras = ([epoch.loss for epoch in result.history] for result in results)
    np.testing.assert_allclose(fused, keras, rtol=1e-4)
    for result in results:
        run = read_run(result.run)
        assert run.classes == ("opacity",)
        assert HeadModel(run).head.outputs == 1


def test_people_see_a_table_of_the_labels(fitted: FitResult, capsys: pytest.CaptureFixture[str]) -> None:
    fit_head_command.show(fitted)
    text = capsys.readouterr().out
    assert "mean AUC" in text
    lines = [line.split() for line in text.splitlines()]
    for one in fitted.per_label["test"]:
        (line,) = [line for line in lines if line[:1] == [one.label]]
        assert line[1:4] == [str(one.positive), "of", str(one.n)]


def test_training_that_diverges_is_refused(tiny_model: Path, tmp_path: Path) -> None:
    manifest = write_columns(small_data(tmp_path / "data", train=8, test=3))
    recipe = small_recipe(tiny_model, {"fit.learning_rate": 1e30})
    with pytest.raises(UntrustedError, match="in epoch 1 the training diverged at a learning rate of 1e"):
        fit_head(manifest, recipe, out=tmp_path / "run", cache=tmp_path / "cache")


def test_a_head_of_other_outputs_is_refused(fitted: FitResult, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    copy.mkdir()
    for path in fitted.run.iterdir():
        (copy / path.name).write_bytes(path.read_bytes())
    document = json.loads((copy / "manifest.json").read_text())
    document["classes"] = document["classes"][:2]
    (copy / "manifest.json").write_text(json.dumps(document))
    with pytest.raises(RunError, match=r"to 2 labels in .*found one from \d+ to 3; fit the head again"):
        _ = HeadModel(read_run(copy)).head


def test_a_manifest_that_was_edited_does_not_change_probabilities(fitted: FitResult, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    copy.mkdir()
    for path in fitted.run.iterdir():
        (copy / path.name).write_bytes(path.read_bytes())
    text = (copy / "manifest.json").read_text()
    (copy / "manifest.json").write_text(text.replace('"multilabel": true', '"multilabel": false'))
    with pytest.raises(RunError, match=r"Expected a head with the output of .*, sigmoid for 3 classes, in"):
        _ = HeadModel(read_run(copy)).head
    (copy / "manifest.json").write_text(text)
    recipe = (copy / "recipe.toml").read_text()
    (copy / "recipe.toml").write_text(recipe.replace('output = "sigmoid"', 'output = "softmax"'))
    with pytest.raises(RunError, match=r"Expected a head with the output of .*, softmax for 3 labels, in"):
        _ = HeadModel(read_run(copy)).head


@pytest.mark.parametrize(
    ("column", "value", "reason"),
    [
        ("p_normal", "1.5", "is not between 0 and 1"),
        ("p_normal", "nan", "is not between 0 and 1"),
        ("label:normal", "0.5", "'0.5' is not 1, 0 or empty"),
        ("label:normal", None, "it has no columns label:normal"),
        ("label:other", "1", "label:other is the column of no class"),
    ],
)
def test_forged_predictions_are_refused(
    fitted: FitResult, tmp_path: Path, column: str, value: str | None, reason: str
) -> None:
    copy = tmp_path / "copy"
    copy.mkdir()
    for name in ("manifest.json", "recipe.toml"):
        (copy / name).write_bytes((fitted.run / name).read_bytes())
    rows = read_table(fitted.run / "predictions.csv")
    for row in rows:
        if value is None:
            del row[column]
        else:
            row[column] = value
    with (copy / "predictions.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    with pytest.raises(RunError) as caught:
        _ = read_run(copy).images
    assert reason in str(caught.value)


def test_images_of_which_no_label_is_known_change_neither_head_nor_scores(
    tmp_path: Path, fitted: FitResult, tiny_model: Path
) -> None:
    manifest = write_columns(small_data(tmp_path / "data", train=8, test=4))
    rows = read_table(manifest)
    # All for fitting in one batch: of an epoch's batches nothing else may change.
    fit = {"epochs": 3, "batch_size": 999, "learning_rate": 3e-3, "validation": 0}
    recipe = small_recipe(tiny_model, head={"layers": (), "penultimate": None}, fit=fit)
    results = []
    for name in ("known", "all"):
        kept = [dict(row) for row in rows]
        blank = [row for number, row in enumerate(kept) if number % 3 == 0]
        for row in blank:
            row.update({column: "" for column in row if column.startswith("label:")})
        table = manifest.with_name(f"{name}.csv")
        with table.open("w", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(row for row in kept if name == "all" or row not in blank)
        results.append(fit_head(table, recipe, out=tmp_path / name, cache=tmp_path / "cache"))
    known, whole = results
    assert known.train.loss == pytest.approx(whole.train.loss, rel=1e-4)
    assert (known.train.n, known.test.n, known.test.correct) == (whole.train.n, whole.test.n, whole.test.correct)
    assert len(read_table(whole.run / "predictions.csv")) > len(read_table(known.run / "predictions.csv"))
