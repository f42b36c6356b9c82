"""The page of a search: each query with its nearest images, in HTML that needs no other file and no script."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from featx.images import as_rgb, decode_unchanged, picture_uri
from featx.parallel import bounded_map
from featx.plots import class_style
from featx.progress import report_progress
from featx.searching.neighbours import Neighbour, QueryResult
from featx.templates import asset, render
from featx.text import count, decimal

PACKAGE = "featx.searching"
# A page contains all that it shows; it may run no script and load nothing.
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
# Pixels, for the longer side of a thumbnail; on the page it is about 160 CSS pixels wide.
SIDE = 192
# Thumbnails on a page: more make a file of over 20 MB.
MOST_PICTURES = 2000
# What a notebook shows.
FEW_QUERIES, FEW_NEIGHBOURS = 3, 12


@dataclass(frozen=True)
class Strips:
    """What a page shows of a search.

    Attributes:
        head: What was searched, and how.
        remark: What readers must know.
        classes: The classes of the images that were searched, sorted, as in maps, whose colours they have.
        results: The queries.
        multilabel: Whether an image may have several labels.
    """

    head: str
    remark: str
    classes: tuple[str, ...]
    results: tuple[QueryResult, ...]
    multilabel: bool = False


def page(title: str, strips: Strips) -> str:
    """Return an HTML page; of more pictures than fit onto one, the first."""
    shown = _within_limit(strips)
    return render(PACKAGE, "search.html.j2", policy=POLICY, title=title, **_values(shown, _left_out(strips, shown)))


def fragment(strips: Strips) -> str:
    """Return HTML for a notebook, with a few neighbours of the first queries."""
    few = tuple(_shortened(one, FEW_NEIGHBOURS) for one in strips.results[:FEW_QUERIES])
    shown = replace(strips, results=few)
    note = _left_out(strips, shown)
    values = _values(shown, note and f"{note} to_frame() and write_page() have all.")
    return render(PACKAGE, "strips.html.j2", **values)


def cosine_text(cosine: float) -> str:
    """Return a cosine with three digits; `> 0.999` for one below 1 that rounding would show as 1."""
    return "> 0.999" if 0.9995 <= cosine < 1 else decimal(cosine)


def counts_text(result: QueryResult) -> str:
    """Return `covid 7, normal 3` for the classes of a query's neighbours."""
    return ", ".join(f"{label} {n:,}" for label, n in result.label_counts().items())


def _shortened(result: QueryResult, most: int) -> QueryResult:
    return replace(result, neighbours=result.neighbours[:most])


def _within_limit(strips: Strips) -> Strips:
    """Return the first queries whose pictures are at most `MOST_PICTURES` together, but at least one query."""
    room, kept = MOST_PICTURES, list[QueryResult]()
    for one in strips.results:
        if kept and len(one.neighbours) >= room:
            break
        kept.append(_shortened(one, room - 1))
        room -= len(kept[-1].neighbours) + 1
    return replace(strips, results=tuple(kept))


def _left_out(strips: Strips, shown: Strips) -> str:
    """Return the sentences that say what is not shown, empty for nothing."""
    queries = (len(shown.results), len(strips.results))
    neighbours = tuple(max((len(one.neighbours) for one in each.results), default=0) for each in (shown, strips))
    parts = ((queries, "queries"), (neighbours, "neighbours of each"))
    return " ".join(
        f"The first {count(few)} of {count(whole)} {what} are shown." for (few, whole), what in parts if few < whole
    )


def _values(strips: Strips, note: str) -> dict[str, Any]:
    """Return what the templates show."""
    uris = _pictures(strips.results)
    colours = {name: class_style(number)[0] for number, name in enumerate(strips.classes)}
    return {
        "style": asset(PACKAGE, "search.css"),
        "head": strips.head,
        "remark": strips.remark,
        "note": note,
        "word": "labels" if strips.multilabel else "class",
        "queries": [
            {
                "name": one.query,
                "title": one.query.rpartition("/")[2] or one.query,
                "label": one.label,
                "uri": uris[one.digest],
                "counts": counts_text(one),
                "cells": [_cell(rank, near, uris, colours) for rank, near in enumerate(one.neighbours, 1)],
            }
            for one in strips.results
        ],
    }


def _cell(rank: int, near: Neighbour, uris: Mapping[str, str | None], colours: Mapping[str, str]) -> dict[str, Any]:
    return {
        "rank": rank,
        "name": near.path,
        "label": near.label,
        "labels": [(label, colours.get(label, "")) for label in near.labels],
        "cosine": cosine_text(near.cosine),
        "where": ", ".join(
            [
                # A path mostly says it.
                *([] if near.path.startswith(f"{near.split}/") else [near.split]),
                *([f"group {near.group}"] if near.group else []),
            ]
        ),
        "same": near.same_file,
        "uri": uris[near.digest],
    }


def _pictures(results: Sequence[QueryResult]) -> dict[str, str | None]:
    """Return the thumbnail of each image by its digest; None where the file is gone or has changed."""
    wanted: dict[str, QueryResult | Neighbour] = {}
    for one in results:
        images: list[QueryResult | Neighbour] = [one, *one.neighbours]
        for image in images:
            wanted.setdefault(image.digest, image)

    def draw(image: QueryResult | Neighbour) -> str | None:
        if image.pixels is not None:
            return picture_uri(as_rgb(image.pixels), SIDE)
        pixels = decode_unchanged(image.file, image.digest, at_least=2 * SIDE)
        return None if pixels is None else picture_uri(pixels, SIDE)

    uris: dict[str, str | None] = {}
    drawn = bounded_map(draw, list(wanted.values()), workers=2, ahead=4)
    for digest, uri in zip(wanted, drawn, strict=True):
        uris[digest] = uri
        report_progress("thumbnails", len(uris), len(wanted))
    return uris
