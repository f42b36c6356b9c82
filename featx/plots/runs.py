"""A training run drawn on Axes: curves over epochs, the confusion matrix, the test results of a sweep."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from featx.plots.figure import COLOURS, new_figure, short_names

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# The limit of names along the axis of a sweep's picture.
MOST_NAMES = 40


def draw_curve(
    train: Sequence[float], validation: Sequence[float | None], ylabel: str, ax: Axes | None = None
) -> Axes:
    """Draw one quantity by epoch, counted from 0, for training and validation.

    Args:
        train: One value an epoch.
        validation: One value an epoch, None if there were no validation images.
        ylabel: The quantity, with its unit.
        ax: Where to draw; by default the Axes of a new figure.
    """
    from matplotlib.ticker import MaxNLocator

    axes: Axes = ax if ax is not None else new_figure(5, 3.6)[1]
    epochs = np.arange(len(train))
    marker = "o" if len(train) == 1 else ""
    axes.plot(epochs, train, color=COLOURS[0], marker=marker, label="training (dropout on)")
    if any(value is not None for value in validation):
        held_out = np.array([np.nan if value is None else value for value in validation])
        axes.plot(epochs, held_out, color=COLOURS[5], linestyle="--", marker=marker, label="validation")
    axes.set(xlabel="epoch", ylabel=ylabel)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    return axes


def draw_confusion(counts: NDArray[np.int64], classes: Sequence[str], title: str, ax: Axes | None = None) -> Axes:
    """Draw a confusion matrix: each cell's count, shaded by its share of the true class.

    Args:
        counts: (classes, classes) numbers of images, by true class (rows) and predicted class (columns).
        classes: The classes' names.
        title: The text above, such as the accuracy.
        ax: Where to draw; by default the Axes of a new figure.
    """
    side = max(3.6, 0.8 * len(classes) + 1.6)
    axes: Axes = ax if ax is not None else new_figure(side, side)[1]
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for (row, column), count in np.ndenumerate(counts):
        ink = "white" if shares[row, column] > 0.5 else "black"
        axes.text(column, row, str(count), ha="center", va="center", color=ink)
    ticks = range(len(classes))
    axes.set_xticks(ticks, classes, rotation=30, ha="right", rotation_mode="anchor")
    axes.set_yticks(ticks, classes)
    axes.set(xlabel="predicted", ylabel="true", title=title)
    return axes


def draw_sweep(
    names: Sequence[str],
    accuracies: Sequence[Sequence[float]],
    xlabel: str,
    reference: Sequence[float | None] = (),
    reference_label: str = "",
    ax: Axes | None = None,
    ylabel: str = "test accuracy (%)",
) -> Axes:
    """Draw accuracy by the value of a field: a small circle for each seed, a bar at their mean.

    Args:
        names: The values' names; long ones are cut, and if there are many only some are written.
        accuracies: For each value one accuracy a seed, from 0 to 1; empty if there is none.
        xlabel: The field.
        reference: For each value an accuracy to compare with, or None.
        reference_label: What the reference is.
        ax: Where to draw; by default the Axes of a new figure.
        ylabel: Which accuracy it is.
    """
    width = min(20.0, max(4.0, 0.5 * len(names) + 1.5))
    axes: Axes = ax if ax is not None else new_figure(width, 3.6)[1]
    for place, values in enumerate(accuracies):
        if not values:
            continue
        # Equal accuracies stand side by side, so that none hides another.
        offsets = np.linspace(-0.2, 0.2, len(values)) if len(values) > 1 else np.zeros(1)
        axes.scatter(place + offsets, 100 * np.array(values), s=18, color=COLOURS[0], alpha=0.8, linewidths=0)
        axes.hlines(100 * float(np.mean(values)), place - 0.32, place + 0.32, color="0.15", linewidth=1.6)
    axes.scatter([], [], s=18, color=COLOURS[0], alpha=0.8, linewidths=0, label="one fit")
    axes.plot([], [], color="0.15", linewidth=1.6, label="mean over seeds")
    points = [(place, 100 * value) for place, value in enumerate(reference) if value is not None]
    if points:
        x, y = zip(*points, strict=True)
        axes.scatter(x, y, marker="x", s=34, color=COLOURS[5], label=reference_label)
    short = list(short_names(names, 24).values())
    places = range(0, len(names), ceil(len(names) / MOST_NAMES))
    slanted = max(map(len, names)) >= 6
    rotation, alignment = (30, "right") if slanted else (0, "center")
    axes.set_xticks(places, [short[place] for place in places], rotation=rotation, ha=alignment)
    axes.set(xlabel=xlabel, ylabel=ylabel, xlim=(-0.6, len(names) - 0.4), ylim=(0, 102))
    axes.grid(axis="y", alpha=0.3)
    axes.legend(frameon=False, loc="lower right", fontsize="small")
    return axes
