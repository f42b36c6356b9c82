"""The engines that train a head: `keras`, and `fused` for the layers that it supports."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from featx.errors import RecipeError, UsageError
from featx.heads.head import Head, initial_weights
from featx.heads.keras_loop import KerasLoop, run_epoch
from featx.heads.members import mean_logits, member_by_member
from featx.heads.training import Batches, Trainer
from featx.networks import has_gpu
from featx.recipes import DenseLayer, HeadPart, Recipe

log = logging.getLogger("featx")

FitEngine = Literal["auto", "fused", "keras"]


class Fitter(Trainer, Protocol):
    """An engine that trains one head, of one or more members."""

    name: str

    def logits(self, chunks: Iterable[NDArray[np.float32]]) -> NDArray[np.float32]:
        """Return the logits of rows, without dropout."""
        ...

    def logits_of_members(self, chunks: Iterable[NDArray[np.float32]]) -> NDArray[np.float32]:
        """Return the logits of each member, (members, n, outputs), without dropout."""
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
        fit = recipe.fit
        self._head = Head.build(recipe.head, width, classes, fit.member_seeds(), multilabel=multilabel)
        self._loops = [
            KerasLoop(
                *(model, fit.weight_decay, class_weights), multilabel=multilabel, label_smoothing=fit.label_smoothing
            )
            for model in self._head.member_models
        ]
        self.logits = self._head.logits
        self.logits_of_members = self._head.logits_of_members

    def run_epoch(self, batches: Batches, number: int, rate: float, last: bool) -> tuple[float, float]:
        """Train all members for an epoch; return the mean loss and accuracy of their batches."""
        return run_epoch(self._loops, batches, number, rate)

    def keep_weights(self, nth: int = 1) -> None:
        """Keep the weights of all members, see `Trainer`."""
        for loop in self._loops:
            loop.keep_weights(nth)

    def restore_weights(self) -> None:
        """Put the weights that were kept back."""
        for loop in self._loops:
            loop.restore_weights()

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

        head, fit = recipe.head, recipe.fit
        self._arguments = (head, width, classes, fit.member_seeds())
        self._multilabel = multilabel
        self._softmax = head.outputs(classes, multilabel) > 1 and not multilabel
        self._networks = [
            FusedNetwork(
                head,
                initial_weights(head, width, classes, seed, multilabel=multilabel),
                SeededMasks(head, seed),
                *(fit.weight_decay, class_weights, fit.label_smoothing),
            )
            for seed in fit.member_seeds()
        ]

    def run_epoch(self, batches: Batches, number: int, rate: float, last: bool) -> tuple[float, float]:
        """Train all members for an epoch; return the mean loss and accuracy of their batches."""
        from featx.heads.fused.network import run_epoch

        return run_epoch(self._networks, batches, number, rate, last)

    def keep_weights(self, nth: int = 1) -> None:
        """Keep the weights of all members, see `Trainer`."""
        for network in self._networks:
            network.keep_weights(nth)

    def restore_weights(self) -> None:
        """Put the weights that were kept back."""
        for network in self._networks:
            network.restore_weights()

    def logits(self, chunks: Iterable[NDArray[np.float32]]) -> NDArray[np.float32]:
        """Return the logits of rows, without dropout."""
        return mean_logits(self.logits_of_members(chunks), self._softmax)

    def logits_of_members(self, chunks: Iterable[NDArray[np.float32]]) -> NDArray[np.float32]:
        """Return the logits of each member, (members, n, outputs), without dropout."""
        return member_by_member([network.logits for network in self._networks], chunks)

    def head(self) -> Head:
        """Return the trained head."""
        weights = [array for network in self._networks for array in network.take_weights()]
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
