"""Compare classical classifiers with one another and with a run's head: the same folds, the same test images."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Unpack

import numpy as np
from numpy.typing import NDArray

from featx.classifiers.comparison import Comparison
from featx.classifiers.estimates import check_repeats
from featx.classifiers.folds import Fold, fold_numbers, possible_folds, repeated_folds
from featx.classifiers.label_comparing import compare_labels
from featx.classifiers.models import Classifier, find_classifiers
from featx.classifiers.nested_cv import HeldOutResult, Rows, evaluate
from featx.classifiers.preparing import classifiers_and_rows, evaluate_parts, notes_on, refuse_leaks
from featx.classifiers.ranking import EvaluationData, head_probabilities, rank
from featx.classifiers.winning import check_savable
from featx.data import check_labelled, first_few, warn_of_no_test
from featx.errors import DataError, UsageError
from featx.features import Choice, OnError
from featx.progress import Progress, reports_progress
from featx.recipes import FeatureSpec
from featx.runs import Layer, Source, read_source
from featx.store import Store

log = logging.getLogger("featx")

_PURPOSE = "to compare classifiers"  # what labels are needed for
NOT_INDEPENDENT = (
    "Wilson's intervals are too narrow and McNemar's p-values too small, because both take images as independent; "
    "the other test intervals resample whole groups."
)


@dataclass(frozen=True)
class Task:
    """What is compared on which rows.

    Attributes:
        train: Numbers of the source's images of the splits train and val.
        test: Numbers of those of the split test; may be empty.
        y: (n,) class numbers of all images.
        groups: (n,) groups of all images; images with the same bytes are one group, too.
        rows: (n, d) features by False, grey pixels by True where they are needed.
    """

    source: Source
    train: NDArray[np.int64]
    test: NDArray[np.int64]
    classes: tuple[str, ...]
    y: NDArray[np.int64]
    groups: tuple[str, ...]
    classifiers: tuple[Classifier, ...]
    rows: Rows


@reports_progress
def compare(
    place: Any,
    *,
    layer: Layer = "backbone",
    classifiers: Sequence[str] | None = None,
    folds: int = 5,
    repeats: int = 2,
    jobs: int | None = None,
    seed: int = 0,
    recipe: FeatureSpec | str | Path | None = None,
    cache: str | Path = "cache",
    on_error: OnError = "fail",
    yes: bool = False,
    to_save: bool = False,
    progress: Progress | None = None,
    **choice: Unpack[Choice],
) -> Comparison:
    """Compare classifiers on cached features by nested, repeated cross-validation and on the test images.

    Parameters are chosen inside each fold, on its training rows only. Then parameters are chosen again on the whole
    training part (splits train and val), each classifier is fitted on it and tested on the split test. Images of one
    group, or with the same bytes, are never on both sides. Of images with several labels, each classifier is fitted
    for each label against its absence, and ranked by the mean area under the ROC curve.

    Args:
        place: A folder that `fit_head` wrote, whose head is then compared, too, or data, see `read_data`.
        layer: `backbone`, or a run's `penultimate` features, on which cross-validation flatters.
        classifiers: Names of `--classifiers`; all if not given. The majority baseline is always included.
        folds: Folds per repeat, at least 2; lowered, with a notice, to the number of groups in the smallest class.
        repeats: How often the training part is divided again, at least 1.
        jobs: Folds worked on at the same time, fewer if memory does not hold as many; the number of processors if not
            given. It does not change the values.
        seed: The same seed gives the same values.
        recipe: How features of data are made, see `extract`. A run has its own.
        cache: The store's folder.
        on_error: What to do about images of data that cannot be read, see `extract`.
        yes: Do work that is estimated to need more disk, memory or time than there is.
        to_save: Refuse before the work what `save_best` would refuse to save after it.
        progress: Called with how far the work is.
        choice: Single fields of the features, and how data is read, see `Choice`.

    Raises:
        UsageError: An unknown classifier, numbers out of range, or nothing that can be saved.
        DataError: Too few groups in a class, an image without a class, or a test class without training images.
        UntrustedError: A group, or an image with the same bytes, is both for training and for testing.
        FeatxError: What `extract` or reading a run raises.
    """
    start = time.perf_counter()
    _check(classifiers, folds, repeats, jobs)
    source = read_source(
        place, layer=layer, recipe=recipe, cache=cache, on_error=on_error, labels_for=_PURPOSE, **choice
    )
    if to_save:
        check_savable(source.table.targets is not None, find_classifiers(classifiers))
    if source.run is None and "test" not in source.table.splits:
        warn_of_no_test("classifiers are compared by cross-validation only")
    comparison = compare_source(
        source, classifiers=classifiers, folds=folds, repeats=repeats, jobs=jobs, seed=seed, cache=cache
    )
    return replace(comparison, seconds=time.perf_counter() - start)


def compare_source(
    source: Source,
    *,
    classifiers: Sequence[str] | None = None,
    folds: int = 5,
    repeats: int = 2,
    jobs: int | None = None,
    seed: int = 0,
    cache: str | Path = "cache",
) -> Comparison:
    """Compare classifiers on the rows of a source; the other arguments and the errors are those of `compare`.

    The cache keeps the grey pixels of the baseline `pixels`.
    """
    start = time.perf_counter()
    _check(classifiers, folds, repeats, jobs)
    if source.table.targets is not None:
        comparison = compare_labels(source, classifiers, folds, repeats, jobs, seed, Store(Path(cache)))
        return replace(comparison, seconds=time.perf_counter() - start)
    task = _task(source, classifiers, Store(Path(cache)))
    y_train, y_test = task.y[task.train], task.y[task.test]
    train_groups = [task.groups[number] for number in task.train]
    folds = possible_folds(y_train, train_groups, task.classes, folds)
    check_repeats(len(y_train), folds, repeats)
    divided = repeated_folds(y_train, train_groups, folds, repeats, seed)
    *in_folds, final = _evaluate_all(task, divided, seed, jobs)
    train, test = source.take(task.train), source.take(task.test) if len(task.test) else None
    data = EvaluationData(divided, y_train, y_test, [task.groups[number] for number in task.test], seed)
    rows, best = rank(task.classifiers, data, in_folds, final, head_probabilities(test, task.classes))
    repeat_folds = [divided[first : first + folds] for first in range(0, len(divided), folds)]
    return Comparison(
        name=source.name,
        layer=source.layer,
        classes=task.classes,
        rows=rows,
        best=best,
        folds=folds,
        repeats=repeats,
        seed=seed,
        y_train=y_train,
        y_test=y_test,
        fold_of=np.stack([fold_numbers(each, len(y_train)) for each in repeat_folds]),
        train=train,
        test=test,
        notes=notes_on(source.layer, test, NOT_INDEPENDENT),
        seconds=time.perf_counter() - start,
    )


def _check(classifiers: Sequence[str] | None, folds: int, repeats: int, jobs: int | None) -> None:
    find_classifiers(classifiers)
    for name, number, least in (("folds", folds, 2), ("repeats", repeats, 1), ("jobs", jobs, 1)):
        if number is not None and number < least:
            raise UsageError(f"Expected at least {least} {name}, received {number}.")


def _task(source: Source, names: Sequence[str] | None, store: Store) -> Task:
    is_test = np.array([split == "test" for split in source.table.splits])
    train, test = np.flatnonzero(~is_test), np.flatnonzero(is_test)
    labels = _labels(source)
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
    return Task(source, train, test, classes, y, groups, chosen, rows)


def _labels(source: Source) -> tuple[str, ...]:
    check_labelled(source.table.labels, _PURPOSE, names=source.table.ids)
    return source.column("label")


def _evaluate_all(task: Task, divided: Sequence[Fold], seed: int, jobs: int | None) -> list[dict[str, HeldOutResult]]:
    """Evaluate the folds and, last, the whole training part against the test part."""
    parts = [*((task.train[fit], task.train[held]) for fit, held in divided), (task.train, task.test)]

    def evaluated(number: int) -> dict[str, HeldOutResult]:
        return evaluate(task.classifiers, task.rows, task.y, task.groups, parts[number], [seed, number])

    return evaluate_parts(evaluated, len(parts), task.rows, jobs)
