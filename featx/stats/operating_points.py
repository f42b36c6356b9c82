"""Thresholds for one class: sensitivity at a specificity, the reverse, predictive values, curves with intervals."""

from __future__ import annotations

from dataclasses import dataclass
from math import hypot
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.stats.grouped import effective_n, group_numbers
from featx.stats.intervals import auc_interval, wilson_effective
from featx.stats.labels import Estimate, average_precision, average_precision_interval

Matrix = NDArray[np.float64]
Numbers = NDArray[np.int64]
Mask = NDArray[np.bool_]

# Half of what an interval of 95 % leaves out.
BEYOND = 0.025


@dataclass(frozen=True)
class OperatingPoint:
    """A threshold: images with at least this probability of the class are called positive.

    Attributes:
        threshold: 0 to 1; infinity where no image may be called positive.
        sensitivity: Share of the positive images that are called so.
        specificity: Share of the negative images that are not.
        prevalence: Share of positive images, for which the predictive values hold.
        ppv: Share of the images called positive that are; None where none is.
        npv: Share of the others that are negative; None where there are none.
    """

    threshold: float
    sensitivity: Estimate
    specificity: Estimate
    prevalence: float
    ppv: Estimate | None
    npv: Estimate | None

    def to_json(self) -> dict[str, Any]:
        """Return the attributes; estimates are `{value, interval}` or null."""
        names = ("sensitivity", "specificity", "ppv", "npv")
        estimates = {name: None if (own := getattr(self, name)) is None else own.to_json() for name in names}
        threshold = self.threshold if np.isfinite(self.threshold) else None
        return {"threshold": threshold, "prevalence": self.prevalence, **estimates}


@dataclass(frozen=True)
class Curve:
    """A curve with a 95 % interval at each of its points.

    Attributes:
        x: (m,) rising.
        y: (m,)
        low: (m,)
        high: (m,)
        area: The area under it with its interval.
    """

    x: Matrix
    y: Matrix
    low: Matrix
    high: Matrix
    area: Estimate


@dataclass(frozen=True)
class Ranking:
    """Scores of the positive and of the negative images of one class, and what their groups are worth.

    Attributes:
        positive: (p,) ascending.
        negative: (q,) ascending.
        alike_positive: The effective share of the positive images, above 0 to 1; 1 without groups.
        alike_negative: The same of the negative images.
    """

    positive: Matrix
    negative: Matrix
    alike_positive: float = 1.0
    alike_negative: float = 1.0

    @property
    def prevalence(self) -> float:
        """The share of positive images."""
        return len(self.positive) / (len(self.positive) + len(self.negative))

    @property
    def auc(self) -> Estimate:
        """The area under the ROC curve, with Newcombe's interval on the effective numbers of images."""
        below = np.searchsorted(self.negative, self.positive, "left")
        ties = np.searchsorted(self.negative, self.positive, "right") - below
        area = float(np.mean(below + ties / 2) / len(self.negative))
        p, q = len(self.positive) * self.alike_positive, len(self.negative) * self.alike_negative
        return Estimate(area, auc_interval(area, p, q))

    def reversed(self) -> Ranking:
        """Return the negative images as the positive ones of the negated scores."""
        return Ranking(-self.negative[::-1], -self.positive[::-1], self.alike_negative, self.alike_positive)


def ranking_of(positive: Mask, scores: Matrix, groups: Numbers | None = None) -> Ranking:
    """Return the scores of positive and negative images in order.

    What a group's images are worth is taken from how much the placements of its images (the share of the other kind
    that each exceeds) resemble one another; see `effective_n`. Source: Obuchowski, "Nonparametric analysis of
    clustered ROC curve data", Biometrics 53 (1997), 567-578, which takes the variance of these placements by group.

    Args:
        positive: (n,) True for images of the class; there are images of both kinds.
        scores: (n,) the probability of the class.
        groups: (n,) the number of each image's group; None where images are independent.
    """
    own, others = np.sort(scores[positive]), np.sort(scores[~positive])
    if groups is None:
        return Ranking(own, others)
    shares = []
    for mask, reference in ((positive, others), (~positive, own)):
        values = scores[mask]
        placed = np.searchsorted(reference, values, "left") + np.searchsorted(reference, values, "right")
        shares.append(effective_n(placed / (2 * len(reference)), group_numbers(groups[mask])) / len(values))
    return Ranking(own, others, *shares)


def at_specificity(ranking: Ranking, least: float, prevalence: float | None = None) -> OperatingPoint:
    """Return the operating point with the highest sensitivity whose specificity is at least this.

    The threshold is chosen on the same images, so the specificity there varies, too. The interval of the sensitivity
    has both parts: Wilson's interval at the threshold, and the sensitivities at the ends of Wilson's interval of the
    specificity, added in squares. Sources: Linnet, "Comparison of quantitative diagnostic tests: type I error, power,
    and sample size", Statistics in Medicine 6 (1987), 147-158, on the two parts; Zou and Donner, "Construction of
    confidence limits about effect measures: a general approach", Statistics in Medicine 27 (2008), 1693-1702.

    Args:
        ranking: The images.
        least: The specificity, above 0 and below 1.
        prevalence: For the predictive values; that of the images if not given.
    """
    threshold = _threshold(ranking.negative, least)
    sensitivity = _gained(ranking, threshold, least)
    return _point(ranking, threshold, sensitivity, _rejected(ranking, threshold), prevalence)


