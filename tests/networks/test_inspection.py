"""Where a network's channels are, which pixels it takes, and weights that are no numbers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from network_data import keras_network, some_pixels

from featx.errors import EngineError, RecipeError, WeightsError
from featx.images import Preprocessing
from featx.networks.build import NetworkSource
from featx.networks.engines import Engine
from featx.networks.framework import has_openvino, load_keras
from featx.networks.openvino import OpenVINONetwork
from featx.networks.weights import find_weights
from featx.recipes import BackbonePart
from featx.store import Store

Chain = Callable[[Any, Any], Any]
needs_openvino = pytest.mark.skipif(not has_openvino(), reason="the package openvino is not installed")


def saved(path: Path, chain: Chain, dtype: str = "float32") -> str:
    """Save a network of a convolution behind a chain of layers."""
    keras = load_keras()
    keras.utils.set_random_seed(1)
    inputs = keras.Input((32, 32, 3), dtype=dtype)
    x = keras.layers.Conv2D(4, 3, activation="relu", name="conv")(chain(keras.layers, inputs))
    keras.Model(inputs, keras.layers.GlobalAveragePooling2D()(x)).save(path)
    return str(path)


def source(path: str, folder: Path, rule: Any = "rescale", **fields: Any) -> NetworkSource:
    preprocessing = Preprocessing(rule, **fields)
    return NetworkSource(
        BackbonePart(name=path), (32, 32), find_weights(path), Store(folder / "cache"), preprocessing
    )


# Channels


def channels_first(layers: Any, x: Any) -> Any:
    x = layers.Conv2D(8, 3, data_format="channels_first")(layers.Permute((3, 1, 2))(x))
    return layers.ReLU()(layers.BatchNormalization(axis=1)(x))


@pytest.mark.parametrize("cut", [None, "re_lu"])
@pytest.mark.parametrize("back", [False, True])
def test_a_map_is_pooled_over_its_own_places(back: bool, cut: str | None, tmp_path: Path) -> None:
    keras = load_keras()
    keras.backend.clear_session()
    inputs = keras.Input((32, 32, 3))
    output = channels_first(keras.layers, inputs)
    if back:
        output = keras.layers.Permute((2, 3, 1))(output)
    model = keras.Model(inputs, output)
    model.save(tmp_path / "first.keras")
    pixels = some_pixels()
    maps = keras.Model(inputs, model.get_layer(cut).output if cut else output).predict_on_batch(pixels)
    rows = keras_network(str(tmp_path / "first.keras"), pooling="avg", cut=cut).rows(pixels)
    assert rows.shape == (4, 8)
    np.testing.assert_allclose(rows, maps.mean(axis=(1, 2) if back and not cut else (2, 3)), rtol=1e-4, atol=1e-5)


def test_a_map_whose_channels_are_in_the_middle_is_not_pooled(tmp_path: Path) -> None:
    keras = load_keras()
    inputs = keras.Input((32, 32, 3))
    keras.Model(inputs, keras.layers.Permute((1, 3, 2))(keras.layers.Conv2D(8, 3)(inputs))).save(tmp_path / "m.keras")
    with pytest.raises(RecipeError, match=r"those of .*m\.keras are in the middle; use pooling 'none'"):
        keras_network(str(tmp_path / "m.keras"), pooling="avg")


# Pixels


def nested(layers: Any, x: Any) -> Any:
    keras = load_keras()
    inner = keras.Sequential([keras.Input((32, 32, 3)), layers.RandomFlip(), layers.Rescaling(1 / 127.5, -1)])
    return inner(x)


TAKES_BYTES: dict[str, Chain] = {
    "rescaling": lambda layers, x: layers.Rescaling(1 / 255)(x),
    "rescaling to -1": lambda layers, x: layers.Rescaling(1 / 127.5, offset=-1)(x),
    "normalisation": lambda layers, x: layers.Normalization(mean=[124.0, 116, 104], variance=[3400.0] * 3)(x),
    "division": lambda layers, x: x / 127.5 - 1,
    "ImageNet's mean": lambda layers, x: x[..., ::-1] - np.array([103.9, 116.8, 123.7], np.float32),
    "in a model": nested,
    "after a crop": lambda layers, x: layers.Rescaling(1 / 255)(layers.CenterCrop(24, 24)(x)),
}
TAKES_ANY: dict[str, Chain] = {
    "nothing": lambda layers, x: x,
    "normalisation of 0 to 1": lambda layers, x: layers.Normalization(mean=[0.5] * 3, variance=[0.05] * 3)(x),
    "an empty normalisation": lambda layers, x: layers.Normalization()(x),
    "to bytes and back": lambda layers, x: layers.Rescaling(1 / 127.5, -1)(layers.Rescaling(255.0)(x)),
    "batch normalisation": lambda layers, x: layers.BatchNormalization()(x),
    "augmentation": lambda layers, x: layers.RandomRotation(0.1)(layers.GaussianNoise(0.1)(x)),
    "a scale further on": lambda layers, x: layers.Rescaling(1 / 255)(layers.Conv2D(3, 1)(x)),
}


@pytest.mark.parametrize("chain", TAKES_BYTES.values(), ids=TAKES_BYTES.keys())
def test_a_network_that_scales_pixels_itself_gets_them_as_they_are(chain: Chain, tmp_path: Path) -> None:
    path = saved(tmp_path / "own.keras", chain)
    for rule in ("rescale", "torch"):
        with pytest.raises(RecipeError, match=rf"'raw' for own\.keras, .* received '{rule}'; use --preprocess raw"):
            source(path, tmp_path, rule).facts()
    images = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), np.uint8)
    network = source(path, tmp_path, "raw").build("keras", 2)
    expected = load_keras().models.load_model(path)(images.astype(np.float32), training=False)
    np.testing.assert_allclose(network.rows(Preprocessing("raw")(images)), expected, rtol=1e-5, atol=1e-6)
    # A recipe may have found another way to leave pixels as they are.
    source(path, tmp_path, "featurewise", mean=(0.0,) * 3, std=(1 / 255,) * 3).facts()


@pytest.mark.parametrize("chain", TAKES_ANY.values(), ids=TAKES_ANY.keys())
def test_another_network_takes_any_pixels(chain: Chain, tmp_path: Path) -> None:
    path = saved(tmp_path / "any.keras", chain)
    assert source(path, tmp_path).facts().width == source(path, tmp_path, "raw").facts().width == 4


@pytest.mark.parametrize("engine", ["keras", pytest.param("openvino", marks=needs_openvino)])
def test_a_network_for_integers_gets_integers(engine: Engine, tmp_path: Path) -> None:
    path = saved(tmp_path / "bytes.keras", lambda layers, x: layers.Rescaling(1 / 255)(x), "uint8")
    with pytest.raises(RecipeError, match="use --preprocess raw"):
        source(path, tmp_path).build(engine, 2)
    images = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), np.uint8)
    rows = source(path, tmp_path, "raw").build(engine, 2).rows(Preprocessing("raw")(images))
    expected = np.asarray(load_keras().models.load_model(path)(images))
    np.testing.assert_allclose(rows, expected, rtol=1e-4, atol=1e-6)
    assert np.ptp(rows, axis=0).max() > 0


def test_a_network_for_small_integers_is_refused(tmp_path: Path) -> None:
    path = saved(tmp_path / "small.keras", lambda layers, x: layers.Rescaling(1 / 255)(x), "int8")
    with pytest.raises(RecipeError, match="its input is for int8; pass another model"):
        source(path, tmp_path, "raw").facts()


# Weights and conversions


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("engine", ["auto", "keras"])
def test_weights_that_are_not_finite(engine: Engine, value: float, tmp_path: Path) -> None:
    path = saved(tmp_path / "bad.keras", lambda layers, x: x)
    model = load_keras().models.load_model(path)
    kernel, bias = model.get_weights()
    kernel[0, 0, 0, 0] = value
    model.set_weights([kernel, bias])
    model.save(path)
    with pytest.raises(WeightsError, match=r"finite weights in .*bad\.keras, but conv/kernel has NaN or infinite"):
        source(path, tmp_path).build(engine)


@needs_openvino
def test_a_conversion_that_gives_other_rows_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    path = saved(tmp_path / "net.keras", lambda layers, x: x)
    right = OpenVINONetwork.rows
    monkeypatch.setattr(OpenVINONetwork, "rows", lambda self, images: right(self, images) * np.float32(1.01))
    with pytest.raises(EngineError, match="differ on trial images; use the engine keras"):
        source(path, tmp_path).build("openvino")
    assert not list((tmp_path / "cache").rglob("*.xml"))
    with caplog.at_level("INFO", "featx"):
        assert source(path, tmp_path).build("auto").name == "keras"
    assert "Keras runs the network, because OpenVINO does not" in caplog.text
    monkeypatch.undo()
    assert source(path, tmp_path).build("auto").name in ("openvino", "keras")


@needs_openvino
def test_values_that_only_keras_keeps_from_being_zero(tmp_path: Path) -> None:
    keras = load_keras()
    inputs = keras.Input((32, 32, 3))
    x = keras.ops.log(keras.layers.GlobalAveragePooling2D()(inputs) - 10.0)  # not a number
    keras.Model(inputs, keras.layers.ReLU()(x)).save(tmp_path / "large.keras")
    with pytest.raises(EngineError, match="differ on trial images"):
        source(str(tmp_path / "large.keras"), tmp_path).build("openvino")
