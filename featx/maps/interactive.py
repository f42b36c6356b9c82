"""Interactive maps: one HTML page, or parts of a page with several maps, which work without a network.

A page contains all that it shows, and its policy forbids it to load or send anything. All text from users (names of
files and classes, titles) is escaped in HTML, and the page's script sets it as text, never as markup.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.digests import sha256
from featx.errors import UsageError
from featx.images import MAX_THUMBNAILS, Atlas
from featx.maps.bokeh_plot import MOST_ENTRIES, LegendEntry, document, legend_entries
from featx.plots import has_outlines
from featx.templates import asset, render
from featx.text import images

PACKAGE = "featx.maps"
# A page may run scripts and show pictures that it contains, and nothing else.
POLICY = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:"
NO_LABEL = "no label"
# A browser is slow with more.
MOST_POINTS = 100_000


# Fields of a map with a value for each point.
OF_POINTS = ("labels", "names", "predicted", "confidence", "placed", "truth", "values", "mistakes")


@dataclass(frozen=True)
class MapData:
    """The content of an interactive map of n images.

    Attributes:
        points: (n, 2) coordinates, without a unit.
        labels: (n,) what colours the points; "" if it is not known.
        names: (n,) file names.
        title: The line above the map.
        note: The smaller line below, such as the method's parameters.
        predicted: (n,) the class that a head predicts for each image.
        confidence: (n,) the probability of that class, 0 to 1.
        placed: (n,) the kind of an image that was placed on the map afterwards, such as "test", and "" for an image
            that made the map.
        atlas: The thumbnails of the images.
        by: What `labels` are: "class", or the name of another column; "" if all points have one colour.
        truth: (n,) the classes of the images, if `labels` are something else; "" if it is not known.
        looks: Colour and Matplotlib's marker of each of `labels`, in the order of the legend; by default those of
            classes.
        missing: What images are called whose label is "".
        values: (n,) what is shown of an image instead of its label, if labels are steps of a scale.
        most: The most entries of the legend.
        mistakes: (n,) whether the image is misclassified, if it is not whether `predicted` differs from its class.

    Raises:
        UsageError: A field does not have n entries, or a coordinate is not finite.
    """

    points: NDArray[np.floating[Any]]
    labels: tuple[str, ...]
    names: tuple[str, ...]
    title: str
    note: str = ""
    predicted: tuple[str, ...] | None = None
    confidence: tuple[float, ...] | None = None
    placed: tuple[str, ...] | None = None
    atlas: Atlas | None = None
    by: str = "class"
    truth: tuple[str, ...] | None = None
    looks: Mapping[str, tuple[str, str]] | None = None
    missing: str = NO_LABEL
    values: tuple[str, ...] | None = None
    most: int = MOST_ENTRIES
    mistakes: tuple[bool, ...] | None = None

    def __post_init__(self) -> None:
        n = len(self.points)
        if self.points.shape != (n, 2) or not n or not np.isfinite(self.points).all():
            raise UsageError(f"Expected the points of a map as finite pairs (n, 2), received {self.points.shape}.")
        fields = {name: getattr(self, name) for name in OF_POINTS}
        fields["thumbnails"] = self.atlas and self.atlas.filled
        for name, values in fields.items():
            if values is not None and len(values) != n:
                raise UsageError(f"Expected {name} of the {n} points of a map, received {len(values)}.")

    @property
    def wrong(self) -> NDArray[np.bool_]:
        """(n,) whether the image is misclassified; False if its class is not known."""
        if self.mistakes is not None:
            return np.array(self.mistakes, bool)
        if self.predicted is None:
            return np.zeros(len(self.names), bool)
        truth = self.labels if self.truth is None else self.truth
        return np.array([true not in ("", one) for true, one in zip(truth, self.predicted, strict=True)])


def page(data: MapData) -> str:
    """Return an HTML page with one map, which needs no other file."""
    script, div = components(data, heading=1, wheel=True)
    return render(PACKAGE, "page.html.j2", title=data.title, policy=POLICY, head=resources(), body=div + script)


def components(
    data: MapData, *, heading: int = 3, wheel: bool = False, with_atlas: bool = True, key: str | None = None
) -> tuple[str, str]:
    """Return the script and the section of a map, for a page that may have several maps.

    The page's head must contain `resources()` once. Script and section may stand anywhere in its body.

    Args:
        data: The content of the map.
        heading: The level of the map's heading, 1 to 5; the list of selected images has the next lower level.
        wheel: Whether the mouse wheel zooms at first. On a long page it should scroll. A button switches it.
        with_atlas: Whether to include the thumbnails; False if an earlier map of the page has the same atlas.
        key: The map's id on the page, of letters, digits and hyphens; the default is made of its content.

    Returns:
        `<script>` and `<section>`. The script contains only data, no code.
    """
    data = _within_limit(data)
    entries = legend_entries(data.labels, data.placed, data.looks, data.most)
    payload = _payload(data, entries)
    if key is None:
        content = _json([data.title, data.note, payload]).encode() + data.points.tobytes()
        key = f"map-{sha256(content)[:12]}"
    payload["plot"] = document(data.points, entries, data.wrong, key)
    payload["wheel"] = wheel
    body = render(
        PACKAGE,
        "map.html.j2",
        key=key,
        data=data,
        entries=entries,
        of_label=[list(same) for _, same in groupby(range(len(entries)), key=lambda number: entries[number].label)],
        aspect=_aspect(data.points),
        no_label=data.missing,
        heading=heading,
        wrong=int(data.wrong.sum()),
        summary=summary(data),
        marks=_marks(data),
        atlas=_atlas_name(data.atlas) if data.atlas is not None and with_atlas else None,
    )
    return f'<script type="application/json" id="{key}-data">{_json(payload)}</script>\n', body


def resources() -> str:
    """Return what a page's head must contain once: the styles, BokehJS and the script of the maps."""
    from bokeh.resources import Resources

    bokeh = Resources(mode="inline", components=["bokeh"], log_level="warn").render_js()
    style, script = (asset(PACKAGE, name) for name in ("interactive.css", "interactive.js"))
    return f"<style>\n{style}</style>\n{bokeh}\n<script>\n{script}</script>\n"


