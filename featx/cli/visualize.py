"""`featx visualize`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from featx.cli import console, features, options
from featx.cli.extract import SKIPPED, skipped_lines

if TYPE_CHECKING:
    from featx.maps import Map

MAP = "What map"
PLACING = "What is placed on it"


def command(
    place: options.Place,
    method: Annotated[
        options.MapMethod, typer.Option(help="How the map is made.", rich_help_panel=MAP)
    ] = options.MapMethod.tsne,
    split: Annotated[
        options.SplitChoice, typer.Option(help="Which images make the map.", rich_help_panel=MAP)
    ] = options.SplitChoice.train,
    by: Annotated[
        str,
        typer.Option(
            metavar="COLUMN", help="Colours: label, or another column of the manifest.", rich_help_panel=MAP
        ),
    ] = "label",
    setting: Annotated[
        options.MapSetting | None, typer.Option(help="t-SNE as scikit-learn 0.22 had it.", rich_help_panel=MAP)
    ] = None,
    perplexity: Annotated[
        float | None,
        typer.Option(min=1.0, help="t-SNE: effective number of neighbours; 30.", rich_help_panel=MAP),
    ] = None,
    neighbors: Annotated[
        int | None, typer.Option(min=2, help="UMAP: number of neighbours; 15.", rich_help_panel=MAP)
    ] = None,
    min_dist: Annotated[
        float | None,
        typer.Option(min=0.0, max=1.0, help="UMAP: how close points may come; 0.1.", rich_help_panel=MAP),
    ] = None,
    add: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="PATH",
            help="New images, folders or manifests to place; may be repeated.",
            rich_help_panel=PLACING,
        ),
    ] = None,
    add_split: Annotated[
        options.SplitChoice | None, typer.Option(help="A split to place.", rich_help_panel=PLACING)
    ] = None,
    layer: options.LayerOption = None,
    recipe: options.RecipeChoice = None,
    backbone: options.BackboneChoice = None,
    pooling: options.PoolingChoice = None,
    preprocess: options.PreprocessChoice = None,
    size: options.Size = None,
    weights: options.WeightsChoice = None,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Where the files go; RUN if not given. DATA needs it.",
            rich_help_panel=options.RUNNING,
        ),
    ] = None,
    formats: Annotated[
        list[str] | None,
        typer.Option(
            "--format",
            metavar="png|svg|html|csv",
            help="Files to write, repeated or with commas; png, svg, html and csv if not given.",
            rich_help_panel=options.RUNNING,
        ),
    ] = None,
    on_error: options.OnError = options.OnErrorChoice.fail,
    cache: options.Cache = options.CACHE_DEFAULT,
    seed: options.Seed = None,
    json: options.Json = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Draw a map of a run's or data's images, and place further images on it."""
    console.start(quiet=quiet, debug=debug)
    from featx.maps import FORMATS, visualize
    from featx.runs import is_run, read_run

    # Of a run, --weights is where its own weights lie, for images that are placed.
    of_run = options.weights_for(read_run(place).recipe.backbone.name, weights) if is_run(place) else None
    fields = {"backbone.pooling": pooling, "preprocess.mode": preprocess, "images.size": size}
    with console.progress_bars(quiet=quiet):
        result = visualize(
            place,
            method=method.value,
            layer=None if layer is None else layer.value,
            split=split.value,
            by=by,
            add=add or (),
            add_split=None if add_split is None else add_split.value,
            out=out,
            formats=[name for text in formats for name in text.split(",")] if formats else FORMATS,
            setting=None if setting is None else "2020",
            perplexity=perplexity,
            neighbors=neighbors,
            min_dist=min_dist,
            seed=seed or 0,
            spec=features.spec_if_asked(recipe, backbone, None if is_run(place) else weights, fields),
            weights=of_run,
            cache=cache,
            on_error=on_error.value,
        )
    if json:
        console.print_json(result.to_json())
    else:
        console.print_lines(_lines(result))
    if result.failed:
        raise typer.Exit(SKIPPED)


def _lines(result: Map) -> list[str]:
    document = result.to_json()
    added = f" and {document['added']} placed on it" if document["added"] else ""
    lines = [f"{document['n']} images{added} by {document['description']}, in {document['seconds']:.1f} s:"]
    lines += [f"  {path}" for path in document["files"]]
    told = [f"{name} {document[name]:.2f}" for name in ("trustworthiness", "stability") if document[name] is not None]
    if told:
        lines.append(f"{', '.join(told).capitalize()} (1 is best).")
    return lines + skipped_lines(document["failed"])
