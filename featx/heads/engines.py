"""The engines that train a head: `keras`, and `fused` for the layers that it supports."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from featx.errors import RecipeError, UsageError
from featx.heads.head import Head, initial_weights
from featx.heads.training import KerasLoop, Trainer
from featx.networks import has_gpu
from featx.recipes import DenseLayer, HeadPart, Recipe

log = logging.getLogger("featx")

FitEngine = Literal["auto", "fused", "keras"]


class Fitter(Trainer, Protocol):
    """An engine that trains one head."""

    name: str

    def logits(self, chunks: Iterable[NDArray[np.float32]]) -> NDArray[np.float32]:
        """Return the logits of rows, without dropout."""
        ...

    def head(self) -> Head:
        """Return the trained head; the fitter must not be used afterwards."""
        ...


class KerasFitter:
    """Trains a head with Keras."""

    name = "keras"

    def __init__(
        self,
        recipe: Recipe,
        width: int,
        classes: int,
        class_weights: NDArray[np.float32] | None = None,
        *,
        multilabel: bool = False,
    ) -> None:
        self._head = Head.build(recipe.head, width, classes, recipe.fit.seed, multilabel=multilabel)
        loop = KerasLoop(self._head.logits_model, recipe.fit.weight_decay, class_weights, multilabel=multilabel)
        self.run_epoch = loop.run_epoch
        self.keep_weights = loop.keep_weights
        self.restore_weights = loop.restore_weights
        self.logits = self._head.logits

    def head(self) -> Head:
        """Return the trained head."""
        return self._head


class FusedFitter:
    """Trains a head with the fused engine; the Keras model is built when training is done."""

    name = "fused"

    def __init__(
        self,
        recipe: Recipe,
        width: int,
        classes: int,
        class_weights: NDArray[np.float32] | None = None,
        *,
        multilabel: bool = False,
    ) -> None:
        # Numba is loaded only when this engine is used.
        from featx.heads.fused.layers import SeededMasks
        from featx.heads.fused.network import FusedNetwork

        self._arguments = (recipe.head, width, classes, recipe.fit.seed)
        masks = SeededMasks(recipe.head, recipe.fit.seed)
        self._multilabel = multilabel
        drawn = initial_weights(*self._arguments, multilabel=multilabel)
        self._network = FusedNetwork(recipe.head, drawn, masks, recipe.fit.weight_decay, class_weights)
        self.run_epoch = self._network.run_epoch
        self.keep_weights = self._network.keep_weights
        self.restore_weights = self._network.restore_weights
        self.logits = self._network.logits

    def head(self) -> Head:
        """Return the trained head."""
        weights = self._network.take_weights()
        return Head.build(*self._arguments, weights=weights, multilabel=self._multilabel)


def make_fitter(
    engine: FitEngine,
    recipe: Recipe,
    width: int,
    classes: int,
    class_weights: NDArray[np.float32] | None = None,
    *,
    multilabel: bool = False,
) -> Fitter:
    """Return an engine that trains a recipe's head.

    Args:
        engine: `auto` is `fused` if there is no GPU and it supports all layers of the head, and `keras` otherwise.
        recipe: Its head and fit are used.
        width: Number of features in a row.
        classes: Number of classes.
        class_weights: (classes,) how much a row of each class counts in the training loss, such as
            `balanced_weights`; all the same if None. With `multilabel` (classes, 2), such as
            `balanced_label_weights`.
        multilabel: Whether the classes are labels of which a row may have several. The batches then have (n, classes)
            targets with 1, 0 and NaN.
    """
    if engine == "auto":
        reason = "there is a GPU" if has_gpu() else _unsupported_layer(recipe.head)
        if reason:
            log.info("The engine keras trains the head, because %s.", reason)
        engine = "keras" if reason else "fused"
    fitter = FusedFitter if engine == "fused" else KerasFitter
    return fitter(recipe, width, classes, class_weights, multilabel=multilabel)


def engine_on_cpu(engine: FitEngine, head: HeadPart) -> str:
    """Return the engine, `fused` or `keras`, that trains a head if there is no GPU, without loading either."""
    if engine == "auto":
        return "keras" if _unsupported_layer(head) else "fused"
    return engine


def check_engine(engine: str, head: HeadPart) -> None:
    """Check that an engine exists and supports the head's layers, before any work is done.

    Raises:
        UsageError: There is no such engine.
        RecipeError: The engine is `fused`, and it does not support a layer of the head.
    """
    if engine not in ("auto", "fused", "keras"):
        raise UsageError(f"Expected the engine auto, fused or keras, received {engine!r}.")
    reason = _unsupported_layer(head)
    if engine == "fused" and reason:
        raise RecipeError(
            f"The engine fused supports the activations linear and relu, but {reason}; use keras or auto."
        )


def _unsupported_layer(head: HeadPart) -> str | None:
    """Return a clause about the first layer that the engine `fused` does not support, or None."""
    dense = [layer for layer in head.layers if isinstance(layer, DenseLayer)]
    for layer, name in zip(dense, head.dense_names(), strict=True):
        if layer.activation not in ("linear", "relu"):
            return f"layer {name} has the activation {layer.activation}"
    return None
