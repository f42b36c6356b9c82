"""The figures that the report states, and whether each is reproduced: one rule for each kind of figure."""

from __future__ import annotations

import tomllib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Literal

from featx.stats import difference_interval
from featx.text import NOTHING, decimal

Kind = Literal["count", "accuracy", "loss", "batch", "claim", "time"]
VerdictWord = Literal["reproduced", "not reproduced", "not comparable"]
VERDICTS: tuple[VerdictWord, ...] = ("reproduced", "not reproduced", "not comparable")

RULES = {
    "count": "A count is reproduced if ours is the same.",
    "accuracy": (
        "An accuracy is reproduced if the 95 % interval of the difference between ours and the report's contains 0 "
        "(R. G. Newcombe 1998). The interval allows for the small number of images on both sides."
    ),
    "loss": (
        "A loss is reproduced if the report's value lies inside the 95 % interval of our mean loss over the images "
        "(Student's t). How uncertain the report's own value is, is not known and not allowed for."
    ),
    "batch": (
        "The accuracy of a batch size is reproduced if the report's value lies inside the range of our fits with "
        "different seeds, or if the interval of the difference to the nearest of these fits contains 0. The report "
        "has one fit for each batch size, so its value depends on its seed as well."
    ),
    "claim": (
        "A claim in words is reproduced if a measurement confirms it; the rule stands beside each claim. The ratio "
        "of two classes is the distance between their centroids divided by the sum of their radii. A radius is the "
        "mean distance to the centroid, in the penultimate features of the training images. If the ratio is below 1, "
        "the classes overlap."
    ),
    "time": "A time is never comparable: the machine is another one, and the report computes other things.",
}


@dataclass(frozen=True)
class ReportedFigure:
    """A number or a claim of the report.

    Attributes:
        id: Its name, such as `vgg16.test`.
        section: Section of the report, such as `4.4`.
        quantity: What the figure is about.
        kind: The kind of figure, which decides by which rule it is judged.
        unit: `images`, `parameters`, `share` (0 to 1), `nats` or `s`; "" for a claim.
        value: The number; None for a claim, or if `correct` and `n` give it.
        correct: For a share, the number of correct images; None if it cannot be worked out.
        n: For a share or a loss, the number of images; None otherwise.
        claim: The claim as a sentence; "" for a number.
        note: What readers must know about the figure, such as a misprint; "" if nothing.
    """

    id: str
    section: str
    quantity: str
    kind: Kind
    unit: str
    value: float | None = None
    correct: int | None = None
    n: int | None = None
    claim: str = ""
    note: str = ""

    @property
    def number(self) -> float | None:
        """The number: for a share, the exact fraction if it is known. None for a claim."""
        if self.correct is not None and self.n:
            return self.correct / self.n
        return self.value


@dataclass(frozen=True)
class Reported:
    """The report's title, date and figures, in the order of its sections."""

    title: str
    date: str
    figures: tuple[ReportedFigure, ...]

    def figure(self, name: str) -> ReportedFigure:
        """Return the figure with an id."""
        return next(figure for figure in self.figures if figure.id == name)

    def numbers(self) -> dict[str, float | None]:
        """Return the number of each figure by its id."""
        return {figure.id: figure.number for figure in self.figures}


@dataclass(frozen=True)
class Measured:
    """Our value of a figure.

    Attributes:
        shown: The value as text, such as `33/36 = 91.7 %`.
        value: The number; for a claim, 1 if it is confirmed and 0 if not. None if nothing was measured.
        interval: Both ends of the 95 % interval, in the unit of the value, or of the range of several fits; None if
            there is none.
        fits: For an accuracy, the share of correct images of each fit, 0 to 1.
        n: For an accuracy, the number of images.
        rule: For a claim, what was measured and which result confirms it.
        not_comparable: Why the report's value cannot be compared with ours; "" if it can.
    """

    shown: str
    value: float | None
    interval: tuple[float, float] | None = None
    fits: tuple[float, ...] = ()
    n: int = 0
    rule: str = ""
    not_comparable: str = ""


