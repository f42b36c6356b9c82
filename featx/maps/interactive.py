"""Interactive maps: one HTML page, or parts for a page with several, which work without a network.

Nothing a page shows comes from elsewhere, and its policy lets nothing in or out. All text of users (names of files
and classes, titles) is escaped in HTML, and set as text, never as markup, by the page's script.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.errors import UsageError
from featx.images import LIMIT, Atlas
from featx.maps.bokeh_plot import Group, document, grouped

# What a page may do: run what is written in it, and show pictures that are written in it.
POLICY = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:"
NO_LABEL = "no label"


@dataclass(frozen=True)
class MapData:
    """What an interactive map shows of n images.

    Attributes:
        points: (n, 2) coordinates, which have no unit.
        labels: (n,) what the points are coloured by; "" where it is not known.
        names: (n,) files, as users know them.
        title: A line above.
        note: A smaller line below, such as the method's parameters.
        predicted: (n,) the class that a head gave each image.
        confidence: (n,) the probability of that class, in [0, 1].
        added: (n,) whether the image was placed on the map afterwards.
        atlas: Their thumbnails.
        by: What `labels` are: "class", or the name of another column.
        truth: (n,) the images' classes, where `labels` are something else; "" where it is not known.

    Raises:
        UsageError: Something does not have n entries, or a coordinate is not finite.
    """

    points: NDArray[np.floating[Any]]
    labels: tuple[str, ...]
    names: tuple[str, ...]
    title: str
    note: str = ""
    predicted: tuple[str, ...] | None = None
    confidence: tuple[float, ...] | None = None
    added: tuple[bool, ...] | None = None
    atlas: Atlas | None = None
    by: str = "class"
    truth: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        n = len(self.points)
        if self.points.shape != (n, 2) or not n or not np.isfinite(self.points).all():
            raise UsageError(f"Expected the points of a map as finite pairs (n, 2), received {self.points.shape}.")
        found = None if self.atlas is None else self.atlas.found
        for name in ("labels", "names", "predicted", "confidence", "added", "truth"):
            _check_length(name, getattr(self, name), n)
        _check_length("thumbnails", found, n)

    @property
    def wrong(self) -> NDArray[np.bool_]:
        """(n,) whether an image of known class was predicted as another."""
        if self.predicted is None:
            return np.zeros(len(self.names), bool)
        truth = self.labels if self.truth is None else self.truth
        return np.array([bool(true) and true != one for true, one in zip(truth, self.predicted, strict=True)])


def page(data: MapData) -> str:
    """Return a whole HTML page of one map, in one file that needs no other."""
    script, div = components(data, heading=1, wheel=True)
    return _render("page.html.j2", title=data.title, policy=POLICY, head=resources(), body=div + script)


def components(
    data: MapData, *, heading: int = 3, wheel: bool = False, with_atlas: bool = True, key: str | None = None
) -> tuple[str, str]:
    """Return a map's script and its place, for a page that may hold several.

    The page's head holds `resources()` once; script and place may stand anywhere in its body.

    Args:
        data: What the map shows.
        heading: The level of the map's own heading, 1 to 5; one below it, the list of selected images has its own.
        wheel: Whether the wheel zooms from the start; on a long page it should scroll. A button turns it on and off.
        with_atlas: Whether the thumbnails come along; False where an earlier map of the page has the same atlas.
        key: The map's id on the page, of letters, digits and hyphens; one made of its content if not given.

    Returns:
        `<script>` and `<section>`. The script holds data alone, no code.
    """
    groups = grouped(data.labels, data.added)
    payload = _payload(data, groups)
    key = (
        key
        or "map-"
        + hashlib.sha256(_json([data.title, data.note, payload]).encode() + data.points.tobytes()).hexdigest()[:12]
    )
    payload["plot"] = document(data.points, groups, data.wrong, key)
    payload["wheel"] = wheel
    body = _render(
        "map.html.j2",
        key=key,
        data=data,
        groups=groups,
        no_label=NO_LABEL,
        heading=heading,
        wrong=int(data.wrong.sum()),
        summary=summary(data),
        marks=_marks(data),
        atlas=_atlas_name(data.atlas) if data.atlas is not None and with_atlas else None,
    )
    return f'<script type="application/json" id="{key}-data">{_json(payload)}</script>\n', body


def resources() -> str:
    """Return what maps share and a page's head holds once: styles, BokehJS and the maps' own script."""
    from bokeh.resources import Resources

    bokeh = Resources(mode="inline", components=["bokeh"], log_level="warn").render_js()
    return f"<style>\n{_asset('interactive.css')}</style>\n{bokeh}\n<script>\n{_asset('interactive.js')}</script>\n"


def summary(data: MapData) -> str:
    """Return a map's text alternative: how many images of what it shows, and what marks some of them."""
    counts = {label: data.labels.count(label) for label in sorted(set(data.labels))}
    what = ", ".join(f"{label or NO_LABEL} {count:,}" for label, count in counts.items())
    return f"By {data.by}: {what}. {_marks(data)}"


