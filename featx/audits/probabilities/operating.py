"""Operating points of each class against the rest: tables and curves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from featx import plots
from featx.audits.opened import AuditOptions
from featx.audits.probabilities.scored import Scored
from featx.pages import Block, Note, Table, Text, drawing
from featx.stats import (
    Curve,
    Estimate,
    OperatingPoint,
    at_sensitivity,
    at_specificity,
    positive_class,
    precision_curve,
    ranking_of,
    roc_curve,
)
from featx.text import NOTHING, decimal, percent

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Matrix = NDArray[np.float64]

# Classes beyond the most frequent ones have no curves; a page of a thousand of them would be read by nobody.
MOST = 20


@dataclass(frozen=True)
class ClassPoints:
    """How well one class is told from all others.

    Attributes:
        name: The class, or the label.
        positive: Number of images of it.
        negative: Number of the others.
        at_specificity: Where the specificity is at least the chosen one.
        at_sensitivity: Where the sensitivity is at least the chosen one.
        roc: Sensitivity against false positives.
        precision: Precision against recall.
    """

    name: str
    positive: int
    negative: int
    at_specificity: OperatingPoint
    at_sensitivity: OperatingPoint
    roc: Curve
    precision: Curve

    def to_json(self) -> dict[str, Any]:
        """Return the attributes, with the areas under the curves instead of these."""
        return {
            "class": self.name,
            "positive": self.positive,
            "negative": self.negative,
            "auc": self.roc.area.to_json(),
            "average_precision": self.precision.area.to_json(),
            "at_specificity": self.at_specificity.to_json(),
            "at_sensitivity": self.at_sensitivity.to_json(),
        }


def class_points(scored: Scored, P: Matrix, classes: Sequence[str], options: AuditOptions) -> tuple[ClassPoints, ...]:
    """Return the operating points of the positive class of two, else of each class, of many the most frequent ones.

    Classes that no image has, or all, are left out.
    """
    several = scored.multilabel
    counts = [int(np.sum(scored.y[:, i] == 1 if several else scored.y == i)) for i in range(len(classes))]
    numbers = sorted(range(len(classes)), key=lambda number: -counts[number])[:MOST]
    if len(classes) == 2 and not several:
        numbers = [positive_class(classes, counts)]
    if options.positive is not None:
        numbers = [list(classes).index(options.positive)]
    points = (_points_of(scored, P, number, classes[number], options) for number in sorted(numbers))
    return tuple(one for one in points if one is not None)


def _points_of(scored: Scored, P: Matrix, number: int, name: str, options: AuditOptions) -> ClassPoints | None:
    known = np.isfinite(scored.y[:, number]) if scored.multilabel else np.ones(len(scored.y), np.bool_)
    there = scored.y[known, number] == 1 if scored.multilabel else scored.y == number
    if there.all() or not there.any():
        return None
    ranking = ranking_of(there, P[known, number], scored.groups[known] if scored.grouped else None)
    return ClassPoints(
        name,
        int(there.sum()),
        int((~there).sum()),
        at_specificity(ranking, options.specificity, options.prevalence),
        at_sensitivity(ranking, options.sensitivity, options.prevalence),
        roc_curve(ranking),
        precision_curve(ranking),
    )


def operating_blocks(points: Sequence[ClassPoints], options: AuditOptions, prefix: str) -> tuple[Block, ...]:
    """Return the tables and the curves."""
    if not points:
        return (Note("No class has both images of it and others, so there are no operating points."),)
    header = ("class", "images", "threshold", "sensitivity", "specificity", "PPV", "NPV")
    at = (
        (
            "at_specificity",
            f"The highest sensitivity at a specificity of at least {percent(options.specificity, 0)}.",
        ),
        (
            "at_sensitivity",
            f"The highest specificity at a sensitivity of at least {percent(options.sensitivity, 0)}.",
        ),
    )
    tables = [Table(caption, header, tuple(_row(one, getattr(one, name)) for one in points)) for name, caption in at]
    return (
        Text(_prevalence_words(points, options)),
        *tables,
        drawing(
            partial(_curves, points),
            f"{prefix}curves",
            "Two drawings: sensitivity against false positives, and precision against recall, of each class.",
            "ROC curves (left) and precision-recall curves (right), which hold for the prevalence of these images. "
            "Bands are 95 % intervals; more than two curves have none.",
        ),
    )


def _curves(points: Sequence[ClassPoints]) -> Axes:
    axes = plots.new_figure(8.8, 4.8, 2)[1]
    plots.draw_bands([(one.name, one.roc) for one in points], "roc", ax=axes[0])
    plots.draw_bands([(one.name, one.precision) for one in points], "precision", ax=axes[1])
    first: Axes = axes[0]
    return first


def _prevalence_words(points: Sequence[ClassPoints], options: AuditOptions) -> str:
    chosen = "An image is called positive where the class has at least the threshold's probability. "
    chosen += "The thresholds were chosen on the images that they are measured on, which the intervals account for. "
    if options.prevalence is not None:
        return f"{chosen}The predictive values (PPV, NPV) hold for a prevalence of {percent(options.prevalence)}."
    first = points[0]
    share = percent(first.positive / (first.positive + first.negative))
    return (
        f"{chosen}The predictive values (PPV, NPV) hold for the prevalence of these images ({share} for "
        f"{first.name}). Where the class is rarer, fewer of the images called positive are; --prevalence gives the "
        "values for another one."
    )


def _row(one: ClassPoints, point: OperatingPoint) -> tuple[str, ...]:
    threshold = decimal(point.threshold) if np.isfinite(point.threshold) else "above all"
    estimates = (point.sensitivity, point.specificity, point.ppv, point.npv)
    return (one.name, f"{one.positive} of {one.positive + one.negative}", threshold, *map(_shown, estimates))


def _shown(estimate: Estimate | None) -> str:
    if estimate is None:
        return NOTHING
    low, high = estimate.interval
    return f"{percent(estimate.value)} ({100 * low:.0f}–{100 * high:.0f})"
