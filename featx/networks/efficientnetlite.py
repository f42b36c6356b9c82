"""EfficientNet-Lite0 of Keras's own layers, and its ImageNet weights, which come with featx.

The architecture is that of Tan and Le 2019 (arXiv:1905.11946) without squeeze and excitation and with ReLU6:
https://github.com/tensorflow/tpu/tree/master/models/official/efficientnet/lite. NOTICE says where the weights come
from; `scripts/make_efficientnetlite0.py` makes their file.
"""

from __future__ import annotations

import zipfile
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np

from featx.errors import WeightsError
from featx.files import open_file

STEM, TOP = 32, 1280  # channels
STRIDE = 32
EPSILON = 1e-3


class Stage(NamedTuple):
    """Blocks in a row: how many, the window of their depthwise convolutions, the stride of the first, and widths."""

    blocks: int
    window: int
    stride: int
    expansion: int
    channels: int


STAGES = (
    Stage(1, 3, 1, 1, 16),
    Stage(2, 3, 2, 6, 24),
    Stage(2, 5, 2, 6, 40),
    Stage(3, 3, 2, 6, 80),
    Stage(3, 5, 1, 6, 112),
    Stage(4, 5, 2, 6, 192),
    Stage(1, 3, 1, 6, 320),
)


def efficientnetlite0(keras: ModuleType, input_shape: tuple[int, int, int], pooling: str | None = None) -> Any:
    """Build the network without its classifier; its input is (x - 127) / 128 of RGB pixels x from 0 to 255.

    The names of layers follow Keras's other EfficientNets: `stem_conv`, `block2a_dwconv`, `top_activation`.

    Raises:
        ValueError: The images have less than 32 pixels on a side.
    """
    if min(input_shape[:2]) < STRIDE:
        raise ValueError(f"expected at least {STRIDE} pixels on a side")
    layers = keras.layers
    images = layers.Input(input_shape)
    x = _normalised(keras, _convolution(keras, STEM, 3, 2, "stem_conv")(images), "stem_bn", "stem_activation")
    for number, stage in enumerate(STAGES, start=1):
        for index in range(stage.blocks):
            x = _block(keras, x, stage, index == 0, f"block{number}{'abcd'[index]}_")
    x = _normalised(keras, _convolution(keras, TOP, 1, 1, "top_conv")(x), "top_bn", "top_activation")
    if pooling == "avg":
        x = layers.GlobalAveragePooling2D(name="avg_pool")(x)
    elif pooling == "max":
        x = layers.GlobalMaxPooling2D(name="max_pool")(x)
    return keras.Model(images, x, name="efficientnetlite0")


def load_float16(model: Any, path: Path) -> None:
    """Give a network the weights of the file that comes with featx, as float32.

    Raises:
        WeightsError: The file cannot be read, or it is not of this network.
    """
    try:
        with open_file(path) as file, np.load(file, allow_pickle=False) as arrays:
            for layer in model.layers:
                if layer.weights:
                    names = [f"{layer.name}/{weight.name}" for weight in layer.weights]
                    layer.set_weights([arrays[name].astype(np.float32) for name in names])
    except (OSError, EOFError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise WeightsError(damaged(path)) from error


def damaged(path: Path) -> str:
    """Return the message about a file that came with featx and is not as it was."""
    return (
        f"Expected the weights that come with featx in {path}, but the file is missing or damaged; install featx "
        "again with pip install --force-reinstall --no-deps featx."
    )


def _block(keras: ModuleType, x: Any, stage: Stage, first: bool, name: str) -> Any:
    """One inverted residual block: expand, convolve each channel, project; the input is added where shapes agree."""
    layers, stride, before = keras.layers, stage.stride if first else 1, x
    channels = x.shape[-1]
    if stage.expansion > 1:
        expanded = _convolution(keras, channels * stage.expansion, 1, 1, f"{name}expand_conv")(x)
        x = _normalised(keras, expanded, f"{name}expand_bn", f"{name}expand_activation")
    depthwise = layers.DepthwiseConv2D(stage.window, stride, padding="same", use_bias=False, name=f"{name}dwconv")
    x = _normalised(keras, depthwise(x), f"{name}bn", f"{name}activation")
    x = _normalised(keras, _convolution(keras, stage.channels, 1, 1, f"{name}project_conv")(x), f"{name}project_bn")
    return x if stride > 1 or channels != stage.channels else layers.Add(name=f"{name}add")([x, before])


def _convolution(keras: ModuleType, channels: int, window: int, stride: int, name: str) -> Any:
    return keras.layers.Conv2D(channels, window, stride, padding="same", use_bias=False, name=name)


def _normalised(keras: ModuleType, x: Any, name: str, activation: str | None = None) -> Any:
    x = keras.layers.BatchNormalization(epsilon=EPSILON, name=name)(x)
    return x if activation is None else keras.layers.ReLU(6.0, name=activation)(x)
