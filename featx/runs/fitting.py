"""The verb `fit_head`: extract features, train the head, test it, store its penultimate features, write the run."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal, Unpack

from featx.data import Dataset, warn_of_no_test
from featx.errors import StoreError, UnwrittenError, UsageError
from featx.features import Choice, Extraction, FeatureChoice, OnError, chosen_recipe, data_choice
from featx.frames import Shown, frame
from featx.heads import (
    Epoch,
    FitEngine,
    Head,
    HeadFit,
    MemberScores,
    best_epoch,
    check_engine,
    check_fit_disk,
    describe_stopping,
    extract_to_fit,
    fit_rows,
    penultimate_of,
    read_to_fit,
    recipe_for,
    store_penultimate,
)
from featx.networks import load_keras
from featx.progress import Progress, reports_progress
from featx.recipes import Keep, Precision, Recipe, is_network_path, load_recipe, override
from featx.runs.calibrating import HeadCalibration, calibrate_head
from featx.runs.copies import CopiedScore, copied_images, refuse_copied, score_without
from featx.runs.folder import check_out
from featx.runs.scoring import HeadMetrics, head_metrics
from featx.runs.writing import Logits, write_run
from featx.stats import LabelMetrics, Score

log = logging.getLogger("featx")

HeadName = Literal["linear", "mlp"]


@dataclass(frozen=True, repr=False)
class FitResult(Shown):
    """The result of `fit_head`.

    Attributes:
        run: The folder written.
        recipe: The recipe with every default.
        history: One `Epoch` for each epoch that was trained.
        steps: Batches in an epoch.
        train: Score on the training images themselves (view 0), without dropout.
        validation: Score on images held out of the train split, or on the split `val`.
        test: Score on the test split.
        parameters: `total`, `trainable`, `non_trainable`, including the backbone's.
        extraction: The features.
        seconds: Wall time of `extract` and of `fit`, without the loading of TensorFlow.
        engine: The engine that trained the head.
        per_label: Of data with several labels for each image, the metrics of each label under `train`, `validation`
            and `test`; empty otherwise. The scores are then `LabelScore`s.
        calibration: The temperature that `predict` uses, from the validation images; None without any. The losses
            of the scores are those without it.
        members: Of a head with several members (`fit.members`), the scores of each by itself; empty otherwise.
        copies: The test images that are copies of training images, and the score without them; None where copies
            were not looked for.
        further: Further metrics on the validation and the test images, by image and by group; without any for several
            labels.
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
    per_label: dict[str, tuple[LabelMetrics, ...]] = field(default_factory=dict)
    calibration: HeadCalibration | None = None
    members: tuple[MemberScores, ...] = ()
    copies: CopiedScore | None = None
    further: HeadMetrics = field(default_factory=HeadMetrics)

    @property
    def best_epoch(self) -> int | None:
        """The epoch with the lowest validation loss, counted from 1; None without validation images."""
        index = best_epoch([epoch.val_loss for epoch in self.history])
        return None if index is None else index + 1

    @property
    def kept_epoch(self) -> int:
        """The epoch, counted from 1, whose weights the head has: the best one if the recipe says so, else the last.

        With `fit.average` it is the last of those whose mean it has.
        """
        return (self.best_epoch if self.recipe.fit.keeps_best else None) or len(self.history)

    @property
    def stopped(self) -> bool:
        """Whether patience ended before all epochs were trained."""
        return len(self.history) < self.recipe.fit.epochs

    @property
    def stopping(self) -> str | None:
        """A clause on which epoch was best and whether it is kept; None if it is the last of all epochs."""
        return describe_stopping([epoch.val_loss for epoch in self.history], self.recipe.fit)

    @property
    def scored(self) -> str:
        """The part of the data that says most about new images: `test`, else `validation`, else `train`."""
        return next((name for name in ("test", "validation") if getattr(self, name).n), "train")

    def headline(self) -> str:
        """Return `run, recipe linear-vgg16: test 33/36 = 91.7 % (…)`."""
        return f"{self.run}, recipe {self.recipe.name}: {self.scored} {getattr(self, self.scored)}"

    def overview(self) -> tuple[Sequence[str], Sequence[Sequence[str]]]:
        """Return the parameters, the training, the scores and the times."""
        number, seconds, epochs = self.parameters, self.seconds, len(self.history)
        kept = "" if self.kept_epoch == epochs else f", weights of epoch {self.kept_epoch}"
        kept += f", mean of the last {self.recipe.fit.average}" if self.recipe.fit.average > 1 else ""
        return (), [
            ("parameters", f"{number['total']:,} ({number['trainable']:,} trainable)"),
            ("trained", f"{epochs} epochs of {self.steps} steps{kept}, engine {self.engine}"),
            ("train", str(self.train)),
            ("validation", str(self.validation)),
            ("test", str(self.test)),
            *((f"{part}, by group", str(grouped)) for part, grouped in self.further.by_group.items()),
            *([] if self.copies is None else self.copies.overview()),
            *([("members", self._members())] if self.members else []),
            *([] if self.calibration is None else [("calibrated", str(self.calibration))]),
            ("time", f"features {seconds['extract']:.1f} s, training {seconds['fit']:.1f} s"),
            ("run", str(self.run)),
        ]

    def _members(self) -> str:
        part = "test" if self.test.n else "validation"
        shares = [getattr(member, part).accuracy for member in self.members]
        each = ", ".join("–" if share is None else f"{100 * share:.1f}" for share in shares)
        return f"{len(self.members)}, {part} accuracy of each by itself: {each} %"

    def to_json(self) -> dict[str, Any]:
        """Return the JSON of `featx fit-head`."""
        return {
            "run": str(self.run),
            "epochs": len(self.history),
            "best_epoch": self.best_epoch,
            "kept_epoch": self.kept_epoch,
            "stopped": self.stopped,
            "batch_size": self.recipe.fit.batch_size,
            "steps": self.steps,
            "train": self.train.to_json(),
            "validation": self.validation.to_json(),
            "test": self.test.to_json(),
            "parameters": self.parameters,
            "seconds": {name: round(value, 3) for name, value in self.seconds.items()},
            "engine": self.engine,
            **self._labels_to_json(),
            **({"members": [member.to_json() for member in self.members]} if self.members else {}),
            **self.further.to_json(),
            "calibration": None if self.calibration is None else self.calibration.to_json(),
            **({} if self.copies is None else self.copies.to_json()),
            "failed": [failure.to_json() for failure in self.extraction.failed],
        }

    def _labels_to_json(self) -> dict[str, Any]:
        parts = {name: [one.to_json() for one in metrics] for name, metrics in self.per_label.items()}
        return {"per_label": parts} if parts else {}

    def to_frame(self) -> Any:
        """Return the history as a `pandas.DataFrame` with a row for each epoch and the columns of `history.csv`.

        Raises:
            UsageError: pandas is not installed.
        """
        names = [entry.name for entry in fields(Epoch)]
        return frame({name: [getattr(epoch, name) for epoch in self.history] for name in names})


