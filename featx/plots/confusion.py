"""Confusion matrices, of two classes or of ten thousand."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil
from textwrap import wrap
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from featx.plots.figure import new_figure
from featx.plots.letters import short_names, spaced

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from scipy.sparse import coo_array

# With more classes than this the cells are too small for a number.
MOST_COUNTED = 20
# With more classes only some are named.
MOST_NAMED = 60
# With more classes each square of the drawing has several.
MOST_CELLS = 500
# Letters of an inch of text, about, by the size of the font.
LETTERS = {"medium": 12.0, "small": 14.5, "x-small": 17.0, "xx-small": 20.0}
# Confusions that are listed below a matrix without numbers.
LISTED = 5


def confusion_counts(true: NDArray[np.int64], predicted: NDArray[np.int64], classes: int) -> coo_array:
    """Return numbers of images by true class (rows) and predicted class (columns), without the zeros.

    Args:
        true: (n,) class numbers.
        predicted: (n,) class numbers.
        classes: The number of classes.
    """
    from scipy.sparse import coo_array

    cells, counts = np.unique(true.astype(np.int64) * classes + predicted, return_counts=True)
    return coo_array((counts, (cells // classes, cells % classes)), shape=(classes, classes))


def most_confused(counts: Any, listed: int = LISTED) -> list[tuple[int, int, int]]:
    """Return the most frequent confusions: true class, predicted class, images. Equal ones are in order of classes.

    Args:
        counts: As `draw_confusion` takes them.
        listed: How many at most.
    """
    from scipy.sparse import coo_array

    matrix = coo_array(counts)
    rows, columns = matrix.row, matrix.col
    wrong = np.flatnonzero((rows != columns) & (matrix.data > 0))
    order = wrong[np.lexsort((columns[wrong], rows[wrong], -matrix.data[wrong]))][:listed]
    return [(int(rows[i]), int(columns[i]), int(matrix.data[i])) for i in order]


def draw_confusion(counts: Any, classes: Sequence[str], title: str, ax: Axes | None = None) -> Axes:
    """Draw a confusion matrix: each cell's count, shaded by its share of the true class.

    More than 20 classes have no numbers; in a new figure their most frequent confusions are listed below. More than
    60 classes are not all named. Of more than 500 each square has several, and shades are square roots of shares.

    Args:
        counts: (classes, classes) numbers of images, by true class (rows) and predicted class (columns), as an array
            or as a sparse one of SciPy.
        classes: The classes' names.
        title: The text above, such as the run, its images and the accuracy.
        ax: Where to draw; by default the Axes of a new figure.
    """
    k = len(classes)
    short = list(short_names(spaced(classes), 24).values())
    axes: Axes = ax if ax is not None else new_figure(*_size(short))[1]
    per_square = _draw_cells(axes, counts, k)
    step = ceil(k / MOST_NAMED)
    size = "medium" if k <= MOST_COUNTED else "small" if k <= 2 * MOST_COUNTED else "xx-small"
    _name(axes, short, step, size)
    axes.set(xlabel="predicted", ylabel="true")
    axes.set_title(title, fontsize="medium")
    if ax is None and k > MOST_COUNTED:
        lines = [f"{short[row]} → {short[column]}: {n:,}" for row, column, n in most_confused(counts)]
        text = "\n".join(["Most frequent confusions, true → predicted:", *(lines or ["none"])])
        notes = [f"One in {step} classes is named." if step > 1 else ""]
        notes.append(f"A square has {per_square} × {per_square} classes." if per_square > 1 else "")
        axes.get_figure(root=True).supxlabel(  # type: ignore[union-attr]
            "\n".join([text, " ".join(filter(None, notes))]).strip(), fontsize="small"
        )
    return axes


def _size(names: Sequence[str]) -> tuple[float, float]:
    """Return width and height in inches; long names have their own room."""
    k = len(names)
    side = max(3.6, 0.8 * k + 1.6) if k <= 10 else 9.6 + 0.2 * (min(k, MOST_COUNTED) - 10)
    room = 0.08 * max(0, max(map(len, names)) - 8) if k <= MOST_COUNTED else 0.0
    return side + room, side + 0.6 * room + (1.6 if k > MOST_COUNTED else 0)


def _draw_cells(axes: Axes, counts: Any, k: int, ink_size: Any = "medium", most_cells: int = MOST_CELLS) -> int:
    """Draw shades, and numbers where there is room; return how many classes a side of a square has."""
    from matplotlib.colors import PowerNorm
    from scipy.sparse import coo_array

    matrix = coo_array(counts)
    rows, columns = matrix.row, matrix.col
    per_square = ceil(k / most_cells)
    side = ceil(k / per_square)
    places = (rows // per_square).astype(np.int64) * side + columns // per_square
    squares = np.bincount(places, matrix.data, side * side).reshape(side, side)
    shares = squares / np.maximum(squares.sum(axis=1, keepdims=True), 1)
    end = side * per_square - 0.5
    scale = PowerNorm(1 if per_square == 1 else 0.5, 0, 1)
    axes.imshow(shares, cmap="Blues", norm=scale, interpolation="nearest", extent=(-0.5, end, end, -0.5))
    for (row, column), count in np.ndenumerate(squares) if k <= MOST_COUNTED else ():
        ink = "white" if shares[row, column] > 0.5 else "black"
        axes.text(column, row, str(int(count)), ha="center", va="center", color=ink, fontsize=ink_size)
    axes.set(xlim=(-0.5, k - 0.5), ylim=(k - 0.5, -0.5))
    return per_square


def _name(axes: Axes, short: Sequence[str], step: int, size: str) -> None:
    name_columns(axes, short, step, fontsize=size)
    axes.set_yticks(range(0, len(short), step), short[::step], fontsize=size)


def name_columns(axes: Axes, names: Sequence[str], step: int = 1, fontsize: str = "medium") -> None:
    """Write names below a matrix's columns: level in one or two lines where they fit, or one in `step` slanted."""
    k = len(names)
    # The layout will take some of this for the names of the rows.
    width = 0.9 * axes.get_position().width * axes.get_figure(root=True).get_figwidth()  # type: ignore[union-attr]
    letters = int(width * LETTERS[fontsize] / k) - 1
    lines = [wrap(name, max(letters, 1), break_long_words=False, break_on_hyphens=False) or [""] for name in names]
    if all(len(parts) < 3 and max(map(len, parts)) <= letters for parts in lines):
        axes.set_xticks(range(k), ["\n".join(parts) for parts in lines], fontsize=fontsize)
        return
    slanted: dict[str, Any] = {"rotation": 30 if k <= MOST_COUNTED else 60, "ha": "right", "rotation_mode": "anchor"}
    axes.set_xticks(range(0, k, step), names[::step], fontsize=fontsize, **slanted)


