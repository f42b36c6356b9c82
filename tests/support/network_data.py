"""Small networks and pixels for the tests of engines."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.networks import KerasNetwork, find_weights, is_model_file, load_keras
from featx.recipes import BackbonePart


def keras_network(
    name: str, source: str | None = None, *, size: int = 32, batch_size: int = 4, **fields: Any
) -> KerasNetwork:
    """A small network: of random weights where it is named, with its own where it is a file."""
    source = source or ("imagenet" if is_model_file(name) else "random")
    part = BackbonePart(name=name, weights=source, **fields)
    return KerasNetwork(part, (size, size), find_weights(name, source), batch_size=batch_size)


def some_pixels(n: int = 4, size: int = 32, seed: int = 0) -> NDArray[np.float32]:
    """Preprocessed images, shape (n, size, size, 3)."""
    return np.random.default_rng(seed).normal(size=(n, size, size, 3)).astype(np.float32)


def random_mobilenet(size: int) -> Any:
    """A MobileNetV2 of Keras with random weights, those of its normalisation too."""
    model = load_keras().applications.MobileNetV2(include_top=False, weights=None, input_shape=(size, size, 3))
    generator = np.random.default_rng(0)
    model.set_weights([value + generator.normal(0, 0.01, value.shape).clip(0) for value in model.get_weights()])
    return model
