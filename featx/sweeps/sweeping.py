"""The verb `sweep`: repeated fits over settings, and whether the settings matter more than the seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Unpack

from featx.arguments import SEEDS
from featx.errors import StoreError, UnwrittenError, UsageError
from featx.features import Choice, OnError, data_choice
from featx.files import check_folder
from featx.heads import FitEngine, read_to_fit
from featx.progress import Progress, report_progress, reports_progress
from featx.recipes import Recipe
from featx.runs import HeadName, data_facts, recipe_to_fit, versions
from featx.sweeps.fits import FITS, Fits, FitScores
from featx.sweeps.grid import Point, points_of
from featx.sweeps.processes import fit_all
from featx.sweeps.result import Role, Sweep, compare_values
from featx.sweeps.writing import write_sweep


@reports_progress
def sweep(
    data: Any,
    recipe: Recipe | str | Path | None = None,
    *,
    grid: Mapping[str, Sequence[Any]],
    out: str | Path,
    head: HeadName | None = None,
    seeds: int = 3,
    cache: str | Path = "cache",
    engine: FitEngine = "auto",
    jobs: int = 1,
    on_error: OnError = "fail",
    yes: bool = False,
    progress: Progress | None = None,
    **choice: Unpack[Choice],
) -> Sweep:
    """Fit a recipe once for every combination of values and every seed; finished fits are not repeated.

    Args:
        data: A folder of class or split folders, a manifest, a data frame or images in memory, see `read_data`.
        recipe: A recipe, its name or the path of its file; without it the recipe of `head` is used.
        grid: Values to try by dotted field, such as `{"fit.batch_size": range(5, 16)}`; `None` leaves a field empty.
        out: The sweep's folder: absent, empty, or an earlier sweep's.
        head: `linear` (the default) or `mlp`, instead of a recipe, on the features of a backbone of one's choice.
        seeds: Number of fits for each combination; their seeds count up from the recipe's.
        cache: The store's folder; features are extracted once for all fits that share them.
        engine: What trains the heads: `auto`, `fused` or `keras`.
        jobs: Most fits at once, each in a process; scores do not depend on it. A script that asks for several must
            call this below `if __name__ == "__main__":`.
        on_error: What to do about images that cannot be read, see `extract`.
        yes: Do work that is estimated to need more disk, memory or time than there is.
        progress: Called with what is being done, how much of it is done and how much there is.
        choice: Single fields of the features, and how the data is read, see `Choice`.

    Returns:
        The scores of every fit and the comparison of the values. A fit that diverges has no scores.

    Raises:
        UsageError: A field or value is not valid.
        RunError: The folder holds other files.
        ResourcesError: There are so many fits that they would take more than a day.
        UnwrittenError: The sweep's files cannot be written; the error has the result.
        FeatxError: What `fit_head` raises.
    """
    weights = choice.pop("weights", None)
    recipe = recipe_to_fit(recipe, head, choice)
    first = recipe.fit.seed
    if seeds > SEEDS - first:
        raise UsageError(f"Expected seeds below {SEEDS}, received {seeds} seeds from {first}; try fewer.")
    points = points_of(recipe, grid, range(first, first + seeds), weights)
    out = Path(out)
    check_folder(out, "sweep", (FITS,))
    fits = Fits(read_to_fit(data, cache, on_error, **data_choice(choice)), out, Path(cache), engine, on_error)
    fits.check(points)
    done: dict[int, FitScores] = {}
    for point, scores in fit_all(fits, points, jobs):
        done[id(point)] = scores
        report_progress("fits", len(done), len(points))
    ordered = tuple(done[id(point)] for point in points)
    result = _result(fits, tuple(grid), points, ordered)
    try:
        return write_sweep(result, recipe)
    except StoreError as error:
        raise UnwrittenError(error, result) from error


def _result(fits: Fits, fields: tuple[str, ...], points: Sequence[Point], scores: tuple[FitScores, ...]) -> Sweep:
    extraction = fits.extraction(points[0].recipe)
    role: Role = "test" if extraction.select("test") else "validation"
    return Sweep(
        out=fits.out,
        fields=fields,
        points=tuple(points),
        scores=scores,
        role=role,
        comparison=compare_values(points, scores, role),
        failed=tuple({failure.path: failure for one in fits.extractions for failure in one.failed}.values()),
        data=data_facts(extraction),
        versions=versions(extraction),
    )