@reports_progress
def fit_head(
    data: Any,
    recipe: Recipe | str | Path | None = None,
    *,
    out: str | Path,
    head: HeadName | None = None,
    epochs: int | None = None,
    batch_size: int | None = None,
    learning_rate: float | None = None,
    weight_decay: float | None = None,
    class_weight: str | None = None,
    patience: int | None = None,
    keep: Keep | None = None,
    average: int | None = None,
    label_smoothing: float | None = None,
    seeds: int | None = None,
    validation: float | None = None,
    views: int | None = None,
    precision: Precision | None = None,
    seed: int | None = None,
    cache: str | Path = "cache",
    engine: FitEngine = "auto",
    on_error: OnError = "fail",
    strict: bool = False,
    yes: bool = False,
    progress: Progress | None = None,
    **choice: Unpack[Choice],
) -> FitResult:
    """Train a head on the features of a network, test it, and write the run.

    Features that the cache lacks are computed first. Without a recipe, a linear head is trained on the features of
    EfficientNet-Lite0, or of another backbone.

    Args:
        data: A folder of class or split folders, a manifest, a data frame or images in memory, see `read_data`.
        recipe: A recipe, its name or the path of its file; without it the recipe of `head` is used.
        out: The run's folder: absent, empty, or an earlier run, which is replaced with its maps and its report.
        head: `linear` (the default) or `mlp`, instead of a recipe, on the features of a backbone of one's choice.
        epochs: Number of epochs of training. This and the following, if given, replace fields of the recipe.
        batch_size: Images in a training step.
        learning_rate: Learning rate of Adam.
        weight_decay: Decoupled weight decay, as in AdamW: each step takes the share
            `weight_decay * learning_rate` off the kernels of all layers, and nothing off the biases.
        class_weight: `balanced` gives every class the same weight in the training loss.
        patience: Epochs without a lower validation loss after which training stops; the weights of the best epoch are
            kept. 0 trains for all epochs.
        keep: `best` gives the head the weights of the epoch with the lowest validation loss, without stopping early;
            `last` those of the last epoch.
        average: The head gets the mean of the weights at the ends of so many last epochs; 1 means the last alone.
        label_smoothing: Share of each target, in [0, 1), that is spread evenly over the classes in training.
        seeds: Number of members: heads with different initial weights and dropout (seeds `seed`, `seed + 1`, …) that
            are trained on the same batches and saved as one head, which gives the mean of their probabilities.
        validation: Share of the train split that is held out for validation, in [0, 1).
        views: Augmented views of each training image, including the image itself.
        precision: `float32`, or `mixed` for GPUs with units for half precision.
        seed: Seed of the training and of the choice of validation images.
        cache: Folder of the store.
        engine: What trains the head: `fused`, `keras`, or `auto`, which is `fused` wherever it knows all layers.
        on_error: What to do about images that cannot be read, see `extract`.
        strict: Refuse data of which test images are copies of training images in all but the bytes; otherwise a
            warning says what the accuracy is without them.
        yes: Do work that is estimated to need more disk, memory or time than there is.
        progress: Called with how far the work is.
        choice: Single fields of the features, and how the data is read, see `Choice`.

    Raises:
        UsageError: An argument is not valid, or not for this data.
        UntrustedError: An image or group is in two splits, an image has two labels, the training diverged, or, with
            `strict`, test images are copies of training images.
        DataError: There are fewer than two classes, or too few images of one for the split.
        RecipeError: The head's output does not match the number of classes, the engine does not know a layer, or
            the best epoch is to be kept without validation images.
        ResourcesError: The training would need more memory, disk or time than there is.
        UnwrittenError: The run, or its penultimate features, cannot be written; the error has the result.
        FeatxError: What `extract` raises.
    """
    fields = {
        "fit.epochs": epochs,
        "fit.batch_size": batch_size,
        "fit.learning_rate": learning_rate,
        "fit.weight_decay": weight_decay,
        "fit.class_weight": class_weight,
        "fit.patience": patience,
        "fit.keep": keep,
        "fit.average": average,
        "fit.label_smoothing": label_smoothing,
        "fit.members": seeds,
        "fit.validation": validation,
        "fit.seed": seed,
        "views.count": views,
        "backbone.precision": precision,
    }
    recipe = recipe_to_fit(recipe, head, choice, fields)
    out = Path(out)
    check_engine(engine, recipe.head)
    check_out(out)
    start = time.perf_counter()
    dataset = read_to_fit(data, cache, on_error, **data_choice(choice))
    recipe = _with_notice(dataset, recipe)
    extraction = extract_to_fit(dataset, recipe, cache, engine, on_error)
    copied = copied_images(extraction)
    if strict:
        refuse_copied(copied)
    if not extraction.select("test"):
        has_validation = recipe.fit.validation > 0 or extraction.select("val")
        warn_of_no_test("the head is scored on " + ("validation" if has_validation else "training") + " images only")
    check_fit_disk(extraction, recipe, out)
    extracted = time.perf_counter()
    load_keras()  # every head is built with it; it takes seconds that are not training
    loaded = time.perf_counter()
    fit = fit_rows(extraction, recipe, engine)
    trained = fit.fitter.head()
    logits = fit.logits(trained)
    seconds = {"extract": extracted - start, "fit": time.perf_counter() - loaded}
    copies = score_without(copied, fit, logits)
    result = replace(_result(fit, out, trained, logits, seconds), copies=copies)
    if copies is not None:
        copies.warn()
    penultimate = penultimate_of(trained, extraction)
    unwritten = None
    try:
        if penultimate is not None:
            store_penultimate(trained, extraction, penultimate, recipe.views.count)
    except StoreError as error:  # the cache is full; the run may be elsewhere
        unwritten = error
    try:
        write_run(out, fit, trained, logits, penultimate, result.to_json())
    except StoreError as error:
        unwritten = error
    if unwritten is not None:
        raise UnwrittenError(unwritten, result) from unwritten
    return result