def _marks(data: MapData) -> str:
    """What the legend does not say."""
    n = len(data.names)
    parts = [_images(n)]
    if data.predicted is not None:
        parts.append(f"{int(data.wrong.sum()):,} predicted as another class (ringed)")
    if data.added is not None and any(data.added):
        parts.append(f"{sum(data.added):,} placed on the map afterwards (hollow)")
    sentences = [", ".join(parts) + "."]
    if data.atlas is not None and not all(data.atlas.found):
        missing = _images(data.atlas.found.count(False))
        sentences.append(f"{missing} without a thumbnail: the file is gone or has changed.")
    if data.atlas is None and n > LIMIT:
        sentences.append(f"Thumbnails are left out of maps of more than {LIMIT:,} images.")
    return " ".join(sentences)


def _payload(data: MapData, groups: Sequence[Group]) -> dict[str, Any]:
    """What the script is told of the images; classes are written once and then numbered."""
    classes = sorted({*data.labels, *(data.predicted or ()), *(data.truth or ())})
    number = {name: place for place, name in enumerate(classes)}

    def numbered(names: Sequence[str] | None) -> list[int] | None:
        return None if names is None else [number[name] for name in names]

    atlas = data.atlas
    return {
        "by": data.by,
        "names": data.names,
        "classes": [name or NO_LABEL for name in classes],
        "labels": numbered(data.labels),
        "truth": numbered(data.truth),
        "predicted": numbered(data.predicted),
        "confidence": None if data.confidence is None else [round(float(share), 6) for share in data.confidence],
        "wrong": np.flatnonzero(data.wrong).tolist(),
        "groups": [{"colour": group.colour, "added": group.added, "index": group.index.tolist()} for group in groups],
        "atlas": None
        if atlas is None
        else {
            "name": _atlas_name(atlas),
            "columns": atlas.columns,
            "rows": atlas.rows,
            "blank": [place for place, found in enumerate(atlas.found) if not found],
        },
    }


def _atlas_name(atlas: Atlas) -> str:
    return "featx-atlas-" + hashlib.sha256(atlas.data).hexdigest()[:12]


def _json(document: Any) -> str:
    """JSON that can stand in a script element: nothing in it ends the element or begins a comment."""
    text = json.dumps(document, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def _asset(name: str) -> str:
    return files("featx.maps").joinpath("assets", name).read_text("utf-8")


def _render(template: str, **values: Any) -> str:
    from jinja2 import Environment, FunctionLoader, StrictUndefined

    environment = Environment(
        loader=FunctionLoader(_asset),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template).render(**values)


def _check_length(name: str, values: Sequence[Any] | None, n: int) -> None:
    if values is not None and len(values) != n:
        raise UsageError(f"Expected {name} of the {n} points of a map, received {len(values)}.")


def _images(count: int) -> str:
    return "1 image" if count == 1 else f"{count:,} images"
