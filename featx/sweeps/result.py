"""The result of a sweep: the scores of each fit, their spread, and whether values differ beyond chance."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from featx.features import Failure
from featx.stats import SIGNIFICANT, Score, SeedSpread, blocked_permutation_p, least_p, seeds_to_tell, spread_of
from featx.sweeps.fits import FitScores
from featx.sweeps.grid import Point, as_text, column_names

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


@dataclass(frozen=True)
class Sweep:
    """What a sweep found.

    Attributes:
        out: Its folder.
        fields: Dotted names of what varied.
        points: What was fitted, in the order of values and seeds.
        scores: What came of each.
        role: The images by which values are compared: `test`, or `validation` where the data has no test images.
        verdict: Whether the values differ by more than the seeds do.
        failed: Images that were left out.
        data: Root, digest and counts of the data, as in a run's manifest.
        versions: Of featx and the packages it computes with.
        files: What was written besides single fits.
    """

    out: Path
    fields: tuple[str, ...]
    points: tuple[Point, ...]
    scores: tuple[FitScores, ...]
    role: Role
    verdict: Verdict
    failed: tuple[Failure, ...]
    data: Mapping[str, Any]
    versions: Mapping[str, str]
    files: tuple[Path, ...] = ()

    @property
    def p_value(self) -> float | None:
        """Probability of accuracies that differ as much between values if values made no difference."""
        return self.verdict.p_value

    @property
    def refused(self) -> int:
        """Fits that gave no scores."""
        return sum(scores.refused is not None for scores in self.scores)

    def to_json(self) -> dict[str, Any]:
        """Return the JSON of `featx sweep`."""
        names = column_names(self.fields)
        rows = [
            {**{names[field]: value for field, value in point.values.items()}, "seed": point.seed, **scores.to_json()}
            for point, scores in zip(self.points, self.scores, strict=True)
        ]
        values = []
        held_out = self.spreads("validation")
        for (tried, spread), (_, validation) in zip(self.spreads(), held_out, strict=True):
            told = {names[field]: value for field, value in tried.items()}
            further = {name: validation.to_json()[name] for name in ("n", "accuracy", "loss")}
            values.append({**told, **spread.to_json(), "validation": further})
        summary = {"of": self.role, "values": values, "p_value": self.p_value, "conclusion": self.conclusion()}
        return {
            "rows": rows,
            "summary": summary,
            "failed": [failure.to_json() for failure in self.failed],
            "data": self.data,
            "versions": self.versions,
            "files": [str(path) for path in self.files],
        }

    def spreads(self, role: Role | None = None) -> list[tuple[Mapping[str, Any], SeedSpread]]:
        """Return the spread of the accuracy over the seeds, for each combination of values.

        Args:
            role: Of which images; those by which values are compared if not given.
        """
        refused = Counter(
            point.key for point, one in zip(self.points, self.scores, strict=True) if one.refused is not None
        )
        return [
            (values, spread_of(self.scores_of(values, role), refused[key]))
            for key, values in {point.key: point.values for point in self.points}.items()
        ]

    def scores_of(self, values: Mapping[str, Any], role: Role | None = None) -> list[Score]:
        """Return the scores of a combination of values, one a fit that gave any, by seed."""
        fits = zip(self.points, self.scores, strict=True)
        own = [one for point, one in fits if point.values == values and one.refused is None]
        return [getattr(one, role or self.role) for one in own]

    def conclusion(self) -> str:
        """Return in a sentence or two whether the values make a difference that the seeds alone do not."""
        spreads = [spread for _, spread in self.spreads()]
        return sentence(self.verdict, spreads, list(column_names(self.fields).values()), self.role)
