"""A head trained on cached rows, and its penultimate features, before a run is written."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from featx.data import Dataset, check_for_fit, read_data
from featx.errors import UntrustedError
from featx.features import Extraction, Image, OnError, SpacePair, extract_dataset
from featx.heads.engines import FitEngine, Fitter, check_engine, make_fitter
from featx.heads.head import Head, check_output
from featx.heads.sampling import Parts, TrainingBatches, class_indices, parts_of
from featx.heads.training import Epoch, fit_epochs
from featx.progress import report_progress
from featx.recipes import Recipe
from featx.stats import Score, score
from featx.store import RowKey


def refuse_leaks(images: Sequence[Image]) -> None:
    """Check that no image and no group stands in two splits.

    Raises:
        UntrustedError: One does; the sentence names an example and counts them.
    """
    _refuse(images, "image", lambda image: image.digest)
    _refuse(images, "group", lambda image: image.item.group)


def _refuse(images: Sequence[Image], what: str, identity: Callable[[Image], str | None]) -> None:
    first: dict[str, Image] = {}
    leaks: dict[str, tuple[Image, Image]] = {}
    for image in images:
        name = identity(image)
        if name is None:
            continue
        other = first.setdefault(name, image)
        if other.item.split != image.item.split:
            leaks.setdefault(name, (other, image))
    if not leaks:
        return
    one, two = next(iter(leaks.values()))
    named = f"group {one.item.group!r}" if what == "group" else "the same image"
    raise UntrustedError(
        f"Expected every {what} in one split only, but {len(leaks)} {'is' if len(leaks) == 1 else 'are'} in two: "
        f"{named} is {one.item.id} in {one.item.split} and {two.item.id} in {two.item.split}; results on such a test "
        "split cannot be trusted, so keep each on one side."
    )


ROWS_AT_ONCE = 256


@dataclass(frozen=True)
class Penultimate:
    """Where a head's penultimate features are."""

    head: str
    layer: str
    spaces: SpacePair


def store_penultimate(head: Head, extraction: Extraction, views: int) -> Penultimate | None:
    """Compute and store the penultimate features of every row that is missing them.

    Returns:
        Where they are, or None where the recipe names no penultimate layer.
    """
    layer = head.penultimate_layer
    if layer is None:
        return None
    digest = head.digest()
    target = extraction.space.penultimate(digest, layer)
    keys = dict.fromkeys(
        (image.digest, view)
        for image in extraction.images
        for view in range(views if image.item.split == "train" else 1)
    )
    missing = target.missing(list(keys))
    for augmented in (False, True):
        chosen = [key for key in missing if (key[1] > 0) == augmented]
        if chosen:
            _fill(head, extraction, target, chosen)
    return Penultimate(digest, layer, target)


def _fill(head: Head, extraction: Extraction, target: SpacePair, keys: Sequence[RowKey]) -> None:
    """Compute rows that all are of one space."""
    source = extraction.space.of_view(keys[0][1]).rows(keys)
    done = 0
    with target.of_view(keys[0][1]).writer() as writer:
        for rows in head.penultimate(source.chunks(ROWS_AT_ONCE)):
            writer.add(keys[done : done + len(rows)], rows)
            done += len(rows)
            report_progress("penultimate features", done, len(keys))


@dataclass(frozen=True)
class HeadFit:
    """A fit that is done.

    Attributes:
        extraction: The features.
        recipe: With the statistics that the features were made with.
        parts: The images by what the fit did with them.
        fitter: The engine, which gives the head and its logits.
        history: One `Epoch` each.
        steps: Batches an epoch.
    """

    extraction: Extraction
    recipe: Recipe
    parts: Parts
    fitter: Fitter
    history: tuple[Epoch, ...]
    steps: int

    def logits(self, head: Head | Fitter) -> dict[str, NDArray[np.float32]]:
        """Return the logits of the images by role, dropout off.

        Raises:
            UntrustedError: The fit diverged in its last step.
        """
        found = {role: _logits(head, self.extraction, images) for role, images in vars(self.parts).items()}
        # The last step's loss is taken before the step; what it led to shows in the logits.
        _refuse_divergence(self.history[-1], *found.values())
        return found

    def scores(self, logits: Mapping[str, NDArray[np.float32]]) -> dict[str, Score]:
        """Return the score of each role's images."""
        classes = self.extraction.dataset.classes
        return {
            role: score(logits[role], class_indices(images, classes)) for role, images in vars(self.parts).items()
        }


