"""What training a head would take, before it begins: memory, disk, and time at the pace of its first steps."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from featx.data import Dataset
from featx.features import Extraction
from featx.heads.engines import FitEngine, engine_on_cpu
from featx.heads.sampling import TrainingBatches
from featx.heads.training import Labels
from featx.limits import Pace, check_disk, check_memory
from featx.networks import BACKBONES, find_card, gpu_is_there
from featx.recipes import DenseLayer, HeadPart, Recipe

# Peak memory of a process that trains a head on a CPU, measured on Linux (docs/performance.md): what the libraries
# take, and what each weight adds (itself, both moments of Adam, and room to update them).
PROCESS_BYTES = 950_000_000
BYTES_A_WEIGHT = {"fused": 25, "keras": 35}
BYTES_KEPT = 4  # more for each weight where those of the best epoch are kept, or the mean of the last ones
SMALLER = "use pooling, or lower the units of the head's layers (head.layers), fit.members or fit.batch_size"


def fit_bytes(recipe: Recipe, width: int, classes: int, engine: FitEngine, *, multilabel: bool = False) -> int:
    """Estimate the peak memory, in bytes, of a process that trains a head on rows of `width` features on a CPU."""
    return PROCESS_BYTES + _weight_bytes(recipe, width, recipe.head.outputs(classes, multilabel), engine)


def check_fit_memory(recipe: Recipe, width: int | None, dataset: Dataset, engine: FitEngine) -> None:
    """Check that the weights of a head and the batches of its training fit into memory.

    Args:
        recipe: Its head and fit are used.
        width: Features of a row; None where they are not computed yet: those of a backbone that featx knows by name
            or whose card says it, and at least one of another.
        dataset: The images.
        engine: What trains the head.

    Raises:
        ResourcesError: They do not fit.
    """
    width = width or _known_width(recipe)
    weights = _weight_bytes(recipe, width, recipe.head.outputs(len(dataset.classes), dataset.multilabel), engine)
    rows = min(recipe.fit.batch_size, len(dataset.items))
    batch = 4 * rows * (2 * width + 2 * sum(_units(recipe.head)))
    check_memory(weights + batch, "training the head", SMALLER, on_gpu=gpu_is_there())


def check_fit_disk(extraction: Extraction, recipe: Recipe, out: Path) -> None:
    """Check that the head's file and its penultimate features fit onto their disks.

    Raises:
        ResourcesError: They do not fit.
    """
    dataset = extraction.dataset
    weights = _weights(recipe, extraction.dim, recipe.head.outputs(len(dataset.classes), dataset.multilabel))
    check_disk(4 * weights, out, "the file of the head", SMALLER)
    names = recipe.head.dense_names()
    if recipe.head.penultimate is not None:
        units = _units(recipe.head)[names.index(recipe.head.penultimate)] * recipe.fit.members
        what = f"storing {extraction.rows:,} rows of penultimate features"
        check_disk(4 * units * extraction.rows, extraction.store.root, what, "lower the layer's units or --views")


class PacedBatches:
    """Batches of training, which stop with an error once it is seen that all epochs would take more than a day."""

    def __init__(self, batches: TrainingBatches, epochs: int) -> None:
        self._batches = batches
        self._pace = Pace(
            epochs * batches.steps,
            f"training for {epochs:,} epochs",
            "lower --epochs (fit.epochs); the features are in the cache",
        )

    def epoch(self, number: int) -> Iterator[tuple[NDArray[np.float32], Labels]]:
        """Yield the epoch's batches: (n, d) rows and their labels."""
        for batch in self._batches.epoch(number):
            yield batch
            self._pace.step()


def _units(head: HeadPart) -> list[int]:
    return [layer.units for layer in head.layers if isinstance(layer, DenseLayer)]


def _weight_bytes(recipe: Recipe, width: int, outputs: int, engine: FitEngine) -> int:
    kept = BYTES_KEPT if recipe.fit.keeps_best or recipe.fit.average > 1 else 0
    each = BYTES_A_WEIGHT[engine_on_cpu(engine, recipe.head)] + kept
    return each * _weights(recipe, width, outputs)


def _weights(recipe: Recipe, width: int, outputs: int) -> int:
    """Return the number of weights of all members of a head."""
    widths = [width, *_units(recipe.head), outputs]
    return recipe.fit.members * sum((before + 1) * after for before, after in pairwise(widths))


def _known_width(recipe: Recipe) -> int:
    part = recipe.backbone
    card = find_card(part.name, part.weights) if part.cut is None else None
    if card is not None:
        return card.about.width or 1 if card.output.pooling == part.pooling else 1
    backbone = BACKBONES.get(part.name.lower())
    if backbone is None or part.cut is not None:
        return 1
    return backbone.width(part.pooling, recipe.images.shape)
