"""A head trained in plain NumPy in double precision, to check the engines against."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.recipes import DenseLayer, DropoutLayer, HeadPart
from featx.recipes.schema import Activation

Matrix = NDArray[np.float32]
Labels = NDArray[np.int64]


def dense(units: int, activation: Activation = "relu") -> DenseLayer:
    return DenseLayer(type="dense", units=units, activation=activation)


def dropout(rate: float) -> DropoutLayer:
    return DropoutLayer(type="dropout", rate=rate)


def rows(n: int, width: int, classes: int, zeros: float = 0.0, seed: int = 0) -> tuple[Matrix, Labels]:
    """Rows whose classes lie a little apart, with a share of zeros."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(classes, size=n)
    centres = generator.normal(size=(classes, width))
    X = (centres[labels] + generator.normal(size=(n, width))) * (generator.random((n, width)) >= zeros)
    return X.astype(np.float32), labels


def check_same_bits(one: Any, other: Any) -> None:
    for a, b in zip(one, other, strict=True):
        np.testing.assert_array_equal(a, b)


class SameBatches:
    """Given batches, the same in every epoch."""

    def __init__(self, *batches: tuple[Matrix, Labels]) -> None:
        self.batches = batches

    def epoch(self, number: int) -> Iterator[tuple[Matrix, Labels]]:
        return iter(self.batches)


@dataclass
class ByHand:
    """A head trained as textbooks describe it: forward, backward, and Adam with the constants of Keras."""

    spec: HeadPart
    weights: list[Any]
    masks: Callable[[int, int, int, tuple[int, int]], NDArray[np.bool_]]
    # The smallest distance of a value from a corner of ReLU or of a comparison (without values exactly there), and of
    # a probability from 0 or 1, where single precision loses the gradient.
    margin: float = np.inf
    weight_decay: float = 0.0
    class_weights: Any = None
    steps: int = 0
    moments: list[list[Any]] = field(default_factory=lambda: [[0.0, 0.0] for _ in range(100)])

    def __post_init__(self) -> None:
        self.weights = [weight.astype(np.float64) for weight in self.weights]

    def run_epoch(self, batches: Any, number: int, rate: float, last: bool) -> tuple[float, float]:
        sums = np.zeros(3)
        for step, (X, y) in enumerate(batches.epoch(number)):
            records, logits = self._forward(X, (number, step))
            losses, hits, delta = self._loss(logits, y)
            if self.class_weights is not None:
                losses, delta = losses * self.class_weights[y], delta * self.class_weights[y, None]
            self._adam(self._backward(records, delta / len(y)), rate)
            sums += losses.sum(), hits.sum(), len(y)
        return float(sums[0] / sums[2]), float(sums[1] / sums[2])

    def logits(self, X: Matrix) -> Any:
        return self._forward(X, None)[1]

    def _forward(self, X: Matrix, place_in_fit: tuple[int, int] | None) -> tuple[list[Any], Any]:
        values: Any = X.astype(np.float64)
        records, weights = [], iter(self.weights)
        for place, layer in enumerate([*self.spec.layers, dense(1, "linear")]):
            if isinstance(layer, DropoutLayer):
                kept = self.masks(*place_in_fit, place, values.shape) if place_in_fit else 1 - layer.rate
                records.append((kept / (1 - layer.rate), None))
                values = values * records[-1][0]
            else:
                entering, values = values, values @ next(weights) + next(weights)
                slope = values > 0 if layer.activation == "relu" else np.ones_like(values)
                if layer.activation == "relu":
                    self._keep_away(values)
                records.append((slope, entering))
                values = values * slope
        return records, values

    def _backward(self, records: list[Any], delta: Any) -> list[Any]:
        gradients: list[Any] = []
        kernels = iter(self.weights[-2::-2])
        for factor, entering in reversed(records):
            delta = delta * factor
            if entering is not None:
                gradients[:0] = [entering.T @ delta, delta.sum(0)]
                delta = delta @ next(kernels).T
        return gradients

    def _adam(self, gradients: list[Any], rate: float) -> None:
        self.steps += 1
        corrected = rate * np.sqrt(1 - 0.999**self.steps) / (1 - 0.9**self.steps)
        for weight, moments, gradient in zip(self.weights, self.moments, gradients, strict=False):
            moments[0] = 0.9 * moments[0] + 0.1 * gradient
            moments[1] = 0.999 * moments[1] + 0.001 * gradient**2
            if weight.ndim == 2:  # a kernel
                weight -= rate * self.weight_decay * weight
            weight -= corrected * moments[0] / (np.sqrt(moments[1]) + 1e-7)

    def _loss(self, logits: Any, y: Labels) -> tuple[Any, Any, Any]:
        """Losses, hits, and the derivative of each row's loss."""
        if logits.shape[1] == 1:
            self._keep_away(logits)
            p = 1 / (1 + np.exp(-logits[:, 0]))
            self._keep_away(p - y)
            return -np.log(np.where(y == 1, p, 1 - p)), (logits[:, 0] > 0) == y, (p - y)[:, None]
        best = np.sort(logits, axis=1)
        self._keep_away(best[:, -1] - best[:, -2])
        p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
        own = p[np.arange(len(y)), y]
        self._keep_away(1 - own)
        return -np.log(own), logits.argmax(1) == y, p - np.eye(logits.shape[1])[y]

    def _keep_away(self, values: Any) -> None:
        distances = np.abs(values[values != 0])
        self.margin = min(self.margin, distances.min(initial=np.inf))
