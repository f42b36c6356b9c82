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

Labels = NDArray[np.int64] | NDArray[np.float32]
"""(n,) class indices; of several labels (n, L) targets: 1 is there, 0 is not there, NaN is not known."""


@dataclass(frozen=True)
class Epoch:
    """Results of one epoch.

    Attributes:
        epoch: Its number, counted from 0.
        loss: Mean training loss in nats, over the batches before each step and with dropout, as in Keras. With
            `fit.class_weight` each image's loss is multiplied by the weight of its class. Of several labels it is the
            mean over the known ones.
        accuracy: Mean training accuracy, 0 to 1, measured in the same way. Of several labels it is the share of
            images whose known labels are all right.
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

    def epoch(self, number: int, /) -> Iterator[tuple[NDArray[np.float32], Labels]]:
        """Yield the epoch's batches: (n, d) rows and their labels."""
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


def balanced_label_weights(targets: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return how much a label counts in a balanced training loss where it is not there and where it is, (L, 2).

    These are `n / (2 n_0)` and `n / (2 n_1)` of the n images where the label is known, n_0 without it and n_1 with
    it: `balanced_weights` of each label as two classes.

    Args:
        targets: (n, L) of the training images, with 1, 0 and NaN.
    """
    columns = (column[np.isfinite(column)] for column in targets.T)
    return np.stack([balanced_weights(column.astype(np.int64), 2) for column in columns])


class KerasLoop:
    """The engine `keras`: trains a model from rows to logits, (n, classes) or (n, 1), in place.

    Args:
        model: The model.
        weight_decay: Times the learning rate, the share that each step takes off the kernels.
        class_weights: (classes,) how much a row of each class counts in the loss; all the same if None. With
            `multilabel` (L, 2), how much a label counts where it is not there and where it is.
        multilabel: Whether there is a logit for each of several labels.
    """

    def __init__(
        self,
        model: Any,
        weight_decay: float = 0.0,
        class_weights: NDArray[np.float32] | None = None,
        *,
        multilabel: bool = False,
    ) -> None:
        with plain_keras() as keras:
            # With the cross-entropy of clipped probabilities a wide head saturates in its first steps and never
            # learns.
            if multilabel:
                loss, accuracy = _label_loss(keras, class_weights), _label_accuracy(keras)
                class_weights = None  # the loss has them
            elif model.output_shape[1] == 1:
                loss = keras.losses.BinaryCrossentropy(from_logits=True)
                # A logit of 0 is a probability of 0.5.
                accuracy = keras.metrics.BinaryAccuracy(threshold=0.0, name="accuracy")
            else:
                loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
                accuracy = keras.metrics.SparseCategoricalAccuracy(name="accuracy")
            model.compile(_optimizer(keras, model, weight_decay), loss, metrics=[accuracy])
        self._model = model
        self._class_weights = class_weights
        self._multilabel = multilabel
        self._kept: list[Any] = []

    def run_epoch(self, batches: Batches, number: int, rate: float, last: bool) -> tuple[float, float]:
        """Train for an epoch; return its mean loss and accuracy, each row counted once."""
        self._model.optimizer.learning_rate = rate
        sums, numbers = np.zeros(2), np.zeros(2)
        for rows, labels in batches.epoch(number):
            counts = None if self._class_weights is None else self._class_weights[labels.astype(np.int64)]
            # Each of these calls resets Keras's means, so they are summed here.
            with plain_keras():
                logs = self._model.train_on_batch(rows, self._targets(labels), counts, return_dict=True)
            n = known_numbers(labels)
            sums += np.array(n) * np.array([float(logs["loss"]), float(logs["accuracy"])])
            numbers += n
        loss, accuracy = sums / np.maximum(numbers, 1)
        return float(loss), float(accuracy)

    def _targets(self, labels: Labels) -> Labels:
        one_logit = self._model.output_shape[1] == 1 and not self._multilabel
        return labels[:, None].astype(np.float32) if one_logit else labels

    def keep_weights(self) -> None:
        """Keep a copy of the current weights, instead of an earlier one."""
        self._kept = []  # two copies at once would be large
        self._kept = self._model.get_weights()

    def restore_weights(self) -> None:
        """Put the weights that were kept back; the model must not be trained afterwards."""
        self._model.set_weights(self._kept)
        self._kept = []


def known_numbers(labels: Labels) -> tuple[int, int]:
    """Return how many labels a batch's mean loss is of, and how many rows its accuracy is of."""
    if labels.ndim == 1:
        return len(labels), len(labels)
    known = np.isfinite(labels)
    return int(known.sum()), int(known.any(axis=1).sum())


def _label_loss(keras: ModuleType, weights: NDArray[np.float32] | None) -> Callable[[Any, Any], Any]:
    """Return the binary cross-entropy of (b, L) logits, the mean over the known labels; 0 where none is known."""
    ops = keras.ops

    def loss(targets: Any, logits: Any) -> Any:
        known = ops.isfinite(targets)
        there = ops.where(known, targets, 0.0)
        # Not with |z|, whose derivative at 0, where heads may start, would be 0.
        losses = ops.softplus(logits) - logits * there
        if weights is not None:
            losses = losses * ops.where(there > 0, weights[:, 1], weights[:, 0])
        counted = ops.cast(known, logits.dtype)
        return ops.sum(losses * counted) / ops.maximum(ops.sum(counted), 1.0)

    return loss


def _label_accuracy(keras: ModuleType) -> Callable[[Any, Any], Any]:
    """Return the share of rows whose known labels are all right, among the rows with a known label."""
    ops = keras.ops

    def accuracy(targets: Any, logits: Any) -> Any:
        known = ops.isfinite(targets)
        right = ops.logical_or(ops.equal(logits >= 0, targets > 0), ops.logical_not(known))
        counted = ops.any(known, axis=1)
        hits = ops.cast(ops.logical_and(ops.all(right, axis=1), counted), logits.dtype)
        return ops.sum(hits) / ops.maximum(ops.sum(ops.cast(counted, logits.dtype)), 1.0)

    return accuracy


def _optimizer(keras: ModuleType, model: Any, weight_decay: float) -> Any:
    if not weight_decay:
        return keras.optimizers.Adam()
    optimizer = keras.optimizers.AdamW(weight_decay=weight_decay)
    biases = [layer.bias for layer in model.layers if isinstance(layer, keras.layers.Dense)]
    optimizer.exclude_from_weight_decay(var_list=biases)
    return optimizer
