"""Drawings of cluster quality: arrays and an Axes in, the Axes out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import ceil
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from featx.plots.confusion import name_columns
from featx.plots.figure import class_style, new_figure
from featx.plots.letters import short_names, spaced
from featx.text import decimal

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# More names or numbers than these would overlap.
MOST_NAMES = 40
MOST_NUMBERS = 12
NAME_WIDTH = 24
# Of more classes only the means are drawn, and of more images not every bar.
MOST_BARS = 500
MOST_STEPS = 4000
# Of more classes each square of a matrix has several.
MOST_CELLS = 500


def draw_silhouettes(
    values: NDArray[np.float64],
    labels: NDArray[np.int64],
    classes: Sequence[str],
    title: str,
    chance: tuple[float, float] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw the silhouette of every image, sorted within its class (Rousseeuw 1987). Classes are sorted by their mean.

    Of more than 40 classes no names are drawn, and of more than 500 only the means.

    Args:
        values: (n,) silhouettes, -1 to 1.
        labels: (n,) class numbers.
        classes: Names of the classes.
        title: The line above.
        chance: The range of the mean under permuted labels, which is shaded.
        ax: Where to draw; the default is a new figure.
    """
    axes: Axes = ax if ax is not None else new_figure(*silhouette_size(len(classes)))[1]
    order = np.argsort(labels, kind="stable")
    members = np.split(values[order], np.searchsorted(labels[order], np.arange(1, len(classes))))
    means = [float(part.mean()) if len(part) else np.nan for part in members]
    by_mean = sorted((n for n in range(len(classes)) if len(members[n])), key=lambda number: -means[number])
    if len(by_mean) > MOST_BARS:
        bottom, gap = _draw_means(axes, [means[number] for number in by_mean])
    else:
        bottom, gap = _draw_bars(axes, members, means, by_mean, classes)
    mean = float(values.mean())
    axes.axvline(0, color="0.3", linewidth=0.8)
    axes.axvline(mean, color="black", linestyle="--", linewidth=1, label=f"mean {decimal(mean, 2)}")
    if chance is not None:
        axes.axvspan(*chance, color="0.6", alpha=0.6, linewidth=0, label="mean by chance (95 %)")
    axes.set(title=title, ylim=(bottom, -gap))
    axes.legend(
        frameon=False,
        fontsize="small",
        loc="upper center",
        bbox_to_anchor=(0.5, -0.6 / axes.figure.get_figure(root=True).get_figheight()),
    )
    return axes


