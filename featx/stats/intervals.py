"""Confidence intervals of shares and means, and a score with such an interval."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import hypot, sqrt
from typing import Any, Self

import numpy as np

# The standard normal's quantile at 0.975.
Z = 1.959963984540054


def wilson(correct: float, n: float) -> tuple[float, float]:
    """Return Wilson's 95 % score interval of a proportion, both ends in [0, 1].

    It holds its level for small samples and for proportions near 0 and 1. Source: E. B. Wilson, "Probable
    inference, the law of succession, and statistical inference", JASA 22 (1927), 209-212.

    Args:
        correct: Successes, from 0 to n; a fraction where a share was read off a curve.
        n: Trials, above 0; a fraction where images in groups are worth fewer.
    """
    p, z = correct / n, Z
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    # The formula gives exactly 0 and 1 there; rounding would not.
    low = 0.0 if correct == 0 else max(0.0, centre - half)
    high = 1.0 if correct == n else min(1.0, centre + half)
    return low, high


def wilson_effective(correct: int, n: int, effective: float | None) -> tuple[float, float]:
    """Return Wilson's 95 % interval of `correct / n` for an effective number of images; None means n."""
    return wilson(correct, n) if effective is None else wilson(correct / n * effective, effective)


def jeffreys(correct: float, n: float) -> tuple[float, float]:
    """Return Jeffreys' 95 % interval of a proportion: quantiles of its posterior under Jeffreys' prior.

    Means of several shares are held better by its ends than by Wilson's. Source: Brown, Cai and DasGupta, "Interval
    estimation for a binomial proportion", Statistical Science 16 (2001), 101-133, with both ends kept at 0 and 1.

    Args:
        correct: Successes, from 0 to n; a fraction where images in groups are worth fewer.
        n: Trials, above 0.
    """
    from scipy.special import betaincinv

    low = 0.0 if correct <= 0 else float(betaincinv(correct + 0.5, n - correct + 0.5, 0.025))
    high = 1.0 if correct >= n else float(betaincinv(correct + 0.5, n - correct + 0.5, 0.975))
    return low, high


def difference_interval(one: float, n: int, other: float, m: int) -> tuple[float, float]:
    """Return the 95 % interval of `one - other`, two shares of different images.

    Source: R. G. Newcombe, "Interval estimation for the difference between independent proportions: comparison of
    eleven methods", Statistics in Medicine 17 (1998), 873-890, method 10, which combines Wilson's intervals.

    Args:
        one: A share of n images, 0 to 1.
        n: At least 1.
        other: A share of m other images, 0 to 1.
        m: At least 1.
    """
    (low, high), (other_low, other_high) = wilson(one * n, n), wilson(other * m, m)
    difference = one - other
    return difference - hypot(one - low, other_high - other), difference + hypot(high - one, other - other_low)


def paired_interval(ahead: float, behind: float, n: float) -> tuple[float, float]:
    """Return the 95 % score interval of `(ahead - behind) / n`, a difference of two shares of the same images.

    Like Wilson's, it keeps a width where both shares are always the same. Source: T. Tango, "Equivalence test and
    confidence interval for the difference in proportions for the paired-sample design", Statistics in Medicine 17
    (1998), 891-908.

    Args:
        ahead: Number of images that count for the first share alone, from 0.
        behind: Number of images that count for the second share alone, from 0.
        n: Number of images, above 0; a fraction where images in groups are worth fewer.
    """
    from scipy.optimize import brentq

    difference = (ahead - behind) / n

    def beyond(d: float) -> float:
        """Return by how much a difference is too far away; below 0 it is compatible."""
        b = -ahead - behind + (2 * n - ahead + behind) * d
        q = (sqrt(max(b * b + 8 * n * behind * d * (1 - d), 0.0)) - b) / (4 * n)
        return abs(ahead - behind - n * d) - Z * sqrt(max(n * (2 * q + d * (1 - d)), 0.0))

    inside = min(max(difference, -1 + 1e-9), 1 - 1e-9)
    low = -1.0 if difference <= -1 else float(brentq(beyond, -1.0, inside - 1e-9))
    high = 1.0 if difference >= 1 else float(brentq(beyond, inside + 1e-9, 1.0))
    return low, high


