"""Whether the values of a sweep differ by more than the seeds do, and what can be said of it in a sentence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from featx.pipeline.sweep_fits import FitScores
from featx.pipeline.sweep_grid import Point, as_text
from featx.seed_stats import SeedSpread, blocked_permutation_p, least_p, seeds_to_tell
from featx.stats import SIGNIFICANT

Role = Literal["test", "validation"]


@dataclass(frozen=True)
class Verdict:
    """What the permutation test of the values within the seeds found.

    Attributes:
        p_value: Probability of accuracies that differ as much between values if values made no difference; None
            where there are no two values and two seeds to compare.
        values: Values that were compared.
        seeds: Seeds within which they were.
        without: Values of which no fit gave scores.
        seeds_left_out: Seeds of which a fit of another value gave none.
    """

    p_value: float | None
    values: int
    seeds: int
    without: tuple[str, ...] = ()
    seeds_left_out: int = 0


def verdict_of(points: Sequence[Point], scores: Sequence[FitScores], role: Role) -> Verdict:
    """Compare values within seeds.

    Values of which no fit gave scores are left out first, then the seeds of which a fit gave none.
    """
    values = list(dict.fromkeys(point.key for point in points))
    names = {point.key: label_of(point) for point in points}
    seeds = list(dict.fromkeys(point.seed for point in points))
    right = np.full((len(values), len(seeds)), np.nan)
    images = np.full(right.shape, np.nan)
    for point, one in zip(points, scores, strict=True):
        score = getattr(one, role)
        if one.refused is None and score.n:
            place = values.index(point.key), seeds.index(point.seed)
            right[place], images[place] = score.correct, score.n
    known = ~np.isnan(right)
    any_of_value = known.any(axis=1)
    whole_seed = known[any_of_value].all(axis=0) & any_of_value.any()
    right, images = (table[any_of_value][:, whole_seed] for table in (right, images))
    # Counts tell ties exactly; accuracies are needed where they are of different numbers of images.
    table = right if np.unique(images).size <= 1 else right / images
    return Verdict(
        p_value=blocked_permutation_p(table) if min(table.shape) >= 2 else None,
        values=table.shape[0],
        seeds=table.shape[1],
        without=tuple(names[key] for key, there in zip(values, any_of_value, strict=True) if not there),
        seeds_left_out=int((~whole_seed).sum()),
    )


def label_of(point: Point) -> str:
    """Return the values of a point as text."""
    return ", ".join(map(as_text, point.values.values()))


def sentence(verdict: Verdict, spreads: Sequence[SeedSpread], names: Sequence[str], role: Role) -> str:
    """Return in a sentence or two whether the values make a difference that the seeds alone do not.

    Args:
        verdict: The test's.
        spreads: Of each value.
        names: What varied.
        role: The images that the accuracies are of.
    """
    what = " and ".join(names).replace("_", " ")
    known = [spread for spread in spreads if spread.mean is not None]
    if not known:
        return f"No fit gave a {role} accuracy."
    low, high = (100 * limit(float(spread.mean or 0) for spread in known) for limit in (min, max))
    widest = 100 * max(float(spread.high or 0) - float(spread.low or 0) for spread in known)
    told = (
        f"Means over seeds go from {low:.1f} to {high:.1f} %, seeds of one value differ by up to {widest:.1f} "
        f"points, and one {role} image is {100 / max(known[0].n, 1):.1f}"
    )
    return f"{told}{_judged(verdict, what)}{_left_out(verdict)}"


def _left_out(verdict: Verdict) -> str:
    told = f" No fit of {' and of '.join(verdict.without)} gave scores." if verdict.without else ""
    if verdict.seeds_left_out and verdict.seeds:
        seeds = "1 seed is" if verdict.seeds_left_out == 1 else f"{verdict.seeds_left_out} seeds are"
        told += f" {seeds} left out of the comparison, where a fit gave no scores."
    return told


def _judged(verdict: Verdict, what: str) -> str:
    if verdict.p_value is None:
        return f"; {_reason(verdict, what)}."
    p = f"(p = {verdict.p_value:.2g}, permutation within seeds)"
    if verdict.p_value < SIGNIFICANT:
        return f": {what} makes a difference {p}."
    least = least_p(verdict.values, verdict.seeds)
    if least >= SIGNIFICANT:
        return (
            f": {verdict.seeds} seeds cannot tell whether {what} makes a difference {p}, because with "
            f"{verdict.values} values p is never below {least:.2g}; it takes at least "
            f"{seeds_to_tell(verdict.values)} seeds."
        )
    return f": no difference by {what} was detected {p}."


def _reason(verdict: Verdict, what: str) -> str:
    """Say why there is no p-value."""
    if verdict.values < 2:
        found = "only one value gave scores" if verdict.without else "there is one value"
        return f"whether {what} makes a difference takes two values, and {found}"
    if verdict.seeds_left_out and not verdict.seeds:
        return f"whether {what} makes a difference cannot be told, as with every seed a fit gave no scores"
    found = "there is one" + (" of which all fits gave scores" if verdict.seeds_left_out else "")
    return (
        f"whether {what} makes a difference takes several seeds, at least {seeds_to_tell(verdict.values)} for "
        f"{verdict.values} values, and {found}"
    )
