"""A learning curve drawn on Axes: accuracy by the number of training images, and what more would give."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from featx.plots.figure import COLOURS, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def draw_learning_curve(
    sizes: Sequence[float],
    accuracies: Sequence[float],
    intervals: Sequence[tuple[float, float]],
    grid: NDArray[np.float64],
    law: NDArray[np.float64],
    band: tuple[NDArray[np.float64], NDArray[np.float64]],
    now: float,
    ax: Axes | None = None,
) -> Axes:
    """Draw accuracies at numbers of training images with their intervals, and the law that was fitted to them.

    Args:
        sizes: (k,) numbers of training images.
        accuracies: (k,) the accuracies, 0 to 1.
        intervals: (k,) their 95 % intervals.
        grid: (m,) numbers of training images at which the law is drawn.
        law: (m,) its accuracies.
        band: (m,) the lower and (m,) the upper ends of its 95 % interval.
        now: The number of training images that there are; beyond, the law is a forecast.
        ax: Where to draw; by default the Axes of a new figure.
    """
    axes: Axes = ax if ax is not None else new_figure(6.4, 3.6)[1]
    low, high = (100 * np.array(ends) for ends in zip(*intervals, strict=True))
    middle = 100 * np.asarray(accuracies)
    axes.fill_between(grid, 100 * band[0], 100 * band[1], color=COLOURS[0], alpha=0.15, linewidth=0)
    seen = grid <= now
    axes.plot(grid[seen], 100 * law[seen], color=COLOURS[0], label="power law")
    axes.plot(grid[~seen], 100 * law[~seen], color=COLOURS[0], linestyle="--", label="forecast")
    errors = np.maximum([middle - low, high - middle], 0.0)
    axes.errorbar(sizes, middle, errors, fmt="o", color="0.15", markersize=4, capsize=2, label="held-out images")
    axes.axvline(now, color="0.6", linewidth=0.8, linestyle=":", label="images there are")
    axes.set_xscale("log")
    ticks = _ticks(float(grid[0]), float(grid[-1]))
    axes.set_xticks(ticks, [f"{tick:,}" for tick in ticks])
    axes.set_xticks([], minor=True)
    axes.set(xlabel="training images", ylabel="accuracy (%)", ylim=(max(0.0, float(low.min()) - 3), 101))
    axes.grid(axis="y", alpha=0.3)
    axes.legend(frameon=False, loc="lower right", fontsize="small")
    return axes


def _ticks(low: float, high: float) -> list[int]:
    """Return the numbers 1, 2, 5, 10, 20, ... between two ends."""
    series = [step * 10**power for power in range(12) for step in (1, 2, 5)]
    return [tick for tick in series if low <= tick <= high]
