"""How fast each engine runs a network, beside Keras's `predict` and a matrix product on the same machine.

    python benchmarks/network_speed.py [--recipe covid4-vgg16 | --backbone NAME] [--weights random] [--images 32]
                                       [--rounds 5] [--batch-sizes 4,16] [--jpegs 0]

All run in turn, round after round, so that other work on the machine slows all of them alike; the first round is not
counted, and the median of the others is printed. GFLOP/s count a multiplication and an addition as two operations, in
convolutions and dense layers alone. With --jpegs N, N generated JPEGs are extracted as well, and the time is compared
with that of the network alone on as many images.
"""

from __future__ import annotations

import argparse
import math
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from memory import generated
from numpy.typing import NDArray

from featx.features import default_recipe, extract
from featx.networks import BATCH_SIZES, KerasNetwork, Network, NetworkSource, find_weights, has_openvino
from featx.recipes import Recipe, load_recipe
from featx.store import Store

MATRIX = 4096
PREDICT_BATCH = 32


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", default="covid4-vgg16", help="its network is measured")
    parser.add_argument("--backbone", help="measured instead of the recipe's")
    parser.add_argument("--weights", default="random", help="random weights are as fast as others")
    parser.add_argument("--images", type=int, default=32, help="generated images in each round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batch-sizes", default="", help="beside each engine's default, such as 1,2,8")
    parser.add_argument("--jpegs", type=int, default=0)
    options = parser.parse_args()
    spec = default_recipe(options.backbone) if options.backbone else load_recipe(options.recipe)
    spec = spec.replaced({"backbone.weights": options.weights})
    sizes = [int(size) for size in options.batch_sizes.split(",") if size]
    with tempfile.TemporaryDirectory() as folder:
        source = source_of(spec, Path(folder) / "cache")
        runs, operations = runs_of(source, options.images, sizes)
        print_table(median_seconds(runs, options.rounds), options.images, operations / 1e9)
        if options.jpegs:
            compare_extraction(spec, Path(folder), options.jpegs)


def source_of(spec: Recipe, cache: Path) -> NetworkSource:
    weights = find_weights(spec.backbone.name, spec.backbone.weights)
    return NetworkSource(spec.backbone, spec.images.shape, weights, Store(cache))


def runs_of(source: NetworkSource, images: int, sizes: list[int]) -> tuple[dict[str, Callable[[], object]], int]:
    """What is timed, by name, and the network's operations on an image."""
    generator = np.random.default_rng(0)
    pixels = generator.normal(0, 50, (images, *source.shape, 3)).astype(np.float32)
    matrix = generator.normal(size=(MATRIX, MATRIX)).astype(np.float32)
    model = KerasNetwork(source.backbone, source.shape, source.weights).model
    runs: dict[str, Callable[[], object]] = {
        "matrix product (NumPy)": lambda: matrix @ matrix,
        "Keras predict, batches of 32": lambda: model.predict(pixels, batch_size=PREDICT_BATCH, verbose=0),
    }
    for engine in ("keras", "openvino") if has_openvino() else ("keras",):
        for size in sorted({BATCH_SIZES[engine], *sizes}):
            runs[f"engine {engine}, batches of {size}"] = streamed(source.build(engine, size), pixels)
    return runs, floating_point_operations(model)


def streamed(network: Network, pixels: NDArray[np.float32]) -> Callable[[], int]:
    """What sends images through a network, in batches of its own size."""
    size = network.batch_size
    return lambda: sum(len(rows) for rows in network.stream(np.split(pixels, range(size, len(pixels), size))))


def median_seconds(runs: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Run all in turn, so that other work on the machine slows all alike; a first round warms up."""
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds + 1):
        for name, run in runs.items():
            start = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(taken[1:]) for name, taken in seconds.items()}


def floating_point_operations(model: Any) -> int:
    """Count a Keras model's operations on an image in convolutions and dense layers.

    Normalisation, activations and pooling are left out, as is usual. By this count VGG16 at 224 × 224 takes
    15.35 · 10⁹ multiplications (Simonyan and Zisserman) and MobileNetV2 300 · 10⁶ (Sandler et al. 2018, table 4).
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


def print_table(seconds: dict[str, float], images: int, gflop: float) -> None:
    names = list(seconds)
    product = 2 * MATRIX**3 / 1e9 / seconds[names[0]]
    predict = images / seconds[names[1]]
    print(f"{os.cpu_count()} CPUs, load {os.getloadavg()[0]:.1f}; {names[0]}: {product:.0f} GFLOP/s")
    print(f"{'':34}{'images/s':>10}{'× predict':>12}{'GFLOP/s':>10}{'of product':>12}")
    for name in names[1:]:
        rate = images / seconds[name]
        flops = f"{rate * gflop:>10.0f}{rate * gflop / product:>12.0%}"
        print(f"{name:34}{rate:>10.2f}{rate / predict:>12.2f}{flops}")


def compare_extraction(spec: Recipe, folder: Path, count: int) -> None:
    """Time the extraction of JPEGs and the network alone on as many images, each twice in turn."""
    data = generated(folder / "data", count)
    network = source_of(spec, folder / "cache").build()
    batch = np.zeros((network.batch_size, spec.images.size, spec.images.size, 3), np.float32)
    batches = -(-count // network.batch_size)
    alone, whole = [], []
    for turn in range(2):
        start = time.perf_counter()
        sum(len(rows) for rows in network.stream(batch for _ in range(batches)))
        alone.append(time.perf_counter() - start)
        # An empty cache has no rows. The network is converted for it first, which is no part of the comparison.
        cache = folder / f"cache-{turn}"
        source_of(spec, cache).build()
        whole.append(extract(data, spec, cache=cache).seconds)
    ratio = statistics.median(whole) / statistics.median(alone)
    print(
        f"{count} JPEGs by {network.name}: network alone {statistics.median(alone):.1f} s, "
        f"extraction {statistics.median(whole):.1f} s, ratio {ratio:.3f}"
    )


if __name__ == "__main__":
    main()
