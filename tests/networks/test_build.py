"""Which engine runs the network, and what of it is kept."""

from __future__ import annotations

import json
import logging
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pipeline_data import SIZE, expected_rows, resized, small_data, small_recipe

from featx.errors import EngineError, UsageError
from featx.features import Extraction, default_recipe, extract
from featx.networks import build as networks
from featx.networks import engines, framework
from featx.networks.engines import chosen_engine
from featx.networks.framework import has_openvino, load_keras
from featx.recipes import Recipe

N = 6
needs_openvino = pytest.mark.skipif(not has_openvino(), reason="the package openvino is not installed")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_data(tmp_path_factory.mktemp("networks") / "data", train=2, test=1, classes=2)


@pytest.fixture
def recipe(tiny_model: Path) -> Recipe:
    return small_recipe(tiny_model)


@pytest.fixture
def no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "gpu_is_there", lambda: False)


def check_rows(found: Extraction, model: Path) -> None:
    table = found.table()
    expected = expected_rows(model, [resized(found.dataset.root / name) for name in table.ids])
    np.testing.assert_allclose(table.X, expected, rtol=1e-4, atol=1e-5)


# The choice


@pytest.mark.parametrize(
    ("installed", "gpu", "engine"), [(True, False, "openvino"), (True, True, "keras"), (False, False, "keras")]
)
def test_auto(installed: bool, gpu: bool, engine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "has_openvino", lambda: installed)
    monkeypatch.setattr(engines, "gpu_is_there", lambda: gpu)
    assert chosen_engine("auto") == engine
    assert chosen_engine("keras") == "keras"


def test_mixed_precision_is_for_keras(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "has_openvino", lambda: True)
    monkeypatch.setattr(engines, "gpu_is_there", lambda: False)
    assert chosen_engine("auto", "mixed") == "keras"
    assert chosen_engine("keras", "mixed") == "keras"
    with pytest.raises(UsageError, match="--precision float32"):
        chosen_engine("openvino", "mixed")


