"""The top of the report's page: the title, the result in a sentence, the figures that are read first."""

from __future__ import annotations

from collections.abc import Sequence

from featx.pipeline.report_data import Told
from featx.pipeline.report_model import RANDOM_WEIGHTS, backbone_title, has_random_weights, weights_words
from featx.pipeline.report_results import score_of
from featx.report_blocks import Note, Tiles
from featx.report_numbers import count, duration, fraction, images, percent, sentence_of, span


def title(told: Sequence[Told]) -> str:
    """Return the page's title."""
    if len(told) == 1:
        return f"{told[0].run.recipe.name}: {told[0].name}"
    return f"{len(told)} models side by side"


def headline(told: Sequence[Told]) -> tuple[str, ...]:
    """Return what was fitted on what, and the accuracy with its interval; of several runs a sentence each."""
    if len(told) == 1:
        return (_fitted(told[0]), _tested(told[0]))
    return tuple(f"{one.name}, on {backbone_title(one)}. {_tested(one)}" for one in told)


def _fitted(told: Told) -> str:
    classes = told.run.classes
    listed = ", ".join(classes) if len(classes) <= 8 else f"{', '.join(classes[:8])} and {len(classes) - 8} more"
    return (
        f"A head of {count(told.metrics['parameters']['trainable'])} parameters on {backbone_title(told)} "
        f"({weights_words(told)}), fitted on {images(score_of(told, 'train').n)} of {len(classes)} classes: {listed}."
    )


def _tested(told: Told) -> str:
    test, validation = score_of(told, "test"), score_of(told, "validation")
    if test.n:
        return f"Test: {sentence_of(test)}."
    if validation.n:
        return f"There is no test split. Validation: {sentence_of(validation)}."
    return "No image was tested or held out."


def tiles(told: Told) -> Tiles:
    """Return a run's figures that are read first."""
    main = score_of(told, "test")
    word = "test accuracy"
    if not main.n:
        main, word = score_of(told, "validation"), "validation accuracy"
    found = []
    if main.n:
        note = f"{fraction(main.correct, main.n)} right, 95 % interval {span(main.interval)}"
        found.append((word, percent(main.accuracy), note))
    parameters = told.metrics["parameters"]
    found += [
        ("fitted parameters", count(parameters["trainable"]), f"of {count(parameters['total'])}"),
        ("images", count(len(told.images)), f"{len(told.run.classes)} classes"),
        ("fit", duration(told.metrics["seconds"]["fit"]), f"{count(len(told.history))} epochs"),
    ]
    return Tiles(tuple(found))


def notes(told: Sequence[Told]) -> tuple[Note, ...]:
    """Return what must be known before all else."""
    random = [one for one in told if has_random_weights(one)]
    if not random:
        return ()
    which = "" if len(told) == 1 else f"{', '.join(one.name for one in random)}: "
    return (Note(f"{which}{RANDOM_WEIGHTS}", loud=True),)
