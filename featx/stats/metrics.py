"""Metrics of predicted probabilities, each computed for many weightings of the rows at once.

Every metric takes `y`, (n,) class indices, `P`, (n, classes) probabilities, and `W`, (b, n) weights of the rows, and
returns (b,) values. Weights of 1 give the usual metric; the counts of a bootstrap sample give that sample's metric.
The predicted class is the most probable one, and the first of several with the same probability.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]
Labels = NDArray[np.int64]

# Guo et al. (2017) use 15.
BINS = 15
# Repeated rows alone make the calibration error of a bootstrap sample larger.
WITHOUT_INTERVAL = ("calibration_error",)
# The range of each metric whose range is not 0 to 1.
BOUNDS: Mapping[str, tuple[float, float]] = {"log_loss": (0.0, float("inf")), "brier": (0.0, 2.0)}


def accuracy(y: Labels, P: Matrix, W: Matrix) -> Matrix:
    """Return the share of rows whose predicted class is the true one, 0 to 1."""
    return np.asarray(W @ (P.argmax(axis=1) == y) / W.sum(axis=1))


def balanced_accuracy(y: Labels, P: Matrix, W: Matrix) -> Matrix:
    """Return the mean recall over the classes that are present, 0 to 1.

    Source: Brodersen et al., "The balanced accuracy and its posterior distribution", ICPR 2010.
    """
    hits, own, _ = _class_counts(y, P, W)
    return _mean_ratio(hits, own, own > 0)


def macro_f1(y: Labels, P: Matrix, W: Matrix) -> Matrix:
    """Return the mean of `2 TP / (2 TP + FP + FN)` over the classes that are present or predicted, 0 to 1.

    Source: Sokolova and Lapalme, "A systematic analysis of performance measures for classification tasks",
    Information Processing & Management 45 (2009), 427-437 (macro-averaging; here of F1 itself, as in scikit-learn).
    """
    hits, own, called = _class_counts(y, P, W)
    return _mean_ratio(2 * hits, own + called, own + called > 0)


def roc_auc(y: Labels, P: Matrix, W: Matrix) -> Matrix:
    """Return the area under the ROC curve of each class against the rest, averaged over the classes, 0 to 1.

    It is the probability that a row of the class has a higher predicted probability of it than a row of another
    class, ties counting half (Hanley and McNeil, Radiology 143 (1982), 29-36). Classes with no row, or with all rows,
    are left out; NaN where no class is left.
    """
    areas = np.stack([area_under_curve(y == number, P[:, number], W) for number in range(P.shape[1])], axis=1)
    known = np.isfinite(areas)
    return _mean_ratio(np.where(known, areas, 0), np.ones_like(areas), known)


def log_loss(y: Labels, P: Matrix, W: Matrix) -> Matrix:
    """Return the mean cross-entropy in nats, from 0; probabilities are clipped at the epsilon of float32."""
    own = np.clip(P[np.arange(len(y)), y], np.finfo(np.float32).eps, 1)
    return np.asarray(W @ -np.log(own) / W.sum(axis=1))


def brier(y: Labels, P: Matrix, W: Matrix) -> Matrix:
    """Return the Brier score, 0 to 2: the mean over rows of the squared errors summed over all classes.

    Source: G. W. Brier, "Verification of forecasts expressed in terms of probability", Monthly Weather Review 78
    (1950), 1-3. With two classes it is twice the form with one column.
    """
    errors = np.array(P)
    errors[np.arange(len(y)), y] -= 1
    return np.asarray(W @ np.sum(errors**2, axis=1) / W.sum(axis=1))


def calibration_error(y: Labels, P: Matrix, W: Matrix) -> Matrix:
    """Return the expected calibration error, 0 to 1: the mean distance between confidence and accuracy.

    The confidence, the probability of the predicted class, is put into 15 bins of equal width over (0, 1]. The error
    is |accuracy - mean confidence| of each bin, averaged with the number of rows as weights. Source: Guo et al., "On
    calibration of modern neural networks", ICML 2017. With few rows it is too large.
    """
    confidence = P.max(axis=1)
    bins = np.clip(np.ceil(confidence * BINS).astype(np.int64) - 1, 0, BINS - 1)
    gap = (P.argmax(axis=1) == y) - confidence
    of_bins = np.stack([np.bincount(bins, weights * gap, BINS) for weights in W])
    return np.asarray(np.abs(of_bins).sum(axis=1) / W.sum(axis=1))


METRICS: Mapping[str, Callable[[Labels, Matrix, Matrix], Matrix]] = {
    "accuracy": accuracy,
    "balanced_accuracy": balanced_accuracy,
    "macro_f1": macro_f1,
    "roc_auc": roc_auc,
    "log_loss": log_loss,
    "brier": brier,
    "calibration_error": calibration_error,
}


def score_all(y: Labels, P: Matrix) -> dict[str, float]:
    """Return every metric of (n, classes) probabilities, n at least 1."""
    once = np.ones((1, len(y)))
    return {name: float(metric(y, P, once)[0]) for name, metric in METRICS.items()}


def _class_counts(y: Labels, P: Matrix, W: Matrix) -> tuple[Matrix, Matrix, Matrix]:
    """Return the weights, (b, classes) each, of a class's rows predicted as it, of its rows, and of all so predicted.

    A whole confusion matrix of many classes would be large.
    """
    predicted = P.argmax(axis=1)

    def summed(cells: Labels, chosen: Matrix) -> Matrix:
        return np.stack([np.bincount(cells, weights * chosen, P.shape[1]).astype(np.float64) for weights in W])

    every = np.ones(len(y))
    return summed(y, (predicted == y).astype(np.float64)), summed(y, every), summed(predicted, every)


def resampled_weights(numbers: Labels, seed: int, resamples: int) -> Iterator[Matrix]:
    """Yield how often each row is in bootstrap samples of whole groups, (b, n) for some samples at a time.

    Args:
        numbers: (n,) the number of each row's group, from 0 without gaps.
        seed: Seed of the draw; the same seed draws the same groups.
        resamples: Number of bootstrap samples.
    """
    generator = np.random.default_rng(seed)
    groups = int(numbers.max()) + 1
    # At most about four million weights are in memory at once.
    step = max(1, (1 << 22) // len(numbers))
    for start in range(0, resamples, step):
        drawn = generator.integers(groups, size=(min(step, resamples - start), groups))
        yield np.stack([np.bincount(row, minlength=groups) for row in drawn])[:, numbers].astype(np.float64)


def percentile_interval(figures: Matrix) -> tuple[float, float] | None:
    """Return the middle 95 % of a figure in bootstrap samples; None where it is not defined, or always the same.

    Args:
        figures: (resamples,) the figure in each sample; NaN where it is not defined.
    """
    known = figures[np.isfinite(figures)]
    if not len(known):
        return None
    low, high = np.quantile(known, [0.025, 0.975])
    return None if low == high else (float(low), float(high))


def _mean_ratio(parts: Matrix, wholes: Matrix, counted: NDArray[np.bool_]) -> Matrix:
    """Return the mean of parts / wholes over the last axis, where `counted`; NaN where nothing is."""
    shares = np.divide(parts, wholes, out=np.zeros_like(wholes), where=counted)
    number = counted.sum(axis=-1)
    return np.asarray(np.divide(shares.sum(axis=-1), number, out=np.full(number.shape, np.nan), where=number > 0))


def area_under_curve(positive: NDArray[np.bool_], scores: Matrix, W: Matrix) -> Matrix:
    """Return the area under the ROC curve by the rank formula (Mann-Whitney U), 0 to 1, see `roc_auc`.

    Args:
        positive: (n,) True for rows of the class.
        scores: (n,) the higher, the more likely a row is of the class.
        W: (b, n) weights of the rows.

    Returns:
        (b,) for each weighting; NaN where it has no row of the class, or no other.
    """
    if not positive.any():  # most of very many classes
        return np.full(len(W), np.nan)
    order = np.argsort(scores, kind="stable")
    firsts = np.flatnonzero(np.diff(scores[order], prepend=-np.inf))
    ups = np.add.reduceat(W[:, order] * positive[order], firsts, axis=1)
    downs = np.add.reduceat(W[:, order] * ~positive[order], firsts, axis=1)
    below = np.cumsum(downs, axis=1) - downs / 2
    pairs = ups.sum(axis=1) * downs.sum(axis=1)
    areas = np.full(len(W), np.nan)
    return np.asarray(np.divide(np.sum(ups * below, axis=1), pairs, out=areas, where=pairs > 0))
