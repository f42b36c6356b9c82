"""The loop over epochs, and the engine `keras`."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any, Protocol

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
        loss: Mean training loss in nats, over the batches before each step and with dropout, as in Keras. With
            `fit.class_weight` each image's loss is multiplied by the weight of its class.
        accuracy: Mean training accuracy, 0 to 1, measured in the same way.
        val_loss: Loss of the validation images after the epoch, never weighted; None, like `val_accuracy`, if there
            are none.
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


class Trainer(Protocol):
    """What trains a head: an engine with the weights of one head."""

    def run_epoch(self, batches: Batches, number: int, rate: float, last: bool, /) -> tuple[float, float]:
        """Train for an epoch at a learning rate; return the mean loss and accuracy of its batches."""
        ...

    def keep_weights(self) -> None:
        """Keep a copy of the current weights, instead of an earlier one."""
        ...

    def restore_weights(self) -> None:
        """Put the weights that were kept back; the head must not be trained afterwards."""
        ...


def fit_epochs(trainer: Trainer, batches: Batches, validate: Callable[[], Score], fit: FitPart) -> Iterator[Epoch]:
    """Train as a recipe says with any engine; yield the results of each epoch at its end.

    With `fit.patience`, training ends once so many epochs have passed without a lower validation loss, and after the
    last epoch the trainer has the weights of the best one.

    Args:
        trainer: An engine with the head's weights.
        batches: Training rows.
        validate: Scores the validation rows; called after each epoch.
        fit: Number of epochs, learning rates and patience.
    """
    lowest, best = math.inf, None
    for number in range(fit.epochs):
        rate = fit.rate(number)
        loss, accuracy = trainer.run_epoch(batches, number, rate, number + 1 == fit.epochs)
        held_out = validate()
        if fit.patience is not None and held_out.loss is not None and held_out.loss < lowest:
            lowest, best = held_out.loss, number
            trainer.keep_weights()
        yield Epoch(number, rate, loss, accuracy, held_out.loss, held_out.accuracy)
        if fit.patience is not None and best is not None and number - best >= fit.patience:
            break
    if best is not None:
        trainer.restore_weights()


def best_epoch(losses: Sequence[float | None]) -> int | None:
    """Return the index of the lowest validation loss, the first of several; None if none is finite.

    Args:
        losses: The validation loss of each epoch; None where no image was held out.
    """
    finite = [(loss, index) for index, loss in enumerate(losses) if loss is not None and math.isfinite(loss)]
    return min(finite)[1] if finite else None


def describe_stopping(losses: Sequence[float | None], fit: FitPart) -> str | None:
    """Return a clause on which epoch was best and which one is kept; None if that is the last of all epochs.

    Without patience it says so where the validation loss has risen since its best epoch, in the three decimals that
    it prints, and names a patience with which the same training would have kept that epoch.

    Args:
        losses: The validation loss of each epoch; None where no image was held out.
        fit: How the head was trained.
    """
    index, trained = best_epoch(losses), len(losses)
    if index is None or index + 1 == trained == fit.epochs:
        return None
    best, lowest, last = index + 1, f"{losses[index]:.3f}", f"{losses[-1]:.3f}"
    if fit.patience is None:
        if lowest == last:
            return None
        return (
            f"validation loss was lowest at epoch {best} of {trained} ({lowest}) and has risen since ({last}); "
            f"--patience {max(10, _longest_wait(losses[:best]))} would have kept that epoch"
        )
    stopped = f"stopped at epoch {trained} of {fit.epochs}; " if trained < fit.epochs else ""
    return f"{stopped}the weights of epoch {best}, with the lowest validation loss ({lowest}), are kept"


def _longest_wait(losses: Sequence[float | None]) -> int:
    """Return the largest number of epochs from one lowest loss so far to the next."""
    lowest, since, longest = math.inf, 0, 0
    for index, loss in enumerate(losses):
        if loss is not None and loss < lowest:
            lowest, since, longest = loss, index, max(longest, index - since)
    return longest


def balanced_weights(labels: NDArray[np.int64], classes: int) -> NDArray[np.float32]:
    """Return how much an image of each class counts in a balanced training loss, (classes,): `n / (classes * n_c)`.

    All images together then count as much as without weights. Source: `class_weight="balanced"` of scikit-learn,
    after King and Zeng, "Logistic regression in rare events data", Political Analysis 9 (2001), 137-163.

    Args:
        labels: (n,) class indices of the training images.
        classes: Number of classes; one may have no images, if all of them were skipped.
    """
    counts = np.maximum(np.bincount(labels, minlength=classes), 1)
    return (len(labels) / (classes * counts)).astype(np.float32)


class KerasLoop:
    """The engine `keras`: trains a model from rows to logits, (n, classes) or (n, 1), in place.

    Args:
        model: The model.
        weight_decay: Times the learning rate, the share that each step takes off the kernels.
        class_weights: (classes,) how much a row of each class counts in the loss; all the same if None.
    """

    def __init__(
        self, model: Any, weight_decay: float = 0.0, class_weights: NDArray[np.float32] | None = None
    ) -> None:
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
            model.compile(_optimizer(keras, model, weight_decay), loss, metrics=[accuracy])
        self._model = model
        self._class_weights = class_weights
        self._kept: list[Any] = []

    def run_epoch(self, batches: Batches, number: int, rate: float, last: bool) -> tuple[float, float]:
        """Train for an epoch; return its mean loss and accuracy, each row counted once."""
        self._model.optimizer.learning_rate = rate
        sums = np.zeros(2)
        n = 0
        for rows, labels in batches.epoch(number):
            targets = labels[:, None].astype(np.float32) if self._model.output_shape[1] == 1 else labels
            counts = None if self._class_weights is None else self._class_weights[labels]
            # Each of these calls resets Keras's means, so they are summed here.
            with plain_keras():
                logs = self._model.train_on_batch(rows, targets, counts, return_dict=True)
            sums += len(labels) * np.array([float(logs["loss"]), float(logs["accuracy"])])
            n += len(labels)
        return float(sums[0] / n), float(sums[1] / n)

    def keep_weights(self) -> None:
        """Keep a copy of the current weights, instead of an earlier one."""
        self._kept = []  # two copies at once would be large
        self._kept = self._model.get_weights()

    def restore_weights(self) -> None:
        """Put the weights that were kept back; the model must not be trained afterwards."""
        self._model.set_weights(self._kept)
        self._kept = []


def _optimizer(keras: ModuleType, model: Any, weight_decay: float) -> Any:
    if not weight_decay:
        return keras.optimizers.Adam()
    optimizer = keras.optimizers.AdamW(weight_decay=weight_decay)
    biases = [layer.bias for layer in model.layers if isinstance(layer, keras.layers.Dense)]
    optimizer.exclude_from_weight_decay(var_list=biases)
    return optimizer
