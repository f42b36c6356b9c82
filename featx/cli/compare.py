"""`featx compare`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from featx.cli import console, options
from featx.errors import StoreError

if TYPE_CHECKING:
    from featx.classifiers import Comparison

COMPARING = "How to compare"
WORDS = (
    "Accuracy in %. Difference to the best in points, over the folds, for all pairs at once, so that it allows for",
    "the choice of the best (for the head: on the test images, McNemar's test). Indistinguishable is not equal.",
)
LABEL_WORDS = (
    "AUC: mean area under the ROC curve over the labels. AP: mean average precision, test images. All right: test",
    "images in which every known label is right. Difference to the best: over the folds, for all pairs at",
    "once (for the head: on the test images, by the bootstrap). Indistinguishable is not equal.",
)
# Labels that are printed one by one.
MOST_LABELS = 20


@options.command
def command(
    place: options.Place,
    *,
    layer: Annotated[
        options.Layer,
        options.feature_option(help="Features to classify: of the backbone, or of the head's second to last layer."),
    ] = "backbone",
    classifiers: Annotated[
        str | None,
        typer.Option(
            metavar="A,B,…",
            help=f"Classifiers to compare, separated by commas: {options.CLASSIFIER_NAMES}.",
            show_default="all",
            rich_help_panel=COMPARING,
        ),
    ] = None,
    folds: Annotated[
        int, typer.Option(min=2, help="Number of folds of the cross-validation.", rich_help_panel=COMPARING)
    ] = 5,
    repeats: Annotated[
        int,
        typer.Option(
            min=1,
            help="Number of cross-validations, each with other folds.",
            rich_help_panel=COMPARING,
        ),
    ] = 2,
    out: Annotated[
        Path | None,
        options.running_option(metavar="DIR", help="Also write tables and pictures to this folder."),
    ] = None,
    save_best: Annotated[
        Path | None,
        options.running_option(
            metavar="DIR", help="Save the best classifier in this folder, which featx predict takes."
        ),
    ] = None,
    jobs: Annotated[
        int | None,
        options.running_option(
            "--jobs",
            "-j",
            min=1,
            help="Number of folds to work on at the same time; does not change the results.",
            show_default="one for each processor",
        ),
    ] = None,
    features: options.Features,
    reading: options.DataOptions,
    on_error: options.OnError = "fail",
    yes: options.Yes = False,
    cache: options.Cache = options.CACHE_DEFAULT,
    seed: options.Seed = None,
    output: options.Output,
) -> console.Result:
    """Compare classical classifiers, and a run's head, by cross-validation and on the test images."""
    from featx.classifiers import check_out, compare, write_pictures, write_tables
    from featx.classifiers import save_best as save
    from featx.data import refuse_folder_of_images
    from featx.runs import is_run_path

    if save_best is not None:
        check_out(save_best)
    if out is not None and not is_run_path(place):
        refuse_folder_of_images(out, place)

    result = compare(
        place,
        layer=layer,
        classifiers=None if classifiers is None else [name.strip() for name in classifiers.split(",")],
        folds=folds,
        repeats=repeats,
        jobs=jobs,
        seed=seed or 0,
        recipe=features.recipe,
        cache=cache,
        on_error=on_error,
        yes=yes,
        to_save=save_best is not None,
        **features.choice(),
        **reading.choice(),
    )
    paths: list[str] = []
    refusal: StoreError | None = None
    try:
        if save_best is not None:
            paths.append(str(save(result, save_best)))
        if out is not None:
            paths = [*map(str, (*write_tables(result, out), *write_pictures(result, out))), *paths]
    except StoreError as error:  # the result is printed all the same
        refusal = error
    return console.Result({**result.to_json(), "files": paths}, lambda: _show(result, paths), refusal)


def _show(result: Comparison, files: list[str]) -> None:
    labels = f"{len(result.classes)} label{'s' * (len(result.classes) != 1)}; " if result.multilabel else ""
    summary = (
        f"{result.name}: {labels}{len(result.y_train)} training images, {result.folds} folds × {result.repeats}; "
        f"{len(result.y_test)} test images; {result.layer} features; {result.seconds:.1f} s."
    )
    console.print_lines([summary])
    header, rows = result.overview()
    console.print_table(rows, header)
    if result.multilabel:
        _show_labels(result)
    words = LABEL_WORDS if result.multilabel else WORDS
    console.print_lines([*words, *_calibration(result), *(f"  {path}" for path in files)])


def _calibration(result: Comparison) -> list[str]:
    """Return the calibration error of the best, or of a run's head, on the test images, beside that of chance."""
    shown = result.rows[-1] if result.rows[-1].kind == "head" else result.row(result.best)
    if result.multilabel or shown.test is None:
        return []
    error, expected = (shown.test[name].value for name in ("calibration_error", "expected_calibration_error"))
    return [
        f"Calibration error of {shown.name} on the test images: {error:.3f}; with as many images, a "
        f"calibrated one would have about {expected:.3f}."
    ]


def _show_labels(result: Comparison) -> None:
    """Print the metrics of each label by the best classifier, or by the head of a run."""
    shown = result.rows[-1] if result.rows[-1].kind == "head" else result.row(result.best)
    rows = [
        (
            each.label,
            f"{each.positive:,}/{each.n:,}",
            *("–" if estimate is None else str(estimate) for estimate in (each.auc, each.average_precision)),
        )
        for each in shown.per_label[:MOST_LABELS]
    ]
    where = "held-out images" if result.test is None else "test images"
    console.print_table(rows, (f"{shown.name}, {where}", "have it", "AUC (95 %)", "AP (95 %)"))
    if len(shown.per_label) > MOST_LABELS:
        console.print_lines([f"… and {len(shown.per_label) - MOST_LABELS:,} labels more"])
