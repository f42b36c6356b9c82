"""Scores and metrics of several labels for each image: 1 is there, 0 is not there, NaN is not known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import exp, log, sqrt
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from featx.stats.class_figures import Figure, GroupedImages
from featx.stats.grouped import Groups, group_numbers, grouped_share
from featx.stats.intervals import Score, Z, wilson
from featx.stats.metrics import area_under_curve

Matrix = NDArray[np.float64]
Targets = NDArray[np.float32]

# A label is predicted where its probability is at least this.
THRESHOLD = 0.5


@dataclass(frozen=True)
class Estimate:
    """A share or an area with its 95 % interval.

    Attributes:
        value: 0 to 1.
        interval: Both ends, 0 to 1.
    """

    value: float
    interval: tuple[float, float]

    def to_json(self) -> dict[str, Any]:
        """Return `value, interval`."""
        return {"value": self.value, "interval": list(self.interval)}

    def __str__(self) -> str:
        low, high = self.interval
        return f"{self.value:.3f} ({low:.2f}–{high:.2f})"


@dataclass(frozen=True)
class LabelMetrics:
    """How well one label is predicted. Images where it is not known do not count.

    Attributes:
        label: Its name.
        n: Number of images where it is known to be there or not.
        positive: Number of images where it is there.
        prevalence: `positive / n` with Wilson's interval; None where n is 0.
        auc: Area under the ROC curve with its interval, see `auc_interval`; None, like `average_precision`, unless
            the label is there in some images and not in others.
        average_precision: See `average_precision`; chance level is the prevalence.
        sensitivity: Share of the images with the label whose probability is at least 0.5, with Wilson's interval;
            None where no image has it.
        specificity: Share of the images without the label whose probability is below 0.5, with Wilson's interval;
            None where all have it.
    """

    label: str
    n: int
    positive: int
    prevalence: Estimate | None
    auc: Estimate | None
    average_precision: Estimate | None
    sensitivity: Estimate | None
    specificity: Estimate | None

    def to_json(self) -> dict[str, Any]:
        """Return the attributes; each estimate is `{value, interval}` or null."""
        names = ("prevalence", "auc", "average_precision", "sensitivity", "specificity")
        estimates = {name: getattr(self, name) for name in names}
        return {
            "label": self.label,
            "n": self.n,
            "positive": self.positive,
            **{name: None if value is None else value.to_json() for name, value in estimates.items()},
        }


@dataclass(frozen=True)
class LabelScore(Score):
    """The score of several labels on one part of the data.

    Attributes:
        n: Number of images with at least one known label.
        correct: Number of these for which every known label is right at a probability of 0.5.
        loss: Binary cross-entropy in nats, the mean over all known labels of all images; None where none is known.
        auc: Mean area under the ROC curve over the labels that some images have and others have not; None where there
            is no such label.
        average_precision: Mean average precision over the same labels.
    """

    auc: float | None = None
    average_precision: float | None = None

    def to_json(self) -> dict[str, Any]:
        """Return what `Score` has, and `auc, average_precision`."""
        return {**super().to_json(), "auc": self.auc, "average_precision": self.average_precision}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """Return the score of a document that `to_json` made."""
        areas = {"auc": document["auc"], "average_precision": document["average_precision"]}
        return replace(super().from_json(document), **areas)

    def __str__(self) -> str:
        if not self.n:
            return super().__str__()
        area = "" if self.auc is None else f"mean AUC {self.auc:.3f}, "
        return f"{area}all labels right for {super().__str__()}"


def label_probabilities(logits: NDArray[np.float32]) -> Matrix:
    """Return the probability of each label, (n, L), 0 to 1: the sigmoid of its logit, (n, L)."""
    z = logits.astype(np.float64)
    small = np.exp(-np.abs(z))
    return np.asarray(np.where(z >= 0, 1.0, small) / (1 + small))


def score_labels(
    logits: NDArray[np.float32],
    targets: NDArray[Any],
    groups: Groups | None = None,
    *,
    areas: bool = True,
) -> LabelScore:
    """Return the score of logits of several labels; `score` calls this for targets of two dimensions.

    Args:
        logits: (n, L), one column for each label; from 0 on the label is predicted.
        targets: (n, L) with 1, 0 and NaN.
        groups: (n,) the group of each image, see `score`.
        areas: Whether to compute the areas under curves, which takes longer than the rest.
    """
    known = np.isfinite(targets)
    counted = known.any(axis=1)
    n = int(counted.sum())
    if not n:
        return LabelScore(0, 0, None)
    z, there = logits.astype(np.float64), targets == 1
    right = ((label_probabilities(logits) >= THRESHOLD) == there) | ~known
    # log(1 + exp(z)) - y z, without overflow.
    losses = (np.maximum(z, 0) - z * there + np.log1p(np.exp(-np.abs(z))))[known]
    auc, precision = macro_areas(z, targets) if areas else (None, None)
    own = None if groups is None else group_numbers(groups)[counted]
    share = grouped_share(right.all(axis=1)[counted], own)
    loss = float(losses.mean())
    return LabelScore(n, share.correct, loss, auc, precision, groups=share.groups, effective=share.effective)


def macro_areas(scores: Matrix, targets: Targets) -> tuple[float | None, float | None]:
    """Return the mean area under the ROC curve and the mean average precision over the labels.

    Labels that no image has, or all, are left out, and images where a label is not known do not count for it.

    Args:
        scores: (n, L), probabilities or logits: the higher, the more likely the label is there.
        targets: (n, L) with 1, 0 and NaN.

    Returns:
        Both means, 0 to 1; None and None where no label is left.
    """
    areas = [
        (area, average_precision(y, own))
        for y, own in (_known(targets[:, i], scores[:, i]) for i in range(targets.shape[1]))
        if (area := _area(y, own)) is not None
    ]
    if not areas:
        return None, None
    auc, precision = np.mean(areas, axis=0)
    return float(auc), float(precision)


def label_metrics(
    names: Sequence[str], probabilities: Matrix, targets: Targets, groups: Groups | None = None
) -> tuple[LabelMetrics, ...]:
    """Return the metrics of each label, in the order of the names.

    Args:
        names: (L,) the labels.
        probabilities: (n, L), 0 to 1 each; a row need not add up to 1.
        targets: (n, L) with 1, 0 and NaN.
        groups: (n,) the group of each image; None for an image that shares none, or instead of all.
    """
    numbers = None if groups is None else group_numbers(groups)
    return tuple(
        _metrics_of(name, *_known(targets[:, i], np.asarray(probabilities[:, i], np.float64)), images)
        for i, name in enumerate(names)
        for images in [_images(targets[:, i], numbers)]
    )


def macro_intervals(
    probabilities: Matrix, targets: Targets, groups: Groups | None = None
) -> tuple[tuple[float, float] | None, tuple[float, float] | None]:
    """Return the 95 % intervals of the mean area under the ROC curve and of the mean average precision.

    The labels' own intervals are combined, as in `bootstrap`; those of the average precisions as if they were the
    same in all labels. Both keep a width at 1.

    Args:
        probabilities: (n, L), 0 to 1 each.
        targets: (n, L) with 1, 0 and NaN.
        groups: (n,) the group of each image; None for an image that shares none, or instead of all.

    Returns:
        Both intervals; None and None where no label is there in some images and not in others.
    """
    numbers = None if groups is None else group_numbers(groups)
    figures, precisions = [], []
    for own, scores in zip(targets.T, probabilities.T, strict=True):
        positive, shares = _known(own, scores)
        images = _images(own, numbers)
        figure = images.area(positive, shares)
        if figure is not None:
            influence = np.zeros(len(own))
            influence[np.isfinite(own)] = figure.influence
            figures.append(replace(figure, influence=influence))
            precisions.append(_precision_of(images, positive, shares).interval)
    if not figures:
        return None, None
    low, high = np.mean(precisions, axis=0)
    return GroupedImages(len(targets), numbers).mean(figures), (float(low), float(high))


def average_precision(positive: NDArray[np.bool_], scores: Matrix) -> float:
    """Return the average precision, 0 to 1: the sum over thresholds of (R_k - R_(k-1)) P_k.

    P_k and R_k are precision and recall where the images with the k highest different scores are called positive.
    It is the area under the precision-recall curve without interpolation, as in scikit-learn. Source: Davis and
    Goadrich, "The relationship between precision-recall and ROC curves", ICML 2006, on why not to interpolate.

    Args:
        positive: (n,) True where the label is there, at least once.
        scores: (n,) the higher, the more likely the label is there.
    """
    order = np.argsort(-scores, kind="stable")
    hits = np.cumsum(positive[order])
    # The last row of each run of equal scores: they are called positive together.
    ends = np.flatnonzero(np.append(np.diff(scores[order]) != 0, True))
    recalled = hits[ends]
    # Divided at the end: shares added one by one would round to more than 1.
    return float(np.sum(np.diff(recalled, prepend=0) * (recalled / (ends + 1))) / recalled[-1])


def average_precision_interval(value: float, positives: float) -> tuple[float, float]:
    """Return the 95 % interval of an average precision, both ends in [0, 1].

    It is symmetric on the scale of the log-odds, with the standard error `1 / sqrt(positives * value * (1 - value))`.
    Source: Boyd, Eng and Page, "Area under the precision-recall curve: point estimates and confidence intervals",
    ECML PKDD 2013, the logit interval. At 1, where it is not defined, it is Wilson's interval of as many trials as
    there are positives. It is approximate, and rather too wide than too narrow.

    Args:
        value: The average precision, above 0.
        positives: Number of images with the label, above 0; a fraction where images in groups are worth fewer.
    """
    if value >= 1:
        return wilson(positives, positives)
    middle, half = log(value / (1 - value)), Z / sqrt(positives * value * (1 - value))
    low, high = (1 / (1 + exp(-end)) for end in (max(middle - half, -700.0), min(middle + half, 700.0)))
    return low, high


def _metrics_of(name: str, positive: NDArray[np.bool_], shares: Matrix, images: GroupedImages) -> LabelMetrics:
    called, every = shares >= THRESHOLD, np.ones(len(positive), np.bool_)
    area = images.area(positive, shares)
    return LabelMetrics(
        label=name,
        n=len(positive),
        positive=int(positive.sum()),
        prevalence=_estimate(images.share(positive, every)),
        auc=_estimate(area),
        average_precision=None if area is None else _precision_of(images, positive, shares),
        sensitivity=_estimate(images.share(called, positive)),
        specificity=_estimate(images.share(~called, ~positive)),
    )


def _precision_of(images: GroupedImages, positive: NDArray[np.bool_], shares: Matrix) -> Estimate:
    """Return the average precision with its interval; positives of one group count as what their scores are worth."""
    value = average_precision(positive, shares)
    return Estimate(value, average_precision_interval(value, images.effective(shares[positive], positive)))


def _images(targets: Targets, numbers: NDArray[np.int64] | None) -> GroupedImages:
    """Return the images where one label is known."""
    known = np.isfinite(targets)
    return GroupedImages(int(known.sum()), None if numbers is None else numbers[known])


def _known(targets: Targets, scores: Matrix) -> tuple[NDArray[np.bool_], Matrix]:
    """Return of one label whether it is there, and the scores, of the images where it is known."""
    known = np.isfinite(targets)
    return targets[known] == 1, scores[known]


def _area(positive: NDArray[np.bool_], scores: Matrix) -> float | None:
    if positive.all() or not positive.any():
        return None
    return float(area_under_curve(positive, scores, np.ones((1, len(scores))))[0])


def _estimate(figure: Figure | None) -> Estimate | None:
    return None if figure is None else Estimate(figure.value, figure.interval)
