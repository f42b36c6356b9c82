"""The fits of a sweep: each done once, its scores kept in a small file, in this process or in several."""

from __future__ import annotations

import logging
import multiprocessing
import os
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from featx.canonical import digest_of
from featx.documents import load_document, save_document
from featx.errors import UntrustedError
from featx.framework import load_keras
from featx.machine import this_machine, usable_cpus
from featx.pipeline.extraction import Extraction
from featx.pipeline.fit_engines import FitEngine
from featx.pipeline.hashing import OnError, data_digest
from featx.pipeline.head_fits import extract_to_fit, fit_rows
from featx.pipeline.progress import Progress, silent
from featx.pipeline.sweep_grid import Point
from featx.recipe import DenseLayer, FeatureSpec, Recipe
from featx.stats import Score

log = logging.getLogger("featx")

FITS = "fits"
# Raised by hand when a fit of the same recipe gives other scores.
FIT_RULE = 1
# TensorFlow and all else that a process has loaded.
PROCESS_BYTES = 0.8e9


@dataclass(frozen=True)
class FitScores:
    """What one fit gave.

    Attributes:
        train: Score of the images fitted on.
        validation: Of those held out.
        test: Of the test split.
        engine: What fitted the head.
        seconds: Of the fit, extraction apart; 0 where it was refused.
        refused: Why the fit gives no scores, as when it diverged; None where it does.
    """

    train: Score
    validation: Score
    test: Score
    engine: str
    seconds: float
    refused: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the scores as `fit-head` does; `refused` where there are none."""
        scores = {name: getattr(self, name).to_json() for name in ("train", "validation", "test")}
        return {**scores, "engine": self.engine, "seconds": self.seconds, "refused": self.refused}

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> FitScores:
        """Return what `to_json` gave."""
        train, validation, test = (
            Score(document[name]["n"], document[name]["correct"], document[name]["loss"])
            for name in ("train", "validation", "test")
        )
        return cls(train, validation, test, document["engine"], document["seconds"], document["refused"])


@dataclass
class Fits:
    """How the fits of a sweep are done.

    Attributes:
        data: What is fitted to.
        out: The sweep's folder.
        cache: The store's folder.
        engine: What fits the heads.
        on_error: What to do about images that cannot be read.
        progress: Told how far the extraction is.
    """

    data: Path
    out: Path
    cache: Path
    engine: FitEngine
    on_error: OnError
    progress: Progress = silent

    def __post_init__(self) -> None:
        self._extractions: dict[str, tuple[Extraction, str]] = {}

    def extraction(self, recipe: Recipe) -> Extraction:
        """Return the features of a recipe; those of recipes that differ in head and fit alone are the same."""
        return self._known(recipe)[0]

    def _known(self, recipe: Recipe) -> tuple[Extraction, str]:
        """Return the features and the digest of the images, which is taken once for all fits."""
        spec = FeatureSpec.model_validate(recipe.model_dump(include=set(FeatureSpec.model_fields)))
        key = digest_of(spec.model_dump(mode="json"))
        if key not in self._extractions:
            found = extract_to_fit(self.data, recipe, self.cache, self.engine, self.on_error, self.progress)
            groups = sorted([image.digest, image.item.group or ""] for image in found.images)
            self._extractions[key] = found, digest_of([data_digest(found.images), groups])
        return self._extractions[key]

    def done(self, point: Point) -> FitScores | None:
        """Return the scores of a fit that was done before."""
        document = load_document(self.out, FITS, self._key(point))
        return None if document is None else FitScores.from_json(document)

    def fit(self, point: Point) -> FitScores:
        """Fit, and keep the scores."""
        extraction = self.extraction(point.recipe)
        start = time.perf_counter()
        empty = Score(0, 0, None)
        try:
            fitted = fit_rows(extraction, point.recipe, self.engine, silent)
            scores = fitted.scores(fitted.logits(fitted.fitter))
        except UntrustedError as error:
            found = FitScores(empty, empty, empty, self.engine, 0.0, str(error))
        else:
            seconds = round(time.perf_counter() - start, 3)
            found = FitScores(scores["fit"], scores["validation"], scores["test"], fitted.fitter.name, seconds)
            if fitted.fitter.name == "keras":
                # Keras keeps what it has built until it is told to forget it.
                load_keras().backend.clear_session()
        save_document(self.out, FITS, self._key(point), found.to_json())
        return found

    def _key(self, point: Point) -> str:
        """Return the digest of all that moves a fit's scores."""
        extraction, images = self._known(point.recipe)
        return digest_of(
            {
                "rule": FIT_RULE,
                "images": images,
                "features": [extraction.spaces.plain.id, extraction.spaces.augmented.id],
                "views": point.recipe.views.count,
                "head": point.recipe.head.model_dump(mode="json"),
                "fit": point.recipe.fit.model_dump(mode="json"),
                "engine": self.engine,
            }
        )


