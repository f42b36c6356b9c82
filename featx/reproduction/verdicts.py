"""Whether a published figure is reproduced: one rule for each kind of figure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from featx.reproduction.reported import ReportedFigure
from featx.stats import difference_interval
from featx.text import NOTHING

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


def not_measured(reason: str, rule: str = "") -> Measured:
    """Return that there is no value of ours, and why."""
    return Measured(NOTHING, None, rule=rule, not_comparable=reason)


def tally(table: Sequence[FigureVerdict]) -> str:
    """Return how many verdicts of each kind there are, in words."""
    counts = Counter(row.verdict for row in table)
    return ", ".join(f"{counts[verdict]} {verdict}" for verdict in VERDICTS)


def judge(figure: ReportedFigure, ours: Measured | None) -> FigureVerdict:
    """Apply the rule of the figure's kind, see `RULES`; `ours` is None if nothing was measured."""
    ours = ours or not_measured("Nothing was measured.")
    reason = ours.not_comparable or ("Nothing was measured." if ours.value is None else "")
    if figure.kind == "time":
        reason = reason or "Another machine, and other work."
    if reason:
        return FigureVerdict(figure, ours, "not comparable", reason)
    if figure.kind == "claim":
        return FigureVerdict(figure, ours, "reproduced" if ours.value else "not reproduced", ours.rule)
    reported = float(figure.number or 0)
    if figure.kind == "count":
        return _judge_count(figure, ours, reported)
    return _judge_loss(figure, ours, reported) if figure.kind == "loss" else _judge_share(figure, ours, reported)


def _judge_count(figure: ReportedFigure, ours: Measured, reported: float) -> FigureVerdict:
    if reported == ours.value:
        return FigureVerdict(figure, ours, "reproduced", "Equal.")
    return FigureVerdict(figure, ours, "not reproduced", f"Not equal. {figure.note}".strip())


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
    points = "{:+.1f} points, 95 % interval {:+.1f} to {:+.1f}".format(*(100 * value for value in difference))
    fit = "the nearest of our fits" if len(ours.fits) > 1 else "our value"
    verdict: VerdictWord = "reproduced" if low <= 0 <= high else "not reproduced"
    return FigureVerdict(figure, ours, verdict, f"Difference between {fit} and the report's: {points}.", difference)
