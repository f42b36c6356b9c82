from __future__ import annotations

import json
import shutil
import sys
from dataclasses import astuple
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import Featx
from PIL import Image
from pipeline_data import files_of, read_table, small_data, small_recipe, write_manifest
from sklearn.metrics import davies_bouldin_score, silhouette_samples, silhouette_score

from featx import files
from featx.clustering.clustering import clusters
from featx.errors import DataError, UsageError
from featx.recipes import dump_recipe
from featx.runs import FitResult, Run, fit_head, read_run, read_source

CLASSES = ["covid", "normal", "pneumonia_bac", "pneumonia_vir"]
FILES = {
    "clusters.csv", "classes.csv", "per_image.csv", "silhouette.png", "silhouette.svg", "pairs.png", "pairs.svg",
}  # fmt: skip


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> FitResult:
    """A run on a manifest whose patients have two images each, and a scanner that is not always known."""
    root = tmp_path_factory.mktemp("clustering")
    data = small_data(root / "data", train=6, test=3)
    columns = {
        "group": lambda path: f"{path.parent} {int(path.stem[-3:]) // 2}",
        "scanner": lambda path: "AB"[int(path.stem[-3:]) % 2] if int(path.stem[-3:]) else "",
        "site": lambda _: "one",
    }
    listed = write_manifest(root / "manifest.csv", data, files_of(data), columns)
    return fit_head(listed, small_recipe(tiny_model), out=root / "run", cache=root / "cache")


@pytest.fixture
def cache(fitted: FitResult) -> Path:
    return fitted.extraction.store.root


def test_both_layers_and_the_test_split_are_measured(fitted: FitResult, cache: Path) -> None:
    found = clusters(fitted.run, cache=cache, permutations=19)
    layers = ("penultimate", "backbone")
    shown = [(part.layer, part.split, len(part.ids)) for part in found.parts]
    assert shown == [(layer, split, n) for split, n in (("train", 24), ("test", 12)) for layer in layers]
    for part in found.parts:
        rows = read_source(fitted.run, layer=part.layer, cache=cache).of_split(part.split).table  # type: ignore[arg-type]
        assert part.ids == rows.ids
        expected = silhouette_samples(rows.X, rows.labels)
        np.testing.assert_allclose(part.quality.silhouettes, expected, atol=1e-4)
        wide = davies_bouldin_score(rows.X, rows.labels)
        assert part.quality.davies_bouldin.value == pytest.approx(wide, rel=1e-4)
    document = found.to_json()
    assert (document["n"], document["classes"], set(document["per_class"])) == (24, CLASSES, set(CLASSES))
    assert document["layers"]["backbone"]["silhouette"] == found.parts[1].quality.silhouette.value
    assert document["layers"]["penultimate"]["test"]["n"] == 12
    assert document["silhouette"] == document["layers"]["penultimate"]["silhouette"]
    assert any("was trained with the labels" in note for note in found.notes)
    assert json.loads(json.dumps(files.finite(document), allow_nan=False))


def test_one_layer_or_the_test_split_alone(fitted: FitResult, cache: Path) -> None:
    only = clusters(fitted.run, layer="backbone", split="test", cache=cache, permutations=5)
    assert [(part.layer, part.split) for part in only.parts] == [("backbone", "test")]
    assert not any("was trained with the labels" in note for note in only.notes)
    whole = clusters(fitted.run, layer="penultimate", split="all", cache=cache, permutations=5)
    assert [(part.split, len(part.ids)) for part in whole.parts] == [("all", 36)]


def test_names_and_the_order_of_files_change_nothing(
    fitted: FitResult, cache: Path, tiny_model: Path, tmp_path: Path
) -> None:
    data = small_data(tmp_path / "data", train=6, test=3)
    plain = clusters(data, recipe=small_recipe(tiny_model), cache=cache, permutations=9)
    for number, path in enumerate(sorted(data.rglob("*.png"), reverse=True)):
        path.rename(path.with_name(f"{number:03}.png"))
    again = clusters(data, recipe=small_recipe(tiny_model), cache=cache, permutations=9)
    assert again.to_json()["layers"] == plain.to_json()["layers"]
    assert again.main.ids != plain.main.ids


