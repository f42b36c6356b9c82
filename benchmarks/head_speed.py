"""How long a step of training a head takes with each engine, beside the lower bound of Adam's arithmetic.

    python benchmarks/head_speed.py [--recipe covid4-vgg16] [--width N] [--rounds 5] [--others]

The lower bound is one pass of Adam's arithmetic over the weights and both moments, with a constant gradient. With
--others, scikit-learn's MLPClassifier (the same layers, without dropout) and, where it is installed, PyTorch with its
fused Adam are measured as well. All run in turn on the same generated rows, which are zero about as often as VGG16's.
"""

from __future__ import annotations

import argparse
import importlib.util
import tempfile
import warnings
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
from network_speed import median_seconds, source_of
from numpy.typing import NDArray
from sklearn.neural_network import MLPClassifier

from featx.heads import Fitter, FusedFitter, KerasFitter, TrainingBatches, adam_everywhere, check_engine
from featx.recipes import DenseLayer, DropoutLayer, Recipe, load_recipe

# How unevenly VGG16's last map is active on radiographs: the share of images in which a feature is not zero
# has a mean of 0.23, and a tenth of the features is hardly ever active.
ACTIVITY = (1 / 3, 10 / 9)
STEPS = 5  # of each engine in a round
CLASSES = 4
LOWER_BOUND = "lower bound"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", default="covid4-vgg16", help="its head and batch size are measured")
    parser.add_argument("--width", type=int, help="features of an image; those of the recipe's network if not given")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--others", action="store_true", help="measure scikit-learn and PyTorch as well")
    options = parser.parse_args()
    recipe = load_recipe(options.recipe)
    width = options.width or width_of(recipe)
    classes = 2 if recipe.head.output == "sigmoid" else CLASSES
    seconds = median_seconds(runs_of(recipe, width, classes, others=options.others), options.rounds)
    print(f"{recipe.name}: {width} features, steps of {recipe.fit.batch_size} images")
    for name, taken in seconds.items():
        print(
            f"{name:28}{1e3 * taken / STEPS:9.1f} ms a step{taken / seconds[LOWER_BOUND]:8.2f} × lower bound"
            f"{seconds['keras'] / taken:8.2f} × as fast as keras"
        )


def width_of(recipe: Recipe) -> int:
    with tempfile.TemporaryDirectory() as folder:
        return source_of(recipe.replaced({"backbone.weights": "random"}), Path(folder)).facts().width


def runs_of(recipe: Recipe, width: int, classes: int, *, others: bool) -> dict[str, Callable[[], object]]:
    """What is timed, by name; each call takes `STEPS` steps."""
    check_engine("fused", recipe.head)
    n = STEPS * recipe.fit.batch_size
    batches = TrainingBatches(generated_rows(n, width), np.arange(n) % classes, 1, recipe.fit.batch_size, 0)
    keras = KerasFitter(recipe, width, classes)
    fitters: list[Fitter] = [FusedFitter(recipe, width, classes), keras]
    runs = {fitter.name: by_featx(fitter, batches, recipe.fit.learning_rate) for fitter in fitters}
    runs[LOWER_BOUND] = adam_alone(keras.head().parameters())
    if others:
        runs["scikit-learn MLPClassifier"] = by_sklearn(recipe, batches, classes)
        if importlib.util.find_spec("torch"):
            runs["PyTorch, fused Adam"] = by_torch(recipe, width, batches, classes)
    return runs


def generated_rows(n: int, width: int) -> NDArray[np.float32]:
    """Rows, shape (n, width), that are zero about as often, and as unevenly, as VGG16's on radiographs."""
    generator = np.random.default_rng(0)
    activity = generator.beta(*ACTIVITY, width)
    rows = generator.exponential(0.7, (n, width)).astype(np.float32)
    rows[generator.random((n, width)) >= activity] = 0
    return rows


def by_featx(fitter: Fitter, batches: TrainingBatches, rate: float) -> Callable[[], object]:
    epochs = count()
    return lambda: fitter.run_epoch(batches, next(epochs), rate, False)


def adam_alone(size: int) -> Callable[[], None]:
    weights, first, second = (np.zeros((size // 2048 + 1, 2048), np.float32) for _ in range(3))
    gradient, rate = np.float32(1e-3), np.float32(1e-3)

    def run() -> None:
        for _ in range(STEPS):
            adam_everywhere(weights, first, second, gradient, rate)

    return run


def by_sklearn(recipe: Recipe, batches: TrainingBatches, classes: int) -> Callable[[], None]:
    units = tuple(layer.units for layer in recipe.head.layers if isinstance(layer, DenseLayer))
    model = MLPClassifier(units, batch_size=recipe.fit.batch_size, learning_rate_init=recipe.fit.learning_rate)

    def run() -> None:
        for rows, labels in batches.epoch(0):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                model.partial_fit(rows, labels, classes=np.arange(classes))

    return run


def by_torch(recipe: Recipe, width: int, batches: TrainingBatches, classes: int) -> Callable[[], None]:
    import torch

    layers: list[Any] = []
    for layer in recipe.head.layers:
        if isinstance(layer, DropoutLayer):
            layers.append(torch.nn.Dropout(layer.rate))
        else:
            layers.append(torch.nn.Linear(width, layer.units))
            layers += [torch.nn.ReLU()] if layer.activation == "relu" else []
            width = layer.units
    model = torch.nn.Sequential(*layers, torch.nn.Linear(width, classes))
    adam = torch.optim.Adam(model.parameters(), lr=recipe.fit.learning_rate, eps=1e-7, fused=True)
    loss = torch.nn.CrossEntropyLoss()

    def run() -> None:
        for rows, labels in batches.epoch(0):
            adam.zero_grad()
            loss(model(torch.from_numpy(rows)), torch.from_numpy(labels)).backward()
            adam.step()

    return run


if __name__ == "__main__":
    main()
