"""`featx audit`."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from featx.cli import console, options
from featx.errors import UntrustedError

if TYPE_CHECKING:
    from featx.audits import Audit

deciding_option = partial(typer.Option, rich_help_panel="Operating points")


@options.command
def command(
    place: options.SeveralPlaces,
    *,
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Also write a page, the JSON and tables to this folder."),
    ] = None,
    form: Annotated[
        str | None,
        typer.Option(
            metavar="A,B",
            help="Checklists of journals to fill from a run and write to --out, separated by commas: claim, "
            "tripod-ai, model-card.",
        ),
    ] = None,
    without: Annotated[
        str | None,
        typer.Option(
            metavar="A,B",
            help="Examinations to leave out, separated by commas: duplicates, label_doubts, atypical, shortcuts, "
            "columns, subgroups, calibration, learning_curve.",
        ),
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 4 if there is an alarm.")] = False,
    positive: Annotated[
        str | None,
        deciding_option(metavar="CLASS", help="Class that is looked for.", show_default="named in the result"),
    ] = None,
    specificity: Annotated[float, deciding_option(help="Specificity at which the sensitivity is given.")] = 0.9,
    sensitivity: Annotated[float, deciding_option(help="Sensitivity at which the specificity is given.")] = 0.9,
    prevalence: Annotated[
        float | None,
        deciding_option(
            help="Prevalence of the positive class at which predictive values are given.",
            show_default="that of the images",
        ),
    ] = None,
    coverage: Annotated[
        float, deciding_option(help="Share of images whose prediction sets shall contain the true class.")
    ] = 0.9,
    features: options.Features,
    reading: options.DataOptions,
    on_error: options.OnError = "fail",
    yes: options.Yes = False,
    cache: options.Cache = options.CACHE_DEFAULT,
    seed: options.Seed = None,
    output: options.Output,
) -> console.Result:
    """Examine a run or data for leaks, shortcuts, labels in doubt, strange images and calibration."""
    from featx.audits import audit, refuse_alarms

    work = partial(
        audit,
        options.one_or_several(place),
        out=out,
        form=_names(form),
        without=_names(without),
        specificity=specificity,
        sensitivity=sensitivity,
        prevalence=prevalence,
        coverage=coverage,
        positive=positive,
        seed=seed or 0,
        recipe=features.recipe,
        cache=cache,
        on_error=on_error,
        yes=yes,
        **features.choice(),
        **reading.choice(),
    )
    result, refusal = console.unless_unwritten(work)
    if strict and refusal is None:
        try:
            refuse_alarms(result)
        except UntrustedError as error:  # the result is printed all the same
            refusal = error
    return console.Result(result.to_json(), lambda: _show(result), refusal)


def _names(text: str | None) -> list[str]:
    """Return names that are separated by commas."""
    return [name.strip() for name in (text or "").split(",") if name.strip()]


def _show(result: Audit) -> None:
    console.print_lines([f"{result.headline()}, in {result.seconds:.1f} s.", ""])
    for part in result.parts:
        console.print_lines([part.title, *(f"  {sentence}" for sentence in part.summary()), ""])
    if result.left_out:
        console.print_lines(["Not examined", *(f"  {keys}: {reason}" for keys, reason in result.reasons()), ""])
    if result.alarms:
        console.print_lines(["Alarms", *(f"  {sentence}" for sentence in result.alarms)])
    console.print_lines([f"  {path}" for path in result.files])
