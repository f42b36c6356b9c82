"""A map of images coloured by numbers, such as an age, drawn on Axes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from featx.plots.figure import new_figure
from featx.plots.letters import wrapped
from featx.plots.maps import (
    COLUMN,
    MOST_SHAPES,
    NOTE_WIDTH,
    UNLABELLED,
    Entry,
    legend_below,
    point_size,
    steepness,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# The brightest yellow of viridis cannot be seen on white.
BRIGHTEST = 0.92
SCALE_TITLE_WIDTH = 42  # letters beside the bar


def draw_scale(
    points: NDArray[np.floating[Any]],
    values: Sequence[float],
    name: str,
    title: str,
    note: str = "",
    ax: Axes | None = None,
    *,
    placed: Sequence[str] | None = None,
    directions: tuple[str, str] = ("", ""),
) -> Axes:
    """Draw a map whose points are coloured by numbers, with a bar of the colours, see `draw_scatter`.

    Args:
        points: (n, 2) coordinates, which have no unit.
        values: (n,) numbers, at least one of them finite; points without a number (NaN) are grey.
        name: What the numbers are, beside the bar.
        title: The text above.
        note: Smaller text below.
        ax: Where to draw; by default the Axes of a new figure, whose height follows the points.
        placed: (n,) the kind of an image that was placed on the map afterwards, and "" for an image that made the
            map. Placed images are squares.
        directions: Names of the horizontal and the vertical axis, if they mean something.
    """
    numbers = np.array(values, np.float64)
    known = np.isfinite(numbers)
    words = np.array(("",) * len(points) if placed is None else placed)
    heading, lines = wrapped(title, SCALE_TITLE_WIDTH), wrapped(note, NOTE_WIDTH)
    kinds = [str(word) for word in np.unique(words)]
    if ax is None:
        text = 0.15 * len(heading) + 0.11 * len(lines) + 0.15 * (len(kinds) // 2 + 2) + 0.16 * any(directions)
        ax = new_figure(COLUMN, 0.85 * COLUMN * steepness(points) + text)[1]
    entries = _draw(ax, points, numbers, words, kinds)
    if not known.all():
        x, y = points[~known].T
        none = ax.scatter(x, y, s=point_size(len(points)), color=UNLABELLED, linewidths=0, zorder=1.5)
        entries.append((none, f"no value ({(~known).sum():,})"))
    bar = ax.figure.get_figure(root=True).colorbar(entries[0][0], ax=ax, shrink=0.9, pad=0.02, aspect=30)
    bar.ax.tick_params(labelsize=7)
    bar.set_label(name, fontsize=7)
    ax.set_aspect("equal", adjustable="datalim")
    ax.set(xticks=[], yticks=[])
    ax.set_title("\n".join(heading), fontsize=8)
    ax.set_xlabel(directions[0], fontsize=7)
    ax.set_ylabel(directions[1], fontsize=7)
    legend_below(ax, entries if len(entries) > 1 else [], "\n".join(lines), below=any(directions))
    return ax


def _draw(
    ax: Axes, points: NDArray[np.floating[Any]], numbers: NDArray[np.float64], words: NDArray[Any], kinds: list[str]
) -> list[Entry]:
    """Draw the points that have a number, and return an entry of the legend for each kind of image."""
    from matplotlib import colormaps
    from matplotlib.colors import ListedColormap

    known = np.isfinite(numbers)
    shades = ListedColormap(colormaps["viridis"](np.linspace(0, BRIGHTEST, 256)))
    limits: dict[str, Any] = {"vmin": numbers[known].min(), "vmax": numbers[known].max(), "cmap": shades}
    look: dict[str, Any] = {"linewidths": 0.2, "edgecolors": "white", "rasterized": len(points) > MOST_SHAPES}
    entries: list[Entry] = []
    for number, kind in enumerate(kinds):
        chosen = known & (words == kind)
        x, y = points[chosen].T
        marker, size = ("o", 1.0) if not kind else ("s", 1.6)
        drawn = ax.scatter(
            x,
            y,
            c=numbers[chosen],
            s=size * point_size(len(points)),
            marker=marker,
            zorder=2 + number,
            **look,
            **limits,
        )
        entries.append((drawn, f"{kind or 'on the map'} ({chosen.sum():,})"))
    return entries
