"""Is a published number reproduced: one rule for each kind of number."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from featx.reproduction.reported import Figure
from featx.stats import difference_interval

Verdict = Literal["reproduced", "not reproduced", "not comparable"]
VERDICTS: tuple[Verdict, ...] = ("reproduced", "not reproduced", "not comparable")

RULES = {
    "count": "A count is reproduced if ours is the same.",
    "accuracy": (
        "An accuracy is reproduced if the 95 % interval of the difference between ours and the report's holds 0 "
        "(R. G. Newcombe 1998): both are shares of a few images."
    ),
    "loss": (
        "A loss is reproduced if the report's value lies inside the 95 % interval of the mean of the images' losses, "
        "by Student's t. What the report's own images leave open is not known and not allowed for."
    ),
    "batch": (
        "A batch size's accuracy is reproduced if the report's lies inside the range of ours over the seeds, or if "
        "the interval of the difference to the nearest of our fits holds 0: the report has one fit, and that owes "
        "something to its seed as well."
    ),
    "claim": (
        "A claim in words is reproduced if the measurement that stands in for it, told beside it, bears it out. The "
        "ratio of a pair of classes is the distance between their centroids over the sum of their radii (mean "
        "distances to the centroid), in the penultimate features of the training images: below 1 the two overlap."
    ),
    "time": "A time is never comparable: it is another machine's, and the report computes other things.",
}


@dataclass(frozen=True)
class Ours:
    """What was measured here.

    Attributes:
        shown: The value as people read it, such as `33/36 = 91.7 %`.
        value: A number, or of a claim 1 if it was borne out and 0 if not; None where there is none.
        interval: Both ends, in the unit of the value; over the seeds where there are several fits. None where
            there is none.
        fits: Of an accuracy, the share of each fit.
        n: Of an accuracy, images that it is a share of.
        rule: How a claim was measured and what would bear it out.
        apart: Why the report's number cannot be set beside it; "" where it can.
    """

    shown: str
    value: float | None
    interval: tuple[float, float] | None = None
    fits: tuple[float, ...] = ()
    n: int = 0
    rule: str = ""
    apart: str = ""


@dataclass(frozen=True)
class Judged:
    """A figure of the report, what was measured here, and what follows.

    Attributes:
        figure: The report's.
        ours: What was measured.
        verdict: Whether it is reproduced.
        why: In a sentence.
        difference: Of an accuracy, that of the nearest of ours to the report's, and its 95 % interval.
    """

    figure: Figure
    ours: Ours
    verdict: Verdict
    why: str
    difference: tuple[float, float, float] | None = None


def tally(table: Sequence[Judged]) -> str:
    """Return how many verdicts of each kind there are, in words."""
    counts = Counter(judged.verdict for judged in table)
    return ", ".join(f"{counts[verdict]} {verdict}" for verdict in VERDICTS)


def judge(figure: Figure, ours: Ours | None) -> Judged:
    """Apply the rule of a figure's kind, see `RULES`.

    Args:
        figure: The report's.
        ours: What was measured; None if nothing was.
    """
    if ours is None or ours.value is None:
        reason = (ours.apart if ours else "") or "Nothing was measured."
        return Judged(figure, ours or Ours("–", None), "not comparable", reason)
    if figure.kind == "time":
        return Judged(figure, ours, "not comparable", ours.apart or "Another machine, and other work.")
    if ours.apart:
        return Judged(figure, ours, "not comparable", ours.apart)
    if figure.kind == "claim":
        return Judged(figure, ours, "reproduced" if ours.value else "not reproduced", ours.rule)
    return _judged_number(figure, ours, float(figure.number or 0), ours.value)


def _judged_number(figure: Figure, ours: Ours, theirs: float, own: float) -> Judged:
    if figure.kind == "count":
        if theirs == own:
            return Judged(figure, ours, "reproduced", "Equal.")
        return Judged(figure, ours, "not reproduced", f"Not equal. {figure.note}".strip())
    if figure.kind in ("accuracy", "batch"):
        return _judged_share(figure, ours, theirs)
    if ours.interval is None:
        return Judged(figure, ours, "not comparable", "There is no interval of ours to hold it against.")
    low, high = ours.interval
    if low <= theirs <= high:
        return Judged(figure, ours, "reproduced", "Inside our interval.")
    side = "below" if theirs < low else "above"
    return Judged(figure, ours, "not reproduced", f"The report's value is {side} our interval.")


def _judged_share(figure: Figure, ours: Ours, theirs: float) -> Judged:
    if not (ours.fits and ours.n and figure.n):
        return Judged(figure, ours, "not comparable", "It is not known of how many images these are shares.")
    # Inside the range of our fits the report's could be one of them.
    nearest = min(max(theirs, min(ours.fits)), max(ours.fits))
    low, high = difference_interval(nearest, ours.n, theirs, figure.n)
    difference = nearest - theirs, low, high
    if nearest == theirs and len(ours.fits) > 1:
        return Judged(figure, ours, "reproduced", "Inside the range of our fits.", difference)
    told = "{:+.1f} points, 95 % interval {:+.1f} to {:+.1f}".format(*(100 * value for value in difference))
    where = "of the nearest of our fits" if len(ours.fits) > 1 else "of ours"
    verdict: Verdict = "reproduced" if low <= 0 <= high else "not reproduced"
    return Judged(figure, ours, verdict, f"Difference {where} to the report's: {told}.", difference)


def groups_of(ratios: Sequence[Sequence[float]], classes: Sequence[str]) -> list[list[str]]:
    """Return which classes hang together: those of a pair with a ratio below 1, and so on from pair to pair.

    The ratio is the distance between two classes' centroids over the sum of their radii, the mean distances to the
    centroid (the inverse of Davies and Bouldin's similarity, 1979). Below 1 the two balls overlap.

    Args:
        ratios: (k, k), symmetric; the diagonal is not looked at.
        classes: (k,) names.
    """
    group = list(range(len(classes)))
    for one in range(len(classes)):
        for other in range(one):
            if ratios[one][other] < 1:
                old, new = group[one], group[other]
                group = [new if number == old else number for number in group]
    return [
        [name for name, own in zip(classes, group, strict=True) if own == number] for number in dict.fromkeys(group)
    ]