def draw_confusions(counts: Sequence[Any], titles: Sequence[str], classes: Sequence[str], heading: str = "") -> Axes:
    """Draw the confusion matrices of several classifiers in a new figure, at most four in a line.

    Args:
        counts: One matrix each, as `draw_confusion` takes them.
        titles: The title of each.
        classes: Names of the classes.
        heading: The line above all of them.

    Returns:
        The first matrix's axes.
    """
    from matplotlib.figure import Figure

    k = len(classes)
    columns = min(4, len(counts))
    lines = ceil(len(counts) / columns)
    side = max(1.9, 0.4 * k + 0.5) if k <= 8 else 3.7 + 0.15 * (min(k, MOST_COUNTED) - 8)
    short = list(short_names(spaced(classes), 16).values())
    room = 0.075 * max(map(len, short))
    figure = Figure(figsize=(columns * side + room + 0.4, lines * (side + 0.35) + room), layout="compressed")
    if heading:
        figure.suptitle(heading)
    grid = figure.subplots(lines, columns, squeeze=False).ravel()
    for place, axes in enumerate(grid):
        if place >= len(counts):
            axes.set_visible(False)
            continue
        _draw_cells(axes, counts[place], k, 9 if k <= 8 else 6, MOST_CELLS // 2)
        _name(axes, short, ceil(k / MOST_COUNTED), "small" if k <= 8 else "xx-small")
        axes.set(xlabel="predicted", ylabel="true")
        axes.set_title(titles[place], fontsize="medium")
        if place % columns:
            axes.set(yticklabels=[], ylabel="")
        if place + columns < len(counts):
            axes.set(xticklabels=[], xlabel="")
    return grid[0]  # type: ignore[no-any-return]
