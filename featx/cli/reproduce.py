"""`featx reproduce`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from featx.cli import console, options
from featx.errors import RunError, UsageError

if TYPE_CHECKING:
    from featx.reproduction import Reproduction


def command(
    root: Annotated[
        Path, typer.Argument(metavar="ROOT", help="Folder with two/ and all/, each with train/ and test/.")
    ],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder for everything.", rich_help_panel=options.RUNNING)],
    quick: Annotated[
        bool,
        typer.Option(
            "--quick",
            help="Use few epochs, views, seeds and batch sizes; takes minutes.",
            rich_help_panel=options.FITTING,
        ),
    ] = False,
    backbones: Annotated[
        str | None,
        typer.Option(
            metavar="A,B",
            help="Further backbones to compare: names or .keras files.",
            rich_help_panel=options.FEATURES,
        ),
    ] = None,
    recipe: Annotated[
        list[str] | None,
        typer.Option(
            "--recipe",
            metavar="NAME=R",
            help="Recipe in place of one of the report's, such as covid4-vgg16=mine.toml; repeatable.",
            rich_help_panel=options.FEATURES,
        ),
    ] = None,
    weights: options.WeightsChoice = None,
    seeds: Annotated[
        int | None,
        typer.Option(
            min=1, help="Number of fits for each batch size; 3, or 2 with --quick.", rich_help_panel=options.FITTING
        ),
    ] = None,
    jobs: Annotated[
        int,
        typer.Option(
            "--jobs",
            "-j",
            min=1,
            help="Most fits at once for the batch sizes, as memory allows.",
            rich_help_panel=options.RUNNING,
        ),
    ] = 1,
    cache: options.Cache = options.CACHE_DEFAULT,
    seed: options.Seed = None,
    json: options.Json = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Do the report of 2020 again, continuing where it stopped, and say which figures are reproduced."""
    console.start(quiet=quiet, debug=debug)
    from featx.networks import BACKBONES
    from featx.reproduction import reproduce

    chosen = {name: options.weights_for(name, weights) for name in BACKBONES}
    with console.progress_bars(quiet=quiet):
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
        )
    if json:
        console.print_json(result.to_json())
    else:
        _print(result)
    if result.failed:
        raise RunError(result.failures)


def _named(text: str) -> tuple[str, str]:
    name, equals, source = text.partition("=")
    if not equals:
        raise UsageError(f"Expected --recipe NAME=R, such as covid4-vgg16=mine.toml, received {text!r}.")
    return name.strip(), source.strip()


def _print(result: Reproduction) -> None:
    rows = [
        (f"§{row.figure.section}", row.figure.quantity, row.ours.shown, row.verdict)
        for row in result.table
        if row.figure.kind != "count" or row.verdict != "reproduced"
    ]
    console.print_table(rows, ("section", "quantity", "ours", "verdict"))
    console.print_lines([f"The report has {len(result.table)} figures: {result.tally}.", f"  {result.files[0]}"])
