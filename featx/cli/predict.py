"""`featx predict`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from featx.cli import console, options
from featx.cli.extract import SKIPPED, skipped_lines


def command(
    run: Annotated[
        Path, typer.Argument(metavar="RUN", help="Folder that fit-head wrote, or compare with --save-best.")
    ],
    paths: Annotated[list[Path], typer.Argument(metavar="PATH...", help="Images, folders or manifests.")],
    out: Annotated[
        Path | None, typer.Option(metavar="F.csv", help="Also write a CSV file.", rich_help_panel=options.RUNNING)
    ] = None,
    weights: options.WeightsChoice = None,
    on_error: options.OnError = options.OnErrorChoice.fail,
    cache: options.Cache = options.CACHE_DEFAULT,
    json: options.Json = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Classify new images with a run's head or a saved classifier, and the preprocessing of its fit."""
    console.start(quiet=quiet, debug=debug)
    from featx.prediction import backbone_of, predict

    backbone = backbone_of(run)
    with console.progress_bars(quiet=quiet):
        result = predict(
            run, paths, cache=cache, weights=options.weights_for(backbone, weights), on_error=on_error.value
        )
    if out is not None:
        result.write(out)
    if json:
        console.print_json(result.to_json())
    else:
        rows = [(row.path, row.label, f"{max(row.probabilities.values()):.3f}") for row in result.rows]
        console.print_table(rows, ("image", "class", "probability"))
        console.print_lines(skipped_lines([failure.to_json() for failure in result.failed]))
    if result.failed:
        raise typer.Exit(SKIPPED)
