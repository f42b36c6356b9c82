"""How fast each engine runs a network, beside Keras's `predict` and the machine's own matrix product.

    python benchmarks/engines.py [--backbone vgg16] [--weights random] [--images 64] [--rounds 5]
                                 [--batch-sizes 4,16] [--jpegs 0]

All ways take turns, round after round, so that whatever else the machine does slows all alike; the median of the
rounds counts. GFLOP/s count a multiplication and an addition as two, of the
convolutions alone. With --jpegs N, N generated JPEGs are extracted as well, and that is compared with the
time that the network alone takes for as many images.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from memory import generated

from featx.bench import MATRIX, floating_point_operations, median_seconds, streamed
from featx.features import default_recipe, extract
from featx.networks import BATCH_SIZES, KerasNetwork, build_network, find_weights, has_openvino
from featx.recipes import Recipe
from featx.store import Store

Run = Callable[[], object]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backbone", default="vgg16")
    parser.add_argument("--weights", default="random")
    parser.add_argument("--images", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batch-sizes", default="", help="beside each engine's own, such as 1,2,8")
    parser.add_argument("--jpegs", type=int, default=0)
    options = parser.parse_args()
    spec = default_recipe(options.backbone).replaced({"backbone.weights": options.weights})
    sizes = [int(size) for size in options.batch_sizes.split(",") if size]
    with tempfile.TemporaryDirectory() as folder:
        runs, operations = ways(spec, Path(folder), options.images, sizes)
        print_table(median_seconds(runs, options.rounds), options.images, operations / 1e9)
        if options.jpegs:
            compare_extraction(spec, Path(folder), options.jpegs)


def ways(spec: Recipe, folder: Path, images: int, sizes: list[int]) -> tuple[dict[str, Run], int]:
    """What is timed, by name, and the network's operations on an image."""
    weights = find_weights(spec.backbone.name, spec.backbone.weights)
    generator = np.random.default_rng(0)
    pixels = generator.normal(0, 50, (images, spec.images.size, spec.images.size, 3)).astype(np.float32)
    matrix = generator.normal(size=(MATRIX, MATRIX)).astype(np.float32)
    model = KerasNetwork(spec.backbone, spec.images.size, weights).model
    found: dict[str, Run] = {
        "matrix product (numpy)": lambda: matrix @ matrix,
        "keras predict, batches of 32": lambda: model.predict(pixels, batch_size=32, verbose=0),
    }
    for engine in ("keras", "openvino") if has_openvino() else ("keras",):
        for size in sorted({BATCH_SIZES[engine], *sizes}):
            network = build_network(spec, weights, Store(folder / "cache"), engine, size)
            found[f"engine {engine}, batches of {size}"] = streamed(network, pixels)
    return found, floating_point_operations(model)


def print_table(seconds: dict[str, float], images: int, gflop: float) -> None:
    names = list(seconds)
    product = 2 * MATRIX**3 / 1e9 / seconds[names[0]]
    predict = images / seconds[names[1]]
    print(f"{os.cpu_count()} CPUs, load {os.getloadavg()[0]:.1f}; {names[0]}: {product:.0f} GFLOP/s")
    print(f"{'':34}{'images/s':>10}{'of predict':>12}{'GFLOP/s':>10}{'of product':>12}")
    for name in names[1:]:
        rate = images / seconds[name]
        flops = f"{rate * gflop:>10.0f}{rate * gflop / product:>12.2f}"
        print(f"{name:34}{rate:>10.2f}{rate / predict:>12.2f}{flops}")


def compare_extraction(spec: Recipe, folder: Path, count: int) -> None:
    """Time the extraction of JPEGs against the network alone on as many images, each twice in turn."""
    data = generated(folder / "data", count)
    weights = find_weights(spec.backbone.name, spec.backbone.weights)
    network = build_network(spec, weights, Store(folder / "cache"), "auto")
    batch = np.zeros((network.batch_size, spec.images.size, spec.images.size, 3), np.float32)
    batches = -(-count // network.batch_size)
    alone, whole = [], []
    for turn in range(2):
        start = time.perf_counter()
        sum(len(rows) for rows in network.stream(batch for _ in range(batches)))
        alone.append(time.perf_counter() - start)
        # A cache of its own has no rows, and makes its network anew; that is no part of the comparison.
        cache = folder / f"cache-{turn}"
        build_network(spec, weights, Store(cache), "auto")
        whole.append(extract(data, spec, cache=cache).seconds)
    ratio = statistics.median(whole) / statistics.median(alone)
    print(
        f"{count} JPEGs by {network.name}: network alone {statistics.median(alone):.1f} s, "
        f"extraction {statistics.median(whole):.1f} s, ratio {ratio:.3f}"
    )


if __name__ == "__main__":
    main()
