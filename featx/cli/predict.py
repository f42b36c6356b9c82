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
    neighbours: Annotated[
        int | None,
        typer.Option(
            "--neighbours",
            min=0,
            show_default="0, with --html 3",
            help="Name the nearest training images of each image.",
        ),
    ] = None,
    html: Annotated[
        Path | None,
        options.running_option("--html", metavar="F.html", help="Also write a page with thumbnails."),
    ] = None,
    on_error: options.OnError = "fail",
    yes: options.Yes = False,
    cache: options.Cache = options.CACHE_DEFAULT,
    output: options.Output,
) -> console.Result:
    """Classify new images with a run's head or a saved classifier; they are preprocessed like its training images."""
    from featx.prediction import predict, read_model

    options.refuse_overwriting(out, "predictions", b"path,label,p_", b"path,labels,p_")
    options.refuse_overwriting(html, "page", b"<!doctype html>", option="--html")
    model = read_model(run)
    if neighbours is None:  # a saved classifier does not have the names of its training images
        neighbours = 3 if html is not None and hasattr(model, "run") else 0
    predictions = predict(
        run,
        paths,
        cache=cache,
        weights=options.weights_for(model.recipe.backbone.name, weights),
        on_error=on_error,
        image_column=image_column,
        raw=raw,
        neighbours=neighbours,
        yes=yes,
    )
    files: list[Path] = []
    refusal = None
    try:
        files += [] if out is None else [predictions.write(out)]
        files += [] if html is None else [predictions.write_page(html)]
    except StoreError as error:  # the result is printed all the same
        refusal = error
    return console.Result(predictions.to_json(), lambda: show(predictions, *files), refusal)


def show(predictions: Predictions, *files: Path) -> None:
    """Print the predictions, or the first of many that a file has, and name the files."""
    printed = predictions.rows[:MOST_PRINTED] if files else predictions.rows
    header, rows = predictions.shown(printed, neighbours=True)
    console.print_table(rows, header)
    if len(printed) < len(predictions.rows):
        console.print_lines([f"… and {len(predictions.rows) - len(printed):,} more"])
    if files:
        console.print_lines(["", f"{predictions.headline()}.", *(f"  {path}" for path in files)])
