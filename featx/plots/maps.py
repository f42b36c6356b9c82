"""A map of images drawn on Axes."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from featx.plots.figure import add_legend, class_style, new_figure
from featx.plots.letters import short_names

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
MOST_LISTED = 24
"""A legend lists this many classes, those with the most images, and the number of the others."""
# A marker of a legend has at least this area, in square points, also where the map's own are too small to tell apart.
LEGEND_SIZE = 14
# More points than this are pixels also in a drawing of shapes, whose file would be too large.
MOST_SHAPES = 20_000


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

    The legend has the 24 classes with the most images. More than 20,000 points are pixels also in an SVG.

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
    none = np.zeros(len(points), bool)
    is_added = none if added is None else np.array(added, bool)
    is_wrong = none if wrong is None else np.array(wrong, bool)
    kinds = _kinds(labels, is_added)
    counts = Counter(labels)
    names = {name for name, _ in counts.most_common(MOST_LISTED)}
    rest = len(counts) - len(names)
    listed = [kind for kind in kinds if kind.name in names]
    lines = [*([directions[0]] if any(directions) else []), *textwrap.wrap(note, NOTE_WIDTH)]
    if ax is None:
        rows = -(-(len(listed) + (rest > 0) + is_wrong.any()) // 2)  # of the legend, which has two columns
        ax = new_figure(COLUMN, 3.0 + 0.13 * len(lines) + 0.15 * rows)[1]
    size = float(np.clip(4000 / max(len(points), 1), 2, 14))
    short = short_names([kind.name for kind in kinds], NAME_WIDTH)
    texts = {kind: f"{short[kind.name] or 'no label'}{', added' * kind.added} ({len(kind.index)})" for kind in kinds}
    artist_of: dict[_Kind, Any] = {}
    for alike in _by_look(kinds):
        chosen = np.sort(np.concatenate([kind.index for kind in alike]))
        look = _look(alike[0], size) | {"rasterized": len(points) > MOST_SHAPES}
        drawn = ax.scatter(*points[chosen[~is_wrong[chosen]]].T, label=texts[alike[0]], **look)
        if is_wrong[chosen].any():
            ax.scatter(*points[chosen[is_wrong[chosen]]].T, **look).set_zorder(3.5)
        artist_of |= dict.fromkeys(alike, drawn)
    entries = [(artist_of[kind], texts[kind]) for kind in listed]
    if rest > 0:
        entries.append((_no_artist(), f"and {rest:,} more"))
    if is_wrong.any():
        area, width = (3.5 * size + 6, 0.6) if is_wrong.mean() <= MANY_RINGS else (2.5 * size + 4, 0.35)
        if len(points) > MOST_SHAPES:
            area, width = 2 * size, 0.2
        x, y = points[is_wrong].T
        rings = ax.scatter(x, y, s=area, facecolors="none", edgecolors="black", linewidths=width)
        rings.set(label=f"misclassified ({is_wrong.sum()})", zorder=4, rasterized=len(points) > MOST_SHAPES)
        entries.append((rings, str(rings.get_label())))
    ax.set_aspect("equal", adjustable="datalim")
    ax.set(xticks=[], yticks=[])
    ax.set_title(textwrap.fill(title, TITLE_WIDTH), fontsize=8)
    ax.set_ylabel(directions[1], fontsize=7)
    ax.set_xlabel("\n".join(lines), fontsize=6, color="0.35")
    _legend_below(ax, entries, len(lines))
    return ax


@dataclass(frozen=True, eq=False)
class _Kind:
    """Points of one class that made the map, or those that were added; `number` is the class's, -1 for none."""

    added: bool
    name: str
    number: int
    index: NDArray[np.int64]


def _kinds(labels: Sequence[str], added: NDArray[np.bool_]) -> list[_Kind]:
    """Return the kinds of points, those added last, each sorted by name."""
    names = sorted(set(labels))
    place = {name: number for number, name in enumerate(names)}
    unnamed = int("" in place)
    code = np.fromiter((place[name] for name in labels), np.int64, len(labels)) + len(names) * added
    order = np.argsort(code, kind="stable")
    parts = np.split(order, np.flatnonzero(np.diff(code[order])) + 1) if len(order) else []
    kinds = []
    for index in parts:
        flag, number = divmod(int(code[index[0]]), len(names))
        kinds.append(_Kind(bool(flag), names[number], number - unnamed, index))
    return kinds


def _by_look(kinds: Sequence[_Kind]) -> list[list[_Kind]]:
    """Return the kinds that are drawn together, because looks repeat after as many classes as there are looks."""
    alike: dict[tuple[bool, tuple[str, str]], list[_Kind]] = {}
    for kind in kinds:
        alike.setdefault((kind.added, _style(kind)), []).append(kind)
    return list(alike.values())


def _style(kind: _Kind) -> tuple[str, str]:
    return class_style(kind.number) if kind.name else (UNLABELLED, "o")


def _look(kind: _Kind, size: float) -> dict[str, Any]:
    colour, marker = _style(kind)
    if kind.added:  # hollow and larger, above the map's own points
        hollow = {"facecolors": "white", "edgecolors": colour, "linewidths": 1.1, "zorder": 3}
        return {"marker": marker, "s": 1.7 * size + 5, **hollow}
    return {"marker": marker, "s": size, "color": colour, "edgecolors": "white", "linewidths": 0.2}


def _no_artist() -> Any:
    from matplotlib.lines import Line2D

    return Line2D([], [], linestyle="none")


def _legend_below(axes: Axes, entries: Sequence[tuple[Any, str]], lines: int) -> None:
    """Put the legend below the lines of text that stand below an Axes."""
    from matplotlib.collections import PathCollection
    from matplotlib.transforms import ScaledTranslation

    down = ScaledTranslation(0, -(4 + 7.5 * lines) / 72, axes.get_figure(root=True).dpi_scale_trans)  # type: ignore[union-attr]
    legend = add_legend(
        axes,
        entries,
        frameon=False,
        loc="upper center",
        bbox_to_anchor=(0.5, 0),
        bbox_transform=axes.transAxes + down,
        ncols=2,
        fontsize=7,
        handletextpad=0.2,
        columnspacing=1.0,
    )
    for handle in legend.legend_handles:
        if isinstance(handle, PathCollection):
            handle.set_sizes(np.maximum(handle.get_sizes(), LEGEND_SIZE))
