"""The further columns of a manifest: which of them divide the images into parts, and into which."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

# A column of numbers with more distinct ones than this is divided into thirds.
MOST_DISTINCT_NUMBERS = 8
NUMERIC_SHARE = 0.95
THIRDS = 3
# A column in which more than this share of the cells differ names the images; it does not divide them.
IDENTIFIER_SHARE = 0.5
MOST_VALUES = 20
# A value of fewer images is pooled with other such values.
LEAST_IMAGES = 5
OTHERS = "others"
EMPTY = frozenset({"", "nan", "none", "null", "na", "n/a", "<na>"})


@dataclass(frozen=True)
class ColumnValues:
    """A column that divides the images into parts.

    Attributes:
        name: The column.
        values: Its values, or ranges of its numbers, in order; last `others`, if rare ones were pooled.
        number: (n,) the place of each image's value in `values`; -1 where the cell is empty.
        numbers: (n,) a column of numbers itself, NaN where a cell is empty; None for a column of words.
        pooled: The rare values that became `others`.
    """

    name: str
    values: tuple[str, ...]
    number: NDArray[np.int64]
    numbers: NDArray[np.float64] | None = None
    pooled: tuple[str, ...] = ()

    @property
    def missing(self) -> int:
        """The number of images without a value."""
        return int(np.sum(self.number < 0))

    def take(self, index: NDArray[np.int64]) -> ColumnValues:
        """Return the images of these numbers, in their order, with the same values."""
        numbers = None if self.numbers is None else self.numbers[index]
        return replace(self, number=self.number[index], numbers=numbers)


def divide_columns(columns: Mapping[str, Sequence[Any]]) -> tuple[tuple[ColumnValues, ...], dict[str, str]]:
    """Return the columns that divide the images, and why each other one does not."""
    divided, left_out = [], {}
    for name, cells in columns.items():
        values = divide_column(name, cells)
        if isinstance(values, str):
            left_out[name] = values
        else:
            divided.append(values)
    return tuple(divided), left_out


def divide_column(name: str, cells: Sequence[Any], least: int = LEAST_IMAGES) -> ColumnValues | str:
    """Return the parts that a column divides images into, or in words why it does not.

    Args:
        name: The column.
        cells: (n,) its values; None and "" are empty.
        least: Values of fewer images are pooled.
    """
    texts = [_text(cell) for cell in cells]
    counts = Counter(text for text in texts if text)
    if len(counts) < 2:
        return "all images have the same value" if counts else "it is empty"
    numbers = np.array([_number(text) for text in texts])
    known = np.isfinite(numbers)
    if len(counts) > MOST_DISTINCT_NUMBERS and known.sum() >= NUMERIC_SHARE * counts.total():
        return _thirds(name, numbers)
    if len(counts) > max(MOST_DISTINCT_NUMBERS, IDENTIFIER_SHARE * counts.total()):
        return "nearly every image has a value of its own"
    # The most frequent ones, in the order of the alphabet, so that the order of the images changes nothing.
    frequent = sorted(counts, key=lambda text: (-counts[text], text))[:MOST_VALUES]
    kept = sorted(text for text in frequent if counts[text] >= least)
    pooled = tuple(sorted(set(counts) - set(kept)))
    others = sum(counts[text] for text in pooled)
    values = (*kept, *([OTHERS] if others >= least else []))
    if len(values) < 2:
        return f"fewer than two of its values have {least} or more images"
    places = {text: number for number, text in enumerate(kept)}
    rest = len(kept) if others >= least else -1
    number = np.array([places.get(text, rest) if text else -1 for text in texts], np.int64)
    return ColumnValues(name, values, number, pooled=pooled)


def _text(cell: Any) -> str:
    text = "" if cell is None else str(cell).strip()
    return "" if text.lower() in EMPTY else text


def _number(text: str) -> float:
    """Return a text as a finite number, else NaN."""
    try:
        value = float(text)
    except ValueError:
        return math.nan
    return value if math.isfinite(value) else math.nan


def _thirds(name: str, numbers: NDArray[np.float64]) -> ColumnValues:
    """Divide a column of at least two different numbers at its terciles."""
    known = np.isfinite(numbers)
    cuts = np.unique(np.quantile(numbers[known], np.arange(1, THIRDS) / THIRDS, method="lower"))
    highest = numbers[known].max()
    cuts = cuts[cuts < highest]
    if not len(cuts):  # two thirds of the images and more have the highest number
        cuts = numbers[known & (numbers < highest)].max(keepdims=True)
    number = np.where(known, np.searchsorted(cuts, numbers, side="left"), -1)
    shown = [f"{cut:g}" for cut in cuts]
    middle = [f"over {low} to {high}" for low, high in pairwise(shown)]
    values = (f"up to {shown[0]}", *middle, f"over {shown[-1]}")
    return ColumnValues(name, values, number.astype(np.int64), numbers)
