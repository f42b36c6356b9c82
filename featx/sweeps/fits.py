"""The fits of a sweep: each is done once, and its scores are kept in a small file."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from featx.data import Dataset
from featx.digests import digest_of
from featx.errors import DataError, StoreError, UntrustedError
from featx.features import Extraction, OnError, data_digest
from featx.heads import FitEngine, check_to_fit, check_usable, engine_on_cpu, extract_to_fit, fit_rows
from featx.networks import find_weights, load_keras
from featx.progress import listening, nobody
from featx.recipes import FeatureSpec, Recipe
from featx.stats import LabelScore, Score
from featx.store import load_document, save_document
from featx.sweeps.grid import Point

FITS = "fits"
# Raised by hand when the same recipe gives other scores.
FIT_RULE = 1


@dataclass(frozen=True)
class FitScores:
    """The scores of one fit.

    Attributes:
        train: Score on the training images.
        validation: Score on the validation images.
        test: Score on the test split.
        engine: What trained the head: `fused` or `keras`.
        seconds: Wall time of the training, without feature extraction; 0 if the fit was refused.
        refused: Why the fit has no scores, such as that it diverged; None if it has scores.
    """

    train: Score
    validation: Score
    test: Score
    engine: str
    seconds: float
    refused: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the scores as `fit_head` has them in its JSON."""
        scores = {name: getattr(self, name).to_json() for name in ("train", "validation", "test")}
        return {**scores, "engine": self.engine, "seconds": self.seconds, "refused": self.refused}

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> FitScores:
        """Return the scores of a document that `to_json` made."""
        train, validation, test = (_score(document[name]) for name in ("train", "validation", "test"))
        return cls(train, validation, test, document["engine"], document["seconds"], document["refused"])


def _score(document: dict[str, Any]) -> Score:
    return (LabelScore if "auc" in document else Score).from_json(document)


@dataclass
class Fits:
    """Trains the heads of a sweep; the attributes are the arguments of `sweep`, with the data that was read."""

    dataset: Dataset
    out: Path
    cache: Path
    engine: FitEngine
    on_error: OnError
    _extractions: dict[str, tuple[Extraction, str]] = field(default_factory=dict, init=False)

    def for_a_process(self) -> Fits:
        """Return the same without what was opened, for a process of its own."""
        return Fits(self.dataset, self.out, self.cache, self.engine, self.on_error)

    def check(self, points: Sequence[Point]) -> None:
        """Check, before images are read, that every fit can be done and has images to score."""
        recipes = [point.recipe for point in points]
        for recipe in {
            (one.head.model_dump_json(), one.fit.validation, one.fit.keeps_best, one.fit.members): one
            for one in recipes
        }.values():
            check_to_fit(self.dataset, recipe, self.engine)
            if not (self.dataset.split("test") or self.dataset.split("val") or recipe.fit.validation):
                raise DataError(
                    f"Expected a split test in {self.dataset.place}, or images held out for validation, found "
                    "neither; add a folder test, or set fit.validation above 0."
                )
        networks = {(one.backbone.name, one.backbone.weights) for one in recipes}
        if len(networks) > 1:
            # Missing weights are better known before features of other networks are computed.
            for name, source in sorted(networks):
                find_weights(name, source)

    def extract(self, points: Sequence[Point]) -> None:
        """Compute the features that are missing, and check that skipped images leave enough for each fit."""
        for point in points:
            extraction = self.extraction(point.recipe)
            if extraction.failed:
                check_usable(extraction, point.recipe)

    def extraction(self, recipe: Recipe) -> Extraction:
        """Return the features of a recipe; recipes that differ in `head` and `fit` only share them."""
        return self._extracted(recipe)[0]

    @property
    def extractions(self) -> list[Extraction]:
        """The features of all recipes so far."""
        return [extraction for extraction, _ in self._extractions.values()]

    def _extracted(self, recipe: Recipe) -> tuple[Extraction, str]:
        """Return the features and the digest of their images and groups."""
        spec = FeatureSpec.model_validate(recipe.model_dump(include=set(FeatureSpec.model_fields)))
        key = digest_of(spec.model_dump(mode="json"))
        if key not in self._extractions:
            # Images that were set aside for testing once are so for all recipes.
            dataset = self.extractions[0].dataset if self._extractions else self.dataset
            extraction = extract_to_fit(dataset, recipe, self.cache, self.engine, self.on_error)
            groups = sorted([image.digest, image.item.group or ""] for image in extraction.images)
            images = data_digest(extraction.images, extraction.dataset.classes)
            self._extractions[key] = extraction, digest_of([images, groups])
        return self._extractions[key]

    def done(self, point: Point) -> FitScores | None:
        """Return the kept scores of a fit; None if it was not done."""
        document = load_document(self.out, FITS, self._key(point))
        try:
            return None if document is None else FitScores.from_json(document)
        except (KeyError, TypeError, ValueError):  # of another program, or forged
            return None

    def fit(self, point: Point) -> FitScores:
        """Train a head and keep its scores."""
        extraction = self.extraction(point.recipe)
        start = time.perf_counter()
        empty = Score(0, 0, None)
        try:
            with listening(nobody):  # the sweep reports how many fits are done
                fitted = fit_rows(extraction, point.recipe, self.engine)
            scores = fitted.scores(fitted.logits(fitted.fitter))
        except UntrustedError as error:
            result = FitScores(empty, empty, empty, self.engine, 0.0, str(error))
        else:
            seconds = round(time.perf_counter() - start, 3)
            result = FitScores(scores["fit"], scores["validation"], scores["test"], fitted.fitter.name, seconds)
        if "keras" in (result.engine, engine_on_cpu(self.engine, point.recipe.head)):
            # Keras keeps every model in memory until its session is cleared.
            load_keras().backend.clear_session()
        self._keep(point, result)
        return result

    def _keep(self, point: Point, scores: FitScores) -> None:
        try:
            save_document(self.out, FITS, self._key(point), scores.to_json())
        except StoreError as error:
            reason = getattr(error.__cause__, "strerror", None) or error.__cause__ or error
            raise StoreError(
                f"{self.out} cannot be written: {reason}; fix that and run the same command again, or choose "
                "another --out. Finished fits are kept."
            ) from error

    def _key(self, point: Point) -> str:
        """Return the digest of all that changes a fit's scores."""
        extraction, images = self._extracted(point.recipe)
        return digest_of(
            {
                "rule": FIT_RULE,
                "images": images,
                "features": [extraction.space.plain.id, extraction.space.augmented.id],
                "views": point.recipe.views.count,
                "head": point.recipe.head.key(),
                "fit": point.recipe.fit.key(),
                "engine": self.engine,
            }
        )
