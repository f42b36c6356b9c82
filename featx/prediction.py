"""The verb `predict`: classes and probabilities of new images, by a run's head or a saved classifier."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.classifiers import is_saved_classifier, read_classifier
from featx.data import Item
from featx.features import Failure, OnError
from featx.files import write_csv
from featx.frames import Shown, columns_of, frame, with_further
from featx.progress import Progress, reports_progress
from featx.runs import HeadModel, Model, extract_new, read_run
from featx.stats import THRESHOLD
from featx.text import NOTHING, decimal, images, joined_labels

# Images in a notebook's table, and classes in its line.
MOST_SHOWN = 10


def read_model(folder: str | Path, *, raw: bool = False) -> Model:
    """Read a run or a saved classifier; its head or estimator is loaded when it is needed.

    Args:
        folder: A folder that `fit_head` wrote, or a saved classifier.
        raw: Whether a head's probabilities are those without its temperature.
    """
    place = Path(folder)
    return read_classifier(place) if is_saved_classifier(place) else HeadModel(read_run(place), raw=raw)


@dataclass(frozen=True)
class Prediction:
    """The prediction for one image.

    Attributes:
        path: The image's path as it was given.
        label: The most probable class; None where an image may have several labels.
        probabilities: For each class; they add up to 1. Where an image may have several labels, the probability of
            each that it is there, 0 to 1.
        true_label: The class that a manifest or data frame gives; None without one.
        group: The group that it gives, such as a patient; None without one.
        extra: Its other columns.
        labels: Where an image may have several labels, those with a probability of at least 0.5; None otherwise.
        true_labels: Where a manifest or data frame gives several labels, whether each of them is there, None where
            that is not known; empty otherwise.
    """

    path: str
    label: str | None
    probabilities: dict[str, float]
    true_label: str | None = None
    group: str | None = None
    extra: Mapping[str, Any] = field(default_factory=dict, hash=False)
    labels: tuple[str, ...] | None = None
    true_labels: Mapping[str, bool | None] = field(default_factory=dict, hash=False)

    @property
    def words(self) -> str:
        """The class, or the labels with `|` between them, as tables show them."""
        return joined_labels(self.labels) if self.labels is not None else str(self.label)

    def to_json(self) -> dict[str, Any]:
        """Return `path, label, probabilities`, and `labels` where an image may have several."""
        several = {} if self.labels is None else {"labels": list(self.labels)}
        return {"path": self.path, "label": self.label, **several, "probabilities": self.probabilities}


@dataclass(frozen=True, repr=False)
class Predictions(Shown):
    """Predictions in the order of the images, and the images that could not be used.

    Attributes:
        classes: The classes or labels, in the order of the probabilities.
        rows: One for each image.
        failed: Images that could not be read.
        multilabel: Whether an image may have several of the labels.
    """

    classes: tuple[str, ...]
    rows: tuple[Prediction, ...]
    failed: tuple[Failure, ...]
    multilabel: bool = False

    def headline(self) -> str:
        """Return how many images were predicted to be of each class, or have each label, the most frequent first."""
        if self.multilabel:
            counts = Counter(label for row in self.rows for label in row.labels or ())
            if none := sum(not row.labels for row in self.rows):
                counts["no label"] = none
        else:
            counts = Counter(str(row.label) for row in self.rows)
        named = ", ".join(f"{label} {n:,}" for label, n in counts.most_common(MOST_SHOWN))
        named += ", …" if len(counts) > MOST_SHOWN else ""
        skipped = f"; {len(self.failed):,} skipped" if self.failed else ""
        return f"{images(len(self.rows))}{': ' if named else ''}{named}{skipped}"

    def overview(self) -> tuple[Sequence[str], Sequence[Sequence[str]]]:
        """Return the first images with class and probability."""
        header, shown = self.shown(self.rows[:MOST_SHOWN])
        rest = [("…", "", "")] if len(self.rows) > MOST_SHOWN else []
        return header, [*shown, *rest]

    def shown(self, rows: Sequence[Prediction]) -> tuple[Sequence[str], list[tuple[str, str, str]]]:
        """Return header and rows of a table for people: the class with its probability, or the labels with theirs.

        Of an image without a label it is the highest probability.
        """
        if not self.multilabel:
            return ("image", "class", "probability"), [
                (row.path, row.words, decimal(max(row.probabilities.values()))) for row in rows
            ]
        cells = []
        for row in rows:
            own = [row.probabilities[label] for label in row.labels or ()] or [max(row.probabilities.values())]
            cells.append((row.path, row.words or NOTHING, joined_labels(map(decimal, own))))
        return ("image", "labels", "probability"), cells

    def to_json(self) -> dict[str, Any]:
        """Return the JSON of `featx predict`."""
        return {
            "predictions": [row.to_json() for row in self.rows],
            "failed": [failure.to_json() for failure in self.failed],
        }

    def to_frame(self) -> Any:
        """Return a `pandas.DataFrame` with a row for each image, see `columns`.

        Raises:
            UsageError: pandas is not installed.
        """
        return frame(self.columns())

    def write(self, path: str | Path) -> Path:
        """Write a CSV file with a row for each image, see `columns`; probabilities have six digits.

        Raises:
            StoreError: The file cannot be written.
        """
        columns = self.columns()
        for name in self.classes:
            columns[f"p_{name}"] = [f"{p:.6g}" for p in columns[f"p_{name}"]]
        return write_csv(Path(path), list(columns), zip(*columns.values(), strict=True))

    def columns(self) -> dict[str, Sequence[Any]]:
        """Return a table of the predictions by column.

        Columns: `path`, `label` (the most probable class) and `p_<class>` for each class. Then what the manifest or
        data frame has: `true_label` and `group`, if some image has one, and its other columns under their own names,
        with `extra_` before one that is there already. Where an image may have several labels, `labels` stands in
        place of `label`, with `|` between those whose probability is at least 0.5; the true ones are in columns
        `label:<name>`, 1 where a label is there, 0 where it is not, None where that is not known.
        """
        rows = self.rows
        own = "labels" if self.multilabel else "label"
        columns: dict[str, Sequence[Any]] = {"path": [row.path for row in rows], own: [row.words for row in rows]}
        columns |= {f"p_{name}": [row.probabilities[name] for row in rows] for name in self.classes}
        names = dict.fromkeys(name for row in rows for name in row.true_labels)
        further: dict[str, list[Any]] = {"true_label": [row.true_label for row in rows]}
        further |= {f"label:{name}": [_number(row.true_labels.get(name)) for row in rows] for name in names}
        further |= {"group": [row.group for row in rows]}
        columns |= {name: cells for name, cells in further.items() if any(cell is not None for cell in cells)}
        return with_further(columns, columns_of([row.extra for row in rows]))


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
    yes: bool = False,
    progress: Progress | None = None,
) -> Predictions:
    """Classify new images with a run's head or a saved classifier, preprocessed as its training images were.

    A head that was trained on images with several labels gives a probability for each label by itself.

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
        yes: Do work that is estimated to need more disk, memory or time than there is.
        progress: Called with how far the work is.

    Raises:
        UsageError: `paths` is none of these.
        RunError: The folder is neither, or damaged.
        UntrustedError: The backbone's weights, or anything else that decides the features, are not those of the fit.
        FeatxError: What `extract` raises.
    """
    model = read_model(run, raw=raw)
    extraction = extract_new(model, paths, cache=cache, weights=weights, on_error=on_error, image_column=image_column)
    shares = model.probabilities(extraction.view_rows(extraction.images))
    given = extraction.dataset.classes
    rows = tuple(
        _prediction(model, image.item, row, given) for image, row in zip(extraction.images, shares, strict=True)
    )
    return Predictions(model.classes, rows, extraction.failed, model.multilabel)


def _prediction(model: Model, item: Item, shares: NDArray[np.float64], given: Sequence[str]) -> Prediction:
    """Return the prediction for an image of data with the labels `given`."""
    by_class = dict(zip(model.classes, map(float, shares), strict=True))
    label = None if model.multilabel else model.classes[int(shares.argmax())]
    labels = tuple(name for name, share in by_class.items() if share >= THRESHOLD) if model.multilabel else None
    true_labels = {} if item.targets is None else dict(zip(given, map(_there, item.targets), strict=True))
    return Prediction(item.id, label, by_class, item.label, item.group, item.extra, labels, true_labels)


def _there(target: float) -> bool | None:
    return None if math.isnan(target) else target == 1


def _number(there: bool | None) -> int | None:
    return None if there is None else int(there)
