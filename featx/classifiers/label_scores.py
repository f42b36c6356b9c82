"""Metrics of several labels for each image, each computed for many weightings of the images at once.

Every metric takes `Y`, (n, L) with 1 where a label is there, 0 where it is not and NaN where it is not known, `P`,
(n, L) probabilities, and `W`, (b, n) weights of the images, and returns (b,) values. Labels that no weighted image
has, or all, do not count to a mean.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from featx.stats import BINS, THRESHOLD, area_under_curve, resampled_weights

Matrix = NDArray[np.float64]
Targets = NDArray[np.float32]


def right_images(Y: Targets, P: Matrix) -> NDArray[np.bool_]:
    """Return (n,) in which images every known label is right at a probability of 0.5."""
    return np.asarray((((P >= THRESHOLD) == (Y == 1)) | ~np.isfinite(Y)).all(axis=1))


def accuracy(Y: Targets, P: Matrix, W: Matrix) -> Matrix:
    """Return the share of images, of those with a known label, in which every known label is right, 0 to 1."""
    counted = np.isfinite(Y).any(axis=1)
    return _ratio(W @ (right_images(Y, P) & counted), W @ counted)


def roc_auc(Y: Targets, P: Matrix, W: Matrix) -> Matrix:
    """Return the mean area under the ROC curve over the labels, 0 to 1."""
    return _mean_over_labels(area_under_curve, Y, P, W)


def average_precision(Y: Targets, P: Matrix, W: Matrix) -> Matrix:
    """Return the mean average precision over the labels, 0 to 1, see `featx.stats.average_precision`."""
    return _mean_over_labels(_precision, Y, P, W)


def log_loss(Y: Targets, P: Matrix, W: Matrix) -> Matrix:
    """Return the mean binary cross-entropy of the known labels in nats, from 0; clipped at the epsilon of float32."""
    known = np.isfinite(Y)
    least = np.finfo(np.float32).eps
    own = np.where(Y == 1, P, 1 - P)
    losses = np.where(known, -np.log(np.clip(own, least, 1)), 0.0)
    return _ratio(W @ losses.sum(axis=1), W @ known.sum(axis=1))


LABEL_METRICS: Mapping[str, Callable[[Targets, Matrix, Matrix], Matrix]] = {
    "roc_auc": roc_auc,
    "average_precision": average_precision,
    "accuracy": accuracy,
    "log_loss": log_loss,
}


def label_calibration_error(Y: Targets, P: Matrix) -> float:
    """Return the expected calibration error of all known labels, 0 to 1, see `featx.stats.calibration_error`.

    Here the probability that a label is there is compared with the share of labels that are.
    """
    known = np.isfinite(Y)
    shares, there = P[known], Y[known] == 1
    bins = np.clip(np.ceil(shares * BINS).astype(np.int64) - 1, 0, BINS - 1)
    return float(np.abs(np.bincount(bins, there - shares, BINS)).sum() / max(len(shares), 1))


def label_scores(Y: Targets, P: Matrix) -> dict[str, float]:
    """Return every metric of (n, L) probabilities; NaN where it is not defined."""
    once = np.ones((1, len(Y)))
    return {name: float(metric(Y, P, once)[0]) for name, metric in LABEL_METRICS.items()}


def resampled(Y: Targets, P: Matrix, groups: Sequence[str], seed: int, resamples: int = 1000) -> dict[str, Matrix]:
    """Return every metric in bootstrap samples of whole groups, (resamples,) each; the same seed draws the same.

    Source: Field and Welsh, "Bootstrapping clustered data", JRSS B 69 (2007), 369-390.
    """
    drawn: dict[str, list[Matrix]] = {name: [] for name in LABEL_METRICS}
    for W in _resampled_weights(groups, seed, resamples):
        for name, metric in LABEL_METRICS.items():
            drawn[name].append(metric(Y, P, W))
    return {name: np.concatenate(values) for name, values in drawn.items()}


def difference_of_areas(
    Y: Targets, first: Matrix, second: Matrix, groups: Sequence[str], *, seed: int, resamples: int = 1000
) -> tuple[float, float] | None:
    """Compare two heads or classifiers by the mean area under the ROC curve over the labels, on the same images.

    Args:
        Y: (n, L) with 1, 0 and NaN for unknown.
        first: (n, L) probabilities of the first, 0 to 1.
        second: (n, L) probabilities of the second.
        groups: (n,) the group of each image, such as a patient; whole groups are resampled.
        seed: Of the bootstrap.
        resamples: Number of bootstrap samples.

    Returns:
        The first mean area less the second, and the two-sided p-value that the difference is none, see `paired_p`;
        None if no label has both images with it and images without it.
    """
    once = np.ones((1, len(Y)))
    difference = float((roc_auc(Y, first, once) - roc_auc(Y, second, once))[0])
    if not np.isfinite(difference):
        return None
    drawn = [roc_auc(Y, first, W) - roc_auc(Y, second, W) for W in _resampled_weights(groups, seed, resamples)]
    return difference, paired_p(difference, np.concatenate(drawn))


def _resampled_weights(groups: Sequence[str], seed: int, resamples: int) -> Iterator[Matrix]:
    """Return (b, n) weights of the images in bootstrap samples of whole groups."""
    first: dict[str, int] = {}
    numbers = np.array([first.setdefault(group, len(first)) for group in groups], np.int64)
    return resampled_weights(numbers, seed, resamples)


def paired_p(difference: float, resampled_differences: Matrix) -> float:
    """Return the two-sided p-value that a difference of two metrics of the same images is none.

    The difference, divided by its standard deviation over bootstrap samples, is compared with the standard normal.
    Source: Robin et al., "pROC: an open-source package for R and S+ to analyze and compare ROC curves", BMC
    Bioinformatics 12 (2011), 77, the bootstrap test of two paired curves. It is 1 where the difference never varies:
    then the images cannot tell.
    """
    from scipy.stats import norm

    known = resampled_differences[np.isfinite(resampled_differences)]
    spread = float(known.std(ddof=1)) if len(known) > 1 else 0.0
    return float(2 * norm.sf(abs(difference) / spread)) if spread > 1e-12 else 1.0


def _precision(positive: NDArray[np.bool_], scores: Matrix, W: Matrix) -> Matrix:
    """Return the average precision of one label for each weighting."""
    order = np.argsort(-scores, kind="stable")
    firsts = np.flatnonzero(np.diff(-scores[order], prepend=-np.inf))
    hits = np.add.reduceat(W[:, order] * positive[order], firsts, axis=1)
    called = np.cumsum(np.add.reduceat(W[:, order], firsts, axis=1), axis=1)
    precision = np.divide(np.cumsum(hits, axis=1), called, out=np.zeros_like(called), where=called > 0)
    return _ratio(np.sum(hits * precision, axis=1), hits.sum(axis=1))


def _mean_over_labels(
    of_one: Callable[[NDArray[np.bool_], Matrix, Matrix], Matrix], Y: Targets, P: Matrix, W: Matrix
) -> Matrix:
    total, counted = np.zeros(len(W)), np.zeros(len(W))
    for target, scores in zip(Y.T, P.T, strict=True):
        known = np.isfinite(target)
        positive, weights = target[known] == 1, W[:, known]
        if positive.all() or not positive.any():
            continue
        defined = (weights @ positive > 0) & (weights @ ~positive > 0)
        values = of_one(positive, np.ascontiguousarray(scores[known]), weights)
        total += np.where(defined, values, 0)
        counted += defined
    return _ratio(total, counted)


def _ratio(parts: Matrix, wholes: Matrix) -> Matrix:
    """Return parts / wholes; NaN where the whole is none."""
    wholes = np.asarray(wholes, np.float64)
    return np.asarray(np.divide(parts, wholes, out=np.full(wholes.shape, np.nan), where=wholes > 0))
