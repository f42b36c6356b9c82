"""Folds for cross-validation: stratified by class, units whole, every class in every training part."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from featx.errors import DataError

log = logging.getLogger("featx")

# A training part without a class is met where units are few and large; another shuffle may do.
ATTEMPTS = 20

Fold = tuple[NDArray[np.int64], NDArray[np.int64]]


def repeated_folds(y: NDArray[np.int64], units: Sequence[str], folds: int, repeats: int, seed: int) -> list[Fold]:
    """Divide rows several times anew, in the same way for whoever asks with the same seed.

    Args:
        y: (n,) class numbers.
        units: (n,) images of one unit stay on one side.
        folds: Folds a repeat, at least 2; see `possible_folds`.
        repeats: How often, at least 1.
        seed: Another seed divides otherwise.

    Returns:
        `repeats * folds` pairs of row numbers: to fit on, held out.

    Raises:
        DataError: A class cannot be on both sides without dividing a unit.
    """
    return [fold for repeat in range(repeats) for fold in unit_folds(y, units, folds, [seed, repeat])]


def unit_folds(y: NDArray[np.int64], units: Sequence[str], folds: int, seed: Sequence[int]) -> list[Fold]:
    """Divide rows once, stratified by class and with units whole.

    Without larger units these are scikit-learn's StratifiedKFold, else its StratifiedGroupKFold, drawn again
    where a training part lacks a class.

    Args:
        y: (n,) class numbers.
        units: (n,) images of one unit stay on one side.
        folds: At least 2.
        seed: Numbers that decide together.

    Returns:
        `folds` pairs of row numbers: to fit on, held out.

    Raises:
        DataError: A class cannot be on both sides without dividing a unit.
    """
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

    numbers = np.unique(np.asarray(units), return_inverse=True)[1]
    single = len(set(numbers.tolist())) == len(numbers)
    kind = StratifiedKFold if single else StratifiedGroupKFold
    states = np.random.SeedSequence(list(seed)).generate_state(ATTEMPTS)
    for state in states:
        splitter = kind(folds, shuffle=True, random_state=int(state))
        with warnings.catch_warnings():
            # A class that is in fewer units than folds is missing from some held-out parts, which may be.
            warnings.simplefilter("ignore", UserWarning)
            found = list(splitter.split(np.zeros((len(y), 1)), y, None if single else numbers))
        if all(len(held) and len(set(y[fit].tolist())) == len(set(y.tolist())) for fit, held in found):
            return found
    raise DataError(
        f"Expected every class in the training part of each of {folds} folds, which whole units of images (of a "
        "group, or of the same bytes) do not allow; add images of more units to the smallest class, or lower --folds."
    )


def possible_folds(
    y: NDArray[np.int64], units: Sequence[str], classes: Sequence[str], wanted: int, least: int = 3
) -> int:
    """Return how many folds the classes' units allow: at most one for each unit of the smallest class.

    Args:
        y: (n,) class numbers.
        units: (n,) units.
        classes: Their names.
        wanted: Folds asked for; lowered with a notice.
        least: Units that each class must have; with 3, the training part of a fold can itself be divided.

    Raises:
        DataError: A class has fewer units.
    """
    numbers = np.unique(np.asarray(units), return_inverse=True)[1]
    counts = {name: len(set(numbers[y == number].tolist())) for number, name in enumerate(classes)}
    few = [f"{name} ({count})" for name, count in counts.items() if count < least]
    if few:
        raise DataError(
            f"Expected training images of at least {least} units (groups, or single images) in each class to choose "
            f"and compare classifiers by cross-validation, found fewer for {', '.join(few)}; add images."
        )
    allowed = min(wanted, *counts.values())
    if allowed < wanted:
        log.warning("The folds %d are lowered to %d, which is what the smallest class allows.", wanted, allowed)
    return allowed


def numbered(folds: Sequence[Fold], n: int) -> NDArray[np.int64]:
    """Return (n,) the number of the fold in which each row is held out."""
    found = np.empty(n, np.int64)
    for number, (_, held) in enumerate(folds):
        found[held] = number
    return found
