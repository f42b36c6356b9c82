"""New labelled images for a model: read, one split chosen, and their labels checked against the model's classes."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from featx.data import SPLITS, DataChoice, Dataset, Item, check_labelled, first_few, read_data, with_frames
from featx.errors import DataError, UsageError
from featx.features import Failure, Image, OnError, hash_images, set_aside
from featx.files import is_file
from featx.runs import Model
from featx.store import StatCache
from featx.text import images as images_in_words

EVERY = "all"


@dataclass(frozen=True)
class NewImages:
    """The images that a model is evaluated on.

    Attributes:
        dataset: The data as it was read.
        split: The split that they are, or `all`.
        why: Why they are this split, as a sentence.
        images: The images whose files could be read.
        failed: The others.
    """

    dataset: Dataset
    split: str
    why: str
    images: tuple[Image, ...]
    failed: tuple[Failure, ...]


def read_new_images(
    model: Model, data: object, split: str | None, cache: Path, on_error: OnError, choice: DataChoice
) -> NewImages:
    """Read data, and return the images of a split, with the digests of their files.

    Raises:
        UsageError: There is no split of that name.
        DataError: The split has no images, or their labels are not the model's.
    """
    if split not in (None, EVERY, *SPLITS):
        raise UsageError(f"Expected the split {', '.join(SPLITS)} or {EVERY}, received {split!r}.")
    dataset = read_data(data, missing="keep" if on_error == "skip" else "fail", cache=cache, **choice)
    if isinstance(data, (str, os.PathLike)) and is_file(Path(data)):
        dataset = replace(dataset, title=Path(data).name)  # the folder of a manifest may hold several
    dataset = with_frames(dataset, model.recipe.images.frames)
    wanted, why = _chosen_split(dataset, split)
    aside = dataset.test is not None and wanted != EVERY
    items = [item for item in dataset.items if aside or wanted in (EVERY, item.split)]
    _check_labels(model, replace(dataset, items=tuple(items)))
    images, failed = hash_images(items, on_error, StatCache(cache))
    if aside and dataset.test is not None:
        images = [image for image in set_aside(images, dataset.test, dataset.classes) if image.item.split == wanted]
    if failed and not images:
        first = failed[0]
        raise DataError(f"None of the {len(failed)} images could be used; the first: {first.path} {first.reason}.")
    return NewImages(dataset, wanted, why, tuple(images), tuple(failed))


def _chosen_split(dataset: Dataset, split: str | None) -> tuple[str, str]:
    """Return the split that is evaluated, and why, as a sentence."""
    there = {item.split for item in dataset.items} | ({"test"} if dataset.test is not None else set())
    if split is None:
        if "test" not in there:
            return EVERY, f"All images of {dataset.name} were evaluated, which has no test split."
        if there == {"test"}:
            return "test", f"All images of {dataset.name} were evaluated; they are its test split."
        return "test", f"The test split of {dataset.name} was evaluated, not its other images."
    if split == EVERY:
        return EVERY, f"All images of {dataset.name} were evaluated, as was chosen."
    if split not in there:
        names = " and ".join(name for name in SPLITS if name in there)
        raise DataError(
            f"{dataset.name} has no images of the split {split!r}, only of {names}; choose another split, or leave "
            "out --split."
        )
    return split, f"The split {split} of {dataset.name} was evaluated, as was chosen."


def _check_labels(model: Model, dataset: Dataset) -> None:
    """Check that each image has a label, and that the model knows it."""
    if model.multilabel:
        _check_several(model, dataset)
        return
    if dataset.multilabel:
        raise DataError(
            f"Expected one label for each image of {dataset.name}, as the model has {len(model.classes)} classes "
            "that exclude one another, found several; name the column with --label-column, or use "
            "--label-separator none."
        )
    check_labelled(dataset, "to evaluate a model")
    counts = Counter(item.label for item in dataset.items if item.label not in model.classes)
    if counts:
        named = [f"{label} ({images_in_words(n)})" for label, n in counts.items()]
        raise DataError(
            f"Expected only labels that the model knows ({first_few(model.classes)}) in {dataset.name}, found "
            f"{first_few(named)}; leave these images out, or give them the model's names in a manifest."
        )


def _check_several(model: Model, dataset: Dataset) -> None:
    if not dataset.multilabel:
        raise DataError(
            f"Expected several labels for each image of {dataset.name}, as the model has, found one; list them in "
            "columns label:NAME of a manifest, or name the columns with --label-columns."
        )
    if unknown := sorted(set(dataset.classes) - set(model.classes)):
        raise DataError(
            f"Expected only labels that the model knows ({first_few(model.classes)}) in {dataset.name}, found "
            f"{first_few(unknown)}; name those to use with --label-columns."
        )
    check_labelled(dataset, "to evaluate a model")


def class_numbers(model: Model, images: list[Image]) -> NDArray[np.int64]:
    """Return (n,) the number of each image's class among the model's."""
    numbers = {name: number for number, name in enumerate(model.classes)}
    return np.array([numbers[str(image.item.label)] for image in images], np.int64)


def targets_of_model(model: Model, given: tuple[str, ...], items: list[Item]) -> NDArray[np.float32]:
    """Return (n, L) targets of the model's labels, 1, 0 or NaN; a label that the data does not have is not known."""
    places = {name: number for number, name in enumerate(given)}
    targets = np.full((len(items), len(model.classes)), np.nan, np.float32)
    own = np.array([item.targets or (np.nan,) * len(given) for item in items], np.float32).reshape(len(items), -1)
    for number, name in enumerate(model.classes):
        if name in places:
            targets[:, number] = own[:, places[name]]
    return targets
