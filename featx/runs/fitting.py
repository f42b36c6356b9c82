"""From rows to a run: split, fit, test, store the penultimate features, write the folder."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.features import Extraction, OnError
from featx.frames import frame
from featx.heads import Epoch, FitEngine, Head, HeadFit, check_engine, extract_to_fit, fit_rows, store_penultimate
from featx.progress import Progress, reports_progress
from featx.recipes import Recipe, load_recipe
from featx.runs.folder import check_out
from featx.runs.writing import Outcome, write_run
from featx.stats import Score


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


@reports_progress
def fit_head(
    data: str | Path,
    recipe: Recipe | str,
    out: str | Path,
    *,
    cache: str | Path = "cache",
    engine: FitEngine = "auto",
    on_error: OnError = "fail",
    progress: Progress | None = None,
) -> FitResult:
    """Fit the head that a recipe specifies, and write the run.

    Features that the cache lacks are computed first.

    Args:
        data: A folder of class or split folders, or a manifest.
        recipe: A recipe, its name or the path of its file.
        out: The run's folder: absent, empty, or an earlier run, which is replaced with its maps and its report.
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
    out = Path(out)
    check_engine(engine, recipe.head)
    check_out(out)
    start = time.perf_counter()
    extraction = extract_to_fit(data, recipe, cache, engine, on_error)
    extracted = time.perf_counter()
    fit = fit_rows(extraction, recipe, engine)
    head = fit.fitter.head()
    logits = fit.logits(head)
    seconds = {"extract": extracted - start, "fit": time.perf_counter() - extracted}
    penultimate = store_penultimate(head, extraction, recipe.views.count)
    result = _result(fit, out, head, logits, seconds)
    outcome = Outcome(vars(fit.parts), logits, extraction.dataset.classes, head, penultimate)
    write_run(out, fit.recipe, outcome, extraction, result.history, result.to_json())
    return result


def _result(
    fit: HeadFit, out: Path, head: Head, logits: Mapping[str, NDArray[np.float32]], seconds: dict[str, float]
) -> FitResult:
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
