"""Are the probabilities right, and what can be done with them? Calibration, operating points, abstention."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from featx import plots
from featx.audits.opened import AuditData
from featx.audits.parts import Part
from featx.audits.probabilities.abstention import Decided, Sets, coverage_curve, decided, sets_of
from featx.audits.probabilities.operating import ClassPoints, class_points, operating_blocks
from featx.audits.probabilities.scored import Examined, examined
from featx.pages import Block, Table, Text, drawing
from featx.stats import SIGNIFICANT, Calibration, GroupedShare, calibration_of, confidence_of, grouped_share
from featx.text import count, decimal, images, interval_percent, percent

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Chance gives larger errors where images of a group are alike, which the p-value does not know.
INDEPENDENT = ", if images of a group count as independent"
# Rows of the table of decided images.
SHOWN = (1.0, 0.9, 0.8, 0.7, 0.5)


@dataclass(frozen=True)
class CalibrationPart(Part):
    """What probabilities are worth.

    Attributes:
        subject: The images, their probabilities and the temperature.
        before: Calibration without the temperature.
        after: The same with it; each image had no part in its temperature.
        accuracy: Accuracy on the images with its interval; of several labels the share of known labels that is there.
        points: Operating points of each class.
        decided: Accuracy by coverage; empty for several labels.
        sets: Prediction sets; None for several labels.
    """

    key: ClassVar[str] = "calibration"
    title: ClassVar[str] = "Calibration and operating points"

    subject: Examined = field(repr=False)
    before: Calibration
    after: Calibration
    accuracy: GroupedShare
    points: tuple[ClassPoints, ...]
    decided: tuple[Decided, ...]
    sets: Sets | None

    def to_json(self) -> dict[str, Any]:
        """Return the calibration before, `after`, `temperature`, `operating_points`, `decided` and `sets`."""
        subject = self.subject
        return {
            "on": subject.on,
            **self.before.to_json(),
            "interval": list(self.accuracy.interval),
            "temperature": {**subject.temperature.to_json(), "kept": subject.kept},
            "after": self.after.to_json(),
            "operating_points": [one.to_json() for one in self.points],
            "decided": [one.to_json() for one in self.decided],
            "sets": None if self.sets is None else self.sets.to_json(),
        }

    @property
    def too_sure(self) -> bool:
        """Whether the mean confidence is above the interval of the accuracy; of several labels never."""
        return not self.subject.scored.multilabel and self.before.confidence > self.accuracy.interval[1]

    def alarms(self) -> tuple[str, ...]:
        """Return that the head is surer than it is right, if it is so beyond chance."""
        if not (self.subject.of_head and self.too_sure):
            return ()
        return (
            f"The head is surer than it is right: on {self._words} its mean confidence is "
            f"{decimal(self.before.confidence, 2)} at an accuracy of {percent(self.before.accuracy, 0)} "
            f"({interval_percent(self.accuracy.interval)}). {self._temperature()}",
        )

    def summary(self) -> tuple[str, ...]:
        """Return the calibration error beside that of a calibrated model, the temperature, and the decisions."""
        before, sets = self.before, self.sets
        chance = (
            "so this is more than chance gives"
            if before.p_value < SIGNIFICANT
            else "so chance alone may well give this much"
        )
        first = (
            f"On {self._words}, the calibration error of {self.subject.model} is {decimal(before.ece)}. A perfectly "
            f"calibrated model with these probabilities has {decimal(before.expected_ece)} on average, {chance}"
            f"{INDEPENDENT if self.subject.scored.grouped else ''}."
        )
        if sets is None:
            return first, self._temperature()
        third = (
            f"Prediction sets that promise {percent(sets.promised, 0)} contain the true class of "
            f"{percent(sets.covered.share)} of the images ({interval_percent(sets.covered.interval)}), with "
            f"{sets.mean_size:.2f} classes on average."
        )
        if sets.mean_size == self.subject.scored.P.shape[1]:
            third += " Each set holds all classes, so it tells nothing: a promise needs more images."
        if sets.covered.interval[1] < sets.promised:
            third += " This is less than promised." + _chance_words(sets)
        return first, self._temperature(), third

    @property
    def _words(self) -> str:
        return f"{count(len(self.subject.scored.y))} {self.subject.on}"

    def _temperature(self) -> str:
        """Return what the temperature changes."""
        subject, before, after = self.subject, self.before, self.after
        fitted = subject.temperature
        if fitted.note:
            return f"No temperature is used, because {fitted.note}."
        crossed = subject.calibration is None
        source = "the other folds" if crossed else images(fitted.n, "validation")
        use = "which predict uses" if subject.kept else "which nothing uses yet"
        number = f"about {fitted.temperature:.2f}" if crossed else f"{fitted.temperature:.2f}"
        return (
            f"A temperature of {number}, {use}, fitted on {source}, changes the log loss from "
            f"{decimal(before.log_loss)} to {decimal(after.log_loss)}, the calibration error from "
            f"{decimal(before.ece)} to {decimal(after.ece)} and the mean confidence from "
            f"{decimal(before.confidence, 2)} to {decimal(after.confidence, 2)}."
        )

    def blocks(self, data: AuditData, prefix: str) -> tuple[Block, ...]:
        """Return the reliability diagrams, the table of errors, operating points, abstention and sets."""
        diagrams = drawing(
            partial(_diagrams, self.subject),
            f"{prefix}reliability",
            "Two reliability diagrams: accuracy against confidence, without and with the temperature.",
            "Reliability without (left) and with the temperature (right). Intervals take images as independent.",
        )
        return (
            diagrams,
            _errors(self.before, self.after),
            *operating_blocks(self.points, data.options, prefix),
            *self._decisions(prefix),
        )

    def _decisions(self, prefix: str) -> tuple[Block, ...]:
        if self.sets is None:
            return ()
        shown = [row for row in self.decided if any(abs(row.coverage - share) < 0.025 for share in SHOWN)]
        rows = tuple(
            (
                percent(row.coverage, 0),
                decimal(row.threshold),
                f"{row.share.correct}/{row.share.n}",
                percent(row.share.share),
                interval_percent(row.share.interval),
            )
            for row in shown
        )
        return (
            Table(
                "Accuracy where the model decides on the images it is surest of, and leaves the others to people.",
                ("decided", "lowest confidence", "correct", "accuracy", "95 % interval"),
                rows,
            ),
            drawing(
                lambda: plots.draw_bands([("accuracy", coverage_curve(self.decided))], "coverage"),
                f"{prefix}coverage",
                "Accuracy against the share of images that are decided.",
                "Accuracy against coverage; the band is the 95 % interval.",
            ),
            Text(_sets_words(self.sets)),
        )

    def table(self) -> tuple[Sequence[str], Sequence[Sequence[Any]]] | None:
        """Return the operating points, a row for each class and kind."""
        header = ("class", "kind", "threshold", "sensitivity", "specificity", "prevalence", "ppv", "npv")
        rows = []
        for one in self.points:
            for kind, point in (("specificity", one.at_specificity), ("sensitivity", one.at_sensitivity)):
                values = [point.sensitivity.value, point.specificity.value, point.prevalence]
                predictive = ["" if own is None else own.value for own in (point.ppv, point.npv)]
                rows.append([one.name, kind, point.threshold, *values, *predictive])
        return header, rows


def examine_calibration(data: AuditData) -> CalibrationPart:
    """Examine the probabilities of a run's head on images that it was not trained on; of data, those out of fold.

    Raises:
        DataError: There are no such images, or no labels.
    """
    subject = examined(data)
    scored, used = subject.scored, subject.used()
    correct = confidence_of(scored.y, scored.P)[1] == 1
    owners = np.nonzero(np.isfinite(scored.y))[0] if scored.multilabel else np.arange(len(scored.y))
    return CalibrationPart(
        subject=subject,
        before=calibration_of(scored.y, scored.P, data.seed),
        after=calibration_of(scored.y, subject.calibrated(), data.seed),
        accuracy=grouped_share(correct, scored.groups[owners]),
        points=class_points(scored, used, data.classes, data.options),
        decided=() if scored.multilabel else decided(scored, used),
        sets=None if scored.multilabel else sets_of(subject, data.options.coverage),
    )


def _diagrams(subject: Examined) -> Axes:
    axes = plots.new_figure(8.8, 4.6, 2)[1]
    parts = (("without temperature", subject.scored.P), ("with temperature", subject.calibrated()))
    for ax, (title, P) in zip(axes, parts, strict=True):
        plots.draw_reliability(subject.scored.y, P, title, ax=ax, groups=subject.scored.groups)
    first: Axes = axes[0]
    return first


def _errors(before: Calibration, after: Calibration) -> Table:
    """Return the table of what is measured before and after."""
    names = (
        ("mean confidence", "confidence"),
        ("accuracy", "accuracy"),
        ("log loss (nats)", "log_loss"),
        ("calibration error (ECE)", "ece"),
        ("without what chance adds", "debiased_ece"),
        ("a calibrated model's, on average", "expected_ece"),
        ("p-value of being calibrated", "p_value"),
    )
    rows = [(title, decimal(getattr(before, name)), decimal(getattr(after, name))) for title, name in names]
    parts = (
        ("Brier score", "score"),
        ("its reliability (0 is perfect)", "reliability"),
        ("its resolution (more is better)", "resolution"),
        ("its uncertainty (of the data)", "uncertainty"),
    )
    rows += [
        (title, decimal(getattr(before.brier, name)), decimal(getattr(after.brier, name))) for title, name in parts
    ]
    return Table("What the probabilities are worth.", ("", "without temperature", "with"), tuple(rows))


def _chance_words(sets: Sets) -> str:
    """Return how far the share may be from the promise by chance, or nothing where this is not known."""
    by_chance = sets.by_chance()
    if by_chance is None:
        return ""
    return (
        f" A threshold from only {images(sets.calibrated_on, 'validation')} covers {interval_percent(by_chance)} of "
        "new images in 95 of 100 cases."
    )


def _sets_words(sets: Sets) -> str:
    where = "the other folds" if sets.crossed else images(sets.calibrated_on, "validation")
    groups = "" if sets.calibrated_groups == sets.calibrated_on else f" of {count(sets.calibrated_groups)} groups"
    promise = (
        "In folds the promise holds approximately only."
        if sets.crossed
        else "The promise holds for new images that come from the same source in the same way as these "
        "(exchangeable), and on average over all classes; it does not hold for images from another place."
    )
    if sets.threshold == 0:
        return (
            f"Prediction sets that promise {percent(sets.promised, 0)} need more groups than {where} have, so each "
            "set contains every class."
        )
    return (
        f"Prediction sets: the classes with a probability (without temperature) of at least "
        f"{sets.threshold:.2g}, a threshold found on {where}{groups}. {percent(sets.single)} of the sets have "
        f"one class, {percent(sets.empty)} are empty: such an image resembles no class. {promise}"
        f"{_chance_words(sets)}"
    )