def auc_interval(area: float, positives: float, negatives: float) -> tuple[float, float]:
    """Return the 95 % interval of an area under the ROC curve, both ends in [0, 1].

    Like Wilson's, it consists of the areas that are compatible with the one that was seen, so it has a width even
    where the area is 0 or 1. Source: R. G. Newcombe, "Confidence intervals for an effect size measure based on the
    Mann-Whitney statistic. Part 2: asymptotic methods and evaluation", Statistics in Medicine 25 (2006), 559-573,
    method 5: Hanley and McNeil's variance (Radiology 143 (1982), 29-36) with both numbers replaced by their mean.

    Args:
        area: The area, 0 to 1.
        positives: Number of images of the class, above 0; a fraction where images in groups are worth fewer.
        negatives: Number of the other images, likewise.
    """
    from scipy.optimize import brentq

    mean = max((positives + negatives) / 2 - 1, 0.0)

    def beyond(a: float) -> float:
        """Return by how much an area is too far away; below 0 it is compatible."""
        spread = 1 + mean * (1 - a) / (2 - a) + mean * a / (1 + a)
        return abs(a - area) - Z * sqrt(a * (1 - a) * spread / (positives * negatives))

    # Exactly at 0 and 1 the variance is none, so the search starts beside them.
    inside = min(max(area, 1e-12), 1 - 1e-12)
    low = 0.0 if area == 0 else float(brentq(beyond, 0.0, inside))
    high = 1.0 if area == 1 else float(brentq(beyond, inside, 1.0))
    return low, high


def mean_interval(
    values: Sequence[float],
    bounds: tuple[float, float] = (float("-inf"), float("inf")),
    effective: float | None = None,
) -> tuple[float, float] | None:
    """Return the 95 % interval of a mean by Student's t, cut off at the bounds; None for fewer than two values.

    Source: Student, "The probable error of a mean", Biometrika 6 (1908), 1-25.

    Args:
        values: The values.
        bounds: The smallest and the largest value that is possible.
        effective: How many independent values would tell as much, see `effective_n`, which allows for Student's t;
            None where they are independent.
    """
    if len(values) < 2:
        return None
    from scipy.stats import t

    mean, n = float(np.mean(values)), len(values)
    width = float(t.ppf(0.975, n - 1)) / sqrt(n) if effective is None else Z / sqrt(effective)
    half = width * float(np.std(values, ddof=1))
    return max(bounds[0], mean - half), min(bounds[1], mean + half)


@dataclass(frozen=True)
class Score:
    """Accuracy on one part of the data, with its 95 % interval, and the mean cross-entropy in nats.

    Attributes:
        n: Number of images.
        correct: Number of images whose most probable class is the true one.
        loss: None where there are no images.
        groups: Number of groups (patients, or images with the same bytes); None where no two images are of one group.
        effective: How many independent images would tell as much about the accuracy, above 0 to n, see
            `effective_n`; None where the images are independent.
    """

    n: int
    correct: int
    loss: float | None
    groups: int | None = field(default=None, kw_only=True)
    effective: float | None = field(default=None, kw_only=True)

    @property
    def accuracy(self) -> float | None:
        """`correct / n`, or None where there are no images."""
        return self.correct / self.n if self.n else None

    @property
    def interval(self) -> tuple[float, float] | None:
        """Wilson's 95 % interval of the accuracy for the effective number of images; None where there are none."""
        return wilson_effective(self.correct, self.n, self.effective) if self.n else None

    @property
    def in_groups(self) -> str:
        """Return ` in 36 groups` where images share groups, else ""."""
        return "" if self.groups is None else f" in {self.groups:,} group{'s' * (self.groups != 1)}"

    def to_json(self) -> dict[str, Any]:
        """Return `n, correct, accuracy, interval, loss`; where images share groups also `groups, effective_n`."""
        interval = list(self.interval) if self.interval else None
        shares = {"accuracy": self.accuracy, "interval": interval}
        grouped = {} if self.groups is None else {"groups": self.groups, "effective_n": self.effective}
        return {"n": self.n, "correct": self.correct, **shares, "loss": self.loss, **grouped}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """Return the score of a document that `to_json` made, also of one that knows nothing of groups."""
        plain = int(document["n"]), int(document["correct"]), document["loss"]
        return cls(*plain, groups=document.get("groups"), effective=document.get("effective_n"))

    def __str__(self) -> str:
        if not self.interval:
            return "no images"
        low, high = self.interval
        share = f"{100 * self.correct / self.n:.1f} % ({100 * low:.0f}–{100 * high:.0f} %)"
        return f"{self.correct}/{self.n} = {share}{self.in_groups}"
