"""Opened rows: the cached features of a run or of data, with what is known about each image."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, Unpack, cast

import numpy as np
from numpy.typing import NDArray

from featx.data import SPLITS, Dataset, ImageFiles, check_labelled, group_ids, read_data
from featx.errors import DataError, RunError, UsageError
from featx.features import (
    Choice,
    Extraction,
    Failure,
    FeatureSpace,
    FeatureTable,
    OnError,
    data_choice,
    extract,
    weights_of,
)
from featx.frames import columns_of
from featx.recipes import FeatureSpec
from featx.runs.folder import TARGET, Run, RunImage, is_run, joined, read_run
from featx.stats import THRESHOLD
from featx.store import RowKey, Store

Layer = Literal["penultimate", "backbone"]


@dataclass(frozen=True)
class Predicted:
    """The predictions of a run's head for n images.

    Attributes:
        classes: In the order of the columns.
        probabilities: (n, classes); each row adds up to 1, unless an image may have several labels.
        roles: What the run used each image for: `fit`, `validation` or `test`.
        multilabel: Whether the classes are labels of which an image may have several.
    """

    classes: tuple[str, ...]
    probabilities: NDArray[np.float64]
    roles: tuple[str, ...]
    multilabel: bool = False

    @property
    def labels(self) -> tuple[str, ...]:
        """The most probable class of each image.

        Of several labels those whose probability is at least 0.5, with `|` between them.
        """
        if self.multilabel:
            return tuple(joined(self.classes, row) for row in self.probabilities >= THRESHOLD)
        return tuple(self.classes[number] for number in self.probabilities.argmax(axis=1))

    def take(self, index: NDArray[np.int64]) -> Predicted:
        """Return the images of these numbers, in their order."""
        return replace(self, probabilities=self.probabilities[index], roles=tuple(self.roles[i] for i in index))


@dataclass(frozen=True)
class Source:
    """Rows of images, ordered by digest, so that file names and their order change no result.

    Attributes:
        name: The run's or the data's folder name, for titles.
        layer: Which features the rows are.
        feature_set: The id of their feature space in the store.
        table: Rows of the images themselves (view 0), with labels, splits, groups and the data's other columns; those
            of a run are text.
        files: Where each image was when it was last read; it may be gone.
        predicted: The predictions of the run's head; None for data.
        run: The run; None for data.
        space: How the features of data are made; None for a run, whose recipe and manifest say it.
        failed: Images of data that could not be read and are not among the rows.
        pixels: Of each image its pixels if it is in memory, None if it is a file; empty if all are files.
    """

    name: str
    layer: Layer
    feature_set: str
    table: FeatureTable
    files: tuple[Path, ...]
    predicted: Predicted | None = None
    run: Run | None = None
    space: FeatureSpace | None = None
    failed: tuple[Failure, ...] = ()
    pixels: tuple[NDArray[np.uint8] | None, ...] = ()

    def group_ids(self) -> tuple[str, ...]:
        """Return for each image the id of its group: images with the same id (group or bytes) must stay together."""
        return tuple(group_ids(self.table.digests, self.table.groups))

    def column(self, name: str) -> tuple[str, ...]:
        """Return a column of the manifest, or `label`, `group`, `split`, as text; "" where a cell is empty.

        Of data with several labels, `label:NAME` has `there`, `not there` and, where it is not known, "".

        Raises:
            DataError: The data has no such column.
        """
        table = self.table
        if name == "label":
            return tuple(label or "" for label in table.labels)
        of_labels = [f"{TARGET}{label}" for label in table.label_names]
        if table.targets is not None and name in of_labels:
            words = {0.0: "not there", 1.0: "there"}
            return tuple(words.get(value, "") for value in table.targets[:, of_labels.index(name)].tolist())
        if name in ("group", "split") and name not in table.extra:
            own = table.groups if name == "group" else table.splits
            return tuple(cell or "" for cell in own)
        names = sorted([*table.extra, *of_labels])
        if name not in names:
            others = "label, group or split" if any(table.labels) else "group or split"
            found = f"{', '.join(names)}; name one of them" if names else "no further column; add it to a manifest"
            raise DataError(
                f"Expected a column {name!r} in the manifest of {self.name}, found {found}, or use {others}."
            )
        return tuple("" if cell is None else str(cell) for cell in table.extra[name])

    def of_split(self, split: str) -> Source:
        """Return the rows of `train`, `val` or `test`, or with `all` every row.

        Raises:
            UsageError: There is no split of that name.
            DataError: It has no images.
        """
        if split not in (*SPLITS, "all"):
            raise UsageError(f"Expected the split {', '.join(SPLITS)} or all, received {split!r}.")
        index = np.array([i for i, name in enumerate(self.table.splits) if split in ("all", name)], np.int64)
        if not len(index):
            there = " and ".join(name for name in SPLITS if name in self.table.splits)
            way = ", or set a fifth of the data aside with --test 0.2" if split == "test" else ""
            raise DataError(
                f"{self.name} has no images of the split {split!r}, only of {there}; choose another split{way}."
            )
        return self.take(index)

    def take(self, index: NDArray[np.int64]) -> Source:
        """Return the rows of these numbers, in their order."""
        return replace(
            self,
            table=self.table.take(index),
            files=tuple(self.files[i] for i in index),
            predicted=None if self.predicted is None else self.predicted.take(index),
            pixels=tuple(self.pixels[i] for i in index) if self.pixels else (),
        )


def read_source(
    place: Any,
    *,
    layer: Layer | None = None,
    recipe: FeatureSpec | str | Path | None = None,
    cache: str | Path = "cache",
    on_error: OnError = "fail",
    labels_for: str | None = None,
    **choice: Unpack[Choice],
) -> Source:
    """Open the rows of a run or of data. For data, rows that the cache lacks are computed first.

    Args:
        place: A folder that `fit_head` wrote, or data, see `read_data`.
        layer: `penultimate` or `backbone`. The default is the penultimate layer for a run that has one, else the
            backbone.
        recipe: The features of data, see `extract`. A run has its own.
        cache: Folder of the store.
        on_error: What to do about images of data that cannot be read, see `extract`.
        labels_for: What labels are needed for, see `check_labelled`. Data without them is refused before anything is
            computed. The default: labels are not needed.
        choice: Single fields of the features, and how data is read, see `Choice`; neither is for a run.

    Raises:
        UsageError: Penultimate features of data, or a choice for a run.
        DataError: Images of data have no labels, but these are needed.
        RunError: The run cannot be read, or its features are not in the cache.
        FeatxError: What `extract` raises.
    """
    if layer not in (None, "penultimate", "backbone"):
        raise UsageError(f"Expected the layer penultimate or backbone, received {layer!r}.")
    if is_run_path(place):
        chosen = [name for name, value in {"recipe": recipe, **choice}.items() if value is not None]
        if chosen:
            raise UsageError(
                f"Expected no --{chosen[0].replace('_', '-')} with the run {place}, which has its own data and "
                "features; leave it out, or pass the data instead of the run."
            )
        return run_source(read_run(place), layer, Store(Path(cache)))
    if layer == "penultimate":
        what = place if isinstance(place, (str, os.PathLike)) else "data in memory"
        raise UsageError(
            f"Penultimate features are a fitted head's, and {what} is not a run; pass a folder that featx fit-head "
            "wrote, or use --layer backbone."
        )
    if labels_for is not None:
        place, choice = _labelled_data(place, labels_for, cache, on_error, choice)
    # Rows are those of the images themselves, so a recipe's augmented views would be computed for nothing.
    return data_source(extract(place, recipe, views=1, cache=cache, on_error=on_error, **choice))


def _labelled_data(
    place: Any, purpose: str, cache: str | Path, on_error: OnError, choice: Choice
) -> tuple[Dataset, Choice]:
    """Read data whose images must have labels; return it with the rest of a choice."""
    reading = data_choice(choice)
    data = read_data(place, missing="keep" if on_error == "skip" else "fail", cache=cache, **reading)
    if not data.multilabel:  # with several labels, an image may have none that is known
        check_labelled(data, purpose)
    return data, cast("Choice", {name: value for name, value in choice.items() if name not in reading})


def is_run_path(place: Any) -> bool:
    """Tell whether a place is the path of a run's folder."""
    return isinstance(place, (str, os.PathLike)) and is_run(Path(place))


