"""Answers on the results: performance, its uncertainty, errors, and what the audit found."""

from __future__ import annotations

from collections import Counter

import numpy as np

from featx.audits.forms.subject import PARTS, Subject, joined, share_words
from featx.stats import Estimate, classification_metrics
from featx.text import count, decimal, images, interval_percent, percent

# Classes whose results are given, and misclassified images that are named.
CLASSES, NAMED = 20, 10


def accuracy(subject: Subject) -> str:
    """Give the accuracy of each part with its interval."""
    before = "" if subject.run.temperature == 1.0 else " Log losses are without the temperature."
    what = "All labels correct" if subject.run.multilabel else "Accuracy"
    losses = subject.run.metrics
    parts = []
    for role in subject.used:
        loss = losses["train" if role == "fit" else role]["loss"]
        nats = "" if loss is None else f", log loss {decimal(float(loss))} nats"
        parts.append(f"{PARTS[role]} images {share_words(subject.accuracy(role))}{nats}")
    return f"{what} with its 95 % interval: {'; '.join(parts)}.{before}"


def per_class(subject: Subject) -> str | None:
    """Give sensitivity and specificity of each class."""
    if subject.run.multilabel or subject.judged == "fit":
        return None
    data, mask = subject.audit.data, subject.roles == subject.judged
    P = subject.predicted.probabilities[mask]
    metrics = classification_metrics(data.classes, data.y[mask], P, data.groups[mask].tolist())
    shown = [
        f"{one.label} sensitivity {_estimate(one.sensitivity)}, specificity {_estimate(one.specificity)}"
        for one in metrics.per_class[:CLASSES]
    ]
    name, most = metrics.majority
    return (
        f"On {images(metrics.n, PARTS[subject.judged])}, with the most probable class as the answer: "
        f"{'; '.join(shown)}. Balanced accuracy {_estimate(metrics.balanced_accuracy)}. Always answering {name} "
        f"would be right for {percent(most / metrics.n)}."
    )


def operating(subject: Subject) -> str | None:
    """Give the area under the curve and the operating point of each class."""
    part = subject.calibration
    if part is None or not part.points:
        return None
    goal = percent(subject.audit.data.options.specificity, 0)
    shown = []
    for one in part.points[:CLASSES]:
        point = one.at_specificity
        threshold = f" from a probability of {decimal(point.threshold)}" if np.isfinite(point.threshold) else ""
        shown.append(
            f"{one.name} ({one.positive} of {one.positive + one.negative}): area under the ROC curve "
            f"{_area(one.roc.area)}, sensitivity {_estimate(point.sensitivity)} at a specificity of "
            f"{_estimate(point.specificity)}{threshold}"
        )
    return (
        f"Each class against the rest on {part.subject.on}, at a specificity of at least {goal}: {'; '.join(shown)}. "
        "The thresholds were chosen on the images that they are measured on, which the intervals account for."
    )


def sample(subject: Subject) -> str | None:
    """Say what the number of test images can show."""
    if subject.judged == "fit":
        return None
    share = subject.accuracy(subject.judged)
    low, high = share.interval
    groups = "" if share.groups is None else f" in {count(share.groups)} groups"
    return (
        f"With {images(share.n, PARTS[subject.judged])}{groups}, the 95 % interval of the accuracy is "
        f"{100 * (high - low):.1f} points wide ({interval_percent(share.interval)}). featx makes no calculation of "
        "power."
    )


def measures(subject: Subject) -> str:
    """Name the measures that are reported."""
    names = ["share of images with all labels correct" if subject.run.multilabel else "accuracy", "log loss"]
    if not subject.run.multilabel:
        names.append("balanced accuracy, sensitivity and specificity of each class")
    if subject.calibration is not None:
        names += [
            "area under the ROC curve",
            "sensitivity at a chosen specificity",
            "calibration error beside what a calibrated model would have",
            "Brier score",
        ]
        if subject.calibration.sets is not None:
            names.append("coverage and size of prediction sets")
    return f"Measures: {joined(names)}."


