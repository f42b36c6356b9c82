"""From rows to a run: split, fit, test, store the penultimate features, write the folder."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.data import read_data
from featx.dataset import check_for_fit
from featx.errors import UntrustedError
from featx.frames import frame
from featx.heads import Head, check_output
from featx.pipeline.extraction import Extraction, extract_dataset
from featx.pipeline.fit_engines import FitEngine, Fitter, check_engine, make_fitter
from featx.pipeline.hashing import Image, OnError
from featx.pipeline.penultimate import store_penultimate
from featx.pipeline.progress import Progress, silent
from featx.pipeline.trust import refuse_leaks
from featx.pipeline.writing import Outcome, write_run
from featx.recipe import Recipe
from featx.recipe_files import load_recipe
from featx.runs import check_out
from featx.sampling import TrainingBatches, validation_mask
from featx.stats import Score, score
from featx.training import Epoch, fit_epochs

ROWS_AT_ONCE = 256


@dataclass(frozen=True)
class FitResult:
    """What `fit_head` did.

    Attributes:
        run: The folder written.
        recipe: Resolved.
        history: One `Epoch` each.
        steps: Batches an epoch.
        train: Score of the images fitted on, their views 0, dropout off.
        validation: Score of the images held out of the train split, or of the split `val`.
        test: Score of the test split.
        parameters: `total`, `trainable`, `non_trainable`, the backbone's included.
        extraction: The features.
        seconds: `extract` and `fit`.
        engine: What fitted the head.
    """

    run: Path
    recipe: Recipe
    history: tuple[Epoch, ...]
    steps: int
    train: Score
    validation: Score
    test: Score
    parameters: dict[str, int]
    extraction: Extraction
    seconds: dict[str, float]
    engine: str

    def to_json(self) -> dict[str, Any]:
        """Return the JSON of `featx fit-head`."""
        return {
            "run": str(self.run),
            "epochs": len(self.history),
            "batch_size": self.recipe.fit.batch_size,
            "steps": self.steps,
            "train": self.train.to_json(),
            "validation": self.validation.to_json(),
            "test": self.test.to_json(),
            "parameters": self.parameters,
            "seconds": {name: round(value, 3) for name, value in self.seconds.items()},
            "engine": self.engine,
            "failed": [failure.to_json() for failure in self.extraction.failed],
        }

    def to_frame(self) -> Any:
        """Return the history as a `pandas.DataFrame`, a row an epoch, with the columns of `history.csv`.

        Raises:
            UsageError: pandas is not installed.
        """
        names = [entry.name for entry in fields(Epoch)]
        return frame({name: [getattr(epoch, name) for epoch in self.history] for name in names})


@dataclass(frozen=True)
class Parts:
    """The images by what the fit does with them."""

    fit: list[Image]
    validation: list[Image]
    test: list[Image]


def fit_head(
    data: str | Path,
    recipe: Recipe | str,
    out: str | Path,
    *,
    cache: str | Path = "cache",
    engine: FitEngine = "auto",
    on_error: OnError = "fail",
    progress: Progress = silent,
) -> FitResult:
    """Fit the head that a recipe specifies, and write the run.

    Features that the cache lacks are computed first.

    Args:
        data: A folder of class or split folders, or a manifest.
        recipe: A recipe, its name or the path of its file.
        out: The run's folder: absent, empty, or an earlier run, which is replaced.
        cache: The store's folder.
        engine: What fits the head; `auto` is `fused` where that applies, `keras` otherwise.
        on_error: What to do about images that cannot be read, see `extract`.
        progress: Told how far the work is.

    Raises:
        UntrustedError: An image or group stands in two splits, or the fit diverged.
        DataError: There are fewer than two classes, or too few images of one for the split.
        RecipeError: The head's output does not fit the number of classes, or the engine does not know a layer.
        FeatxError: What `extract` raises.
    """
    recipe = load_recipe(recipe) if isinstance(recipe, str) else recipe
    check_engine(engine, recipe.head)
    out = Path(out)
    check_out(out)
    dataset = read_data(Path(data), missing="keep" if on_error == "skip" else "fail")
    check_for_fit(dataset, recipe.fit.validation)
    check_output(recipe.head, len(dataset.classes))
    start = time.perf_counter()
    extraction = extract_dataset(dataset, recipe, cache=cache, on_error=on_error, progress=progress)
    images = list(extraction.images)
    # Images that were skipped may have been a class's last.
    check_for_fit(replace(dataset, items=tuple(image.item for image in images)), recipe.fit.validation)
    refuse_leaks(images)
    extracted = time.perf_counter()
    return _fitted(extraction, recipe, out, engine, extracted - start, progress)


def _fitted(
    extraction: Extraction, recipe: Recipe, out: Path, engine: FitEngine, seconds: float, progress: Progress
) -> FitResult:
    recipe = _resolved(recipe, extraction)
    classes = extraction.dataset.classes
    parts = _parts(extraction, recipe)
    start = time.perf_counter()
    fitter = make_fitter(engine, recipe, extraction.dim, len(classes))
    batches = _batches(extraction, parts.fit, classes, recipe)
    validate = partial(_score, fitter, extraction, parts.validation, classes)

    def on_epoch(epoch: Epoch) -> None:
        _refuse_divergence(epoch)
        progress("fitting", epoch.epoch + 1, recipe.fit.epochs)

    history = fit_epochs(fitter.run_epoch, batches, validate, recipe.fit, on_epoch)
    head = fitter.head()
    logits = {name: _logits(head, extraction, images) for name, images in vars(parts).items()}
    _refuse_divergence(history[-1], *logits.values())
    fit_seconds = time.perf_counter() - start
    scores = {name: score(logits[name], _indices(images, classes)) for name, images in vars(parts).items()}
    penultimate = store_penultimate(head, extraction, recipe.views.count, progress)
    result = FitResult(
        run=out,
        recipe=recipe,
        history=tuple(history),
        steps=batches.steps,
        train=scores["fit"],
        validation=scores["validation"],
        test=scores["test"],
        parameters={
            "total": extraction.parameters + head.parameters(),
            "trainable": head.parameters(),
            "non_trainable": extraction.parameters,
        },
        extraction=extraction,
        seconds={"extract": seconds, "fit": fit_seconds},
        engine=fitter.name,
    )
    outcome = Outcome(vars(parts), logits, classes, head, penultimate)
    write_run(out, recipe, outcome, extraction, result.history, result.to_json())
    return result


def _refuse_divergence(epoch: Epoch, *logits: NDArray[np.float32]) -> None:
    losses = (loss for loss in (epoch.loss, epoch.val_loss) if loss is not None)
    # The last step's loss is taken before the step; what it led to shows in the logits.
    if not all(map(math.isfinite, losses)) or not all(np.isfinite(values).all() for values in logits):
        raise UntrustedError(
            f"Expected a finite loss, but in epoch {epoch.epoch} the fit diverged at a learning rate of "
            f"{epoch.learning_rate:g}; lower fit.learning_rate (--learning-rate) and fit again."
        )


def _resolved(recipe: Recipe, extraction: Extraction) -> Recipe:
    """Return the recipe with the statistics that the features were made with."""
    return recipe.model_copy(update={"preprocess": extraction.spec.preprocess})


def _parts(extraction: Extraction, recipe: Recipe) -> Parts:
    train = extraction.select("train")
    held_out = extraction.select("val")
    if held_out:
        return Parts(_ordered(train), _ordered(held_out), _ordered(extraction.select("test")))
    mask = validation_mask(
        [str(image.item.label) for image in train],
        [image.digest for image in train],
        [image.item.group for image in train],
        recipe.fit.validation,
        recipe.fit.seed,
    )
    fit = [image for image, held in zip(train, mask, strict=True) if not held]
    held_out = [image for image, held in zip(train, mask, strict=True) if held]
    return Parts(_ordered(fit), _ordered(held_out), _ordered(extraction.select("test")))


def _ordered(images: Sequence[Image]) -> list[Image]:
    """Order by content, so that a renamed file does not change which batch it falls into."""
    return sorted(images, key=lambda image: (image.digest, image.item.id))


def _batches(extraction: Extraction, images: list[Image], classes: Sequence[str], recipe: Recipe) -> TrainingBatches:
    views = recipe.views.count
    rows = extraction.view_rows(images, views)
    labels = _indices(images, classes)
    return TrainingBatches(rows, labels, views, recipe.fit.batch_size, recipe.fit.seed)


def _indices(images: Sequence[Image], classes: Sequence[str]) -> NDArray[np.int64]:
    number = {name: index for index, name in enumerate(classes)}
    return np.array([number[str(image.item.label)] for image in images], np.int64)


def _logits(head: Head | Fitter, extraction: Extraction, images: list[Image]) -> NDArray[np.float32]:
    return head.logits(extraction.view_rows(images).chunks(ROWS_AT_ONCE))


def _score(head: Fitter, extraction: Extraction, images: list[Image], classes: Sequence[str]) -> Score:
    # A fit that diverges is refused after the epoch; NumPy need not warn of it before.
    with np.errstate(invalid="ignore"):
        return score(_logits(head, extraction, images), _indices(images, classes))
