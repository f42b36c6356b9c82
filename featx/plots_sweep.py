"""The picture of a sweep: a point a fit, and the mean of each value."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from featx.palette import COLOURS
from featx.plots import new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def sweep(
    names: Sequence[str],
    accuracies: Sequence[Sequence[float]],
    xlabel: str,
    reference: Sequence[float | None] = (),
    reference_label: str = "",
    ax: Axes | None = None,
) -> Axes:
    """Draw test accuracy by value: a small circle a seed, a bar at their mean.

    Args:
        names: What each value is called.
        accuracies: By value, one a seed, from 0 to 1; empty where no fit gave one.
        xlabel: The field.
        reference: Accuracies to compare with by value, None where there is none.
        reference_label: Whose they are.
        ax: Where to draw; a new figure's axes if not given.
    """
    axes: Axes = ax if ax is not None else new_figure(max(4.0, 0.5 * len(names) + 1.5), 3.6)[1]
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
    axes.set_xticks(range(len(names)), names, rotation=0 if max(map(len, names)) < 6 else 30)
    axes.set(xlabel=xlabel, ylabel="test accuracy (%)", ylim=(0, 102))
    axes.grid(axis="y", alpha=0.3)
    axes.legend(frameon=False, loc="lower right", fontsize="small")
    return axes
