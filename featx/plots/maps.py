"""A map of images drawn on Axes."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from featx.plots.figure import class_style, new_figure, short_names

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLUMN = 8.5 / 2.54  # the width of a journal's column, 8.5 cm, in inches
# How many letters stand in this width.
NOTE_WIDTH = 72
TITLE_WIDTH = 52
NAME_WIDTH = 18
UNLABELLED = "0.45"  # a grey, by Matplotlib's name
MANY_RINGS = 0.15
"""If a larger share of points is ringed, the rings are thin, so that they do not cover the map."""


def draw_scatter(
    points: NDArray[np.floating[Any]],
    labels: Sequence[str],
    title: str,
    note: str = "",
    ax: Axes | None = None,
    *,
    wrong: Sequence[bool] | None = None,
    added: Sequence[bool] | None = None,
    directions: tuple[str, str] = ("", ""),
) -> Axes:
    """Draw a map: one marker an image, with its class's colour and shape, legible at a column's width (8.5 cm).

    Args:
        points: (n, 2) coordinates, which have no unit.
        labels: (n,) classes; "" for an image without one.
        title: The text above.
        note: Smaller text below, such as the method's parameters.
        ax: Where to draw; by default the Axes of a new figure.
        wrong: (n,) whether an image is misclassified; these are ringed, and drawn above the others.
        added: (n,) whether an image was placed on the map afterwards; these are hollow.
        directions: Names of the horizontal and the vertical axis, if they mean something.
    """
    names = np.array(labels, str)
    none = np.zeros(len(points), bool)
    is_added = none if added is None else np.array(added, bool)
    is_wrong = none if wrong is None else np.array(wrong, bool)
    kinds = sorted(set(zip(is_added.tolist(), names.tolist(), strict=True)))
    lines = [*([directions[0]] if any(directions) else []), *textwrap.wrap(note, NOTE_WIDTH)]
    if ax is None:
        rows = -(-(len(kinds) + is_wrong.any()) // 2)  # of the legend, which has two columns
        ax = new_figure(COLUMN, 3.0 + 0.13 * len(lines) + 0.15 * rows)[1]
    size = float(np.clip(4000 / max(len(points), 1), 2, 14))
    numbers = {name: number for number, name in enumerate(sorted(set(labels) - {""}))}
    short = short_names(["", *numbers], NAME_WIDTH)
    for flag, name in kinds:
        chosen = (names == name) & (is_added == flag)
        colour, marker = class_style(numbers[name]) if name else (UNLABELLED, "o")
        look: dict[str, Any] = {"s": size, "color": colour, "edgecolors": "white", "linewidths": 0.2}
        if flag:  # hollow and larger, above the map's own points
            look = {"s": 1.7 * size + 5, "facecolors": "white", "edgecolors": colour, "linewidths": 1.1, "zorder": 3}
        text = f"{short[name] or 'no label'}{', added' if flag else ''} ({chosen.sum()})"
        ax.scatter(*points[chosen & ~is_wrong].T, label=text, marker=marker, **look)
        if (chosen & is_wrong).any():
            ax.scatter(*points[chosen & is_wrong].T, marker=marker, **look).set_zorder(3.5)
    if is_wrong.any():
        area, width = (3.5 * size + 6, 0.6) if is_wrong.mean() <= MANY_RINGS else (2.5 * size + 4, 0.35)
        x, y = points[is_wrong].T
        rings = ax.scatter(x, y, s=area, facecolors="none", edgecolors="black", linewidths=width)
        rings.set(label=f"misclassified ({is_wrong.sum()})", zorder=4)
    ax.set_aspect("equal", adjustable="datalim")
    ax.set(xticks=[], yticks=[])
    ax.set_title(textwrap.fill(title, TITLE_WIDTH), fontsize=8)
    ax.set_ylabel(directions[1], fontsize=7)
    ax.set_xlabel("\n".join(lines), fontsize=6, color="0.35")
    _legend_below(ax, len(lines))
    return ax


def _legend_below(axes: Axes, lines: int) -> None:
    """Put the legend below the lines of text that stand below an Axes."""
    from matplotlib.transforms import ScaledTranslation

    down = ScaledTranslation(0, -(4 + 7.5 * lines) / 72, axes.get_figure(root=True).dpi_scale_trans)  # type: ignore[union-attr]
    axes.legend(
        frameon=False,
        loc="upper center",
        bbox_to_anchor=(0.5, 0),
        bbox_transform=axes.transAxes + down,
        ncols=2,
        fontsize=7,
        handletextpad=0.2,
        columnspacing=1.0,
    )
