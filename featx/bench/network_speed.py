"""How fast networks are run on this machine: each engine beside Keras's `predict` and the matrix product."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.networks import Engine, KerasNetwork, Network, Weights, build_network, has_openvino
from featx.recipes import FeatureSpec
from featx.store import Store

MATRIX = 4096
PREDICT_BATCH = 32


@dataclass(frozen=True)
class NetworkSpeed:
    """An engine's speed, as the median of rounds that took turns.

    Attributes:
        engine: `predict` (Keras's own, in batches of 32), `keras` or `openvino`.
        images_per_second: Of the network alone, without decoding.
        times_as_fast_as_predict: The same as a multiple of `predict`.
        gflops: 10⁹ floating-point operations a second in convolutions and dense layers.
        share_of_matrix_product: The same as a share of what this machine reaches in a product of two float32
            matrices.
    """

    engine: str
    images_per_second: float
    times_as_fast_as_predict: float
    gflops: float
    share_of_matrix_product: float

    def to_json(self) -> dict[str, Any]:
        """Return the attributes, rounded."""
        return rounded(asdict(self))


def network_speeds(
    spec: FeatureSpec, weights: Weights, store: Store, images: int = 32, rounds: int = 5
) -> list[NetworkSpeed]:
    """Measure the engines that are installed here, and `predict`.

    Args:
        spec: Which network.
        weights: What `find_weights` found for it; they do not change the speed.
        store: Where converted networks are kept.
        images: Generated images a round.
        rounds: How often the engines take turns, after one time that is not counted.
    """
    size = spec.images.size
    generator = np.random.default_rng(0)
    pixels = generator.normal(0, 50, (images, size, size, 3)).astype(np.float32)
    matrix = generator.normal(size=(MATRIX, MATRIX)).astype(np.float32)
    model = KerasNetwork(spec.backbone, size, weights).model
    engines: tuple[Engine, ...] = ("keras", "openvino") if has_openvino() else ("keras",)
    ways: dict[str, Callable[[], object]] = {
        "matrix product": lambda: matrix @ matrix,
        "predict": lambda: model.predict(pixels, batch_size=PREDICT_BATCH, verbose=0),
        **{engine: streamed(build_network(spec, weights, store, engine), pixels) for engine in engines},
    }
    seconds = median_seconds(ways, rounds)
    product = 2 * MATRIX**3 / seconds.pop("matrix product")
    operations = floating_point_operations(model)
    return [
        NetworkSpeed(
            engine=name,
            images_per_second=images / taken,
            times_as_fast_as_predict=seconds["predict"] / taken,
            gflops=operations * images / taken / 1e9,
            share_of_matrix_product=operations * images / taken / product,
        )
        for name, taken in seconds.items()
    ]


def rounded(figures: Mapping[str, Any]) -> dict[str, Any]:
    """Return figures to three decimal places, and names as they are."""
    return {name: value if isinstance(value, str) else round(value, 3) for name, value in figures.items()}


def median_seconds(ways: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Run several things in turn, so that whatever else the machine does slows all alike; return medians.

    The first round warms up and is not counted.
    """
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds + 1):
        for name, run in ways.items():
            start = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - start)
    return {name: float(np.median(taken[1:])) for name, taken in seconds.items()}


def floating_point_operations(model: Any) -> int:
    """Count the operations of a Keras model's convolutions and dense layers on one image.

    A multiplication and an addition count as two. What lies between (normalisation, activations, pooling) is
    left out, as is usual.
    """
    total = 0
    for layer in model.layers:
        if hasattr(layer, "layers"):
            total += floating_point_operations(layer)
        elif getattr(layer, "kernel", None) is not None:
            # Each output value of a (depthwise) convolution takes one product with the kernel's window.
            positions = math.prod(layer.output.shape[1:-1])
            total += 2 * positions * math.prod(layer.kernel.shape)
    return total


def streamed(network: Network, pixels: NDArray[np.float32]) -> Callable[[], int]:
    """Return what sends images through a network, in batches of its own size."""
    size = network.batch_size
    return lambda: sum(len(rows) for rows in network.stream(np.split(pixels, range(size, len(pixels), size))))