def summary(data: MapData) -> str:
    """Return the text alternative of a map: how many images of each label it shows, and which are marked."""
    if not data.by:
        return _marks(data)
    counts = Counter(data.labels)
    named = sorted(label for label, _ in counts.most_common(MOST_ENTRIES))
    numbers = ", ".join(f"{label or data.missing} {counts[label]:,}" for label in named)
    more = f" and {len(counts) - len(named):,} more" if len(counts) > len(named) else ""
    return f"By {data.by}: {numbers}{more}. {_marks(data)}"


def _within_limit(data: MapData) -> MapData:
    """Return the map with at most `MOST_POINTS` points, drawn at random, and a sentence that says so."""
    n = len(data.points)
    if n <= MOST_POINTS:
        return data
    chosen = np.sort(np.random.default_rng(0).choice(n, MOST_POINTS, replace=False))

    def part(values: Sequence[Any] | None) -> Any:
        return None if values is None else tuple(values[i] for i in chosen)

    sentence = f"{MOST_POINTS:,} of {images(n)} are shown, drawn at random; the map's CSV file has all."
    note = f"{data.note.rstrip('.')}. {sentence}" if data.note else sentence
    few: dict[str, Any] = {name: part(getattr(data, name)) for name in OF_POINTS}
    return replace(data, points=data.points[chosen], note=note, atlas=None, **few)


def _marks(data: MapData) -> str:
    """Return what the legend does not say."""
    n = len(data.names)
    parts = [images(n)]
    if data.predicted is not None:
        mark = " (outlined)" if has_outlines(data.wrong) else " (ringed)" if data.wrong.any() else ""
        parts.append(f"{int(data.wrong.sum()):,} misclassified{mark}")
    for kind, number in sorted(Counter(data.placed or ()).items()):
        if kind:
            parts.append(f"{images(number, kind)} placed on the map afterwards (hollow)")
    sentences = [", ".join(parts) + "."]
    if data.atlas is not None and not all(data.atlas.filled):
        missing = images(data.atlas.filled.count(False))
        sentences.append(f"{missing} without a thumbnail: the file is missing or has changed.")
    if data.atlas is None and n > MAX_THUMBNAILS:
        sentences.append(f"Thumbnails are left out of maps of more than {MAX_THUMBNAILS:,} images.")
    return " ".join(sentences)


def _aspect(points: NDArray[np.floating[Any]]) -> str:
    """Return the width of the map's frame by its height, so that points far apart in one direction fill it."""
    width, height = np.ptp(points.astype(np.float64), axis=0)
    return f"{np.clip(width / height if height else 1.6, 1, 2):.2f}"


def _payload(data: MapData, entries: Sequence[LegendEntry]) -> dict[str, Any]:
    """Return the script's data about the images. Classes are written once and referred to by number."""
    classes = sorted({*data.labels, *(data.predicted or ()), *(data.truth or ())})
    number_of = {name: number for number, name in enumerate(classes)}

    def numbered(names: Sequence[str] | None) -> list[int] | None:
        return None if names is None else [number_of[name] for name in names]

    atlas = data.atlas
    return {
        "by": data.by,
        "names": data.names,
        "classes": [name or data.missing for name in classes],
        "labels": numbered(data.labels),
        "truth": numbered(data.truth),
        "values": data.values,
        "predicted": numbered(data.predicted),
        "confidence": None if data.confidence is None else [round(float(share), 6) for share in data.confidence],
        "wrong": np.flatnonzero(data.wrong).tolist(),
        "groups": [
            {"colour": entry.colour, "placed": entry.placed, "index": entry.index.tolist()} for entry in entries
        ],
        "atlas": None
        if atlas is None
        else {
            "name": _atlas_name(atlas),
            "columns": atlas.columns,
            "rows": atlas.rows,
            "blank": [number for number, filled in enumerate(atlas.filled) if not filled],
        },
    }


def _atlas_name(atlas: Atlas) -> str:
    return "featx-atlas-" + sha256(atlas.data)[:12]


def _json(document: Any) -> str:
    """Return JSON for a script element: nothing in it ends the element or begins a comment."""
    text = json.dumps(document, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")
