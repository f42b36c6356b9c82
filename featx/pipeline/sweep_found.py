"""What a sweep found."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from featx.pipeline.hashing import Failure
from featx.pipeline.sweep_fits import FitScores
from featx.pipeline.sweep_grid import Point, column_names
from featx.pipeline.sweep_verdict import Role, Verdict, sentence
from featx.seed_stats import SeedSpread, spread_of
from featx.stats import Score


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