def fit_all(fits: Fits, points: Sequence[Point], jobs: int) -> Iterator[tuple[Point, FitScores]]:
    """Yield the scores of every point as they come; those of fits done before come first.

    Args:
        fits: How.
        points: What.
        jobs: Processes; lowered, with a notice, to what memory allows. The scores do not depend on it.
    """
    missing = []
    for point in points:
        known = fits.done(point)
        if known is None:
            missing.append(point)
        else:
            yield point, known
    if len(missing) < len(points):
        log.info("%d of %d fits were done before.", len(points) - len(missing), len(points))
    jobs = min(_affordable(fits, missing, jobs), len(missing))
    if jobs > 1:
        yield from _in_processes(fits, missing, jobs)
    else:
        yield from ((point, fits.fit(point)) for point in missing)


def _in_processes(fits: Fits, points: Sequence[Point], jobs: int) -> Iterator[tuple[Point, FitScores]]:
    threads = max(1, usable_cpus() // jobs)
    context = multiprocessing.get_context("spawn")
    how = (fits.data, fits.out, fits.cache, fits.engine, fits.on_error)
    pool = ProcessPoolExecutor(jobs, context, _start_worker, (threads, *how))
    try:
        running = {pool.submit(_fit_in_worker, point): point for point in points}
        for future in as_completed(running):
            yield running[future], future.result()
    finally:
        # What runs is finished and kept, what waits is not begun.
        pool.shutdown(cancel_futures=True)


_worker: list[Fits] = []


def _start_worker(threads: int, data: Path, out: Path, cache: Path, engine: FitEngine, on_error: OnError) -> None:
    for name in ("NUMBA_NUM_THREADS", "OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS"):
        os.environ[name] = str(threads)
    logging.getLogger("featx").setLevel(logging.ERROR)
    _worker.append(Fits(data, out, cache, engine, on_error))


def _fit_in_worker(point: Point) -> FitScores:
    return _worker[0].fit(point)


def _affordable(fits: Fits, points: Sequence[Point], jobs: int) -> int:
    available = this_machine().available
    if jobs < 2 or not points or available is None:
        return jobs
    largest = max(_fit_bytes(point.recipe, fits.extraction(point.recipe)) for point in points)
    fitting = max(1, int(available // (PROCESS_BYTES + largest)))
    if fitting < jobs:
        log.warning("%d fits at once instead of %d, which is what the free memory allows.", fitting, jobs)
    return min(jobs, fitting)


def _fit_bytes(recipe: Recipe, extraction: Extraction) -> float:
    """Return the bytes of a head's weights, both moments and gradients in single precision."""
    widths = [extraction.dim, *(layer.units for layer in recipe.head.layers if isinstance(layer, DenseLayer))]
    widths.append(len(extraction.dataset.classes))
    return 16.0 * sum((before + 1) * after for before, after in pairwise(widths))
