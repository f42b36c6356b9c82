"""Confusion matrices on pages."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from featx import plots
from featx.pages.blocks import Block, Confusion, Table
from featx.text import NOTHING, count, fraction, images

# A confusion matrix of more classes is wider than a page.
MOST_CLASSES = 30


def confusion_block(
    classes: Sequence[str], true: NDArray[np.int64], predicted: NDArray[np.int64], kind: str = ""
) -> Block:
    """Return the confusion matrix of images, or for very many classes the most frequent confusions.

    Args:
        classes: The names of the classes.
        true: (n,) numbers of the true classes.
        predicted: (n,) numbers of the predicted classes.
        kind: What the images are, such as `test`.
    """
    matrix = plots.confusion_counts(true, predicted, len(classes))
    caption = f"Confusion matrix of {images(len(true), kind)}, {count(int(np.sum(true == predicted)))} correct."
    if len(classes) > MOST_CLASSES:
        return _most_frequent(classes, plots.most_confused(matrix, MOST_CLASSES), caption)
    counts = matrix.toarray()
    totals = counts.sum(axis=1)
    rows = tuple(
        (
            name,
            tuple((int(value), float(value / max(totals[row], 1))) for value in counts[row]),
            fraction(int(counts[row, row]), int(totals[row])),
        )
        for row, name in enumerate(classes)
    )
    return Confusion(f"{caption} A darker cell holds a larger share of the true class.", tuple(classes), rows)


def _most_frequent(classes: Sequence[str], confused: Sequence[tuple[int, int, int]], caption: str) -> Table:
    rows = tuple((classes[row], classes[column], count(n)) for row, column, n in confused)
    text = f"{caption} A matrix of {len(classes)} classes is too wide, so these are the most frequent confusions."
    return Table(text, ("true", "predicted", "images"), rows or ((NOTHING, NOTHING, "0"),), words=frozenset({1}))
