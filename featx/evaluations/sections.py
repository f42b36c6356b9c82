"""The sections of an evaluation's page that hold numbers: results, classes, calibration, subgroups."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from featx import plots
from featx.audits import ColumnScores
from featx.evaluations.result import NAMED, Evaluation
from featx.evaluations.words import majority_words, subgroup_words
from featx.pages import Block, Section, Table, Text, confusion_block, drawing, few_classes, fold_of
from featx.stats import BINS, SIGNIFICANT, ClassMetrics, Estimate, LabelMetrics
from featx.text import (
    NOTHING,
    count,
    decimal,
    fraction,
    images,
    interval_percent,
    percent,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# In inches; a square would be as high as the page is wide.
CURVE_SIZE = (6.6, 4.4)
SHARES = ("accuracy", "balanced_accuracy", "macro_f1", "sensitivity", "specificity")


def results_section(result: Evaluation) -> Section:
    """Return the section of the accuracy, of further metrics, and of the confusion matrix."""
    blocks: list[Block] = [Text(result.why), _metrics(result)]
    if result.scores.classification is not None:
        blocks.append(Text(majority_words(result.scores)))
        numbers = {name: number for number, name in enumerate(result.classes)}
        true, predicted = (
            np.array([numbers[getattr(image, name)] for image in result.images], np.int64)
            for name in ("label", "predicted")
        )
        blocks.append(confusion_block(result.classes, true, predicted, result.which))
    return Section("Results", "results", tuple(blocks))


def _metrics(result: Evaluation) -> Table:
    score = result.scores.score
    share = "images with all labels right" if result.multilabel else "accuracy"
    rows = [(share, percent(score.accuracy), interval_percent(score.interval))]
    for name, metric in result.scores.metrics.items():
        if name not in NAMED:
            continue
        shown, ends = decimal(metric.value), NOTHING
        if name in SHARES:
            shown = percent(metric.value)
        if metric.interval is not None:
            low, high = metric.interval
            ends = interval_percent(metric.interval) if name in SHARES else f"{decimal(low)}–{decimal(high)}"
        rows.append((result.named(name, NAMED[name]), shown, ends))
    by_group = result.scores.by_group
    if by_group is not None and by_group.score.n:
        own = by_group.score
        rows.insert(1, ("accuracy of groups", percent(own.accuracy), interval_percent(own.interval)))
    if result.multilabel:
        rows.append(("log loss (nats)", decimal(score.loss), NOTHING))
    grouped = ", which take the images of a group together" if score.groups is not None else ""
    caption = f"{images(result.n, result.which)}, with 95 % intervals{grouped}."
    return Table(caption[0].upper() + caption[1:], ("metric", "value", "95 % interval"), tuple(rows))


def classes_section(result: Evaluation) -> Section:
    """Return the section of each class or label, and of their ROC curves."""
    title = "By label" if result.multilabel else "By class"
    classes = [one for one in result.scores.per_class if isinstance(one, ClassMetrics)]
    labels = [one for one in result.scores.per_class if isinstance(one, LabelMetrics)]
    table = _labels(labels) if result.multilabel else _classes(classes)
    areas = "; ".join(
        f"{one.label} {decimal(one.auc.value)}" for one in result.scores.per_class[:20] if one.auc is not None
    )
    true, shares = arrays(result)

    intervals = {one.label: one.auc.interval for one in result.scores.per_class if one.auc is not None}

    def roc() -> Axes:
        axes = plots.new_figure(*CURVE_SIZE)[1]
        return plots.draw_roc(true, shares, result.classes, ax=axes, intervals=intervals)

    caption = (
        f"Receiver operating characteristic of each {'label' if result.multilabel else 'class'} against the rest."
    )
    figure = drawing(roc, "roc", f"ROC curves. Areas: {areas}.", caption)
    return Section(title, "classes", (table, *([figure] if areas else [])))


def _classes(classes: list[ClassMetrics]) -> Table:
    by_name = {one.label: one for one in classes}

    def sensitivity(name: str) -> float:
        own = by_name[name].sensitivity
        return 2.0 if own is None else own.value

    listed, words = few_classes(list(by_name), sensitivity, "the lowest sensitivity")
    rows = tuple(
        (
            name,
            count(by_name[name].n),
            *(_share(getattr(by_name[name], part)) for part in ("sensitivity", "specificity", "precision")),
            _area(by_name[name].auc),
        )
        for name in listed
    )
    caption = (
        "Sensitivity (recall) is the share of a class's images that the model assigns to it, specificity the share "
        "of the other images that it does not, precision the share of the images assigned to it that belong to it, "
        f"at the shares of classes of these images. AUC: each class against all others. 95 % intervals.{words}"
    )
    header = ("class", "images", "sensitivity (%)", "specificity (%)", "precision (%)", "AUC")
    return Table(caption, header, rows, fold=fold_of(listed))


def _labels(labels: list[LabelMetrics]) -> Table:
    by_name = {one.label: one for one in labels}

    def area(name: str) -> float:
        own = by_name[name].auc
        return 2.0 if own is None else own.value

    listed, words = few_classes(list(by_name), area, "the smallest areas")
    rows = tuple(
        (
            name,
            fraction(by_name[name].positive, by_name[name].n),
            _area(by_name[name].auc),
            _area(by_name[name].average_precision),
            _share(by_name[name].sensitivity),
            _share(by_name[name].specificity),
        )
        for name in listed
    )
    caption = (
        "Images that have a label among those where it is known, areas under its ROC and precision-recall curves, "
        f"and shares predicted rightly at a probability of 0.5, with 95 % intervals.{words}"
    )
    header = ("label", "with it", "AUC", "AP", "sensitivity (%)", "specificity (%)")
    return Table(caption, header, rows, fold=fold_of(listed).replace("classes", "labels"))


def _share(estimate: Estimate | None) -> str:
    """Return `75 (59–86)` in per cent."""
    if estimate is None:
        return NOTHING
    low, high = estimate.interval
    return f"{100 * estimate.value:.0f} ({100 * low:.0f}–{100 * high:.0f})"


def _area(estimate: Estimate | None) -> str:
    return NOTHING if estimate is None else str(estimate)


def arrays(result: Evaluation) -> tuple[NDArray[Any], NDArray[np.float64]]:
    """Return the true classes, (n,), or targets, (n, L), and the probabilities of the images."""
    shares = np.array([image.probabilities for image in result.images], np.float64)
    if result.multilabel:
        return np.array([image.targets for image in result.images], np.float32), shares
    numbers = {name: number for number, name in enumerate(result.classes)}
    return np.array([numbers[image.label] for image in result.images], np.int64), shares


def calibration_section(result: Evaluation) -> Section:
    """Return the section on whether probabilities say how often they are right."""
    own = result.scores.calibration
    true, shares = arrays(result)

    def reliability() -> Axes:
        return plots.draw_reliability(true, shares, bins=BINS, ax=plots.new_figure(*CURVE_SIZE)[1])

    what = "known labels" if result.multilabel else "images"
    words = (
        f"The mean probability of the {'labels' if result.multilabel else 'predicted class'} is "
        f"{percent(own.confidence)}, and {percent(own.accuracy)} of the {what} are "
        f"{'there' if result.multilabel else 'right'}. The expected calibration error is {decimal(own.ece)}; by "
        f"chance alone, a perfectly calibrated model with these probabilities would have {decimal(own.expected_ece)} "
        f"on as many {what}."
    )
    verdict = (
        "So the probabilities do not say how often they are right"
        if own.p_value < SIGNIFICANT
        else "So nothing here shows that the probabilities are wrong"
    )
    # Chance gives larger errors where images of a group are alike, which the p-value does not know.
    verdict += ", if images of a group count as independent." if result.scores.score.groups is not None else "."
    rows = (
        ("expected calibration error (ECE)", decimal(own.ece)),
        ("ECE of a calibrated model at this number", decimal(own.expected_ece)),
        ("ECE without the part of chance", decimal(own.debiased_ece)),
        ("Brier score", decimal(own.brier.score)),
        ("log loss (nats)", decimal(own.log_loss)),
        ("temperature", _temperature(result)),
    )
    table = Table("Calibration.", ("", "value"), rows)
    figure = drawing(
        reliability,
        "reliability",
        "A reliability diagram: dots of the accuracy against the probability of the predicted class.",
        f"Accuracy against the probability of the predicted class, in {BINS} bins; on the diagonal, probabilities "
        "are what they say.",
    )
    return Section("Calibration", "calibration", (Text(f"{words} {verdict}"), figure, table))


def _temperature(result: Evaluation) -> str:
    if result.temperature is None:
        return "a classifier has none"
    return "none" if result.temperature == 1 else decimal(result.temperature, 2)


def subgroups_section(result: Evaluation) -> tuple[Section, ...]:
    """Return the section of the accuracy by further columns, if the data has columns that divide the images."""
    if not result.subgroups:
        return ()
    blocks: list[Block] = []
    for column in result.subgroups:
        blocks += [Text(subgroup_words(column)), _subgroups(column)]
    return (Section("Subgroups", "subgroups", tuple(blocks)),)


def _subgroups(column: ColumnScores) -> Table:
    rows = tuple(
        (
            one.value,
            fraction(one.score.correct, one.score.n),
            percent(one.score.accuracy),
            interval_percent(one.score.interval),
        )
        for one in column.subgroups
    )
    rest = [f"{images(column.missing)} without a value left out"] if column.missing else []
    rest += [f"rare values together: {', '.join(column.pooled[:5])}{', …' * (len(column.pooled) > 5)}"] * bool(
        column.pooled
    )
    caption = f"Accuracy by {column.column}, with 95 % intervals{'; ' * bool(rest)}{'; '.join(rest)}."
    return Table(caption, (column.column, "correct", "accuracy", "95 % interval"), rows)
