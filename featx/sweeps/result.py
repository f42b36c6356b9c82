"""The result of a sweep: the scores of each fit, their spread, and whether values differ by more than seeds do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from featx.features import Failure
from featx.frames import Shown
from featx.stats import (
    SIGNIFICANT,
    LabelScore,
    Score,
    SeedSpread,
    blocked_permutation_p,
    least_p,
    seeds_needed,
    spread_of,
)
from featx.sweeps.fits import FitScores
from featx.sweeps.grid import Point, as_text, column_names
from featx.text import decimal, interval_percent, percent

Role = Literal["test", "validation"]
# Areas are compared in these units: permuted sums of whole numbers are the same in any order, so that ties are found.
AREA_UNIT = 1e-6


@dataclass(frozen=True)
class ValueComparison:
    """The permutation test of the values within the seeds."""

    # None if there are fewer than two values or two seeds to compare.
    p_value: float | None
    values: int
    seeds: int
    # Values of which no fit has scores; they are left out, too.
    without: tuple[str, ...] = ()
    # Number of seeds with which a fit of a compared value has no scores.
    seeds_left_out: int = 0


@dataclass(frozen=True, repr=False)
class Sweep(Shown):
    """The result of a sweep.

    Attributes:
        out: The sweep's folder.
        fields: Dotted names of the fields that varied.
        points: The fits, in the order of values and then seeds.
        scores: The scores of each fit.
        role: The images by which values are compared: `test`, or `validation` if the data has no test images.
        comparison: The test of whether values differ by more than seeds do.
        failed: Images that were left out.
        data: Root, digest and counts of the data, as in a run's manifest.
        versions: Versions of featx and of the packages that it computes with.
        files: Files that were written, except those of single fits.
    """

    out: Path
    fields: tuple[str, ...]
    points: tuple[Point, ...]
    scores: tuple[FitScores, ...]
    role: Role
    comparison: ValueComparison
    failed: tuple[Failure, ...]
    data: Mapping[str, Any]
    versions: Mapping[str, str]
    files: tuple[Path, ...] = ()

    def headline(self) -> str:
        """Return how many fits there are and what they say."""
        return f"{self.out}: {len(self.points)} fit{'s' * (len(self.points) != 1)}. {self.conclusion()}"

    def overview(self) -> tuple[Sequence[str], Sequence[Sequence[str]]]:
        """Return the mean of each combination of values, of what they are compared by, and its spread over seeds."""
        names = column_names(self.fields).values()
        rows = []
        for values, spread in self.spreads():
            if self.multilabel:
                low, high = spread.interval or (None, None)
                cells = [decimal(spread.mean), "" if low is None else f"{decimal(low)}–{decimal(high)}"]
            else:
                cells = [percent(spread.mean), "" if spread.interval is None else interval_percent(spread.interval)]
            rows.append([*map(as_text, values.values()), *cells])
        return (*names, f"{self.role} AUC" if self.multilabel else self.role, "95 % over seeds"), rows

    @property
    def multilabel(self) -> bool:
        """Whether images may have several labels: values are then compared by the mean area under the ROC curve."""
        return any(isinstance(scores.train, LabelScore) for scores in self.scores)

    @property
    def p_value(self) -> float | None:
        """Probability that accuracies, or areas, differ as much between values if values make no difference."""
        return self.comparison.p_value

    @property
    def refused(self) -> int:
        """Number of fits without scores."""
        return sum(scores.refused is not None for scores in self.scores)

    def to_json(self) -> dict[str, Any]:
        """Return the JSON of `featx sweep`."""
        names = column_names(self.fields)
        rows = [
            {**{names[field]: value for field, value in point.values.items()}, "seed": point.seed, **scores.to_json()}
            for point, scores in zip(self.points, self.scores, strict=True)
        ]
        summaries = [
            {
                **{names[field]: value for field, value in values.items()},
                **summary,
                "validation": {name: value for name, value in checked.items() if name not in ("fits", "refused")},
            }
            for (values, summary), (_, checked) in zip(
                self._summaries(self.role), self._summaries("validation"), strict=True
            )
        ]
        return {
            "rows": rows,
            "summary": {
                "of": self.role,
                "values": summaries,
                "p_value": self.p_value,
                "conclusion": self.conclusion(),
            },
            "failed": [failure.to_json() for failure in self.failed],
            "data": self.data,
            "versions": self.versions,
            "files": [str(path) for path in self.files],
        }

    def _summaries(self, role: Role) -> list[tuple[Mapping[str, Any], dict[str, Any]]]:
        """Return the JSON of the spreads of each combination of values, of several labels also that of the area."""
        summaries = [(values, spread.to_json()) for values, spread in self.spreads(role, "accuracy")]
        if self.multilabel:
            for (_, summary), (_, areas) in zip(summaries, self.spreads(role, "auc"), strict=True):
                summary["auc"] = areas.to_json()["accuracy"]
        return summaries

    def spreads(
        self, role: Role | None = None, measure: str | None = None
    ) -> list[tuple[Mapping[str, Any], SeedSpread]]:
        """Return the spread over the seeds, for each combination of values.

        Args:
            role: The images that are scored; by default those by which values are compared.
            measure: See `spread_of`; by default that by which values are compared: the accuracy, or of several labels
                the mean area under the ROC curve.
        """
        fits = zip(self.points, self.scores, strict=True)
        refused = Counter(point.key for point, scores in fits if scores.refused is not None)
        what = measure or ("auc" if self.multilabel else "accuracy")
        return [
            (values, spread_of(self.scores_of(values, role), refused[key], what))
            for key, values in {point.key: point.values for point in self.points}.items()
        ]

    def scores_of(self, values: Mapping[str, Any], role: Role | None = None) -> list[Score]:
        """Return the scores of a combination of values, one for each seed whose fit has scores."""
        fits = zip(self.points, self.scores, strict=True)
        kept = [scores for point, scores in fits if point.values == values and scores.refused is None]
        return [getattr(scores, role or self.role) for scores in kept]

    def conclusion(self) -> str:
        """Say in a sentence or two whether the values make a difference that seeds alone do not make."""
        scored = [spread for _, spread in self.spreads() if spread.mean is not None]
        if not scored:
            return f"No fit gave a {self.role} {'area under the ROC curve' if self.multilabel else 'accuracy'}."
        low, high = (limit(float(spread.mean or 0) for spread in scored) for limit in (min, max))
        widest = max(float(spread.high or 0) - float(spread.low or 0) for spread in scored)
        what = " and ".join(column_names(self.fields).values()).replace("_", " ")
        if self.multilabel:
            seen = (
                f"Mean areas under the ROC curve over seeds range from {low:.3f} to {high:.3f}, and seeds of one "
                f"value differ by up to {widest:.3f}"
            )
        else:
            seen = (
                f"Mean accuracies over seeds range from {100 * low:.1f} to {100 * high:.1f} %, seeds of one value "
                f"differ by up to {100 * widest:.1f} points, and one {self.role} image is worth "
                f"{100 / max(scored[0].n, 1):.1f} points"
            )
        return f"{seen}{_test_in_words(self.comparison, what)}{_left_out(self.comparison)}"


def compare_values(points: Sequence[Point], scores: Sequence[FitScores], role: Role) -> ValueComparison:
    """Compare values within seeds, by the accuracy, or of several labels by the mean area under the ROC curve.

    Values of which no fit has scores are left out first, then seeds of which a fit has none.
    """
    values = list(dict.fromkeys(point.key for point in points))
    names = {point.key: ", ".join(map(as_text, point.values.values())) for point in points}
    seeds = list(dict.fromkeys(point.seed for point in points))
    correct = np.full((len(values), len(seeds)), np.nan)
    images = np.full(correct.shape, np.nan)
    for point, fit_scores in zip(points, scores, strict=True):
        score = getattr(fit_scores, role)
        if fit_scores.refused is None and score.n:
            place = values.index(point.key), seeds.index(point.seed)
            if not isinstance(score, LabelScore):
                correct[place], images[place] = score.correct, score.n
            elif score.auc is not None:
                correct[place], images[place] = round(score.auc / AREA_UNIT), 1
    has_scores = ~np.isnan(correct)
    value_kept = has_scores.any(axis=1)
    seed_kept = has_scores[value_kept].all(axis=0) & value_kept.any()
    correct, images = (table[value_kept][:, seed_kept] for table in (correct, images))
    # Counts compare ties exactly; accuracies are needed where the numbers of images differ.
    table = correct if np.unique(images).size <= 1 else correct / images
    return ValueComparison(
        p_value=blocked_permutation_p(table) if min(table.shape) >= 2 else None,
        values=table.shape[0],
        seeds=table.shape[1],
        without=tuple(names[key] for key, kept in zip(values, value_kept, strict=True) if not kept),
        seeds_left_out=int((~seed_kept).sum()),
    )


def _test_in_words(comparison: ValueComparison, what: str) -> str:
    if comparison.p_value is None:
        return f"; {_why_no_p_value(comparison, what)}."
    p = f"(p = {comparison.p_value:.2g}, permutation within seeds)"
    if comparison.p_value < SIGNIFICANT:
        return f": {what} makes a difference {p}."
    least = least_p(comparison.values, comparison.seeds)
    if least >= SIGNIFICANT:
        return (
            f": {comparison.seeds} seeds cannot show whether {what} makes a difference {p}, because with "
            f"{comparison.values} values p is never below {least:.2g}; at least {seeds_needed(comparison.values)} "
            "seeds are needed."
        )
    return f": no difference between values of {what} was detected {p}."


def _why_no_p_value(comparison: ValueComparison, what: str) -> str:
    if comparison.values < 2:
        there_is = "only one value has scores" if comparison.without else "there is only one"
        return f"two values are needed to see whether {what} makes a difference, and {there_is}"
    if comparison.seeds_left_out and not comparison.seeds:
        return f"whether {what} makes a difference is not known, because with every seed a fit has no scores"
    which = " with scores of all fits" if comparison.seeds_left_out else ""
    return (
        f"at least {seeds_needed(comparison.values)} seeds are needed to see whether {comparison.values} values of "
        f"{what} make a difference, and there is only one{which}"
    )


def _left_out(comparison: ValueComparison) -> str:
    text = f" No fit of {' and of '.join(comparison.without)} has scores." if comparison.without else ""
    if comparison.seeds_left_out and comparison.seeds:
        seeds = "1 seed is" if comparison.seeds_left_out == 1 else f"{comparison.seeds_left_out} seeds are"
        text += f" {seeds} left out of the comparison, because a fit has no scores."
    return text