def _draw_bars(
    axes: Axes,
    members: Sequence[NDArray[np.float64]],
    means: Sequence[float],
    by_mean: Sequence[int],
    classes: Sequence[str],
) -> tuple[float, float]:
    """Draw the bars of each class and its name; return where they end, and the space between classes."""
    n = sum(map(len, members))
    gap = max(1.0, n / (10 * len(classes)))
    bottom = 0.0
    places = []
    line = "\n" if len(classes) <= MOST_NUMBERS else " "
    short = list(short_names(spaced(classes), NAME_WIDTH).values()) if len(classes) <= MOST_NAMES else []
    for number in by_mean:
        values = np.sort(members[number])[::-1]
        steps = min(len(values), max(2, MOST_STEPS * len(values) // n)) if n > MOST_STEPS else len(values)
        chosen = np.linspace(0, len(values) - 1, steps).round().astype(np.int64)
        edges = bottom + np.linspace(0, len(values), steps + 1)
        axes.stairs(values[chosen], edges, orientation="horizontal", fill=True, color=class_style(number)[0])
        if short:
            name = f"{short[number]} ({len(values)}){line}{decimal(means[number], 2)}"
            places.append((bottom + len(values) / 2, name))
        bottom += len(values) + gap
    size = "small" if len(classes) <= MOST_NUMBERS else "xx-small"
    axes.set_yticks([place for place, _ in places], [text for _, text in places], fontsize=size)
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel("silhouette of each image")
    return bottom, gap


def _draw_means(axes: Axes, means: Sequence[float]) -> tuple[float, float]:
    """Draw the mean of each of very many classes, the largest on top; return where they end, and no space."""
    steps = min(len(means), MOST_STEPS)
    chosen = np.linspace(0, len(means) - 1, steps).round().astype(np.int64)
    edges = np.linspace(0, len(means), steps + 1)
    axes.stairs(np.array(means)[chosen], edges, orientation="horizontal", fill=True, color=class_style(0)[0])
    axes.set(xlabel="mean silhouette of each class", ylabel=f"{len(means):,} classes by their mean", yticks=[])
    return float(len(means)), 0.0


def draw_pairs(ratios: Mapping[str, NDArray[np.float64]], classes: Sequence[str]) -> Axes:
    """Draw the between/within ratio of pairs of classes as matrices side by side, with one scale of colours.

    Pairs below 1 are red: they are hard to separate. Those above 1 are blue.

    Args:
        ratios: The matrices by title: (k, k), at least 0; the diagonal is left empty.
        classes: Names of the k classes.

    Returns:
        The first Axes.
    """
    k = len(classes)
    side = max(3.7, 0.5 * k + 1.4 if k <= MOST_NUMBERS else 0.2 * min(k, MOST_NAMES) + 1.6)
    short = list(short_names(spaced(classes), NAME_WIDTH).values())
    room = 0.08 * max(0, max(map(len, short)) - 8)
    figure, axes = new_figure((side + room) * len(ratios) + 0.8, side + room, len(ratios))
    panels = np.atleast_1d(axes)
    step, per_square = ceil(k / MOST_NAMES), ceil(k / MOST_CELLS)
    shades: dict[str, Any] = {"cmap": "RdBu", "vmin": 0, "vmax": 2, "interpolation": "nearest"}
    for panel, (title, matrix) in zip(panels, ratios.items(), strict=True):
        squares = _lowest(matrix, per_square)
        end = len(squares) * per_square - 0.5
        image = panel.imshow(np.ma.masked_invalid(squares), extent=(-0.5, end, end, -0.5), **shades)
        panel.set(title=title, facecolor="0.9")
        for (row, column), ratio in np.ndenumerate(matrix) if k <= MOST_NUMBERS else ():
            if np.isfinite(ratio):
                ink = "white" if abs(ratio - 1) > 0.6 else "black"
                panel.text(column, row, decimal(ratio, 2), ha="center", va="center", color=ink)
        size = "medium" if k <= MOST_NAMES // 2 else "x-small"
        name_columns(panel, short, step, size)
        panel.set_yticks(range(0, k, step), short[::step], fontsize=size)
    if step > 1:
        notes = [f"One in {step} classes is named."]
        notes += [f"A square has the lowest ratio of {per_square} × {per_square} classes."] if per_square > 1 else []
        figure.supxlabel(" ".join(notes), fontsize="small")
    figure.colorbar(image, ax=list(panels), shrink=0.7, extend="max", label="between/within ratio")
    first: Axes = panels[0]
    return first


def _lowest(matrix: NDArray[np.float64], side: int) -> NDArray[np.float64]:
    """Return the lowest value of each square of so many rows and columns, NaN where none is finite."""
    if side == 1:
        return matrix
    starts = np.arange(0, len(matrix), side)
    filled = np.where(np.isfinite(matrix), matrix, np.inf)
    lowest = np.minimum.reduceat(np.minimum.reduceat(filled, starts, axis=0), starts, axis=1)
    return np.where(np.isfinite(lowest), lowest, np.nan)


def silhouette_size(classes: int) -> tuple[float, float]:
    """Return width and height in inches at which the names of this many classes can be read."""
    return 3.7, max(4.2, 0.17 * min(classes, MOST_NAMES) + 1.4)


def draw_numbers(
    numbers: Sequence[int],
    silhouettes: Sequence[float],
    stabilities: Sequence[float],
    chosen: int,
    stable: float,
) -> Axes:
    """Draw silhouette and stability by the number of clusters, side by side; the chosen number is ringed.

    Args:
        numbers: The numbers of clusters that were tried.
        silhouettes: Mean silhouette of each, -1 to 1.
        stabilities: Mean adjusted Rand index between fits of each, at most 1.
        chosen: One of the numbers.
        stable: The lowest stability of a number that is taken; a dashed line.

    Returns:
        The first Axes.
    """
    from matplotlib.ticker import MaxNLocator

    _, axes = new_figure(6.4, 2.6, 2)
    place = list(numbers).index(chosen)
    for ax, values, name in zip(axes, (silhouettes, stabilities), ("silhouette", "stability"), strict=True):
        ax.plot(numbers, values, color=class_style(0)[0], marker="o", markersize=4)
        ax.plot(
            [chosen], [values[place]], color="black", marker="o", markersize=10, fillstyle="none", linestyle="none"
        )
        ax.axhline(0, color="0.8", linewidth=0.8)
        ax.set(title=name, xlabel="number of clusters")
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
        ax.margins(0.1)
    axes[1].axhline(stable, color="0.4", linestyle="--", linewidth=1)
    first: Axes = axes[0]
    return first