def at_sensitivity(ranking: Ranking, least: float, prevalence: float | None = None) -> OperatingPoint:
    """Return the operating point with the highest specificity whose sensitivity is at least this.

    See `at_specificity`, with both exchanged.
    """
    mirrored = ranking.reversed()
    below = _threshold(mirrored.negative, least)
    specificity = _gained(mirrored, below, least)
    # In the mirror, an image is called positive above -below, and here from the next score on.
    every = np.concatenate([ranking.positive, ranking.negative])
    threshold = float(np.min(every[every > -below], initial=np.inf))
    return _point(ranking, threshold, _rejected(mirrored, below), specificity, prevalence)


def roc_curve(ranking: Ranking, points: int = 101) -> Curve:
    """Return the sensitivity at shares of false positives from 0 to 1, each as `at_specificity` gives it."""
    false = np.linspace(0, 1, points)
    estimates = [_gained(ranking, _threshold(ranking.negative, 1 - share), 1 - share) for share in false]
    values = np.array([(one.value, *one.interval) for one in estimates])
    return Curve(false, values[:, 0], values[:, 1], values[:, 2], ranking.auc)


def precision_curve(ranking: Ranking, points: int = 101) -> Curve:
    """Return the precision at recalls up to 1, with Wilson's interval of each and the average precision."""
    positive, negative = ranking.positive, ranking.negative
    scores = np.concatenate([positive, negative])
    there = np.arange(len(scores)) < len(positive)
    value = average_precision(there, scores)
    area = Estimate(value, average_precision_interval(value, len(positive) * ranking.alike_positive))
    recalls = np.linspace(0, 1, points)[1:]
    rows = []
    for recall in recalls:
        # The highest threshold at which at least this share of the positive images is called so.
        place = max(0, len(positive) - int(np.ceil(recall * len(positive) - 1e-9)))
        hits = len(positive) - np.searchsorted(positive, positive[place], "left")
        called = int(hits + len(negative) - np.searchsorted(negative, positive[place], "left"))
        alike = min(ranking.alike_positive, ranking.alike_negative)
        rows.append((hits / called, *wilson_effective(int(hits), called, called * alike)))
    values = np.array(rows)
    return Curve(recalls, values[:, 0], values[:, 1], values[:, 2], area)


def predictive_value(share: Estimate, wrong: Estimate, weight: float) -> Estimate | None:
    """Return the share of the images called so that are: `w a / (w a + (1 - w) b)`, by Bayes's rule.

    The interval takes the ends of both intervals together, so it is rather too wide. None where nothing is called so.

    Args:
        share: a, the share of the images of the kind that are called so.
        wrong: b, the share of the others that are called so.
        weight: w, the share of the kind among all images.
    """

    def of(own: float, other: float) -> float | None:
        total = weight * own + (1 - weight) * other
        return weight * own / total if total > 0 else None

    value = of(share.value, wrong.value)
    if value is None:
        return None
    low, high = of(share.interval[0], wrong.interval[1]), of(share.interval[1], wrong.interval[0])
    return Estimate(value, (0.0 if low is None else low, 1.0 if high is None else high))


def _threshold(negative: Matrix, specificity: float) -> float:
    """Return the lowest threshold, a score or infinity, below which at least this share of negative images is."""
    needed = int(np.ceil(specificity * len(negative) - 1e-9))
    if needed <= 0:
        return -np.inf
    return float(np.nextafter(negative[needed - 1], np.inf))


def _share_from(scores: Matrix, threshold: float) -> float:
    return float(len(scores) - np.searchsorted(scores, threshold, "left")) / len(scores)


def _wilson(share: float, n: int, alike: float) -> tuple[float, float]:
    return wilson_effective(round(share * n), n, n * alike)


def _rejected(ranking: Ranking, threshold: float) -> Estimate:
    """Return the specificity at a threshold with Wilson's interval."""
    share = 1 - _share_from(ranking.negative, threshold)
    return Estimate(share, _wilson(share, len(ranking.negative), ranking.alike_negative))


def _gained(ranking: Ranking, threshold: float, specificity: float) -> Estimate:
    """Return the sensitivity at a threshold that was chosen on the negative images for this specificity."""
    value = _share_from(ranking.positive, threshold)
    low, high = _wilson(value, len(ranking.positive), ranking.alike_positive)
    ends = _rejected(ranking, threshold).interval
    strict, lenient = (_share_from(ranking.positive, _threshold(ranking.negative, end)) for end in (ends[1], ends[0]))
    n = len(ranking.negative) * ranking.alike_negative
    if threshold > ranking.negative[-1] and specificity**n > BEYOND:
        # All negative images may well be below a threshold that has this specificity, so it may be any higher one.
        strict = 0.0
    below, above = hypot(value - low, max(0.0, value - strict)), hypot(high - value, max(0.0, lenient - value))
    return Estimate(value, (max(0.0, value - below), min(1.0, value + above)))


def _point(
    ranking: Ranking, threshold: float, sensitivity: Estimate, specificity: Estimate, prevalence: float | None
) -> OperatingPoint:
    weight = ranking.prevalence if prevalence is None else prevalence
    every = np.sort(np.concatenate([ranking.positive, ranking.negative]))
    place = np.searchsorted(every, threshold, "left")
    shown = float(every[place]) if place < len(every) else float("inf")
    ppv = predictive_value(sensitivity, _complement(specificity), weight)
    npv = predictive_value(specificity, _complement(sensitivity), 1 - weight)
    return OperatingPoint(shown, sensitivity, specificity, weight, ppv, npv)


def _complement(share: Estimate) -> Estimate:
    low, high = share.interval
    return Estimate(1 - share.value, (1 - high, 1 - low))
