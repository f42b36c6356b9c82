"""`featx fit-head`."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from featx.cli import console, options

if TYPE_CHECKING:
    from featx.runs import FitResult


@options.command
def command(
    data: options.Data,
    *,
    out: Annotated[Path, options.running_option(metavar="RUN", help="Folder for the run.")],
    head: options.HeadChoice = None,
    features: options.Features,
    reading: options.DataOptions,
    epochs: Annotated[int | None, options.fitting_option(help="Number of epochs of training.")] = None,
    batch_size: Annotated[int | None, options.fitting_option(help="Images in a training step.")] = None,
    learning_rate: Annotated[float | None, options.fitting_option(help="Learning rate of Adam.")] = None,
    validation: Annotated[
        float | None,
        options.fitting_option(help="Share of the train split that is held out for validation, 0 to 1."),
    ] = None,
    views: options.Views = None,
    precision: options.Precision = None,
    engine: options.FitEngineOption = "auto",
    on_error: options.OnError = "fail",
    yes: options.Yes = False,
    cache: options.Cache = options.CACHE_DEFAULT,
    seed: options.Seed = None,
    output: options.Output,
) -> console.Result:
    """Train a head on a network's features, test it, and write the run."""
    from featx.runs import fit_head

    work = partial(
        fit_head,
        data,
        features.recipe,
        out=out,
        head=head,
        epochs=epochs,
        batch_size=batch_size,
        learning_rate=learning_rate,
        validation=validation,
        views=views,
        precision=precision,
        seed=seed,
        cache=cache,
        engine=engine,
        on_error=on_error,
        yes=yes,
        **features.choice(),
        **reading.choice(),
    )
    result, refusal = console.unless_unwritten(work)
    return console.Result(result.to_json(), lambda: show(result), refusal)


def show(result: FitResult) -> None:
    """Print a trained run for people."""
    parameters = result.parameters
    seconds = result.seconds
    console.print_table(
        [
            ("parameters", f"{parameters['total']:,} ({parameters['trainable']:,} trainable)"),
            ("trained", f"{len(result.history)} epochs of {result.steps} steps, engine {result.engine}"),
            ("train", str(result.train)),
            ("validation", str(result.validation)),
            ("test", str(result.test)),
            ("time", f"features {seconds['extract']:.1f} s, training {seconds['fit']:.1f} s"),
            ("run", str(result.run)),
        ]
    )
    console.print_lines(["In parentheses: 95 % intervals (Wilson)."])
