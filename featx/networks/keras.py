"""The engine `keras`: a frozen network run by Keras over batches of preprocessed images."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from featx.errors import EngineError, RecipeError, WeightsError, reason_of
from featx.networks.backbones import Backbone, find_backbone
from featx.networks.cards.card import Card
from featx.networks.efficientnetlite import efficientnetlite0, load_float16
from featx.networks.framework import plain_keras
from featx.networks.graphs.tails import MOST_FEATURES, Output, tail_of
from featx.networks.inspection import channel_axis, faulty_weight, takes_raw_pixels
from featx.networks.model_files import UNREADABLE, check_hdf5, load_model_file
from featx.networks.weights import Weights
from featx.recipes import BackbonePart, is_network_path

Sides = tuple[int, int, int]  # height, width and channels of an image


class Network(Protocol):
    """A frozen network: images in, rows of features out.

    Attributes:
        name: The engine.
        takes_pixels: Whether images are pixels, (n, height, width, 3) in uint8; else they are preprocessed,
            (n, height, width, channels) in float32.
        batch_size: The most images of a batch.
        width: Features of an image.
        parameters: Number of weights.
    """

    name: str
    takes_pixels: bool
    batch_size: int
    width: int
    parameters: int

    def rows(self, images: NDArray[Any]) -> NDArray[np.float32]:
        """Return (n, width) features of at most `batch_size` images."""
        ...

    def stream(self, batches: Iterable[NDArray[Any]]) -> Iterator[NDArray[np.float32]]:
        """Yield the rows of each batch, in order; batches may be read before the rows of earlier ones are yielded."""
        ...


class KerasNetwork:
    """The backbone as a Keras model, always in inference mode.

    All batches have the same shape, and the last one is padded. So the graph is traced once, and an image's row does
    not depend on the number of images in its batch.

    Attributes:
        model: The Keras model.
        raw: Whether the network scales pixels from 0 to 255 itself, or takes them as integers.

    Args:
        backbone: Name, cut layer, pooling and precision of the network.
        shape: Height and width of its input in pixels.
        weights: What `find_weights` returned for it.
        batch_size: Images of a batch.

    Raises:
        WeightsError: The file does not hold weights of this network, or weights that are not finite.
        RecipeError: The cut layer does not exist, or the model's input or output does not fit.
    """

    name = "keras"
    takes_pixels = False

    def __init__(
        self, backbone: BackbonePart, shape: tuple[int, int], weights: Weights, batch_size: int = 16
    ) -> None:
        own_file = is_network_path(backbone.name)
        self._shape = (*shape, 3 if weights.card is None else weights.card.input.channels)
        with plain_keras() as keras:
            _set_precision(keras, backbone)
            if own_file:
                model = _pooled(keras, _model_file(keras, weights), backbone, self._shape, weights.card)
            else:
                model = _named_model(keras, backbone, self._shape, weights)
            model.trainable = False
            _check_finite(model, backbone, weights)
            self.raw = own_file and takes_raw_pixels(model, self._shape)
            self.width = _width(model, backbone, self._shape)
        self.model = model
        dtype = str(model.inputs[0].dtype)
        self._dtype = np.dtype(dtype if "int" in dtype else "float32")
        self.label = backbone.name
        self.batch_size = batch_size
        self.parameters = int(model.count_params())

    def rows(self, images: NDArray[Any]) -> NDArray[np.float32]:
        """Return (n, width) features of at most `batch_size` images, (n, height, width, channels)."""
        import tensorflow as tf

        batch = np.zeros((self.batch_size, *images.shape[1:]), self._dtype)
        batch[: len(images)] = images
        try:
            with plain_keras():
                output = np.asarray(self.model.predict_on_batch(batch), np.float32)
        except tf.errors.OpError as error:
            raise EngineError(
                f"Expected a network that TensorFlow can run on {self._shape[0]} × {self._shape[1]} pixels, but "
                f"{self.label} fails: {reason_of(error).rstrip('.')}; try a smaller batch (--batch-size) or size, or "
                "another network."
            ) from error
        return output[: len(images)].reshape(len(images), self.width)

    def stream(self, batches: Iterable[NDArray[Any]]) -> Iterator[NDArray[np.float32]]:
        """Yield the rows of each batch, in order."""
        return map(self.rows, batches)

    def traced(self) -> Any:
        """Return the network as a concrete function of TensorFlow, from (n, height, width, channels) for any n."""
        import tensorflow as tf

        images = tf.TensorSpec((None, *self._shape), tf.float32, name="images")

        def run(images: Any) -> Any:
            return self.model(tf.cast(images, self._dtype), training=False)

        with plain_keras():
            return tf.function(run, [images], autograph=False).get_concrete_function()


def _set_precision(keras: ModuleType, backbone: BackbonePart) -> None:
    """Let layers be made in the backbone's precision, until the block of `plain_keras` ends."""
    if backbone.precision != "mixed":
        return
    if is_network_path(backbone.name):
        raise RecipeError(
            f"Expected precision 'float32' for the model file {Path(backbone.name).name}, whose layers have "
            "their own, received 'mixed'; save the model with the precision that you want."
        )
    keras.config.set_dtype_policy("mixed_float16")