def uncertainty(subject: Subject) -> str:
    """Say how intervals and p-values are computed."""
    groups = (
        "Images of one group count as fewer independent ones: intervals use the effective number of images, and "
        "permutations move whole groups."
        if subject.audit.data.grouped
        else "Images count as independent, for no two share a group."
    )
    return (
        "95 % intervals: of accuracy, sensitivity and specificity Wilson's, of areas under the ROC curve Newcombe's "
        "method 5 with Hanley and McNeil's variance; those at a threshold that was chosen on the same images are "
        f"wider. {groups} P-values of the audit are of permutation tests, corrected for their number. Intervals tell "
        "of chance in the images, not of that in the training: another seed gives another head."
    )


def failures(subject: Subject) -> str | None:
    """Say which images were classified wrongly."""
    if subject.run.multilabel or subject.judged == "fit":
        return None
    data, predicted = subject.audit.data, subject.predicted
    judged = np.flatnonzero(subject.roles == subject.judged)
    wrong = [int(row) for row in judged if not subject.correct[row]]
    kind = PARTS[subject.judged]
    if not wrong:
        return f"All {images(len(judged), kind)} were classified correctly."
    labels, table = predicted.labels, data.source.table
    pairs = Counter((str(table.labels[row]), labels[row]) for row in wrong)
    confusions = [f"{true} as {guess} {number}" for (true, guess), number in sorted(pairs.items(), key=_most)]
    surest = sorted(wrong, key=lambda row: (-predicted.probabilities[row].max(), table.ids[row]))[:NAMED]
    named = [f"{table.ids[row]} ({predicted.probabilities[row].max():.2f})" for row in surest]
    rest = f" and {count(len(wrong) - NAMED)} more" if len(wrong) > NAMED else ""
    return (
        f"{count(len(wrong))} of {images(len(judged), kind)} were misclassified: {', '.join(confusions)}. The surest "
        f"errors with their probability: {', '.join(named)}{rest}. The confusion matrix is confusion.png in the run."
    )


def _most(pair: tuple[tuple[str, str], int]) -> tuple[int, tuple[str, str]]:
    return -pair[1], pair[0]


def alarms(subject: Subject) -> str:
    """Give the alarms of the audit."""
    found = subject.audit.alarms
    if not found:
        return (
            f"featx examined the images in {len(subject.audit.parts)} ways and raised no alarm; this does not prove "
            "that the results hold elsewhere."
        )
    numbered = found if len(found) == 1 else [f"({number}) {alarm}" for number, alarm in enumerate(found, 1)]
    return f"featx's audit raised {count(len(found))} alarm{'s' * (len(found) != 1)}: {' '.join(numbered)}"


def temperature_results(subject: Subject) -> str | None:
    """Say what the recalibration changed."""
    part = subject.calibration
    return None if part is None else part.summary()[1]


def both_stages(subject: Subject) -> str:
    """Say whether the model was developed, evaluated or both."""
    if subject.judged == "test":
        return "The model is both developed, on the training images, and evaluated, on test images."
    return "The model is developed here, and not evaluated on test images."


def scope(subject: Subject) -> str:
    """Say what the model is not for."""
    if subject.run.multilabel:
        return (
            "It knows these labels alone. featx is no medical device, and the model was not tested for clinical use."
        )
    return (
        "Whatever an image shows, the model gives it one of its classes, also an image of something else. featx is "
        "no medical device, and the model was not tested for clinical use."
    )


def strange_input(subject: Subject) -> str:
    """Say how strange images are noticed."""
    return (
        "featx predict refuses files that it cannot read, and gives each image a typicality: the percentage of "
        "held-out training images that lie at least as far from the training images. It warns of images outside what "
        "the training images span."
    )


def _estimate(estimate: Estimate | None) -> str:
    return "unknown" if estimate is None else f"{percent(estimate.value)} ({interval_percent(estimate.interval)})"


def _area(estimate: Estimate) -> str:
    low, high = estimate.interval
    return f"{estimate.value:.3f} ({low:.3f}–{high:.3f})"
