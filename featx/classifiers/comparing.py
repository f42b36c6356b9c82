"""Compare classical classifiers with one another and with a run's head: the same folds, the same test images."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Unpack

import numpy as np

from featx.classifiers.class_task import PURPOSE, class_task
from featx.classifiers.comparison import Comparison
from featx.classifiers.estimates import check_repeats
from featx.classifiers.folds import Fold, fold_numbers
from featx.classifiers.label_task import label_task
from featx.classifiers.models import find_classifiers
from featx.classifiers.nested_cv import HeldOutResult
from featx.classifiers.preparing import evaluate_parts, notes_on
from featx.classifiers.ranking import head_probabilities, rank
from featx.classifiers.scoring import EvaluationData
from featx.classifiers.task import Task
from featx.classifiers.winning import check_savable
from featx.data import warn_of_no_test
from featx.errors import UsageError
from featx.features import Choice, OnError
from featx.progress import Progress, reports_progress
from featx.recipes import FeatureSpec
from featx.runs import Layer, Source, read_source
from featx.store import Store


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
        place, layer=layer, recipe=recipe, cache=cache, on_error=on_error, labels_for=PURPOSE, **choice
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
    task = (class_task if source.table.targets is None else label_task)(
        source, classifiers, folds, Store(Path(cache))
    )
    folds = task.possible_folds(folds)
    check_repeats(task.y_train.size, folds, repeats)
    divided = task.divided(folds, repeats, seed)
    *in_folds, final = _evaluate_all(task, divided, seed, jobs)
    train, test = source.take(task.train), source.take(task.test) if len(task.test) else None
    test_groups = [task.groups[number] for number in task.test]
    data = EvaluationData(task.classes, divided, task.y_train, task.y_test, task.train_groups, test_groups, seed)
    rows, best = rank(task.classifiers, task.scoring(data), in_folds, final, head_probabilities(test, task.classes))
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
        y_train=task.y_train,
        y_test=task.y_test,
        fold_of=np.stack([fold_numbers(each, len(task.train)) for each in repeat_folds]),
        train=train,
        test=test,
        notes=(*task.remarks, *notes_on(source.layer, train, test)),
        seconds=time.perf_counter() - start,
    )


def _check(classifiers: Sequence[str] | None, folds: int, repeats: int, jobs: int | None) -> None:
    find_classifiers(classifiers)
    for name, number, least in (("folds", folds, 2), ("repeats", repeats, 1), ("jobs", jobs, 1)):
        if number is not None and number < least:
            raise UsageError(f"Expected at least {least} {name}, received {number}.")


def _evaluate_all(task: Task, divided: Sequence[Fold], seed: int, jobs: int | None) -> list[dict[str, HeldOutResult]]:
    """Evaluate the folds and, last, the whole training part against the test part."""
    parts = [*((task.train[fit], task.train[held]) for fit, held in divided), (task.train, task.test)]

    def evaluated(number: int) -> dict[str, HeldOutResult]:
        return task.evaluated(parts[number], [seed, number])

    return evaluate_parts(evaluated, len(parts), task.rows, jobs)