@dataclass(frozen=True)
class FigureVerdict:
    """A figure of the report with our value and the verdict.

    Attributes:
        figure: What the report states.
        ours: What was measured here.
        verdict: `reproduced`, `not reproduced` or `not comparable`.
        why: The reason, in a sentence.
        difference: For an accuracy, ours minus the report's and both ends of its 95 % interval (shares, -1 to 1); if
            there are several fits, that of the nearest. None for other figures.
    """

    figure: ReportedFigure
    ours: Measured
    verdict: VerdictWord
    why: str
    difference: tuple[float, float, float] | None = None


def read_reported() -> Reported:
    """Read the report's figures."""
    document = tomllib.loads((resources.files("featx.reproduction") / "cs542.toml").read_text("utf-8"))
    figures = tuple(ReportedFigure(**entry) for entry in document["figure"])
    return Reported(document["title"], document["date"], figures)


def not_measured(reason: str, rule: str = "") -> Measured:
    """Return that there is no value of ours, and why."""
    return Measured(NOTHING, None, rule=rule, not_comparable=reason)


def tally(table: Sequence[FigureVerdict]) -> str:
    """Return how many verdicts of each kind there are, in words."""
    counts = Counter(row.verdict for row in table)
    return ", ".join(f"{counts[verdict]} {verdict}" for verdict in VERDICTS)


def judge(figure: ReportedFigure, ours: Measured) -> FigureVerdict:
    """Apply the rule of the figure's kind, see `RULES`."""
    reason = ours.not_comparable or ("Nothing was measured." if ours.value is None else "")
    if reason:
        return FigureVerdict(figure, ours, "not comparable", reason)
    if figure.kind == "claim":
        return FigureVerdict(figure, ours, _word(bool(ours.value)), ours.rule)
    reported = float(figure.number or 0)
    if figure.kind == "count":
        same = reported == ours.value
        return FigureVerdict(figure, ours, _word(same), "Equal." if same else f"Not equal. {figure.note}".strip())
    return _judge_loss(figure, ours, reported) if figure.kind == "loss" else _judge_share(figure, ours, reported)


def _word(reproduced: bool) -> VerdictWord:
    return "reproduced" if reproduced else "not reproduced"


def _judge_loss(figure: ReportedFigure, ours: Measured, reported: float) -> FigureVerdict:
    if ours.interval is None:
        return FigureVerdict(figure, ours, "not comparable", "Our value has no interval to compare with.")
    low, high = ours.interval
    if low <= reported <= high:
        return FigureVerdict(figure, ours, "reproduced", "Inside our interval.")
    side = "below" if reported < low else "above"
    return FigureVerdict(figure, ours, "not reproduced", f"The report's value is {side} our interval.")


def _judge_share(figure: ReportedFigure, ours: Measured, reported: float) -> FigureVerdict:
    if not (ours.fits and ours.n and figure.n):
        return FigureVerdict(figure, ours, "not comparable", "The number of images is not known.")
    # A value inside the range of our fits could be one of them.
    nearest = min(max(reported, min(ours.fits)), max(ours.fits))
    low, high = difference_interval(nearest, ours.n, reported, figure.n)
    difference = nearest - reported, low, high
    if nearest == reported and len(ours.fits) > 1:
        return FigureVerdict(figure, ours, "reproduced", "Inside the range of our fits.", difference)
    middle, lower, upper = (decimal(100 * value, 1, sign=True) for value in difference)
    fit = "the nearest of our fits" if len(ours.fits) > 1 else "our value"
    why = f"Difference between {fit} and the report's: {middle} points, 95 % interval {lower} to {upper}."
    return FigureVerdict(figure, ours, _word(low <= 0 <= high), why, difference)
