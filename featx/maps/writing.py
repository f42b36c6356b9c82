"""Write a map's files: pictures, an interactive page and the table of its points."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from featx import plots
from featx.errors import UsageError
from featx.files import write_csv, write_file, write_text
from featx.images import atlas_of
from featx.maps.interactive import MapData, page
from featx.maps.quality import neighbour_count
from featx.maps.result import LABEL, Map
from featx.maps.stored import stem_of
from featx.text import decimal

PICTURES = ("png", "svg")
FORMATS = (*PICTURES, "html", "csv")
SPLIT_NAMES = {"train": "training", "val": "validation", "test": "test", "all": "all", "": "new"}
PICTURE_DPI = 300


def check_formats(formats: Sequence[str]) -> tuple[str, ...]:
    """Return the formats in the order of `FORMATS`, each once; raise UsageError if one is unknown."""
    unknown = [name for name in formats if name not in FORMATS]
    if unknown:
        raise UsageError(f"Expected formats of {', '.join(FORMATS)}, received {unknown[0]!r}.")
    return tuple(name for name in FORMATS if name in formats)


def write_map(drawn: Map, formats: Sequence[str], folder: Path) -> tuple[Path, ...]:
    """Write a map to a folder in some of `FORMATS`, and return the files in this order.

    Raises:
        StoreError: The folder cannot be written.
    """
    path = folder / file_stem(drawn)
    files = _write_pictures(drawn, path, [name for name in PICTURES if name in formats])
    if "html" in formats:
        files.append(_write_page(drawn, path))
    if "csv" in formats:
        files.append(_write_table(drawn, path))
    return tuple(files)


def file_stem(drawn: Map) -> str:
    """Return the name of a map's files without ending; maps with other colours or placed images have their own."""
    stem = stem_of(drawn.embedding.parameters, drawn.layer, drawn.split)
    if drawn.by != LABEL:
        stem += "-by-" + re.sub(r"[^\w.-]+", "_", drawn.by)
    return f"{stem}-added" if any(drawn.points.added) else stem


def title_of(drawn: Map) -> str:
    """Return the title: the run or data, the features, and which images are on the map."""
    by = "" if drawn.by == LABEL else f", by {drawn.by}"
    points = zip(drawn.points.splits, drawn.points.added, strict=True)
    added = " and ".join(SPLIT_NAMES[split] for split in sorted({split for split, late in points if late})[::-1])
    return (
        f"{drawn.name}: {drawn.layer} features, {SPLIT_NAMES[drawn.split]} images"
        f"{f' with {added} images added' if added else ''}{by}"
    )


def note_of(drawn: Map) -> str:
    """Return how the map was made and how far to trust it."""
    parts = [drawn.embedding.method]
    trust = {"trustworthiness": drawn.trustworthiness, "stability": drawn.stability}
    values = [f"{name} {decimal(value, 2)}" for name, value in trust.items() if value is not None]
    if values:
        parts.append(f"{', '.join(values).capitalize()} ({neighbour_count(drawn.n)} neighbours)")
    features, on_map = drawn.silhouette["features"], drawn.silhouette["map"]
    if features is not None and on_map is not None:
        parts.append(f"Silhouette {decimal(features, 2)} in the features, {decimal(on_map, 2)} on the map")
    return ". ".join(parts)


def _write_pictures(drawn: Map, path: Path, formats: Sequence[str]) -> list[Path]:
    if not formats:
        return []
    points = drawn.points
    axes = plots.draw_scatter(
        points.xy,
        points.categories,
        title_of(drawn),
        note_of(drawn),
        wrong=points.wrong,
        added=points.added,
        directions=drawn.embedding.axes,
    )
    save = partial(plots.save, axes, dpi=PICTURE_DPI)
    return [write_file(_with_ending(path, name), save) for name in formats]


def _write_page(drawn: Map, path: Path) -> Path:
    points = drawn.points
    by_label = drawn.by == LABEL
    data = MapData(
        points=points.xy,
        labels=points.categories,
        names=points.ids,
        title=title_of(drawn),
        note=note_of(drawn),
        predicted=points.predicted,
        confidence=points.confidence,
        added=points.added,
        atlas=atlas_of(points.files, points.digests),
        by="class" if by_label else drawn.by,
        truth=None if by_label else points.labels,
    )
    return write_text(_with_ending(path, "html"), page(data))


def _write_table(drawn: Map, path: Path) -> Path:
    columns = drawn.points.columns()
    columns["added"] = ["true" if value else "false" for value in columns["added"]]
    columns |= {name: [f"{value:.6g}" for value in columns[name]] for name in ("x", "y")}
    return write_csv(_with_ending(path, "csv"), list(columns), zip(*columns.values(), strict=True))


def _with_ending(path: Path, ending: str) -> Path:
    # The name of a column may contain a dot, and `with_suffix` would cut there.
    return path.with_name(f"{path.name}.{ending}")
