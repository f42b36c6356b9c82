"""How well each of several labels is predicted, drawn on Axes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from featx.plots.figure import COLOURS, new_figure
from featx.plots.letters import short_names, spaced
from featx.stats import LabelMetrics

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Of more labels those with the smallest areas are drawn.
MOST_LABELS = 40
# Attribute of `LabelMetrics`, what the legend calls it, colour, and marker.
DRAWN = (
    ("auc", "area under the ROC curve", COLOURS[0], "o"),
    ("average_precision", "average precision", COLOURS[2], "D"),
    ("sensitivity", "sensitivity at 0.5", COLOURS[5], "^"),
    ("specificity", "specificity at 0.5", COLOURS[3], "s"),
)


def draw_label_metrics(metrics: Sequence[LabelMetrics], title: str, ax: Axes | None = None) -> Axes:
    """Draw metrics with their 95 % intervals, one line for each label, the first at the top.

    A metric that is not defined is left out. The prevalence, which is the average precision of chance, is a grey bar.
    Of more than 40 labels only those with the smallest areas under the ROC curve are drawn, and the title says so.

    Args:
        metrics: The labels.
        title: The text above, such as the run, its images and the accuracy.
        ax: Where to draw; by default the Axes of a new figure.
    """
    drawn = _chosen(metrics)
    names = list(short_names(spaced([one.label for one in drawn]), 28).values())
    room = 0.07 * max(map(len, names), default=0)
    axes: Axes = ax if ax is not None else new_figure(5.6 + room, 1.6 + 0.55 * len(drawn))[1]
    for place, (attribute, label, colour, marker) in enumerate(DRAWN):
        points = [(y, estimate) for y, one in enumerate(drawn) if (estimate := getattr(one, attribute)) is not None]
        value = np.array([estimate.value for _, estimate in points], np.float64)
        ends = np.array([estimate.interval for _, estimate in points], np.float64).reshape(-1, 2)
        # Rounding may put a value outside its own interval.
        reach = np.maximum([value - ends[:, 0], ends[:, 1] - value], 0)
        look: dict[str, Any] = {"fmt": marker, "color": colour, "markersize": 5, "capsize": 2, "elinewidth": 1.2}
        shifted = [y + 0.18 * (place - 1.5) for y, _ in points]
        axes.errorbar(value, shifted, xerr=reach, label=label, **look)
    _draw_prevalence(axes, drawn)
    known = [f"{name}\n{one.positive:,} of {one.n:,}" for name, one in zip(names, drawn, strict=True)]
    axes.set_yticks(range(len(drawn)), known, fontsize="small")
    axes.set(ylim=(len(drawn) - 0.5, -0.5), xlim=(-0.02, 1.02), xlabel="0 to 1, with 95 % intervals")
    left_out = len(metrics) - len(drawn)
    note = f"\nthe {len(drawn)} of {len(metrics):,} labels with the smallest areas" if left_out else ""
    axes.set_title(title + note, fontsize="medium")
    axes.grid(axis="x", alpha=0.3)
    axes.set_axisbelow(True)
    figure = axes.get_figure(root=True)
    if figure is not None and ax is None:
        entries = axes.get_legend_handles_labels()
        figure.legend(*entries, frameon=False, loc="outside lower center", ncols=2, fontsize="small")
    return axes


def _chosen(metrics: Sequence[LabelMetrics]) -> list[LabelMetrics]:
    """Return the labels that are drawn, in their order."""
    if len(metrics) <= MOST_LABELS:
        return list(metrics)
    worst = sorted(range(len(metrics)), key=lambda i: _area(metrics[i]))[:MOST_LABELS]
    return [metrics[i] for i in sorted(worst)]


def _area(metrics: LabelMetrics) -> float:
    return 2.0 if metrics.auc is None else metrics.auc.value


def _draw_prevalence(axes: Axes, metrics: Sequence[LabelMetrics]) -> None:
    shares = [(y, one.prevalence.value) for y, one in enumerate(metrics) if one.prevalence is not None]
    widths = [share for _, share in shares]
    places = [y for y, _ in shares]
    axes.barh(places, widths, height=0.86, color="0.9", label="prevalence", zorder=0)
