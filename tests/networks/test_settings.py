"""Nothing that users set in Keras or TensorFlow moves a row or its key, and all of it is there afterwards."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from network_data import keras_network, some_pixels
from pipeline_data import small_data

from featx.errors import EngineError
from featx.networks.framework import HALF_PRECISION, load_keras, plain_keras
from featx.recipes import DenseLayer, HeadPart

SCRIPT = """
import json, sys, hashlib
import featx
found = featx.extract(sys.argv[1], featx.load_recipe(sys.argv[2]), cache=sys.argv[3], engine=sys.argv[4])
rows = found.table().X
print(json.dumps([found.space.plain.id, hashlib.sha256(rows.tobytes()).hexdigest(), list(rows.shape)]))
"""
# What a user may have set; the first is nothing.
SETTINGS: dict[str, tuple[dict[str, Any], dict[str, str]]] = {
    "nothing": ({}, {}),
    "channels_first": ({"image_data_format": "channels_first"}, {}),
    "float16": ({"floatx": "float16"}, {}),
    "float64": ({"floatx": "float64"}, {}),
    "epsilon": ({"epsilon": 0.1}, {}),
    "another backend in the file": ({"backend": "jax"}, {}),
    "another backend": ({}, {"KERAS_BACKEND": "jax"}),
    "no backend of that name": ({}, {"KERAS_BACKEND": "abacus"}),
    "the older Keras": ({}, {"TF_USE_LEGACY_KERAS": "1"}),
}


def by_calls(keras: Any) -> dict[str, Any]:
    """What a program may set by calls, as functions that set it."""
    import tensorflow as tf

    return {
        "channels_first": lambda: keras.config.set_image_data_format("channels_first"),
        "float16": lambda: keras.config.set_floatx("float16"),
        "float64": lambda: keras.config.set_floatx("float64"),
        "a policy": lambda: keras.config.set_dtype_policy("mixed_bfloat16"),
        "epsilon": lambda: keras.config.set_epsilon(0.1),
        "eager functions": lambda: tf.config.run_functions_eagerly(True),
        "compiled graphs": lambda: tf.config.optimizer.set_jit(True),
        "half precision": lambda: tf.config.optimizer.set_experimental_options(dict.fromkeys(HALF_PRECISION, True)),
        "progress bars": keras.config.disable_interactive_logging,
    }


def state(keras: Any) -> list[Any]:
    import tensorflow as tf

    return [
        *(keras.config.image_data_format(), keras.config.floatx(), keras.config.epsilon()),
        *(keras.config.dtype_policy().name, keras.config.is_interactive_logging_enabled()),
        *(tf.config.functions_run_eagerly(), tf.config.optimizer.get_jit()),
        tf.config.experimental.tensor_float_32_execution_enabled(),
        tf.config.optimizer.get_experimental_options(),
    ]


@pytest.fixture
def as_before() -> Iterator[None]:
    import tensorflow as tf

    keras = load_keras()
    yield
    keras.config.set_image_data_format("channels_last")
    keras.config.set_floatx("float32")
    keras.config.set_epsilon(1e-7)
    keras.config.set_dtype_policy("float32")
    keras.config.enable_interactive_logging()
    tf.config.run_functions_eagerly(False)
    tf.config.optimizer.set_jit(False)
    tf.config.optimizer.set_experimental_options(dict.fromkeys(HALF_PRECISION))


@pytest.fixture(scope="module")
def normalising(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network of which each setting would move the rows: a map, a normalisation, and lengths of 1."""
    path = tmp_path_factory.mktemp("networks") / "map.keras"
    with plain_keras() as keras:
        layers = keras.layers
        x = inputs = keras.Input((32, 32, 3))
        x = layers.Conv2D(8, 3, strides=2, activation="relu", kernel_initializer=keras.initializers.HeNormal(1))(x)
        x = layers.UnitNormalization()(x)
        keras.Model(inputs, layers.Conv2D(6, 3, kernel_initializer=keras.initializers.HeNormal(2))(x)).save(path)
    return path


NAMES = ["channels_first", "float16", "float64", "a policy", "epsilon", "eager functions", "compiled graphs"]
NAMES += ["half precision"]


