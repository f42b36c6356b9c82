"""The command line as its users and scripts see it: real files in, exit codes, JSON and sentences out."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from command_line import Featx
from pipeline_data import files_of, small_data, small_recipe, write_model

from featx.cli import main
from featx.recipes import dump_recipe
from featx.store import stat_cache


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_data(tmp_path_factory.mktemp("cli") / "data", train=6, test=2)


@pytest.fixture
def recipe(tiny_model: Path, tmp_path: Path) -> Path:
    path = tmp_path / "small.toml"
    path.write_text(dump_recipe(small_recipe(tiny_model)), encoding="utf-8")
    return path


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def extract(featx: Featx, data: Path, recipe: Path, cache: Path) -> Featx:
    """Run `featx extract` on the data, with more options."""
    return partial(featx, "extract", data, "--recipe", recipe, "--cache", cache)


def test_extract_prints_the_json_of_the_contract_and_nothing_else(extract: Featx) -> None:
    first = extract("--views", 2, "--json")
    assert first.code == 0
    assert set(first.json) == {
        "images", "rows", "computed", "reused", "failed", "feature_set", "dim", "seconds", "images_per_second",
        "engine", "splits",
    }  # fmt: skip
    assert (first.json["images"], first.json["rows"], first.json["computed"]) == (32, 2 * 24 + 8, 56)
    second = extract("--views", 2, "--json").json
    assert (second["computed"], second["reused"], second["failed"]) == (0, 56, [])
    assert second["feature_set"] == first.json["feature_set"]
    assert list(Path.cwd().iterdir()) == []


def test_extract_prints_text_for_people(extract: Featx) -> None:
    said = extract()
    assert "32 images, 32 rows of" in said.out
    assert "32 computed, 0 reused" in said.out
    assert said.err == (
        "Data: 32 images, 4 classes; train: covid 6, normal 6, pneumonia_bac 6, pneumonia_vir 6; test: covid 2, "
        "normal 2, pneumonia_bac 2, pneumonia_vir 2.\n"
    )


def test_the_cache_is_a_folder_named_cache_unless_another_is_given(
    featx: Featx, data: Path, recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert featx("extract", data, "--recipe", recipe).code == 0
    assert [path.name for path in Path.cwd().iterdir()] == ["cache"]
    monkeypatch.setenv("FEATX_CACHE", str(tmp_path / "elsewhere"))
    assert featx("extract", data, "--recipe", recipe, "--json").json["computed"] == 32
    assert (tmp_path / "elsewhere" / "features").is_dir()


@pytest.mark.parametrize(
    ("words", "field", "value"),
    [
        (["--size", "40"], ("images", "size"), 40),
        (["--size", "40x24"], ("images", "size"), 40),
        (["--size", "40x24"], ("images", "width"), 24),
        (["--pooling", "avg"], ("backbone", "pooling"), "avg"),
        (["--preprocess", "featurewise"], ("preprocess", "rule"), "featurewise"),
        (["--dtype", "float16"], ("dtype",), "float16"),
        (["--cut", "conv_1"], ("backbone", "cut"), "conv_1"),
    ],
)
def test_flags_override_the_recipe_field(
    featx: Featx, data: Path, cache: Path, tmp_path: Path, words: list[str], field: tuple[str, ...], value: object
) -> None:
    model = write_model(tmp_path / "any.keras", size=None)
    found = featx("extract", data, "--backbone", model, "--size", "32", "--cache", cache, "--json", *words).json
    space = json.loads((cache / "features" / found["feature_set"] / "space.json").read_text("utf-8"))
    for name in field:
        space = space.get("description", space)[name]
    assert space == value


def test_a_size_of_0_is_refused_and_not_taken_for_none(featx: Featx, data: Path) -> None:
    refused = featx("clusters", data, "--size", "0")
    assert (refused.code, "images.size" in refused.err) == (2, True)


@pytest.mark.parametrize("size", ["x", "32x", "32x32x3", "-32", "32.5", "32 x 32", ""])
def test_a_size_that_is_no_size_is_refused(featx: Featx, data: Path, size: str) -> None:
    refused = featx("extract", data, "--size", size)
    assert (refused.code, "HEIGHTxWIDTH, such as 224 or 480x640" in refused.err) == (2, True)


def test_export_writes_what_numpy_reads(extract: Featx, tmp_path: Path) -> None:
    file = tmp_path / "rows.npz"
    found = extract("--export", file, "--json").json
    with np.load(file, allow_pickle=False) as rows:
        assert rows["X"].shape == (32, found["dim"])
        assert sorted(set(rows["label"])) == ["covid", "normal", "pneumonia_bac", "pneumonia_vir"]
    refused = extract("--export", tmp_path / "rows.xyz")
    assert refused.code == 2
    assert ".npz, .parquet or .csv" in refused.err


def test_a_broken_image_fails_by_default_and_is_skipped_on_request(
    featx: Featx, recipe: Path, cache: Path, tmp_path: Path
) -> None:
    data = small_data(tmp_path / "broken", train=3, test=1)
    (data / "train" / "normal" / "zz broken ü.png").write_bytes(b"no picture")
    extract = partial(featx, "extract", data, "--recipe", recipe, "--cache", cache)
    failed = extract()
    assert failed.code == 1
    assert failed.err.count("\n") == 2  # what the data hold, and the error
    assert "train/normal/zz broken ü.png" in failed.err
    assert "--on-error skip" in failed.err
    skipped = extract("--on-error", "skip", "--json")
    assert skipped.code == 3
    assert [row["path"] for row in skipped.json["failed"]] == ["train/normal/zz broken ü.png"]
    assert skipped.json["rows"] == 16
    as_text = extract("--on-error", "skip")
    assert (as_text.code, "1 skipped:" in as_text.out) == (3, True)


@pytest.mark.slow
def test_fit_head_predict_and_visualize_work_from_end_to_end(
    featx: Featx, data: Path, recipe: Path, cache: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    fitted = featx("fit-head", data, "--recipe", recipe, "--out", run, "--cache", cache, "--seed", 3, "--json")
    assert fitted.code == 0
    assert {
        "run", "epochs", "batch_size", "steps", "train", "validation", "test", "parameters", "seconds", "engine",
    } <= set(fitted.json)  # fmt: skip
    assert set(fitted.json["test"]) == {"n", "correct", "accuracy", "interval", "loss"}
    assert (fitted.json["test"]["n"], fitted.json["steps"]) == (8, 2)
    assert set(fitted.json["parameters"]) == {"total", "trainable", "non_trainable"}
    assert {path.name for path in run.iterdir()} == {
        "head.keras", "recipe.toml", "manifest.json", "metrics.json", "history.csv", "predictions.csv", "curves.png",
        "confusion.png",
    }  # fmt: skip

    tests = files_of(data / "test")
    table = tmp_path / "predictions.csv"
    assert featx("predict", run, tests[0], "--out", table, "--cache", cache).code == 0
    predicted = featx("predict", run, *tests, "--out", table, "--cache", cache, "--json").json["predictions"]
    assert len(predicted) == len(tests)
    assert {frozenset(row) for row in predicted} == {frozenset({"path", "label", "probabilities", "typicality"})}
    right = sum(row["label"] == Path(row["path"]).parent.name for row in predicted)
    assert right == fitted.json["test"]["correct"]
    assert all(abs(sum(row["probabilities"].values()) - 1) < 1e-6 for row in predicted)
    assert len(table.read_text("utf-8").splitlines()) == 1 + len(tests)

    drawn = featx("visualize", run, "--out", tmp_path / "maps", "--cache", cache, "--json").json
    assert {"files", "method", "n", "seconds", "trustworthiness", "stability", "silhouette", "added"} <= set(drawn)
    assert (drawn["n"], drawn["added"]) == (24, 0)
    assert {Path(file).suffix for file in drawn["files"]} == {".png", ".svg", ".html", ".csv"}
    assert all(Path(file).stat().st_size > 0 for file in drawn["files"])
    placed = featx(
        "visualize", run, "--method", "pca", "--add-split", "test", "--add", tests[0], "--add", tests[1],
        "--format", "csv", "--format", "svg", "--out", tmp_path / "placed", "--cache", cache,
    )  # fmt: skip
    assert "24 images and 10 placed on it by PCA" in placed.out
    assert "Trustworthiness 0." in placed.out
    names = {path.name for path in (tmp_path / "placed").iterdir()}
    stem = "pca-penultimate-train"
    assert names == {f"{stem}.npz", f"{stem}-added.csv", f"{stem}-added.svg"}
    assert list(Path.cwd().iterdir()) == []


@pytest.mark.slow
def test_fit_head_prints_accuracies_with_counts_and_intervals(
    featx: Featx, data: Path, recipe: Path, cache: Path, tmp_path: Path
) -> None:
    said = featx(
        "fit-head", data, "--recipe", recipe, "--out", tmp_path / "r", "--cache", cache,
        "--epochs", 2, "--batch-size", 5, "--learning-rate", 0.01, "--validation", 0.5, "--views", 2,
    )  # fmt: skip
    assert "2 epochs of 3 steps" in said.out
    assert "/8 = " in said.out
    assert "/12 = " in said.out
    recipe_text = (tmp_path / "r" / "recipe.toml").read_text("utf-8")
    assert "learning_rate = 0.01" in recipe_text
    assert "count = 2" in recipe_text


def test_predict_refuses_other_weights_with_exit_4(
    featx: Featx, data: Path, recipe: Path, cache: Path, tmp_path: Path, tiny_model: Path
) -> None:
    own = tmp_path / "own.keras"
    own.write_bytes(tiny_model.read_bytes())
    text = recipe.read_text("utf-8").replace(str(tiny_model), str(own))
    recipe.write_text(text, encoding="utf-8")
    run = tmp_path / "run"
    assert featx("fit-head", data, "--recipe", recipe, "--out", run, "--cache", cache, "--epochs", 1).code == 0
    own.write_bytes(own.read_bytes() + b"\0")
    refused = featx("predict", run, data / "test", "--cache", cache)
    assert refused.code == 4
    assert refused.err.count("\n") == 1
    assert "SHA-256" in refused.err


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["extract", "nowhere"], 1, "nowhere"),
        (["extract", "nowhere", "--recipe", "covid4-vgg61"], 2, "did you mean covid4-vgg16?"),
        (["extract", "nowhere", "--backbone", "mobilenet"], 2, "did you mean mobilenetv2?"),
        (["extract", "nowhere", "--backbone", "vgg16", "--recipe", "covid4-vgg16"], 2, "received both"),
        (["extract", "nowhere", "--views", "0"], 2, "views.count"),
        (["extract", "nowhere", "--colour", "red"], 2, "No such option"),
        (["fit-head", "nowhere", "--recipe", "covid4-vgg16"], 2, "--out"),
        (["fit-head", "nowhere", "--recipe", "missing.toml", "--out", "run"], 1, "missing.toml"),
        (["sweep", "nowhere", "--out", "sweep"], 2, "such as --batch-size 8,16"),
        (["predict", "nowhere", "x.png"], 1, "does not exist"),
        (["visualize", "nowhere"], 1, "nowhere"),
        (["visualize", "."], 2, "pass one with --out"),
        (["visualize", ".", "--out", "m", "--format", "png,pdf"], 2, "received 'pdf'"),
        (["visualize", ".", "--out", "m", "--method", "umap", "--perplexity", "5"], 2, "with --method tsne"),
        (["visualize", ".", "--out", "m", "--neighbours", "5"], 2, "with --method umap"),
        (["visualize", ".", "--out", "m", "--neighbors", "5"], 2, "with --method umap"),
        (["visualize", ".", "--out", "m", "--layer", "penultimate"], 2, "is not a run"),
        (["visualize", ".", "--method", "isomap"], 2, "isomap"),
        (["recipes", "show", "covid"], 2, "No recipe"),
        (["cache", "explain", "x.png"], 2, "Expected one of"),
        (["cache", "explain", "x.png", "--backbone", "vgg16"], 1, "x.png"),
        (["cache", "explain", "x.png", "--run", "run", "--weights", "random"], 2, "leave --weights out"),
        (["cache", "gc", "--drop", "abc"], 2, "abc"),
    ],
)
def test_wrong_input_is_one_sentence_and_the_right_exit_code(
    featx: Featx, words: list[str], code: int, said: str
) -> None:
    found = featx(*words)
    assert found.code == code
    assert said in found.err
    assert "Traceback" not in found.err
    assert found.out == ""
    assert list(Path.cwd().iterdir()) == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["extract", "x" * 5000], "that none can have"),
        (["fit-head", "data", "--recipe", "covid4-vgg16", "--out", "x" * 300], "that none can have"),
        (["report", "run", "--out", "image.png"], "something else there"),
        (["predict", "run", "image.png", "--out", "image.png"], "something else there"),
        (["predict", "run", "image.png", "--out", "manifest.csv"], "something else there"),
        (["predict", "run", "image.png", "--out", "."], "something else there"),
        (["predict", "run", "image.png", "--out", "/dev/null"], "something else there"),
    ],
)
def test_a_result_does_not_take_the_place_of_other_files(featx: Featx, words: list[str], said: str) -> None:
    kept = {"image.png": b"an image", "manifest.csv": b"path,label\nimage.png,a\n"}
    for name, content in kept.items():
        Path(name).write_bytes(content)
    refused = featx(*words)
    assert (refused.code, refused.out) == (2, "")
    assert said in refused.err
    assert {path.name: path.read_bytes() for path in Path.cwd().iterdir()} == kept


def test_debug_shows_the_traceback(featx: Featx, monkeypatch: pytest.MonkeyPatch) -> None:
    from featx.errors import DataError

    monkeypatch.setattr(sys, "argv", ["featx", "extract", "nowhere", "--debug"])
    with pytest.raises(DataError):
        main()


def test_recipes_are_listed_and_shown_as_toml_that_can_be_used(featx: Featx, tmp_path: Path) -> None:
    listed = featx("recipes", "list", "--json").json["recipes"]
    assert {"covid2-vgg16", "covid4-vgg16", "covid4-resnet50v2", "covid4-vgg16-asrun"} <= {
        row["name"] for row in listed
    }
    copy = tmp_path / "mine.toml"
    copy.write_text(featx("recipes", "show", "covid4-vgg16").out.replace("rate = 0.4", "rate = 0.5"), "utf-8")
    shown = featx("recipes", "show", copy, "--json").json
    assert shown["head"]["layers"][0] == {"type": "dropout", "rate": 0.5}
    assert featx("recipes", "list").out.count("\n") >= len(listed)


def test_cache_commands_inform_verify_explain_and_clean(
    featx: Featx, extract: Featx, data: Path, recipe: Path, cache: Path
) -> None:
    feature_set = extract("--json").json["feature_set"]
    space = cache / "features" / feature_set
    info = featx("cache", "info", "--cache", cache, "--json").json
    assert info["rows"] == 32
    # Beside them, the bit depths of the images.
    assert {space["id"]: space["rows"] for space in info["spaces"]}[feature_set] == 32
    shown = featx("cache", "info", "--cache", cache).out
    assert "32 rows" in shown
    assert "bit depths of images" in shown
    image = files_of(data)[0]
    assert "is stored" in featx("cache", "explain", image, "--recipe", recipe, "--cache", cache).out

    shard = next(space.glob("*.arrow"))
    damaged = bytearray(shard.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    shard.write_bytes(damaged)
    verified = featx("cache", "verify", "--cache", cache, "--json").json
    assert [Path(name).name for name in verified["damaged"]] == [shard.name]
    assert extract("--json").json["computed"] == 32
    assert "1 damaged files" in featx("cache", "gc", "--cache", cache).out
    assert featx("cache", "gc", "--drop", feature_set[:8], "--cache", cache).code == 0
    assert featx("cache", "info", "--cache", cache, "--json").json["rows"] == 0


def test_cache_commands_count_the_stat_cache(
    featx: Featx, data: Path, recipe: Path, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = Path(shutil.copytree(data, tmp_path / "data"))
    monkeypatch.setattr(stat_cache, "now_ns", lambda: time.time_ns() + 3600 * 10**9)  # the files are old
    featx("extract", data, "--recipe", recipe, "--cache", cache)
    assert f"{len(files_of(data))} image files in the stat cache" in featx("cache", "info", "--cache", cache).out
    files_of(data)[0].unlink()
    assert "1 deleted images forgotten" in featx("cache", "gc", "--cache", cache).out


def test_notices_are_silent_with_quiet(featx: Featx, recipe: Path, cache: Path, tmp_path: Path) -> None:
    data = small_data(tmp_path / "noted", train=2, test=1)
    (data / "notes.txt").write_text("not an image")
    loud = featx("extract", data, "--recipe", recipe, "--cache", cache)
    assert "notes.txt" in loud.err
    assert featx("extract", data, "--recipe", recipe, "--cache", cache, "-q").err == ""


def test_version_and_help(featx: Featx) -> None:
    from featx import __version__

    assert featx("--version").out == f"featx {__version__}\n"
    helped = featx("-h").out
    assert all(verb in helped for verb in ("extract", "fit-head", "predict", "visualize", "demo", "recipes", "cache"))
    assert featx("fit-head", "-h").code == 0


@pytest.mark.slow
def test_an_unexpected_error_is_one_line_without_debug(tmp_path: Path) -> None:
    script = (
        "import featx.recipes.files as r, sys\n"
        "def broken(*a): raise RuntimeError('boom')\n"
        "r.recipe_names = broken\n"
        "from featx.cli import main\n"
        "sys.argv = ['featx', 'recipes', 'list'] + sys.argv[1:]\n"
        "main()\n"
    )
    command = [sys.executable, "-c", script]
    plain = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False, env=dict(os.environ))
    assert (plain.returncode, plain.stdout, plain.stderr.count("\n")) == (1, "", 1)
    assert "RuntimeError: boom" in plain.stderr
    debug = subprocess.run([*command, "--debug"], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert "Traceback" in debug.stderr


def test_weights_are_chosen_for_the_backbone_they_name() -> None:
    from featx.cli.options import weights_for

    assert weights_for("vgg16", None) is None
    assert weights_for("vgg16", ["random"]) == "random"
    assert weights_for("vgg16", ["random", "VGG16=own.h5", "vgg19=other.h5"]) == "own.h5"
    assert weights_for("resnet50v2", ["vgg16=own.h5"]) is None
    assert weights_for("vgg16", ["random", "fold=1/own.h5"]) == "fold=1/own.h5"
    assert weights_for(str(Path("own.keras").absolute()), ["own.keras=moved.keras", "vgg16=own.h5"]) == "moved.keras"
