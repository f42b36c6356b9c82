"""Pictures: arrays and an Axes in, the Axes out; nothing is shown, nothing global is set."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from featx.palette import COLOURS, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def new_figure(width: float, height: float, columns: int = 1) -> tuple[Figure, Any]:
    """Return a figure of inches and its axes (an array of them for several columns), without pyplot's state."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots(1, columns)


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


def scatter(
    points: NDArray[np.floating[Any]],
    labels: Sequence[str],
    title: str,
    note: str = "",
    ax: Axes | None = None,
) -> Axes:
    """Draw a map: one marker an image, colour and shape by class.

    Args:
        points: (n, 2) coordinates, which have no unit.
        labels: (n,) classes.
        title: A line above.
        note: A smaller line below, such as the method's parameters.
        ax: Where to draw; a new figure's axes if not given.
    """
    axes: Axes = ax if ax is not None else new_figure(6, 5)[1]
    names = np.array(labels)
    size = float(np.clip(6000 / max(len(points), 1), 4, 28))
    for number, name in enumerate(sorted(set(labels))):
        chosen = points[names == name]
        colour, marker = style(number)
        axes.scatter(
            chosen[:, 0],
            chosen[:, 1],
            s=size,
            label=f"{name} ({len(chosen)})",
            linewidths=0.3,
            edgecolors="white",
            color=colour,
            marker=marker,
        )
    axes.set_aspect("equal", adjustable="datalim")
    axes.set(xticks=[], yticks=[], title=title)
    axes.set_xlabel(note, fontsize="small", color="0.35")
    axes.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
    return axes


def save(axes: Axes, path: Path) -> None:
    """Write the figure of an Axes in the format of the path's ending; the same figure gives the same bytes."""
    from matplotlib import rc_context

    figure = axes.get_figure(root=True)
    without_date = {".svg": {"Date": None}, ".png": {"Software": None}}
    if figure is not None:
        # Without a salt of ours, the names of an SVG's parts are drawn anew each time.
        with rc_context({"svg.hashsalt": "featx"}):
            figure.savefig(path, dpi=150, metadata=without_date.get(path.suffix.lower()))
