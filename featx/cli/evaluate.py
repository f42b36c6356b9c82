"""`featx evaluate`."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from featx.cli import console, options

if TYPE_CHECKING:
    from featx.evaluations import Evaluation


@options.command
def command(
    run: Annotated[
        Path,
        typer.Argument(
            metavar="RUN", help="A folder that fit-head wrote, or a classifier that compare --save-best saved."
        ),
    ],
    data: options.Data,
    *,
    out: Annotated[
        Path | None,
        options.running_option(
            metavar="DIR", help="Folder of the page evaluation.html, of evaluation.json and of predictions.csv."
        ),
    ] = None,
    split: Annotated[
        options.Split | None,
        typer.Option(help="Images that are evaluated.", show_default="test if there is such a split, else all"),
    ] = None,
    positive: Annotated[
        str | None,
        typer.Option(
            metavar="CLASS",
            help="Class of two whose sensitivity and specificity are given.",
            show_default="named in the result",
        ),
    ] = None,
    skip_seen: Annotated[
        bool,
        typer.Option(
            "--skip-seen", help="Leave out images that the model was trained or validated with, instead of refusing."
        ),
    ] = False,
    raw: Annotated[
        bool, typer.Option("--raw", help="Probabilities of a head without the temperature of its validation images.")
    ] = False,
    weights: options.WeightsChoice = None,
    reading: options.DataOptions,
    on_error: options.OnError = "fail",
    yes: options.Yes = False,
    cache: options.Cache = options.CACHE_DEFAULT,
    seed: options.Seed = None,
    output: options.Output,
) -> console.Result:
    """Score a run's head or a saved classifier on new labelled images, which it must not have seen."""
    from featx.evaluations import evaluate
    from featx.prediction import read_model

    work = partial(
        evaluate,
        run,
        data,
        out=out,
        split=split,
        positive=positive,
        skip_seen=skip_seen,
        raw=raw,
        seed=seed or 0,
        cache=cache,
        weights=options.weights_for(read_model(run).recipe.backbone.name, weights),
        on_error=on_error,
        yes=yes,
        **reading.choice(),
    )
    result, refusal = console.unless_unwritten(work)
    return console.Result(result.to_json(), lambda: _show(result), refusal)


def _show(result: Evaluation) -> None:
    _, rows = result.overview()
    console.print_lines([f"{result.headline()}.", result.why, ""])
    console.print_table(rows)
    console.print_lines(["", *result.sentences(), *(f"  {path}" for path in result.files)])
