"""Intervals and losses: what an accuracy or a probability is worth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import hypot, sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

# Below this a p-value is called a difference.
SIGNIFICANT = 0.05
# The standard normal's quantile at 0.975.
Z_95 = 1.959963984540054


def wilson(correct: float, n: int, z: float = Z_95) -> tuple[float, float]:
    """Return the score interval of a proportion, both ends in [0, 1].

    It stays honest for small samples and near 0 and 1. Source: E. B. Wilson, "Probable inference, the law
    of succession, and statistical inference", JASA 22 (1927), 209-212.

    Args:
        correct: Successes, from 0 to n; not a whole number where a share was read off a curve.
        n: Trials, at least 1.
        z: The normal quantile; the default gives 95 %.
    """
    p = correct / n
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    # At the ends the formula gives 0 and 1 but for rounding.
    low = 0.0 if correct == 0 else max(0.0, centre - half)
    high = 1.0 if correct == n else min(1.0, centre + half)
    return low, high


def difference_interval(one: float, n: int, other: float, m: int) -> tuple[float, float]:
    """Return the 95 % interval of the difference of two shares of different images, `one - other`.

    Source: R. G. Newcombe, "Interval estimation for the difference between independent proportions: comparison of
    eleven methods", Statistics in Medicine 17 (1998), 873-890, method 10, which puts Wilson's intervals together.

    Args:
        one: From 0 to 1.
        n: Images that `one` is a share of.
        other: From 0 to 1.
        m: Images that `other` is a share of.
    """
    (low, high), (other_low, other_high) = wilson(one * n, n), wilson(other * m, m)
    difference = one - other
    return difference - hypot(one - low, other_high - other), difference + hypot(high - one, other - other_low)


def homogeneity_p(correct: Sequence[int], n: int) -> float:
    """Return how often shares would differ as much if all were draws of one probability: Pearson's chi-squared test.

    Source: K. Pearson, Philosophical Magazine 50 (1900), 157-175, for a table of right and wrong by share. Shares of
    the same images vary less than it takes for granted, so that its p is then too large.

    Args:
        correct: Successes of each share, at least two.
        n: Trials of each.
    """
    from scipy.stats import chi2_contingency

    if not 0 < sum(correct) < n * len(correct):
        return 1.0
    table = np.array([correct, [n - number for number in correct]])
    return float(chi2_contingency(table, correction=False).pvalue)


def mean_interval(values: Sequence[float]) -> tuple[float, float] | None:
    """Return the 95 % interval of a mean by Student's t; None for fewer than two values.

    Source: Student, "The probable error of a mean", Biometrika 6 (1908), 1-25.
    """
    if len(values) < 2:
        return None
    from scipy.stats import t

    mean = float(np.mean(values))
    half = float(t.ppf(0.975, len(values) - 1)) * float(np.std(values, ddof=1)) / sqrt(len(values))
    return mean - half, mean + half


@dataclass(frozen=True)
class Score:
    """Accuracy on one part of the data, with its 95 % interval, and the mean cross-entropy in nats.

    Attributes:
        n: Images.
        correct: Images whose most probable class is their own.
        loss: Mean cross-entropy; None where the part is empty.
    """

    n: int
    correct: int
    loss: float | None

    @property
    def accuracy(self) -> float | None:
        """`correct / n`, or None where the part is empty."""
        return self.correct / self.n if self.n else None

    @property
    def interval(self) -> tuple[float, float] | None:
        """Wilson's 95 % interval of the accuracy, or None where the part is empty."""
        return wilson(self.correct, self.n) if self.n else None

    def to_json(self) -> dict[str, Any]:
        """Return `n, correct, accuracy, interval, loss`."""
        interval = list(self.interval) if self.interval else None
        fields = asdict(self)
        loss = fields.pop("loss")
        return {**fields, "accuracy": self.accuracy, "interval": interval, "loss": loss}

    def __str__(self) -> str:
        if not self.interval:
            return "no images"
        low, high = self.interval
        return f"{self.correct}/{self.n} = {100 * self.correct / self.n:.1f} % ({100 * low:.0f}–{100 * high:.0f} %)"


def score(logits: NDArray[np.float32], labels: NDArray[np.int64]) -> Score:
    """Score logits against labels.

    Args:
        logits: (n, classes), or (n, 1) where the second of two classes is positive above 0.
        labels: (n,) class indices.
    """
    if len(labels) == 0:
        return Score(0, 0, None)
    losses = -_log_probabilities(logits)[np.arange(len(labels)), labels]
    correct = int(np.sum(np.argmax(two_columns(logits), axis=1) == labels))
    return Score(len(labels), correct, float(losses.mean()))


def probabilities(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return (n, classes) probabilities of (n, classes) logits, or of (n, 1) logits of two classes."""
    return np.asarray(np.exp(_log_probabilities(logits)))


def two_columns(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return logits with a column a class: a single one becomes (0, logit), whose softmax is the sigmoid."""
    return np.hstack([np.zeros_like(logits), logits]) if logits.shape[1] == 1 else logits


def _log_probabilities(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    wide = two_columns(logits).astype(np.float64)
    # Large logits would swallow the logarithm of their sum; only their differences count.
    shifted = wide - wide.max(axis=1, keepdims=True)
    return np.asarray(shifted - np.logaddexp.reduce(shifted, axis=1)[:, None])
