"""The verb `predict`: classes and probabilities of new images, by a run's head or a saved classifier."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.classifiers import is_saved_classifier, read_classifier
from featx.features import Image, OnError
from featx.prediction.evidence import Compared, evidence_of, warn_of_outside
from featx.prediction.predicted import Prediction
from featx.prediction.result import Predictions
from featx.progress import Progress, reports_progress
from featx.runs import HeadModel, Model, extract_new, read_run
from featx.stats import THRESHOLD
from featx.store import Store


def read_model(folder: str | Path, *, raw: bool = False) -> Model:
    """Read a run or a saved classifier; its head or estimator is loaded when it is needed.

    Args:
        folder: A folder that `fit_head` wrote, or a saved classifier.
        raw: Whether a head's probabilities are those without its temperature.
    """
    place = Path(folder)
    return read_classifier(place) if is_saved_classifier(place) else HeadModel(read_run(place), raw=raw)


@reports_progress
def predict(
    run: str | Path,
    paths: Any,
    *,
    cache: str | Path = "cache",
    weights: str | None = None,
    on_error: OnError = "fail",
    image_column: str | None = None,
    raw: bool = False,
    neighbours: int = 0,
    yes: bool = False,
    progress: Progress | None = None,
) -> Predictions:
    """Classify new images with a run's head or a saved classifier, preprocessed as its training images were.

    A head that was trained on images with several labels gives a probability for each label by itself. Each image is
    also compared with the training images, in the backbone's features: where these are in the cache, predictions have
    a typicality, and there is a warning of images outside what the training images span.

    Args:
        run: A folder that `fit_head` wrote, or a saved classifier that `save_best` wrote.
        paths: Images, folders (searched at any depth) or manifests, or one of them; or a data frame with a column
            `path`, or images in memory, see `read_data`. Predictions are in their order; those of a folder are
            ordered by name. An image that is listed twice has one prediction.
        cache: Folder of the store; features of images predicted before are not computed again.
        weights: Where the backbone's weights are, if not where the recipe says.
        on_error: What to do about images that cannot be read, see `extract`.
        image_column: The column of a Parquet file that has the bytes of the images; the only such column if not
            given.
        raw: Give a head's probabilities as it was trained, without the temperature that was fitted on its validation
            images. The predicted classes are the same.
        neighbours: Number of nearest training images that are named for each image. Their features must be in the
            cache.
        yes: Do work that is estimated to need more disk, memory or time than there is.
        progress: Called with how far the work is.

    Raises:
        UsageError: `paths` is none of these, or neighbours of a saved classifier, which does not have their names.
        RunError: The folder is neither, or damaged; or the cache lacks features of neighbours that are wanted.
        UntrustedError: The backbone's weights, or anything else that decides the features, are not those of the fit.
        FeatxError: What `extract` raises.
    """
    model = read_model(run, raw=raw)
    evidence = evidence_of(model, Store(Path(cache)), neighbours)
    extraction = extract_new(model, paths, cache=cache, weights=weights, on_error=on_error, image_column=image_column)
    shares = model.probabilities(extraction.view_rows(extraction.images))
    given = extraction.dataset.classes
    compared = evidence.compare(extraction)
    rows = tuple(
        _prediction(model, image, row, given, one)
        for image, row, one in zip(extraction.images, shares, compared, strict=True)
    )
    warn_of_outside([row.path for row in rows], [row.typicality for row in rows])
    return Predictions(
        model.classes,
        rows,
        extraction.failed,
        model.multilabel,
        name=Path(run).resolve().name,
        training_images=evidence.n,
    )


def _prediction(
    model: Model, image: Image, shares: NDArray[np.float64], given: Sequence[str], compared: Compared
) -> Prediction:
    """Return the prediction for an image of data with the labels `given`."""
    item = image.item
    by_class = dict(zip(model.classes, map(float, shares), strict=True))
    several = model.multilabel
    typicality, neighbours = compared
    return Prediction(
        item.id,
        label=None if several else model.classes[int(shares.argmax())],
        probabilities=by_class,
        true_label=item.label,
        group=item.group,
        extra=item.extra,
        labels=tuple(name for name, share in by_class.items() if share >= THRESHOLD) if several else None,
        true_labels={} if item.targets is None else dict(zip(given, map(_there, item.targets), strict=True)),
        typicality=typicality,
        neighbours=neighbours,
        file=item.path,
        digest=image.digest,
        pixels=item.pixels,
    )


def _there(target: float) -> bool | None:
    return None if math.isnan(target) else target == 1
