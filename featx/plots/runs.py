"""A fit drawn on Axes: curves over epochs, confusion matrix, a sweep's test results."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from featx.plots.figure import COLOURS, new_figure, short_names

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def curve(
    train: Sequence[float],
    validation: Sequence[float | None],
    ylabel: str,
    ax: Axes | None = None,
) -> Axes:
    """Draw one quantity by epoch, counted from 0, for training and validation.

    Args:
        train: One value an epoch.
        validation: The same, or None where nothing was held out.
        ylabel: The quantity, with its unit.
        ax: Where to draw; a new figure's axes if not given.
    """
    axes: Axes = ax if ax is not None else new_figure(5, 3.6)[1]
    from matplotlib.ticker import MaxNLocator

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


def confusion(counts: NDArray[np.int64], classes: Sequence[str], title: str, ax: Axes | None = None) -> Axes:
    """Draw a confusion matrix: each cell's count, shaded by its share of the true class.

    Args:
        counts: (classes, classes) images by true class (rows) and predicted class (columns).
        classes: Their names.
        title: A line above, such as the accuracy.
        ax: Where to draw; a new figure's axes if not given.
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
