"""The page of an evaluation: what is read first, and its sections in order."""

from __future__ import annotations

from datetime import UTC, datetime

import featx
from featx.evaluations.image_sections import atypical_section, wrong_section
from featx.evaluations.result import Evaluation
from featx.evaluations.sections import calibration_section, classes_section, results_section, subgroups_section
from featx.pages import Note, Page, Points, Section
from featx.text import accuracy_words, count, decimal, images, interval_percent, percent


def evaluation_page(result: Evaluation) -> Page:
    """Return the page of an evaluation."""
    sections = (
        results_section(result),
        classes_section(result),
        calibration_section(result),
        *subgroups_section(result),
        wrong_section(result),
        *atypical_section(result),
        _limits(result),
    )
    return Page(
        title=f"{result.model.name} on {result.name}",
        headline=_headline(result),
        sections=sections,
        footer=(
            f"Written {datetime.now(UTC):%Y-%m-%d %H:%M} UTC by featx {featx.__version__}. This page is a single "
            "file and loads nothing from the internet.",
            "It contains small copies of images and file names. Check that you may share them before you pass it on.",
        ),
        notes=_notes(result),
        tiles=_tiles(result),
        sort="featx evaluate",
    )


def _notes(result: Evaluation) -> tuple[Note, ...]:
    """Return what changes the meaning of the rest, the copies of training images first."""
    copies = [Note(result.copies_words(), loud=True)] if result.copies else []
    return (*copies, *map(Note, result.notes))


def _headline(result: Evaluation) -> tuple[str, ...]:
    model = "The head of a run" if result.kind == "head" else "A saved classifier"
    kinds = "labels" if result.multilabel else "classes"
    what = f"{model} with {count(len(result.classes))} {kinds}, on {images(result.n, 'labelled')} of {result.name}."
    if result.multilabel:
        return what, f"Every known label is right for {accuracy_words(result.scores.score)}."
    return what, f"Accuracy: {accuracy_words(result.scores.score)}."


def _tiles(result: Evaluation) -> tuple[tuple[str, str, str], ...]:
    score, own = result.scores.score, result.scores.calibration
    tiles = [("accuracy", percent(score.accuracy), f"95 % interval {interval_percent(score.interval)}")]
    for name, words in (("balanced_accuracy", "balanced accuracy"), ("roc_auc", "area under the ROC curve")):
        metric = result.scores.metrics.get(name)
        if metric is None:
            continue
        shown = percent(metric.value) if name == "balanced_accuracy" else decimal(metric.value)
        if metric.interval is None:
            ends = "no interval"
        elif name == "balanced_accuracy":
            ends = f"95 % interval {interval_percent(metric.interval)}"
        else:
            ends = f"95 % interval {decimal(metric.interval[0], 2)}–{decimal(metric.interval[1], 2)}"
        tiles.append((words, shown, ends))
    tiles.append(("mean confidence", percent(own.confidence), f"at an accuracy of {percent(own.accuracy)}"))
    tiles.append(("images", count(result.n), _groups(result)))
    return tuple(tiles)


def _groups(result: Evaluation) -> str:
    groups = result.scores.score.groups
    if groups is not None:
        return f"in {count(groups)} groups"
    return "each of a group of its own" if _named_groups(result) else "each taken as independent"


def _named_groups(result: Evaluation) -> bool:
    return any(image.group is not None for image in result.images)


def _limits(result: Evaluation) -> Section:
    score = result.scores.score
    items = [("what was evaluated", result.why)]
    if score.groups is None and not _named_groups(result):
        items.append(
            (
                "independent images",
                "The data names no groups, such as patients, so intervals take all images as independent. If several "
                "images are of one patient, they are too narrow: name the column with --group-column.",
            )
        )
    elif score.groups is not None:
        items.append(
            (
                "groups",
                f"The {images(score.n)} are of {count(score.groups)} groups, such as patients. Intervals of the "
                f"accuracy are as wide as of about {score.effective:.0f} independent images.",
            )
        )
    items.append(
        (
            "other images",
            "The results hold for images that come about as these did. If class and source of these images go "
            "together, a model may be right for a reason that does not hold elsewhere: featx audit looks for such "
            "reasons.",
        )
    )
    items.append(
        (
            "choosing on these images",
            "If models or settings are chosen by these results, the results of the chosen one are too good. Keep "
            "images that are evaluated once, at the end.",
        )
    )
    return Section("What may be said", "limits", (Points(tuple(items)),))
