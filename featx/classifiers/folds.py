"""Folds for cross-validation: stratified by class, with whole groups, every class in every training part."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from featx.data import first_few
from featx.errors import DataError
from featx.limits import Pace

log = logging.getLogger("featx")

# With few large groups a training part may lack a class; another shuffle may do.
ATTEMPTS = 20

# Numbers of the training rows and of the held-out rows.
Fold = tuple[NDArray[np.int64], NDArray[np.int64]]


def repeated_folds(y: NDArray[np.int64], groups: Sequence[str], folds: int, repeats: int, seed: int) -> list[Fold]:
    """Divide rows `repeats` times; return `repeats * folds` folds, repeat by repeat."""
    pace = Pace(repeats, f"drawing the folds of {repeats:,} repeats", "lower --repeats")
    divided = []
    for repeat in range(repeats):
        divided += grouped_folds(y, groups, folds, [seed, repeat])
        pace.step()
    return divided


def grouped_folds(y: NDArray[np.int64], groups: Sequence[str], folds: int, seed: Sequence[int]) -> list[Fold]:
    """Divide rows once, stratified by class and with whole groups.

    If every group is a single row, these are scikit-learn's StratifiedKFold, else its StratifiedGroupKFold, drawn
    again where a training part lacks a class.
    """
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

    single = len(set(groups)) == len(groups)
    kind = StratifiedKFold if single else StratifiedGroupKFold
    states = np.random.SeedSequence(list(seed)).generate_state(ATTEMPTS)
    for state in states:
        splitter = kind(folds, shuffle=True, random_state=int(state))
        with warnings.catch_warnings():
            # Held-out parts may lack a class that has fewer groups than there are folds.
            warnings.simplefilter("ignore", UserWarning)
            divided = list(splitter.split(np.zeros((len(y), 1)), y, None if single else groups))
        if all(len(held) and len(set(y[fit].tolist())) == len(set(y.tolist())) for fit, held in divided):
            return divided
    raise DataError(
        f"Expected every class in the training part of each of {folds} folds, but whole groups (images of one group, "
        "or with the same bytes) do not allow that; add images of more groups to the smallest class, or lower "
        "--folds."
    )


def possible_folds(y: NDArray[np.int64], groups: Sequence[str], classes: Sequence[str], wanted: int) -> int:
    """Return how many folds the classes' groups allow: at most one for each group of the smallest class.

    The training part of each fold must have 2 groups of each class, because it is itself divided.
    """
    least = 4 if wanted == 2 else 3
    counts = dict(zip(classes, group_counts(y, groups, len(classes)), strict=True))
    few = [f"{name} ({count})" for name, count in counts.items() if count < least]
    if few:
        ways = "add images" if wanted > 2 else "add images, or use more --folds"
        raise DataError(
            f"Expected training images of at least {least} groups (an image without a group counts as one) in each "
            f"class to compare classifiers by cross-validation, found fewer for {first_few(few)}; {ways}."
        )
    allowed = min(wanted, *counts.values())
    if allowed < wanted:
        what = "groups" if len(set(groups)) < len(groups) else "images"
        log.warning("%d folds are used instead of %d: the smallest class has no more %s.", allowed, wanted, what)
    return allowed


def group_counts(y: NDArray[np.int64], groups: Sequence[str], classes: int) -> list[int]:
    """Return how many groups each class has."""
    return [len(set(np.asarray(groups)[y == number])) for number in range(classes)]


def fold_numbers(folds: Sequence[Fold], n: int) -> NDArray[np.int64]:
    """Return (n,) the number of the fold in which each row is held out."""
    numbers = np.empty(n, np.int64)
    for number, (_, held) in enumerate(folds):
        numbers[held] = number
    return numbers
