"""Fewer decisions for more certainty: accuracy by coverage, and prediction sets with a promised coverage."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.audits.probabilities.scored import Examined, Scored
from featx.stats import Curve, Estimate, GroupedShare, conformal_threshold, grouped_share, prediction_sets

Matrix = NDArray[np.float64]
COVERAGES = tuple(place / 20 for place in range(20, 0, -1))


@dataclass(frozen=True)
class Decided:
    """The accuracy on the images that the model is surest of; it abstains from the others.

    Attributes:
        coverage: Share of the images that are decided, 0 to 1.
        threshold: The lowest confidence of these.
        share: The accuracy on them, with its interval.
    """

    coverage: float
    threshold: float
    share: GroupedShare

    def to_json(self) -> dict[str, Any]:
        """Return `coverage, threshold, n, correct, accuracy, interval`."""
        share = self.share
        own = {"n": share.n, "correct": share.correct, "accuracy": share.share, "interval": list(share.interval)}
        return {"coverage": self.coverage, "threshold": self.threshold, **own}


@dataclass(frozen=True)
class Sets:
    """Prediction sets of a promised coverage, and what they reached.

    Attributes:
        promised: The share of images whose set shall contain the true class.
        calibrated_on: Number of images on which the threshold was found.
        calibrated_groups: Number of their groups.
        crossed: Whether each image's threshold was found on the other folds of the same images.
        threshold: The probability from which on a class belongs to the set; with `crossed` the mean over the folds.
        covered: The share of images whose set contains the true class, with its interval.
        mean_size: Mean number of classes in a set.
        single: Share of the sets with exactly one class.
        empty: Share of the sets without a class.
    """

    promised: float
    calibrated_on: int
    calibrated_groups: int
    crossed: bool
    threshold: float
    covered: GroupedShare
    mean_size: float
    single: float
    empty: float

    def by_chance(self) -> tuple[float, float] | None:
        """Return the 95 % interval of the share of new images whose set has the true class, over thresholds.

        It is that of Beta(k, n + 1 - k) with k = ceil(promised (n + 1)): V. Vovk, "Conditional validity of inductive
        conformal predictors", Machine Learning 92 (2013). It holds for independent images alone; None otherwise.
        """
        from scipy.special import betaincinv

        n = self.calibrated_on
        k = int(np.ceil(self.promised * (n + 1) - 1e-9))
        if self.crossed or self.calibrated_groups != n or k > n:
            return None
        low, high = betaincinv(k, n + 1 - k, [0.025, 0.975])
        return float(low), float(high)

    def to_json(self) -> dict[str, Any]:
        """Return the attributes; `covered` is a share, with `interval`."""
        own = {**vars(self), "covered": self.covered.share}
        return {**own, "interval": list(self.covered.interval)}


def decided(scored: Scored, P: Matrix) -> tuple[Decided, ...]:
    """Return the accuracy where the model decides on all images, on 95 % of them, and so on to 5 %."""
    confidence, correct = P.max(axis=1), P.argmax(axis=1) == scored.y
    ordered = np.sort(confidence)[::-1]
    rows = []
    for coverage in COVERAGES:
        threshold = float(ordered[max(1, int(np.ceil(coverage * len(ordered) - 1e-9))) - 1])
        chosen = confidence >= threshold  # images with the same confidence are decided together
        share = grouped_share(correct[chosen], scored.groups[chosen])
        rows.append(Decided(float(chosen.mean()), threshold, share))
    return tuple(rows)


def coverage_curve(rows: tuple[Decided, ...]) -> Curve:
    """Return accuracy against coverage; its area is the mean accuracy over the coverages."""
    ordered = rows[::-1]
    values = np.array([(row.coverage, row.share.share, *row.share.interval) for row in ordered])
    mean = float(values[:, 1].mean())
    return Curve(values[:, 0], values[:, 1], values[:, 2], values[:, 3], Estimate(mean, (mean, mean)))


def sets_of(subject: Examined, coverage: float) -> Sets:
    """Return prediction sets for the images that are examined, from thresholds of other images or folds."""
    scored, other = subject.scored, subject.calibration
    least = np.zeros(len(scored.y))
    if other is not None:
        least[:] = _threshold(other, coverage)
    else:
        for number in np.unique(subject.fold):
            held = subject.fold == number
            least[held] = _threshold(scored.take(~held), coverage)
    chosen = prediction_sets(scored.P, least[:, None])
    sizes = chosen.sum(axis=1)
    base = scored if other is None else other
    return Sets(
        promised=coverage,
        calibrated_on=len(base.y),
        calibrated_groups=int(base.groups.max()) + 1,
        crossed=other is None,
        threshold=float(least.mean()),
        covered=grouped_share(chosen[np.arange(len(scored.y)), scored.y], scored.groups),
        mean_size=float(sizes.mean()),
        single=float(np.mean(sizes == 1)),
        empty=float(np.mean(sizes == 0)),
    )


def _threshold(scored: Scored, coverage: float) -> float:
    return conformal_threshold(scored.y, scored.P, scored.groups, coverage)
