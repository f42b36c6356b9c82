"""`featx compare`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from featx.cli import console, features, options
from featx.cli.extract import SKIPPED, skipped_lines

if TYPE_CHECKING:
    from featx.classifiers import ClassifierResult, Comparison, Estimate

COMPARING = "How to compare"
SMALLEST_P = 1e-3


def command(
    place: options.Place,
    layer: Annotated[
        options.LayerChoice, typer.Option(help="Which features are classified.", rich_help_panel=options.FEATURES)
    ] = options.LayerChoice.backbone,
    classifiers: Annotated[
        str | None,
        typer.Option(
            metavar="A,B,…",
            help="Out of logreg, svm-linear, svm-rbf, knn, lda, forest, boosting, pixels; all if not given.",
            rich_help_panel=COMPARING,
        ),
    ] = None,
    folds: Annotated[int, typer.Option(min=2, help="Folds a repeat.", rich_help_panel=COMPARING)] = 5,
    repeats: Annotated[
        int, typer.Option(min=1, help="How often the images are divided anew.", rich_help_panel=COMPARING)
    ] = 2,
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Write tables and pictures here.", rich_help_panel=options.RUNNING),
    ] = None,
    save_best: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Save the best classifier in a folder that featx predict takes.",
            rich_help_panel=options.RUNNING,
        ),
    ] = None,
    jobs: Annotated[
        int | None,
        typer.Option(
            "--jobs",
            "-j",
            min=1,
            help="Folds worked on at a time; one a processor if not given. Moves no number.",
            rich_help_panel=options.RUNNING,
        ),
    ] = None,
    recipe: options.RecipeChoice = None,
    backbone: options.BackboneChoice = None,
    pooling: options.PoolingChoice = None,
    preprocess: options.PreprocessChoice = None,
    size: options.Size = None,
    weights: options.WeightsChoice = None,
    on_error: options.OnError = options.OnErrorChoice.fail,
    cache: options.Cache = options.CACHE_DEFAULT,
    seed: options.Seed = None,
    json: options.Json = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Compare classical classifiers, and a run's head, by cross-validation and on the test images."""
    console.start(quiet=quiet, debug=debug)
    from featx.classifiers import check_out, compare, write_pictures, write_tables
    from featx.classifiers import save_best as save

    if save_best is not None:
        check_out(save_best)

    fields = {"backbone.pooling": pooling, "preprocess.mode": preprocess, "images.size": size}
    with console.progress_bars(quiet=quiet):
        result = compare(
            place,
            layer=layer.value,
            classifiers=None if classifiers is None else [name.strip() for name in classifiers.split(",")],
            folds=folds,
            repeats=repeats,
            jobs=jobs,
            seed=seed or 0,
            spec=features.spec_if_asked(recipe, backbone, weights, fields),
            cache=cache,
            on_error=on_error.value,
        )
    files = () if out is None else (*write_tables(result, out), *write_pictures(result, out))
    if save_best is not None:
        files = (*files, save(result, save_best))
    if json:
        console.print_json({**result.to_json(), "files": [str(path) for path in files]})
    else:
        _tell(result)
        console.print_lines([f"  {path}" for path in files] + skipped_lines(result.to_json()["failed"]))
    if result.train.failed:
        raise typer.Exit(SKIPPED)


def _tell(result: Comparison) -> None:
    console.print_lines(
        [
            f"{result.name}: {len(result.y_train)} training images, {result.folds} folds × {result.repeats}; "
            f"{len(result.y_test)} test images; {result.layer} features; {result.seconds:.1f} s."
        ]
    )
    header = ("", "folds (95 %)", "test (95 %)", "p", "against best")
    console.print_table([_cells(result, row) for row in result.rows], header)
    console.print_lines(
        [
            "Accuracy in %. p: corrected resampled t over the folds, the head's McNemar's on the test images;",
            "after Holm's correction.",
        ]
    )


def _cells(result: Comparison, row: ClassifierResult) -> tuple[str, ...]:
    cv = "–" if row.cv is None else _per_cent(row.cv["accuracy"])
    test = "–" if row.test is None else f"{result.correct(row)} = {_per_cent(row.test['accuracy'])}"
    return (row.name, cv, test, _p_value(row.p_value_vs_best), row.verdict or "–")


def _p_value(p: float | None) -> str:
    if p is None:
        return ""
    return "< 0.001" if p < SMALLEST_P else f"{p:.3f}"


def _per_cent(figure: Estimate) -> str:
    text = f"{100 * figure.value:.1f}"
    return (
        text if figure.interval is None else f"{text} ({100 * figure.interval[0]:.0f}–{100 * figure.interval[1]:.0f})"
    )
