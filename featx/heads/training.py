"""The loop over epochs, and the engine `keras`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from featx.networks import plain_keras
from featx.recipes import FitPart
from featx.stats import Score


@dataclass(frozen=True)
class Epoch:
    """Results of one epoch.

    Attributes:
        epoch: Its number, counted from 0.
        loss: Mean training loss in nats, over the batches before each step and with dropout, as in Keras.
        accuracy: Mean training accuracy, 0 to 1, measured in the same way.
        val_loss: Loss of the validation images after the epoch; None, like `val_accuracy`, if there are none.
    """

    epoch: int
    learning_rate: float
    loss: float
    accuracy: float
    val_loss: float | None = None
    val_accuracy: float | None = None


class Batches(Protocol):
    """Batches of cached rows, epoch by epoch."""

    def epoch(self, number: int, /) -> Iterator[tuple[NDArray[np.float32], NDArray[np.int64]]]:
        """Yield the epoch's batches: (n, d) rows and (n,) class indices."""
        ...


# Trains for an epoch: batches, number of the epoch, learning rate, whether it is the last -> mean loss and accuracy.
RunEpoch: TypeAlias = Callable[[Batches, int, float, bool], tuple[float, float]]


def fit_epochs(run_epoch: RunEpoch, batches: Batches, validate: Callable[[], Score], fit: FitPart) -> Iterator[Epoch]:
    """Train for all epochs of a recipe with any engine; yield the results of each epoch at its end.

    Args:
        run_epoch: The engine's function.
        batches: Training rows.
        validate: Scores the validation rows; called after each epoch.
        fit: Number of epochs and learning rates.
    """
    for number in range(fit.epochs):
        rate = fit.rate(number)
        loss, accuracy = run_epoch(batches, number, rate, number + 1 == fit.epochs)
        held_out = validate()
        yield Epoch(number, rate, loss, accuracy, held_out.loss, held_out.accuracy)


class KerasLoop:
    """The engine `keras`: trains a model from rows to logits, (n, classes) or (n, 1), in place."""

    def __init__(self, model: Any) -> None:
        with plain_keras() as keras:
            # With the cross-entropy of clipped probabilities a wide head saturates in its first steps and never
            # learns.
            if model.output_shape[1] == 1:
                loss = keras.losses.BinaryCrossentropy(from_logits=True)
                # A logit of 0 is a probability of 0.5.
                accuracy = keras.metrics.BinaryAccuracy(threshold=0.0, name="accuracy")
            else:
                loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
                accuracy = keras.metrics.SparseCategoricalAccuracy(name="accuracy")
            model.compile(keras.optimizers.Adam(), loss, metrics=[accuracy])
        self._model = model

    def run_epoch(self, batches: Batches, number: int, rate: float, last: bool) -> tuple[float, float]:
        """Train for an epoch; return its mean loss and accuracy, each row counted once."""
        self._model.optimizer.learning_rate = rate
        sums = np.zeros(2)
        n = 0
        for rows, labels in batches.epoch(number):
            targets = labels[:, None].astype(np.float32) if self._model.output_shape[1] == 1 else labels
            # Each of these calls resets Keras's means, so they are summed here.
            with plain_keras():
                logs = self._model.train_on_batch(rows, targets, return_dict=True)
            sums += len(labels) * np.array([float(logs["loss"]), float(logs["accuracy"])])
            n += len(labels)
        return float(sums[0] / n), float(sums[1] / n)
