"""How well classes are told apart by several probes, drawn on Axes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import floor
from typing import TYPE_CHECKING

import numpy as np

from featx.plots.figure import add_legend, class_style, new_figure
from featx.plots.letters import short_names

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# How much of the height of a line its points take.
SPREAD = 0.66
NAME_LENGTH = 36


@dataclass(frozen=True)
class ProbeRow:
    """The probes of one pair of classes.

    Attributes:
        name: What is told apart.
        points: For each probe the area under the ROC curve and both ends of its interval.
    """

    name: str
    points: Mapping[str, tuple[float, float, float]]


def draw_probes(rows: Sequence[ProbeRow], title: str = "", ax: Axes | None = None) -> Axes:
    """Draw areas under ROC curves with their intervals, a line for each pair of classes, a colour for each probe.

    Args:
        rows: The pairs, at least one; the first is at the top.
        title: The text above.
        ax: Where to draw; by default the Axes of a new figure.
    """
    probes = list(dict.fromkeys(name for row in rows for name in row.points))
    height = 1.6 + len(rows) * (0.25 + 0.12 * len(probes))
    axes: Axes = ax if ax is not None else new_figure(6.4, height)[1]
    entries = []
    for place, probe in enumerate(probes):
        drawn = [(line, row.points[probe]) for line, row in enumerate(rows) if probe in row.points]
        shift = SPREAD * ((place + 0.5) / len(probes) - 0.5)
        value, low, high = np.array([point for _, point in drawn], np.float64).T
        colour, marker = class_style(place)
        artist = axes.errorbar(
            value,
            [line + shift for line, _ in drawn],
            xerr=np.maximum([value - low, high - value], 0),
            fmt=marker,
            color=colour,
            markersize=4.5,
            capsize=2,
            elinewidth=1.2,
        )
        entries.append((artist, probe))
    lowest = min(low for row in rows for _, low, _ in row.points.values())
    axes.axvline(0.5, color="0.5", linewidth=0.8, linestyle="--", zorder=0)
    for line in range(1, len(rows)):
        axes.axhline(line - 0.5, color="0.9", linewidth=0.8, zorder=0)
    axes.set(xlim=(min(0.4, floor(10 * lowest) / 10), 1.01), ylim=(len(rows) - 0.5, -0.5))
    axes.set_xlabel("area under the ROC curve (0.5: chance)", fontsize="small")
    shown = short_names([row.name for row in rows], NAME_LENGTH)
    axes.set_yticks(range(len(rows)), [shown[row.name] for row in rows], fontsize="small")
    axes.set_title(title, fontsize="medium")
    axes.grid(axis="x", alpha=0.3)
    axes.set_axisbelow(True)
    add_legend(
        axes,
        entries,
        frameon=False,
        loc="upper center",
        bbox_to_anchor=(0.5, -0.5 / height),
        ncols=3,
        fontsize="small",
    )
    return axes
