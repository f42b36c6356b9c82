"""Drawings of cluster quality: arrays and an Axes in, the Axes out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from featx.plots.figure import class_style, new_figure
from featx.text import decimal

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# More names or numbers than these would overlap.
MOST_NAMES = 40
MOST_NUMBERS = 12


def draw_silhouettes(
    values: NDArray[np.float64],
    labels: NDArray[np.int64],
    classes: Sequence[str],
    title: str,
    chance: tuple[float, float] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw the silhouette of every image, sorted within its class (Rousseeuw 1987). Classes are sorted by their mean.

    Args:
        values: (n,) silhouettes, -1 to 1.
        labels: (n,) class numbers.
        classes: Names of the classes.
        title: The line above.
        chance: The range of the mean under permuted labels, which is shaded.
        ax: Where to draw; the default is a new figure.
    """
    axes: Axes = ax if ax is not None else new_figure(*silhouette_size(len(classes)))[1]
    means = [float(values[labels == number].mean()) for number in range(len(classes))]
    gap = max(1.0, len(values) / (10 * len(classes)))
    bottom = 0.0
    places = []
    line = "\n" if len(classes) <= MOST_NUMBERS else " "
    for number in sorted(range(len(classes)), key=lambda number: -means[number]):
        members = np.sort(values[labels == number])[::-1]
        edges = bottom + np.arange(len(members) + 1)
        axes.stairs(members, edges, orientation="horizontal", fill=True, color=class_style(number)[0])
        name = f"{classes[number]} ({len(members)}){line}{decimal(means[number], 2)}"
        places.append((bottom + len(members) / 2, name))
        bottom += len(members) + gap
    mean = float(values.mean())
    axes.axvline(0, color="0.3", linewidth=0.8)
    axes.axvline(mean, color="black", linestyle="--", linewidth=1, label=f"mean {decimal(mean, 2)}")
    if chance is not None:
        axes.axvspan(*chance, color="0.6", alpha=0.6, linewidth=0, label="mean by chance (95 %)")
    _named(axes, places)
    axes.set(xlabel="silhouette of each image", title=title, ylim=(bottom, -gap))
    axes.legend(
        frameon=False,
        fontsize="small",
        loc="upper center",
        bbox_to_anchor=(0.5, -0.6 / axes.figure.get_figure(root=True).get_figheight()),
    )
    return axes


def draw_pairs(ratios: NDArray[np.float64], classes: Sequence[str], title: str, ax: Axes | None = None) -> Axes:
    """Draw the between/within ratio of pairs of classes as a matrix; dark pairs are hard to separate.

    Args:
        ratios: (k, k), at least 0; the diagonal is left empty.
        classes: Names of the classes.
        title: The line above.
        ax: Where to draw; the default is a new figure.
    """
    axes: Axes = ax if ax is not None else new_figure(*pairs_size(len(classes)))[1]
    shown = np.ma.masked_invalid(ratios)
    top = float(shown.max()) if shown.count() else 1.0
    image = axes.imshow(shown, cmap="cividis", vmin=0, vmax=top or 1.0)
    if len(classes) <= MOST_NUMBERS:
        for (row, column), ratio in np.ndenumerate(ratios):
            if np.isfinite(ratio):
                ink = "black" if ratio > 0.5 * top else "white"
                axes.text(column, row, f"{ratio:.2f}", ha="center", va="center", color=ink)
        axes.set_xlabel("between/within ratio")
    else:
        axes.figure.colorbar(image, ax=axes, shrink=0.7, label="between/within ratio")
    if len(classes) <= MOST_NAMES:
        ticks = range(len(classes))
        axes.set_xticks(
            ticks, classes, rotation=30 if len(classes) <= MOST_NUMBERS else 60, ha="right", rotation_mode="anchor"
        )
        axes.set_yticks(ticks, classes)
    axes.set(title=title)
    return axes


def silhouette_size(classes: int) -> tuple[float, float]:
    """Return width and height in inches at which the names of this many classes can be read."""
    return 3.7, max(4.2, 0.17 * min(classes, MOST_NAMES) + 1.4)


def pairs_size(classes: int) -> tuple[float, float]:
    """Return width and height in inches at which a matrix of this many classes can be read."""
    side = max(3.7, 0.2 * min(classes, MOST_NAMES) + 1.6) if classes > MOST_NUMBERS else max(3.7, 0.5 * classes + 1.4)
    return side, side


def _named(axes: Axes, places: Sequence[tuple[float, str]]) -> None:
    if len(places) > MOST_NAMES:
        axes.set_yticks([])
        return
    size = "small" if len(places) <= MOST_NUMBERS else "xx-small"
    axes.set_yticks([place for place, _ in places], [text for _, text in places], fontsize=size)
    axes.tick_params(axis="y", length=0)
