"""A map's files: pictures, an interactive page and the table of its points."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from featx import plots
from featx.errors import UsageError
from featx.files import write_csv, write_file, write_text
from featx.images import atlas_of
from featx.maps.interactive import MapData, page
from featx.maps.result import LABEL, Map
from featx.maps.stored import stem_of

PICTURES = ("png", "svg")
FORMATS = (*PICTURES, "html", "csv")
SPLIT_NAMES = {"train": "training", "val": "validation", "test": "test", "all": "all"}
PICTURE_DPI = 300


def check_formats(formats: Sequence[str]) -> tuple[str, ...]:
    """Return the formats, each once, in the order in which files are listed.

    Raises:
        UsageError: One is not known.
    """
    unknown = [name for name in formats if name not in FORMATS]
    if unknown:
        raise UsageError(f"Expected formats of {', '.join(FORMATS)}, received {unknown[0]!r}.")
    return tuple(name for name in FORMATS if name in formats)


def write_map(drawn: Map, formats: Sequence[str], folder: Path) -> tuple[Path, ...]:
    """Write a map in several formats.

    Args:
        drawn: The map.
        formats: Of FORMATS.
        folder: Where the files go.

    Returns:
        The files, in the order of the formats.

    Raises:
        StoreError: The folder cannot be written.
    """
    path = folder / file_stem(drawn)
    writers: dict[str, Callable[[], list[Path]]] = {
        "pictures": partial(_write_pictures, drawn, path, [name for name in PICTURES if name in formats]),
        "html": partial(_write_page, drawn, path),
        "csv": partial(_write_table, drawn, path),
    }
    return tuple(file for name, write in writers.items() if name in ("pictures", *formats) for file in write())


def file_stem(drawn: Map) -> str:
    """Return how a map's files are called: those of other colours or with placed images have names of their own."""
    stem = stem_of(drawn.embedding.parameters, drawn.layer, drawn.split)
    if drawn.by != LABEL:
        stem += "-by-" + re.sub(r"[^\w.-]+", "_", drawn.by)
    return f"{stem}-added" if any(drawn.points.added) else stem


def title_of(drawn: Map) -> str:
    """Return whose map it is."""
    by = "" if drawn.by == LABEL else f", by {drawn.by}"
    return f"{drawn.name}: {drawn.layer} features, {SPLIT_NAMES[drawn.split]} images{by}"


def note_of(drawn: Map) -> str:
    """Return how the map was made and how far to trust it."""
    trust = [
        f"{name} {value:.2f}"
        for name, value in (("trustworthiness", drawn.trustworthiness), ("stability", drawn.stability))
        if value is not None
    ]
    parts = [drawn.embedding.method, ", ".join(trust) + f" ({drawn.to_json()['k']} neighbours)" if trust else ""]
    features, on_map = drawn.silhouette["features"], drawn.silhouette["map"]
    if features is not None and on_map is not None:
        parts.append(f"silhouette {features:.2f} in the features, {on_map:.2f} on the map")
    return ". ".join(part[:1].upper() + part[1:] if part[:2] != "t-" else part for part in parts if part)


def _write_pictures(drawn: Map, path: Path, formats: Sequence[str]) -> list[Path]:
    if not formats:
        return []
    points = drawn.points
    axes = plots.scatter(
        points.xy,
        points.groups,
        title_of(drawn),
        note_of(drawn),
        wrong=points.wrong,
        added=points.added,
        directions=drawn.embedding.axes,
    )
    save = partial(plots.save, axes, dpi=PICTURE_DPI)
    return [write_file(_ending(path, f".{name}"), save) for name in formats]


def _write_page(drawn: Map, path: Path) -> list[Path]:
    points = drawn.points
    coloured = drawn.by != LABEL
    data = MapData(
        points=points.xy,
        labels=points.groups,
        names=points.ids,
        title=title_of(drawn),
        note=note_of(drawn),
        predicted=points.predicted,
        confidence=points.confidence,
        added=points.added,
        atlas=atlas_of(points.files, points.digests),
        by=drawn.by if coloured else "class",
        truth=points.labels if coloured else None,
    )
    return [write_text(_ending(path, ".html"), page(data))]


def _write_table(drawn: Map, path: Path) -> list[Path]:
    columns = drawn.points.columns()
    columns["added"] = ["true" if value else "false" for value in columns["added"]]
    columns |= {name: [f"{value:.6g}" for value in columns[name]] for name in ("x", "y")}
    return [write_csv(_ending(path, ".csv"), list(columns), zip(*columns.values(), strict=True))]


def _ending(path: Path, ending: str) -> Path:
    # A column's name may have a dot, behind which `with_suffix` would cut.
    return path.with_name(path.name + ending)
