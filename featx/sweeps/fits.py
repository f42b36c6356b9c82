"""The fits of a sweep: each done once, its scores kept in a small file."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from featx.data import Dataset
from featx.digests import digest_of
from featx.errors import DataError, StoreError, UntrustedError
from featx.features import Extraction, OnError, data_digest
from featx.heads import FitEngine, check_to_fit, check_usable, engine_on_cpu, extract_to_fit, fit_rows, read_to_fit
from featx.networks import find_weights, load_keras
from featx.progress import listening, nobody
from featx.recipes import FeatureSpec, Recipe
from featx.stats import Score
from featx.store import load_document, save_document
from featx.sweeps.grid import Point

FITS = "fits"
# Raised by hand when a fit of the same recipe gives other scores.
FIT_RULE = 1


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
    """

    data: Path
    out: Path
    cache: Path
    engine: FitEngine
    on_error: OnError

    def __post_init__(self) -> None:
        self._extractions: dict[str, tuple[Extraction, str]] = {}

    @cached_property
    def dataset(self) -> Dataset:
        """The data, read once."""
        return read_to_fit(self.data, self.on_error)

    def check(self, points: Sequence[Point]) -> None:
        """Check of every fit before any work that it can be done and that there is something to score.

        Raises:
            FeatxError: What `extract_to_fit` raises before it reads images, or there is nothing to score.
        """
        recipes = [point.recipe for point in points]
        for recipe in {(one.head.model_dump_json(), one.fit.validation): one for one in recipes}.values():
            check_to_fit(self.dataset, recipe, self.engine)
            if not (self.dataset.split("test") or self.dataset.split("val") or recipe.fit.validation):
                raise DataError(
                    f"Expected a split test in {self.dataset.root}, or images held out for validation, found "
                    "neither; add a folder test, or set fit.validation above 0."
                )
        networks = {(one.backbone.name, one.backbone.weights) for one in recipes}
        if len(networks) > 1:
            # The last one's weights may be missing, which is better known before the first one's rows are computed.
            for name, source in sorted(networks):
                find_weights(name, source)

    def extract(self, points: Sequence[Point]) -> None:
        """Make sure of the features of all points, and that skipped images leave enough for each fit."""
        for point in points:
            extraction = self.extraction(point.recipe)
            if extraction.failed:
                check_usable(extraction, point.recipe)

    def extraction(self, recipe: Recipe) -> Extraction:
        """Return the features of a recipe; those of recipes that differ in head and fit alone are the same."""
        return self._known(recipe)[0]

    @property
    def extractions(self) -> list[Extraction]:
        """The features that were made sure of."""
        return [extraction for extraction, _ in self._extractions.values()]

    def _known(self, recipe: Recipe) -> tuple[Extraction, str]:
        """Return the features and the digest of the images, which is taken once for all fits."""
        spec = FeatureSpec.model_validate(recipe.model_dump(include=set(FeatureSpec.model_fields)))
        key = digest_of(spec.model_dump(mode="json"))
        if key not in self._extractions:
            found = extract_to_fit(self.dataset, recipe, self.cache, self.engine, self.on_error)
            groups = sorted([image.digest, image.item.group or ""] for image in found.images)
            self._extractions[key] = found, digest_of([data_digest(found.images), groups])
        return self._extractions[key]

    def done(self, point: Point) -> FitScores | None:
        """Return the scores of a fit that was done before."""
        document = load_document(self.out, FITS, self._key(point))
        return None if document is None else FitScores.from_json(document)

    def fit(self, point: Point) -> FitScores:
        """Fit, and keep the scores.

        Raises:
            StoreError: The sweep's folder cannot be written.
        """
        extraction = self.extraction(point.recipe)
        start = time.perf_counter()
        empty = Score(0, 0, None)
        try:
            with listening(nobody):  # the sweep itself tells how many fits are done
                fitted = fit_rows(extraction, point.recipe, self.engine)
            scores = fitted.scores(fitted.logits(fitted.fitter))
        except UntrustedError as error:
            found = FitScores(empty, empty, empty, self.engine, 0.0, str(error))
        else:
            seconds = round(time.perf_counter() - start, 3)
            found = FitScores(scores["fit"], scores["validation"], scores["test"], fitted.fitter.name, seconds)
        if "keras" in (found.engine, engine_on_cpu(self.engine, point.recipe.head)):
            # Keras keeps what it has built until it is told to forget it.
            load_keras().backend.clear_session()
        self._keep(point, found)
        return found

    def _keep(self, point: Point, found: FitScores) -> None:
        try:
            save_document(self.out, FITS, self._key(point), found.to_json())
        except StoreError as error:
            reason = getattr(error.__cause__, "strerror", None) or error.__cause__ or error
            raise StoreError(
                f"{self.out} cannot be written: {reason}; mend that and run the same command again, or choose "
                "another --out. Fits that were done are kept."
            ) from error

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
