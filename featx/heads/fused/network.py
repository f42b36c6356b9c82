"""The engine `fused`: a stack of dropout and dense layers, trained as fast as memory allows.

One pass over a layer computes the gradient of each row of weights, takes the Adam step of that row, and adds up the
product of the next batch with the new weights. The whole gradient is never stored, and a step reads and writes the
weights and both moments at most once. Inputs that are zero cost nothing. Importing this module imports Numba.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, islice

import numpy as np
from numpy.typing import NDArray

from featx.heads.fused.adam import BETA_1, BETA_2
from featx.heads.fused.entries import Entries, Matrix, entries_of
from featx.heads.fused.label_loss import label_cross_entropy
from featx.heads.fused.layers import SeededMasks, Steps, drop, make_layers
from featx.heads.training import Batches, Labels, known_numbers
from featx.parallel import bounded_map
from featx.recipes import HeadPart

# An epoch, a step in it, and the rows and labels of that step.
Step = tuple[int, int, tuple[Matrix, Labels]]

FIRST_STEPS = 1024  # for which there is space at first

# Some of Numba's threading layers end the process if two Python threads use them at the same time.
_one_at_a_time = threading.Lock()


@dataclass
class _Batch:
    """A batch that is prepared, and later also multiplied with the weights of the first layer."""

    epoch: int
    step: int
    labels: Labels
    entries: Entries
    product: Matrix | None = None


class FusedNetwork:
    """A head as arrays.

    Args:
        spec: The layers, with activations `linear` or `relu`.
        weights: Kernel (d, units) and bias (units,) of each dense layer in order, the layer of the logits last. They
            are changed in place.
        masks: Where dropout keeps values.
        weight_decay: Times the learning rate, the share that each step takes off the kernels.
        class_weights: (classes,) how much a row of each class counts in the loss; all the same if None. For batches
            with (n, L) targets of several labels, (L, 2), see `label_cross_entropy`.
    """

    def __init__(
        self,
        spec: HeadPart,
        weights: Iterable[tuple[Matrix, Matrix]],
        masks: SeededMasks,
        weight_decay: float = 0.0,
        class_weights: Matrix | None = None,
    ) -> None:
        self._layers = make_layers(spec, weights)
        self._masks = masks
        self._weight_decay = np.float32(weight_decay)
        self._class_weights = class_weights
        self._steps = Steps(0, *(np.empty(n, np.float32) for n in (FIRST_STEPS, FIRST_STEPS if weight_decay else 0)))
        self._ready: _Batch | None = None
        self._kept: list[Matrix] | None = None

    def run_epoch(self, batches: Batches, number: int, rate: float, last: bool) -> tuple[float, float]:
        """Train for an epoch; epochs must be run in order.

        Returns:
            Mean loss and accuracy over its batches, before each step and with dropout, each row counted once, or each
            known label of several.
        """
        steps: Iterator[Step] = ((number, step, batch) for step, batch in enumerate(batches.epoch(number)))
        # The pass that ends a step also starts the next batch, even if it is the first of the next epoch.
        following: list[Step] = (
            [] if last else [(number + 1, 0, batch) for batch in islice(batches.epoch(number + 1), 1)]
        )
        sums = np.zeros(4)
        with _one_at_a_time, np.errstate(over="ignore", invalid="ignore"):
            first = next(steps)
            current = self._ready or self._prepare(first)
            for upcoming in bounded_map(self._prepare, chain(steps, following), workers=1, ahead=1):
                sums += self._train_step(current, upcoming, rate)
                current = upcoming
            self._ready = current
            if last:
                sums += self._train_step(current, None, rate)
                self._ready = None
        loss, hits, labels, rows = sums
        return float(loss / max(labels, 1)), float(hits / max(rows, 1))

    def logits(self, chunks: Iterable[Matrix]) -> Matrix:
        """Return the logits, (n, classes) or (n, 1), of rows in chunks, without dropout."""
        parts = [np.empty((0, len(self._layers[-1].bias)), np.float32)]
        with _one_at_a_time, np.errstate(over="ignore", invalid="ignore"):
            self._layers[0].catch_up(self._steps)
            for rows in chunks:
                for layer in self._layers:
                    rows = layer.activate(layer.product(entries_of(rows), len(rows)))
                parts.append(rows)
        return np.concatenate(parts)

    def keep_weights(self) -> None:
        """Keep a copy of the current weights, instead of an earlier one."""
        weights = self._current_weights()
        if self._kept is None:
            self._kept = [array.copy() for array in weights]
        else:
            for kept, array in zip(self._kept, weights, strict=True):
                np.copyto(kept, array)

    def restore_weights(self) -> None:
        """Put the weights that were kept back; the network must not be trained afterwards."""
        for kept, array in zip(self._kept or [], self._current_weights(), strict=True):
            np.copyto(array, kept)
        self._kept = self._ready = None

    def take_weights(self) -> list[Matrix]:
        """Return kernel and bias of each dense layer in order; the network must not be used afterwards."""
        weights = self._current_weights()
        self._layers = []
        return weights

    def _current_weights(self) -> list[Matrix]:
        """Return kernel and bias of each dense layer in order, after all steps so far."""
        with _one_at_a_time:
            self._layers[0].catch_up(self._steps)
        return [array for layer in self._layers for array in (layer.kernel, layer.bias)]

    def _prepare(self, step_of_epoch: Step) -> _Batch:
        epoch, step, (rows, labels) = step_of_epoch
        masks = self._layers[0].dropout_masks(self._masks, epoch, step, rows.shape)
        return _Batch(epoch, step, labels, entries_of(drop(np.ascontiguousarray(rows, np.float32), masks)))

    def _train_step(self, batch: _Batch, upcoming: _Batch | None, rate: float) -> NDArray[np.float64]:
        """Take a step; return the weighted sum of the losses before it, the number of correct rows, and both numbers.

        These are how many labels the losses are of, and how many rows may be correct.
        """
        first, *inner = self._layers
        n = len(batch.labels)
        values = first.activate(first.product(batch.entries, n) if batch.product is None else batch.product)
        forward = []
        for before, layer in zip(self._layers, inner, strict=False):
            # Dropout is linear, so the backward pass multiplies with the derivative after dropout.
            masks = layer.dropout_masks(self._masks, batch.epoch, batch.step, values.shape)
            entries = entries_of(drop(values, masks))
            forward.append((entries, drop(before.derivative(values), masks)))
            values = layer.activate(layer.product(entries, n))
        loss, hits, delta = self._loss(values, batch.labels)
        self._record_rate(rate)
        for layer, (entries, derivative) in zip(reversed(inner), reversed(forward), strict=True):
            delta = layer.update(self._steps, entries, delta) * derivative
        if upcoming is None:
            first.update_first(self._steps, batch.entries, delta, None, 0)
        else:
            rows = len(upcoming.labels)
            upcoming.product = first.update_first(self._steps, batch.entries, delta, upcoming.entries, rows)
        self._steps = self._steps._replace(step=self._steps.step + 1)
        return np.array([loss, hits, *known_numbers(batch.labels)])

    def _loss(self, logits: Matrix, labels: Labels) -> tuple[float, int, Matrix]:
        """Return the sum of the losses, the number of correct rows, and the derivative of the mean loss."""
        if labels.ndim == 2:
            return label_cross_entropy(logits, labels.astype(np.float32, copy=False), self._class_weights)
        classes = labels.astype(np.int64, copy=False)
        return cross_entropy(logits, classes, None if self._class_weights is None else self._class_weights[classes])

    def _record_rate(self, rate: float) -> None:
        """Store the step's rate with Adam's bias correction, and its decay, in single precision as in Keras."""
        step, rates, decays = self._steps
        if step == len(rates):
            rates, decays = (np.concatenate([values, np.empty_like(values)]) for values in (rates, decays))
            self._steps = Steps(step, rates, decays)
        if len(decays):
            decays[step] = np.float32(rate) * self._weight_decay
        t, one = np.float32(step + 1), np.float32(1)
        correction = np.sqrt(one - np.float32(BETA_2) ** t) / (one - np.float32(BETA_1) ** t)
        rates[step] = np.float32(rate) * correction


def cross_entropy(
    logits: Matrix, labels: NDArray[np.int64], counts: Matrix | None = None
) -> tuple[float, int, Matrix]:
    """Return the sum of the losses, the number of correct rows, and the derivative of the mean loss by the logits.

    The logits are (b, classes), or (b, 1) for two classes, the labels (b,). With `counts`, (b,), each loss is
    multiplied by the row's; the mean is still over the number of rows, as in Keras.
    """
    losses, hits, delta = _cross_entropies(logits, labels)
    if counts is not None:
        losses, delta = losses * counts, delta * counts[:, None]
    return float(losses.sum()), hits, delta


def _cross_entropies(logits: Matrix, labels: NDArray[np.int64]) -> tuple[Matrix, int, Matrix]:
    """Return the loss of each row, the number of correct rows, and the derivative of the mean loss by the logits."""
    if logits.shape[1] == 1:
        z = logits[:, 0]
        # log(1 + exp(z)) - y z, without overflow.
        losses = np.maximum(z, 0) - z * labels + np.log1p(np.exp(-np.abs(z)))
        p = 1 / (1 + np.exp(-z))
        return (
            losses,
            int(((z > 0) == labels).sum()),
            ((p - labels) / len(labels)).astype(np.float32)[:, None],
        )
    shifted = logits - logits.max(axis=1, keepdims=True)
    powers = np.exp(shifted)
    sums = powers.sum(axis=1, keepdims=True)
    each = np.arange(len(labels))
    losses = np.log(sums[:, 0]) - shifted[each, labels]
    delta = powers / sums
    delta[each, labels] -= 1
    return losses, int((logits.argmax(axis=1) == labels).sum()), delta / np.float32(len(labels))
