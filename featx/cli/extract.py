"""`featx extract`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from featx.cli import console, features, options

if TYPE_CHECKING:
    from featx.features import Extraction

SKIPPED = 3


def command(
    data: options.Data,
    recipe: options.RecipeChoice = None,
    backbone: options.BackboneChoice = None,
    pooling: options.PoolingChoice = None,
    preprocess: options.PreprocessChoice = None,
    size: options.Size = None,
    views: Annotated[
        int | None,
        typer.Option(help="Views of each training image, itself included.", rich_help_panel=options.FEATURES),
    ] = None,
    cut: Annotated[
        str | None, typer.Option(help="Layer whose output is taken.", rich_help_panel=options.FEATURES)
    ] = None,
    dtype: Annotated[
        str | None, typer.Option(help="float32 or float16, as stored.", rich_help_panel=options.FEATURES)
    ] = None,
    precision: options.Precision = None,
    weights: options.WeightsChoice = None,
    engine: Annotated[
        options.NetworkEngine,
        typer.Option(
            help="What runs the network; auto: openvino where installed, unless there is a GPU.",
            rich_help_panel=options.RUNNING,
        ),
    ] = options.NetworkEngine.auto,
    batch_size: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Images a call of the network; the engine's own if not given.",
            rich_help_panel=options.RUNNING,
        ),
    ] = None,
    export: Annotated[
        Path | None, typer.Option(help="Also write the rows to F.npz or F.parquet.", rich_help_panel=options.RUNNING)
    ] = None,
    on_error: options.OnError = options.OnErrorChoice.fail,
    cache: options.Cache = options.CACHE_DEFAULT,
    seed: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="Accepted as everywhere, but changes no feature: views are drawn by the recipe's views.seed.",
            rich_help_panel=options.RUNNING,
        ),
    ] = None,
    json: options.Json = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Compute the features that the cache lacks."""
    console.start(quiet=quiet, debug=debug)
    from featx.features import check_export, export_rows, extract

    if export is not None:
        check_export(export)
    spec = features.spec(
        recipe,
        backbone,
        weights,
        {
            "backbone.pooling": pooling,
            "backbone.cut": cut,
            "backbone.precision": precision,
            "preprocess.mode": preprocess,
            "images.size": size,
            "views.count": views,
            "fit.seed": seed,
            "features.dtype": dtype,
        },
    )
    with console.progress_bars(quiet=quiet):
        result = extract(data, spec, cache=cache, engine=engine.value, batch_size=batch_size, on_error=on_error.value)
        if export is not None:
            export_rows(result, export)
    if json:
        console.print_json(result.to_json())
    else:
        _tell(result, export)
    if result.failed:
        raise typer.Exit(SKIPPED)


def _tell(result: Extraction, export: Path | None) -> None:
    json = result.to_json()
    lines = [
        f"{json['images']} images, {json['rows']} rows of {json['dim']} features: {json['computed']} computed, "
        f"{json['reused']} reused, in {json['seconds']:.1f} s.",
        f"Feature set {json['feature_set']} in {result.store.root}.",
    ]
    if export is not None:
        lines.append(f"Written to {export}.")
    console.print_lines(lines + skipped_lines(json["failed"]))


def skipped_lines(failed: list[dict[str, str]]) -> list[str]:
    """Return what is said of images that were skipped."""
    if not failed:
        return []
    return [f"{len(failed)} skipped:", *(f"  {row['path']}: {row['reason']}" for row in failed)]
