"""A map of images drawn on Axes."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from featx.plots.figure import COLUMN, NOTE_WIDTH, TITLE_WIDTH, new_figure, short_names, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes


UNKNOWN = "0.45"
NAME_WIDTH = 18


def scatter(
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
    """Draw a map: one marker an image, colour and shape by class, to be read at the width of a column (8.5 cm).

    Args:
        points: (n, 2) coordinates, which have no unit.
        labels: (n,) classes; "" where an image has none.
        title: A line above.
        note: Smaller lines below, such as the method's parameters.
        ax: Where to draw; a new figure's axes if not given.
        wrong: (n,) whether an image is misclassified; those are ringed.
        added: (n,) whether an image was placed on the map afterwards; those are hollow.
        directions: What the axes are, where they are something.
    """
    names = np.array(labels, str)
    late = np.zeros(len(points), bool) if added is None else np.array(added, bool)
    lines = [*([] if not any(directions) else [""]), *textwrap.wrap(note, NOTE_WIDTH)]
    kinds = sorted({(flag, name) for flag, name in zip(late.tolist(), names.tolist(), strict=True)})
    rings = np.zeros(len(points), bool) if wrong is None else np.array(wrong, bool)
    rows = -(-(len(kinds) + bool(rings.any())) // 2)
    axes: Axes = ax if ax is not None else new_figure(COLUMN, 3.0 + 0.13 * len(lines) + 0.15 * rows)[1]
    size = float(np.clip(4000 / max(len(points), 1), 2, 14))
    numbers = {name: number for number, name in enumerate(sorted(set(labels) - {""}))}
    short = short_names(["", *numbers], NAME_WIDTH)
    for flag, name in kinds:
        chosen = points[(names == name) & (late == flag)]
        look = _added_look(name, numbers, size) if flag else _look(name, numbers, size)
        text = f"{short[name] or 'no label'}{', added' if flag else ''} ({len(chosen)})"
        axes.scatter(chosen[:, 0], chosen[:, 1], label=text, **look)
    if rings.any():
        ringed = points[rings]
        ring: dict[str, Any] = {
            "s": 3.5 * size + 6,
            "marker": "o",
            "facecolors": "none",
            "edgecolors": "black",
            "linewidths": 0.6,
        }
        axes.scatter(ringed[:, 0], ringed[:, 1], label=f"misclassified ({len(ringed)})", zorder=4, **ring)
    axes.set_aspect("equal", adjustable="datalim")
    axes.set(xticks=[], yticks=[])
    axes.set_title(textwrap.fill(title, TITLE_WIDTH), fontsize=8)
    axes.set_ylabel(directions[1], fontsize=7)
    axes.set_xlabel("\n".join([*([directions[0]] if directions[0] else []), *lines[bool(directions[0]) :]]))
    axes.xaxis.label.set(fontsize=6, color="0.35")
    _legend_below(axes, len(lines))
    return axes


def _look(name: str, numbers: Mapping[str, int], size: float) -> dict[str, Any]:
    colour, marker = style(numbers[name]) if name else (UNKNOWN, "o")
    return {"s": size, "color": colour, "marker": marker, "edgecolors": "white", "linewidths": 0.2}


def _added_look(name: str, numbers: Mapping[str, int], size: float) -> dict[str, Any]:
    look = _look(name, numbers, size)
    # Hollow and larger, above the map's own points.
    return {
        "s": 1.7 * size + 5,
        "marker": look["marker"],
        "facecolors": "white",
        "edgecolors": look["color"],
        "linewidths": 1.1,
        "zorder": 3,
    }


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
