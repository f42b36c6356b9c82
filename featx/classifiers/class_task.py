"""The comparison of classifiers on images with one label each."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from featx.classifiers.folds import Fold, possible_folds, repeated_folds
from featx.classifiers.nested_cv import HeldOutResult, evaluate
from featx.classifiers.preparing import classifiers_and_rows, refuse_leaks
from featx.classifiers.scoring import ClassScoring, EvaluationData, Scoring
from featx.classifiers.task import Task, train_and_test
from featx.data import check_labelled, first_few
from featx.errors import DataError
from featx.runs import Source
from featx.store import Store

PURPOSE = "to compare classifiers"  # what labels are needed for


class ClassTask(Task):
    """Each classifier is fitted for all classes at once."""

    def possible_folds(self, wanted: int) -> int:
        """Return at most one for each group of the smallest class."""
        return possible_folds(self.y_train, self.train_groups, self.classes, wanted)

    def divided(self, folds: int, repeats: int, seed: int) -> list[Fold]:
        """Return folds that are stratified by class."""
        return repeated_folds(self.y_train, self.train_groups, folds, repeats, seed)

    def evaluated(self, part: Fold, seed: Sequence[int]) -> dict[str, HeldOutResult]:
        """Return the probabilities of the classes."""
        return evaluate(self.classifiers, self.rows, self.y, self.groups, part, seed)

    def scoring(self, data: EvaluationData) -> Scoring:
        """Return that of classes."""
        return ClassScoring(data)


def class_task(source: Source, names: Sequence[str] | None, folds: int, store: Store) -> ClassTask:
    """Check that images have classes which can be compared, and return what is compared; see `label_task`."""
    train, test = train_and_test(source)
    check_labelled(source.table.labels, PURPOSE, names=source.table.ids)
    labels = source.column("label")
    classes = tuple(sorted({labels[i] for i in train}))
    untrained = sorted({labels[i] for i in test} - set(classes))
    if len(classes) < 2 or untrained:
        raise DataError(
            f"Expected training images (splits train and val) of at least two classes, and of each class of the test "
            f"images, in {source.name}, found {first_few(classes) or 'none'}"
            f"{f' and test images of {first_few(untrained)}' if untrained else ''}; add training images."
        )
    groups = source.group_ids()
    refuse_leaks(source, groups)
    chosen, rows = classifiers_and_rows(source, names, len(train), store)
    y = np.array([classes.index(label) for label in labels], np.int64)
    return ClassTask(train, test, classes, y, groups, chosen, rows)
