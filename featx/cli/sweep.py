"""`featx sweep`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from featx.cli import console, options
from featx.errors import UsageError

if TYPE_CHECKING:
    from featx.pipeline.sweeping import Sweep

VALUES = "What to vary"


def command(
    data: options.Data,
    recipe: Annotated[str, typer.Option(help="Name or TOML file.", rich_help_panel=options.FEATURES)],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder for the sweep.", rich_help_panel=options.RUNNING)],
    batch_size: Annotated[
        str | None, typer.Option(metavar="VALUES", help="Such as 5..15 or 5,10,20.", rich_help_panel=VALUES)
    ] = None,
    learning_rate: Annotated[
        str | None, typer.Option(metavar="VALUES", help="Such as 1e-4,1e-3.", rich_help_panel=VALUES)
    ] = None,
    epochs: Annotated[
        str | None, typer.Option(metavar="VALUES", help="One value changes the recipe.", rich_help_panel=VALUES)
    ] = None,
    views: Annotated[
        str | None, typer.Option(metavar="VALUES", help="One value changes the recipe.", rich_help_panel=VALUES)
    ] = None,
    setting: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="FIELD=VALUES",
            help="Any field of a recipe, such as preprocess.mode=rescale,featurewise; repeatable.",
            rich_help_panel=VALUES,
        ),
    ] = None,
    seeds: Annotated[
        int, typer.Option(min=1, help="Fits for each value, with seeds from --seed on.", rich_help_panel=VALUES)
    ] = 3,
    weights: options.WeightsChoice = None,
    engine: Annotated[
        options.FitEngineChoice,
        typer.Option(help="What fits the heads; auto: fused where it applies.", rich_help_panel=options.RUNNING),
    ] = options.FitEngineChoice.auto,
    jobs: Annotated[
        int,
        typer.Option("--jobs", "-j", min=1, help="Fits at once, as memory allows.", rich_help_panel=options.RUNNING),
    ] = 1,
    on_error: options.OnError = options.OnErrorChoice.fail,
    cache: options.Cache = options.CACHE_DEFAULT,
    seed: options.Seed = None,
    json: options.Json = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Fit a recipe for every value and several seeds, and tell whether the values make a difference."""
    console.start(quiet=quiet, debug=debug)
    from featx.pipeline.sweeping import sweep
    from featx.recipe_files import load_recipe, override

    base = load_recipe(recipe)
    chosen = {
        "fit.batch_size": batch_size,
        "fit.learning_rate": learning_rate,
        "fit.epochs": epochs,
        "views.count": views,
    }
    fixed, grid = _split(chosen, setting or [])
    fixed |= {"fit.seed": seed, "backbone.weights": options.weights_for(base.backbone.name, weights)}
    with console.progress_bars(quiet=quiet) as progress:
        found = sweep(
            data,
            override(base, fixed),
            grid,
            out,
            seeds=seeds,
            cache=cache,
            engine=engine.value,
            jobs=jobs,
            on_error=on_error.value,
            progress=progress,
        )
    if json:
        console.print_json(found.to_json())
    else:
        _tell(found)


def _split(chosen: dict[str, str | None], settings: list[str]) -> tuple[dict[str, Any], dict[str, list[Any]]]:
    """Return what has one value, which changes the recipe, and what has several, which are tried."""
    from featx.pipeline.sweep_grid import parsed_setting, parsed_values

    wanted = {field: parsed_values(text) for field, text in chosen.items() if text is not None}
    for text in settings:
        field, values = parsed_setting(text)
        if field in wanted:
            raise UsageError(f"Expected the values of {field} once, received them twice.")
        wanted[field] = values
    several = {field: values for field, values in wanted.items() if len(values) > 1}
    if not several and wanted:
        # A single value is still a sweep over seeds.
        field = next(iter(wanted))
        several[field] = wanted[field]
    return {field: values[0] for field, values in wanted.items() if field not in several}, several


def _tell(found: Sweep) -> None:
    from featx.pipeline.sweep_grid import column_names

    names = column_names(found.fields).values()
    rows = []
    for values, spread in found.spreads():
        told = [str(value) for value in values.values()]
        if spread.mean is None:
            rows.append([*told, "no scores", "", "", ""])
            continue
        correct = " ".join(str(round(accuracy * spread.n)) for accuracy in spread.accuracies)
        interval = (
            "" if spread.interval is None else "{:.0f}–{:.0f} %".format(*(100 * end for end in spread.interval))
        )
        refused = f" ({spread.refused} refused)" if spread.refused else ""
        loss = "" if spread.loss is None else f"{spread.loss:.2f}"
        rows.append([*told, f"{100 * spread.mean:.1f} %", interval, f"{correct} of {spread.n}{refused}", loss])
    console.print_table(rows, (*names, "test", "95 % over seeds", "right, by seed", "loss"))
    console.print_lines([found.conclusion(), *(f"  {path}" for path in found.files)])
