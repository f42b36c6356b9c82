"""Scores and probabilities of logits."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from featx.stats.grouped import Groups, grouped_share
from featx.stats.intervals import Score
from featx.stats.labels import score_labels


def score(
    logits: NDArray[np.float32],
    labels: NDArray[np.int64] | NDArray[np.float32],
    groups: Groups | None = None,
) -> Score:
    """Return the accuracy and the mean cross-entropy of logits; for several labels a `LabelScore`.

    Args:
        logits: (n, classes), or (n, 1) for two classes, where a value above 0 means the second class; for several
            labels (n, L), where a value of at least 0 means that the label is there.
        labels: (n,) class indices; for several labels (n, L) with 1 (there), 0 (not there) and NaN (not known).
        groups: (n,) the group of each image, such as the patient; images of one group are not independent. None for
            an image that is alone, and None instead of all where every image is.
    """
    if labels.ndim == 2:
        return score_labels(logits, labels, groups)
    if len(labels) == 0:
        return Score(0, 0, None)
    losses = -_log_probabilities(logits)[np.arange(len(labels)), labels]
    share = grouped_share(np.argmax(two_columns(logits), axis=1) == labels, groups)
    return Score(share.n, share.correct, float(losses.mean()), groups=share.groups, effective=share.effective)


def probabilities(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return (n, classes) probabilities of (n, classes) logits, or of (n, 1) logits of two classes."""
    return np.asarray(np.exp(_log_probabilities(logits)))


def two_columns(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return logits with one column per class: (n, 1) becomes (0, logit), whose softmax is the sigmoid."""
    return np.hstack([np.zeros_like(logits), logits]) if logits.shape[1] == 1 else logits


def _log_probabilities(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    wide = two_columns(logits).astype(np.float64)
    # Only differences count, and beside large logits the logarithm of the sum would be rounded away.
    shifted = wide - wide.max(axis=1, keepdims=True)
    return np.asarray(shifted - np.logaddexp.reduce(shifted, axis=1)[:, None])