def recipe_to_fit(
    recipe: Recipe | str | Path | None,
    head: HeadName | None,
    choice: FeatureChoice,
    further: Mapping[str, Any] | None = None,
) -> Recipe:
    """Return the recipe of a fit: one that is named, or `linear` or `mlp` on the features of a backbone.

    Args:
        recipe: A recipe, its name or the path of its file; None for the recipe of `head`.
        head: `linear`, which None means too, or `mlp`; None with a recipe.
        choice: The backbone, and single fields of the features.
        further: More fields by their dotted name; None leaves a field as it is.

    Raises:
        UsageError: A recipe is given with a head or a backbone, or there is none of that name.
        RecipeError: A field is not valid.
    """
    if recipe is not None:
        if head is not None:
            raise UsageError("Expected a recipe or a head, received both; a recipe has its own head.")
        return chosen_recipe(recipe, choice, further)
    fitted = load_recipe(head or "linear")
    features = chosen_recipe(None, choice)
    network = Path(features.name).stem if is_network_path(features.name) else features.name
    own = {"name": f"{fitted.name}-{network}", "description": fitted.description}
    return override(features.model_copy(update={**own, "head": fitted.head, "fit": fitted.fit}), further or {})


def _with_notice(dataset: Dataset, recipe: Recipe) -> Recipe:
    """Return the recipe with the output that the data needs, see `recipe_for`, and say where that is another."""
    changed = recipe_for(dataset, recipe)
    if changed is not recipe:
        log.info(
            "The images may have several labels, so the head has a sigmoid output for each label (%s) instead of the "
            "recipe's output %s.",
            f"{len(dataset.classes):,}",
            recipe.head.output,
        )
    return changed


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
        per_label={"train" if role == "fit" else role: own for role, own in fit.label_metrics(logits).items()},
        calibration=calibrate_head(fit, logits),
        further=head_metrics(fit, logits),
        members=fit.member_scores(head),
    )
