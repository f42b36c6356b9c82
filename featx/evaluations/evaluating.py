"""The verb `evaluate`: a run's head or a saved classifier on new labelled images."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Unpack

import numpy as np
from numpy.typing import NDArray

from featx.audits import subgroup_scores
from featx.data import DataChoice, group_ids, refuse_folder_of_images
from featx.errors import DataError, StoreError, UnwrittenError
from featx.evaluations.reading import NewImages, class_numbers, read_new_images, targets_of_model
from featx.evaluations.result import EvaluatedImage, Evaluation, labels_in_words
from featx.evaluations.scores import Scores, check_positive, scores_of
from featx.evaluations.seen import refuse_seen, seen_images, trained_on
from featx.evaluations.training import BesideTraining, beside_training
from featx.evaluations.writing import FORMER, write_evaluation
from featx.features import Extraction, Image, OnError, warn_of_two_labels
from featx.files import check_folder
from featx.frames import columns_of
from featx.prediction import read_model
from featx.progress import Progress, reports_progress
from featx.runs import HeadModel, Model, extract_for
from featx.stats import THRESHOLD, grouped_share, positive_of

log = logging.getLogger("featx")


@reports_progress
def evaluate(
    run: str | Path,
    data: Any,
    *,
    out: str | Path | None = None,
    split: str | None = None,
    positive: str | None = None,
    skip_seen: bool = False,
    raw: bool = False,
    seed: int = 0,
    cache: str | Path = "cache",
    weights: str | None = None,
    on_error: OnError = "fail",
    yes: bool = False,
    progress: Progress | None = None,
    **choice: Unpack[DataChoice],
) -> Evaluation:
    """Score a run's head or a saved classifier on new labelled images.

    Images are preprocessed as the training images were. Images that the model has seen are refused, by their bytes
    and by their groups.

    Args:
        run: A folder that `fit_head` wrote, or a saved classifier that `save_best` wrote.
        data: Labelled images, see `read_data`. Their labels are among the model's; classes may be missing.
        out: Folder of `evaluation.html`, `evaluation.json`, `predictions.csv` and `confusion.png`; nothing is written
            if not given.
        split: The images that are evaluated: `train`, `val`, `test` or `all`. The default is the test split if there
            is one, else all images.
        positive: The class of two whose sensitivity and specificity are the model's; chosen and named if not given.
        skip_seen: Leave out images that the model was trained or validated with, instead of refusing the data.
        raw: Use a head's probabilities without its temperature. The predicted classes are the same.
        seed: Seed of bootstrap samples and permutations. The same seed gives the same numbers, whatever the order of
            files.
        cache: Folder of the store; features that it has are not computed again.
        weights: Where the backbone's weights are, if not where the recipe says.
        on_error: What to do about images that cannot be read, see `extract`.
        yes: Do work that is estimated to need more disk, memory or time than there is.
        progress: Called with how far the work is.
        choice: How data is read, see `DataChoice`.

    Raises:
        UsageError: An argument is not valid, or not for this data.
        RunError: The folder is no model, or it is damaged; or `out` has other files.
        DataError: An image has no label, or one that the model does not know.
        UntrustedError: The model has seen some of the images, or the features would not be those of the fit.
        UnwrittenError: A file cannot be written; the error has the result.
        FeatxError: What `extract` raises.
    """
    start = time.perf_counter()
    model, folder = read_model(run, raw=raw), Path(cache)
    check_positive(positive, model.classes, multilabel=model.multilabel)
    if out is not None:
        refuse_folder_of_images(out, data)
        check_folder(Path(out), "evaluation", FORMER)
    new = read_new_images(model, data, split, folder, on_error, choice)
    kept, skipped, notes = _unseen(model, new.images, skip_seen=skip_seen)
    dataset = replace(new.dataset, items=tuple(image.item for image in kept), test=None)
    extraction = extract_for(model, dataset, cache=cache, weights=weights, on_error=on_error)
    warn_of_two_labels(extraction.images)
    result = _evaluated(model, new, extraction, seed, positive)
    result = replace(
        result,
        model=Path(run),
        skipped=skipped,
        notes=(*notes, *result.notes),
        failed=(*new.failed, *extraction.failed),
        seconds=time.perf_counter() - start,
    )
    if out is None:
        return result
    try:
        return replace(result, files=write_evaluation(Path(out), result))
    except StoreError as error:
        raise UnwrittenError(error, result) from error


def _unseen(model: Model, images: Sequence[Image], *, skip_seen: bool) -> tuple[list[Image], int, list[str]]:
    """Return the images that the model has not seen, how many others were left out, and what a reader must know."""
    trained = trained_on(model)
    if trained is None:
        note = (
            "It is not known which images the classifier was trained on, as an earlier version of featx saved it, so "
            "nothing shows whether it has seen some of these, nor how typical these are of them."
        )
        log.warning("%s", note)
        return list(images), 0, [note]
    seen = seen_images(trained, images)
    if not skip_seen:
        refuse_seen(seen, len(images))
    kept = [image for number, image in enumerate(images) if number not in seen.numbers]
    if not kept:
        raise DataError("Expected images that the model has not seen, found none; pass other images.")
    if not seen.numbers:
        return kept, 0, []
    note = (
        f"{len(seen.numbers):,} of {len(images):,} images were left out, because the model was trained or validated "
        f"with them: {len(seen.copies):,} by their bytes, {len(seen.relatives):,} others by their group."
    )
    log.info("%s", note)
    return kept, len(seen.numbers), [note]


def _evaluated(model: Model, new: NewImages, extraction: Extraction, seed: int, positive: str | None) -> Evaluation:
    """Return the scores of the images of an extraction."""
    # Sums do not depend on the order of files.
    images = sorted(extraction.images, key=lambda image: (image.digest, image.item.id))
    P = model.probabilities(extraction.view_rows(images))
    if model.multilabel:
        labels: NDArray[Any] = targets_of_model(model, new.dataset.classes, [image.item for image in images])
    else:
        labels = class_numbers(model, images)
    groups = group_ids([image.digest for image in images], [image.item.group for image in images])
    if positive is None and isinstance(model, HeadModel) and not model.multilabel:
        # The class that the run's own scores are about.
        positive = positive_of(model.classes, [image.label for image in model.run.images])
    scores = scores_of(model.classes, labels, P, groups, seed, positive)
    numbers = np.unique(np.asarray(groups), return_inverse=True)[1].astype(np.int64)
    columns = columns_of([image.item.extra for image in images])
    beside = beside_training(model, extraction, images, int(numbers.max()) + 1)
    rows = _rows(model, images, labels, P, scores, beside)
    by_id = {image.item.id: row for image, row in zip(images, rows, strict=True)}
    copied = frozenset(copy.number for copy in beside.copies)
    alone = [number for number in range(len(images)) if number not in copied]
    return Evaluation(
        model=Path(),
        kind="head" if isinstance(model, HeadModel) else "classifier",
        name=new.dataset.name,
        split=new.split,
        why=new.why,
        classes=model.classes,
        multilabel=model.multilabel,
        images=tuple(by_id[image.item.id] for image in extraction.images),
        scores=scores,
        temperature=model.temperature if isinstance(model, HeadModel) else None,
        subgroups=subgroup_scores(scores.correct, columns, numbers, seed, None if model.multilabel else labels),
        atypical_p=beside.p_value,
        copies=tuple((images[copy.number].item.id, copy) for copy in beside.copies),
        without_copies=grouped_share(scores.correct[alone], numbers[alone]).as_score() if copied and alone else None,
        notes=beside.notes,
    )


def _rows(
    model: Model,
    images: Sequence[Image],
    labels: NDArray[Any],
    P: NDArray[np.float64],
    scores: Scores,
    beside: BesideTraining,
) -> list[EvaluatedImage]:
    rows = []
    for place, image in enumerate(images):
        item, shares = image.item, tuple(map(float, P[place]))
        if model.multilabel:
            targets = tuple(map(float, labels[place]))
            label = labels_in_words(model.classes, [value == 1 for value in targets])
            predicted = labels_in_words(model.classes, [share >= THRESHOLD for share in shares])
        else:
            targets, label, predicted = None, str(item.label), model.classes[int(P[place].argmax())]
        rows.append(
            EvaluatedImage(
                path=item.id,
                split=item.split,
                label=label,
                predicted=predicted,
                probabilities=shares,
                correct=bool(scores.correct[place]),
                digest=image.digest,
                group=item.group,
                extra=item.extra,
                typicality=None if beside.typicality is None else float(beside.typicality[place]),
                targets=targets,
                file=item.path,
                pixels=item.pixels,
            )
        )
    return rows
