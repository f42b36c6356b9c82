"""`featx sweep`."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from featx.cli import console, options
from featx.errors import UntrustedError, UsageError

if TYPE_CHECKING:
    from featx.stats import Score
    from featx.sweeps import Sweep

_value_option = partial(typer.Option, metavar="VALUES", rich_help_panel="What to vary")


@options.command
def command(
    data: options.Data,
    *,
    out: Annotated[
        Path, options.running_option(metavar="DIR", help="Folder for the sweep; an earlier sweep is continued.")
    ],
    batch_size: Annotated[str | None, _value_option(help="Batch sizes to try, such as 5..15 or 5,10,20.")] = None,
    learning_rate: Annotated[str | None, _value_option(help="Learning rates to try, such as 1e-4,1e-3.")] = None,
    epochs: Annotated[
        str | None, _value_option(help="Numbers of epochs to try; a single value changes the recipe.")
    ] = None,
    views: Annotated[
        str | None, _value_option(help="Numbers of augmented views to try; a single value changes the recipe.")
    ] = None,
    setting: Annotated[
        list[str] | None,
        _value_option(
            "--set",
            metavar="FIELD=VALUES",
            help="Values to try for any field of a recipe, such as fit.patience=5,20; may be repeated.",
        ),
    ] = None,
    seeds: Annotated[
        int,
        _value_option(
            min=1, metavar=None, help="Number of trainings for each value; their seeds count up from --seed."
        ),
    ] = 3,
    head: options.HeadChoice = None,
    features: options.Features,
    reading: options.DataOptions,
    engine: options.FitEngineOption = "auto",
    jobs: Annotated[
        int,
        options.running_option(
            "--jobs", "-j", min=1, help="Largest number of trainings at the same time, if memory allows it."
        ),
    ] = 1,
    on_error: options.OnError = "fail",
    yes: options.Yes = False,
    cache: options.Cache = options.CACHE_DEFAULT,
    seed: options.RecipeSeed = None,
    output: options.Output,
) -> console.Result:
    """Train a head for each value of a setting with several seeds, and say whether the setting matters."""
    from featx.recipes import with_fields
    from featx.runs import recipe_to_fit
    from featx.sweeps import check_weights_once, sweep

    wanted = _wanted(
        {
            "fit.batch_size": batch_size,
            "fit.learning_rate": learning_rate,
            "fit.epochs": epochs,
            "views.count": views,
            "fit.seed": None if seed is None else str(seed),
        },
        setting or [],
    )
    fixed, grid = _split(wanted)
    if not grid:
        raise UsageError(
            "Expected values to try, such as --batch-size 8,16 or --set fit.patience=5,20, received none."
        )
    choice = features.choice()
    weights = choice.pop("weights")
    base = with_fields(recipe_to_fit(features.recipe, head, choice), fixed)
    if weights:
        check_weights_once(wanted)
    work = partial(
        sweep,
        data,
        base,
        grid=grid,
        out=out,
        seeds=seeds,
        weights=weights,
        cache=cache,
        engine=engine,
        jobs=jobs,
        on_error=on_error,
        yes=yes,
        **reading.choice(),
    )
    result, unwritten = console.unless_unwritten(work)
    refusal = None
    if result.refused == len(result.scores):
        refusal = UntrustedError(f"All {result.refused} fits were refused; the first: {result.scores[0].refused}")
    return console.Result(result.to_json(), lambda: _show(result), unwritten or refusal)


def _wanted(chosen: dict[str, str | None], settings: list[str]) -> dict[str, list[Any]]:
    """Return the values given for each field."""
    from featx.sweeps import parsed_setting, parsed_values

    wanted = {field: parsed_values(text) for field, text in chosen.items() if text is not None}
    for text in settings:
        field, values = parsed_setting(text)
        if field in wanted:
            raise UsageError(f"Expected the values of {field} once, received them twice.")
        wanted[field] = values
    return wanted


def _split(wanted: dict[str, list[Any]]) -> tuple[dict[str, Any], dict[str, list[Any]]]:
    """Return the fields with one value, which change the recipe, and those with several, which are tried."""
    several = {field: values for field, values in wanted.items() if len(values) > 1}
    if not several:
        # A single value is still a sweep over seeds.
        several = dict([(field, values) for field, values in wanted.items() if field != "fit.seed"][:1])
    return {field: values[0] for field, values in wanted.items() if field not in several}, several


def _show(result: Sweep) -> None:
    from featx.sweeps import as_text, column_names

    names = column_names(result.fields).values()
    held_out = result.role == "test"
    write = _area if result.multilabel else _percent
    rows = []
    for (values, spread), (_, validation) in zip(result.spreads(), result.spreads("validation"), strict=True):
        row = [as_text(value) for value in values.values()]
        refused = f" ({spread.refused} refused)" if spread.refused else ""
        if spread.mean is None:
            rows.append([*row, "no scores", "", refused.strip(), "", *([""] if held_out else [])])
            continue
        loss = "" if spread.loss is None else f"{spread.loss:.2f}"
        scores = _correct(result.scores_of(values)) + refused
        row += [write(spread.mean), _ends(spread.interval, result.multilabel), scores, loss]
        rows.append([*row, _mean(validation.mean, validation.sd, write)] if held_out else row)
    measures = (result.role, "correct") if not result.multilabel else (f"{result.role} AUC", "all labels right")
    header = [*names, measures[0], "95 % over seeds", f"{measures[1]}, by seed", "loss"]
    console.print_table(rows, [*header, "validation"] if held_out else header)
    console.print_lines([result.conclusion(), *(f"  {path}" for path in result.files)])


def _percent(value: float) -> str:
    return f"{100 * value:.1f} %"


def _area(value: float) -> str:
    return f"{value:.3f}"


def _ends(interval: tuple[float, float] | None, areas: bool) -> str:
    if interval is None:
        return ""
    return "{:.3f}–{:.3f}".format(*interval) if areas else "{:.0f}–{:.0f} %".format(*(100 * end for end in interval))


def _mean(mean: float | None, sd: float | None, write: Callable[[float], str]) -> str:
    """Return `90.0 ± 1.2 %`, or `0.900 ± 0.012`."""
    if mean is None:
        return "–"
    return write(mean) if sd is None else f"{write(mean).removesuffix(' %')} ± {write(sd)}"


def _correct(scores: list[Score]) -> str:
    """Return the numbers of correct images, seed by seed."""
    numbers = {score.n for score in scores}
    if len(numbers) == 1:
        return f"{' '.join(str(score.correct) for score in scores)} of {numbers.pop()}"
    return " ".join(f"{score.correct}/{score.n}" for score in scores)
