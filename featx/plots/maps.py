"""A map of images drawn on Axes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from featx.plots.figure import add_legend, class_style, new_figure
from featx.plots.letters import short_names, spaced, wrapped

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLUMN = 8.5 / 2.54  # the width of a journal's column, 8.5 cm, in inches
# The height of a new picture follows the points: this many times the width of a column, at least and at most.
FLATTEST, HIGHEST = 0.5, 0.9
# How many letters stand in this width.
NOTE_WIDTH = 72
TITLE_WIDTH = 52
NAME_WIDTH = 18
UNLABELLED = "0.45"  # a grey, by Matplotlib's name
# Rings around more misclassified points, or a larger share of them, would cover the map.
MOST_RINGS = 100
MOST_RINGED = 0.15
# A legend lists this many classes, those with the most images, and the number of the others.
MOST_LISTED = 24
# Of so many classes or fewer, a legend has the marker of images that made the map beside that of placed images.
MOST_PAIRED = 12
# A marker of a legend has at least this area, in square points, also where the map's own are too small to tell apart.
LEGEND_SIZE = 14
# More points than this are pixels also in a drawing of shapes, whose file would be too large.
MOST_SHAPES = 20_000
Entry = tuple[Any, str]  # an artist and its name, as a legend has them


def draw_scatter(
    points: NDArray[np.floating[Any]],
    labels: Sequence[str],
    title: str,
    note: str = "",
    ax: Axes | None = None,
    *,
    wrong: Sequence[bool] | None = None,
    placed: Sequence[str] | None = None,
    directions: tuple[str, str] = ("", ""),
    looks: Mapping[str, tuple[str, str]] | None = None,
    missing: str = "no label",
) -> Axes:
    """Draw a map: one marker an image, with its class's colour and shape, legible at a column's width (8.5 cm).

    The legend has the 24 classes with the most images. If images were placed on the map, it has two markers for
    each of up to 12 classes; of more, one, and an example of placed images. More than 20,000 points are pixels also
    in an SVG.

    Args:
        points: (n, 2) coordinates, which have no unit.
        labels: (n,) classes; "" for an image without one.
        title: The text above.
        note: Smaller text below, such as the method's parameters.
        ax: Where to draw; by default the Axes of a new figure, whose height follows the points.
        wrong: (n,) whether an image is misclassified. These are drawn above the others and ringed, or outlined if
            they are many (see `has_outlines`).
        placed: (n,) the kind of an image that was placed on the map afterwards, such as "test", and "" for an image
            that made the map. Placed images are hollow.
        directions: Names of the horizontal and the vertical axis, if they mean something.
        looks: Colour and marker of each class, in the order of the legend; by default those of `class_style`, sorted.
        missing: What the legend calls images without a class.
    """
    is_wrong = np.zeros(len(points), bool) if wrong is None else np.array(wrong, bool)
    placed = ("",) * len(points) if placed is None else placed
    kinds = _kinds(labels, placed, looks)
    counts = Counter(labels)
    most = MOST_LISTED if looks is None else len(counts)
    names = set(sorted(counts, key=lambda name: (-counts[name], name))[:most])
    listed = [kind for kind in kinds if kind.name in names]
    words = sorted({*placed} - {""})
    paired = bool(words) and len(set(labels)) <= MOST_PAIRED
    lines, heading = wrapped(note, NOTE_WIDTH), wrapped(title, TITLE_WIDTH)
    if ax is None:
        rows = len(names) if paired else -(-(len(names) + len(words)) // 2)
        text = 0.15 * len(heading) + 0.11 * len(lines) + 0.15 * (rows + 1) + 0.16 * any(directions)
        ax = new_figure(COLUMN, COLUMN * steepness(points) + text)[1]
    size = point_size(len(points))
    # What comes first in a legend is drawn above what comes later.
    artist_of = _draw_points(ax, points, kinds if looks is None else kinds[::-1], is_wrong, size)
    last: list[Entry] = []
    if words and not paired:
        last += [(_example(ax, size), f"{word} ({sum(word == one for one in placed):,})") for word in words]
    if rest := len(set(labels)) - len(names):
        last.append((_no_artist(), f"and {rest:,} more"))
    if is_wrong.any():
        last.append((_mark(ax, points, is_wrong, size), f"misclassified ({is_wrong.sum():,})"))
    ax.set_aspect("equal", adjustable="datalim")
    ax.set(xticks=[], yticks=[])
    ax.set_title("\n".join(heading), fontsize=8)
    ax.set_xlabel(directions[0], fontsize=7)
    ax.set_ylabel(directions[1], fontsize=7)
    legend_below(
        ax, _arranged(listed, artist_of, last, missing, paired=paired), "\n".join(lines), below=any(directions)
    )
    return ax


def layers_of(placed: NDArray[np.bool_], wrong: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return the layer that each point of a map is drawn in, above those of lower numbers.

    Misclassified points are above all others, because they are what a reader looks for. Placed points are above the
    map's own.

    Args:
        placed: (n,) whether the image was placed on the map afterwards.
        wrong: (n,) whether the image is misclassified.

    Returns:
        (n,) 0 for the map's own points, 1 for placed ones, 2 for misclassified ones of either.
    """
    return np.where(wrong, 2, placed.astype(np.int64))


