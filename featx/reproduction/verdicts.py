"""The figures that the report states, and whether each is reproduced: one rule for each kind of figure."""

from __future__ import annotations

import tomllib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from math import hypot, sqrt
from statistics import stdev
from typing import Literal

from featx.stats import difference_interval
from featx.text import NOTHING, decimal

Kind = Literal["count", "accuracy", "loss", "batch", "claim", "time"]
VerdictWord = Literal["equal", "different", "consistent", "inconsistent", "cannot tell", "not comparable"]
OF_COUNTS: tuple[VerdictWord, ...] = ("equal", "different")
OF_MEASUREMENTS: tuple[VerdictWord, ...] = ("consistent", "inconsistent", "cannot tell")

# Two accuracies agree where their difference is certainly smaller, and two losses, in nats.
POINTS = 0.1
NATS = 0.2

RULES = {
    "count": "A count is a fact about the data or the model: ours is equal or different.",
    "accuracy": (
        f"An accuracy is consistent with the report's if the 95 % interval of their difference (R. G. Newcombe 1998) "
        f"lies within ±{100 * POINTS:.0f} points. It is inconsistent if the interval does not contain 0. Otherwise "
        "the images are too few to tell: a difference that is not significant is no agreement."
    ),
    "loss": (
        f"A loss is consistent if the 95 % interval of our mean loss over the images (Student's t) lies within "
        f"±{NATS:g} nats of the report's value, and inconsistent if the value lies outside the interval. Otherwise "
        "the interval is too wide to tell. How uncertain the report's own value is, is not known and not allowed for."
    ),
    "batch": (
        "The accuracy of a batch size follows the rule of accuracies. The report has one fit for each batch size, so "
        "our mean is compared, and the interval also allows for the seed of one more fit (prediction interval of "
        "Student's t). More seeds make it narrower. One fit cannot tell how much seeds differ."
    ),
    "claim": (
        "A claim in words is consistent if a measurement confirms it, inconsistent if a measurement refutes it, and "
        "otherwise we cannot tell; the rule stands beside each claim. The ratio of two classes is the distance "
        "between their centroids divided by the sum of their radii. A radius is the mean distance to the centroid, "
        "in the penultimate features of the training images. If the ratio is below 1, the classes overlap."
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
        undecided: For a claim, why the measurement neither confirms nor refutes it; "" if it does.
    """

    shown: str
    value: float | None
    interval: tuple[float, float] | None = None
    fits: tuple[float, ...] = ()
    n: int = 0
    rule: str = ""
    not_comparable: str = ""
    undecided: str = ""


@dataclass(frozen=True)
class FigureVerdict:
    """A figure of the report with our value and the verdict.

    Attributes:
        figure: What the report states.
        ours: What was measured here.
        verdict: Of a count `equal` or `different`; of a measurement `consistent`, `inconsistent` or `cannot tell`; of
            either `not comparable`.
        why: The reason, in a sentence.
        difference: For an accuracy, ours minus the report's and both ends of its 95 % interval (shares, -1 to 1); if
            there are several fits, that of their mean. None for other figures.
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
    """Return how many verdicts of each kind there are, in words: counts and measurements apart."""
    counts = Counter(row.verdict for row in table)
    parts = []
    for what, verdicts in (("count", OF_COUNTS), ("measurement", OF_MEASUREMENTS)):
        n = sum(counts[verdict] for verdict in verdicts)
        if n:
            each = ", ".join(f"{counts[verdict]} {verdict}" for verdict in verdicts)
            parts.append(f"{n} {what}{'s' * (n != 1)} ({each})")
    if counts["not comparable"]:
        parts.append(f"{counts['not comparable']} not comparable")
    return ", ".join(parts)


def judge(figure: ReportedFigure, ours: Measured) -> FigureVerdict:
    """Apply the rule of the figure's kind, see `RULES`."""
    reason = ours.not_comparable or ("Nothing was measured." if ours.value is None else "")
    if reason:
        return FigureVerdict(figure, ours, "not comparable", reason)
    if figure.kind == "claim":
        if ours.undecided:
            return FigureVerdict(figure, ours, "cannot tell", f"{ours.rule} {ours.undecided}".strip())
        return FigureVerdict(figure, ours, "consistent" if ours.value else "inconsistent", ours.rule)
    reported = float(figure.number or 0)
    if figure.kind == "count":
        same = reported == ours.value
        why = "Equal." if same else f"Not equal. {figure.note}".strip()
        return FigureVerdict(figure, ours, "equal" if same else "different", why)
    return _judge_loss(figure, ours, reported) if figure.kind == "loss" else _judge_share(figure, ours, reported)


def _judge_loss(figure: ReportedFigure, ours: Measured, reported: float) -> FigureVerdict:
    if ours.interval is None:
        return FigureVerdict(figure, ours, "not comparable", "Our value has no interval to compare with.")
    low, high = ours.interval
    if reported - NATS <= low and high <= reported + NATS:
        return FigureVerdict(figure, ours, "consistent", f"Agrees within {NATS:g} nats.")
    if not low <= reported <= high:
        side = "below" if reported < low else "above"
        return FigureVerdict(figure, ours, "inconsistent", f"The report's value is {side} our interval.")
    why = f"Our interval, {low:.3f} to {high:.3f} nats, is too wide: it contains the report's value and far others."
    return FigureVerdict(figure, ours, "cannot tell", why)


def _judge_share(figure: ReportedFigure, ours: Measured, reported: float) -> FigureVerdict:
    if not (ours.fits and ours.n and figure.n):
        return FigureVerdict(figure, ours, "not comparable", "The number of images is not known.")
    mean = sum(ours.fits) / len(ours.fits)
    low, high = difference_interval(mean, ours.n, reported, figure.n)
    several = figure.kind == "batch"
    if several:
        another = prediction_half(ours.fits)
        if another is None:
            why = "One fit does not show how much fits with other seeds differ; use more --seeds."
            return FigureVerdict(figure, ours, "cannot tell", why, (mean - reported, low, high))
        middle = mean - reported
        low, high = middle - hypot(middle - low, another), middle + hypot(high - middle, another)
    difference = mean - reported, low, high
    words = [decimal(100 * value, 1, sign=True) for value in difference]
    which = "the mean of our fits" if several else "our value"
    seen = f"Difference between {which} and the report's: {words[0]} points, 95 % interval {words[1]} to {words[2]}"
    if low >= -POINTS and high <= POINTS:
        return FigureVerdict(
            figure, ours, "consistent", f"{seen}: agrees within {100 * POINTS:.0f} points.", difference
        )
    if not low <= 0 <= high:
        return FigureVerdict(figure, ours, "inconsistent", f"{seen}, which does not contain 0.", difference)
    why = f"{seen}: it contains 0, but also differences of more than {100 * POINTS:.0f} points."
    return FigureVerdict(figure, ours, "cannot tell", why, difference)


def prediction_half(fits: Sequence[float]) -> float | None:
    """Return half of the 95 % prediction interval of one more fit with another seed, by Student's t.

    It is `t(k - 1) * sd * sqrt(1 + 1 / k)` for k fits; None for fewer than two.
    """
    k = len(fits)
    if k < 2:
        return None
    from scipy.stats import t

    return float(t.ppf(0.975, k - 1)) * stdev(fits) * sqrt(1 + 1 / k)
