from __future__ import annotations

import ast
import json
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from doc_blocks import blocks_of, text_of
from onnx_networks import write_onnx, write_onnx_card
from pipeline_data import files_of, small_data, small_recipe

from featx.classifiers import compare, save_best
from featx.errors import FeatxError, UntrustedError, UsageError
from featx.exporting import Exported, export, onnx_file
from featx.exporting.classifying import head_probabilities
from featx.features import default_recipe
from featx.images import decode, resize
from featx.networks import load_keras
from featx.prediction import predict
from featx.recipes import load_recipe
from featx.runs import FitResult, fit_head

for package in ("onnx", "onnxruntime", "skl2onnx", "tf2onnx"):
    pytest.importorskip(package, reason=f"the package {package} is not installed")

# A program that has never heard of featx.
BARE = """
import json, sys
import numpy as np, onnxruntime
from PIL import Image
session = onnxruntime.InferenceSession(sys.argv[1])
classes = json.loads(session.get_modelmeta().custom_metadata_map["classes"])
found = {}
for path in sys.argv[2:]:
    pixels = np.asarray(Image.open(path).convert("RGB"))
    (row,) = session.run(["probabilities"], {"images": pixels[None]})[0].tolist()
    found[path] = dict(zip(classes, row))
assert not [name for name in sys.modules if name.split(".")[0] in ("featx", "keras", "tensorflow", "sklearn")]
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> FitResult:
    """A run in `run`, with its `data` and `cache` beside it."""
    root = tmp_path_factory.mktemp("exporting")
    small_data(root / "data", train=6, test=3, size=48)
    recipe = small_recipe(tiny_model, {"preprocess.mode": "featurewise", "images.resize": "bicubic"})
    return fit_head(root / "data", recipe, out=root / "run", cache=root / "cache")


def cache_of(fitted: FitResult) -> Path:
    return fitted.extraction.store.root


def data_of(fitted: FitResult) -> Path:
    return fitted.extraction.dataset.root


def check_bare(file: Path, model: Path, images: list[Path], cache: Path) -> None:
    """In a process that does not know featx, an ONNX file gives what `predict` gives."""
    command = [sys.executable, "-c", BARE, str(file), *map(str, images)]
    found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True, cwd=file.parent).stdout)
    expected = predict(model, images, cache=cache).rows
    assert len(expected) == len(images)
    for row in expected:
        assert found[row.path] == pytest.approx(row.probabilities, abs=1e-5)
    assert len({f"{row.probabilities[str(row.label)]:.3f}" for row in expected}) > len(images) / 3


def metadata(file: Path) -> dict[str, str]:
    import onnx

    return {entry.key: entry.value for entry in onnx.load(file).metadata_props}


@pytest.mark.slow
def test_an_onnx_file_gives_what_predict_gives_without_featx(fitted: FitResult, tmp_path: Path) -> None:
    result = export(fitted.run, tmp_path / "run.onnx", cache=cache_of(fitted))
    assert isinstance(result, Exported)
    assert result.checked == 12
    assert 0 <= result.largest_difference < 1e-5
    assert result.bytes == (tmp_path / "run.onnx").stat().st_size
    check_bare(result.file, fitted.run, files_of(data_of(fitted) / "test"), cache_of(fitted))
    about = metadata(result.file)
    assert json.loads(about["classes"]) == ["covid", "normal", "pneumonia_bac", "pneumonia_vir"]
    manifest = json.loads((fitted.run / "manifest.json").read_text())
    assert about["weights_sha256"] == manifest["weights"]["sha256"]
    assert about["head_sha256"] == manifest["head"]["sha256"]
    assert about["data_sha256"] == manifest["data"]["sha256"]
    assert 'resize = "bicubic"' in about["recipe"]
    # Where files were on the machine of the training is nobody's concern.
    assert str(Path(load_recipe(fitted.run / "recipe.toml").backbone.name).parent) not in " ".join(about.values())


@pytest.mark.slow
def test_a_keras_file_gives_what_predict_gives_in_plain_keras(fitted: FitResult, tmp_path: Path) -> None:
    result = export(fitted.run, tmp_path / "run.keras", cache=cache_of(fitted))
    assert result.checked == 12
    assert result.largest_difference < 1e-5
    images = files_of(data_of(fitted) / "test")
    pixels = np.stack([resize(decode(path.read_bytes(), path.name), 32, "bicubic") for path in images])
    keras = load_keras()
    found = keras.ops.convert_to_numpy(keras.models.load_model(result.file)(pixels))
    for row, one in zip(found, predict(fitted.run, images, cache=cache_of(fitted)).rows, strict=True):
        assert list(row) == pytest.approx(list(one.probabilities.values()), abs=1e-5)
    with zipfile.ZipFile(result.file) as archive:
        about = json.loads(archive.read("featx.json"))
    assert about["classes"] == list(one.probabilities)
    assert "32, 32" in about["input"]


@pytest.mark.slow
@pytest.mark.parametrize("ending", ["onnx", "keras"])
@pytest.mark.parametrize(
    "changes",
    [
        {"head.output": "sigmoid", "preprocess.mode": "rescale"},
        {"features.dtype": "float16", "images.fit": "crop", "images.resize_to": 40},
        {"backbone.cut": "conv_1", "backbone.pooling": "max", "preprocess.mode": "rescale"},
    ],
    ids=["sigmoid", "float16-crop", "cut"],
)
def test_other_recipes_are_exported(ending: str, changes: dict[str, Any], tiny_model: Path, tmp_path: Path) -> None:
    small_data(tmp_path / "data", train=6, test=3, size=48, classes=2)
    recipe = small_recipe(tiny_model, changes)
    run = fit_head(tmp_path / "data", recipe, out=tmp_path / "run", cache=tmp_path / "cache").run
    result = export(run, tmp_path / f"run.{ending}", cache=tmp_path / "cache")
    assert result.checked == 6
    assert result.largest_difference < 2e-5


@pytest.mark.slow
def test_the_network_in_the_box_is_exported_with_its_licence(tmp_path: Path) -> None:
    data = small_data(tmp_path / "data", train=4, test=2, size=80, classes=2)
    recipe = small_recipe(Path("x.keras")).replaced(
        {
            "backbone.name": "efficientnetlite0",
            "backbone.pooling": "avg",
            "images.size": 64,
            "preprocess.mode": "imagenet",
        }
    )
    run = fit_head(data, recipe, out=tmp_path / "run", cache=tmp_path / "cache").run
    result = export(run, tmp_path / "run.onnx", cache=tmp_path / "cache")
    assert result.largest_difference < 1e-4
    assert metadata(result.file)["licence"] == "Apache-2.0"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "changes"),
    [
        ({"output": "map"}, {"output.pooling": "avg", "input.colour": "bgr"}),
        ({"output": "tokens", "dtype": "FLOAT16"}, {"output.tokens": "cls+mean", "pixels.fit": "crop"}),
        ({"output": "both", "nhwc": True, "batch": 1}, {"output.name": "relu", "input.layout": "nhwc"}),
    ],
    ids=["map", "tokens", "several"],
)
def test_a_network_with_a_card_is_put_into_the_file(
    options: dict[str, Any], changes: dict[str, Any], tmp_path: Path
) -> None:
    (tmp_path / "network").mkdir()
    card = write_onnx_card(
        write_onnx(tmp_path / "network" / "small.onnx", **options), {"about": {"licence": "MIT"}, **changes}
    )
    data = small_data(tmp_path / "data", train=6, test=3, size=60)
    recipe = default_recipe(str(card)).replaced({"fit.epochs": 3, "fit.validation": 0.0})
    run = fit_head(data, recipe, out=tmp_path / "run", cache=tmp_path / "cache").run
    result = export(run, tmp_path / "run.onnx", cache=tmp_path / "cache")
    assert result.largest_difference < (2e-3 if "dtype" in options else 1e-5)
    assert metadata(result.file)["licence"] == "MIT"
    if "dtype" not in options:
        check_bare(result.file, run, files_of(data / "test"), tmp_path / "cache")
    assert ("one image at a time" in result.input) == ("batch" in options)
    assert metadata(result.file)["input"] == result.input
    with pytest.raises(UsageError, match=r'small is in the format onnx; use format="onnx"\.'):
        export(run, tmp_path / "run.keras", cache=tmp_path / "cache")


@pytest.mark.slow
@pytest.mark.slow
@pytest.mark.parametrize("ending", ["onnx", "keras"])
def test_a_head_of_several_members_is_exported(ending: str, fitted: FitResult, tmp_path: Path) -> None:
    """With a temperature, by which the logits of all members together are divided."""
    data = small_data(tmp_path / "data", train=20, test=3, size=48)
    run = fit_head(data, fitted.recipe, out=tmp_path / "run", cache=cache_of(fitted), seeds=3)
    assert run.calibration is not None
    assert run.calibration.fitted.temperature != 1
    result = export(run.run, tmp_path / f"run.{ending}", cache=cache_of(fitted))
    assert result.checked == 12
    assert result.largest_difference < 1e-5


@pytest.mark.parametrize("ending", ["onnx", "keras"])
def test_a_network_of_keras_that_takes_grey_images_is_exported(ending: str, tmp_path: Path) -> None:
    keras = load_keras()
    network = tmp_path / "grey.keras"
    keras.utils.set_random_seed(3)
    inputs = keras.Input((24, 24, 1))
    keras.Model(inputs, keras.layers.Conv2D(6, 8, strides=8, activation="relu")(inputs)).save(network)
    card = write_onnx_card(
        network,
        {
            "kind": "keras",
            "input": {"layout": "nhwc", "colour": "grey", "size": (24, 24)},
            "pixels.mean": (0.4,),
            "pixels.std": (0.2,),
        },
    )
    data = small_data(tmp_path / "data", train=6, test=3, size=60)
    recipe = default_recipe(str(card)).replaced({"fit.epochs": 3, "fit.validation": 0.0})
    run = fit_head(data, recipe, out=tmp_path / "run", cache=tmp_path / "cache").run
    assert export(run, tmp_path / f"run.{ending}", cache=tmp_path / "cache").largest_difference < 1e-5


@pytest.mark.slow
@pytest.mark.parametrize(("layer", "classifier"), [("backbone", "logreg"), ("penultimate", "lda")])
def test_a_saved_classifier_is_exported(layer: Any, classifier: str, fitted: FitResult, tmp_path: Path) -> None:
    comparison = compare(
        fitted.run, layer=layer, classifiers=[classifier], folds=3, repeats=1, cache=cache_of(fitted), jobs=1
    )
    saved = save_best(comparison, tmp_path / "saved")
    file = tmp_path / "saved.onnx"
    with pytest.raises(UsageError, match="name a folder or manifest of images with data"):
        export(saved, file, cache=cache_of(fitted))
    result = export(saved, file, data=data_of(fitted), cache=cache_of(fitted))
    assert result.checked == 12  # the test images
    assert result.largest_difference < 1e-5
    check_bare(file, saved, files_of(data_of(fitted) / "test"), cache_of(fitted))
    about = metadata(file)
    assert about["data_sha256"]
    assert ("head_sha256" in about) == (layer == "penultimate")
    with pytest.raises(UsageError, match="saved classifier of scikit-learn, which Keras cannot express"):
        export(saved, tmp_path / "saved.keras", cache=cache_of(fitted))


@pytest.mark.slow
def test_a_file_that_differs_from_predict_is_not_kept(
    fitted: FitResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def twice(graph: Any, rows: str, head: Any, *more: Any) -> str:
        return head_probabilities(graph, graph.add("Add", rows, rows), head, *more)

    monkeypatch.setattr(onnx_file, "head_probabilities", twice)
    with pytest.raises(UntrustedError, match=r"they differ on \d+ of 12 images") as caught:
        export(fitted.run, tmp_path / "run.onnx", cache=cache_of(fitted))
    assert caught.value.exit_code == 4
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_images_that_were_moved_are_named_again(fitted: FitResult, tmp_path: Path) -> None:
    copied = shutil.copytree(fitted.run, tmp_path / "run")
    manifest = json.loads((copied / "manifest.json").read_text())
    manifest["data"]["root"] = str(tmp_path / "gone")
    (copied / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(UsageError, match="gone, to check the file on them, but they are not there any more"):
        export(copied, tmp_path / "run.onnx", cache=cache_of(fitted))
    result = export(copied, tmp_path / "run.onnx", data=data_of(fitted) / "test" / "covid", cache=cache_of(fitted))
    assert result.checked == 3


@pytest.mark.parametrize(
    ("out", "chosen", "message"),
    [
        ("run.pb", None, r"ends in .onnx or .keras, received 'run.pb'"),
        ("run.keras", "onnx", r"ends in .onnx, received 'run.keras'"),
        ("run.onnx", "torch", "Expected onnx, keras or None for format, received 'torch'"),
    ],
)
def test_wrong_formats_are_refused_before_any_work(out: str, chosen: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=message):
        export(tmp_path / "no-run", tmp_path / out, format=chosen)


@pytest.mark.parametrize("ending", ["onnx", "keras"])
def test_a_network_is_not_replaced(ending: str, tiny_model: Path, tmp_path: Path) -> None:
    file = tmp_path / f"network.{ending}"
    if ending == "onnx":
        write_onnx(file)
    else:
        shutil.copy(tiny_model, file)
    before = file.read_bytes()
    with pytest.raises(UsageError, match=f"network.{ending}, found something else there"):
        export(tmp_path / "no-run", file)
    assert file.read_bytes() == before


def test_a_network_that_is_too_large_for_the_format_is_refused() -> None:
    from google.protobuf.message import EncodeError

    class TooLarge:
        def SerializeToString(self) -> bytes:  # noqa: N802 - as in Protocol Buffers
            raise EncodeError("Failed to serialize proto")  # what it says of more than 2 GB

    with pytest.raises(UsageError, match=r"at most 2 GB together.*--pooling avg"):
        onnx_file._serialised(TooLarge())


def test_half_precision_is_refused(fitted: FitResult, tmp_path: Path) -> None:
    copied = shutil.copytree(fitted.run, tmp_path / "run")
    recipe = copied / "recipe.toml"
    recipe.write_text(recipe.read_text().replace('precision = "float32"', 'precision = "mixed"'))
    with pytest.raises(UsageError, match='train again with precision="float32"'):
        export(copied, tmp_path / "run.keras", cache=cache_of(fitted))


def test_missing_packages_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(onnx_file, "find_spec", lambda name: None if name == "skl2onnx" else name)
    with pytest.raises(UsageError, match=r"the package skl2onnx .* pip install 'featx\[onnx\]'"):
        export(tmp_path / "no-run", tmp_path / "run.onnx")


def test_what_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FeatxError, match="does not exist"):
        export(tmp_path / "no-run", tmp_path / "run.keras")


@pytest.mark.slow
def test_the_documentation_reads_a_file_as_it_is(
    fitted: FitResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    export(fitted.run, tmp_path / "model.onnx", cache=cache_of(fitted))
    export(fitted.run, tmp_path / "model.keras", cache=cache_of(fitted))
    image = files_of(data_of(fitted) / "test")[0]
    shutil.copy(image, tmp_path / "xray.png")
    monkeypatch.chdir(tmp_path)
    first, second, third = (block.body for block in blocks_of(text_of("export.md")) if block.language == "python")
    names: dict[str, Any] = {}
    exec(first, names)
    (expected,) = predict(fitted.run, [image], cache=cache_of(fitted)).rows
    assert ast.literal_eval(capsys.readouterr().out) == pytest.approx(expected.probabilities, abs=1e-5)
    values = list(expected.probabilities.values())
    pytest.importorskip("openvino", reason="the package openvino is not installed")
    del names["probabilities"]
    exec(second, names)
    assert names["probabilities"][0] == pytest.approx(values, abs=1e-3)  # it computes pixels in single precision
    classes = names.pop("classes")
    exec(third, names)
    assert names["classes"] == classes
