"""The report's way of fitting, timed for a few steps: every image goes through the whole network in every step."""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.data import read_data
from featx.features import Image, hash_images, view_spec_of
from featx.heads import Head
from featx.images import decode, read_bytes, resize, view
from featx.networks import KerasNetwork, find_weights, load_keras
from featx.progress import report_progress
from featx.recipes import Recipe
from featx.store import KnownFiles, Store

BATCH = 10
VALIDATION = 0.2


@dataclass(frozen=True)
class Yardstick:
    """What a few steps of the report's way took here.

    Attributes:
        steps: Training steps timed, after one that is not.
        step: Median seconds of a training step of 10 images.
        held_out: Median seconds of a validation step of 10 images.
        steps_an_epoch: Training steps an epoch, as the report has them: the last, partial batch is dropped.
        held_out_an_epoch: Validation steps an epoch, likewise.
        epochs: That the whole is reckoned for.
    """

    steps: int
    step: float
    held_out: float
    steps_an_epoch: int
    held_out_an_epoch: int
    epochs: int

    @property
    def seconds(self) -> float:
        """What all epochs would take, extrapolated."""
        return self.epochs * (self.steps_an_epoch * self.step + self.held_out_an_epoch * self.held_out)


def time_report_way(data: Path, recipe: Recipe, steps: int, epochs: int, cache: Path) -> Yardstick:
    """Time some steps of the report's way on this machine.

    Args:
        data: Folder with `train`.
        recipe: Backbone, head and views.
        steps: Training steps to time, at least 1, and as many validation steps.
        epochs: That the whole is reckoned for.
        cache: Where known files are kept.

    Raises:
        FeatxError: The data or the weights cannot be had.
    """
    dataset = read_data(data)
    items = [item for item in dataset.items if item.split == "train"]
    images, _ = hash_images(items, "fail", KnownFiles(Store(cache).root))
    order = np.random.default_rng(recipe.fit.seed).permutation(len(images))
    shuffled = [images[number] for number in order]
    model = _whole_model(recipe, len(dataset.classes))
    train, held_out = [], []
    for number in range(steps + 1):
        chosen = [shuffled[(number * BATCH + k) % len(shuffled)] for k in range(BATCH)]
        labels = np.array([dataset.classes.index(str(image.item.label)) for image in chosen])
        start = time.perf_counter()
        model.train_on_batch(_batch(chosen, recipe, number), labels)
        middle = time.perf_counter()
        model.test_on_batch(_batch(chosen, recipe, number), labels)
        train.append(middle - start)
        held_out.append(time.perf_counter() - middle)
        report_progress("the report's way", number + 1, steps + 1)
    held = round(VALIDATION * len(images))
    # The first step traces the graph.
    return Yardstick(
        steps=steps,
        step=statistics.median(train[1:]),
        held_out=statistics.median(held_out[1:]),
        steps_an_epoch=(len(images) - held) // BATCH,
        held_out_an_epoch=held // BATCH,
        epochs=epochs,
    )


def _whole_model(recipe: Recipe, classes: int) -> Any:
    keras = load_keras()
    weights = find_weights(recipe.backbone.name, recipe.backbone.weights)
    network = KerasNetwork(recipe.backbone, recipe.images.size, weights, BATCH)
    head = Head.build(recipe.head, network.width, classes, recipe.fit.seed)
    layers = [network.model, keras.layers.Flatten(), *head.model.layers[1:]]
    inputs = keras.Input((recipe.images.size, recipe.images.size, 3))
    outputs = inputs
    for layer in layers:
        outputs = layer(outputs)
    model = keras.Model(inputs, outputs)
    loss = "binary_crossentropy" if recipe.head.output == "sigmoid" else "sparse_categorical_crossentropy"
    model.compile("adam", loss=loss, metrics=["accuracy"])
    return model


def _batch(images: list[Image], recipe: Recipe, number: int) -> NDArray[np.float32]:
    """Read, decode, augment and rescale images, as the report does in every step."""
    spec = view_spec_of(recipe)
    drawn = []
    for image in images:
        plain = decode(read_bytes(image.item.path, image.item.id), image.item.id)
        small = resize(plain, recipe.images.size, recipe.images.resize)
        drawn.append(view(small, spec, image.digest, number + 1))
    return np.stack(drawn).astype(np.float32) / np.float32(255)
