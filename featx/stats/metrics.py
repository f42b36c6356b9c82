"""What probabilities are worth against the true classes; each figure for many weightings of the rows at once.

Every function takes `y`, (n,) class numbers, `P`, (n, classes) probabilities, and `W`, (b, n) weights of the rows,
and returns (b,) figures. With weights of 1 they are the usual ones; with the counts of a resample, those of it.
Predicted is the most probable class, the first of several.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]
Labels = NDArray[np.int64]

# Guo et al. (2017) use 15.
BINS = 15
RESAMPLES = 1000
# A resample's calibration error is larger than that of the rows, only because rows are repeated.
WITHOUT_INTERVAL = ("calibration_error",)
# Between which a metric lies, where that is not 0 to 1.
BOUNDS: Mapping[str, tuple[float, float]] = {"log_loss": (0.0, float("inf")), "brier": (0.0, 2.0)}
# Weights are drawn in portions of about this many numbers.
PORTION = 1 << 22


def accuracy(y: Labels, P: Matrix, W: Matrix) -> Matrix:
    """Return the share of rows whose predicted class is their own, 0 to 1."""
    return np.asarray(W @ (P.argmax(axis=1) == y) / W.sum(axis=1))


def balanced_accuracy(y: Labels, P: Matrix, W: Matrix) -> Matrix:
    """Return the mean over the classes present of the share of their rows that is found, 0 to 1.

    Source: Brodersen et al., "The balanced accuracy and its posterior distribution", ICPR 2010.
    """
    counts = confusion(y, P, W)
    of_class = counts.sum(axis=2)
    found = np.diagonal(counts, axis1=1, axis2=2)
    return _mean_over(found, of_class, of_class > 0)


def macro_f1(y: Labels, P: Matrix, W: Matrix) -> Matrix:
    """Return the mean of `2 TP / (2 TP + FP + FN)` over the classes that are present or predicted, 0 to 1.

    Source: Sokolova and Lapalme, "A systematic analysis of performance measures for classification tasks",
    Information Processing & Management 45 (2009), 427-437 (macro-averaging; here of F1 itself, as in scikit-learn).
    """
    counts = confusion(y, P, W)
    both = counts.sum(axis=1) + counts.sum(axis=2)
    return _mean_over(2 * np.diagonal(counts, axis1=1, axis2=2), both, both > 0)


def roc_auc(y: Labels, P: Matrix, W: Matrix) -> Matrix:
    """Return the area under the ROC curve, each class against the rest, mean over the classes; 0 to 1.

    It is the chance that a row of the class has a higher probability of it than another row, ties counting half
    (Hanley and McNeil, Radiology 143 (1982), 29-36). Classes without rows, or with all of them, are left out;
    NaN where none is left.
    """
    areas = np.stack([_area(y == number, P[:, number], W) for number in range(P.shape[1])], axis=1)
    known = np.isfinite(areas)
    return _mean_over(np.where(known, areas, 0), np.ones_like(areas), known)


def log_loss(y: Labels, P: Matrix, W: Matrix) -> Matrix:
    """Return the mean cross-entropy in nats, from 0; probabilities are clipped at the float32's epsilon."""
    own = np.clip(P[np.arange(len(y)), y], np.finfo(np.float32).eps, 1)
    return np.asarray(W @ -np.log(own) / W.sum(axis=1))


def brier(y: Labels, P: Matrix, W: Matrix) -> Matrix:
    """Return the mean over rows of the summed squared differences to 0 and 1 over all classes, 0 to 2.

    Source: G. W. Brier, "Verification of forecasts expressed in terms of probability", Monthly Weather Review 78
    (1950), 1-3. With two classes it is twice the one-column form.
    """
    off = np.sum((P - np.eye(P.shape[1])[y]) ** 2, axis=1)
    return np.asarray(W @ off / W.sum(axis=1))