@pytest.mark.slow
def test_rows_of_mixed_precision_are_kept_apart(data: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    spec = default_recipe("mobilenetv2").replaced({"backbone.weights": "random", "images.size": SIZE})
    mixed = spec.replaced({"backbone.precision": "mixed"})
    one = extract(data, spec, cache=tmp_path / "cache", engine="keras")
    two = extract(data, mixed, cache=tmp_path / "cache")
    assert (one.computed, two.computed, two.engine) == (N, N, "keras")
    assert two.space.plain.description["numerics"] == "mixed_float16"
    assert "so it is slower" in caplog.text
    assert extract(data, mixed, cache=tmp_path / "cache").computed == 0
    difference = np.abs(one.table().X - two.table().X).max()
    assert 0 < difference < 0.05 * np.abs(one.table().X).max()


def test_an_engine_that_is_not_installed(
    data: Path, tmp_path: Path, recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines, "has_openvino", lambda: False)
    with pytest.raises(UsageError, match=r"pip install openvino") as caught:
        extract(data, recipe, cache=tmp_path / "cache", engine="openvino")
    assert caught.value.exit_code == 2
    assert not (tmp_path / "cache").exists()
    found = extract(data, recipe, cache=tmp_path / "cache")
    assert (found.computed, found.engine) == (N, "keras")


@needs_openvino
def test_a_gpu_that_tensorflow_does_not_see_is_said_where_it_costs_time(
    data: Path, tmp_path: Path, recipe: Recipe, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for module in (networks, engines):
        monkeypatch.setattr(module, "gpu_is_there", lambda: True)
    assert extract(data, recipe, cache=tmp_path / "cache").engine == "keras"
    assert caplog.text.count("TensorFlow does not see the GPU (featx doctor says why)") == 1
    caplog.clear()
    extract(data, recipe, cache=tmp_path / "other", engine="keras")
    assert "GPU" not in caplog.text


def test_a_gpu_is_noticed_by_its_device_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(framework, "GPU_DEVICES", (str(tmp_path / "nvidia0"),))
    assert not framework.gpu_is_there()
    (tmp_path / "nvidia0").touch()
    assert framework.gpu_is_there()
    for hidden in ("", "-1"):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", hidden)
        assert not framework.gpu_is_there()
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    assert framework.gpu_is_there()


# The rows


@needs_openvino
def test_both_engines_share_their_rows(data: Path, tmp_path: Path, recipe: Recipe, tiny_model: Path) -> None:
    by_keras = extract(data, recipe, cache=tmp_path / "cache", engine="keras")
    again = extract(data, recipe, cache=tmp_path / "cache", engine="openvino")
    assert (by_keras.engine, again.engine, again.computed) == ("keras", "openvino", 0)
    by_openvino = extract(data, recipe, cache=tmp_path / "other", engine="openvino", batch_size=4)
    assert (by_openvino.engine, by_openvino.computed) == ("openvino", N)
    assert by_openvino.parameters == by_keras.parameters
    check_rows(by_keras, tiny_model)
    check_rows(by_openvino, tiny_model)


@needs_openvino
@pytest.mark.usefixtures("no_gpu")
def test_a_network_is_converted_once(
    data: Path, tmp_path: Path, recipe: Recipe, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = tmp_path / "cache"
    extract(data, recipe, cache=cache)
    shutil.rmtree(cache / "features")
    monkeypatch.delattr(networks, "KerasNetwork")
    # Other sizes of batches are compiled from the same conversion.
    for batch_size in (None, 4):
        found = extract(data, recipe, cache=cache, batch_size=batch_size)
        assert (found.engine, found.computed) == ("openvino", N)
        check_rows(found, tiny_model)
        shutil.rmtree(cache / "features")
    with pytest.raises(NameError, match="KerasNetwork"):
        extract(data, recipe.replaced({"backbone.cut": "conv_1"}), cache=cache)


@needs_openvino
@pytest.mark.usefixtures("no_gpu")
@pytest.mark.parametrize("pattern", ["openvino/*/*.xml", "openvino/*/*.bin", "openvino/*/compiled/*.blob"])
def test_damage_is_told_and_mended(
    pattern: str, data: Path, tmp_path: Path, recipe: Recipe, tiny_model: Path, caplog: pytest.LogCaptureFixture
) -> None:
    cache = tmp_path / "cache"
    extract(data, recipe, cache=cache)
    shutil.rmtree(cache / "features")
    (path,) = cache.glob(pattern)
    content = bytearray(path.read_bytes())
    content[-20] ^= 0x40
    path.write_bytes(content)
    found = extract(data, recipe, cache=cache)
    assert (found.engine, found.computed) == ("openvino", N)
    assert caplog.text.count("does not match its checksum") == 1
    check_rows(found, tiny_model)
    shutil.rmtree(cache / "features")
    caplog.clear()
    check_rows(extract(data, recipe, cache=cache), tiny_model)
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


@needs_openvino
@pytest.mark.usefixtures("no_gpu")
def test_files_of_another_version_are_made_again(
    data: Path, tmp_path: Path, recipe: Recipe, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def other_version(_: Any, target: Path) -> None:
        target.write_text("<net name='other' version='99'/>")
        target.with_suffix(".bin").write_bytes(b"")

    cache = tmp_path / "cache"
    with monkeypatch.context() as patch:
        patch.setattr(networks, "convert", other_version)
        assert extract(data, recipe, cache=cache).engine == "keras"
    shutil.rmtree(cache / "features")
    found = extract(data, recipe, cache=cache)
    assert (found.engine, found.computed) == ("openvino", N)
    check_rows(found, tiny_model)


@needs_openvino
@pytest.mark.usefixtures("no_gpu")
def test_a_network_that_openvino_cannot_run(
    data: Path, tmp_path: Path, recipe: Recipe, caplog: pytest.LogCaptureFixture
) -> None:
    keras = load_keras()
    inputs = keras.Input((SIZE, SIZE, 3))
    # TensorFlow has an operation for this resampling, and OpenVINO's converter none.
    x = keras.layers.Resizing(16, 16, interpolation="lanczos3")(inputs)
    keras.Model(inputs, keras.layers.Flatten()(x)).save(tmp_path / "own.keras")
    own = recipe.replaced({"backbone.name": str(tmp_path / "own.keras")})
    with pytest.raises(EngineError, match=r"own\.keras cannot be converted: .*engine keras") as caught:
        extract(data, own, cache=tmp_path / "cache", engine="openvino")
    assert caught.value.exit_code == 1
    assert "\n" not in str(caught.value)
    caplog.set_level("INFO", "featx")
    found = extract(data, own, cache=tmp_path / "cache")
    assert (found.engine, found.to_json()["engine"], found.computed) == ("keras", "keras", N)
    assert "Keras runs the network, because OpenVINO does not" in caplog.text
    check_rows(found, tmp_path / "own.keras")


# Without TensorFlow

WARM = """
import json, sys
from featx import extract
from featx.recipes import load_recipe

found = extract(sys.argv[1], sys.argv[2], cache=sys.argv[3], engine="openvino")
print(json.dumps([found.computed, sorted({"tensorflow", "keras", "openvino"} & set(sys.modules))]))
"""


@needs_openvino
def test_a_warm_extraction_starts_no_tensorflow(data: Path, tmp_path: Path, tiny_model: Path) -> None:
    text = f'[images]\nsize = {SIZE}\n[preprocess]\nmode = "rescale"\n[backbone]\nname = "{tiny_model}"\n'
    (tmp_path / "mine.toml").write_text(text)
    arguments = [str(data), str(tmp_path / "mine.toml"), str(tmp_path / "cache")]
    extract(arguments[0], arguments[1], cache=arguments[2], engine="openvino")
    shutil.rmtree(tmp_path / "cache" / "features")
    run = subprocess.run([sys.executable, "-c", WARM, *arguments], check=True, capture_output=True, text=True)
    assert json.loads(run.stdout) == [N, ["openvino"]]
