"""The engine `fused`: a stack of dropout and dense layers, trained as fast as memory allows.

One pass over a layer computes the gradient of each row of weights, takes the Adam step of that row, and adds up the
product of the next batch with the new weights. The whole gradient is never stored, and a step reads and writes the
weights and both moments at most once. Inputs that are zero cost nothing. Importing this module imports Numba.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain, islice

import numpy as np
from numpy.typing import NDArray

from featx.heads.fused.adam import BETA_1, BETA_2
from featx.heads.fused.class_loss import cross_entropy
from featx.heads.fused.entries import Entries, Matrix, entries_of
from featx.heads.fused.label_loss import label_cross_entropy
from featx.heads.fused.layers import DropoutMask, SeededMasks, Steps, drop, make_layers
from featx.heads.kept_weights import kept_mean
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
        label_smoothing: Share of each target that is spread evenly over the classes; the loss that is reported is
            without it.
    """

    def __init__(
        self,
        spec: HeadPart,
        weights: Iterable[tuple[Matrix, Matrix]],
        masks: SeededMasks,
        weight_decay: float = 0.0,
        class_weights: Matrix | None = None,
        label_smoothing: float = 0.0,
    ) -> None:
        self._layers = make_layers(spec, weights)
        self._masks = masks
        self._weight_decay = np.float32(weight_decay)
        self._class_weights = class_weights
        self._smoothing = label_smoothing
        self._steps = Steps(0, *(np.empty(n, np.float32) for n in (FIRST_STEPS, FIRST_STEPS if weight_decay else 0)))
        self.ready: _Batch | None = None
        self._kept: list[Matrix] | None = None

    def run_epoch(self, batches: Batches, number: int, rate: float, last: bool) -> tuple[float, float]:
        """Train for an epoch, see `run_epoch`."""
        return run_epoch([self], batches, number, rate, last)

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

    def keep_weights(self, nth: int = 1) -> None:
        """Keep a copy of the current weights, or with `nth` the mean of them and of the nth - 1 kept before."""
        self._kept = kept_mean(self._kept, self._current_weights(), nth)

    def restore_weights(self) -> None:
        """Put the weights that were kept back; the network must not be trained afterwards."""
        for kept, array in zip(self._kept or [], self._current_weights(), strict=True):
            np.copyto(array, kept)
        self._kept = self.ready = None

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

    def first_masks(self, epoch: int, step: int, shape: tuple[int, int]) -> list[DropoutMask]:
        """Return the masks of the dropout before the first layer, for (b, d) rows in a step."""
        return self._layers[0].dropout_masks(self._masks, epoch, step, shape)

    def train_step(self, batch: _Batch, upcoming: _Batch | None, rate: float) -> NDArray[np.float64]:
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
            return label_cross_entropy(
                logits, labels.astype(np.float32, copy=False), self._class_weights, self._smoothing
            )
        classes = labels.astype(np.int64, copy=False)
        counts = None if self._class_weights is None else self._class_weights[classes]
        return cross_entropy(logits, classes, counts, self._smoothing)

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


def run_epoch(
    networks: Sequence[FusedNetwork], batches: Batches, number: int, rate: float, last: bool
) -> tuple[float, float]:
    """Train networks on the same batches for an epoch; epochs must be run in order.

    Returns:
        Mean loss and accuracy over the batches and networks, before each step and with dropout, each row counted once
        for each network, or each known label of several.
    """
    steps: Iterator[Step] = ((number, step, batch) for step, batch in enumerate(batches.epoch(number)))
    # The pass that ends a step also starts the next batch, even if it is the first of the next epoch.
    following: list[Step] = [] if last else [(number + 1, 0, batch) for batch in islice(batches.epoch(number + 1), 1)]
    sums = np.zeros(4)
    prepare = partial(_prepare, networks)
    with _one_at_a_time, np.errstate(over="ignore", invalid="ignore"):
        first = next(steps)
        ready = [network.ready for network in networks if network.ready is not None]
        current = ready or prepare(first)
        for upcoming in bounded_map(prepare, chain(steps, following), workers=1, ahead=1):
            for network, batch, after in zip(networks, current, upcoming, strict=True):
                sums += network.train_step(batch, after, rate)
            current = upcoming
        for network, batch in zip(networks, current, strict=True):
            if last:
                sums += network.train_step(batch, None, rate)
            network.ready = None if last else batch
    loss, hits, labels, rows = sums
    return float(loss / max(labels, 1)), float(hits / max(rows, 1))


def _prepare(networks: Sequence[FusedNetwork], step_of_epoch: Step) -> list[_Batch]:
    """Return a batch for each network: its rows are read once, and looked through once where no dropout differs."""
    epoch, step, (rows, labels) = step_of_epoch
    rows = np.ascontiguousarray(rows, np.float32)
    shared: Entries | None = None
    prepared = []
    for network in networks:
        masks = network.first_masks(epoch, step, (rows.shape[0], rows.shape[1]))
        if masks:
            entries = entries_of(drop(rows, masks))
        else:
            entries = shared = entries_of(rows) if shared is None else shared
        prepared.append(_Batch(epoch, step, labels, entries))
    return prepared
