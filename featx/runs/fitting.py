"""The verb `fit_head`: extract features, train the head, test it, store its penultimate features, write the run."""

from __future__ import annotations

import time
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from featx.errors import StoreError, UnwrittenError
from featx.features import Extraction, OnError
from featx.frames import frame
from featx.heads import (
    Epoch,
    FitEngine,
    Head,
    HeadFit,
    check_engine,
    check_fit_disk,
    extract_to_fit,
    fit_rows,
    penultimate_of,
    store_penultimate,
)
from featx.progress import Progress, reports_progress
from featx.recipes import Recipe, load_recipe
from featx.runs.folder import check_out
from featx.runs.writing import Logits, write_run
from featx.stats import Score


@dataclass(frozen=True)
class FitResult:
    """The result of `fit_head`.

    Attributes:
        run: The folder written.
        recipe: The recipe with every default.
        history: One `Epoch` for each epoch.
        steps: Batches in an epoch.
        train: Score on the training images themselves (view 0), without dropout.
        validation: Score on images held out of the train split, or on the split `val`.
        test: Score on the test split.
        parameters: `total`, `trainable`, `non_trainable`, including the backbone's.
        extraction: The features.
        seconds: Wall time of `extract` and of `fit`.
        engine: The engine that trained the head.
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
        """Return the history as a `pandas.DataFrame` with a row for each epoch and the columns of `history.csv`.

        Raises:
            UsageError: pandas is not installed.
        """
        names = [entry.name for entry in fields(Epoch)]
        return frame({name: [getattr(epoch, name) for epoch in self.history] for name in names})


@reports_progress
def fit_head(
    data: str | Path,
    recipe: Recipe | str | Path,
    out: str | Path,
    *,
    cache: str | Path = "cache",
    engine: FitEngine = "auto",
    on_error: OnError = "fail",
    yes: bool = False,
    progress: Progress | None = None,
) -> FitResult:
    """Train the head that a recipe specifies, and write the run.

    Features that the cache lacks are computed first.

    Args:
        data: A folder of class or split folders, or a manifest.
        recipe: A recipe, its name or the path of its file.
        out: The run's folder: absent, empty, or an earlier run, which is replaced with its maps and its report.
        cache: Folder of the store.
        engine: What trains the head: `fused`, `keras`, or `auto`, which is `fused` wherever it knows all layers.
        on_error: What to do about images that cannot be read, see `extract`.
        yes: Do work that is estimated to need more disk, memory or time than there is.
        progress: Called with how far the work is.

    Raises:
        UntrustedError: An image or group is in two splits, or the training diverged.
        DataError: There are fewer than two classes, or too few images of one for the split.
        RecipeError: The head's output does not match the number of classes, or the engine does not know a layer.
        ResourcesError: The training would need more memory, disk or time than there is.
        UnwrittenError: The run, or its penultimate features, cannot be written; the error has the result.
        FeatxError: What `extract` raises.
    """
    recipe = load_recipe(recipe) if isinstance(recipe, (str, Path)) else recipe
    out = Path(out)
    check_engine(engine, recipe.head)
    check_out(out)
    start = time.perf_counter()
    extraction = extract_to_fit(data, recipe, cache, engine, on_error)
    check_fit_disk(extraction, recipe, out)
    extracted = time.perf_counter()
    fit = fit_rows(extraction, recipe, engine)
    head = fit.fitter.head()
    logits = fit.logits(head)
    seconds = {"extract": extracted - start, "fit": time.perf_counter() - extracted}
    result = _result(fit, out, head, logits, seconds)
    penultimate = penultimate_of(head, extraction)
    unwritten = None
    try:
        if penultimate is not None:
            store_penultimate(head, extraction, penultimate, recipe.views.count)
    except StoreError as error:  # the cache is full; the run may be elsewhere
        unwritten = error
    try:
        write_run(out, fit, head, logits, penultimate, result.to_json())
    except StoreError as error:
        unwritten = error
    if unwritten is not None:
        raise UnwrittenError(unwritten, result) from unwritten
    return result


def _result(fit: HeadFit, out: Path, head: Head, logits: Logits, seconds: dict[str, float]) -> FitResult:
    scores = fit.scores(logits)
    frozen = fit.extraction.parameters
    trainable = head.parameters()
    return FitResult(
        run=out,
        recipe=fit.recipe,
        history=fit.history,
        steps=fit.steps,
        train=scores["fit"],
        validation=scores["validation"],
        test=scores["test"],
        parameters={"total": frozen + trainable, "trainable": trainable, "non_trainable": frozen},
        extraction=fit.extraction,
        seconds=seconds,
        engine=fit.fitter.name,
    )
