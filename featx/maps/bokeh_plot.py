"""The plot of an interactive map as a Bokeh document; the page's script adds the behaviour."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.plots import class_style, has_outlines, layers_of

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
INK = "#222222"  # the script has another one for dark pages


@dataclass(frozen=True)
class LegendEntry:
    """The points of one label that made the map, or were placed on it; they are shown and hidden together.

    `placed` says what they are if they were placed on the map, such as `test`, else "".
    """

    label: str
    placed: str
    colour: str
    marker: str
    index: NDArray[np.int64]


def legend_entries(
    labels: Sequence[str],
    placed: Sequence[str] | None,
    looks: Mapping[str, tuple[str, str]] | None = None,
    most: int = MOST_ENTRIES,
) -> tuple[LegendEntry, ...]:
    """Return the entries of a legend, sorted by label; the placed points of a label follow its others.

    `looks` are colours and Matplotlib's markers of labels, in the order of the legend; by default they are those of
    classes. Of more than `most` labels, those with the fewest points are one entry, the last.
    """
    counts = Counter(labels)
    own = sorted(counts)
    if looks is not None:
        own = [label for label in looks if label in counts] + [label for label in own if label not in looks]
    elif len(own) > most:
        own = sorted(label for label, _ in counts.most_common(most - 1))
    number_of = {label: number for number, label in enumerate(own)}
    # Points without a label are grey, as in the picture, where they take no colour from a class.
    styles = (
        {label: class_style(number) for number, label in enumerate(filter(None, own))} if looks is None else looks
    )
    words, code_of_word = np.unique(["", *(placed or [""] * len(labels))], return_inverse=True)
    code = np.array([len(words) * number_of.get(label, len(own)) for label in labels], np.int64) + code_of_word[1:]
    order = np.argsort(code, kind="stable")
    entries = []
    for index in np.split(order, np.flatnonzero(np.diff(code[order])) + 1):
        number, word = divmod(int(code[index[0]]), len(words))
        if number < len(own):
            colour, marker = styles.get(own[number], (REST, "o"))
            entries.append(LegendEntry(own[number], str(words[word]), colour, BOKEH_MARKERS[marker], index))
        else:
            name = f"{len(counts) - len(own):,} more"
            entries.append(LegendEntry(name, str(words[word]), REST, "circle", index))
    return tuple(entries)


def document(
    points: NDArray[np.floating[Any]], entries: Sequence[LegendEntry], wrong: NDArray[np.bool_], key: str
) -> dict[str, Any]:
    """Return Bokeh's JSON of the plot, which depends on the arguments alone; points that are `wrong` are marked.

    Renderers are named by what they draw and the number of the entry: `points-<number>`; `wrong-<number>` for its
    misclassified points, which lie above all others, with `outlines-<number>` below or `rings-<number>` around them.
    The key is part of every id, so that several plots can stand on one page.
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
    outlined = has_outlines(wrong)
    parts = sorted(_parts(entries, wrong), key=lambda part: part[0])
    for layer, number, index in parts:
        entry, name = entries[number], "wrong" if layer == 2 else "points"
        if layer == 2 and outlined:
            _add_outlines(plot, source, entry, index, f"outlines-{number}", size)
        _add_points(plot, source, entry, index, f"{name}-{number}", size)
    plot.add_tools(*_tools([one for one in plot.renderers if not str(one.name).startswith("outlines")]))
    for layer, number, index in parts:
        if layer == 2 and not outlined:
            look = {"size": size + 6, "marker": "circle", "fill_color": None, "line_color": INK, "line_width": 1.5}
            _add_glyph(plot, source, index, f"rings-{number}", look, {"line_alpha": MUTED})
    return plot


def _parts(entries: Sequence[LegendEntry], wrong: NDArray[np.bool_]) -> Iterator[tuple[int, int, NDArray[np.int64]]]:
    """Yield the layer, the number of the entry and the points of each part that is drawn by itself."""
    for number, entry in enumerate(entries):
        layers = layers_of(np.full(len(entry.index), bool(entry.placed)), wrong[entry.index])
        for layer in np.unique(layers):
            yield int(layer), number, entry.index[layers == layer]


def _add_points(plot: Any, source: Any, entry: LegendEntry, index: NDArray[np.int64], name: str, size: float) -> None:
    colours: dict[str, Any] = {"fill_color": entry.colour, "line_color": "white", "line_width": 0.5}
    if entry.placed:  # hollow: filled with the page's background, so that they are seen among other points
        colours = {"fill_color": "white", "line_color": entry.colour, "line_width": 2.0}
    look = {"size": _side(entry, size), "marker": entry.marker, **colours}
    _add_glyph(plot, source, index, name, look, {"fill_alpha": MUTED, "line_alpha": MUTED})


def _add_outlines(
    plot: Any, source: Any, entry: LegendEntry, index: NDArray[np.int64], name: str, size: float
) -> None:
    look = {"size": _side(entry, size), "marker": entry.marker, "fill_color": INK, "line_color": INK}
    look["line_width"] = 5.0 if entry.placed else 3.0
    _add_glyph(plot, source, index, name, look, {"fill_alpha": MUTED, "line_alpha": MUTED})


def _side(entry: LegendEntry, size: float) -> float:
    return size * LARGER.get(entry.marker, 1.0) * (1.15 if entry.placed else 1)


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
