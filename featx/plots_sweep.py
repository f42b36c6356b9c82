"""The picture of a sweep: a point a fit, and the mean of each value."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil
from typing import TYPE_CHECKING

import numpy as np

from featx.palette import COLOURS
from featx.plots import new_figure
from featx.shortening import short_names

if TYPE_CHECKING:
    from matplotlib.axes import Axes


# Of the picture's width, of names along it, and of letters of a name.
MOST_INCHES = 20.0
MOST_NAMES = 40
MOST_LETTERS = 24


def sweep(
    names: Sequence[str],
    accuracies: Sequence[Sequence[float]],
    xlabel: str,
    reference: Sequence[float | None] = (),
    reference_label: str = "",
    ax: Axes | None = None,
    ylabel: str = "test accuracy (%)",
) -> Axes:
    """Draw accuracy by value: a small circle a seed, a bar at their mean.

    Args:
        names: What each value is called; long ones are cut short, and of many only some are written.
        accuracies: By value, one a seed, from 0 to 1; empty where no fit gave one.
        xlabel: The field.
        reference: Accuracies to compare with by value, None where there is none.
        reference_label: Whose they are.
        ax: Where to draw; a new figure's axes if not given.
        ylabel: Whose accuracy.
    """
    width = min(MOST_INCHES, max(4.0, 0.5 * len(names) + 1.5))
    axes: Axes = ax if ax is not None else new_figure(width, 3.6)[1]
    for place, values in enumerate(accuracies):
        if not values:
            continue
        # Equal accuracies lie beside one another instead of upon one another.
        offsets = np.linspace(-0.2, 0.2, len(values)) if len(values) > 1 else np.zeros(1)
        axes.scatter(place + offsets, 100 * np.array(values), s=18, color=COLOURS[0], alpha=0.8, linewidths=0)
        axes.hlines(100 * float(np.mean(values)), place - 0.32, place + 0.32, color="0.15", linewidth=1.6)
    axes.scatter([], [], s=18, color=COLOURS[0], alpha=0.8, linewidths=0, label="one fit")
    axes.plot([], [], color="0.15", linewidth=1.6, label="mean over seeds")
    known = [(place, 100 * value) for place, value in enumerate(reference) if value is not None]
    if known:
        x, y = zip(*known, strict=True)
        axes.scatter(x, y, marker="x", s=34, color=COLOURS[5], label=reference_label)
    short = list(short_names(names, MOST_LETTERS).values())
    places = range(0, len(names), ceil(len(names) / MOST_NAMES))
    slanted = max(map(len, names)) >= 6
    axes.set_xticks(
        places, [short[place] for place in places], rotation=30 if slanted else 0, ha="right" if slanted else "center"
    )
    axes.set(xlabel=xlabel, ylabel=ylabel, xlim=(-0.6, len(names) - 0.4), ylim=(0, 102))
    axes.grid(axis="y", alpha=0.3)
    axes.legend(frameon=False, loc="lower right", fontsize="small")
    return axes
