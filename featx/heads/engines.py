"""What fits a head: Keras's own loop, or the fused one where it applies."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from featx.errors import RecipeError, UsageError
from featx.heads.head import Head, initial_weights
from featx.heads.training import Batches, KerasLoop
from featx.networks import has_gpu
from featx.recipes import DenseLayer, HeadPart, Recipe

log = logging.getLogger("featx")

FitEngine = Literal["auto", "fused", "keras"]
FUSED_ACTIVATIONS = ("linear", "relu")


class Fitter(Protocol):
    """An engine at work on one head."""

    name: str

    def run_epoch(self, batches: Batches, number: int, rate: float, last: bool, /) -> tuple[float, float]:
        """Step through an epoch at a learning rate; return the mean loss and accuracy of its batches."""
        ...

    def logits(self, chunks: Iterable[NDArray[np.float32]]) -> NDArray[np.float32]:
        """Return the logits of rows, dropout off."""
        ...

    def head(self) -> Head:
        """Return the head as it is fitted; the fitter is then spent."""
        ...


class KerasFitter:
    """Keras's own loop."""

    name = "keras"

    def __init__(self, recipe: Recipe, width: int, classes: int) -> None:
        self._head = Head.build(recipe.head, width, classes, recipe.fit.seed)
        self.run_epoch = KerasLoop(self._head.logits_model, recipe.fit).run_epoch
        self.logits = self._head.logits

    def head(self) -> Head:
        """Return the head."""
        return self._head


class FusedFitter:
    """The fused loop; the Keras model is made when the fit is done."""

    name = "fused"

    def __init__(self, recipe: Recipe, width: int, classes: int) -> None:
        # Numba is loaded for those fits alone that it runs.
        from featx.heads.fused.layers import SeededMasks
        from featx.heads.fused.network import FusedNetwork

        seed = recipe.fit.seed
        weights = initial_weights(recipe.head, width, classes, seed)
        self._make = {"spec": recipe.head, "width": width, "classes": classes, "seed": seed}
        self._network = FusedNetwork(recipe.head, weights, SeededMasks(recipe.head, seed))
        self.run_epoch = self._network.run_epoch
        self.logits = self._network.logits

    def head(self) -> Head:
        """Return the head with the weights that were fitted."""
        made: dict[str, Any] = self._make
        return Head.build(**made, weights=self._network.take_weights())


def make_fitter(engine: FitEngine, recipe: Recipe, width: int, classes: int) -> Fitter:
    """Return what fits a recipe's head on rows of a width.

    Args:
        engine: `auto` is `fused` on a CPU where it knows all of the head's layers, `keras` otherwise.
        recipe: Its head and fit.
        width: Features a row.
        classes: Number of classes.
    """
    if engine == "auto":
        reason = "there is a GPU" if has_gpu() else next(_unknown_layers(recipe.head), None)
        if reason is not None:
            log.info("The head is fitted by the engine keras: %s.", reason)
        engine = "fused" if reason is None else "keras"
    return FusedFitter(recipe, width, classes) if engine == "fused" else KerasFitter(recipe, width, classes)


def engine_on_cpu(engine: FitEngine, head: HeadPart) -> str:
    """Return which engine, `fused` or `keras`, fits a head where there is no GPU; nothing heavy is loaded."""
    if engine == "auto":
        return "fused" if next(_unknown_layers(head), None) is None else "keras"
    return engine


def check_engine(engine: str, head: HeadPart) -> None:
    """Check that there is such an engine and that it knows the head's layers, before any work is done.

    Raises:
        UsageError: There is no such engine.
        RecipeError: The engine is `fused`, and the head has a layer that it does not know.
    """
    if engine not in ("auto", "fused", "keras"):
        raise UsageError(f"Expected the engine auto, fused or keras, received {engine!r}.")
    reason = next(_unknown_layers(head), None)
    if engine == "fused" and reason is not None:
        raise RecipeError(
            f"The engine fused knows dense layers with linear or relu, but {reason}; use keras or auto."
        )


def _unknown_layers(head: HeadPart) -> Iterator[str]:
    names = iter(head.dense_names())
    for layer in head.layers:
        if isinstance(layer, DenseLayer):
            name = next(names)
            if layer.activation not in FUSED_ACTIVATIONS:
                yield f"layer {name} has the activation {layer.activation}"
