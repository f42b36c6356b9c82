"""The layers of the fitting engine `fused`: a dense layer with the dropout before it, as arrays."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from featx.heads.fused.adam import Adam, Pass, adam, adam_pass, catch_up
from featx.heads.fused.entries import CHUNKS, Entries, Matrix, dropped, products, total
from featx.recipes import DropoutLayer, HeadPart


class Masks(Protocol):
    """What dropout keeps."""

    def __call__(self, epoch: int, step: int, place: int, shape: tuple[int, int], /) -> NDArray[np.bool_]:
        """Return where the values that enter the recipe's layer at a place are kept."""
        ...


@dataclass(frozen=True)
class SeededMasks:
    """Masks that are a function of the seed, the epoch, its step and the layer's place in the recipe."""

    spec: HeadPart
    seed: int

    def __call__(self, epoch: int, step: int, place: int, shape: tuple[int, int], /) -> NDArray[np.bool_]:
        """Return True with the probability 1 - rate."""
        dropout = self.spec.layers[place]
        rate = dropout.rate if isinstance(dropout, DropoutLayer) else 0.0
        return np.random.default_rng([self.seed, epoch, step, place]).random(shape, np.float32) >= np.float32(rate)


@dataclass(frozen=True)
class Steps:
    """How far the fit is.

    Attributes:
        step: The current step, counted from 0.
        rates: By step, the learning rate times Adam's bias correction.
    """

    step: int
    rates: Matrix


class Dropped(NamedTuple):
    """What one dropout layer keeps, (b, d), and what it multiplies that with."""

    keep: NDArray[np.bool_]
    scale: np.float32


def drop(values: Matrix, layers: Sequence[Dropped]) -> Matrix:
    """Return (b, d) values after dropout layers."""
    for layer in layers:
        values = dropped(values, layer.keep, layer.scale)
    return values


@dataclass
class Dense:
    """A dense layer with what Adam knows of it.

    Attributes:
        kernel: (d, units), changed in place.
        bias: (units,), changed in place.
        relu: Whether the activation is ReLU; it is linear otherwise.
        dropouts: Place in the recipe and rate of each dropout layer before it.
    """

    kernel: Matrix
    bias: Matrix
    relu: bool
    dropouts: tuple[tuple[int, float], ...]
    _adam: Adam = field(init=False)
    _bias_moments: tuple[Matrix, Matrix] = field(init=False)

    def __post_init__(self) -> None:
        """Start with moments of zero."""
        never = np.full(len(self.kernel), -1, np.int64)
        # Pages of np.zeros come into being when they are first written to; np.zeros_like writes them at once.
        first, second = (np.zeros(self.kernel.shape, np.float32) for _ in range(2))
        self._adam = Adam(self.kernel, first, second, never)
        self._bias_moments = (np.zeros_like(self.bias), np.zeros_like(self.bias))

    def drawn(self, masks: Masks, epoch: int, step: int, shape: tuple[int, ...]) -> list[Dropped]:
        """Return what the dropout before the layer does to (b, d) values in a step."""
        return [
            Dropped(masks(epoch, step, place, (shape[0], shape[1])), np.float32(1 / (1 - rate)))
            for place, rate in self.dropouts
        ]

    def product(self, entries: Entries, rows: int) -> Matrix:
        """Return the product of a batch's rows with the kernel, (rows, units)."""
        sums = np.empty((CHUNKS, rows, len(self.bias)), np.float32)
        products(entries, self.kernel, sums)
        return total(sums)

    def activated(self, product: Matrix) -> Matrix:
        """Return the layer's output, (b, units)."""
        out = product + self.bias
        return np.maximum(out, np.float32(0)) if self.relu else out

    def slope(self, output: Matrix) -> Matrix:
        """Return the activation's derivative, (b, units); that of ReLU is 0 at 0, as Keras has it."""
        return (output > 0).astype(np.float32) if self.relu else np.ones_like(output)

    def update(self, steps: Steps, entries: Entries, delta: Matrix) -> Matrix:
        """Take a step; return the derivative of the loss by the layer's input, (b, d)."""
        d, units = self.kernel.shape
        back = np.empty((len(delta), d), np.float32)
        self._pass(
            steps, entries, delta, self._nothing(), np.empty((CHUNKS, 0, units), np.float32), back, defer=False
        )
        return back

    def update_first(
        self, steps: Steps, entries: Entries, delta: Matrix, upcoming: Entries | None, rows: int
    ) -> Matrix:
        """Take a step as the first layer; return the product of the next batch's rows with the new kernel."""
        upcoming = self._nothing() if upcoming is None else upcoming
        sums = np.empty((CHUNKS, rows, len(self.bias)), np.float32)
        back = np.empty((0, len(self.kernel)), np.float32)
        self._pass(steps, entries, delta, upcoming, sums, back, defer=True)
        return total(sums)

    def catch_up(self, steps: Steps) -> None:
        """Bring every row of the kernel to where it stands before the current step."""
        if steps.step:
            catch_up(self._adam, steps.step - 1, steps.rates)

    def _nothing(self) -> Entries:
        return Entries(np.zeros(len(self.kernel) + 1, np.int64), np.empty(0, np.int64), np.empty(0, np.float32))

    def _pass(
        self,
        steps: Steps,
        entries: Entries,
        delta: Matrix,
        upcoming: Entries,
        sums: Matrix,
        back: Matrix,
        *,
        defer: bool,
    ) -> None:
        step, rates = steps.step, steps.rates
        adam_pass(self._adam, entries, upcoming, Pass(step, rates, delta, sums, back, defer))
        adam(self.bias, *self._bias_moments, delta.sum(0), rates[step])


def make_layers(spec: HeadPart, weights: Iterable[tuple[Matrix, Matrix]]) -> list[Dense]:
    """Return the dense layers of a head, the logits' last."""
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
