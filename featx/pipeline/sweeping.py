"""Repeated fits over one or several settings, and whether the settings matter beside the seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from featx import runs
from featx.pipeline.fit_engines import FitEngine
from featx.pipeline.hashing import OnError
from featx.pipeline.progress import Progress, silent
from featx.pipeline.sweep_fits import FITS, Fits, FitScores, fit_all
from featx.pipeline.sweep_grid import Point, column_names, points_of
from featx.plots import save
from featx.plots_sweep import sweep as draw_sweep
from featx.recipe import Recipe
from featx.recipe_files import dump_recipe, load_recipe
from featx.seed_stats import SeedSpread, blocked_permutation_p, spread_of

SWEEP = "sweep.json"
ALPHA = 0.05


@dataclass(frozen=True)
class Sweep:
    """What a sweep found.

    Attributes:
        out: Its folder.
        fields: Dotted names of what varied.
        points: What was fitted, in the order of values and seeds.
        scores: What came of each.
        p_value: Probability of test accuracies that differ as much between values if values made no difference;
            None where there are no two values and seeds.
        files: What was written besides single fits.
    """

    out: Path
    fields: tuple[str, ...]
    points: tuple[Point, ...]
    scores: tuple[FitScores, ...]
    p_value: float | None
    files: tuple[Path, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the JSON of `featx sweep`."""
        names = column_names(self.fields)
        return {
            "rows": [
                {
                    **{names[field]: value for field, value in point.values.items()},
                    "seed": point.seed,
                    **scores.to_json(),
                }
                for point, scores in zip(self.points, self.scores, strict=True)
            ],
            "summary": {
                "values": [
                    {**{names[field]: value for field, value in values.items()}, **spread.to_json()}
                    for values, spread in self.spreads()
                ],
                "p_value": self.p_value,
                "conclusion": self.conclusion(),
            },
            "files": [str(path) for path in self.files],
        }

    def spreads(self) -> list[tuple[Mapping[str, Any], SeedSpread]]:
        """Return the spread of the test accuracy over the seeds, for each combination of values."""
        found: dict[tuple[Any, ...], list[FitScores]] = {}
        values: dict[tuple[Any, ...], Mapping[str, Any]] = {}
        for point, scores in zip(self.points, self.scores, strict=True):
            key = tuple(point.values.values())
            values[key] = point.values
            found.setdefault(key, []).append(scores)
        return [(values[key], spread_of([one.test for one in scores])) for key, scores in found.items()]

    def conclusion(self) -> str:
        """Return in a sentence whether the values make a difference that the seeds alone do not."""
        names = " and ".join(column_names(self.fields).values()).replace("_", " ")
        spreads = [spread for _, spread in self.spreads()]
        known = [spread for spread in spreads if spread.mean is not None]
        if not known:
            return "No fit gave a test accuracy."
        low, high = (100 * limit(float(spread.mean or 0) for spread in known) for limit in (min, max))
        widest = 100 * max(float(spread.high or 0) - float(spread.low or 0) for spread in known)
        one = 100 / max(known[0].n, 1)
        told = (
            f"Means over seeds go from {low:.1f} to {high:.1f} %, seeds of one value differ by up to "
            f"{widest:.1f} points, and one test image is {one:.1f}"
        )
        if self.p_value is None:
            return f"{told}; whether {names} matters takes two values and two seeds."
        matters = "makes a difference" if self.p_value < ALPHA else "makes no difference that the seeds do not make"
        return f"{told}: {names} {matters} (p = {self.p_value:.2g}, permutation within seeds)."