def split_weights(place: Any, choice: Choice) -> tuple[str | None, Choice]:
    """Return the weights for new images, if a place is a run, whose features are fixed, and the rest of a choice."""
    if not is_run_path(place):
        return None, choice
    rest = choice.copy()
    weights = rest.pop("weights", None)
    if weights is None:  # most often, and then the run need not be read for its network's name
        return None, rest
    return weights_of(read_run(place).recipe.backbone.name, weights), rest


def run_source(
    run: Run, layer: Layer | None, store: Store, chosen_images: Sequence[RunImage] | None = None
) -> Source:
    """Return the rows of a run from the cache.

    Args:
        run: The run.
        layer: See `read_source`.
        store: The cache.
        chosen_images: Those of the run's images whose rows are read; all if not given.

    Raises:
        RunError: The cache lacks some, or the run has no penultimate features.
    """
    penultimate = None if layer == "backbone" else run.manifest["head"]["penultimate"]
    feature_set = str((penultimate or run.manifest["features"])["feature_set"])
    files = ImageFiles(Path(run.manifest["data"]["root"]), store.root)
    if layer == "penultimate" and penultimate is None:
        raise RunError(f"The recipe of {run.path} names no penultimate layer; use --layer backbone.")
    chosen: Layer = "backbone" if penultimate is None else "penultimate"
    of_run = run.images if chosen_images is None else chosen_images
    images = sorted(of_run, key=lambda image: (image.digest, image.path))
    table = FeatureTable(
        _rows(run, [(image.digest, 0) for image in images], chosen, feature_set, store),
        ids=tuple(image.path for image in images),
        labels=tuple(None if run.multilabel else image.label for image in images),
        splits=tuple(image.split for image in images),
        groups=tuple(image.group for image in images),
        digests=tuple(image.digest for image in images),
        views=(0,) * len(images),
        extra=columns_of([image.extra for image in images]),
        targets=np.array([image.targets for image in images], np.float32) if run.multilabel else None,
        label_names=run.classes if run.multilabel else (),
    )
    probabilities = np.array([image.probabilities for image in images], np.float64)
    return Source(
        name=run.path.resolve().name,
        layer=chosen,
        feature_set=feature_set,
        table=table,
        files=tuple(files.path(image.path) for image in images),
        predicted=Predicted(run.classes, probabilities, tuple(image.role for image in images), run.multilabel),
        run=run,
    )


def data_source(extraction: Extraction) -> Source:
    """Return the rows of an extraction."""
    images = sorted(extraction.images, key=lambda image: (image.digest, image.item.id))
    in_memory = any(image.item.pixels is not None for image in images)
    return Source(
        name=extraction.dataset.name,
        layer="backbone",
        feature_set=extraction.space.plain.id,
        table=extraction.table_of(images),
        files=tuple(image.item.path for image in images),
        space=extraction.space,
        failed=extraction.failed,
        pixels=tuple(image.item.pixels for image in images) if in_memory else (),
    )


def _rows(run: Run, keys: Sequence[RowKey], layer: Layer, feature_set: str, store: Store) -> NDArray[np.float32]:
    for space in store.spaces():
        if space.id == feature_set and not space.missing(keys):
            return space.rows(keys).to_array()
    raise RunError(
        f"The {layer} features of the run {run.path} are not all in the cache {store.root}; pass the cache that it "
        "was fitted with (--cache), or run featx fit-head again."
    )
