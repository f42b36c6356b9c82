"""Write a map's files: pictures, an interactive page and the table of its points."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from featx import plots
from featx.errors import StoreError, UsageError
from featx.files import write_csv, write_text
from featx.images import Atlas, atlas_of
from featx.maps.bokeh_plot import MOST_ENTRIES
from featx.maps.colouring import FREQUENT, LABEL, MANY
from featx.maps.interactive import MapData, page
from featx.maps.result import Map
from featx.maps.stored import stem_of

PICTURES = ("png", "svg")
FORMATS = (*PICTURES, "html", "csv")
PICTURE_DPI = 300


def check_formats(formats: Sequence[str]) -> None:
    """Raise UsageError if a format is unknown."""
    unknown = [name for name in formats if name not in FORMATS]
    if unknown:
        raise UsageError(f"Expected formats of {', '.join(FORMATS)}, received {unknown[0]!r}.")


def write_map(drawn: Map, formats: Sequence[str], folder: Path) -> tuple[Path, ...]:
    """Write a map to a folder in some of `FORMATS`, and return the files in this order.

    The table is written first. A picture that cannot be drawn or written is left out with a notice.

    Raises:
        StoreError: A table or page cannot be written, or no file at all.
    """
    stem = file_stem(drawn)
    paths = {name: folder / f"{stem}.{name}" for name in FORMATS if name in formats}
    plots.remove_files(list(paths.values()))
    if "csv" in paths:
        _write_table(drawn, paths["csv"])
    pictures = [path for name, path in paths.items() if name in PICTURES]
    drawn_files = plots.draw_files(pictures, drawn.draw, PICTURE_DPI) if pictures else []
    missing = [path for path in pictures if path not in drawn_files]
    if "html" in paths:
        points = drawn.points
        data = map_data(
            drawn, drawn.title, " ".join(drawn.notes), atlas_of(points.files, points.digests, points.pixels)
        )
        write_text(paths["html"], page(data))
    if missing and len(missing) == len(paths):
        raise StoreError(
            f"Expected to write {' and '.join(map(str, missing))}, but no file could be drawn and written, as the "
            "notice above says; remove its cause or choose another folder with --out."
        )
    return tuple(path for path in paths.values() if path not in missing)


def map_data(drawn: Map, title: str, note: str, atlas: Atlas | None) -> MapData:
    """Return a map's points with a title, a note and thumbnails, for an interactive map."""
    points = drawn.points
    colours = points.colouring.in_steps()
    many = drawn.by != LABEL and len(set(colours.categories)) > MANY
    return MapData(
        points=points.xy,
        labels=colours.categories,
        names=points.ids,
        title=title,
        note=note,
        predicted=points.predicted,
        confidence=points.confidence,
        placed=points.placed,
        atlas=atlas,
        by="class" if colours.name == LABEL else colours.name,
        truth=points.labels if any(points.labels) and colours.name != LABEL else None,
        looks=colours.looks,
        missing=colours.missing,
        values=None if colours.numbers is None else tuple(one or colours.missing for one in points.categories),
        most=FREQUENT + 1 if many else MOST_ENTRIES,
        mistakes=points.wrong,
    )


def file_stem(drawn: Map) -> str:
    """Return the name of a map's files without ending; maps with other colours or placed images have their own."""
    stem = stem_of(drawn.embedding.parameters, drawn.layer, drawn.split)
    if drawn.by != LABEL:
        stem += "-by-" + re.sub(r"[^\w.-]+", "_", drawn.by)
    return f"{stem}-added" if any(drawn.points.added) else stem


def _write_table(drawn: Map, path: Path) -> None:
    columns = drawn.points.columns()
    columns["added"] = ["true" if value else "false" for value in columns["added"]]
    columns |= {name: [f"{value + 0.0:.6g}" for value in columns[name]] for name in ("x", "y")}
    write_csv(path, list(columns), zip(*columns.values(), strict=True))
