from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from network_data import keras_network, some_pixels
from numpy.typing import NDArray

from featx.errors import EngineError
from featx.images import Preprocessing
from featx.networks import framework
from featx.networks.framework import has_openvino, load_keras

if not has_openvino():
    pytest.skip("the package openvino is not installed", allow_module_level=True)

from featx.networks.openvino import OpenVINONetwork, convert

Pixels = NDArray[np.float32]


def relative(rows: NDArray[np.float32], expected: NDArray[np.float32]) -> float:
    """The largest difference of a row from what it must be, as a share of its length."""
    return float((np.linalg.norm(rows - expected, axis=1) / np.linalg.norm(expected, axis=1)).max())


@pytest.fixture(scope="module")
def converted(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("converted") / "network.xml"
    convert(keras_network(str(tiny_model)), target)
    return target


# Rows


# Plain convolutions; depthwise ones with batch normalisation; squeeze and excitation, and SiLU.
@pytest.mark.slow
@pytest.mark.parametrize("name", ["vgg16", "mobilenetv2", "efficientnetv2b0"])
def test_rows_are_those_of_keras(name: str, tmp_path: Path) -> None:
    keras = keras_network(name, pooling="avg")
    convert(keras, tmp_path / "network.xml")
    openvino = OpenVINONetwork(tmp_path / "network.xml", keras.parameters, batch_size=2)
    pixels = some_pixels(3)
    rows = np.concatenate(list(openvino.stream([pixels[:2], pixels[2:]])))
    expected = keras.rows(pixels)
    assert (openvino.width, openvino.parameters) == (keras.width, keras.parameters)
    assert rows.dtype == np.float32
    assert relative(rows, expected) < 1e-3
    # Images are told apart by far more than the engines differ.
    assert relative(expected[1:], expected[:2]) > 1e-2


@pytest.mark.parametrize("fields", [{}, {"pooling": "max"}, {"cut": "conv_1"}, {"cut": "conv_1", "pooling": "avg"}])
def test_rows_of_a_model_file(fields: dict[str, Any], tiny_model: Path, tmp_path: Path) -> None:
    keras = keras_network(str(tiny_model), **fields)
    convert(keras, tmp_path / "network.xml")
    openvino = OpenVINONetwork(tmp_path / "network.xml", keras.parameters, batch_size=4)
    pixels = some_pixels(4)
    np.testing.assert_allclose(openvino.rows(pixels), keras.rows(pixels), rtol=1e-4, atol=1e-6)


def test_a_network_of_any_size_has_the_recipes(tmp_path: Path) -> None:
    keras = load_keras()
    inputs = keras.Input((None, None, 3))
    keras.Model(inputs, keras.layers.Flatten()(keras.layers.MaxPooling2D(4)(inputs))).save(tmp_path / "any.keras")
    network = keras_network(str(tmp_path / "any.keras"), size=20)
    convert(network, tmp_path / "network.xml")
    pixels = some_pixels(3, 20)
    expected = pixels.reshape(3, 5, 4, 5, 4, 3).max(axis=(2, 4)).reshape(3, -1)
    np.testing.assert_array_equal(OpenVINONetwork(tmp_path / "network.xml", 0, 4).rows(pixels), expected)


@pytest.mark.slow
def test_real_vgg16_features_are_those_of_keras(shared_weights: Path, tmp_path: Path) -> None:
    keras = keras_network("vgg16", str(shared_weights / "vgg16_notop.weights.h5"), size=224)
    convert(keras, tmp_path / "network.xml")
    openvino = OpenVINONetwork(tmp_path / "network.xml", keras.parameters, batch_size=1)
    y, x = np.mgrid[:224, :224]
    image = np.stack([x, y, 255 - (x + y) // 2], axis=-1).astype(np.uint8)
    pixels = Preprocessing("caffe")(image[None])
    # The two share cached rows, since they differ by less than Keras does from its own compiled form.
    assert relative(openvino.rows(pixels), keras.rows(pixels)) < 1e-5


# Batches


@pytest.mark.parametrize("batch_size", [1, 3, 8])
def test_a_row_does_not_depend_on_its_batch(batch_size: int, converted: Path) -> None:
    pixels = some_pixels(23)
    network = OpenVINONetwork(converted, 0, batch_size)
    one = OpenVINONetwork(converted, 0, 1)
    batches = np.split(pixels, range(batch_size, 23, batch_size))
    streamed = list(network.stream(batches))
    assert [len(rows) for rows in streamed] == [len(batch) for batch in batches]
    alone = np.concatenate([one.rows(pixels[k : k + 1]) for k in range(23)])
    np.testing.assert_allclose(np.concatenate(streamed), alone, rtol=1e-5, atol=1e-6)
    # The same batches give the same bits, whatever the requests held before.
    for rows, again in zip(streamed, network.stream(batches), strict=True):
        np.testing.assert_array_equal(rows, again)


def test_several_batches_are_taken_in_ahead_of_their_rows(converted: Path) -> None:
    network = OpenVINONetwork(converted, 0, 2)
    taken = 0

    def batches() -> Iterator[Pixels]:
        nonlocal taken
        for seed in range(40):
            taken += 1
            yield some_pixels(2, seed=seed)

    for given, rows in enumerate(network.stream(batches())):
        assert len(rows) == 2
        ahead = taken - given
        assert ahead <= len(network._requests) + 1
        if given == 0:
            assert ahead >= 2
    assert taken == 40


def test_a_stream_that_is_left_does_not_disturb_the_next(converted: Path) -> None:
    network = OpenVINONetwork(converted, 0, 2)
    pixels = some_pixels(2)
    expected = network.rows(pixels)
    stream = network.stream(some_pixels(2, seed=seed) for seed in range(20))
    assert isinstance(stream, Generator)
    next(stream)
    stream.close()

    def failing() -> Iterator[Pixels]:
        yield some_pixels(2, seed=7)
        raise MemoryError

    with pytest.raises(MemoryError):
        list(network.stream(failing()))
    np.testing.assert_array_equal(network.rows(pixels), expected)
    assert list(network.stream([])) == []


def test_pixels_are_not_changed_and_rows_stay(converted: Path) -> None:
    network = OpenVINONetwork(converted, 0, 4)
    pixels = some_pixels(3)
    before = pixels.copy()
    rows = network.rows(pixels)
    kept = rows.copy()
    for seed in range(1, 6):
        network.rows(some_pixels(4, seed=seed))
    np.testing.assert_array_equal(pixels, before)
    np.testing.assert_array_equal(rows, kept)


def test_single_precision_everywhere(converted: Path) -> None:
    network = OpenVINONetwork(converted, 0, 4)
    assert network._compiled.get_property("INFERENCE_PRECISION_HINT").get_type_name() == "f32"


# What OpenVINO cannot do


@pytest.mark.parametrize("damage", ["xml", "bin", "both"])
def test_files_that_are_no_network(damage: str, converted: Path, tmp_path: Path) -> None:
    for suffix in (".xml", ".bin"):
        content = converted.with_suffix(suffix).read_bytes()
        cut = damage in (suffix[1:], "both")
        (tmp_path / f"broken{suffix}").write_bytes(content[: len(content) // 2] if cut else content)
    with pytest.raises(EngineError, match=r"OpenVINO can run in .*broken\.xml, but it cannot: .*--engine keras"):
        OpenVINONetwork(tmp_path / "broken.xml", 0)


def test_files_that_cannot_be_written(tiny_model: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(OSError, match="file"):
        convert(keras_network(str(tiny_model)), tmp_path / "file" / "network.xml")


# What it leaves alone

WATCHED = """
import socket, sys

def refuse(*arguments, **named):
    raise AssertionError(f"a connection is opened: {arguments}")

socket.socket.connect = socket.create_connection = socket.getaddrinfo = refuse
import multiprocessing.process
multiprocessing.process.BaseProcess.start = refuse
import numpy as np
from pathlib import Path
from featx.networks.openvino import OpenVINONetwork

rows = OpenVINONetwork(Path(sys.argv[1]), 0, 2, Path(sys.argv[2])).rows(np.ones((1, 32, 32, 3), np.float32))
import json
loaded = sorted({"tensorflow", "keras", "openvino", "openvino_telemetry"} & set(sys.modules))
print(json.dumps([rows.shape, loaded]))
"""


@pytest.mark.slow
def test_nothing_is_sent_and_the_home_stays_empty(converted: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    environment = {name: value for name, value in os.environ.items() if name not in ("CI", "TF_BUILD", "JENKINS_URL")}
    environment |= {"HOME": str(home), "TMPDIR": str(tmp_path)}
    run = subprocess.run(
        [sys.executable, "-c", WATCHED, str(converted), str(tmp_path / "compiled")],
        env=environment,
        cwd=home,
        check=False,
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr
    assert json.loads(run.stdout) == [[1, 96], ["openvino"]]
    assert list(home.iterdir()) == []
    assert [path.suffix for path in (tmp_path / "compiled").iterdir()] == [".blob"]


def test_telemetry_can_still_be_imported_by_others(converted: Path) -> None:
    framework.load_openvino()
    assert "openvino_telemetry" not in sys.modules or sys.modules["openvino_telemetry"] is not None
