"""Differences of two of several classifiers in a cross-validation, of which one may have been chosen as the best."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import sqrt

import numpy as np
from numpy.typing import NDArray

from featx.stats.grouped import Groups, group_numbers


@dataclass(frozen=True)
class FoldDifference:
    """The difference of two classifiers in a cross-validation.

    Attributes:
        mean: One mean score less the other.
        interval: Its 95 % interval, which holds for all pairs of the compared classifiers at once; None where the
            difference never varies.
        p_value: The two-sided p-value, corrected for all pairs.
    """

    mean: float
    interval: tuple[float, float] | None
    p_value: float


def held_out_difference(
    one: NDArray[np.float64], other: NDArray[np.float64], groups: Groups, *, folds: int, classifiers: int
) -> FoldDifference:
    """Compare two classifiers of several by their held-out images, also where one was chosen as the best of them.

    Tukey's range of all classifiers replaces Student's t: it allows for the choice, since the best and the worst are
    as far apart as any pair. The variance of the mean difference is that over whole groups of images, times
    `1 + folds / (folds - 1)`, because training sets overlap: this is Nadeau and Bengio's correction for the folds of
    one repeat, with the variance of images instead of that of folds, of which there are few. Other repeats make the
    values of an image more certain, but they are no further images.

    Sources: J. W. Tukey, "The problem of multiple comparisons" (1953); Games and Howell, "Pairwise multiple
    comparison procedures with unequal n's and/or variances", Journal of Educational Statistics 1 (1976), 113-125, for
    an error for each pair; Nadeau and Bengio, Machine Learning 52 (2003), 239-281. `benchmarks/intervals.py` measures
    how often one of eight equal classifiers is called worse than the best.

    Args:
        one: (n,) how often each image was correct when it was held out, as a share of the repeats.
        other: (n,) the same for the other classifier.
        groups: (n,) the group of each image, such as its patient; None for an image that shares none.
        folds: Number of folds of a repeat.
        classifiers: Number of classifiers that are compared, at least 2.
    """
    differences, numbers = one - other, group_numbers(groups)
    mean, number = float(differences.mean()), int(numbers.max()) + 1
    totals = np.bincount(numbers, differences - mean)
    variance = number / max(number - 1, 1) * float(np.sum(totals**2)) / len(differences) ** 2
    error = sqrt((1 + folds / (folds - 1)) * variance) if np.ptp(differences) > 1e-12 else 0.0
    return _by_range(mean, error, number, classifiers)


def fold_difference(
    one: NDArray[np.float64], other: NDArray[np.float64], *, folds: int, classifiers: int
) -> FoldDifference | None:
    """Compare two classifiers by a score that only a whole fold has, such as an area; else see `held_out_difference`.

    The variance is that over the folds, with Nadeau and Bengio's correction for one repeat: folds of other repeats
    have the same images and are no further evidence.

    Args:
        one: (J,) scores of one classifier by fold, over all repeats; NaN where a score is not defined.
        other: (J,) scores of the other in the same folds.
        folds: Number of folds of a repeat.
        classifiers: Number of classifiers that are compared, at least 2.

    Returns:
        The difference; None where fewer than two folds have both scores.
    """
    differences = one - other
    differences = differences[np.isfinite(differences)]
    if len(differences) < 2:
        return None
    variance = float(differences.var(ddof=1)) if np.ptp(differences) > 1e-12 else 0.0
    error = sqrt((1 / folds + 1 / (folds - 1)) * variance)
    return _by_range(float(differences.mean()), error, len(differences), classifiers)


def _by_range(mean: float, error: float, number: int, classifiers: int) -> FoldDifference:
    """Return a difference with the interval and p-value of Tukey's range; `number` values give the error."""
    if number < 2 or error == 0:
        pairs = classifiers * (classifiers - 1) / 2
        return FoldDifference(mean, None, 1.0 if abs(mean) < 1e-12 else min(1.0, pairs * 2.0 ** (1 - number)))
    from scipy.stats import studentized_range

    p_value = float(studentized_range.sf(sqrt(2) * abs(mean) / error, classifiers, number - 1))
    half = _range_quantile(classifiers, number - 1) / sqrt(2) * error
    return FoldDifference(mean, (max(mean - half, -1.0), min(mean + half, 1.0)), min(max(p_value, 0.0), 1.0))


@lru_cache(maxsize=256)
def _range_quantile(classifiers: int, degrees: int) -> float:
    """Return the quantile at 0.95 of the studentised range, which takes a fifth of a second."""
    from scipy.stats import studentized_range

    return float(studentized_range.ppf(0.95, classifiers, degrees))
