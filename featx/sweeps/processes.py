"""How many fits of a sweep run at once, and where."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from functools import partial

from featx.heads import fit_bytes
from featx.limits import Pace, permitted, permitting
from featx.machine import available_memory, usable_cpus
from featx.networks import gpu_is_there
from featx.sweeps.fits import Fits, FitScores
from featx.sweeps.grid import Point
from featx.sweeps.worker_processes import in_processes

log = logging.getLogger("featx")


def fit_all(fits: Fits, points: Sequence[Point], jobs: int) -> Iterator[tuple[Point, FitScores]]:
    """Yield the scores of every point in the order in which fits end; finished fits of earlier calls come first.

    `jobs` is the most processes; there are fewer, with a notice, where memory or a GPU do not allow as many. Scores
    do not depend on their number.
    """
    fits.extract(points)
    missing = []
    for point in points:
        kept = fits.done(point)
        if kept is None:
            missing.append(point)
        else:
            yield point, kept
    if len(missing) < len(points):
        log.info("%d of %d fits were done before.", len(points) - len(missing), len(points))
    jobs = affordable(fits, missing, min(jobs, len(missing)))
    if jobs > 1:
        work = partial(_fit, fits.for_a_process(), permitted())
        done = in_processes(work, missing, jobs, max(1, usable_cpus() // jobs))
    else:
        done = ((point, fits.fit(point)) for point in missing)
    pace = Pace(
        len(missing), f"a sweep of {len(missing):,} fits", "try fewer values or --seeds; finished fits are kept"
    )
    for finished in done:
        yield finished
        pace.step()


def _fit(fits: Fits, yes: bool, point: Point) -> FitScores:
    """Fit in a worker process, whose own `Fits` opens the features once for all its fits."""
    with permitting(yes):
        return fits.fit(point)


def affordable(fits: Fits, points: Sequence[Point], jobs: int) -> int:
    """Return how many of the jobs can run at once, with a notice if they are fewer."""
    if jobs < 2:
        return jobs
    if gpu_is_there():
        log.warning("One fit at a time instead of %d, because all would share one GPU's memory.", jobs)
        return 1
    classes, several = len(fits.dataset.classes), fits.dataset.multilabel
    largest = max(
        fit_bytes(point.recipe, fits.extraction(point.recipe).dim, classes, fits.engine, multilabel=several)
        for point in points
    )
    allowed = max(1, available_memory() // largest)
    if allowed < jobs:
        log.warning("%d fits at once instead of %d, because free memory allows no more.", allowed, jobs)
    return min(jobs, allowed)