def extract_to_fit(
    data: str | Path | Dataset, recipe: Recipe, cache: str | Path, engine: FitEngine, on_error: OnError
) -> Extraction:
    """Check that a head can be fitted to data, which may be read already, and make sure of its features.

    Raises:
        UntrustedError: An image or group stands in two splits.
        DataError: There are fewer than two classes, or too few images of one for the split.
        RecipeError: The head's output does not fit the number of classes, or the engine does not know a layer.
        FeatxError: What `extract` raises.
    """
    dataset = data if isinstance(data, Dataset) else read_to_fit(data, on_error)
    check_to_fit(dataset, recipe, engine)
    extraction = extract_dataset(dataset, recipe, cache=cache, on_error=on_error)
    check_usable(extraction, recipe)
    refuse_leaks(extraction.images)
    return extraction


def read_to_fit(data: str | Path, on_error: OnError) -> Dataset:
    """Read data; files that a manifest names and that are missing are told of later where images may be skipped."""
    return read_data(Path(data), missing="keep" if on_error == "skip" else "fail")


def check_to_fit(dataset: Dataset, recipe: Recipe, engine: FitEngine) -> None:
    """Check before any work that a recipe's head can be fitted to data.

    Raises:
        FeatxError: Those of `extract_to_fit` that need no image.
    """
    check_engine(engine, recipe.head)
    check_for_fit(dataset, recipe.fit.validation)
    check_output(recipe.head, len(dataset.classes))


def check_usable(extraction: Extraction, recipe: Recipe) -> None:
    """Check that enough images are left, as those that were skipped may have been a class's last.

    Raises:
        DataError: Too few are left of a class.
    """
    usable = replace(extraction.dataset, items=tuple(image.item for image in extraction.images))
    check_for_fit(usable, recipe.fit.validation)


def fit_rows(extraction: Extraction, recipe: Recipe, engine: FitEngine) -> HeadFit:
    """Fit a recipe's head on features that `extract_to_fit` made sure of.

    Raises:
        UntrustedError: The fit diverged.
        DataError: A class cannot be divided without dividing a group.
    """
    recipe = _resolved(recipe, extraction)
    classes = extraction.dataset.classes
    parts = parts_of(extraction, recipe)
    fitter = make_fitter(engine, recipe, extraction.dim, len(classes))
    batches = _batches(extraction, parts.fit, classes, recipe)
    validate = partial(_score, fitter, extraction, parts.validation, classes)

    def on_epoch(epoch: Epoch) -> None:
        _refuse_divergence(epoch)
        report_progress("fitting", epoch.epoch + 1, recipe.fit.epochs)

    history = fit_epochs(fitter.run_epoch, batches, validate, recipe.fit, on_epoch)
    return HeadFit(extraction, recipe, parts, fitter, tuple(history), batches.steps)


def _refuse_divergence(epoch: Epoch, *logits: NDArray[np.float32]) -> None:
    losses = (loss for loss in (epoch.loss, epoch.val_loss) if loss is not None)
    if not all(map(math.isfinite, losses)) or not all(np.isfinite(values).all() for values in logits):
        raise UntrustedError(
            f"Expected a finite loss, but in epoch {epoch.epoch} the fit diverged at a learning rate of "
            f"{epoch.learning_rate:g}; lower fit.learning_rate (--learning-rate) and fit again."
        )


def _resolved(recipe: Recipe, extraction: Extraction) -> Recipe:
    """Return the recipe with the statistics that the features were made with."""
    return recipe.model_copy(update={"preprocess": extraction.spec.preprocess})


def _batches(extraction: Extraction, images: list[Image], classes: Sequence[str], recipe: Recipe) -> TrainingBatches:
    views = recipe.views.count
    rows = extraction.view_rows(images, views)
    labels = class_indices(images, classes)
    return TrainingBatches(rows, labels, views, recipe.fit.batch_size, recipe.fit.seed)


def _logits(head: Head | Fitter, extraction: Extraction, images: list[Image]) -> NDArray[np.float32]:
    return head.logits(extraction.view_rows(images).chunks(ROWS_AT_ONCE))


def _score(head: Fitter, extraction: Extraction, images: list[Image], classes: Sequence[str]) -> Score:
    # A fit that diverges is refused after the epoch; NumPy need not warn of it before.
    with np.errstate(invalid="ignore"):
        return score(_logits(head, extraction, images), class_indices(images, classes))
