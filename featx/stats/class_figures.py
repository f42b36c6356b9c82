"""Intervals of metrics of classes that keep a width at 0 and 1, and that know the groups of images.

The figure of one class (recall, F1, area under the ROC curve) has an interval for as many independent images as its
images in groups are worth. The interval of a mean over classes combines those of the classes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from featx.stats.grouped import Groups, effective_n, group_numbers
from featx.stats.intervals import auc_interval, jeffreys, paired_interval, wilson
from featx.stats.metrics import METRICS, WITHOUT_INTERVAL, percentile_interval, resampled_weights

Matrix = NDArray[np.float64]
Flags = NDArray[np.bool_]
Labels = NDArray[np.int64]
Interval = tuple[float, float]
Ends = Callable[[float, float], Interval]


@dataclass(frozen=True)
class Figure:
    """A figure of one class with its 95 % interval.

    Attributes:
        value: 0 to 1.
        interval: Both ends, 0 to 1.
        influence: (n,) by how much each image moves the figure, up to a factor; 0 for images that do not count.
    """

    value: float
    interval: Interval
    influence: Matrix


class GroupedImages:
    """Images in groups, from which figures are made."""

    def __init__(self, n: int, groups: Groups | None) -> None:
        numbers = None if groups is None else group_numbers(groups)
        if numbers is not None and len(numbers) and int(numbers.max()) + 1 == n:
            numbers = None
        self.groups = numbers

    def effective(self, values: NDArray[np.float64] | Flags, chosen: Flags) -> float:
        """Return what the chosen images are worth for the mean of their (m,) values, see `effective_n`."""
        if self.groups is None:
            return float(len(values))
        return effective_n(values, np.unique(self.groups[chosen], return_inverse=True)[1])

    def share(self, hits: Flags, chosen: Flags, ends: Ends = wilson) -> Figure | None:
        """Return the share of hits among the chosen images with its interval; None where none is chosen."""
        m = int(np.sum(chosen))
        if not m:
            return None
        own = hits[chosen]
        value = float(np.mean(own))
        effective = self.effective(own, chosen)
        return Figure(value, ends(value * effective, effective), np.where(chosen, hits - value, 0.0))

    def area(self, positive: Flags, scores: Matrix) -> Figure | None:
        """Return the area under the ROC curve; None where all images are positive, or none is.

        The images of each kind are worth as many as they are for the mean of their placements, the shares of the
        other kind that they are on the right side of. Sources: DeLong, DeLong and Clarke-Pearson, Biometrics 44
        (1988), 837-845, and Obuchowski, "Nonparametric analysis of clustered ROC curve data", Biometrics 53 (1997),
        567-578, on placements; for the interval see `auc_interval`.
        """
        there, others = int(np.sum(positive)), int(np.sum(~positive))
        if not there or not others:
            return None
        from scipy.stats import rankdata

        ranks, placements = rankdata(scores), np.empty(len(scores))
        placements[positive] = (ranks[positive] - rankdata(scores[positive])) / others
        placements[~positive] = 1 - (ranks[~positive] - rankdata(scores[~positive])) / there
        # Sums of ranks are exact, so that the order of the images changes nothing.
        value = (float(ranks[positive].sum()) - there * (there + 1) / 2) / (there * others)
        worth = (self.effective(placements[kind], kind) for kind in (positive, ~positive))
        influence = np.where(positive, (placements - value) / there, (placements - value) / others)
        return Figure(value, auc_interval(value, *worth), influence)

    def summed(self, influence: Matrix) -> Matrix:
        """Return the influence of whole groups."""
        return influence if self.groups is None else np.bincount(self.groups, influence).astype(np.float64)

    def mean(self, figures: Sequence[Figure], *, apart: bool = False) -> Interval | None:
        """Return the 95 % interval of the mean of figures of the same images; None where there are none.

        The distances from the figures to the ends of their intervals are combined like standard errors, with the
        figures' correlations, which are those of the influence of groups. Source: Zou and Donner, "Construction of
        confidence limits about effect measures: a general approach", Statistics in Medicine 27 (2008), 1693-1702.

        Args:
            figures: The figures.
            apart: Whether the figures are of different images. Figures that no image moves, such as those that are 1,
                are then taken as independent of one another, and otherwise as equal.
        """
        if not figures:
            return None
        value = float(np.mean([figure.value for figure in figures]))
        fixed, moved = np.zeros(2), np.zeros((2, 1))
        for figure in figures:
            distances = np.array([figure.value - figure.interval[0], figure.interval[1] - figure.value]) / len(
                figures
            )
            influence = self.summed(figure.influence)
            norm = float(np.sqrt(np.sum(influence**2)))
            if norm < 1e-12:
                fixed = np.hypot(fixed, distances) if apart else fixed + distances
            else:
                moved = moved + np.outer(distances, influence / norm)
        down, up = np.sqrt(fixed**2 + np.sum(moved**2, axis=1)).tolist()
        return max(0.0, value - down), min(1.0, value + up)


def recall_of(images: GroupedImages, y: Labels, predicted: Labels, number: int) -> Figure | None:
    """Return the recall of a class with Jeffreys' interval; None where no image is of it."""
    return images.share(predicted == number, y == number, jeffreys)


