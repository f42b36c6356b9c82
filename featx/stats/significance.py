"""Paired tests (McNemar, corrected resampled t, permutation within seeds) and Holm's correction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from math import factorial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.errors import UsageError
from featx.stats.intervals import SIGNIFICANT, Score, mean_interval

RESAMPLES = 9999


@dataclass(frozen=True)
class SeedSpread:
    """Accuracies on one part of the data of fits that differ in their seed alone.

    Attributes:
        n: Images of that part, of the first fit.
        accuracies: One a fit that gave scores, from 0 to 1.
        refused: Fits that gave none, as when they diverged.
        mean: Of the accuracies; None where there are none, as for all that follow.
        sd: Their standard deviation (n - 1); None for fewer than two.
        low: The least.
        high: The largest.
        interval: 95 % interval of the mean over seeds, by Student's t within [0, 1]; None for fewer than two. It
            speaks of other seeds on the same images, not of other images.
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
        """Return the attributes, the accuracies' summary under `accuracy`."""
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


def spread_of(scores: Sequence[Score], refused: int = 0) -> SeedSpread:
    """Return the spread of fits.

    Args:
        scores: Of fits that gave any; those of no images are left out.
        refused: How many fits gave none.
    """
    known = [score for score in scores if score.accuracy is not None]
    accuracies = [float(score.accuracy or 0) for score in known]
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
        interval=_interval(accuracies),
        loss=float(np.mean(losses)) if losses else None,
    )


def blocked_permutation_p(table: NDArray[np.float64], resamples: int = RESAMPLES, seed: int = 0) -> float:
    """Return the permutation p-value of the hypothesis that no row's values differ from another's.

    The statistic is the variance of the rows' means; values are permuted within columns, as in a randomised
    block design (E. S. Edgington and P. Onghena, "Randomization Tests", 4th ed. 2007, ch. 6). All arrangements
    are gone through where there are no more than `resamples`; else the p-value is (b + 1) / (B + 1) (B. Phipson
    and G. K. Smyth 2010, doi:10.2202/1544-6115.1585).

    Args:
        table: (values, seeds) figures, at least 2 by 2. Of whole numbers, such as counts of right answers, ties
            are found exactly.
        resamples: B, the arrangements drawn.
        seed: Of the drawing.
    """
    from scipy.stats import permutation_test

    def squared_sums(*rows: NDArray[np.float64], axis: int) -> NDArray[np.float64]:
        # As the sum of all stays, this orders arrangements as the variance does, and whole numbers stay whole.
        return np.asarray(np.sum([row.sum(axis=axis) ** 2 for row in rows], axis=0))

    found = permutation_test(
        tuple(table),
        squared_sums,
        permutation_type="samples",
        vectorized=True,
        n_resamples=resamples,
        alternative="greater",
        rng=np.random.default_rng(seed),
    )
    return float(found.pvalue)


def least_p(values: int, seeds: int) -> float:
    """Return the least p-value that `blocked_permutation_p` can give of all arrangements: (values!)^(1 - seeds).

    Of the (values!)^seeds arrangements, values! have the same means, under other names.
    """
    return float(1 / factorial(values) ** (seeds - 1))


def seeds_to_tell(values: int, alpha: float = SIGNIFICANT) -> int:
    """Return with how many seeds at least the p-value of so many values, at least 2, can be below `alpha`."""
    return next(seeds for seeds in count(2) if least_p(values, seeds) < alpha)


def _interval(values: Sequence[float]) -> tuple[float, float] | None:
    found = mean_interval(values)
    return None if found is None else (max(0.0, found[0]), min(1.0, found[1]))


def corrected_interval(
    scores: NDArray[np.float64], ratio: float, bounds: tuple[float, float] = (0.0, 1.0)
) -> tuple[float, float] | None:
    """Return the 95 % interval of a mean over repeated cross-validation, by the corrected resampled t.

    Training parts overlap, so the plain standard error is too small; its `1/J` becomes `1/J + n_test/n_train`.
    Source: Nadeau and Bengio, "Inference for the generalization error", Machine Learning 52 (2003), 239-281; for
    repeated folds, Bouckaert and Frank, PAKDD 2004.

    Args:
        scores: (J,) one figure a fold, of all repeats. Those that are NaN are left out.
        ratio: Rows held out to rows fitted on, `1 / (folds - 1)`.
        bounds: Between which the figure lies.

    Returns:
        Both ends; None for fewer than two figures.
    """
    from scipy import stats

    known = scores[np.isfinite(scores)]
    if len(known) < 2:
        return None
    half = stats.t.ppf(0.975, len(known) - 1) * _error(known, ratio)
    return max(float(known.mean() - half), bounds[0]), min(float(known.mean() + half), bounds[1])


def corrected_t(one: NDArray[np.float64], other: NDArray[np.float64], ratio: float) -> float:
    """Return the two-sided p-value of the corrected resampled t on the differences of two classifiers by fold.

    Source: as `corrected_interval`.

    Args:
        one: (J,) figures of one classifier, J at least 2.
        other: (J,) those of the other on the same folds.
        ratio: Rows held out to rows fitted on.
    """
    from scipy import stats

    differences = one - other
    mean, error = float(differences.mean()), _error(differences, ratio)
    if error == 0:
        return 1.0 if mean == 0 else 0.0
    return float(2 * stats.t.sf(abs(mean) / error, len(differences) - 1))


def mcnemar(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    """Return the two-sided exact p-value that two classifiers are right on the same rows equally often.

    Only rows on which exactly one of them is right count; under the hypothesis each is a fair coin. Source:
    Q. McNemar, Psychometrika 12 (1947), 153-157, in the exact form; see Dietterich, Neural Computation 10 (1998).

    Args:
        one: (n,) where one is right.
        other: (n,) where the other is.
    """
    from scipy.stats import binomtest

    ahead, behind = int(np.sum(one & ~other)), int(np.sum(other & ~one))
    return float(binomtest(ahead, ahead + behind, 0.5).pvalue) if ahead + behind else 1.0


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values corrected for their number, each at most 1, in the order given.

    Source: S. Holm, "A simple sequentially rejective multiple test procedure", Scandinavian Journal of Statistics 6
    (1979), 65-70.
    """
    order = np.argsort(p_values, kind="stable")
    corrected = np.empty(len(order))
    highest = 0.0
    for rank, place in enumerate(order):
        highest = max(highest, min(1.0, (len(order) - rank) * p_values[place]))
        corrected[place] = highest
    return [float(p) for p in corrected]


def holm_by_name(p_values: Mapping[str, float]) -> dict[str, float]:
    """Return the same by name."""
    return dict(zip(p_values, holm(list(p_values.values())), strict=True))


def _error(figures: NDArray[np.float64], ratio: float) -> float:
    if len(figures) < 2:
        raise UsageError("Expected figures of at least 2 folds for a paired test, received fewer; use more folds.")
    # Equal figures can differ from their mean by rounding.
    spread = 0.0 if np.ptp(figures) == 0 else float(figures.var(ddof=1))
    return float(np.sqrt((1 / len(figures) + ratio) * spread))
