"""`featx visualize`."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from featx.cli import console, options

if TYPE_CHECKING:
    from featx.maps import Map

map_option = partial(typer.Option, rich_help_panel="What map")
placing_option = partial(typer.Option, rich_help_panel="Images placed on it")


@options.command
def command(
    place: options.SeveralPlaces,
    *,
    method: Annotated[
        Literal["tsne", "umap", "pca"], map_option(help="Method by which features become a map.")
    ] = "tsne",
    split: Annotated[options.Split, map_option(help="Images from which the map is made.")] = "train",
    by: Annotated[
        str,
        map_option(
            metavar="COLUMN",
            help="What gives the points their colours: label, label:NAME for one of several labels, group, split, "
            "another column of the manifest, or cluster (cluster:5) for clusters of k-means.",
        ),
    ] = "label",
    setting: Annotated[
        Literal["2020"] | None, map_option(help="With 2020, t-SNE works as in scikit-learn 0.22.")
    ] = None,
    perplexity: Annotated[
        float | None, map_option(min=1.0, help="For t-SNE, the effective number of neighbours.", show_default="30")
    ] = None,
    neighbours: Annotated[
        int | None, map_option(min=2, help="For UMAP, the number of neighbours.", show_default="15")
    ] = None,
    neighbors: Annotated[int | None, map_option(min=2, hidden=True)] = None,
    min_dist: Annotated[
        float | None,
        map_option(min=0.0, max=1.0, help="For UMAP, how close points may be to each other.", show_default="0.1"),
    ] = None,
    add: Annotated[
        list[Path] | None,
        placing_option(metavar="PATH", help="New images, folders or manifests to place on the map; may be repeated."),
    ] = None,
    add_split: Annotated[
        options.Split | None, placing_option(help="Split whose images are placed on the map.")
    ] = None,
    layer: options.LayerOption = None,
    features: options.Features,
    reading: options.DataOptions,
    out: Annotated[
        Path | None,
        options.running_option(metavar="DIR", help="Folder for the files; needed for DATA.", show_default="RUN"),
    ] = None,
    formats: Annotated[
        list[str] | None,
        options.running_option(
            "--format",
            metavar="png|svg|html|csv",
            help="Files to write, separated by commas; may be repeated.",
            show_default="png,svg,html,csv",
        ),
    ] = None,
    on_error: options.OnError = "fail",
    yes: options.Yes = False,
    cache: options.Cache = options.CACHE_DEFAULT,
    seed: options.Seed = None,
    output: options.Output,
) -> console.Result:
    """Draw a map of the images of a run or of data, and place further images on it."""
    from featx.maps import FORMATS, visualize

    work = partial(
        visualize,
        options.one_or_several(place),
        method=method,
        layer=layer,
        split=split,
        by=by,
        add=add or (),
        add_split=add_split,
        out=out,
        formats=[name for text in formats for name in text.split(",")] if formats else FORMATS,
        setting=setting,
        perplexity=perplexity,
        neighbours=neighbors if neighbours is None else neighbours,
        min_dist=min_dist,
        seed=seed or 0,
        recipe=features.recipe,
        cache=cache,
        on_error=on_error,
        yes=yes,
        **features.choice(),
        **reading.choice(),
    )
    drawn, refusal = console.unless_unwritten(work)
    return console.Result(drawn.to_json(), lambda: _show(drawn), refusal)


def _show(drawn: Map) -> None:
    placed = len(drawn.points) - drawn.n
    added = f" and {placed} placed on it" if placed else ""
    lines = [f"{drawn.n} images{added} by {drawn.embedding.method}, in {drawn.seconds:.1f} s:"]
    lines += [f"  {path}" for path in drawn.files]
    if drawn.trust:
        lines.append(f"{drawn.trust} (1 is best).")
    console.print_lines(lines)