def point_size(n: int) -> float:
    """Return the area of a marker in square points, for n points on a map."""
    return float(np.clip(4000 / max(n, 1), 2, 14))


def has_outlines(wrong: NDArray[np.bool_]) -> bool:
    """Return whether misclassified points are outlined instead of ringed.

    This is so if they are more than 100, or more than 15 % of all points. Rings would cover such a map.

    Args:
        wrong: (n,) whether the image is misclassified.
    """
    return bool(len(wrong)) and bool(wrong.sum() > MOST_RINGS or wrong.mean() > MOST_RINGED)


@dataclass(frozen=True, eq=False)
class _Kind:
    """Points of one class that made the map, or were placed on it: colour and marker, and place in the legend."""

    placed: str
    name: str
    rank: int
    style: tuple[str, str]
    index: NDArray[np.int64]


def _kinds(labels: Sequence[str], placed: Sequence[str], looks: Mapping[str, tuple[str, str]] | None) -> list[_Kind]:
    """Return the kinds of points, those that made the map first, each by name, or in the order of their looks."""
    names, words = sorted(set(labels)), sorted({"", *placed})
    if looks is not None:
        ranks = {name: rank for rank, name in enumerate(looks)}
        names.sort(key=lambda name: ranks.get(name, len(ranks)))
    place = {name: number for number, name in enumerate(names)}
    word_place = {word: number for number, word in enumerate(words)}
    named = [name for name in names if name]
    styles = {name: class_style(number) for number, name in enumerate(named)} if looks is None else looks
    pairs = (word_place[word] * len(names) + place[name] for word, name in zip(placed, labels, strict=True))
    code = np.fromiter(pairs, np.int64, len(labels))
    order = np.argsort(code, kind="stable")
    parts = np.split(order, np.flatnonzero(np.diff(code[order])) + 1) if len(order) else []
    kinds = []
    for index in parts:
        word, number = divmod(int(code[index[0]]), len(names))
        style = styles.get(names[number], (UNLABELLED, "o"))
        kinds.append(_Kind(words[word], names[number], number, style, index))
    return kinds


def steepness(points: NDArray[np.floating[Any]]) -> float:
    """Return the height of a new picture in widths of a column, so that points far apart in one direction fill it."""
    finite = points[np.isfinite(points).all(axis=1)].astype(np.float64)
    width, height = np.ptp(finite / max(np.abs(finite).max(), 1e-300), axis=0) if len(finite) else (0.0, 0.0)
    return float(np.clip(height / width, FLATTEST, HIGHEST)) if width > 0 else HIGHEST


def _draw_points(
    ax: Axes, points: NDArray[np.floating[Any]], kinds: Sequence[_Kind], wrong: NDArray[np.bool_], size: float
) -> dict[_Kind, Any]:
    """Draw the points, and return an artist with the look of each kind."""
    alike: dict[tuple[bool, tuple[str, str]], list[_Kind]] = {}
    for kind in kinds:  # looks repeat after as many classes as there are looks
        alike.setdefault((bool(kind.placed), kind.style), []).append(kind)
    artist_of: dict[_Kind, Any] = {}
    for (hollow, style), same in alike.items():
        chosen = np.sort(np.concatenate([kind.index for kind in same]))
        layers = layers_of(np.full(len(chosen), hollow), wrong[chosen])
        look = _look(style, size, hollow=hollow) | {"rasterized": len(points) > MOST_SHAPES}
        for layer in np.unique(layers):
            x, y = points[chosen[layers == layer]].T
            if layer == 2 and has_outlines(wrong):
                ax.scatter(x, y, zorder=4, **look | _outline(look))
            drawn = ax.scatter(x, y, zorder=2 + layer, **look)
            artist_of |= dict.fromkeys(same, drawn)
    return artist_of


