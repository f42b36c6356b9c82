"""`featx predict`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from featx.cli import console, options
from featx.errors import StoreError

if TYPE_CHECKING:
    from featx.prediction import Predictions

# With a file of them, no more predictions are printed: a folder may hold thousands of photographs.
MOST_PRINTED = 20


@options.command
def command(
    run: Annotated[
        Path,
        typer.Argument(
            metavar="RUN", help="A folder that fit-head wrote, or a classifier that compare --save-best saved."
        ),
    ],
    paths: Annotated[list[Path], typer.Argument(metavar="PATH...", help="Images, folders, archives or manifests.")],
    *,
    out: Annotated[
        Path | None, options.running_option(metavar="F.csv", help="Also write the predictions to this CSV file.")
    ] = None,
    weights: options.WeightsChoice = None,
    image_column: options.ImageColumn = None,
    raw: Annotated[
        bool, typer.Option("--raw", help="Probabilities as the head was trained, without its temperature.")
    ] = False,
    on_error: options.OnError = "fail",
    yes: options.Yes = False,
    cache: options.Cache = options.CACHE_DEFAULT,
    output: options.Output,
) -> console.Result:
    """Classify new images with a run's head or a saved classifier; they are preprocessed like its training images."""
    from featx.prediction import predict, read_model

    options.refuse_overwriting(out, "predictions", b"path,label,p_", b"path,labels,p_")
    source = options.weights_for(read_model(run).recipe.backbone.name, weights)
    predictions = predict(
        run, paths, cache=cache, weights=source, on_error=on_error, image_column=image_column, raw=raw, yes=yes
    )
    refusal = None
    try:
        if out is not None:
            predictions.write(out)
    except StoreError as error:  # the result is printed all the same
        refusal = error
    written = out if refusal is None else None
    return console.Result(predictions.to_json(), lambda: show(predictions, written), refusal)


def show(predictions: Predictions, written: Path | None) -> None:
    """Print the predictions, or the first of many that a file has, and name the file."""
    header, rows = predictions.shown(predictions.rows)
    printed = rows if written is None else rows[:MOST_PRINTED]
    console.print_table(printed, header)
    if len(printed) < len(rows):
        console.print_lines([f"… and {len(rows) - len(printed):,} more"])
    if written is not None:
        console.print_lines(["", f"{predictions.headline()}.", f"  {written}"])