@pytest.mark.usefixtures("as_before")
@pytest.mark.parametrize("name", [*NAMES, "progress bars"])
def test_what_a_program_has_set_moves_no_row_and_stays(name: str, normalising: Path) -> None:
    keras, pixels = load_keras(), some_pixels()
    expected = keras_network(str(normalising), pooling="avg").rows(pixels)
    by_calls(keras)[name]()
    before = state(keras)
    network = keras_network(str(normalising), pooling="avg")
    np.testing.assert_array_equal(network.rows(pixels), expected)
    assert state(keras) == before
    assert network.width == 6


@pytest.mark.usefixtures("as_before")
@pytest.mark.parametrize("name", NAMES)
def test_what_a_program_has_set_moves_no_head(name: str, tmp_path: Path) -> None:
    from featx.heads import Head
    from featx.heads.keras_loop import KerasLoop

    class Once:
        def epoch(self, number: int, /) -> Iterator[Any]:
            yield rows, labels

    def trained() -> Any:
        head = Head.build(spec, 4, 2, seed=3)
        KerasLoop(head.logits_model).run_epoch(Once(), 0, 0.01, True)
        head.save(tmp_path / "head.keras")
        return Head.load(tmp_path / "head.keras").logits([rows])

    spec = HeadPart(layers=(DenseLayer(type="dense", units=8, activation="relu"),))
    rows = np.random.default_rng(0).normal(size=(16, 4)).astype(np.float32)
    labels = np.arange(16) % 2
    expected = trained()
    keras = load_keras()
    by_calls(keras)[name]()
    before = state(keras)
    np.testing.assert_array_equal(trained(), expected)
    assert state(keras) == before


@pytest.mark.usefixtures("as_before")
def test_blocks_of_several_threads_end_with_what_was_set() -> None:
    keras = load_keras()
    keras.config.set_floatx("float64")
    first_is_in, second_is_in, first_is_out = threading.Event(), threading.Event(), threading.Event()
    seen = []

    def second() -> None:
        first_is_in.wait(10)
        with plain_keras():
            second_is_in.set()
            first_is_out.wait(10)
            seen.append(keras.config.floatx())

    thread = threading.Thread(target=second)
    thread.start()
    with plain_keras():
        first_is_in.set()
        second_is_in.wait(10)
    first_is_out.set()
    thread.join()
    assert seen == ["float32"]
    assert keras.config.floatx() == "float64"


def test_a_program_that_has_loaded_another_backend_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    keras = load_keras()
    monkeypatch.setattr(keras.config, "backend", lambda: "jax")
    with pytest.raises(EngineError, match="has loaded it with jax; set KERAS_BACKEND=tensorflow before"):
        load_keras()


def run(arguments: list[str], home: Path, settings: dict[str, Any], variables: dict[str, str]) -> Any:
    home.mkdir()
    (home / "keras.json").write_text(json.dumps(settings))
    environment = {name: value for name, value in os.environ.items() if name != "KERAS_BACKEND"}
    environment |= {"KERAS_HOME": str(home), "TF_CPP_MIN_LOG_LEVEL": "3", **variables}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, *arguments], env=environment, check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-1000:]
    return json.loads(done.stdout)


@pytest.mark.slow
def test_what_a_file_or_the_environment_sets_moves_no_row(normalising: Path, tmp_path: Path) -> None:
    small_data(tmp_path / "data", train=2, test=1, classes=1)
    backbone = f'backbone = {{ name = "{normalising}", pooling = "avg" }}'
    recipe = f'images.size = 32\npreprocess.mode = "rescale"\n{backbone}\n'
    (tmp_path / "mine.toml").write_text(recipe)
    results = {}
    for number, (name, (settings, variables)) in enumerate(SETTINGS.items()):
        place = tmp_path / str(number)
        arguments = [str(tmp_path / "data"), str(tmp_path / "mine.toml"), f"{place}-cache", "keras"]
        results[name] = run(arguments, place, settings, variables)
    assert results["nothing"][2] == [3, 6]
    assert {name for name, result in results.items() if result != results["nothing"]} == set()


@pytest.mark.slow
def test_settings_that_keras_refuses(tmp_path: Path) -> None:
    (tmp_path / "keras.json").write_text('{"floatx": "float8"}')
    environment = {**os.environ, "KERAS_HOME": str(tmp_path)}
    script = "from featx.networks import load_keras\ntry: load_keras()\nexcept Exception as error: print(repr(error))"
    done = subprocess.run([sys.executable, "-c", script], env=environment, check=True, capture_output=True, text=True)
    assert "Expected settings that Keras can read in keras.json" in done.stdout
