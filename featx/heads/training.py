"""The loop over epochs, and the engine `keras`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from featx.networks import load_keras
from featx.recipes import FitPart
from featx.stats import Score


@dataclass(frozen=True)
class Epoch:
    """Results of one epoch.

    Attributes:
        epoch: Its number, counted from 0.
        learning_rate: Its learning rate.
        loss: Mean training loss in nats, over the batches before each step and with dropout, as in Keras.
        accuracy: Mean training accuracy, 0 to 1, measured in the same way.
        val_loss: Loss of the validation images after the epoch; None if there are none.
        val_accuracy: Accuracy of the validation images after the epoch; None if there are none.
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


class RunEpoch(Protocol):
    """An engine's function that trains for one epoch."""

    def __call__(self, batches: Batches, number: int, rate: float, last: bool, /) -> tuple[float, float]:
        """Train for an epoch at a learning rate; return the mean loss and accuracy of its batches."""
        ...


def fit_epochs(
    run_epoch: RunEpoch,
    batches: Batches,
    validate: Callable[[], Score],
    fit: FitPart,
    on_epoch: Callable[[Epoch], None],
) -> list[Epoch]:
    """Train for all epochs of a recipe with any engine; return one `Epoch` each.

    Args:
        run_epoch: The engine's function.
        batches: Training rows.
        validate: Scores the validation rows; called after each epoch.
        fit: Number of epochs and learning rates.
        on_epoch: Called with each `Epoch`.
    """
    history = []
    for number in range(fit.epochs):
        rate = fit.rate(number)
        loss, accuracy = run_epoch(batches, number, rate, number + 1 == fit.epochs)
        held_out = validate()
        epoch = Epoch(number, rate, loss, accuracy, held_out.loss, held_out.accuracy)
        history.append(epoch)
        on_epoch(epoch)
    return history


class KerasLoop:
    """The engine `keras`: trains a model in place.

    The loss is the cross-entropy of the logits. With the cross-entropy of clipped probabilities a wide head saturates
    in its first steps and never learns.

    Args:
        model: From rows to logits, (n, classes), or (n, 1) for two classes.
        fit: Optimizer and learning rate.
    """

    def __init__(self, model: Any, fit: FitPart) -> None:
        _compile(model, fit)
        self._model = model

    def run_epoch(self, batches: Batches, number: int, rate: float, last: bool) -> tuple[float, float]:
        """Train for an epoch; return its mean loss and accuracy, each row counted once."""
        self._model.optimizer.learning_rate = rate
        sums = np.zeros(2)
        n = 0
        for rows, labels in batches.epoch(number):
            # Each of these calls resets Keras's means, so they are summed here.
            logs = self._model.train_on_batch(rows, _targets(self._model, labels), return_dict=True)
            sums += len(labels) * np.array([float(logs["loss"]), float(logs["accuracy"])])
            n += len(labels)
        return float(sums[0] / n), float(sums[1] / n)


def _compile(model: Any, fit: FitPart) -> None:
    keras = load_keras()
    if model.output_shape[1] == 1:
        loss = keras.losses.BinaryCrossentropy(from_logits=True)
        # A logit of 0 is a probability of 0.5.
        accuracy = keras.metrics.BinaryAccuracy(threshold=0.0, name="accuracy")
    else:
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        accuracy = keras.metrics.SparseCategoricalAccuracy(name="accuracy")
    model.compile(keras.optimizers.Adam(fit.learning_rate), loss, metrics=[accuracy])


def _targets(model: Any, labels: NDArray[np.int64]) -> NDArray[Any]:
    return labels[:, None].astype(np.float32) if model.output_shape[1] == 1 else labels
