"""What a run's head predicts for the images of a map, for one label an image or several."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from featx.maps.colouring import LABEL, NOT_THERE, OF_LABEL, THERE, Colouring
from featx.runs import Predicted, Source
from featx.stats import THRESHOLD
from featx.text import joined_labels


@dataclass(frozen=True)
class Guesses:
    """The predictions for n images, see `MapPoints`."""

    predicted: tuple[str, ...]
    confidence: tuple[float, ...] | None
    wrong: tuple[bool, ...]


def guesses_of(sources: Sequence[Source], heads: Sequence[Predicted], colouring: Colouring) -> Guesses | None:
    """Return the predictions of a head for the images of several sources; None without a head."""
    if not heads:
        return None
    shares = np.concatenate([head.probabilities for head in heads])
    if not heads[0].multilabel:
        predicted = tuple(chain.from_iterable(head.labels for head in heads))
        truth = chain.from_iterable(source.column(LABEL) for source in sources)
        wrong = tuple(label not in ("", one) for label, one in zip(truth, predicted, strict=True))
        return Guesses(predicted, tuple(shares.max(axis=1).tolist()), wrong)
    truth_of = [_known(source, heads[0].classes) for source in sources]
    right = (shares >= THRESHOLD) == (np.concatenate(truth_of) >= THRESHOLD)
    mistakes = np.isfinite(np.concatenate(truth_of)) & ~right
    label = colouring.by.removeprefix(OF_LABEL)
    if colouring.by.startswith(OF_LABEL) and label in heads[0].classes:
        column = heads[0].classes.index(label)
        share = shares[:, column]
        predicted = tuple(THERE if one >= THRESHOLD else NOT_THERE for one in share)
        return Guesses(predicted, tuple(np.maximum(share, 1 - share).tolist()), tuple(mistakes[:, column].tolist()))
    predicted = tuple(chain.from_iterable(head.labels for head in heads))
    return Guesses(predicted, None, tuple(mistakes.any(axis=1).tolist()))


def labels_of(source: Source) -> tuple[str, ...]:
    """Return each image's class, or of several labels those that are there, with `|` between them."""
    table = source.table
    if table.targets is None:
        return source.column(LABEL)
    names = np.array(table.label_names)
    return tuple(joined_labels(names[row == 1]) for row in table.targets)


def targets_of(source: Source, label: str) -> tuple[int | None, ...]:
    """Return 1 or 0 for each image, whether a label is there, None where it is not known."""
    table = source.table
    if table.targets is None or label not in table.label_names:
        return (None,) * len(table)
    column = table.targets[:, table.label_names.index(label)].tolist()
    return tuple(None if math.isnan(value) else int(value) for value in column)


def _known(source: Source, classes: Sequence[str]) -> NDArray[np.float64]:
    """Return (n, L) targets of a source in the order of a head's labels, NaN where they are not known."""
    table = source.table
    known = np.full((len(table), len(classes)), np.nan)
    if table.targets is not None:
        for place, name in enumerate(classes):
            if name in table.label_names:
                known[:, place] = table.targets[:, table.label_names.index(name)]
    return known
