"""How fast heads are fitted on this machine: each engine's step against the floor, in one run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from itertools import count
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.bench.network_speed import median_seconds, rounded
from featx.heads import Fitter, FusedFitter, KerasFitter, TrainingBatches, check_engine
from featx.recipes import Recipe

# How unevenly VGG16's last map is active on radiographs: the share of images in which a feature is not zero
# has a mean of 0.23, and a tenth of the features is hardly ever active.
ACTIVITY = (1 / 3, 10 / 9)
STEPS_A_ROUND = 5


@dataclass(frozen=True)
class HeadSpeed:
    """A fitting engine's speed, as medians over rounds that took turns.

    Attributes:
        engine: `fused`, `keras`, or `floor`: one pass of Adam's arithmetic over weights and both moments.
        step_ms: Milliseconds a step.
        times_floor: The same as a multiple of the floor.
        times_as_fast_as_keras: Steps a second, as a multiple of the engine `keras`.
    """

    engine: str
    step_ms: float
    times_floor: float
    times_as_fast_as_keras: float

    def to_json(self) -> dict[str, Any]:
        """Return the attributes, rounded."""
        return rounded(asdict(self))


def head_speeds(recipe: Recipe, width: int, classes: int = 4, rounds: int = 7) -> list[HeadSpeed]:
    """Measure the steps of the engines that can fit a recipe's head, and the floor.

    Args:
        recipe: Its head and batch size.
        width: Features a row. The rows are generated, zero where VGG16's would be about as often.
        classes: Number of classes.
        rounds: How often the engines take turns; the first of each is not counted.

    Raises:
        RecipeError: The engine `fused` does not know a layer.
    """
    medians = median_seconds(contenders(recipe, width, classes), rounds)
    taken = {name: seconds / STEPS_A_ROUND for name, seconds in medians.items()}
    return [
        HeadSpeed(name, 1e3 * seconds, seconds / taken["floor"], taken["keras"] / seconds)
        for name, seconds in taken.items()
    ]


def contenders(recipe: Recipe, width: int, classes: int) -> dict[str, Callable[[], object]]:
    """Return what is timed, by name; each call takes `STEPS_A_ROUND` steps.

    Raises:
        RecipeError: The engine `fused` does not know a layer.
    """
    check_engine("fused", recipe.head)
    batches = generated_batches(recipe, width, classes)
    keras = KerasFitter(recipe, width, classes)
    fitters: list[Fitter] = [FusedFitter(recipe, width, classes), keras]
    found = {fitter.name: _stepper(fitter, batches, recipe.fit.learning_rate) for fitter in fitters}
    return {**found, "floor": _floor(keras.head().parameters())}


def _stepper(fitter: Fitter, batches: TrainingBatches, rate: float) -> Callable[[], object]:
    epochs = count()
    return lambda: fitter.run_epoch(batches, next(epochs), rate, False)


def generated_batches(recipe: Recipe, width: int, classes: int) -> TrainingBatches:
    """Return generated rows and labels, `STEPS_A_ROUND` batches an epoch."""
    n = STEPS_A_ROUND * recipe.fit.batch_size
    return TrainingBatches(generated_rows(n, width), np.arange(n) % classes, 1, recipe.fit.batch_size, 0)


def generated_rows(n: int, width: int, seed: int = 0) -> NDArray[np.float32]:
    """Return (n, width) rows that are zero about as often, and as unevenly, as VGG16's on radiographs."""
    generator = np.random.default_rng(seed)
    activity = generator.beta(*ACTIVITY, width)
    rows = generator.exponential(0.7, (n, width)).astype(np.float32)
    rows[generator.random((n, width)) >= activity] = 0
    return rows


def _floor(size: int) -> Callable[[], None]:
    from featx.heads import adam_everywhere

    weights, first, second = (np.zeros((size // 2048 + 1, 2048), np.float32) for _ in range(3))
    gradient, rate = np.float32(1e-3), np.float32(1e-3)

    def run() -> None:
        for _ in range(STEPS_A_ROUND):
            adam_everywhere(weights, first, second, gradient, rate)

    return run