def sweep(
    data: str | Path,
    recipe: Recipe | str,
    grid: Mapping[str, Sequence[Any]],
    out: str | Path,
    *,
    seeds: int = 3,
    cache: str | Path = "cache",
    engine: FitEngine = "auto",
    jobs: int = 1,
    on_error: OnError = "fail",
    progress: Progress = silent,
) -> Sweep:
    """Fit a recipe once for every combination of values and every seed; fits that were done before are not repeated.

    Args:
        data: A folder of class or split folders, or a manifest.
        recipe: A recipe, its name or the path of its file.
        grid: Values to try by dotted field, such as `{"fit.batch_size": range(5, 16)}`.
        out: The sweep's folder: absent, empty, or an earlier sweep's.
        seeds: Fits a combination; their seeds count up from the recipe's.
        cache: The store's folder; features are extracted once for all fits that share them.
        engine: What fits the heads.
        jobs: Processes; scores do not depend on it.
        on_error: What to do about images that cannot be read, see `extract`.
        progress: Told how far the work is.

    Raises:
        UsageError: A field or value is not valid.
        RunError: The folder holds other things.
        FeatxError: What `fit_head` raises, but for fits that diverge: those have no scores.
    """
    recipe = load_recipe(recipe) if isinstance(recipe, str) else recipe
    first = recipe.fit.seed
    points = points_of(recipe, {field: list(values) for field, values in grid.items()}, range(first, first + seeds))
    out = Path(out)
    runs.check_folder(out, "sweep", (FITS,))
    fits = Fits(Path(data), out, Path(cache), engine, on_error, progress)
    found: dict[int, FitScores] = {}
    places = {id(point): number for number, point in enumerate(points)}
    for point, scores in fit_all(fits, points, jobs):
        found[places[id(point)]] = scores
        progress("fits", len(found), len(points))
    ordered = tuple(found[number] for number in range(len(points)))
    return _written(Sweep(out, tuple(grid), tuple(points), ordered, _p_value(points, ordered), ()), recipe)


def _p_value(points: Sequence[Point], scores: Sequence[FitScores]) -> float | None:
    """Compare values within seeds; seeds of which a fit gives no scores are left out."""
    values = list(dict.fromkeys(tuple(point.values.values()) for point in points))
    seeds = list(dict.fromkeys(point.seed for point in points))
    table = np.full((len(values), len(seeds)), np.nan)
    for point, one in zip(points, scores, strict=True):
        if one.test.accuracy is not None:
            table[values.index(tuple(point.values.values())), seeds.index(point.seed)] = one.test.accuracy
    whole = table[:, ~np.isnan(table).any(axis=0)]
    return blocked_permutation_p(whole) if min(whole.shape) >= 2 else None


def _written(found: Sweep, recipe: Recipe) -> Sweep:
    names = column_names(found.fields)
    spreads = found.spreads()
    accuracies = [list(spread.accuracies) for _, spread in spreads]
    labels = [", ".join(str(value) for value in values.values()) for values, _ in spreads]
    axes = draw_sweep(labels, accuracies, ", ".join(names.values()).replace("_", " "))
    files = [
        runs.write_text(found.out / runs.RECIPE, dump_recipe(recipe)),
        _write_rows(found, list(names.values())),
        _write_summary(found, list(names.values())),
        *(
            runs.write_file(found.out / f"sweep{ending}", lambda draft: save(axes, draft))
            for ending in (".png", ".svg")
        ),
    ]
    whole = Sweep(**{**vars(found), "files": (*files, found.out / SWEEP)})
    runs.write_json(found.out / SWEEP, whole.to_json())
    return whole


def _write_rows(found: Sweep, names: Sequence[str]) -> Path:
    rows = []
    for point, scores in zip(found.points, found.scores, strict=True):
        test, validation = scores.test, scores.validation
        rows.append(
            [
                *point.values.values(),
                *(point.seed, test.n, test.correct, test.accuracy, test.loss),
                *(
                    validation.accuracy,
                    validation.loss,
                    scores.train.accuracy,
                    scores.engine,
                    round(scores.seconds, 3),
                ),
                scores.refused,
            ]
        )
    header = [
        *names,
        *("seed", "test_n", "test_correct", "test_accuracy", "test_loss", "validation_accuracy", "validation_loss"),
        *("train_accuracy", "engine", "seconds", "refused"),
    ]
    return runs.write_csv(found.out / "sweep.csv", header, rows)


def _write_summary(found: Sweep, names: Sequence[str]) -> Path:
    columns = ("fits", "refused", "n", "mean", "sd", "low", "high", "interval_low", "interval_high", "loss")
    rows = []
    for values, spread in found.spreads():
        interval = spread.interval or (None, None)
        numbers = (spread.mean, spread.sd, spread.low, spread.high, *interval, spread.loss)
        rows.append([*values.values(), len(spread.accuracies), spread.refused, spread.n, *numbers])
    return runs.write_csv(found.out / "summary.csv", [*names, *columns], rows)
