"""A `.keras` file from pixels to probabilities, which plain Keras loads, and its check in Keras."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.errors import UsageError
from featx.exporting.provenance import provenance
from featx.features import FeatureSpace
from featx.images import LUMA, resize
from featx.networks import KerasNetwork, plain_keras
from featx.recipes import ImagesPart
from featx.runs import HeadModel, Model

# A member of the archive that Keras does not read.
FACTS = "featx.json"


def expressible(model: Model) -> HeadModel:
    """Return a model that Keras can express.

    Raises:
        UsageError: It is a saved classifier.
    """
    if isinstance(model, HeadModel):
        return model
    raise UsageError(
        "Expected the folder of a run for --format keras, received a saved classifier of scikit-learn, which Keras "
        "cannot express; use --format onnx."
    )


def write_keras(path: Path, model: HeadModel, space: FeatureSpace) -> str:
    """Write a run's head with its network and preprocessing; return what the file's input is.

    `featx.json` in the archive has the classes.

    Raises:
        UsageError: The network is not one of Keras.
        FeatxError: What reading the network and the head raises.
        OSError: The file cannot be written.
    """
    card = space.weights.card
    if card is not None and card.kind != "keras":
        raise UsageError(
            f"Expected a network of Keras for --format keras, but {card.name} is in the format {card.kind}; use "
            "--format onnx."
        )
    part = space.spec.images
    network = KerasNetwork(space.spec.backbone, part.shape, space.weights, batch_size=1)
    with plain_keras() as keras:
        inputs = keras.Input((*part.shape, 3), dtype="uint8", name="images")
        prepared = _prepared(keras, inputs, space)
        kind = str(network.model.inputs[0].dtype)
        rows = network.model(keras.ops.cast(prepared, kind) if "int" in kind else prepared)
        rows = keras.layers.Reshape((network.width,), name="rows")(rows)
        if space.spec.features.dtype == "float16":
            rows = keras.ops.cast(keras.ops.cast(rows, "float16"), "float32")
        probabilities = _head(keras, model)(rows)
        if model.head.model.output_shape[1] == 1 and not model.multilabel:
            first = keras.layers.Rescaling(-1.0, 1.0, name="first")(probabilities)
            probabilities = keras.layers.Concatenate(name="both")([first, probabilities])
        whole = keras.Model(inputs, probabilities, name="featx")
        whole.trainable = False
        whole.save(path)
    pixels = _pixels_of(part)
    facts = provenance(model, space, pixels)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(FACTS, json.dumps(facts, indent=2, ensure_ascii=False))
    return pixels


def _head(keras: ModuleType, model: HeadModel) -> Any:
    """Return the head from rows to probabilities, with its temperature."""
    head = model.head
    if model.temperature == 1:
        return head.model
    scaled = keras.layers.Rescaling(1 / model.temperature, name="temperature")(head.logits_model.output)
    activation = head.model.get_layer("probabilities").activation
    return keras.Model(
        head.model.input, keras.layers.Activation(activation, name="probabilities")(scaled), name="head"
    )


def _pixels_of(part: ImagesPart) -> str:
    height, width = part.shape
    how = f"{part.resize} with antialiasing, fit {part.fit}"
    how += "" if part.resize_to is None else f", resize_to {part.resize_to}"
    return f"RGB pixels in uint8, (images, {height}, {width}, 3), resized by Pillow before: {how}"


def _prepared(keras: ModuleType, images: Any, space: FeatureSpace) -> Any:
    """The network's input of pixels: scaled, with the channels in its order."""
    colour, scale, mean, std = space.preprocessing.affine_numbers()
    layers = keras.layers
    pixels = layers.Rescaling(1.0, name="pixels")(images)
    if colour == "grey":
        # All sums are whole numbers below 2^24, so that they are exact.
        pixels = _mixed(layers, pixels, np.reshape(LUMA, (3, 1)), "luma", bias=2.0**15)
        pixels = keras.ops.floor(pixels / 2.0**16)
    elif colour == "bgr":
        pixels = _mixed(layers, pixels, np.eye(3)[::-1], "bgr")
    # Keras divides by the root of the variance.
    variance = np.square(np.array(std) / scale)
    normalised = layers.Normalization(axis=-1, mean=np.array(mean) / scale, variance=variance, name="preprocessing")
    return normalised(pixels)


def _mixed(layers: Any, pixels: Any, weights: NDArray[Any], name: str, bias: float = 0.0) -> Any:
    """Sums of the channels with weights, (channels before, channels after)."""
    layer = layers.Conv2D(weights.shape[1], 1, name=name)
    mixed = layer(pixels)
    layer.set_weights([weights[None, None].astype(np.float32), np.full(weights.shape[1], bias, np.float32)])
    return mixed


class KerasSession:
    """An exported file in plain Keras."""

    def __init__(self, path: Path, part: ImagesPart) -> None:
        with plain_keras() as keras:
            self._model = keras.saving.load_model(path, compile=False)
        self._part = part

    def __call__(self, pixels: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Return the probabilities, (classes,), of an image, (height, width, 3) RGB, of any size."""
        part = self._part
        image = resize(pixels, part.shape, part.resize, part.fit, part.resize_to)
        with plain_keras():
            output = np.asarray(self._model(image[None], training=False), np.float64)
        probabilities: NDArray[np.float64] = output[0]
        return probabilities
