"""`featx export`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from featx.cli import console, options


@options.command
def command(
    run: Annotated[
        Path,
        typer.Argument(
            metavar="RUN", help="A folder that fit-head wrote, or a classifier that compare --save-best saved."
        ),
    ],
    *,
    out: Annotated[Path, options.running_option(metavar="F.onnx|F.keras", help="File to write.")],
    format: Annotated[  # noqa: A002 - the option's name
        Literal["onnx", "keras"] | None,
        options.running_option("--format", help="Format of the file.", show_default="by its ending"),
    ] = None,
    data: Annotated[
        Path | None,
        options.running_option(
            "--data",
            help="Images to check the file on, if those of the run have been moved, or for a saved classifier.",
            show_default="the run's test images",
        ),
    ] = None,
    weights: options.WeightsChoice = None,
    yes: options.Yes = False,
    cache: options.Cache = options.CACHE_DEFAULT,
    output: options.Output,
) -> console.Result:
    """Write preprocessing, network and head as one file from pixels to probabilities, checked against predict."""
    from featx.exporting import check_out, export
    from featx.prediction import read_model

    check_out(out, format)
    source = options.weights_for(read_model(run).recipe.backbone.name, weights)
    result = export(run, out, format=format, data=data, cache=cache, weights=source, yes=yes)
    return console.Result(result.to_json(), lambda: console.print_table(result.overview()[1]))
