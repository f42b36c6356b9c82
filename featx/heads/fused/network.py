"""The fitting engine `fused`: a stack of dropout and dense layers, fitted at the speed of memory.

The gradient of a layer's weights is formed row by row inside Adam's pass over them and never stored, and the
same pass adds up the next batch's product with the new weights, so a step reads and writes the weights and both
moments once at most. Inputs that are zero cost nothing. Importing this module imports Numba.
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
from featx.heads.fused.layers import Masks, Steps, drop, make_layers
from featx.heads.training import Batches
from featx.parallel import bounded_map
from featx.recipes import HeadPart

# An epoch, one of its steps, and the rows and labels of that step.
Place = tuple[int, int, tuple[Matrix, NDArray[np.int64]]]

# Some of Numba's threading layers end the process when two Python threads use them at once.
_one_at_a_time = threading.Lock()


@dataclass
class _Batch:
    """A batch on its way: its place, its labels, and its rows' product with the first layer."""

    epoch: int
    step: int
    labels: NDArray[np.int64]
    entries: Entries
    product: Matrix | None = None


class FusedNetwork:
    """A head as arrays.

    Args:
        spec: The recipe's part; its activations are `linear` or `relu`.
        weights: Kernel (d, units) and bias (units,) of each dense layer in order, the logits' last. They are
            changed in place.
        masks: What dropout keeps.
    """

    def __init__(self, spec: HeadPart, weights: Iterable[tuple[Matrix, Matrix]], masks: Masks) -> None:
        self._layers = make_layers(spec, weights)
        self._masks = masks
        self._steps = Steps(0, np.empty(1024, np.float32))
        self._ready: _Batch | None = None

    def run_epoch(self, batches: Batches, number: int, rate: float, last: bool) -> tuple[float, float]:
        """Step through an epoch; epochs are run in order.

        Args:
            batches: Training rows.
            number: The epoch.
            rate: Its learning rate.
            last: Whether no epoch follows.

        Returns:
            Mean loss and accuracy of its batches as they were fitted, dropout on, each row counted once.
        """
        places: Iterator[Place] = ((number, step, batch) for step, batch in enumerate(batches.epoch(number)))
        # The pass that ends a step begins the next batch, be it the next epoch's first.
        following: list[Place] = (
            [] if last else [(number + 1, 0, batch) for batch in islice(batches.epoch(number + 1), 1)]
        )
        sums = np.zeros(3)
        with _one_at_a_time, np.errstate(over="ignore", invalid="ignore"):
            place = next(places)
            current = self._ready or self._prepared(place)
            for upcoming in bounded_map(self._prepared, chain(places, following), workers=1, ahead=1):
                sums += self._fitted(current, upcoming, rate)
                current = upcoming
            self._ready = current
            if last:
                sums += self._fitted(current, None, rate)
                self._ready = None
        loss, hits, n = sums
        return float(loss / n), float(hits / n)

    def logits(self, chunks: Iterable[Matrix]) -> Matrix:
        """Return the logits, (n, classes) or (n, 1), of rows that come in chunks, dropout off."""
        parts = [np.empty((0, len(self._layers[-1].bias)), np.float32)]
        with _one_at_a_time, np.errstate(over="ignore", invalid="ignore"):
            self._layers[0].catch_up(self._steps)
            for rows in chunks:
                for layer in self._layers:
                    rows = layer.activated(layer.product(entries_of(rows), len(rows)))
                parts.append(rows)
        return np.concatenate(parts)

    def take_weights(self) -> list[Matrix]:
        """Return kernel and bias of each dense layer in order, and let go of all else: the network is spent."""
        with _one_at_a_time:
            self._layers[0].catch_up(self._steps)
        weights = [array for layer in self._layers for array in (layer.kernel, layer.bias)]
        self._layers = []
        return weights

    def _prepared(self, place: Place) -> _Batch:
        epoch, step, (rows, labels) = place
        lost = self._layers[0].drawn(self._masks, epoch, step, rows.shape)
        return _Batch(epoch, step, labels, entries_of(drop(np.ascontiguousarray(rows, np.float32), lost)))

    def _fitted(self, batch: _Batch, upcoming: _Batch | None, rate: float) -> NDArray[np.float64]:
        """Take a step; return the sum of the batch's losses before it, the number of hits, and of rows."""
        first, *inner = self._layers
        n = len(batch.labels)
        values = first.activated(first.product(batch.entries, n) if batch.product is None else batch.product)
        passed = []
        for before, layer in zip(self._layers, inner, strict=False):
            # Dropout is linear, so what it does to the slope is what it will do to the way back.
            lost = layer.drawn(self._masks, batch.epoch, batch.step, values.shape)
            entries = entries_of(drop(values, lost))
            passed.append((entries, drop(before.slope(values), lost)))
            values = layer.activated(layer.product(entries, n))
        loss, hits, delta = cross_entropy(values, batch.labels)
        self._note(rate)
        for layer, (entries, slope) in zip(reversed(inner), reversed(passed), strict=True):
            delta = layer.update(self._steps, entries, delta) * slope
        if upcoming is None:
            first.update_first(self._steps, batch.entries, delta, None, 0)
        else:
            rows = len(upcoming.labels)
            upcoming.product = first.update_first(self._steps, batch.entries, delta, upcoming.entries, rows)
        self._steps = Steps(self._steps.step + 1, self._steps.rates)
        return np.array([loss, hits, n])

    def _note(self, rate: float) -> None:
        """Write down the step's rate with Adam's bias correction, in single precision as Keras computes it."""
        step, rates = self._steps.step, self._steps.rates
        if step == len(rates):
            rates = np.concatenate([rates, np.empty_like(rates)])
            self._steps = Steps(step, rates)
        t, one = np.float32(step + 1), np.float32(1)
        correction = np.sqrt(one - np.float32(BETA_2) ** t) / (one - np.float32(BETA_1) ** t)
        rates[step] = np.float32(rate) * correction


def cross_entropy(logits: Matrix, labels: NDArray[np.int64]) -> tuple[float, int, Matrix]:
    """Return the sum of the rows' losses, the number of hits, and the derivative of the mean loss by the logits.

    Args:
        logits: (b, classes), or (b, 1) for two classes, where it speaks for the second.
        labels: (b,) class indices.
    """
    if logits.shape[1] == 1:
        z = logits[:, 0]
        # log(1 + exp(z)) - y z, without overflow.
        losses = np.maximum(z, 0) - z * labels + np.log1p(np.exp(-np.abs(z)))
        p = 1 / (1 + np.exp(-z))
        return (
            float(losses.sum()),
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
    return float(losses.sum()), int((logits.argmax(axis=1) == labels).sum()), delta / np.float32(len(labels))
