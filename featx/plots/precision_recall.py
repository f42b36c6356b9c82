"""Precision-recall curves of several labels, drawn on Axes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from featx.plots.classifiers import BEST, LINES, MOST_CURVES, MOST_POINTS, WORST
from featx.plots.figure import COLOURS, add_legend, new_figure
from featx.plots.letters import short_names, spaced
from featx.stats import LabelMetrics, label_metrics

if TYPE_CHECKING:
    from matplotlib.axes import Axes


# In points, of the first curve and the last; thinner than ROC curves, as steps go up and down.
WIDEST, THINNEST = 2.8, 1.2


def draw_precision_recall(
    targets: NDArray[np.floating[Any]],
    probabilities: NDArray[np.float64],
    labels: Sequence[str],
    title: str = "",
    ax: Axes | None = None,
) -> Axes:
    """Draw the precision-recall curve of each label against its absence; the area under it is the average precision.

    The curves are steps, since straight lines between points would promise too much: J. Davis and M. Goadrich, "The
    relationship between precision-recall and ROC curves", ICML 2006. By chance the precision is the prevalence, which
    the legend gives. Of more than ten labels those with the three largest and the five smallest areas are drawn, and
    the legend says of how many.

    Args:
        targets: (n, L) with 1, 0 and NaN for unknown; each label is drawn on the images where it is known.
        probabilities: (n, L), 0 to 1 each.
        labels: (L,) names of the labels.
        title: Title of the drawing.
        ax: Where to draw; a new figure's axes if not given.
    """
    axes: Axes = ax if ax is not None else new_figure(4.6, 4.4)[1]
    metrics = label_metrics(labels, probabilities, targets)
    short = list(short_names(spaced(labels), 24).values())
    numbers = _chosen(metrics)
    widths = np.linspace(WIDEST, THINNEST, len(numbers)) if len(numbers) > 1 else [2.0]
    entries: list[tuple[Any, str]] = []
    for place, (number, width) in enumerate(zip(numbers, widths, strict=True)):
        one = metrics[number]
        if one.average_precision is None or one.prevalence is None:
            (nothing,) = axes.plot([], [], " ")
            entries.append((nothing, f"{short[number]}: {'no other' if one.positive else 'no'} images"))
            continue
        recall, precision = _curve(targets[:, number], probabilities[:, number])
        look = number if len(numbers) == len(labels) else place
        style: dict[str, Any] = {"linestyle": LINES[(look + look // len(COLOURS)) % len(LINES)], "linewidth": width}
        # The precision of a step belongs to the recall at its right end.
        (line,) = axes.plot(recall, precision, drawstyle="steps-pre", color=COLOURS[look % len(COLOURS)], **style)
        entries.append(
            (line, f"{short[number]}: {one.average_precision.value:.2f}, chance {one.prevalence.value:.2f}")
        )
    axes.set(xlim=(-0.03, 1.03), ylim=(-0.03, 1.03), title=title, xlabel="recall (sensitivity)", ylabel="precision")
    axes.grid(alpha=0.3)
    left_out = "" if len(numbers) == len(labels) else f"{len(numbers)} of {len(labels):,} labels: "
    size = "small" if max(map(len, short)) <= 14 else "x-small"
    look_of: dict[str, Any] = {"frameon": False, "fontsize": size, "title_fontsize": size}
    place_of: dict[str, Any] = {"loc": "center left", "bbox_to_anchor": (1.02, 0.5), "borderaxespad": 0.0}
    add_legend(axes, entries, title=f"{left_out}average precision", **look_of, **place_of).set_alignment("left")
    return axes


def _chosen(metrics: Sequence[LabelMetrics]) -> list[int]:
    """Return the numbers of the labels that are drawn: of many the best three and the worst five."""
    if len(metrics) <= MOST_CURVES:
        return list(range(len(metrics)))
    areas = {number: one.average_precision.value for number, one in enumerate(metrics) if one.average_precision}
    ranked = sorted(areas, key=lambda number: -areas[number])
    return ranked if len(ranked) <= BEST + WORST else [*ranked[:BEST], *ranked[-WORST:]]


def _curve(
    targets: NDArray[np.floating[Any]], scores: NDArray[np.floating[Any]]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return recall and precision with the k highest different scores called positive, from a recall of 0 on."""
    known = np.isfinite(targets) & np.isfinite(scores)
    there, scores = targets[known] == 1, scores[known]
    order = np.argsort(-scores, kind="stable")
    # Images with the same score are one step.
    steps = np.r_[np.flatnonzero(np.diff(scores[order])), len(scores) - 1]
    hits = np.cumsum(there[order])[steps]
    recall, precision = hits / there.sum(), hits / (steps + 1)
    recall, precision = np.r_[0, recall], np.r_[precision[0], precision]
    if len(recall) > MOST_POINTS:
        chosen = np.linspace(0, len(recall) - 1, MOST_POINTS).round().astype(np.int64)
        recall, precision = recall[chosen], precision[chosen]
    return recall, precision