def _look(style: tuple[str, str], size: float, *, hollow: bool) -> dict[str, Any]:
    colour, marker = style
    if hollow:  # and larger
        area = 1.5 * size + 4
        width = 0.2 * float(np.sqrt(area))
        return {"marker": marker, "s": area, "facecolors": "white", "edgecolors": colour, "linewidths": width}
    return {"marker": marker, "s": size, "facecolors": colour, "edgecolors": "white", "linewidths": 0.2}


def _outline(look: dict[str, Any]) -> dict[str, Any]:
    """Return what makes a black outline of a marker's look if it is drawn below the marker."""
    width = float(np.clip(0.4 * np.sqrt(look["s"]), 0.5, 1.5))
    return {"edgecolors": "black", "linewidths": look["linewidths"] + width}


def _mark(ax: Axes, points: NDArray[np.floating[Any]], wrong: NDArray[np.bool_], size: float) -> Any:
    """Ring the misclassified points if they have no outlines, and return an artist for the legend."""
    if has_outlines(wrong):
        return ax.scatter([], [], s=size, facecolors="0.85", edgecolors="black", linewidths=0.7)
    x, y = points[wrong].T
    return ax.scatter(x, y, s=3 * size + 6, facecolors="none", edgecolors="black", linewidths=0.6, zorder=5)


def _example(ax: Axes, size: float) -> Any:
    """Return an artist for the legend that looks like placed images of any class."""
    return ax.scatter([], [], **_look((UNLABELLED, "o"), size, hollow=True))


def _arranged(
    kinds: Sequence[_Kind], artist_of: dict[_Kind, Any], last: Sequence[Entry], missing: str, *, paired: bool
) -> list[Entry]:
    """Return the entries of a legend of two columns, the left one first.

    If they are paired, each class has a row: on the left the images that made the map, on the right those placed.
    The last entries stand below.
    """
    names = list(dict.fromkeys(kind.name for kind in sorted(kinds, key=lambda kind: kind.rank)))
    short = dict(zip(names, short_names(spaced(names), NAME_WIDTH).values(), strict=True))
    rows: dict[str, tuple[list[_Kind], list[_Kind]]] = {name: ([], []) for name in names}
    for kind in kinds:
        rows[kind.name][bool(kind.placed)].append(kind)

    def entry(kind: _Kind | None, name: str) -> Entry:
        return (_no_artist(), "") if kind is None else (artist_of[kind], f"{name} ({len(kind.index):,})")

    if not paired:
        single = [(own or placed)[0] for own, placed in rows.values()]
        return [*(entry(kind, short[kind.name] or missing) for kind in single), *last]
    left: list[Entry] = []
    right: list[Entry] = []
    for name, (own, placed) in rows.items():
        before = f"{short[name]}, " if name and not own else ""
        for one, other in zip_longest(own, placed):
            left.append(entry(one, short[name] or missing))
            right.append(entry(other, f"{before}{other.placed}" if other else ""))
    left, right = [*left, *last[::2]], [*right, *last[1::2]]
    return [*left, *right, *[entry(None, "")] * (len(left) - len(right))]


def _no_artist() -> Any:
    from matplotlib.lines import Line2D

    return Line2D([], [], linestyle="none")


def legend_below(axes: Axes, entries: Sequence[Entry], note: str, *, below: bool) -> None:
    """Put a note and the legend below an Axes and, if there is a name of its axis, below this."""
    from matplotlib.collections import PathCollection
    from matplotlib.transforms import ScaledTranslation

    down = ScaledTranslation(0, -(1 + 9 * below) / 72, axes.get_figure(root=True).dpi_scale_trans)  # type: ignore[union-attr]
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
        borderaxespad=0.3,
        title=note or None,
        title_fontsize=6,
    )
    legend.get_title().set(color="0.35", multialignment="center")
    for handle in legend.legend_handles:
        if isinstance(handle, PathCollection):
            handle.set_sizes(np.maximum(handle.get_sizes(), LEGEND_SIZE))