def calibration_error(y: Labels, P: Matrix, W: Matrix) -> Matrix:
    """Return the expected calibration error, 0 to 1: how far confidence and accuracy lie apart.

    The probability of the predicted class is put into 15 bins of equal width over (0, 1]; the error is the mean
    over rows of the distance between their bin's accuracy and its mean confidence. Source: Guo et al., "On
    calibration of modern neural networks", ICML 2017. Few rows make it too large.
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


def bootstrap(
    y: Labels, P: Matrix, units: Sequence[str], seed: int, resamples: int = RESAMPLES
) -> dict[str, tuple[float, float] | None]:
    """Return the 95 % percentile interval of every metric, by drawing whole units with replacement.

    The calibration error has none, since resampling inflates it; nor has a metric that is not defined.

    Source: Efron and Tibshirani, "An Introduction to the Bootstrap" (1993), ch. 13; Field and Welsh, "Bootstrapping
    clustered data", JRSS B 69 (2007), 369-390.

    Args:
        y: (n,) class numbers.
        P: (n, classes) probabilities.
        units: (n,) what is drawn as a whole.
        seed: The same seed draws the same.
        resamples: How many.
    """
    numbers = np.unique(np.asarray(units), return_inverse=True)[1]
    generator = np.random.default_rng(seed)
    step = max(1, PORTION // len(y))
    drawn: dict[str, list[Matrix]] = {name: [] for name in METRICS if name not in WITHOUT_INTERVAL}
    for start in range(0, resamples, step):
        W = _resampled(numbers, min(step, resamples - start), generator)
        for name, figures in drawn.items():
            figures.append(METRICS[name](y, P, W))
    ends = {name: _ends(np.concatenate(figures)) for name, figures in drawn.items()}
    return {name: ends.get(name) for name in METRICS}


def confusion(y: Labels, P: Matrix, W: Matrix) -> Matrix:
    """Return (b, classes, classes) weights by true (rows) and predicted class (columns)."""
    classes = P.shape[1]
    cells = y * classes + P.argmax(axis=1)
    counts = [np.bincount(cells, weights, classes * classes) for weights in W]
    return np.asarray(counts, np.float64).reshape(len(W), classes, classes)


def _resampled(units: Labels, count: int, generator: np.random.Generator) -> Matrix:
    n = int(units.max()) + 1
    drawn = generator.integers(n, size=(count, n))
    weights = np.stack([np.bincount(row, minlength=n) for row in drawn])
    return weights[:, units].astype(np.float64)


def _ends(figures: Matrix) -> tuple[float, float] | None:
    known = figures[np.isfinite(figures)]
    if not len(known):
        return None
    low, high = np.quantile(known, [0.025, 0.975])
    return float(low), float(high)


def _mean_over(parts: Matrix, wholes: Matrix, counted: NDArray[np.bool_]) -> Matrix:
    """Return the mean of parts / wholes over the last axis, where counted; NaN where nothing is."""
    shares = np.divide(parts, wholes, out=np.zeros_like(wholes), where=counted)
    number = counted.sum(axis=-1)
    return np.asarray(np.divide(shares.sum(axis=-1), number, out=np.full(number.shape, np.nan), where=number > 0))


def _area(positive: NDArray[np.bool_], scores: Matrix, W: Matrix) -> Matrix:
    order = np.argsort(scores, kind="stable")
    firsts = np.flatnonzero(np.diff(scores[order], prepend=-np.inf))
    ups = np.add.reduceat(W[:, order] * positive[order], firsts, axis=1)
    downs = np.add.reduceat(W[:, order] * ~positive[order], firsts, axis=1)
    below = np.cumsum(downs, axis=1) - downs / 2
    pairs = ups.sum(axis=1) * downs.sum(axis=1)
    areas = np.full(len(W), np.nan)
    return np.asarray(np.divide(np.sum(ups * below, axis=1), pairs, out=areas, where=pairs > 0))
