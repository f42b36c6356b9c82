"""Pictures of classifiers: scores with their intervals, ROC curves, calibration."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from math import floor
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from featx.plots.figure import COLOURS, add_legend, new_figure
from featx.plots.letters import short_names, spaced
from featx.stats import auc_interval, group_numbers, grouped_share

if TYPE_CHECKING:
    from matplotlib.axes import Axes


ClassifierKind = Literal["classifier", "baseline", "head"]
Standing = Literal["best", "indistinguishable", "worse", "better"]
# A value with the lower and upper end of its interval.
PointWithInterval = tuple[float, float, float]

CV_STYLE: dict[str, Any] = {"fmt": "o", "color": COLOURS[0], "markersize": 6}
TEST_STYLE: dict[str, Any] = {"fmt": "D", "color": COLOURS[5], "markersize": 5, "markerfacecolor": "white"}
SMALL: dict[str, Any] = {"fontsize": "small"}
LINES = ("-", "--", "-.", ":")
# Of more classes only the mean curve and those with the largest and the smallest areas are drawn.
MOST_CURVES = 10
BEST, WORST = 3, 5
# Classes in the mean of curves, and points of a curve.
MOST_AVERAGED = 1000
MOST_POINTS = 5000
# In points, of the first curve and the last: each is thinner than those it is drawn over, so that it hides none.
WIDEST, THINNEST = 3.8, 1.4
# Bins with fewer images are drawn hollow.
FEW = 5


@dataclass(frozen=True)
class Curve:
    """Shares of false and of true positives along a ROC curve, the area under it and its 95 % interval."""

    false: NDArray[np.float64]
    true: NDArray[np.float64]
    area: float
    interval: tuple[float, float]


@dataclass(frozen=True)
class ScoreRow:
    """One row of `draw_scores`.

    Attributes:
        cv: Mean accuracy, or another share, 0 to 1, in cross-validation with its interval; None where there is none.
        test: The same on the test images with its interval; None where there are none.
        standing: The verdict against the best; None where it was not tested against it.
    """

    name: str
    cv: PointWithInterval | None
    test: PointWithInterval | None
    kind: ClassifierKind = "classifier"
    standing: Standing | None = None


def draw_scores(
    rows: Sequence[ScoreRow], title: str = "", ax: Axes | None = None, *, measure: str = "accuracy (%)"
) -> Axes:
    """Draw accuracies in per cent as dots with their intervals, one line for each classifier, the first at the top.

    The best (in bold) and those indistinguishable from it have a grey background.

    Args:
        rows: The classifiers, in the order of the lines.
        title: Title of the figure.
        ax: Where to draw; a new figure's axes if not given.
        measure: What is drawn, for the axis; without `%` in it, values are drawn as they are, from 0 to 1.
    """
    unit = 100.0 if "%" in measure else 1.0
    axes: Axes = ax if ax is not None else new_figure(6.2, 1.5 + 0.42 * len(rows))[1]
    parts = (("cv", -0.15, CV_STYLE, "cross-validation"), ("test", 0.15, TEST_STYLE, "test images"))
    for part, shift, style, label in parts:
        drawn = [(y, point) for y, row in enumerate(rows) if (point := getattr(row, part)) is not None]
        if drawn:
            value, low, high = unit * np.array([point for _, point in drawn], np.float64).T
            # Rounding may put a value outside its own interval.
            reach = np.maximum([value - low, high - value], 0)
            places = [y + shift for y, _ in drawn]
            axes.errorbar(value, places, xerr=reach, label=label, capsize=2.5, elinewidth=1.4, **style)
    _bands(axes, rows)
    _names(axes, rows)
    ends = [end for row in rows for point in (row.cv, row.test) if point is not None for end in point[1:]]
    lowest = max(0.0, floor(10 * min(ends, default=0.0)) / 10)
    limits = (unit * (lowest - 0.01), unit * (max(1.0, *ends) + 0.01))
    axes.set(ylim=(len(rows) - 0.5, -0.5), xlim=limits, xlabel=measure)
    axes.set_title(title, fontsize="medium")
    axes.grid(axis="x", alpha=0.3)
    axes.set_axisbelow(True)
    figure = axes.get_figure(root=True)
    if figure is not None:
        figure.legend(*axes.get_legend_handles_labels(), frameon=False, loc="outside lower center", ncols=3, **SMALL)
    return axes


def _bands(axes: Axes, rows: Sequence[ScoreRow]) -> None:
    label: str | None = "indistinguishable from the best"
    for y, row in enumerate(rows):
        if row.standing in ("best", "indistinguishable"):
            axes.axhspan(y - 0.5, y + 0.5, color="0.92", linewidth=0, zorder=0, label=label)
            label = None


def _names(axes: Axes, rows: Sequence[ScoreRow]) -> None:
    notes = {"classifier": "", "baseline": " (baseline)", "head": " (the run's own)"}
    axes.set_yticks(range(len(rows)), [row.name + notes[row.kind] for row in rows])
    for text, row in zip(axes.get_yticklabels(), rows, strict=True):
        text.set_color("0.35" if row.kind == "baseline" else "black")
        text.set_fontstyle("italic" if row.kind == "baseline" else "normal")
        text.set_fontweight("bold" if row.standing == "best" else "normal")


def draw_roc(
    labels: NDArray[Any],
    probabilities: NDArray[np.floating[Any]],
    classes: Sequence[str],
    title: str = "",
    ax: Axes | None = None,
    intervals: Mapping[str, tuple[float, float]] | None = None,
) -> Axes:
    """Draw the receiver operating characteristic of each class against the rest, with the area under it (AUC).

    An area without an interval of its own has Newcombe's (`featx.stats.auc_interval`) for independent images. Each
    curve is thinner than those it is drawn over, so that none hides another that is the same. With two classes only
    the second is drawn: the first's curve is its mirror image with the same area. Of more than ten classes the mean
    curve is drawn and those with the three largest and the five smallest areas. The mean is over the 1,000 most
    frequent classes. Of several labels for each image, each is drawn against its absence, on the images where it is
    known.

    Args:
        labels: (n,) class indices; or (n, L) of several labels: 1, 0 or NaN for unknown.
        probabilities: (n, classes) or (n, L).
        classes: Names of the classes or labels.
        title: Title of the drawing.
        ax: Where to draw; a new figure's axes if not given.
        intervals: 95 % intervals of the areas by class, 0 to 1: those that know the groups of the images.
    """
    axes: Axes = ax if ax is not None else new_figure(4.6, 4.4)[1]
    axes.plot([0, 1], [0, 1], color="0.6", linewidth=1, linestyle=(0, (1, 3)))
    look: dict[str, Any] = {"rotation": 45, "rotation_mode": "anchor", "transform_rotates_text": True}
    axes.text(0.6, 0.58, "chance: 0.50", color="0.35", ha="center", va="top", fontsize="x-small", **look)
    short = list(short_names(spaced(classes), 24).values())
    many = len(classes) > MOST_CURVES
    own = {number: intervals[name] for number, name in enumerate(classes) if name in intervals} if intervals else {}
    entries = _few_curves(axes, labels, probabilities, short, many, own)
    axes.set(xlim=(-0.03, 1.03), ylim=(-0.03, 1.03), title=title)
    axes.set(xlabel="false positives (1 \N{MINUS SIGN} specificity)", ylabel="true positives (sensitivity)")
    axes.set_aspect("equal")
    place: dict[str, Any] = {"loc": "lower right"}
    longest = max(map(len, short))
    if len(entries) > 8 or longest > 14:  # the legend would lie on the curves
        place = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.16), "ncols": 1 if longest > 12 else 2}
    size = "x-small" if len(entries) > 8 else "small"
    legend = add_legend(
        axes, entries, title="AUC (95 % interval)", frameon=False, fontsize=size, title_fontsize=size, **place
    )
    legend.set_alignment("left")
    return axes


def _few_curves(
    axes: Axes,
    labels: NDArray[Any],
    probabilities: NDArray[np.floating[Any]],
    names: Sequence[str],
    many: bool,
    intervals: Mapping[int, tuple[float, float]],
) -> list[tuple[Any, str]]:
    """Draw the curves, of many classes only some, and return the entries of the legend."""
    numbers = [1] if len(names) == 2 and labels.ndim == 1 else list(range(len(names)))
    entries: list[tuple[Any, str]] = []
    if many:
        curves, entries = _mean_curve(axes, labels, probabilities)
        by_area = sorted(curves, key=lambda number: -curves[number].area)
        numbers = by_area if len(by_area) <= BEST + WORST else [*by_area[:BEST], *by_area[-WORST:]]
    widths = np.linspace(WIDEST, THINNEST, len(numbers)) if len(numbers) > 1 else [2.0]
    for place, (number, width) in enumerate(zip(numbers, widths, strict=True)):
        there, scores = _against_rest(labels, probabilities, number)
        curve = _curve(there, scores)
        if curve is None:
            (nothing,) = axes.plot([], [], " ")
            entries.append((nothing, f"{names[number]}: {'no other' if there.any() else 'no'} images"))
            continue
        look = place if many else number
        colour = COLOURS[look % len(COLOURS)]
        style = LINES[(look + look // len(COLOURS)) % len(LINES)]
        shape: dict[str, Any] = {"color": colour, "linestyle": style, "linewidth": width}
        (line,) = axes.plot(curve.false, curve.true, solid_capstyle="butt", **shape)
        low, high = intervals.get(number, curve.interval)
        entries.append((line, f"{names[number]}: {curve.area:.2f} ({low:.2f}–{high:.2f})"))
    return entries


def _against_rest(
    labels: NDArray[Any], probabilities: NDArray[np.floating[Any]], number: int
) -> tuple[NDArray[np.bool_], NDArray[np.floating[Any]]]:
    """Return which images are of a class or have a label, and its probabilities, where that is known."""
    scores = probabilities[:, number]
    if labels.ndim == 1:
        return labels == number, scores
    known = np.isfinite(labels[:, number])
    return labels[known, number] == 1, scores[known]


def _mean_curve(
    axes: Axes, labels: NDArray[Any], probabilities: NDArray[np.floating[Any]]
) -> tuple[dict[int, Curve], list[tuple[Any, str]]]:
    """Draw the mean over the most frequent classes; return their curves by number, and the entry of the legend."""
    if labels.ndim == 1:
        counts = np.bincount(labels[labels >= 0], minlength=probabilities.shape[1])
    else:
        counts = np.sum(labels == 1, axis=0)
    frequent = np.argsort(-counts, kind="stable")[:MOST_AVERAGED]
    found = {int(i): _curve(*_against_rest(labels, probabilities, i)) for i in frequent if counts[i]}
    curves = {number: curve for number, curve in found.items() if curve is not None}
    if not curves:
        (nothing,) = axes.plot([], [], " ")
        return curves, [(nothing, "no class has images and others")]
    grid = np.linspace(0, 1, 201)
    mean = np.mean([np.interp(grid, curve.false, curve.true) for curve in curves.values()], axis=0)
    (line,) = axes.plot(np.r_[0, grid], np.r_[0, mean], color="0.25", linewidth=3)
    area = float(np.mean([curve.area for curve in curves.values()]))
    what = "classes" if labels.ndim == 1 else "labels"
    return curves, [(line, f"mean of {len(curves):,} {what}: {area:.2f}")]


def _curve(of_class: NDArray[np.bool_], scores: NDArray[np.floating[Any]]) -> Curve | None:
    """Return the curve of a class against the rest; None without images of the class or of others."""
    known = np.isfinite(scores)
    of_class, scores = of_class[known], scores[known]
    if of_class.all() or not of_class.any():
        return None
    order = np.argsort(-scores, kind="stable")
    # Images with the same score are one step.
    steps = np.r_[np.flatnonzero(np.diff(scores[order])), len(scores) - 1]
    true = np.cumsum(of_class[order])[steps]
    false = np.r_[0, steps + 1 - true] / (len(scores) - of_class.sum())
    true = np.r_[0, true] / of_class.sum()
    area = float((np.diff(false) * (true[1:] + true[:-1])).sum() / 2)
    interval = auc_interval(area, int(of_class.sum()), int((~of_class).sum()))
    if len(false) > MOST_POINTS:
        chosen = np.linspace(0, len(false) - 1, MOST_POINTS).round().astype(np.int64)
        false, true = false[chosen], true[chosen]
    return Curve(false, true, area, interval)


def draw_reliability(
    labels: NDArray[Any],
    probabilities: NDArray[np.float64],
    title: str = "",
    bins: int = 10,
    ax: Axes | None = None,
    *,
    legend: bool = True,
    groups: Sequence[Hashable] | NDArray[np.int64] | None = None,
) -> Axes:
    """Draw a reliability diagram: the accuracy against the probability of the predicted class, the confidence.

    Each dot is a bin of images: their mean confidence, their accuracy with Wilson's 95 % interval, and the number of
    images above. Dots of fewer than five images are hollow. Source: Guo et al., "On calibration of modern neural
    networks", ICML 2017. Of several labels for each image, every known label of an image counts by itself: the share
    that is there against the probability that it is.

    Args:
        labels: (n,) class indices; or (n, L) of several labels: 1, 0 or NaN for unknown.
        probabilities: (n, classes) or (n, L).
        title: Title of the drawing.
        bins: Number of bins of equal width from 0 to 1; a confidence on an edge counts to the lower bin.
        ax: Where to draw; a new figure's axes if not given.
        legend: Whether to add a legend below; several Axes side by side may share one.
        groups: (n,) the group of each image, such as its patient, whose images are not taken as independent.
    """
    axes: Axes = ax if ax is not None else new_figure(4.4, 4.4)[1]
    axes.plot([0, 1], [0, 1], color="0.6", linewidth=1, linestyle=(0, (1, 3)), label="perfectly calibrated")
    points = _reliability(
        labels, probabilities, bins, np.arange(len(labels)) if groups is None else group_numbers(groups)
    )
    counts = points[:, 4]
    several = labels.ndim == 2
    unit = "labels" if several else "images"
    for few, name in ((False, "observed, with 95 % interval"), (True, f"observed, fewer than {FEW} {unit}")):
        x, accuracy, low, high = points[(counts < FEW) == few, :4].T
        if not len(x):
            continue
        reach = np.maximum([accuracy - low, high - accuracy], 0)
        style: dict[str, Any] = {"fmt": "o", "color": COLOURS[0], "capsize": 2.5, "elinewidth": 0.8 if few else 1.4}
        axes.errorbar(x, accuracy, yerr=reach, label=name, markerfacecolor="white" if few else COLOURS[0], **style)
    small: dict[str, Any] = {"va": "bottom", "fontsize": "x-small", "color": "0.35"}
    for number, count in zip(points[:, 5], counts, strict=True):
        axes.text((number + 0.5) / bins, 1.045, f"{count:.0f}", ha="center", **small)
    axes.text(-0.02, 1.045, unit, ha="right", **small)
    names = {"xlabel": "probability", "ylabel": "share that is there"} if several else {}
    axes.set(
        xlim=(0, 1.03), ylim=(-0.03, 1.12), title=title, **{"xlabel": "confidence", "ylabel": "accuracy"} | names
    )
    axes.set(xticks=np.linspace(0, 1, 6), yticks=np.linspace(0, 1, 6))
    axes.grid(alpha=0.3)
    if legend:
        axes.legend(frameon=False, loc="upper center", bbox_to_anchor=(0.5, -0.16), **SMALL)
    return axes


def _reliability(
    labels: NDArray[Any], probabilities: NDArray[np.float64], bins: int, groups: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Return a row for each bin with images: confidence, accuracy, both ends of its interval, images, the bin."""
    if labels.ndim == 2:
        known = np.isfinite(labels) & np.isfinite(probabilities)
        confidence, correct = probabilities[known], labels[known] == 1
        groups = groups[np.nonzero(known)[0]]
    else:
        known = np.isfinite(probabilities).all(axis=1)
        labels, probabilities, groups = labels[known], probabilities[known], groups[known]
        confidence = probabilities.max(axis=1)
        correct = probabilities.argmax(axis=1) == labels
    bin_of = np.clip(np.ceil(confidence * bins).astype(np.int64) - 1, 0, bins - 1)
    points = []
    for number in np.unique(bin_of):
        in_bin = bin_of == number
        share = grouped_share(correct[in_bin], groups[in_bin])
        points.append((confidence[in_bin].mean(), share.share, *share.interval, share.n, number))
    return np.array(points, np.float64).reshape(-1, 6)
