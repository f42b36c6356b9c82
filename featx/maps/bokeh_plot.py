"""The plot of an interactive map: points in groups, as a Bokeh document that a page's own script brings to life."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.plots import style

# Bokeh's names of Matplotlib's markers; its own "x" has no area to fill.
BOKEH_MARKERS = {
    "o": "circle",
    "s": "square",
    "^": "triangle",
    "D": "diamond",
    "v": "inverted_triangle",
    "P": "plus",
    "X": "square_pin",
    "*": "star",
}
# Shapes that fill less of their box are drawn larger, so that all are seen alike.
LARGER = {"diamond": 1.4, "star": 1.35, "triangle": 1.15, "inverted_triangle": 1.15, "plus": 1.15, "square_pin": 1.3}
MUTED = 0.12  # opacity of what is not among the selected


@dataclass(frozen=True)
class Group:
    """Points that are shown and hidden together: those of one label, placed at first or added later.

    Attributes:
        label: Their label.
        added: Whether they were placed on the map afterwards.
        colour: As `#rrggbb`.
        marker: Bokeh's name of it.
        index: Numbers of the points.
    """

    label: str
    added: bool
    colour: str
    marker: str
    index: NDArray[np.int64]


def grouped(labels: Sequence[str], added: Sequence[bool] | None) -> tuple[Group, ...]:
    """Return the groups of a map: by label in sorted order, each label's added points after its own."""
    names = np.array(labels, dtype=object)
    late = np.zeros(len(labels), bool) if added is None else np.array(added, bool)
    groups = []
    for number, label in enumerate(sorted(set(labels))):
        colour, marker = style(number)
        for flag in (False, True):
            index = np.flatnonzero((names == label) & (late == flag))
            if len(index):
                groups.append(Group(label, flag, colour, BOKEH_MARKERS[marker], index))
    return tuple(groups)


def document(
    points: NDArray[np.floating[Any]], groups: Sequence[Group], wrong: NDArray[np.bool_], key: str
) -> dict[str, Any]:
    """Return Bokeh's JSON of the plot, which depends on the arguments alone.

    Args:
        points: (n, 2) coordinates.
        groups: Of the points; renderers are named `points-<number>` and `rings-<number>` after them.
        wrong: (n,) whether a ring is drawn around a point.
        key: Comes into every id, so that several plots can stand on one page.
    """
    from bokeh.embed import json_item

    return dict(_renamed(json_item(_plot(points, groups, wrong)), key, {}))


def _plot(points: NDArray[np.floating[Any]], groups: Sequence[Group], wrong: NDArray[np.bool_]) -> Any:
    from bokeh.models import ColumnDataSource, Plot, Range1d

    source = ColumnDataSource({"x": points[:, 0].astype(np.float32), "y": points[:, 1].astype(np.float32)})
    plot = Plot(
        x_range=Range1d(start=-1, end=1),  # set by the script, which knows how much room there is
        y_range=Range1d(start=-1, end=1),
        sizing_mode="stretch_both",
        toolbar_location=None,  # the page has buttons of its own, which a keyboard reaches
        min_border=2,  # Bokeh does not wipe the canvas's outermost half pixel
        outline_line_color=None,
        background_fill_color=None,
        border_fill_color=None,
        # The WebGL backend compiles code from text, which the page's policy forbids; canvas is fast enough.
        output_backend="canvas",
    )
    size = float(np.clip(11 - 1.5 * np.log10(max(len(points), 1) / 100), 5, 11))
    hit = [_add_points(plot, source, group, number, size) for number, group in enumerate(groups)]
    for number, group in enumerate(groups):
        rings = group.index[wrong[group.index]]
        if len(rings):
            _add_rings(plot, source, rings, number, size)
    plot.add_tools(*_tools(hit))
    return plot


def _add_points(plot: Any, source: Any, group: Group, number: int, size: float) -> Any:
    from bokeh.models import CDSView, IndexFilter, Scatter

    # Added points are hollow.
    line: dict[str, Any] = {"line_color": group.colour, "line_width": 2.0} if group.added else {"line_color": None}
    side = size * LARGER.get(group.marker, 1.0)
    look: dict[str, Any] = {
        "x": "x",
        "y": "y",
        "size": side,
        "marker": group.marker,
        "fill_color": group.colour,
        **line,
    }
    alpha = 0.12 if group.added else 0.85
    return plot.add_glyph(
        source,
        Scatter(**look, fill_alpha=alpha, hit_dilation=1.5),
        selection_glyph=Scatter(**look, fill_alpha=alpha),
        nonselection_glyph=Scatter(**look, fill_alpha=MUTED * alpha, line_alpha=MUTED),
        view=CDSView(filter=IndexFilter(group.index.tolist())),
        name=f"points-{number}",
    )


def _add_rings(plot: Any, source: Any, index: NDArray[np.int64], number: int, size: float) -> None:
    from bokeh.models import CDSView, IndexFilter, Scatter

    look: dict[str, Any] = {
        "x": "x",
        "y": "y",
        "size": size + 6,
        "marker": "circle",
        "fill_color": None,
        "line_width": 1.5,
    }
    plot.add_glyph(
        source,
        Scatter(**look, line_color="#222222"),
        selection_glyph=Scatter(**look, line_color="#222222"),
        nonselection_glyph=Scatter(**look, line_color="#222222", line_alpha=MUTED),
        view=CDSView(filter=IndexFilter(index.tolist())),
        name=f"rings-{number}",
    )


def _tools(renderers: list[Any]) -> list[Any]:
    from bokeh.models import BoxSelectTool, HoverTool, LassoSelectTool, PanTool, TapTool, WheelZoomTool

    return [
        PanTool(name="move"),
        WheelZoomTool(name="wheel", zoom_on_axis=False),
        BoxSelectTool(name="box", renderers=renderers),
        LassoSelectTool(name="lasso", renderers=renderers, continuous=False),
        TapTool(renderers=renderers),
        HoverTool(renderers=renderers, tooltips=None),
    ]


def _renamed(value: Any, key: str, ids: dict[str, str]) -> Any:
    """The JSON with ids counted from 0; Bokeh counts on in a process, and draws random ones."""
    if isinstance(value, dict):
        return {name: _renamed_field(name, inner, key, ids) for name, inner in value.items()}
    if isinstance(value, list):
        return [_renamed(inner, key, ids) for inner in value]
    return value


def _renamed_field(name: str, value: Any, key: str, ids: dict[str, str]) -> Any:
    if name in ("id", "root_id") and isinstance(value, str):
        return ids.setdefault(value, f"{key}-{len(ids)}")
    return _renamed(value, key, ids)
