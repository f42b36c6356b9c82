"""What data needs for work with labels: labels at all, and enough images of each to train a head."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from featx.data.dataset import Dataset, first_few, is_unlabelled, targets_of
from featx.errors import DataError, UsageError
from featx.text import count, images

WAYS = (
    "put the images into a folder for each class, or list them in a manifest with a column label (or choose "
    "the column with --label-column, or several with --label-columns)"
)


def check_labelled(labels: Dataset | Sequence[str | None], purpose: str, *, names: Sequence[str] = ()) -> None:
    """Check that each image has a label, or, of data with several labels, that one of them is known.

    Args:
        labels: Data, or the label of each image, (n,).
        purpose: What labels are needed for, such as `to train a head`, for the message.
        names: (n,) the images' names where labels are given, for the message.

    Raises:
        DataError: At least one image has no label.
    """
    if isinstance(labels, Dataset):
        without = [number for number, item in enumerate(labels.items) if is_unlabelled(item)]
        names, n = [item.id for item in labels.items], len(labels.items)
    else:
        without, n = [number for number, label in enumerate(labels) if label is None], len(labels)
    if not without:
        return
    expected = f"Expected a label for each image {purpose}, found"
    if len(without) == n:
        raise DataError(f"{expected} {images(n)} without labels; {WAYS}.")
    example = f" ({first_few([names[number] for number in without])})" if names else ""
    raise DataError(
        f"{expected} {count(len(without))} of {images(n)} without one{example}; give their labels, or "
        "leave these images out."
    )


def check_for_fit(dataset: Dataset, validation: float) -> None:
    """Check that a head can be trained and validated on a dataset.

    Args:
        dataset: The labelled images.
        validation: The share of each class's training images for validation, in [0, 1): `round(n * validation)` of
            n images. Not used if the dataset has a split "val".

    Raises:
        UsageError: The share is not in [0, 1).
        DataError: An image has no label, fewer than two classes have training images, a class of another split has
            none, or a class has too few images for both training and validation. Of several labels: none is known
            of any image, or the training images of a label all have it or all do not.
    """
    if not 0 <= validation < 1:
        raise UsageError(f"Expected a validation share of at least 0 and below 1, received {validation}.")
    # Of several labels, an image of which none is known counts neither in the loss nor in scores.
    if dataset.multilabel and not all(map(is_unlabelled, dataset.items)):
        _check_each_label(dataset)
        return
    check_labelled(dataset, "to train a head")
    counts = dataset.counts()
    train = {label: n for label, n in counts.get("train", {}).items() if n}
    if len(train) < 2:
        raise DataError(
            f"Expected training images of at least two classes in {dataset.place}, found "
            f"{first_few(list(train)) or 'none'}; add a folder or label for each class."
        )
    for split in ("val", "test"):
        unknown = [label for label, n in counts.get(split, {}).items() if n and label not in train]
        if unknown:
            raise DataError(
                f"Expected in split {split} of {dataset.place} only classes that have training images, found "
                f"{first_few(unknown)}; add training images of these classes or remove their images."
            )
    if "val" in counts or validation == 0:
        return
    few = [f"{label} ({n})" for label, n in train.items() if not 1 <= round(n * validation) < n]
    if few:
        raise DataError(
            f"Expected images of each class for both training and validation, but a validation share of {validation} "
            f"leaves too few of {first_few(few)}; add images or choose another share."
        )


def _check_each_label(dataset: Dataset) -> None:
    """Check that of each label there are training images that have it and training images that do not."""
    targets = targets_of(dataset.split("train"), dataset.classes)
    there, not_there = np.sum(targets == 1, axis=0), np.sum(targets == 0, axis=0)
    few = [
        f"{label} ({count(int(ones))} with it, {count(int(zeros))} without)"
        for label, ones, zeros in zip(dataset.classes, there, not_there, strict=True)
        if not (ones and zeros)
    ]
    if few:
        raise DataError(
            f"Expected training images with each label and without it in {dataset.place}, found other counts for "
            f"{len(few)} of {len(dataset.classes)} labels ({first_few(few)}); add images, or leave these labels out "
            "(--label-columns names those to keep)."
        )
