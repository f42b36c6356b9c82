"""What the audit examines: the rows of a run or of data, opened once, and what several examinations share."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from featx.audits.logistic.held_out import OutOfFold, out_of_fold
from featx.errors import DataError
from featx.recipes import FeatureSpec
from featx.runs import Source
from featx.store import Store

if TYPE_CHECKING:
    from featx.previews import Previews


@dataclass(frozen=True)
class AuditOptions:
    """What a user chooses about the examinations.

    Attributes:
        specificity: The specificity, 0 to 1, at which the sensitivity is given.
        sensitivity: The sensitivity, 0 to 1, at which the specificity is given.
        prevalence: The prevalence, 0 to 1, at which predictive values are given; None for that of the data.
        coverage: The share of images, 0 to 1, whose prediction set must contain the true class.
        positive: The class that two classes are examined for; None to choose one.
        permutations: Number of permutations of a test.
        neighbours: Number of nearest training images that are named for a strange image.
    """

    specificity: float = 0.9
    sensitivity: float = 0.9
    prevalence: float | None = None
    coverage: float = 0.9
    positive: str | None = None
    permutations: int = 199
    neighbours: int = 3


@dataclass(frozen=True)
class AuditData:
    """The images that are examined.

    Attributes:
        source: Backbone rows of all images; of a run with the head's predictions.
        spec: How features are made of the images.
        store: The cache.
        seed: The same seed gives the same numbers.
        options: What the user chooses.
    """

    source: Source
    spec: FeatureSpec
    store: Store
    seed: int = 0
    options: AuditOptions = field(default_factory=AuditOptions)

    @property
    def multilabel(self) -> bool:
        """Whether an image may have several labels."""
        return self.source.table.targets is not None

    @cached_property
    def classes(self) -> tuple[str, ...]:
        """The classes in the order of the run's columns, or sorted; with several labels these."""
        if self.multilabel:
            return self.source.table.label_names
        if self.source.predicted is not None:
            return self.source.predicted.classes
        return tuple(sorted({label for label in self.source.table.labels if label is not None}))

    @cached_property
    def y(self) -> NDArray[np.int64]:
        """(n,) class numbers, -1 where there is no label; with several labels all are -1."""
        if self.multilabel:
            return np.full(len(self.source.table), -1)
        numbers = {name: number for number, name in enumerate(self.classes)}
        return np.array([-1 if name is None else numbers[name] for name in self.source.table.labels], np.int64)

    @cached_property
    def groups(self) -> NDArray[np.int64]:
        """(n,) the number of each image's group: images of one patient, or with the same bytes, have the same."""
        return np.unique(np.asarray(self.source.group_ids()), return_inverse=True)[1].astype(np.int64)

    @cached_property
    def grouped(self) -> bool:
        """Whether some images share a group."""
        return bool(self.groups.max(initial=-1) + 1 < len(self.groups))

    @cached_property
    def train(self) -> NDArray[np.int64]:
        """The numbers of the rows of the splits train and val."""
        return np.flatnonzero(np.asarray(self.source.table.splits) != "test")

    @cached_property
    def test(self) -> NDArray[np.int64]:
        """The numbers of the rows of the split test."""
        return np.flatnonzero(np.asarray(self.source.table.splits) == "test")

    @cached_property
    def previews(self) -> Previews:
        """Small copies of the images, and the facts of their files, in the order of the rows."""
        from featx.previews import previews_of

        table = self.source.table
        return previews_of(self.source.files, table.digests, self.spec, self.store, self.source.pixels)

    @cached_property
    def out_of_fold(self) -> OutOfFold:
        """Probabilities of logistic regression for the labelled training images, each from a fold that held it out.

        Raises:
            DataError: There are too few images of a class, or images have several labels.
        """
        if self.multilabel:
            raise DataError(
                "Of data this is only for one label for each image; fit a head and audit its run instead."
            )
        return out_of_fold(self.source.table.X, self.y, self.groups, self.train, self.classes, self.seed)
