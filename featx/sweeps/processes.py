"""How many fits of a sweep run at once, and where."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

from featx.features import OnError
from featx.heads import FitEngine, engine_on_cpu
from featx.machine import this_machine, usable_cpus
from featx.networks import gpu_is_there
from featx.recipes import DenseLayer, HeadPart
from featx.sweeps.fits import Fits, FitScores
from featx.sweeps.grid import Point
from featx.sweeps.worker_processes import in_processes

log = logging.getLogger("featx")

# Peak memory of a process that fits, measured on Linux (docs/performance.md): with a head of few weights, which is
# what the libraries take, and what each weight of a large one adds: itself, both moments, and room to update them.
PROCESS_BYTES = 0.95e9
BYTES_A_WEIGHT = {"fused": 25.0, "keras": 35.0}


def fit_all(fits: Fits, points: Sequence[Point], jobs: int) -> Iterator[tuple[Point, FitScores]]:
    """Yield the scores of every point as they come; those of fits done before come first.

    Args:
        fits: How.
        points: What.
        jobs: Processes; lowered, with a notice, to what memory and a GPU allow. The scores do not depend on it.
    """
    fits.extract(points)
    missing = []
    for point in points:
        known = fits.done(point)
        if known is None:
            missing.append(point)
        else:
            yield point, known
    if len(missing) < len(points):
        log.info("%d of %d fits were done before.", len(points) - len(missing), len(points))
    jobs = affordable(fits, missing, min(jobs, len(missing)))
    if jobs > 1:
        how = (fits.data, fits.out, fits.cache, fits.engine, fits.on_error)
        threads = max(1, usable_cpus() // jobs)
        yield from in_processes(_fit_in_worker, missing, jobs, threads, _start_worker, how)
    else:
        yield from ((point, fits.fit(point)) for point in missing)


_worker: list[Fits] = []


def _start_worker(data: Path, out: Path, cache: Path, engine: FitEngine, on_error: OnError) -> None:
    _worker.append(Fits(data, out, cache, engine, on_error))


def _fit_in_worker(point: Point) -> FitScores:
    return _worker[0].fit(point)


def affordable(fits: Fits, points: Sequence[Point], jobs: int) -> int:
    """Return how many of the jobs can run at once; a notice tells where it is fewer, or where nobody knows."""
    if jobs < 2:
        return jobs
    if gpu_is_there():
        log.warning("One fit at a time instead of %d, as there is one GPU's memory for all.", jobs)
        return 1
    available = this_machine().available
    if available is None:
        log.warning(
            "This system does not tell how much memory is free: %d fits run at once whatever they need.", jobs
        )
        return jobs
    largest = max(
        fit_bytes(point.recipe.head, extraction.dim, len(extraction.dataset.classes), fits.engine)
        for point in points
        for extraction in [fits.extraction(point.recipe)]
    )
    fitting = max(1, int(available // largest))
    if fitting < jobs:
        log.warning("%d fits at once instead of %d, which is what the free memory allows.", fitting, jobs)
    return min(jobs, fitting)


def fit_bytes(head: HeadPart, width: int, classes: int, engine: FitEngine) -> float:
    """Return about how many bytes a process needs at most that fits a head on rows of a width, on a CPU."""
    widths = [width, *(layer.units for layer in head.layers if isinstance(layer, DenseLayer))]
    widths.append(1 if head.output == "sigmoid" else classes)
    weights = sum((before + 1) * after for before, after in pairwise(widths))
    return PROCESS_BYTES + BYTES_A_WEIGHT[engine_on_cpu(engine, head)] * weights
