"""What repeated fits with other seeds tell: their spread, and whether a setting makes a difference beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from math import factorial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.stats import SIGNIFICANT, Score, mean_interval

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
