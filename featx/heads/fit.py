"""Train a head on cached features: checks of the data, the training, and its penultimate features."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Unpack

import numpy as np
from numpy.typing import NDArray

from featx.data import DataChoice, Dataset, check_for_fit, group_ids, groups_in_two_splits, read_data, targets_of
from featx.errors import RecipeError, UntrustedError
from featx.features import (
    Extraction,
    Image,
    OnError,
    SpacePair,
    extract_dataset,
    in_two_splits,
    refuse_two_labels,
    row_keys,
)
from featx.heads.engines import FitEngine, Fitter, check_engine, make_fitter
from featx.heads.estimates import PacedBatches, check_fit_memory
from featx.heads.head import Head, check_output
from featx.heads.sampling import ImagesByRole, TrainingBatches, images_by_role, label_array
from featx.heads.training import Epoch, Labels, balanced_label_weights, balanced_weights, fit_epochs
from featx.progress import report_progress
from featx.recipes import FitPart, Recipe
from featx.stats import LabelMetrics, Score, label_metrics, label_probabilities, score, score_labels
from featx.store import RowKey

ROWS_AT_ONCE = 256


@dataclass(frozen=True)
class MemberScores:
    """The scores of one member of a head with several.

    Attributes:
        seed: Seed of its initial weights and dropout.
        validation: Score on the validation images.
        test: Score on the test split.
    """

    seed: int
    validation: Score
    test: Score

    def to_json(self) -> dict[str, Any]:
        """Return the member's entry in the JSON of `featx fit-head`."""
        return {"seed": self.seed, "validation": self.validation.to_json(), "test": self.test.to_json()}


@dataclass(frozen=True)
class HeadFit:
    """A head that is trained.

    Attributes:
        extraction: The features.
        recipe: The recipe, with the channel statistics that the features were computed with.
        images: The images by their role in the fit.
        fitter: The engine, which gives the head and its logits.
        history: The results by epoch.
        steps: Number of batches in an epoch.
    """

    extraction: Extraction
    recipe: Recipe
    images: ImagesByRole
    fitter: Fitter
    history: tuple[Epoch, ...]
    steps: int

    def logits(self, head: Head | Fitter) -> dict[str, NDArray[np.float32]]:
        """Return the logits of the images by role, without dropout.

        Raises:
            UntrustedError: The training diverged in its last step.
        """
        logits = {role: _logits(head, self.extraction, images) for role, images in vars(self.images).items()}
        # The loss of the last step is measured before it, so only the logits show what it led to.
        _refuse_divergence(self.history[-1], *logits.values())
        return logits

    def member_scores(self, head: Head | Fitter) -> tuple[MemberScores, ...]:
        """Return the scores of each member by itself; none for a head with a single one."""
        if self.recipe.fit.members == 1:
            return ()
        parts = []
        for images in (self.images.validation, self.images.test):
            chunks = self.extraction.view_rows(images).chunks(ROWS_AT_ONCE)
            parts.append([self._score(logits, images) for logits in head.logits_of_members(chunks)])
        return tuple(map(MemberScores, self.recipe.fit.member_seeds(), *parts))

    def scores(self, logits: Mapping[str, NDArray[np.float32]]) -> dict[str, Score]:
        """Return the scores of the images by role."""
        return {role: self._score(logits[role], images) for role, images in vars(self.images).items()}

    def _score(self, logits: NDArray[np.float32], images: Sequence[Image]) -> Score:
        return score(logits, label_array(images, self.extraction.dataset), groups_of(images))

    def label_metrics(self, logits: Mapping[str, NDArray[np.float32]]) -> dict[str, tuple[LabelMetrics, ...]]:
        """Return the metrics of each label by role; empty for data with one label for each image."""
        dataset = self.extraction.dataset
        if not dataset.multilabel:
            return {}
        return {
            role: label_metrics(
                dataset.classes,
                label_probabilities(logits[role]),
                targets_of([image.item for image in images], dataset.classes),
                groups_of(images),
            )
            for role, images in vars(self.images).items()
        }


def groups_of(images: Sequence[Image]) -> list[str]:
    """Return the group of each image: images of one patient, or with the same bytes, have the same."""
    return group_ids([image.digest for image in images], [image.item.group for image in images])


