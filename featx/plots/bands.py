"""Curves with a band of intervals around them: ROC, precision and recall, coverage and accuracy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from featx.plots.classifiers import LINES
from featx.plots.figure import COLOURS, add_legend, new_figure
from featx.plots.letters import short_names, spaced
from featx.stats import Curve

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# More bands would hide one another.
MOST_BANDS = 2
CurveKind = Literal["roc", "precision", "coverage"]
AXES: dict[CurveKind, tuple[str, str]] = {
    "roc": ("false positives (1 \N{MINUS SIGN} specificity)", "true positives (sensitivity)"),
    "precision": ("recall (sensitivity)", "precision (positive predictive value)"),
    "coverage": ("share of images that are decided", "accuracy on them"),
}


def draw_bands(curves: Sequence[tuple[str, Curve]], kind: CurveKind, title: str = "", ax: Axes | None = None) -> Axes:
    """Draw curves, each with the area under it; one or two of them with a band of their 95 % intervals.

    Args:
        curves: Names and curves.
        kind: What the axes are: `roc`, `precision` (against recall) or `coverage` (accuracy against it).
        title: Title of the drawing.
        ax: Where to draw; a new figure's axes if not given.
    """
    axes: Axes = ax if ax is not None else new_figure(4.6, 4.4)[1]
    if kind == "roc":
        axes.plot([0, 1], [0, 1], color="0.6", linewidth=1, linestyle=(0, (1, 3)))
    short = list(short_names(spaced([name for name, _ in curves]), 24).values())
    entries: list[tuple[Any, str]] = []
    for number, (name, (_, curve)) in enumerate(zip(short, curves, strict=True)):
        colour = COLOURS[number % len(COLOURS)]
        style = LINES[(number + number // len(COLOURS)) % len(LINES)]
        if len(curves) <= MOST_BANDS:
            axes.fill_between(curve.x, curve.low, curve.high, color=colour, alpha=0.18, linewidth=0)
        (line,) = axes.plot(curve.x, curve.y, color=colour, linestyle=style, linewidth=1.8)
        low, high = curve.area.interval
        entries.append((line, f"{name}: {curve.area.value:.2f} ({low:.2f}–{high:.2f})"))
    across, up = AXES[kind]
    axes.set(xlim=(-0.03, 1.03), ylim=(-0.03, 1.03), title=title, xlabel=across, ylabel=up)
    axes.grid(alpha=0.3)
    if kind != "coverage":
        area = "AUC" if kind == "roc" else "average precision"
        small: dict[str, Any] = {"frameon": False, "fontsize": "small", "title_fontsize": "small"}
        place = "upper center"
        add_legend(axes, entries, title=f"{area} (95 % interval)", loc=place, bbox_to_anchor=(0.5, -0.16), **small)
    return axes
