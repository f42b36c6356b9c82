"""`featx fit-head`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from featx.cli import console, options

if TYPE_CHECKING:
    from featx.runs import FitResult


@options.command
def command(
    data: options.Data,
    *,
    recipe: options.RecipeNeeded,
    out: Annotated[Path, typer.Option(metavar="RUN", help="Folder for the run.", rich_help_panel=options.RUNNING)],
    epochs: Annotated[
        int | None, typer.Option(help="Number of epochs of training.", rich_help_panel=options.FITTING)
    ] = None,
    batch_size: Annotated[
        int | None, typer.Option(help="Images in a training step.", rich_help_panel=options.FITTING)
    ] = None,
    learning_rate: Annotated[
        float | None, typer.Option(help="Learning rate of Adam.", rich_help_panel=options.FITTING)
    ] = None,
    validation: Annotated[
        float | None,
        typer.Option(
            help="Share of the train split that is held out for validation, 0 to 1.", rich_help_panel=options.FITTING
        ),
    ] = None,
    views: options.Views = None,
    precision: options.Precision = None,
    weights: options.WeightsChoice = None,
    engine: options.FitEngineOption = "auto",
    on_error: options.OnError = "fail",
    cache: options.Cache = options.CACHE_DEFAULT,
    seed: options.Seed = None,
    output: options.Output,
) -> console.Result:
    """Train the head that a recipe specifies, test it, and write the run."""
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
            "backbone.precision": precision,
            "backbone.weights": options.weights_for(resolved.backbone.name, weights),
        },
    )
    result = fit_head(data, resolved, out, cache=cache, engine=engine, on_error=on_error)
    return console.Result(result.to_json(), lambda: show(result))


def show(result: FitResult) -> None:
    """Print a trained run for people."""
    parameters = result.parameters
    seconds = result.seconds
    console.print_table(
        [
            ("parameters", f"{parameters['total']:,} ({parameters['trainable']:,} trainable)"),
            ("trained", f"{len(result.history)} epochs of {result.steps} steps, engine {result.engine}"),
            ("train", str(result.train)),
            ("validation", str(result.validation)),
            ("test", str(result.test)),
            ("time", f"features {seconds['extract']:.1f} s, training {seconds['fit']:.1f} s"),
            ("run", str(result.run)),
        ]
    )
    console.print_lines(["In parentheses: 95 % intervals (Wilson)."])
