"""The training loss of one class for each row, in NumPy."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from featx.heads.fused.entries import Matrix


def cross_entropy(
    logits: Matrix, labels: NDArray[np.int64], counts: Matrix | None = None, smoothing: float = 0.0
) -> tuple[float, int, Matrix]:
    """Return the sum of the losses, the number of correct rows, and the derivative of the mean loss by the logits.

    Args:
        logits: (b, classes), or (b, 1) for two classes.
        labels: (b,).
        counts: (b,) factors of the rows' losses; the mean is still over the number of rows, as in Keras.
        smoothing: Share of each target that is spread evenly over the classes; the derivative is with it, the losses
            are without.
    """
    losses, hits, delta = _cross_entropies(logits, labels)
    if smoothing:
        k = max(2, logits.shape[1])
        there = labels[:, None] == (np.arange(k) if logits.shape[1] > 1 else 1)
        delta = delta + (there.astype(np.float32) - np.float32(1 / k)) * np.float32(smoothing / len(labels))
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
