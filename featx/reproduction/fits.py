"""The fits of a reproduction: a run that is what would be fitted is taken as it is."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from featx.data import read_data
from featx.errors import RecipeError, RunError
from featx.features import FeatureSpace, data_digest, extract, hash_images
from featx.heads import Head, class_indices, parts_of
from featx.networks import find_weights, is_model_file
from featx.recipes import PreprocessPart, Recipe, ViewsPart
from featx.reports import OpenedRun, has_random_weights
from featx.reproduction.plan import Fit
from featx.runs import HEAD, Run, fit_head, is_run, run_source, read_run
from featx.stats import Score, score
from featx.store import StatCache, Store

ROWS_AT_ONCE = 256


def fitted(fit: Fit, folder: Path, cache: Path) -> OpenedRun:
    """Return a run: the one in its folder if it is of this recipe, data and weights, else a new one.

    Raises:
        FeatxError: What `fit_head` raises.
    """
    run = _done(fit, folder, cache)
    if run is None:
        fit_head(fit.data, fit.recipe, folder, cache=cache)
        run = read_run(folder)
    told = OpenedRun(run, f"{fit.name}-", fit.title, cache)
    # What a table calls the run says so wherever it appears.
    return replace(told, name=f"{fit.title} (random weights)") if has_random_weights(told) else told


def _done(fit: Fit, folder: Path, cache: Path) -> Run | None:
    if not is_run(folder):
        return None
    try:
        run = read_run(folder)
        run.metrics, run.history
        run_source(run, "backbone", Store(cache))
        if run.manifest["head"]["penultimate"] is not None:
            run_source(run, "penultimate", Store(cache))
    except (RunError, RecipeError, KeyError):
        # Damaged, or its features have left the cache.
        return None
    weights = find_weights(fit.recipe.backbone.name, fit.recipe.backbone.weights)
    images, _ = hash_images(read_data(fit.data).items, "fail", StatCache(Store(cache).root))
    same = (
        (folder / HEAD).is_file()
        and _plain(run.recipe, fit.recipe) == _plain(fit.recipe, fit.recipe)
        and run.manifest["weights"]["sha256"] == weights.digest
        and run.manifest["data"]["sha256"] == data_digest(images)
        # A newer featx may make other features of the same recipe.
        and FeatureSpace.of(run.recipe, weights, Store(cache)).plain.id == run.manifest["features"]["feature_set"]
    )
    return run if same else None


def _plain(recipe: Recipe, wanted: Recipe) -> Recipe:
    """Return a recipe without its names, what a fit fills in, and places of files, for which digests stand."""
    part = recipe.preprocess
    if wanted.preprocess.mean is None:
        part = PreprocessPart(mode=part.mode)
    place = {"weights": "", **({"name": ""} if is_model_file(recipe.backbone.name) else {})}
    told = {"name": "", "description": "", "preprocess": part, "backbone": recipe.backbone.model_copy(update=place)}
    return recipe.model_copy(update=told)


def validation_scores(told: OpenedRun, data: Path, views: ViewsPart, cache: Path) -> tuple[Score, Score]:
    """Return a run's score of its validation images as they are, and of their augmented views.

    Args:
        told: The run.
        data: What it was fitted to.
        views: What they are like, at least 2 of each image, the image itself included.
        cache: The store's folder, in which the views are, as they are of all training images.
    """
    recipe = told.run.recipe.model_copy(update={"views": views})
    extraction = extract(data, recipe, cache=cache)
    images = parts_of(extraction, recipe).validation
    head = Head.load(told.run.path / HEAD)
    logits = head.logits(extraction.view_rows(images, views.count).chunks(ROWS_AT_ONCE))
    labels = class_indices(images, extraction.dataset.classes)
    by_view = logits.reshape(len(images), views.count, -1)
    augmented = by_view[:, 1:].reshape(len(images) * (views.count - 1), -1)
    return score(by_view[:, 0], labels), score(augmented, labels.repeat(views.count - 1))
