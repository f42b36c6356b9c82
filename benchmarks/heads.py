"""A step of a head's fit by featx's engines, PyTorch's fused Adam and scikit-learn's MLPClassifier, in one run.

    python benchmarks/heads.py [--recipe covid4-vgg16] [--width 25088] [--rounds 5]

All take turns on the same generated rows, which are zero about as often as VGG16's. PyTorch is left out where
it is not installed. scikit-learn's network has the same layers, but no dropout.
"""

from __future__ import annotations

import argparse
import importlib.util
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.neural_network import MLPClassifier

from featx.bench import STEPS_A_ROUND, contenders, generated_batches, median_seconds
from featx.heads import TrainingBatches
from featx.recipes import DenseLayer, DropoutLayer, Recipe, load_recipe

CLASSES = 4


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", default="covid4-vgg16")
    parser.add_argument("--width", type=int, default=25_088)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    recipe = load_recipe(options.recipe)
    batches = generated_batches(recipe, options.width, CLASSES)
    ways = contenders(recipe, options.width, CLASSES)
    ways["scikit-learn MLPClassifier"] = by_sklearn(recipe, batches)
    if importlib.util.find_spec("torch"):
        ways["PyTorch, fused Adam"] = by_torch(recipe, options.width, batches)
    seconds = median_seconds(ways, options.rounds)
    for name, taken in seconds.items():
        print(f"{name:28}{1e3 * taken / STEPS_A_ROUND:9.1f} ms a step{taken / seconds['floor']:8.2f} × floor")


def by_sklearn(recipe: Recipe, batches: TrainingBatches) -> Callable[[], None]:
    units = tuple(layer.units for layer in recipe.head.layers if isinstance(layer, DenseLayer))
    model = MLPClassifier(units, batch_size=recipe.fit.batch_size, learning_rate_init=recipe.fit.learning_rate)
    classes = np.arange(CLASSES)

    def run() -> None:
        for rows, labels in batches.epoch(0):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                model.partial_fit(rows, labels, classes=classes)

    return run


def by_torch(recipe: Recipe, width: int, batches: TrainingBatches) -> Callable[[], None]:
    import torch

    layers: list[Any] = []
    for layer in recipe.head.layers:
        if isinstance(layer, DropoutLayer):
            layers.append(torch.nn.Dropout(layer.rate))
        else:
            layers.append(torch.nn.Linear(width, layer.units))
            layers += [torch.nn.ReLU()] if layer.activation == "relu" else []
            width = layer.units
    model = torch.nn.Sequential(*layers, torch.nn.Linear(width, CLASSES))
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