def extract_to_fit(
    dataset: Dataset, recipe: Recipe, cache: str | Path, engine: FitEngine, on_error: OnError
) -> Extraction:
    """Check that a head can be trained on data, and compute the features that the cache lacks.

    Args:
        dataset: The images, from `read_to_fit`.
        recipe: Decides the features and the head.
        cache: Folder of the cache.
        engine: The engine that will train the head.
        on_error: What to do about images that cannot be used, see `extract`.

    Raises:
        UntrustedError: An image or group is in two splits, or an image is there under two labels.
        DataError: There are fewer than two classes, or too few images of one for the split.
        RecipeError: The head's output is not for this number of classes, the engine does not support a layer, or
            the best epoch is to be kept without validation images. For several labels any output is replaced, see
            `recipe_for`.
        FeatxError: What `extract` raises.
    """
    check_to_fit(dataset, recipe, engine)
    extraction = extract_dataset(dataset, recipe, cache=cache, on_error=on_error)
    check_usable(extraction, recipe)
    refuse_leaks(extraction.images)
    return extraction


def read_to_fit(data: Any, cache: str | Path, on_error: OnError, **choice: Unpack[DataChoice]) -> Dataset:
    """Read data; with `skip`, missing files of a manifest are reported later, with the other images that failed."""
    return read_data(data, missing="keep" if on_error == "skip" else "fail", cache=cache, **choice)


def check_to_fit(dataset: Dataset, recipe: Recipe, engine: FitEngine) -> None:
    """Check, before any image is read, that an engine can train a recipe's head on labelled images.

    Raises:
        FeatxError: The errors of `extract_to_fit` that need no image.
    """
    check_engine(engine, recipe.head)
    check_for_fit(dataset, recipe.fit.validation)
    _check_validation(dataset, recipe.fit)
    _check_members(recipe)
    if not dataset.multilabel:
        check_output(recipe.head, len(dataset.classes))
    check_fit_memory(recipe, None, dataset, engine)


def recipe_for(dataset: Dataset, recipe: Recipe) -> Recipe:
    """Return a recipe with the output that a head needs for data: for several labels `sigmoid`, one for each."""
    if not dataset.multilabel or recipe.head.output == "sigmoid":
        return recipe
    return recipe.model_copy(update={"head": recipe.head.model_copy(update={"output": "sigmoid"})})


def check_usable(extraction: Extraction, recipe: Recipe) -> None:
    """Check that enough images of each class are left after unusable images were skipped.

    Raises:
        DataError: Too few images of a class are left.
        RecipeError: The best epoch is to be kept, and no validation image is left.
    """
    usable = replace(extraction.dataset, items=tuple(image.item for image in extraction.images))
    check_for_fit(usable, recipe.fit.validation)
    _check_validation(usable, recipe.fit)


def _check_validation(dataset: Dataset, fit: FitPart) -> None:
    """Check that there are validation images to decide when training stops, or which epoch is the best."""
    if not fit.keeps_best or fit.validation > 0 or dataset.split("val"):
        return
    field, otherwise = "patience", "set the patience to 0 (--patience 0)"
    if fit.patience is None:
        field, otherwise = "keep", "keep the last epoch (--keep last)"
    raise RecipeError(
        f"Expected validation images for fit.{field} (--{field}) to decide by, but {dataset.place} has no split val "
        f"and fit.validation is 0; hold out a share (--validation 0.2), add a split val, or {otherwise}."
    )


def _check_members(recipe: Recipe) -> None:
    """Check that the members of a head can differ from one another."""
    same_start = recipe.head.logits_kernel == "zeros" and not recipe.head.dense_names()
    if recipe.fit.members > 1 and same_start and not recipe.head.has_dropout:
        raise RecipeError(
            f"Expected members that differ, but the {recipe.fit.members} heads of the recipe {recipe.name} would all "
            "be the same, because they start with zeros and have no dropout; fit one (--seeds 1)."
        )


def refuse_leaks(images: Sequence[Image]) -> None:
    """Check that no image and no group is in two splits, and that no image is there under two labels.

    Raises:
        UntrustedError: At least one is; the message counts them and names an example.
    """
    _refuse(images, "image", lambda image: image.digest)
    _refuse(images, "group", lambda image: image.item.group)
    refuse_two_labels(images)


def _refuse(images: Sequence[Image], what: str, identity: Callable[[Image], str | None]) -> None:
    """Check that no two images with the same identity are in different splits."""
    leaks = in_two_splits([image.item.split for image in images], [identity(image) for image in images])
    if not leaks:
        return
    one, two = (images[number] for number in leaks[0])
    found = f"{len(leaks)} {'is' if len(leaks) == 1 else 'are'} in two: the same image"
    way = f"keep each {what} in one split"
    if what == "group":
        found = f"{groups_in_two_splits([image.item for image in images])}: group {one.item.group!r}"
        way = "leave their images out of all splits but one (--keep-group-in train)"
    raise UntrustedError(
        f"Expected every {what} in one split only, but {found} is {one.item.id} in {one.item.split} and "
        f"{two.item.id} in {two.item.split}; results on such a test split cannot be trusted, so {way}, or have the "
        "images of a manifest divided anew (--split-column none --test 0.2)."
    )


