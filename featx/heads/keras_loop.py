"""The engine `keras`: trains the Keras models of one or more members in place."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.heads.kept_weights import kept_mean
from featx.heads.training import Batches, Labels, known_numbers
from featx.networks import plain_keras

Function = Callable[[Any, Any], Any]


class KerasLoop:
    """Trains a model from rows to logits, (n, classes) or (n, 1).

    Args:
        model: The model.
        weight_decay: Times the learning rate, the share that each step takes off the kernels.
        class_weights: (classes,) how much a row of each class counts in the loss; all the same if None. With
            `multilabel` (L, 2), how much a label counts where it is not there and where it is.
        multilabel: Whether there is a logit for each of several labels.
        label_smoothing: Share of each target that is spread evenly over the classes. The loss that is reported is
            without it.
    """

    def __init__(
        self,
        model: Any,
        weight_decay: float = 0.0,
        class_weights: NDArray[np.float32] | None = None,
        *,
        multilabel: bool = False,
        label_smoothing: float = 0.0,
    ) -> None:
        self._model = model
        self._multilabel = multilabel
        self._smoothed = label_smoothing > 0
        # A loss function of featx has the weights itself.
        self._class_weights = None if multilabel or self._smoothed else class_weights
        with plain_keras() as keras:
            loss, accuracy, plain = self._functions(keras, class_weights, label_smoothing)
            metrics = [accuracy] if plain is None else [accuracy, keras.metrics.MeanMetricWrapper(plain, "plain")]
            model.compile(_optimizer(keras, model, weight_decay), loss, metrics=metrics)
        self._kept: list[Any] | None = None

    def _functions(
        self, keras: ModuleType, weights: NDArray[np.float32] | None, smoothing: float
    ) -> tuple[Any, Any, Function | None]:
        """Return the loss, the accuracy, and the loss without smoothing if there is smoothing.

        With the cross-entropy of clipped probabilities a wide head saturates in its first steps and never learns.
        """
        one_logit = self._model.output_shape[1] == 1
        if self._multilabel:
            accuracy = _label_accuracy(keras)
        elif one_logit:
            # A logit of 0 is a probability of 0.5.
            accuracy = keras.metrics.BinaryAccuracy(threshold=0.0, name="accuracy")
        elif self._smoothed:
            accuracy = keras.metrics.CategoricalAccuracy(name="accuracy")
        else:
            accuracy = keras.metrics.SparseCategoricalAccuracy(name="accuracy")
        if self._multilabel or (self._smoothed and one_logit):
            of_labels = weights[None] if weights is not None and not self._multilabel else weights
            plain = _label_loss(keras, of_labels)
            return (
                (_label_loss(keras, of_labels, smoothing), accuracy, plain)
                if self._smoothed
                else (plain, accuracy, None)
            )
        if self._smoothed:
            return _class_loss(keras, weights, smoothing), accuracy, _class_loss(keras, weights)
        if one_logit:
            return keras.losses.BinaryCrossentropy(from_logits=True), accuracy, None
        return keras.losses.SparseCategoricalCrossentropy(from_logits=True), accuracy, None

    def run_epoch(self, batches: Batches, number: int, rate: float, last: bool) -> tuple[float, float]:
        """Train for an epoch; return its mean loss and accuracy, each row counted once."""
        return run_epoch([self], batches, number, rate)

    def set_rate(self, rate: float) -> None:
        """Set the learning rate."""
        self._model.optimizer.learning_rate = rate

    def step(self, rows: NDArray[np.float32], labels: Labels) -> NDArray[np.float64]:
        """Take a step; return the sums of the losses and of the correct rows before it, and both numbers."""
        counts = None if self._class_weights is None else self._class_weights[labels.astype(np.int64)]
        # Each of these calls resets Keras's means, so they are summed by the caller.
        with plain_keras():
            logs = self._model.train_on_batch(rows, self._targets(labels), counts, return_dict=True)
        n = np.array(known_numbers(labels), np.float64)
        means = [float(logs["plain" if self._smoothed else "loss"]), float(logs["accuracy"])]
        return np.concatenate([n * means, n])

    def _targets(self, labels: Labels) -> Labels:
        outputs = self._model.output_shape[1]
        if self._multilabel:
            return labels
        if outputs == 1:
            return labels[:, None].astype(np.float32)
        return np.eye(outputs, dtype=np.float32)[labels.astype(np.int64)] if self._smoothed else labels

    def keep_weights(self, nth: int = 1) -> None:
        """Keep a copy of the current weights, or with `nth` the mean of them and of the nth - 1 kept before."""
        with plain_keras() as keras:
            # One array at a time: two copies of all at once would be large.
            weights = (keras.ops.convert_to_numpy(weight) for weight in self._model.weights)
            self._kept = kept_mean(self._kept, weights, nth)

    def restore_weights(self) -> None:
        """Put the weights that were kept back; the model must not be trained afterwards."""
        self._model.set_weights(self._kept)
        self._kept = None


def run_epoch(loops: Sequence[KerasLoop], batches: Batches, number: int, rate: float) -> tuple[float, float]:
    """Train the models of several loops on the same batches for an epoch.

    Returns:
        The mean loss and accuracy of all models, each row counted once for each model.
    """
    for loop in loops:
        loop.set_rate(rate)
    sums = np.zeros(4)
    for rows, labels in batches.epoch(number):
        for loop in loops:
            sums += loop.step(rows, labels)
    loss, accuracy = sums[:2] / np.maximum(sums[2:], 1)
    return float(loss), float(accuracy)


def _class_loss(keras: ModuleType, weights: NDArray[np.float32] | None, smoothing: float = 0.0) -> Function:
    """Return the cross-entropy of (b, classes) logits and (b, classes) targets with a single 1, the mean over rows.

    With smoothing the targets are `(1 - smoothing) t + smoothing / classes`. Source: Szegedy and others, "Rethinking
    the Inception architecture for computer vision", CVPR 2016, section 7.
    """
    ops = keras.ops

    def loss(targets: Any, logits: Any) -> Any:
        spread = (1.0 - smoothing) * targets + smoothing / logits.shape[1]
        losses = -ops.sum(spread * ops.log_softmax(logits, axis=1), axis=1)
        return ops.mean(losses if weights is None else losses * ops.sum(targets * weights, axis=1))

    return loss


def _label_loss(keras: ModuleType, weights: NDArray[np.float32] | None, smoothing: float = 0.0) -> Function:
    """Return the binary cross-entropy of (b, L) logits, the mean over the known labels; 0 where none is known."""
    ops = keras.ops

    def loss(targets: Any, logits: Any) -> Any:
        known = ops.isfinite(targets)
        there = ops.where(known, targets, 0.0)
        spread = (1.0 - smoothing) * there + smoothing / 2 if smoothing else there
        # Not with |z|, whose derivative at 0, where heads may start, would be 0.
        losses = ops.softplus(logits) - logits * spread
        if weights is not None:
            losses = losses * ops.where(there > 0, weights[:, 1], weights[:, 0])
        counted = ops.cast(known, logits.dtype)
        return ops.sum(losses * counted) / ops.maximum(ops.sum(counted), 1.0)

    return loss


def _label_accuracy(keras: ModuleType) -> Function:
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
