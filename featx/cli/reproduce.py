"""`featx reproduce`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from featx.cli import console, options
from featx.errors import RunError, UsageError

if TYPE_CHECKING:
    from featx.reproduction import Reproduction


@options.command
def command(
    root: Annotated[
        Path, typer.Argument(metavar="ROOT", help="A folder with two/ and all/, each with train/ and test/.")
    ],
    *,
    out: Annotated[
        Path,
        options.running_option(metavar="DIR", help="Folder for all results; an earlier reproduction is continued."),
    ],
    quick: Annotated[
        bool,
        options.fitting_option("--quick", help="Use few epochs, views, seeds and batch sizes, which takes minutes."),
    ] = False,
    backbones: Annotated[
        str | None,
        options.feature_option(
            metavar="A,B", help="More networks to compare, separated by commas: names, cards or .keras files."
        ),
    ] = None,
    recipe: Annotated[
        list[str] | None,
        options.feature_option(
            "--recipe",
            metavar="NAME=R",
            help="Recipe to use instead of one of the report's, such as covid4-vgg16=mine.toml; may be repeated.",
        ),
    ] = None,
    weights: options.WeightsChoice = None,
    seeds: Annotated[
        int | None,
        options.fitting_option(
            min=1, help="Number of trainings for each batch size.", show_default="3, or 2 with --quick"
        ),
    ] = None,
    jobs: Annotated[
        int,
        options.running_option(
            "--jobs", "-j", min=1, help="Largest number of trainings at the same time, if memory allows it."
        ),
    ] = 1,
    yes: options.Yes = False,
    cache: options.Cache = options.CACHE_DEFAULT,
    seed: options.Seed = None,
    output: options.Output,
) -> console.Result:
    """Repeat the report of 2020, or continue a repetition, and say which of its figures agree."""
    from featx.networks import BACKBONES
    from featx.reproduction import reproduce

    chosen = {name: options.weights_for(name, weights) for name in BACKBONES}
    result = reproduce(
        root,
        out,
        quick=quick,
        backbones=[name.strip() for name in (backbones or "").split(",") if name.strip()],
        weights={name: source for name, source in chosen.items() if source is not None},
        recipes=dict(_named(text) for text in recipe or []),
        seeds=seeds,
        seed=seed or 0,
        cache=cache,
        jobs=jobs,
        yes=yes,
    )
    refusal = RunError(result.failures) if result.failed else None
    return console.Result(result.to_json(), lambda: _show(result), refusal)


def _named(text: str) -> tuple[str, str]:
    name, equals, source = text.partition("=")
    if not equals:
        raise UsageError(f"Expected --recipe NAME=R, such as covid4-vgg16=mine.toml, received {text!r}.")
    return name.strip(), source.strip()


def _show(result: Reproduction) -> None:
    rows = [
        (f"§{row.figure.section}", row.figure.quantity, row.ours.shown, row.verdict)
        for row in result.table
        if row.figure.kind != "count" or row.verdict != "equal"
    ]
    console.print_table(rows, ("section", "quantity", "ours", "verdict"))
    console.print_lines([f"The report has {len(result.table)} figures: {result.tally}.", f"  {result.files[0]}"])