def fit_rows(extraction: Extraction, recipe: Recipe, engine: FitEngine) -> HeadFit:
    """Train a recipe's head on features from `extract_to_fit`; for the engine see `make_fitter`.

    Raises:
        UntrustedError: The training diverged.
        DataError: A class cannot be divided without dividing a group.
        ResourcesError: The head does not fit into memory, or training takes more than a day.
    """
    spec = extraction.spec  # with what the training images and the network's card decide
    known = {"images": spec.images, "preprocess": spec.preprocess, "backbone": spec.backbone}
    dataset = extraction.dataset
    recipe = recipe_for(dataset, recipe.model_copy(update=known))
    classes, multilabel = len(dataset.classes), dataset.multilabel
    images = images_by_role(extraction, recipe)
    check_fit_memory(recipe, extraction.dim, dataset, engine)
    labels = label_array(images.fit, dataset)
    weights = None if recipe.fit.class_weight is None else _balanced(labels, classes)
    fitter = make_fitter(engine, recipe, extraction.dim, classes, weights, multilabel=multilabel)
    batches = TrainingBatches(
        rows=extraction.view_rows(images.fit, recipe.views.count),
        labels=labels,
        views=recipe.views.count,
        batch_size=recipe.fit.batch_size,
        seed=recipe.fit.seed,
    )

    held_out = label_array(images.validation, dataset)
    scored = partial(score_labels, areas=False) if multilabel else score  # areas would take longer than the epoch

    def validate() -> Score:
        # Training that diverges is refused after the epoch; NumPy need not warn of it before.
        with np.errstate(invalid="ignore"):
            logits = _logits(fitter, extraction, images.validation)
            return scored(logits, held_out)

    history = []
    paced = PacedBatches(batches, recipe.fit.epochs)
    for epoch in fit_epochs(fitter, paced, validate, recipe.fit):
        _refuse_divergence(epoch)
        report_progress("fitting", epoch.epoch + 1, recipe.fit.epochs)
        history.append(epoch)
    if len(history) < recipe.fit.epochs:
        report_progress("fitting", len(history), len(history))
    return HeadFit(extraction, recipe, images, fitter, tuple(history), batches.steps)


def _balanced(labels: Labels, classes: int) -> NDArray[np.float32]:
    """Return the weights of a balanced loss, see `make_fitter`."""
    if labels.ndim == 2:
        return balanced_label_weights(labels.astype(np.float32, copy=False))
    return balanced_weights(labels.astype(np.int64, copy=False), classes)


def _logits(head: Head | Fitter, extraction: Extraction, images: Sequence[Image]) -> NDArray[np.float32]:
    return head.logits(extraction.view_rows(images).chunks(ROWS_AT_ONCE))


def _refuse_divergence(epoch: Epoch, *logits: NDArray[np.float32]) -> None:
    losses = (loss for loss in (epoch.loss, epoch.val_loss) if loss is not None)
    if not all(map(math.isfinite, losses)) or not all(np.isfinite(values).all() for values in logits):
        raise UntrustedError(
            f"Expected a finite loss, but in epoch {epoch.epoch + 1} the training diverged at a learning rate of "
            f"{epoch.learning_rate:g}; lower fit.learning_rate (--learning-rate) and train again."
        )


def penultimate_of(head: Head, extraction: Extraction) -> SpacePair | None:
    """Return the feature spaces of a head's penultimate layer; None if the recipe names no such layer."""
    layer = head.penultimate_layer
    return None if layer is None else extraction.space.penultimate(head.digest(), layer)


def store_penultimate(head: Head, extraction: Extraction, target: SpacePair, views: int) -> None:
    """Compute the penultimate features that the cache lacks, with `views` views of each training image.

    Args:
        head: The head.
        extraction: The features that it was trained on.
        target: Where they are stored, from `penultimate_of`.
        views: Number of views, the image itself among them.

    Raises:
        StoreError: The cache cannot be written.
    """
    missing = target.missing(row_keys(extraction.images, views))
    for augmented in (False, True):
        chosen = [key for key in missing if (key[1] > 0) == augmented]
        if chosen:
            _fill(head, extraction, target, chosen)


def _fill(head: Head, extraction: Extraction, target: SpacePair, keys: Sequence[RowKey]) -> None:
    """Compute rows that all belong to one space."""
    source = extraction.space.of_view(keys[0][1]).rows(keys)
    done = 0
    with target.of_view(keys[0][1]).writer() as writer:
        for rows in head.penultimate(source.chunks(ROWS_AT_ONCE)):
            writer.add(keys[done : done + len(rows)], rows)
            done += len(rows)
            report_progress("penultimate features", done, len(keys))