def test_images_of_a_patient_keep_a_common_label(fitted: FitResult, cache: Path) -> None:
    found = clusters(fitted.run, layer="backbone", cache=cache, permutations=5)
    assert len(found.main.quality.blocks.labels) == 12
    assert any("Labels of the split 'train' are permuted by group: 12 blocks" in note for note in found.notes)


def test_another_column_is_measured_without_the_images_that_lack_it(
    fitted: FitResult, cache: Path, caplog: pytest.LogCaptureFixture
) -> None:
    found = clusters(fitted.run, by="scanner", cache=cache, permutations=5)
    rows = read_source(fitted.run, layer="backbone", cache=cache).of_split("train")
    known = [i for i, scanner in enumerate(rows.column("scanner")) if scanner]
    scanners = [rows.column("scanner")[i] for i in known]
    backbone = found.to_json()["layers"]["backbone"]
    assert (backbone["n"], backbone["classes"]) == (20, ["A", "B"])
    assert backbone["silhouette"] == pytest.approx(silhouette_score(rows.table.X[known], scanners), abs=1e-5)
    expected = "4 of 24 images of the split 'train' have no scanner and are left out."
    assert expected in found.notes
    assert [record.getMessage() for record in caplog.records].count(expected) == 1
    assert any("a group with several classes is one block for each class" in note for note in found.notes)
    assert any("everything related to the label" in note for note in found.notes)


def test_more_images_than_wanted_are_sampled(fitted: FitResult, cache: Path) -> None:
    given: dict[str, Any] = {"layer": "backbone", "cache": cache, "permutations": 5, "sample": 16}
    found = clusters(fitted.run, **given)
    assert found.to_json()["n"] == 16
    assert found.notes[0] == (
        "Measured on a sample of 16 of 24 images of the split 'train', seed 0; use --sample for more."
    )
    assert clusters(fitted.run, **given).main.ids == found.main.ids
    assert clusters(fitted.run, seed=1, **given).main.ids != found.main.ids


def test_what_cannot_be_measured_is_refused(fitted: FitResult, cache: Path) -> None:
    with pytest.raises(DataError, match="all 24 images are of 'one'; choose another split or by"):
        clusters(fitted.run, by="site", cache=cache)
    with pytest.raises(UsageError, match="sample of at least 2 images, received 1"):
        clusters(fitted.run, sample=1, cache=cache)


def test_a_test_split_without_numbers_does_not_take_those_of_the_training_split(
    cache: Path, tiny_model: Path, tmp_path: Path
) -> None:
    data = small_data(tmp_path / "data", train=6, test=3)
    for name in CLASSES[1:]:
        shutil.rmtree(data / "test" / name)
    found = clusters(data, recipe=small_recipe(tiny_model), cache=cache, permutations=5)
    assert [part.split for part in found.parts] == ["train"]
    assert "No values for the backbone features of the split 'test': Clusters are" in found.notes[0]


# What is written


@pytest.mark.slow
def test_tables_and_pictures(fitted: FitResult, cache: Path, tmp_path: Path) -> None:
    found = clusters(fitted.run, out=tmp_path / "out", cache=cache, permutations=5)
    assert {path.name for path in (tmp_path / "out").iterdir()} == FILES == {path.name for path in found.files}
    overall = read_table(tmp_path / "out" / "clusters.csv")
    values = [(part.layer, part.split, *item) for part in found.parts for item in part.quality.measures().items()]
    for row, (layer, split, name, measure) in zip(overall, values, strict=True):
        assert (row["layer"], row["split"], row["measure"]) == (layer, split, name)
        numbers = [
            float(row[column]) for column in ("value", "permuted_mean", "permuted_low", "permuted_high", "p_value")
        ]
        assert numbers == list(astuple(measure))
    classes = read_table(tmp_path / "out" / "classes.csv")
    assert [row["class"] for row in classes] == CLASSES * 4
    images = read_table(tmp_path / "out" / "per_image.csv")
    assert [row["path"] for row in images] == [name for part in found.parts for name in part.ids]
    silhouettes = [value for part in found.parts for value in part.quality.silhouettes]
    np.testing.assert_allclose([float(row["silhouette"]) for row in images], silhouettes, rtol=1e-5, atol=1e-12)
    assert all(row["nearest"] != row["class"] for row in images)
    with Image.open(tmp_path / "out" / "silhouette.png") as picture:
        assert picture.width > 1.5 * picture.height


