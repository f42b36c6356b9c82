"""The epoch loop, and the fitting engine `keras`: batches of cached rows in, weights and history out."""

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
    """What one epoch, counted from 0, gave.

    Training figures are means over its batches as they were fitted, dropout on, as Keras's are.
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
    """What an engine does in an epoch."""

    def __call__(self, batches: Batches, number: int, rate: float, last: bool, /) -> tuple[float, float]:
        """Step through an epoch at a learning rate; return the mean loss and accuracy of its batches."""
        ...


def fit_epochs(
    run_epoch: RunEpoch,
    batches: Batches,
    validate: Callable[[], Score],
    fit: FitPart,
    on_epoch: Callable[[Epoch], None],
) -> list[Epoch]:
    """Fit for all epochs of a recipe, whatever the engine.

    Args:
        run_epoch: The engine's.
        batches: Training rows.
        validate: Scores the rows that are held out, called after every epoch.
        fit: Rates and epochs.
        on_epoch: Called after each epoch.

    Returns:
        One `Epoch` each.
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
    """The engine `keras`: a model fitted in Keras's own loop, in place.

    The loss is the cross-entropy of the logits: of clipped probabilities, a wide head saturates in its first
    steps and never learns.

    Args:
        model: From rows to logits, (n, classes), or (n, 1) for two classes.
        fit: Optimiser and rate.
    """

    def __init__(self, model: Any, fit: FitPart) -> None:
        _compile(model, fit)
        self._model = model

    def run_epoch(self, batches: Batches, number: int, rate: float, last: bool) -> tuple[float, float]:
        """Step through an epoch and return its mean loss and accuracy, each row counted once."""
        self._model.optimizer.learning_rate = rate
        sums = np.zeros(2)
        n = 0
        for rows, labels in batches.epoch(number):
            # Keras starts its means anew with each of these calls, so they are added up here.
            logs = self._model.train_on_batch(rows, _targets(self._model, labels), return_dict=True)
            sums += len(labels) * np.array([float(logs["loss"]), float(logs["accuracy"])])
            n += len(labels)
        return float(sums[0] / n), float(sums[1] / n)


def _compile(model: Any, fit: FitPart) -> None:
    keras = load_keras()
    if model.output_shape[1] == 1:
        loss = keras.losses.BinaryCrossentropy(from_logits=True)
        # On logits the sigmoid's 0.5 lies at 0.
        accuracy = keras.metrics.BinaryAccuracy(threshold=0.0, name="accuracy")
    else:
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        accuracy = keras.metrics.SparseCategoricalAccuracy(name="accuracy")
    model.compile(keras.optimizers.Adam(fit.learning_rate), loss, metrics=[accuracy])


def _targets(model: Any, labels: NDArray[np.int64]) -> NDArray[Any]:
    return labels[:, None].astype(np.float32) if model.output_shape[1] == 1 else labels