def _named_model(keras: ModuleType, backbone: BackbonePart, shape: Sides, weights: Weights) -> Any:
    row = find_backbone(backbone.name)
    build = _builder(keras, row)
    pooling = None if backbone.pooling == "none" or backbone.cut else backbone.pooling
    try:
        model = build(input_shape=shape, pooling=pooling)
    except ValueError as error:
        raise RecipeError(
            f"Backbone {row.name} cannot take images of {shape[0]} × {shape[1]} pixels: {error}."
        ) from error
    if weights.path is None:
        _randomise(model, weights.seed or 0)
    elif weights.digest == row.sha256:
        load_float16(model, weights.path)
    else:
        _load_weights(model, weights.path, row.name)
    return _pooled(keras, model, backbone, shape) if backbone.cut else model


def _builder(keras: ModuleType, row: Backbone) -> Callable[..., Any]:
    """Return what builds a network of the table without weights and classifier."""
    if row.packaged is not None:
        return partial(efficientnetlite0, keras)
    return partial(getattr(keras.applications, row.builder), include_top=False, weights=None, **row.options)


def _load_weights(model: Any, path: Path, name: str) -> None:
    try:
        problem = check_hdf5(path)
        if problem:
            raise ValueError(f"it {problem}")
        with warnings.catch_warnings():
            # Keras warns about every layer before it raises one error for all.
            warnings.filterwarnings("ignore", "Skipping nested container", UserWarning)
            model.load_weights(path)
    except UNREADABLE as error:
        raise WeightsError(
            f"Expected the weights of {name} without its classifier in {path}, but they do not load; pass another "
            f"file, or remove this one so that it is found elsewhere or downloaded: {reason_of(error)}"
        ) from error


def _check_finite(model: Any, backbone: BackbonePart, weights: Weights) -> None:
    faulty = faulty_weight(model)
    if faulty is not None:
        raise WeightsError(
            f"Expected finite weights in {weights.path or backbone.name}, but {faulty} has NaN or infinite values, "
            "as after a training that diverged; pass a file of finite weights."
        )


def _randomise(model: Any, seed: int) -> None:
    """Draw kernels from He's normal distribution (He et al. 2015, arXiv:1502.01852); keep all other weights.

    NumPy draws them, in the model's order, so that a seed gives the same network with any version of Keras.
    """
    generator = np.random.Generator(np.random.PCG64(seed))
    drawn = []
    for value in model.get_weights():
        if value.ndim < 2:
            drawn.append(value)
            continue
        # A depthwise kernel (height, width, channels, 1) sums over its window, not over channels.
        fan_in = math.prod(value.shape[:-1]) if value.shape[-1] > 1 else math.prod(value.shape[:-2])
        drawn.append((generator.standard_normal(value.shape) * math.sqrt(2 / fan_in)).astype(np.float32))
    model.set_weights(drawn)


def _model_file(keras: ModuleType, weights: Weights) -> Any:
    if weights.path is None:
        raise WeightsError(f"Expected the file of a network, received {weights.source}; pass a .keras file.")
    return load_model_file(keras, weights.path)