def test_both_layers_of_a_run_are_measured_from_one_reading(
    fitted: FitResult, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    readings: list[Path] = []

    def read(path: Path) -> Run:
        readings.append(path)
        return read_run(path)

    monkeypatch.setattr("featx.runs.source.read_run", read)
    assert len(clusters(fitted.run, cache=cache, permutations=1).parts) == 4
    assert readings == [fitted.run]


def test_nothing_is_written_without_a_folder(fitted: FitResult, cache: Path) -> None:
    before = set(fitted.run.rglob("*"))
    assert clusters(fitted.run, cache=cache, permutations=5).files == ()
    assert set(fitted.run.rglob("*")) == before


def test_the_frame_is_the_table(fitted: FitResult, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pandas")
    found = clusters(fitted.run, layer="backbone", split="test", cache=cache, permutations=5)
    frame = found.to_frame()
    assert list(frame["measure"]) == list(found.main.quality.measures())
    assert frame.set_index("measure").loc["silhouette", "value"] == found.main.quality.silhouette.value
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(UsageError, match=r"pip install 'featx\[pandas\]'"):
        found.to_frame()


# The command line


def test_the_command_prints_json_of_the_same_numbers(fitted: FitResult, cache: Path, featx: Featx) -> None:
    options: dict[str, Any] = {"layer": "backbone", "split": "all", "by": "scanner"}
    options |= {"neighbours": 2, "permutations": 7, "sample": 20, "seed": 5, "cache": cache}
    words = [word for name, value in options.items() for word in (f"--{name}", value)]
    outcome = featx("clusters", fitted.run, *words, "--json", "--quiet")
    expected = clusters(fitted.run, **options).to_json()
    found = outcome.json
    assert outcome.code == 0
    assert {**found, "seconds": 0} == {**json.loads(json.dumps(files.finite(expected))), "seconds": 0}
    assert (found["by"], found["neighbours"], found["permuted"]["permutations"]) == ("scanner", 2, 7)


def test_the_command_prints_tables_for_people(
    fitted: FitResult, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, featx: Featx
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    outcome = featx("clusters", fitted.run, "--cache", cache, "--permutations", 7, "--out", tmp_path)
    found = clusters(fitted.run, cache=cache, permutations=7)
    out = outcome.out
    assert outcome.code == 0
    assert "24 images of 4 classes by label" in out
    (line,) = [line.split() for line in out.splitlines() if line.startswith("Silhouette")]
    expected = [part.quality.silhouette.value for part in found.parts]
    printed = [float(line[place].replace("\N{MINUS SIGN}", "-")) for place in (1, 4, 5, 6)]
    np.testing.assert_allclose(printed, expected, atol=5e-4)
    assert all(len(line) <= 80 for line in out.splitlines() if str(tmp_path) not in line)
    assert "was trained with the labels" in outcome.err
    assert all(str(tmp_path / name) in out for name in FILES)


def test_skipped_images_set_the_exit_code(tiny_model: Path, cache: Path, tmp_path: Path, featx: Featx) -> None:
    data = small_data(tmp_path / "data", train=6, test=3)
    (data / "train" / "covid" / "broken.png").write_bytes(b"")
    recipe = tmp_path / "small.toml"
    recipe.write_text(dump_recipe(small_recipe(tiny_model)), encoding="utf-8")
    words = ("clusters", data, "--cache", cache, "--recipe", recipe, "--permutations", 3)
    refused = featx(*words)
    assert (refused.code, refused.out) == (1, "")
    assert "broken.png is empty" in refused.err
    skipped = featx(*words, "--on-error", "skip", "--json")
    assert skipped.code == 3
    assert [row["path"] for row in skipped.json["failed"]] == ["train/covid/broken.png"]
    assert "1 skipped:" in featx(*words, "--on-error", "skip").out
