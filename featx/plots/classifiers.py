"""Pictures of classifiers: scores with their intervals, confusion matrices, ROC curves, calibration."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, floor
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from featx.plots.figure import COLOURS, new_figure
from featx.plots.runs import draw_confusion
from featx.stats import wilson

if TYPE_CHECKING:
    from matplotlib.axes import Axes


ClassifierKind = Literal["classifier", "baseline", "head"]
Standing = Literal["best", "indistinguishable", "worse", "better"]
# A value with the lower and upper end of its interval.
PointWithInterval = tuple[float, float, float]

CV_STYLE: dict[str, Any] = {"fmt": "o", "color": COLOURS[0], "markersize": 6}
TEST_STYLE: dict[str, Any] = {"fmt": "D", "color": COLOURS[5], "markersize": 5, "markerfacecolor": "white"}
SMALL: dict[str, Any] = {"fontsize": "small"}
LINES = ("-", "--", "-.", ":")
# With more classes than this the cells of a confusion matrix are too small for a number.
MOST_COUNTED = 20


@dataclass(frozen=True)
class ScoreRow:
    """One row of `draw_scores`.

    Attributes:
        cv: Mean accuracy in cross-validation with its interval; None where there is none.
        test: Accuracy on the test images with its interval; None where there are none.
        standing: The verdict against the best; None where it was not tested against it.
    """

    name: str
    cv: PointWithInterval | None
    test: PointWithInterval | None
    kind: ClassifierKind = "classifier"
    standing: Standing | None = None


def draw_scores(rows: Sequence[ScoreRow], title: str = "", ax: Axes | None = None) -> Axes:
    """Draw accuracies as dots with their intervals, one line for each classifier, the first at the top.

    The best (in bold) and those indistinguishable from it have a grey background.

    Args:
        rows: The classifiers, in the order of the lines.
        title: Title of the figure.
        ax: Where to draw; a new figure's axes if not given.
    """
    axes: Axes = ax if ax is not None else new_figure(6.2, 1.5 + 0.42 * len(rows))[1]
    parts = (("cv", -0.15, CV_STYLE, "cross-validation"), ("test", 0.15, TEST_STYLE, "test images"))
    for part, shift, style, label in parts:
        drawn = [(y, point) for y, row in enumerate(rows) if (point := getattr(row, part)) is not None]
        if drawn:
            value, low, high = np.array([point for _, point in drawn], np.float64).T
            # Rounding may put a value outside its own interval.
            reach = np.maximum([value - low, high - value], 0)
            places = [y + shift for y, _ in drawn]
            axes.errorbar(value, places, xerr=reach, label=label, capsize=2.5, elinewidth=1.4, **style)
    _bands(axes, rows)
    _names(axes, rows)
    ends = [end for row in rows for point in (row.cv, row.test) if point is not None for end in point[1:]]
    lowest = max(0.0, floor(10 * min(ends, default=0.0)) / 10)
    axes.set(ylim=(len(rows) - 0.5, -0.5), xlim=(lowest, max(1.0, *ends) + 0.01), xlabel="accuracy")
    axes.set_title(title, fontsize="medium")
    axes.grid(axis="x", alpha=0.3)
    axes.set_axisbelow(True)
    figure = axes.get_figure(root=True)
    if figure is not None:
        figure.legend(*axes.get_legend_handles_labels(), frameon=False, loc="outside lower center", ncols=3, **SMALL)
    return axes


def _bands(axes: Axes, rows: Sequence[ScoreRow]) -> None:
    label: str | None = "indistinguishable from the best"
    for y, row in enumerate(rows):
        if row.standing in ("best", "indistinguishable"):
            axes.axhspan(y - 0.5, y + 0.5, color="0.92", linewidth=0, zorder=0, label=label)
            label = None


def _names(axes: Axes, rows: Sequence[ScoreRow]) -> None:
    notes = {"classifier": "", "baseline": " (baseline)", "head": " (the run's own)"}
    axes.set_yticks(range(len(rows)), [row.name + notes[row.kind] for row in rows])
    for text, row in zip(axes.get_yticklabels(), rows, strict=True):
        text.set_color("0.35" if row.kind == "baseline" else "black")
        text.set_fontstyle("italic" if row.kind == "baseline" else "normal")
        text.set_fontweight("bold" if row.standing == "best" else "normal")


def draw_confusions(counts: Sequence[NDArray[np.int64]], titles: Sequence[str], classes: Sequence[str]) -> Axes:
    """Draw the confusion matrices of several classifiers in a new figure, at most four in a line.

    Args:
        counts: One matrix each: (classes, classes) images by true class (rows) and predicted class (columns).
        titles: The title of each.
        classes: Names of the classes.

    Returns:
        The first matrix's axes.
    """
    from matplotlib.figure import Figure

    columns = min(4, len(counts))
    lines = ceil(len(counts) / columns)
    side = max(1.9, 0.4 * min(len(classes), MOST_COUNTED) + 0.5)
    room = 0.075 * max(map(len, classes))
    figure = Figure(figsize=(columns * side + room + 0.4, lines * (side + 0.35) + room), layout="compressed")
    grid = figure.subplots(lines, columns, squeeze=False).ravel()
    for place, axes in enumerate(grid):
        if place >= len(counts):
            axes.set_visible(False)
            continue
        draw_confusion(counts[place], classes, "", axes)
        axes.set_title(titles[place], fontsize="medium")
        _fit_text(axes, len(classes))
        if place % columns:
            axes.set(yticklabels=[], ylabel="")
        if place + columns < len(counts):
            axes.set(xticklabels=[], xlabel="")
    return grid[0]  # type: ignore[no-any-return]


def _fit_text(axes: Axes, classes: int) -> None:
    axes.tick_params(labelsize="small" if classes <= 8 else "xx-small")
    for text in list(axes.texts):
        if classes > MOST_COUNTED:
            text.remove()
        else:
            text.set_fontsize(9 if classes <= 8 else 6)


def draw_roc(
    labels: NDArray[np.int64],
    probabilities: NDArray[np.float64],
    classes: Sequence[str],
    title: str = "",
    ax: Axes | None = None,
) -> Axes:
    """Draw the receiver operating characteristic of each class against the rest, with the area under it.

    With two classes only the second is drawn: the first's curve is its mirror image with the same area.

    Args:
        labels: (n,) class indices.
        probabilities: (n, classes).
        classes: Names of the classes.
        title: Title of the drawing.
        ax: Where to draw; a new figure's axes if not given.
    """
    from sklearn.metrics import roc_auc_score, roc_curve

    axes: Axes = ax if ax is not None else new_figure(4.6, 4.4)[1]
    axes.plot([0, 1], [0, 1], color="0.6", linewidth=1, linestyle=(0, (1, 3)))
    for number, name in enumerate(classes):
        if len(classes) == 2 and number == 0:
            continue
        of_class = labels == number
        if of_class.all() or not of_class.any():
            axes.plot([], [], " ", label=f"{name}: {'no other' if of_class.any() else 'no'} images")
            continue
        false, true, _ = roc_curve(of_class, probabilities[:, number], drop_intermediate=False)
        area = roc_auc_score(of_class, probabilities[:, number])
        colour = COLOURS[number % len(COLOURS)]
        line = LINES[(number + number // len(COLOURS)) % len(LINES)]
        axes.plot(false, true, color=colour, linestyle=line, linewidth=1.8, label=f"{name}: AUC {area:.2f}")
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), title=title)
    axes.set(xlabel="false positives (1 - specificity)", ylabel="true positives (sensitivity)")
    axes.set_aspect("equal")
    outside = len(classes) > 8
    place: dict[str, Any] = {"loc": "center left", "bbox_to_anchor": (1, 0.5)} if outside else {"loc": "lower right"}
    axes.legend(frameon=False, **SMALL, **place)
    return axes


def draw_reliability(
    labels: NDArray[np.int64],
    probabilities: NDArray[np.float64],
    title: str = "",
    bins: int = 10,
    ax: Axes | None = None,
) -> Axes:
    """Draw a reliability diagram: the accuracy against the probability of the predicted class, the confidence.

    Each dot is a bin of images: their mean confidence, their accuracy with Wilson's 95 % interval, and the number of
    images above. Source: Guo et al., "On calibration of modern neural networks", ICML 2017.

    Args:
        labels: (n,) class indices.
        probabilities: (n, classes).
        title: Title of the drawing.
        bins: Number of bins of equal width from 0 to 1; a confidence on an edge counts to the lower bin.
        ax: Where to draw; a new figure's axes if not given.
    """
    axes: Axes = ax if ax is not None else new_figure(4.4, 4.4)[1]
    axes.plot([0, 1], [0, 1], color="0.6", linewidth=1, linestyle=(0, (1, 3)), label="perfectly calibrated")
    confidence = probabilities.max(axis=1)
    correct = probabilities.argmax(axis=1) == labels
    bin_of = np.clip(np.ceil(confidence * bins).astype(np.int64) - 1, 0, bins - 1)
    points = []
    for number in np.unique(bin_of):
        in_bin = bin_of == number
        count, hits = int(in_bin.sum()), int(correct[in_bin].sum())
        points.append((confidence[in_bin].mean(), hits / count, *wilson(hits, count)))
        axes.text((number + 0.5) / bins, 1.03, str(count), ha="center", va="bottom", fontsize="x-small", color="0.35")
    x, accuracy, low, high = np.array(points).reshape(-1, 4).T
    reach = np.maximum([accuracy - low, high - accuracy], 0)
    style: dict[str, Any] = {"fmt": "o-", "color": COLOURS[0], "capsize": 2.5, "elinewidth": 1.2}
    axes.errorbar(x, accuracy, yerr=reach, label="observed, with number of images", **style)
    axes.set(xlim=(0, 1.03), ylim=(-0.03, 1.1), xlabel="confidence", ylabel="accuracy", title=title)
    axes.set(xticks=np.linspace(0, 1, 6), yticks=np.linspace(0, 1, 6))
    axes.grid(alpha=0.3)
    axes.legend(frameon=False, loc="upper center", bbox_to_anchor=(0.5, -0.16), **SMALL)
    return axes
