"""`featx fit-head`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from featx.cli import console, options
from featx.cli.extract import SKIPPED, skipped_lines

if TYPE_CHECKING:
    from featx.runs import FitResult


def command(
    data: options.Data,
    recipe: Annotated[str, typer.Option(help="Name or TOML file.", rich_help_panel=options.FEATURES)],
    out: Annotated[Path, typer.Option(metavar="RUN", help="Folder for the run.", rich_help_panel=options.RUNNING)],
    epochs: Annotated[int | None, typer.Option(rich_help_panel=options.FITTING)] = None,
    batch_size: Annotated[int | None, typer.Option(help="Rows a step.", rich_help_panel=options.FITTING)] = None,
    learning_rate: Annotated[float | None, typer.Option(rich_help_panel=options.FITTING)] = None,
    validation: Annotated[
        float | None,
        typer.Option(help="Share of the train split to hold out.", rich_help_panel=options.FITTING),
    ] = None,
    views: Annotated[
        int | None,
        typer.Option(help="Views of each training image, itself included.", rich_help_panel=options.FEATURES),
    ] = None,
    precision: options.Precision = None,
    weights: options.WeightsChoice = None,
    engine: Annotated[
        options.FitEngineChoice,
        typer.Option(help="What fits the head; auto: fused where it applies.", rich_help_panel=options.RUNNING),
    ] = options.FitEngineChoice.auto,
    on_error: options.OnError = options.OnErrorChoice.fail,
    cache: options.Cache = options.CACHE_DEFAULT,
    seed: options.Seed = None,
    json: options.Json = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Fit the head that a recipe specifies, test it, and write the run."""
    console.start(quiet=quiet, debug=debug)
    from featx.recipes import load_recipe, override
    from featx.runs import fit_head

    resolved = load_recipe(recipe)
    resolved = override(
        resolved,
        {
            "fit.epochs": epochs,
            "fit.batch_size": batch_size,
            "fit.learning_rate": learning_rate,
            "fit.validation": validation,
            "fit.seed": seed,
            "views.count": views,
            "backbone.precision": precision and precision.value,
            "backbone.weights": options.weights_for(resolved.backbone.name, weights),
        },
    )
    with console.progress_bars(quiet=quiet):
        result = fit_head(data, resolved, out, cache=cache, engine=engine.value, on_error=on_error.value)
    if json:
        console.print_json(result.to_json())
    else:
        tell(result)
    if result.extraction.failed:
        raise typer.Exit(SKIPPED)


def tell(result: FitResult) -> None:
    """Print what a fit found, for people."""
    parameters = result.parameters
    seconds = result.seconds
    console.print_table(
        [
            ("parameters", f"{parameters['total']:,} ({parameters['trainable']:,} trainable)"),
            ("fitted", f"{len(result.history)} epochs of {result.steps} steps, engine {result.engine}"),
            ("train", str(result.train)),
            ("validation", str(result.validation)),
            ("test", str(result.test)),
            ("time", f"features {seconds['extract']:.1f} s, fit {seconds['fit']:.1f} s"),
            ("run", str(result.run)),
        ]
    )
    console.print_lines(["In parentheses: 95 % intervals (Wilson)."])
    console.print_lines(skipped_lines([failure.to_json() for failure in result.extraction.failed]))
