"""Labels and groups that are given with a list or array of images, in its order."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import replace
from typing import Any

import numpy as np

from featx.data.choice import DataChoice, labels_of_images, refuse_labels_of_folders, separator_of
from featx.data.dataset import Item
from featx.data.in_memory import items_in_memory
from featx.data.tables.files import text_of_cell
from featx.data.tables.multilabel import UNKNOWN, Targets, targets_of_cells
from featx.errors import DataError, UsageError


def listed(data: Any) -> Any:
    """Return a list instead of a generator, a set or the like; a set, which has no order, is sorted."""
    if isinstance(data, Set):
        return sorted(data, key=str)
    return list(data) if isinstance(data, Iterator) else data


def given_items(data: Any, choice: DataChoice) -> tuple[list[Item], tuple[str, ...]]:
    """Return the images of a list or array, each once with its labels and group, and the names of several labels."""
    refuse_labels_of_folders(choice, "a list of images", "pass the labels")
    items = items_in_memory(listed(data), "train")
    labels, names = _labels(labels_of_images(choice), data, len(items), separator_of(choice))
    groups = _cells("groups", choice.get("groups"), data, len(items))
    by_id: dict[str, Item] = {}
    for item, label, group in zip(items, labels, groups, strict=True):
        if isinstance(label, tuple):
            item = replace(item, targets=label, group=group)
        else:
            item = replace(item, label=label, group=group)
        first = by_id.setdefault(item.id, item)
        if (first, first.targets) != (item, item.targets):
            raise DataError(f"Expected one label and one group for {item.id}, received it twice with others.")
    return list(by_id.values()), names


def _labels(
    values: Any, data: Any, n: int, separator: str | None
) -> tuple[Sequence[str | Targets | None], tuple[str, ...]]:
    """The label of each image, or the targets of several, whose names come second, sorted."""
    if hasattr(values, "columns") and hasattr(values, "to_numpy"):  # a data frame with a column for each label
        names = [str(name).strip() for name in values.columns]
        return (
            _marked(values.to_numpy(), names, n) if len(names) > 1 else _labels(values.to_numpy(), data, n, separator)
        )
    values = values if isinstance(values, (str, Mapping, Set)) else listed(values)
    if isinstance(values, Sequence) and any(map(_is_of_names, values)):
        return _named(values, n)
    array = np.asarray(values) if isinstance(values, (list, tuple)) and _is_matrix(values) else values
    if hasattr(array, "__array__") and np.ndim(array) == 2 and np.shape(array)[1] > 1 and not _is_one_hot(array):
        return _marked(np.asarray(array), [str(number) for number in range(np.shape(array)[1])], n)
    cells = _cells("labels", values, data, n)
    several = targets_of_cells(cells, separator)
    return (cells, ()) if several is None else (several[1], several[0])


def _is_of_names(value: Any) -> bool:
    """Tell whether a value is a set or list of names, which may be empty."""
    return isinstance(value, (set, frozenset, list, tuple)) and all(isinstance(name, str) for name in value)


def _is_matrix(values: Sequence[Any]) -> bool:
    """Tell whether a list has rows of the same length."""
    return bool(values) and all(
        isinstance(row, (list, tuple, np.ndarray)) and len(row) == len(values[0]) for row in values
    )


def _is_one_hot(array: Any) -> bool:
    """Tell whether each row marks one class; then the classes are wanted, not as many labels."""
    array = np.asarray(array)
    return array.dtype.kind in "biuf" and bool(np.isin(array, (0, 1)).all() and (array.sum(axis=1) == 1).all())


def _named(values: Sequence[Any], n: int) -> tuple[list[Targets], tuple[str, ...]]:
    """The targets of lists of names; None stands for an image of which no label is known."""
    _check_number(len(values), n)
    if other := [each for each in values if each is not None and not _is_of_names(each)]:
        raise DataError(
            f"Expected a list of names of labels for each image, or None, received {str(other[0])[:80]!r} among them."
        )
    sets = [
        None if each is None else {unicodedata.normalize("NFC", name).strip() for name in each} for each in values
    ]
    names = tuple(sorted({name for each in sets for name in each or ()} - {""}))
    if not names:
        raise DataError("Expected names of labels, received empty lists alone; pass labels=None for images without.")
    unknown = (UNKNOWN,) * len(names)
    return [unknown if each is None else tuple(float(name in each) for name in names) for each in sets], names


def _marked(array: Any, names: Sequence[str], n: int) -> tuple[list[Targets], tuple[str, ...]]:
    """The targets of a matrix of 1, 0 and NaN."""
    _check_number(len(array), n)
    try:
        matrix = np.asarray(array, np.float64)
    except (TypeError, ValueError):
        matrix = np.full(np.shape(array), 2.0)
    unknown = np.isnan(matrix) | (matrix == -1)
    if not (unknown | np.isin(matrix, (0, 1))).all() or len(set(names)) < len(names):
        raise DataError(
            f"Expected labels of shape ({n},), one for each image, or a matrix of 1, 0 and NaN with a column for "
            f"each label, received other values in the shape {np.shape(array)}; pass one text for each image."
        )
    order = sorted(range(len(names)), key=lambda number: names[number])
    rows = [
        tuple(UNKNOWN if unknown[row, column] else float(matrix[row, column]) for column in order) for row in range(n)
    ]
    return rows, tuple(names[number] for number in order)


def _check_number(received: int, n: int) -> None:
    if received != n:
        raise DataError(f"Expected {n} labels, one for each image, received {received}.")


def _cells(name: str, values: Any, data: Any, n: int) -> list[str | None]:
    """Return a text for each of the n images of data, or None."""
    if values is None:
        return [None] * n
    if isinstance(values, (str, Mapping, Set)) or not isinstance(values, Iterable) or isinstance(data, Set):
        kind = type(data if isinstance(data, Set) else values).__name__
        raise UsageError(
            f"Expected {name} and images as lists or arrays in the same order, received a value of type {kind}."
        )
    # The elements of tensors and of Arrow's columns are no plain values, but those of their arrays are.
    array = np.asarray(values if hasattr(values, "__array__") else list(values), object)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 1 or any(isinstance(value, (np.ndarray, list, tuple)) for value in array):
        raise DataError(
            f"Expected {name} of shape ({n},), one for each image, received the shape {array.shape}; where each row "
            f"marks its class, pass {name}.argmax(axis=1)."
        )
    if len(array) != n:
        raise DataError(f"Expected {n} {name}, one for each image, received {len(array)}.")
    texts = map(text_of_cell, array.tolist())
    return [None if text is None else unicodedata.normalize("NFC", text).strip() for text in texts]
