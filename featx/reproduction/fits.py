"""The fits of a reproduction; a run that is already what a fit would give is used."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from featx.data import read_data
from featx.errors import RecipeError, RunError
from featx.features import FeatureSpace, data_digest, extract, hash_images
from featx.heads import class_indices, images_by_role
from featx.networks import find_weights
from featx.recipes import PreprocessPart, Recipe, ViewsPart, is_network_path
from featx.reports import OpenedRun, has_random_weights
from featx.reproduction.plan import PlannedFit
from featx.runs import HEAD, ROWS_AT_ONCE, Run, fit_head, is_run, load_head, read_run
from featx.stats import Score, score
from featx.store import StatCache, Store


def fitted(fit: PlannedFit, folder: Path, cache: Path) -> OpenedRun:
    """Return the run in the folder if it has this recipe, data and weights, else a new run."""
    opened = _finished(fit, folder, cache)
    if opened is None:
        fit_head(fit.data, fit.recipe, out=folder, cache=cache)
        opened = _opened(fit, folder, cache)
    # Every table that names the run says that its weights are random.
    return replace(opened, name=f"{fit.title} (random weights)") if has_random_weights(opened) else opened


def _opened(fit: PlannedFit, folder: Path, cache: Path) -> OpenedRun:
    return OpenedRun(read_run(folder), f"{fit.name}-", fit.title, cache)


def _finished(fit: PlannedFit, folder: Path, cache: Path) -> OpenedRun | None:
    """Return the run in the folder if it is the one wanted, and whole, with its features in the cache."""
    if not is_run(folder):
        return None
    try:
        opened = _opened(fit, folder, cache)
        _ = opened.run.metrics, opened.run.history
        for layer in opened.layers:
            opened.source(layer)
    except (RunError, RecipeError, KeyError):
        return None
    return opened if (folder / HEAD).is_file() and _is_wanted(fit, opened.run, Store(cache)) else None


def _is_wanted(fit: PlannedFit, run: Run, store: Store) -> bool:
    weights = find_weights(fit.recipe.backbone.name, fit.recipe.backbone.weights)
    images, _ = hash_images(read_data(fit.data).items, "fail", StatCache(store.root))
    return (
        _comparable(run.recipe, fit.recipe) == _comparable(fit.recipe, fit.recipe)
        and run.manifest["weights"]["sha256"] == weights.digest
        and run.manifest["data"]["sha256"] == data_digest(images)
        # A newer featx may compute other features with the same recipe.
        and FeatureSpace(run.recipe, weights, store).plain.id == run.manifest["features"]["feature_set"]
    )


def _comparable(recipe: Recipe, wanted: Recipe) -> Recipe:
    """Return a recipe without its names, what a fit fills in, and file paths, which are compared by digests."""
    part = recipe.preprocess
    if wanted.preprocess.mean is None:
        part = PreprocessPart(mode=part.mode)
    place = {"weights": "", **({"name": ""} if is_network_path(recipe.backbone.name) else {})}
    backbone = recipe.backbone.model_copy(update=place)
    images = recipe.images
    if wanted.images.depth == "data":
        images = images.model_copy(update={"depth": "data"})
    own = {"preprocess": part, "backbone": backbone, "images": images}
    return recipe.model_copy(update={"name": "", "description": "", **own})


def augmented_score(opened: OpenedRun, data: Path, views: ViewsPart, cache: Path) -> Score:
    """Return a run's score on augmented views of its validation images; the first view, the image, is left out."""
    recipe = opened.run.recipe.model_copy(update={"views": views})
    extraction = extract(data, recipe, cache=cache)
    images = images_by_role(extraction, recipe).validation
    head = load_head(opened.run)
    logits = head.logits(extraction.view_rows(images, views.count).chunks(ROWS_AT_ONCE))
    augmented = logits.reshape(len(images), views.count, -1)[:, 1:]
    labels = class_indices(images, extraction.dataset.classes).repeat(views.count - 1)
    return score(augmented.reshape(len(labels), -1), labels)
