"""The plot of an interactive map as a Bokeh document; the page's script adds the behaviour."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.plots import MANY_RINGS, class_style

# Bokeh's names of Matplotlib's markers. Bokeh's own "x" has no area to fill.
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
# Shapes that fill less of their box are drawn larger, so that all look equally large.
LARGER = {"diamond": 1.4, "star": 1.35, "triangle": 1.15, "inverted_triangle": 1.15, "plus": 1.15, "square_pin": 1.3}
# A browser is slow with more; the labels of all points can be searched for.
MOST_ENTRIES = 60
REST = "#8C8C8C"
MUTED = 0.12  # opacity of points that are not selected, when others are


@dataclass(frozen=True)
class LegendEntry:
    """The points of one label that made the map, or those added to it; they are shown and hidden together."""

    label: str
    added: bool
    colour: str
    marker: str
    index: NDArray[np.int64]


def legend_entries(labels: Sequence[str], added: Sequence[bool] | None) -> tuple[LegendEntry, ...]:
    """Return the entries of a legend, sorted by label; the added points of a label follow its others.

    Of more than `MOST_ENTRIES` labels, those with the fewest points are one entry, the last.
    """
    counts = Counter(labels)
    own = sorted(counts)
    if len(own) > MOST_ENTRIES:
        own = sorted(label for label, _ in counts.most_common(MOST_ENTRIES - 1))
    number_of = {label: number for number, label in enumerate(own)}
    is_added = np.array(added or [False] * len(labels), bool)
    code = np.array([2 * number_of.get(label, len(own)) for label in labels], np.int64) + is_added
    order = np.argsort(code, kind="stable")
    entries = []
    for index in np.split(order, np.flatnonzero(np.diff(code[order])) + 1):
        number, flag = divmod(int(code[index[0]]), 2)
        if number < len(own):
            colour, marker = class_style(number)
            entries.append(LegendEntry(own[number], bool(flag), colour, BOKEH_MARKERS[marker], index))
        else:
            name = f"{len(counts) - len(own):,} more"
            entries.append(LegendEntry(name, bool(flag), REST, "circle", index))
    return tuple(entries)


def document(
    points: NDArray[np.floating[Any]], entries: Sequence[LegendEntry], wrong: NDArray[np.bool_], key: str
) -> dict[str, Any]:
    """Return Bokeh's JSON of the plot, which depends on the arguments alone; points that are `wrong` are ringed.

    Renderers are named `points-<number>` and `rings-<number>` by the number of the entry. The key is part of every
    id, so that several plots can stand on one page.
    """
    from bokeh.embed import json_item

    return dict(_renamed(json_item(_plot(points, entries, wrong)), key, {}))


def _plot(points: NDArray[np.floating[Any]], entries: Sequence[LegendEntry], wrong: NDArray[np.bool_]) -> Any:
    from bokeh.models import ColumnDataSource, Plot, Range1d

    source = ColumnDataSource({"x": points[:, 0].astype(np.float32), "y": points[:, 1].astype(np.float32)})
    plot = Plot(
        x_range=Range1d(start=-1, end=1),  # set by the script, which knows the size of the window
        y_range=Range1d(start=-1, end=1),
        sizing_mode="stretch_both",
        toolbar_location=None,  # the page has its own buttons, which the keyboard reaches
        min_border=2,  # Bokeh does not wipe the canvas's outermost half pixel
        outline_line_color=None,
        background_fill_color=None,
        border_fill_color=None,
        # The WebGL backend compiles code from text, and the page's policy forbids that. Canvas is fast enough.
        output_backend="canvas",
    )
    size = float(np.clip(11 - 1.5 * np.log10(max(len(points), 1) / 100), 5, 11))
    for number, entry in enumerate(entries):
        _add_points(plot, source, entry, f"points-{number}", size)
    plot.add_tools(*_tools(list(plot.renderers)))
    for number, entry in enumerate(entries):
        ringed = entry.index[wrong[entry.index]]
        if len(ringed):
            look = {"size": size + 6, "marker": "circle", "fill_color": None, "line_color": "#222222"}
            look["line_width"] = 1.5 if wrong.mean() <= MANY_RINGS else 1.1
            _add_glyph(plot, source, ringed, f"rings-{number}", look, {"line_alpha": MUTED})
    return plot


def _add_points(plot: Any, source: Any, entry: LegendEntry, name: str, size: float) -> None:
    colours: dict[str, Any] = {"fill_color": entry.colour, "line_color": None}
    if entry.added:  # hollow: filled with the page's background, so that they are seen among other points
        colours = {"fill_color": "white", "line_color": entry.colour, "line_width": 2.0}
    look = {"size": size * LARGER.get(entry.marker, 1.0), "marker": entry.marker, "fill_alpha": 0.85, **colours}
    muted = {"fill_alpha": MUTED * 0.85, "line_alpha": MUTED}
    _add_glyph(plot, source, entry.index, name, look, muted)


def _add_glyph(
    plot: Any, source: Any, index: NDArray[np.int64], name: str, look: dict[str, Any], muted: dict[str, Any]
) -> None:
    """Draw the points of an index, with the look `muted` if others are selected."""
    from bokeh.models import CDSView, IndexFilter, Scatter

    look = {"x": "x", "y": "y", **look}
    plot.add_glyph(
        source,
        Scatter(**look, hit_dilation=1.5),
        selection_glyph=Scatter(**look),
        nonselection_glyph=Scatter(**{**look, **muted}),
        view=CDSView(filter=IndexFilter(index.tolist())),
        name=name,
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
    """Return the JSON with ids counted from 0; Bokeh's are random or depend on earlier plots of the process."""
    if isinstance(value, list):
        return [_renamed(inner, key, ids) for inner in value]
    if not isinstance(value, dict):
        return value
    fields = {}
    for name, inner in value.items():
        is_id = name in ("id", "root_id") and isinstance(inner, str)
        fields[name] = ids.setdefault(inner, f"{key}-{len(ids)}") if is_id else _renamed(inner, key, ids)
    return fields
