"""The layers of the engine `fused`: dense layers, each with the dropout before it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from featx.heads.fused.adam import AdamState, Pass, adam, adam_pass, catch_up
from featx.heads.fused.entries import CHUNKS, Entries, Matrix, dropped, products
from featx.recipes import DropoutLayer, HeadPart


@dataclass(frozen=True)
class SeededMasks:
    """Random masks that depend only on the seed, the epoch, its step and the layer's place in the recipe."""

    spec: HeadPart
    seed: int

    def __call__(self, epoch: int, step: int, place: int, shape: tuple[int, int], /) -> NDArray[np.bool_]:
        """Return which input values of the recipe's layer number `place` are kept, each with probability 1 - rate."""
        dropout = self.spec.layers[place]
        rate = dropout.rate if isinstance(dropout, DropoutLayer) else 0.0
        return np.random.default_rng([self.seed, epoch, step, place]).random(shape, np.float32) >= np.float32(rate)


class Steps(NamedTuple):
    """The current step, counted from 0, and what each step needs; see `Pass`."""

    step: int
    rates: Matrix
    decays: Matrix


class DropoutMask(NamedTuple):
    """Where one dropout layer keeps values, (b, d), and the factor that it scales them by."""

    keep: NDArray[np.bool_]
    scale: np.float32


def drop(values: Matrix, masks: Sequence[DropoutMask]) -> Matrix:
    """Return (b, d) values after dropout layers."""
    for mask in masks:
        values = dropped(values, mask.keep, mask.scale)
    return values


@dataclass
class Dense:
    """A dense layer with its Adam state.

    Attributes:
        kernel: (d, units), changed in place.
        bias: (units,), changed in place.
        relu: Whether the activation is ReLU; it is linear otherwise.
        dropouts: Place in the recipe and rate of each dropout layer directly before it.
    """

    kernel: Matrix
    bias: Matrix
    relu: bool
    dropouts: tuple[tuple[int, float], ...]
    _adam: AdamState = field(init=False)
    _bias_moments: tuple[Matrix, Matrix] = field(init=False)

    def __post_init__(self) -> None:
        """Start with moments of zero."""
        # Memory of np.zeros is allocated page by page at the first write; np.zeros_like writes all of it at once.
        first, second = (np.zeros(self.kernel.shape, np.float32) for _ in range(2))
        self._adam = AdamState(self.kernel, first, second, np.full(len(self.kernel), -1, np.int64))
        self._bias_moments = (np.zeros_like(self.bias), np.zeros_like(self.bias))

    def dropout_masks(self, masks: SeededMasks, epoch: int, step: int, shape: tuple[int, ...]) -> list[DropoutMask]:
        """Return the masks of the dropout before the layer, for (b, d) values in a step."""
        return [
            DropoutMask(masks(epoch, step, place, (shape[0], shape[1])), np.float32(1 / (1 - rate)))
            for place, rate in self.dropouts
        ]

    def product(self, entries: Entries, rows: int) -> Matrix:
        """Return the product of a batch with the kernel, (rows, units)."""
        sums = np.empty((CHUNKS, rows, len(self.bias)), np.float32)
        products(entries, self.kernel, sums)
        product: Matrix = sums.sum(axis=0)
        return product

    def activate(self, product: Matrix) -> Matrix:
        """Return the layer's output, (b, units)."""
        out = product + self.bias
        return np.maximum(out, np.float32(0)) if self.relu else out

    def derivative(self, output: Matrix) -> Matrix:
        """Return the derivative of the activation, (b, units); for ReLU it is 0 at 0, as in Keras."""
        return (output > 0).astype(np.float32) if self.relu else np.ones_like(output)

    def update(self, steps: Steps, entries: Entries, delta: Matrix) -> Matrix:
        """Take an Adam step; return the derivative of the loss by the layer's input, (b, d)."""
        d, units = self.kernel.shape
        sums = np.empty((CHUNKS, 0, units), np.float32)
        back = np.empty((len(delta), d), np.float32)
        self._pass(entries, self._no_entries(), Pass(*steps, delta, sums, back, defer=False))
        return back

    def update_first(
        self, steps: Steps, entries: Entries, delta: Matrix, upcoming: Entries | None, rows: int
    ) -> Matrix:
        """Take an Adam step as the first layer; return the product of the next batch with the new kernel."""
        upcoming = self._no_entries() if upcoming is None else upcoming
        sums = np.empty((CHUNKS, rows, len(self.bias)), np.float32)
        back = np.empty((0, len(self.kernel)), np.float32)
        self._pass(entries, upcoming, Pass(*steps, delta, sums, back, defer=True))
        product: Matrix = sums.sum(axis=0)
        return product

    def catch_up(self, steps: Steps) -> None:
        """Take the steps before the current one that rows of the kernel have skipped."""
        last, newest = self._adam.last_step, steps.step - 1
        # Most often none has, and then nothing needs to be compiled.
        if ((last < newest) & ((last >= 0) | (len(steps.decays) > 0))).any():
            catch_up(self._adam, newest, steps.rates, steps.decays)

    def _no_entries(self) -> Entries:
        return Entries(np.zeros(len(self.kernel) + 1, np.int64), np.empty(0, np.int64), np.empty(0, np.float32))

    def _pass(self, entries: Entries, upcoming: Entries, work: Pass) -> None:
        adam_pass(self._adam, entries, upcoming, work)
        adam(self.bias, *self._bias_moments, work.delta.sum(0), work.rates[work.step])


def make_layers(spec: HeadPart, weights: Iterable[tuple[Matrix, Matrix]]) -> list[Dense]:
    """Return the dense layers of a head; the last one gives the logits."""
    activations = [layer.activation for layer in spec.layers if not isinstance(layer, DropoutLayer)] + ["linear"]
    dropouts: list[list[tuple[int, float]]] = [[]]
    for place, layer in enumerate(spec.layers):
        if isinstance(layer, DropoutLayer):
            dropouts[-1].append((place, layer.rate))
        else:
            dropouts.append([])
    return [
        Dense(kernel, bias, activation == "relu", tuple(before))
        for (kernel, bias), activation, before in zip(weights, activations, dropouts, strict=True)
    ]
