"""Compare classical classifiers with one another and with a run's head: the same folds, the same test images."""

from __future__ import annotations

import logging
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Unpack

import numpy as np
from numpy.typing import NDArray

from featx.classifiers.comparison import Comparison
from featx.classifiers.estimates import affordable_jobs, check_repeats
from featx.classifiers.folds import Fold, fold_numbers, possible_folds, repeated_folds
from featx.classifiers.models import Classifier, find_classifiers
from featx.classifiers.nested_cv import HeldOutResult, Rows, evaluate
from featx.classifiers.pixels import pixel_rows
from featx.classifiers.ranking import EvaluationData, head_probabilities, rank
from featx.data import first_few, warn_of_no_test
from featx.errors import DataError, UntrustedError, UsageError
from featx.features import Choice, OnError, in_two_splits
from featx.limits import Pace
from featx.progress import Progress, report_progress, reports_progress
from featx.recipes import FeatureSpec
from featx.runs import Layer, Source, read_source
from featx.store import Store

log = logging.getLogger("featx")

# With more training images than this, classifiers whose work grows with their square are left out unless named.
MANY = 20_000

PENULTIMATE = (
    "The head was trained with the labels of the training images whose penultimate features these are, so "
    "cross-validation on them flatters every classifier; trust only the test columns, or compare with --layer "
    "backbone."
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
    progress: Progress | None = None,
    **choice: Unpack[Choice],
) -> Comparison:
    """Compare classifiers on cached features by nested, repeated cross-validation and on the test images.

    Parameters are chosen inside each fold, on its training rows only. Then parameters are chosen again on the whole
    training part (splits train and val), each classifier is fitted on it and tested on the split test. Images of one
    group, or with the same bytes, are never on both sides.

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
        progress: Called with how far the work is.
        choice: Single fields of the features, and how data is read, see `Choice`.

    Raises:
        UsageError: An unknown classifier, or numbers out of range.
        DataError: Too few groups in a class, an image without a class, or a test class without training images.
        UntrustedError: A group, or an image with the same bytes, is both for training and for testing.
        FeatxError: What `extract` or reading a run raises.
    """
    start = time.perf_counter()
    _check(classifiers, folds, repeats, jobs)
    source = read_source(place, layer=layer, recipe=recipe, cache=cache, on_error=on_error, **choice)
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
        notes=_notes(source.layer, test),
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
    _refuse_leaks(source, groups)
    chosen = find_classifiers(names)
    if names is None and len(train) > MANY:
        log.warning(
            "Left out, because their work grows with the square of the %d training images: %s; name them in "
            "--classifiers to include them.",
            len(train),
            ", ".join(classifier.name for classifier in chosen if classifier.kernel),
        )
        chosen = tuple(classifier for classifier in chosen if not classifier.kernel)
    rows: dict[bool, NDArray[np.float32]] = {False: source.table.X}
    if any(classifier.pixels for classifier in chosen):
        pixels = pixel_rows(source, store)
        if pixels is None:
            chosen = tuple(classifier for classifier in chosen if not classifier.pixels)
        else:
            rows[True] = pixels
    if (source.table.X[0] == source.table.X).all():
        log.warning(
            "All %d images have the same features, so no classifier can tell them apart; check that the files differ "
            "in their pixels.",
            len(labels),
        )
    y = np.array([classes.index(label) for label in labels], np.int64)
    return Task(source, train, test, classes, y, groups, chosen, rows)


def _refuse_leaks(source: Source, groups: Sequence[str]) -> None:
    """Check that no group, and no image with the same bytes, is both for training and for testing."""
    parts = ["test" if split == "test" else "training" for split in source.table.splits]
    if leaks := in_two_splits(parts, groups):
        one, two = leaks[0]
        ids = source.table.ids
        raise UntrustedError(
            "Expected every group, and images with the same bytes, either for training or for testing, but "
            f"{len(leaks)} {'is' if len(leaks) == 1 else 'are'} in both parts, such as {ids[one]} in {parts[one]} "
            f"and {ids[two]} in {parts[two]}; results on such a test split cannot be trusted, so keep each in one "
            "split, or have the images of a manifest divided anew (--split-column none --test 0.2)."
        )


def _labels(source: Source) -> tuple[str, ...]:
    labels = source.column("label")
    if "" in labels:
        name = source.table.ids[labels.index("")]
        raise DataError(f"Expected a class for every image, found none for {name}; name one, or leave the image out.")
    return labels


def _evaluate_all(task: Task, divided: Sequence[Fold], seed: int, jobs: int | None) -> list[dict[str, HeldOutResult]]:
    """Evaluate the folds and, last, the whole training part against the test part."""
    from joblib import Parallel, delayed
    from threadpoolctl import threadpool_limits

    parts = [*((task.train[fit], task.train[held]) for fit, held in divided), (task.train, task.test)]
    calls = (delayed(_evaluate_fold)(task, part, [seed, number]) for number, part in enumerate(parts))
    results = []
    jobs = affordable_jobs(task.rows, jobs, len(parts))
    pace = Pace(len(parts), f"work on {len(parts):,} folds", "lower --repeats or name fewer --classifiers")
    # With another number of threads sums would be rounded differently.
    with threadpool_limits(1), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for result in Parallel(n_jobs=jobs, prefer="threads", return_as="generator")(calls):
            results.append(result)
            report_progress("folds", len(results), len(parts))
            pace.step()
    for text in sorted({str(warning.message).split("\n")[0] for warning in caught}):
        log.info("scikit-learn says: %s", text)
    return results


def _evaluate_fold(task: Task, fold: Fold, seed: Sequence[int]) -> dict[str, HeldOutResult]:
    from threadpoolctl import threadpool_limits

    # Each thread has its own limit for OpenMP.
    with threadpool_limits(1, "openmp"):
        return evaluate(task.classifiers, task.rows, task.y, task.groups, fold, seed)


def _notes(layer: Layer, test: Source | None) -> tuple[str, ...]:
    notes = [PENULTIMATE] if layer == "penultimate" else []
    if test is None:
        notes.append("There are no images of the split test, so there are only the results of cross-validation.")
    elif (groups := len(set(test.group_ids()))) < len(test.table):
        notes.append(
            f"The {len(test.table)} test images belong to {groups} groups (images with the same bytes count as one "
            "group): Wilson's intervals are too narrow and McNemar's p-values too small, because both take images as "
            "independent; the other test intervals resample whole groups."
        )
    for note in notes:
        log.warning("%s", note)
    return tuple(notes)