def f1_of(images: GroupedImages, y: Labels, predicted: Labels, number: int) -> Figure | None:
    """Return the F1 of a class; None where no image is of it or predicted as it.

    Among the images that are of the class or predicted as it, J is the share that are both. F1 is 2 J / (1 + J),
    and so are the ends of its interval, of Jeffreys' for J.
    """
    own, called = y == number, predicted == number
    share = images.share(own & called, own | called, jeffreys)
    if share is None:
        return None
    low, high = (2 * end / (1 + end) for end in share.interval)
    return Figure(2 * share.value / (1 + share.value), (low, high), share.influence)


def bootstrap(y: Labels, P: Matrix, groups: Groups, seed: int, resamples: int = 1000) -> dict[str, Interval | None]:
    """Return the 95 % interval of every metric; images of one group are not taken as independent.

    The accuracy has Wilson's interval for the effective number of images (`effective_n`). Balanced accuracy, macro F1
    and the area under the ROC curve have intervals that keep a width at 0 and 1: those of the classes, combined as in
    Zou and Donner, Statistics in Medicine 27 (2008), 1693-1702. The others have the percentile interval of bootstrap
    samples of whole groups, and none where all samples agree. The calibration error has none, because resampling
    inflates it; neither has a metric that is not defined.

    Source of the bootstrap: Efron and Tibshirani, "An Introduction to the Bootstrap" (1993), ch. 13; Field and Welsh,
    "Bootstrapping clustered data", JRSS B 69 (2007), 369-390. `benchmarks/intervals.py` measures how often the
    intervals hold the true value.

    Args:
        y: (n,) class indices.
        P: (n, classes) probabilities.
        groups: (n,) group of each row; None for a row that shares none.
        seed: Seed of the bootstrap.
        resamples: Number of bootstrap samples.
    """
    ends: dict[str, Interval | None] = dict(class_intervals(y, P, groups))
    drawn: dict[str, list[Matrix]] = {
        name: [] for name in METRICS if name not in WITHOUT_INTERVAL and name not in ends
    }
    for W in resampled_weights(group_numbers(groups), seed, resamples):
        for name, figures in drawn.items():
            figures.append(METRICS[name](y, P, W))
    ends |= {name: percentile_interval(np.concatenate(figures)) for name, figures in drawn.items()}
    return {name: ends.get(name) for name in METRICS}


def class_intervals(y: Labels, P: Matrix, groups: Groups | None) -> dict[str, Interval | None]:
    """Return the 95 % intervals of accuracy, balanced accuracy, macro F1 and AUC, see `bootstrap`; no seed needed."""
    images, predicted = GroupedImages(len(y), groups), P.argmax(axis=1)
    accuracy = images.share(predicted == y, np.ones(len(y), np.bool_))
    present = np.union1d(y, predicted).tolist()
    return {
        "accuracy": None if accuracy is None else accuracy.interval,
        "balanced_accuracy": images.mean(_known(recall_of(images, y, predicted, k) for k in present), apart=True),
        "macro_f1": images.mean(_known(f1_of(images, y, predicted, k) for k in present)),
        "roc_auc": images.mean(_known(images.area(y == k, P[:, k]) for k in present)),
    }


def _known(figures: Iterable[Figure | None]) -> list[Figure]:
    return [figure for figure in figures if figure is not None]


def difference_of_shares(one: Flags, other: Flags, groups: Groups | None = None) -> Interval:
    """Return the 95 % interval of the difference of two shares of the same images, both ends in [-1, 1].

    It is `paired_interval` for as many independent images as these are worth for the mean of their differences.

    Args:
        one: (n,) True where an image counts for the first share, such as where a classifier is correct; n at least 1.
        other: (n,) the same for the second share.
        groups: (n,) the group of each image; None for an image that shares none, or instead of all.
    """
    images, every, n = GroupedImages(len(one), groups), np.ones(len(one), np.bool_), len(one)
    effective = images.effective(one.astype(np.float64) - other, every)
    ahead, behind = int(np.sum(one & ~other)), int(np.sum(other & ~one))
    return paired_interval(ahead / n * effective, behind / n * effective, effective)
