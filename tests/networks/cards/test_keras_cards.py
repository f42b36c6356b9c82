"""Cards of `.keras` files: Keras builds them, and OpenVINO runs them converted, as other files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from featx.digests import digest_of_file
from featx.errors import RecipeError, UsageError
from featx.networks import Card, Network, NetworkSource, Weights, has_openvino, load_keras
from featx.recipes import BackbonePart
from featx.store import Store

SHAPE = (16, 24)
needs_openvino = pytest.mark.skipif(not has_openvino(), reason="the package openvino is not installed")


def write_model(path: Path, channels: int = 3, *, tokens: bool = False) -> Path:
    """Save a convolution of 8 × 8 pixels to 5 features, `places`; with `tokens` its 6 places follow one another."""
    keras = load_keras()
    keras.utils.set_random_seed(3)
    inputs = keras.Input((*SHAPE, channels))
    x = keras.layers.Conv2D(5, 8, strides=8, activation="relu", name="places")(inputs)
    outputs = keras.layers.Reshape((6, 5), name="tokens")(x) if tokens else keras.layers.GlobalMaxPooling2D()(x)
    keras.Model(inputs, outputs).save(path)
    return path


def source(path: Path, folder: Path, changes: dict[str, Any] | None = None, **fields: Any) -> NetworkSource:
    document: dict[str, Any] = {
        "name": "own",
        "kind": "keras",
        "files": {path.name: digest_of_file(path)},
        "input": {"layout": "nhwc", "colour": "bgr", "size": SHAPE},
        "pixels": {"interpolation": "box", "scale": 1 / 255, "mean": (0.5,) * 3, "std": (0.25,) * 3},
        "output": {},
    }
    for name, values in (changes or {}).items():
        document[name] = {**document[name], **values}
    card = Card.model_validate(document).at(path.parent)
    weights = Weights(str(path), path, card.digest(), card=card)
    part = BackbonePart(name=str(path.with_suffix(".toml")), **fields)
    return NetworkSource(part, SHAPE, weights, Store(folder / "cache"), card.preprocessing())


def images() -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (2, *SHAPE, 3), np.uint8)


def rows_of(network: Network, origin: NetworkSource) -> NDArray[np.float32]:
    assert not network.takes_pixels
    assert origin.preprocessing is not None
    return network.rows(origin.preprocessing(images()))


def map_of(path: Path, prepared: NDArray[Any]) -> NDArray[np.float64]:
    """The map `places`, (n, 2, 3, 5), by hand."""
    kernel, bias = (np.float64(value) for value in load_keras().models.load_model(path).get_weights())
    patches = prepared.reshape(2, 2, 8, 3, 8, -1)
    return np.asarray(np.maximum(np.einsum("nhawbc,abcf->nhwf", patches, kernel) + bias, 0))


ENGINES = ["keras", pytest.param("openvino", marks=needs_openvino)]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    ("changes", "fields", "pool"),
    [
        ({}, {}, "max"),
        ({"output": {"name": "places"}}, {"pooling": "avg"}, "mean"),
        ({}, {"cut": "places", "pooling": "avg"}, "mean"),
    ],
)
def test_rows(engine: Any, changes: dict[str, Any], fields: dict[str, Any], pool: str, tmp_path: Path) -> None:
    path = write_model(tmp_path / "own.keras")
    expected = getattr(map_of(path, (images()[..., ::-1] / 255 - 0.5) / 0.25), pool)((1, 2))
    origin = source(path, tmp_path, changes, **fields)
    network = origin.build(engine)
    assert (network.name, network.width) == (engine, 5)
    np.testing.assert_allclose(rows_of(network, origin), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("tokens", ["cls", "mean", "cls+mean", "map"])
def test_tokens(engine: Any, tokens: str, tmp_path: Path) -> None:
    path = write_model(tmp_path / "own.keras", tokens=True)
    values = map_of(path, (images()[..., ::-1] / 255 - 0.5) / 0.25).reshape(2, 6, 5)
    first, rest = values[:, 0], values[:, 1:].mean(1)
    prefix = 0 if tokens == "map" else 1
    expected = {"cls": first, "mean": rest, "cls+mean": np.hstack([first, rest]), "map": values.reshape(2, -1)}
    origin = source(path, tmp_path, {"output": {"tokens": tokens, "prefix_tokens": prefix}})
    network = origin.build(engine)
    np.testing.assert_allclose(rows_of(network, origin), expected[tokens], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("engine", ENGINES)
def test_grey(engine: Any, tmp_path: Path) -> None:
    path = write_model(tmp_path / "own.keras", 1)
    changes = {"input": {"colour": "grey"}, "pixels": {"mean": (0.5,), "std": (0.5,)}}
    red, green, blue = images().astype(np.int64).transpose(3, 0, 1, 2)
    grey = (19595 * red + 38470 * green + 7471 * blue + 32768) >> 16
    expected = map_of(path, (grey[..., None] / 255 - 0.5) / 0.5).max((1, 2))
    origin = source(path, tmp_path, changes)
    np.testing.assert_allclose(rows_of(origin.build(engine), origin), expected, rtol=1e-4, atol=1e-5)


def test_what_does_not_fit(tmp_path: Path) -> None:
    path = write_model(tmp_path / "own.keras")
    with pytest.raises(RecipeError, match=r"correct input\.size or input\.colour in its card"):
        source(path, tmp_path, {"input": {"colour": "grey"}, "pixels": {"mean": (0,), "std": (1,)}}).facts()
    with pytest.raises(RecipeError, match=r"remove output\.tokens from the card"):
        source(path, tmp_path, {"output": {"tokens": "cls"}}).facts()
    with pytest.raises(RecipeError, match="Expected precision 'float32'"):
        source(path, tmp_path, precision="mixed").build("keras")
    with pytest.raises(UsageError, match="received onnxruntime"):
        source(path, tmp_path).build("onnxruntime")


def test_a_network_that_scales_pixels_itself_gets_them_unscaled(tmp_path: Path) -> None:
    keras = load_keras()
    inputs = keras.Input((*SHAPE, 3))
    outputs = keras.layers.GlobalMaxPooling2D()(keras.layers.Rescaling(1 / 255)(inputs))
    keras.Model(inputs, outputs).save(tmp_path / "own.keras")
    with pytest.raises(RecipeError, match=r"received scaled pixels; .* or write scale = 1\.0, mean = \[0, 0, 0\]"):
        source(tmp_path / "own.keras", tmp_path).facts()
    unscaled = {"pixels": {"scale": 1.0, "mean": (0,) * 3, "std": (1,) * 3}}
    assert source(tmp_path / "own.keras", tmp_path, unscaled).facts().width == 3


def test_the_card_is_in_the_key(tmp_path: Path) -> None:
    path = write_model(tmp_path / "own.keras")
    identity = source(path, tmp_path).identity()
    assert identity["name"] == "card"
    assert identity["card"]["pixels"]["scale"] == 1 / 255
    assert identity != source(path, tmp_path, {"pixels": {"fit": "pad"}}).identity()
    assert path.name not in str(identity)
