"""Significance tests, Holm's correction, and the spread of fits that differ in their seed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from math import factorial, sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.stats.grouped import Groups, group_numbers
from featx.stats.intervals import Score, mean_interval

# A difference is called significant where its p-value is below.
SIGNIFICANT = 0.05


def mcnemar(one: NDArray[np.bool_], other: NDArray[np.bool_], groups: Groups | None = None) -> float:
    """Return the two-sided p-value of McNemar's exact test: are two classifiers correct equally often?

    Only rows on which exactly one of them is correct count; if they are equally good, each such row is a fair coin.
    With groups, each group is a coin, which is worth as many rows as one classifier is ahead in it. Sources:
    Q. McNemar, Psychometrika 12 (1947), 153-157, in the exact form; Dietterich, Neural Computation 10 (1998); for
    groups the permutation test of paired values, Edgington and Onghena, "Randomization Tests", 4th ed. 2007.

    Args:
        one: (n,) True where one classifier is correct.
        other: (n,) the same for the other.
        groups: (n,) the group of each row; None for a row that shares none, or instead of all.
    """
    ahead = one.astype(np.int64) - other.astype(np.int64)
    numbers = np.arange(len(ahead)) if groups is None else group_numbers(groups)
    steps = np.abs(np.bincount(numbers, ahead)).astype(np.int64)
    return _sign_flip_p(abs(int(ahead.sum())), steps[steps > 0])


def _sign_flip_p(distance: int, steps: NDArray[np.int64]) -> float:
    """Return the probability that steps of random direction lead at least as far from 0."""
    from scipy.stats import binomtest

    if distance == 0:
        return 1.0
    if steps.max() == 1:
        return float(binomtest((len(steps) + distance) // 2, len(steps), 0.5).pvalue)
    reached = np.ones(1)  # by the place, from minus the sum of the steps to plus the sum
    for step in steps.tolist():
        further = np.zeros(len(reached) + 2 * step)
        further[: len(reached)] += reached / 2
        further[2 * step :] += reached / 2
        reached = further
    middle = len(reached) // 2
    return min(1.0, float(reached[: middle - distance + 1].sum() + reached[middle + distance :].sum()))


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """Return p-values by name, corrected for their number by Holm's step-down method, each at most 1.

    Source: S. Holm, "A simple sequentially rejective multiple test procedure", Scandinavian Journal of Statistics 6
    (1979), 65-70.
    """
    corrected: dict[str, float] = {}
    highest = 0.0
    for rank, name in enumerate(sorted(p_values, key=lambda name: p_values[name])):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[name]))
        corrected[name] = highest
    return {name: corrected[name] for name in p_values}


def homogeneity_p(correct: Sequence[int], n: int) -> float:
    """Return the p-value of Pearson's chi-squared test that several shares have one underlying probability.

    Source: K. Pearson, Philosophical Magazine 50 (1900), 157-175, on a table of correct and wrong by share. If all
    shares are of the same images, they vary less than the test assumes, and the p-value is too large.

    Args:
        correct: Successes of each share, at least two shares.
        n: Trials of each share.
    """
    from scipy.stats import chi2_contingency

    if not 0 < sum(correct) < n * len(correct):
        return 1.0
    table = np.array([correct, [n - number for number in correct]])
    return float(chi2_contingency(table, correction=False).pvalue)


def corrected_interval(
    scores: NDArray[np.float64], ratio: float, bounds: tuple[float, float] = (0.0, 1.0)
) -> tuple[float, float] | None:
    """Return the 95 % interval of a mean over repeated cross-validation, by the corrected resampled t-test.

    The training sets of the folds overlap, so the usual standard error is too small: its `1/J` becomes
    `1/J + n_test/n_train`. Source: Nadeau and Bengio, "Inference for the generalization error", Machine Learning 52
    (2003), 239-281; for repeated folds, Bouckaert and Frank, PAKDD 2004.

    Args:
        scores: (J,) one score per fold, over all repeats; NaN is left out.
        ratio: n_test / n_train of a fold, `1 / (folds - 1)`.
        bounds: The smallest and the largest score that is possible.

    Returns:
        Both ends; None for fewer than two scores.
    """
    from scipy.stats import t

    known = scores[np.isfinite(scores)]
    if len(known) < 2:
        return None
    # Equal scores can differ from their mean by rounding.
    variance = 0.0 if np.ptp(known) == 0 else float(known.var(ddof=1))
    error = sqrt((1 / len(known) + ratio) * variance)
    mean, half = float(known.mean()), float(t.ppf(0.975, len(known) - 1)) * error
    return max(mean - half, bounds[0]), min(mean + half, bounds[1])


@dataclass(frozen=True)
class SeedSpread:
    """Accuracies, or another measure, on one part of the data, of fits that differ only in their seed.

    Attributes:
        n: Number of images of that part.
        accuracies: Accuracy of each fit that has scores, 0 to 1, or the measure that was asked of `spread_of`.
        refused: Number of fits without scores, for example because they diverged.
        mean: Mean accuracy; None where no fit has scores, and so for `low`, `high` and `loss`.
        sd: Standard deviation of the accuracies (n - 1); None for fewer than two.
        interval: 95 % interval of the mean by Student's t, within [0, 1]; None for fewer than two. It is about
            other seeds on the same images, not about other images.
        loss: Mean loss in nats.
    """

    n: int
    accuracies: tuple[float, ...]
    refused: int
    mean: float | None
    sd: float | None
    low: float | None
    high: float | None
    interval: tuple[float, float] | None
    loss: float | None

    def to_json(self) -> dict[str, Any]:
        """Return the attributes, with the summary of the accuracies under `accuracy`."""
        return {
            "n": self.n,
            "fits": len(self.accuracies),
            "refused": self.refused,
            "accuracy": {
                "mean": self.mean,
                "sd": self.sd,
                "min": self.low,
                "max": self.high,
                "interval": None if self.interval is None else list(self.interval),
            },
            "loss": self.loss,
        }


def spread_of(scores: Sequence[Score], refused: int = 0, measure: str = "accuracy") -> SeedSpread:
    """Return the spread of scores over seeds.

    Args:
        scores: One score per fit; scores of no images are left out.
        refused: Number of fits without scores.
        measure: `accuracy`, or `auc` or `average_precision` of several labels; fits where it is None are left out.
    """
    known = [score for score in scores if getattr(score, measure) is not None]
    accuracies = [float(getattr(score, measure)) for score in known]
    losses = [score.loss for score in known if score.loss is not None]
    several = len(accuracies) > 1
    return SeedSpread(
        n=known[0].n if known else 0,
        accuracies=tuple(accuracies),
        refused=refused,
        mean=float(np.mean(accuracies)) if known else None,
        sd=float(np.std(accuracies, ddof=1)) if several else None,
        low=min(accuracies, default=None),
        high=max(accuracies, default=None),
        interval=mean_interval(accuracies, (0.0, 1.0)),
        loss=float(np.mean(losses)) if losses else None,
    )


def blocked_permutation_p(table: NDArray[np.float64], resamples: int = 9999, seed: int = 0) -> float:
    """Return the permutation p-value of the hypothesis that all rows have the same distribution.

    The statistic is the variance of the row means. Values are permuted within columns, as in a randomised block
    design (E. S. Edgington and P. Onghena, "Randomization Tests", 4th ed. 2007, ch. 6). All arrangements are tried
    if there are at most `resamples`; otherwise the p-value is (b + 1) / (B + 1) (B. Phipson and G. K. Smyth 2010,
    doi:10.2202/1544-6115.1585).

    Args:
        table: (values, seeds) figures, at least 2 by 2. Ties are exact only for whole numbers, such as counts of
            correct images.
        resamples: B, the number of arrangements to draw.
        seed: Seed of the draw.
    """
    from scipy.stats import permutation_test

    def squared_sums(*rows: NDArray[np.float64], axis: int) -> NDArray[np.float64]:
        # The total is fixed, so this orders arrangements as the variance does, and whole numbers stay whole.
        return np.asarray(np.sum([row.sum(axis=axis) ** 2 for row in rows], axis=0))

    result = permutation_test(
        tuple(table),
        squared_sums,
        permutation_type="samples",
        vectorized=True,
        n_resamples=resamples,
        alternative="greater",
        rng=np.random.default_rng(seed),
    )
    return float(result.pvalue)


def least_p(values: int, seeds: int) -> float:
    """Return the smallest p-value that `blocked_permutation_p` can give: (values!)^(1 - seeds).

    There are (values!)^seeds arrangements, and values! of them differ only in the order of the rows, so they have the
    same statistic.
    """
    return float(1 / factorial(values) ** (seeds - 1))


def seeds_needed(values: int, alpha: float = SIGNIFICANT) -> int:
    """Return the smallest number of seeds with which the p-value for at least 2 values can fall below `alpha`."""
    return next(seeds for seeds in count(2) if least_p(values, seeds) < alpha)
