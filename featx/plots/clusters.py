"""Drawings of cluster quality: arrays and an Axes in, the Axes out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
    if len(classes) <= MOST_NAMES:
        size = "small" if len(classes) <= MOST_NUMBERS else "xx-small"
        axes.set_yticks([place for place, _ in places], [text for _, text in places], fontsize=size)
        axes.tick_params(axis="y", length=0)
    else:
        axes.set_yticks([])
    axes.set(xlabel="silhouette of each image", title=title, ylim=(bottom, -gap))
    axes.legend(
        frameon=False,
        fontsize="small",
        loc="upper center",
        bbox_to_anchor=(0.5, -0.6 / axes.figure.get_figure(root=True).get_figheight()),
    )
    return axes


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
    figure, axes = new_figure(side * len(ratios) + 0.8, side, len(ratios))
    panels = np.atleast_1d(axes)
    for panel, (title, matrix) in zip(panels, ratios.items(), strict=True):
        image = panel.imshow(np.ma.masked_invalid(matrix), cmap="RdBu", vmin=0, vmax=2)
        panel.set(title=title, xticks=[], yticks=[], facecolor="0.9")
        for (row, column), ratio in np.ndenumerate(matrix):
            if k <= MOST_NUMBERS and np.isfinite(ratio):
                ink = "white" if abs(ratio - 1) > 0.6 else "black"
                panel.text(column, row, f"{ratio:.2f}", ha="center", va="center", color=ink)
        if k <= MOST_NAMES:
            rotation = 30 if k <= MOST_NUMBERS else 60
            panel.set_xticks(range(k), classes, rotation=rotation, ha="right", rotation_mode="anchor")
            panel.set_yticks(range(k), classes)
    figure.colorbar(image, ax=list(panels), shrink=0.7, extend="max", label="between/within ratio")
    first: Axes = panels[0]
    return first


def silhouette_size(classes: int) -> tuple[float, float]:
    """Return width and height in inches at which the names of this many classes can be read."""
    return 3.7, max(4.2, 0.17 * min(classes, MOST_NAMES) + 1.4)
