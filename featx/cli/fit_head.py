"""`featx fit-head`."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from featx.cli import console, options

if TYPE_CHECKING:
    from collections.abc import Sequence

    from featx.runs import FitResult
    from featx.stats import ClassificationMetrics, LabelMetrics

# Labels of data with several that are printed; all of them are in the run.
MOST_LABELS = 20
# Classes whose sensitivity and specificity are printed.
MOST_CLASSES = 5
ClassWeight = Literal["balanced"]
Keep = Literal["last", "best"]


@options.command
def command(
    data: options.Data,
    *,
    out: Annotated[
        Path,
        options.running_option(
            metavar="RUN", help="Folder for the run: a new one, an empty one, or an earlier run, which is replaced."
        ),
    ],
    head: options.HeadChoice = None,
    features: options.Features,
    reading: options.DataOptions,
    epochs: Annotated[
        int | None, options.fitting_option(help="Number of epochs of training.", show_default=options.THE_RECIPE_S)
    ] = None,
    batch_size: Annotated[
        int | None,
        options.fitting_option(help="Number of images in a training step.", show_default=options.THE_RECIPE_S),
    ] = None,
    learning_rate: Annotated[
        float | None, options.fitting_option(help="Learning rate of Adam.", show_default=options.THE_RECIPE_S)
    ] = None,
    weight_decay: Annotated[
        float | None,
        options.fitting_option(
            help="Weight decay as in AdamW: each step makes the head's kernels smaller by this number times the "
            "learning rate.",
            show_default=options.THE_RECIPE_S,
        ),
    ] = None,
    class_weight: Annotated[
        ClassWeight | None,
        options.fitting_option(
            help="With balanced, images of rare classes count more in the training loss.",
            show_default=options.THE_RECIPE_S,
        ),
    ] = None,
    patience: Annotated[
        int | None,
        options.fitting_option(
            help="Stop after this number of epochs without a lower validation loss, and keep the best epoch; with 0 "
            "training does not stop early.",
            show_default=options.THE_RECIPE_S,
        ),
    ] = None,
    keep: Annotated[
        Keep | None,
        options.fitting_option(
            help="Weights that the head gets: those of the last epoch, or of the best one by validation loss.",
            show_default=options.THE_RECIPE_S,
        ),
    ] = None,
    average: Annotated[
        int | None,
        options.fitting_option(
            help="Give the head the mean of the weights at the ends of this number of last epochs.",
            show_default=options.THE_RECIPE_S,
        ),
    ] = None,
    label_smoothing: Annotated[
        float | None,
        options.fitting_option(
            help="Share of each target, 0 to below 1, that is spread evenly over the classes in training.",
            show_default=options.THE_RECIPE_S,
        ),
    ] = None,
    seeds: Annotated[
        int | None,
        options.fitting_option(
            help="Train this number of heads with different initial weights and dropout on the same batches, and "
            "save them as one, which gives their mean probabilities.",
            show_default=options.THE_RECIPE_S,
        ),
    ] = None,
    validation: Annotated[
        float | None,
        options.fitting_option(
            help="Share of the train split that is held out for validation, 0 to 1.",
            show_default=options.THE_RECIPE_S,
        ),
    ] = None,
    views: options.Views = None,
    precision: options.Precision = None,
    engine: options.FitEngineOption = "auto",
    on_error: options.OnError = "fail",
    strict: Annotated[
        bool,
        options.running_option(
            "--strict",
            help="Refuse data of which test images are copies of training images: encoded anew, resized, mirrored, "
            "cropped a little or made brighter.",
        ),
    ] = False,
    yes: options.Yes = False,
    cache: options.Cache = options.CACHE_DEFAULT,
    seed: options.RecipeSeed = None,
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
        weight_decay=weight_decay,
        class_weight=class_weight,
        patience=patience,
        keep=keep,
        average=average,
        label_smoothing=label_smoothing,
        seeds=seeds,
        validation=validation,
        views=views,
        precision=precision,
        seed=seed,
        cache=cache,
        engine=engine,
        on_error=on_error,
        strict=strict,
        yes=yes,
        **features.choice(),
        **reading.choice(),
    )
    result, refusal = console.unless_unwritten(work)
    return console.Result(result.to_json(), lambda: show(result), refusal)


def show(result: FitResult) -> None:
    """Print a trained run for people."""
    console.print_table(result.overview()[1])
    console.print_lines(["In parentheses: 95 % intervals (Wilson)."])
    if (metrics := result.further.metrics.get(result.scored)) is not None:
        print_metrics(metrics, result.scored)
    if result.stopping is not None:
        console.print_lines([f"{result.stopping[0].upper()}{result.stopping[1:]}."])
    if result.per_label:
        print_labels(result.per_label[result.scored], result.scored)


def print_metrics(metrics: ClassificationMetrics, part: str) -> None:
    """Print what the accuracy alone does not say of one part of the data, the classes of few one by one."""
    name, most = metrics.majority
    shown = (
        ("balanced accuracy", metrics.balanced_accuracy),
        ("macro F1", metrics.macro_f1),
        ("AUC", metrics.roc_auc),
    )
    rows = [(title, "–" if estimate is None else str(estimate)) for title, estimate in shown]
    listed = metrics.per_class if metrics.of_positive is None else (metrics.of_positive,)
    for one in listed if len(listed) <= MOST_CLASSES else ():
        both = (("sensitivity", one.sensitivity), ("specificity", one.specificity))
        rows += [(f"{title}, {one.label}", "–" if estimate is None else str(estimate)) for title, estimate in both]
    rows.append(("majority", f"{most:,}/{metrics.n:,} = {100 * most / metrics.n:.1f} % for always answering {name}"))
    console.print_lines([""])
    console.print_table(rows, (f"{part}", ""))
    if (sentence := metrics.no_better_than_majority()) is not None:
        console.print_lines([sentence])


def print_labels(metrics: Sequence[LabelMetrics], part: str) -> None:
    """Print the metrics of each label, or of the first of many, on one part of the data."""
    names = ("auc", "average_precision", "sensitivity", "specificity")
    rows = [
        [one.label, f"{one.positive:,} of {one.n:,}", *(str(getattr(one, name) or "–") for name in names)]
        for one in metrics[:MOST_LABELS]
    ]
    heading = (f"label ({part})", "images", "AUC", "average precision", "sensitivity", "specificity")
    console.print_lines([""])
    console.print_table(rows, heading)
    console.print_lines(["Sensitivity and specificity are at a probability of 0.5."])
    if len(metrics) > MOST_LABELS:
        console.print_lines([f"… and {len(metrics) - MOST_LABELS:,} more labels, in metrics.json of the run"])
