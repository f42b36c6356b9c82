"""What a comparison is made of: rows, what is known of them, and how they are divided, evaluated and scored."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.classifiers.folds import Fold
from featx.classifiers.models import Classifier
from featx.classifiers.nested_cv import HeldOutResult, Rows
from featx.classifiers.scoring import EvaluationData, Scoring
from featx.runs import Source


@dataclass(frozen=True)
class Task(ABC):
    """What is compared on which rows.

    Attributes:
        train: Numbers of the source's images of the splits train and val.
        test: Numbers of those of the split test; may be empty.
        classes: The classes or the labels.
        y: (n,) class numbers of all images, or (n, L) targets: 1, 0 or NaN for unknown.
        groups: (n,) groups of all images; images with the same bytes are one group, too.
        rows: (n, d) features by False, grey pixels by True where they are needed.
        remarks: What a reader must know of the data.
    """

    train: NDArray[np.int64]
    test: NDArray[np.int64]
    classes: tuple[str, ...]
    y: NDArray[Any]
    groups: tuple[str, ...]
    classifiers: tuple[Classifier, ...]
    rows: Rows
    remarks: tuple[str, ...] = ()

    @property
    def y_train(self) -> NDArray[Any]:
        """`y` of the training images."""
        return self.y[self.train]

    @property
    def y_test(self) -> NDArray[Any]:
        """`y` of the test images."""
        return self.y[self.test]

    @property
    def train_groups(self) -> list[str]:
        """The groups of the training images."""
        return [self.groups[number] for number in self.train]

    @abstractmethod
    def possible_folds(self, wanted: int) -> int:
        """Return how many folds the groups of the training images allow, at most as many as are wanted."""

    @abstractmethod
    def divided(self, folds: int, repeats: int, seed: int) -> list[Fold]:
        """Return `repeats * folds` folds of the training images, repeat by repeat."""

    @abstractmethod
    def evaluated(self, part: Fold, seed: Sequence[int]) -> dict[str, HeldOutResult]:
        """Return what each classifier predicts for the held-out images of a part, fitted on its training images."""

    @abstractmethod
    def scoring(self, data: EvaluationData) -> Scoring:
        """Return how the predictions are scored."""


def train_and_test(source: Source) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the numbers of a source's images for training, splits train and val, and of those for testing."""
    is_test = np.array([split == "test" for split in source.table.splits])
    return np.flatnonzero(~is_test), np.flatnonzero(is_test)
