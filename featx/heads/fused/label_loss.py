"""The training loss of several labels for each row, in NumPy."""

from __future__ import annotations

import numpy as np

from featx.heads.fused.entries import Matrix


def label_cross_entropy(
    logits: Matrix, targets: Matrix, weights: Matrix | None = None, smoothing: float = 0.0
) -> tuple[float, int, Matrix]:
    """Return the sum of the losses, the number of correct rows, and the derivative of the mean loss by the logits.

    The loss is the binary cross-entropy of each known label; its mean is over the known labels of all rows. A row is
    correct if it has known labels and all of them are right.

    Args:
        logits: (b, L), one for each label.
        targets: (b, L), 1 where a label is there, 0 where it is not, NaN where it is not known.
        weights: (L, 2) how much a label counts where it is not there and where it is; all the same if None. The mean
            is over the number of labels all the same.
        smoothing: Share of each target that is spread evenly over "there" and "not there"; the derivative is with
            it, the losses are without.
    """
    known = np.isfinite(targets)
    there = targets == 1
    # log(1 + exp(z)) - y z, without overflow.
    losses = np.maximum(logits, 0) - logits * there + np.log1p(np.exp(-np.abs(logits)))
    counts = known.astype(np.float32)
    if weights is not None:
        counts *= np.where(there, weights[:, 1], weights[:, 0])
    spread = there * np.float32(1 - smoothing) + np.float32(smoothing / 2) if smoothing else there
    delta = (1 / (1 + np.exp(-logits)) - spread) * counts / np.float32(max(int(known.sum()), 1))
    right = (((logits >= 0) == there) | ~known).all(axis=1) & known.any(axis=1)
    # A loss that is not known counts 0, also where the logit is infinite.
    total = np.where(known, losses * counts, 0).sum()
    return float(total), int(right.sum()), np.where(known, delta, 0).astype(np.float32)
