"""`featx search`."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from featx.cli import console, options

if TYPE_CHECKING:
    from featx.searching import SearchResult


@options.command
def command(
    place: options.Place,
    images: Annotated[list[Path], typer.Argument(metavar="IMAGE...", help="Images, folders or manifests.")],
    *,
    k: Annotated[int, typer.Option("--k", min=1, help="Number of neighbours of each image.")] = 10,
    split: Annotated[options.Split, typer.Option(help="Images that are searched.")] = "all",
    exclude_same: Annotated[
        bool, typer.Option("--exclude-same", help="Leave out images with the same bytes as IMAGE.")
    ] = False,
    html: Annotated[
        Path | None, typer.Option("--html", metavar="F.html", help="Also write a page with thumbnails.")
    ] = None,
    out: Annotated[Path | None, typer.Option(metavar="F.csv", help="Also write a CSV file.")] = None,
    layer: options.LayerOption = None,
    features: options.Features,
    reading: options.DataOptions,
    on_error: options.OnError = "fail",
    yes: options.Yes = False,
    cache: options.Cache = options.CACHE_DEFAULT,
    output: options.Output,
) -> console.Result:
    """Search a run or data for the images that are most similar to given ones, by the cosine of their features."""
    from featx.searching import search

    options.refuse_overwriting(out, "neighbours", b"query,rank,path,")
    options.refuse_overwriting(html, "page", b"<!doctype html>", option="--html")
    work = partial(
        search,
        place,
        images,
        k=k,
        layer=layer,
        split=split,
        exclude_same=exclude_same,
        html=html,
        out=out,
        recipe=features.recipe,
        cache=cache,
        on_error=on_error,
        yes=yes,
        **features.choice(),
        **reading.choice(),
    )
    result, refusal = console.unless_unwritten(work)
    return console.Result(result.to_json(), lambda: _show(result), refusal)


def _show(result: SearchResult) -> None:
    from featx.searching import cosine_text, counts_text

    for one in result.results:
        counts = counts_text(one)
        console.print_lines([f"{one.query}: {counts}" if counts else one.query])
        rows = [
            (
                str(rank),
                cosine_text(near.cosine),
                *([near.label or ""] if result.classes else []),
                f"{near.path}{' (same file)' * near.same_file}",
            )
            for rank, near in enumerate(one.neighbours, 1)
        ]
        kind = ["labels" if result.multilabel else "class"] if result.classes else []
        console.print_table(rows, ("", "cosine", *kind, "image"))
        console.print_lines([""])
    which = "" if result.split == "all" else f" of the split {result.split}"
    lines = [f"{result.n:,} images{which} searched in the {result.layer} features, in {result.seconds:.1f} s."]
    console.print_lines(lines + [f"  {path}" for path in result.files])