def _width(model: Any, backbone: BackbonePart, sides: Sides) -> int:
    # A model for images of any size has no fixed output shape.
    shape = model.compute_output_shape((1, *sides))[1:]
    width = 0 if None in shape else math.prod(shape)
    if not 0 < width <= MOST_FEATURES:
        raise RecipeError(
            f"Expected 1 to {MOST_FEATURES:,} features of an image from {backbone.name}, but its output has the "
            f"shape {tuple(shape)}; cut at another layer (backbone.cut), or pool its map (--pooling avg)."
        )
    return width


def _pooled(keras: ModuleType, model: Any, backbone: BackbonePart, shape: Sides, card: Card | None = None) -> Any:
    """The model up to the cut layer, with its tokens or its feature map made one vector."""
    _check_input(model, backbone, shape, card)
    layer_name = backbone.cut or (card.output.name if card is not None else None)
    # A Sequential model has outputs, but no output before it has been called.
    outputs = model.outputs if layer_name is None else [_cut(model, layer_name)]
    if len(outputs) != 1 or isinstance(outputs[0], (list, tuple, dict)):
        raise RecipeError(f"Backbone {backbone.name} has several outputs; choose a layer with backbone.cut.")
    output = outputs[0]
    rank = len(output.shape)
    if card is not None and (card.output.tokens is not None or card.output.layout is not None):
        found = Output(layer_name or str(output.name), tuple(output.shape[1:]), card.name)
        cut, layout = backbone.cut is not None, card.output.layout or card.input.layout
        tail = tail_of(found, card.output, backbone.pooling, layout, shape[:2], cut=cut)
        return keras.Model(model.inputs, tail(keras.ops, output))
    if backbone.pooling != "none":
        if rank != 4:
            raise RecipeError(
                f"Pooling {backbone.pooling!r} needs a feature map of height, width and channels, but the output of "
                f"{backbone.name} has the shape {tuple(output.shape[1:])}; use pooling 'none'."
            )
        axis = channel_axis(output) or 3
        if axis == 2:
            raise RecipeError(
                f"Pooling {backbone.pooling!r} needs a feature map whose channels come first or last, but those of "
                f"{backbone.name} are in the middle; use pooling 'none'."
            )
        layer = "GlobalAveragePooling2D" if backbone.pooling == "avg" else "GlobalMaxPooling2D"
        data_format = "channels_first" if axis == 1 else "channels_last"
        output = getattr(keras.layers, layer)(data_format=data_format)(output)
    return keras.Model(model.inputs, output)


def _check_input(model: Any, backbone: BackbonePart, sides: Sides, card: Card | None) -> None:
    # A Sequential model that was saved before it saw data has no known inputs.
    inputs = list(getattr(model, "inputs", None) or ())
    shapes = [tuple(tensor.shape[1:]) for tensor in inputs]
    height, width, channels = sides
    fitting = [(n, m, channels) for n in (height, None) for m in (width, None)]
    if len(shapes) != 1 or shapes[0] not in fitting:
        actual = f"has the shape {' and '.join(map(str, shapes))}" if shapes else "is not known"
        advice = "set images.size (--size) to the model's own, or pass another model"
        if len(shapes) == 1 and len(shapes[0]) == 3 and shapes[0][-1] == 1:
            advice = "describe it by a card with input.colour = 'grey'"
        elif card is not None:
            advice = "correct input.size or input.colour in its card"
        raise RecipeError(
            f"Backbone {backbone.name} must take {'RGB' if channels == 3 else 'grey'} images of {height} × {width} "
            f"pixels, but its input {actual}; {advice}."
        )
    dtype = str(inputs[0].dtype)
    if dtype in ("int8", "bool", "string") or inputs[0].sparse or getattr(inputs[0], "ragged", False):
        kind = dtype if dtype in ("int8", "bool", "string") else "sparse or ragged tensors"
        raise RecipeError(
            f"Backbone {backbone.name} must take pixels from 0 to 255 or floating-point numbers, but its input is "
            f"for {kind}; pass another model."
        )


def _cut(model: Any, name: str) -> Any:
    """The output of the layer with this name."""
    names = [layer.name for layer in model.layers]
    if name not in names:
        raise RecipeError(f"Backbone has no layer {name!r} to cut at; its layers are {', '.join(names)}.")
    layer = model.get_layer(name)
    if hasattr(layer, "layers"):
        raise RecipeError(
            f"Layer {name!r} of the backbone is itself a model; cut at another layer, or save that model alone."
        )
    return layer.output
