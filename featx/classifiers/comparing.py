"""Classical classifiers beside the head: the same folds, the same test images; nothing here loads TensorFlow."""

from __future__ import annotations

import logging
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from featx.classifiers.comparison import Comparison
from featx.classifiers.folds import Fold, numbered, possible_folds, repeated_folds
from featx.classifiers.models import Classifier, find_classifiers
from featx.classifiers.nested_cv import Outcome, Rows, evaluate
from featx.classifiers.pixels import pixel_rows
from featx.classifiers.ranking import Paired, head_probabilities, rank
from featx.data import first_few
from featx.errors import DataError, UsageError
from featx.features import OnError
from featx.progress import Progress, report_progress, reports_progress
from featx.recipes import FeatureSpec
from featx.runs import Layer, Source, read_source
from featx.store import Store

log = logging.getLogger("featx")

# Beyond this many training images, classifiers whose work grows with their square are left out unless named.
MANY = 20_000

PENULTIMATE = (
    "The head has seen the labels of the training images whose penultimate features these are, so that "
    "cross-validation on them flatters every classifier; trust the test columns alone, or compare with --layer "
    "backbone."
)


@dataclass(frozen=True)
class Task:
    """What is compared on what, rows in the source's order.

    Attributes:
        source: All images.
        train: Numbers of the images of the splits train and val.
        test: Those of the split test; may be empty.
        classes: Of the training images, in alphabetical order.
        y: (n,) class numbers.
        classifiers: To compare.
        rows: (n, d) features by False, raw pixels by True where they are wanted.
    """

    source: Source
    train: NDArray[np.int64]
    test: NDArray[np.int64]
    classes: tuple[str, ...]
    y: NDArray[np.int64]
    classifiers: tuple[Classifier, ...]
    rows: Rows


@reports_progress
def compare(
    place: str | Path,
    *,
    layer: Layer = "backbone",
    classifiers: Sequence[str] | None = None,
    folds: int = 5,
    repeats: int = 2,
    jobs: int | None = None,
    seed: int = 0,
    spec: FeatureSpec | str | None = None,
    cache: str | Path = "cache",
    on_error: OnError = "fail",
    progress: Progress | None = None,
) -> Comparison:
    """Compare classifiers on cached features by nested, repeated cross-validation and on the test images.

    Parameters are chosen within each fold's own training rows. Then each classifier is fitted on the whole training
    part, splits train and val, its parameters chosen there anew, and tested on the split test. Images of one group,
    or with the same bytes, are never on both sides.

    Args:
        place: A folder that `fit_head` wrote, whose head is then compared too, or data: a folder or a manifest.
        layer: `backbone`, or a run's `penultimate` features, on which cross-validation flatters.
        classifiers: Names out of `featx.classifiers.CLASSIFIERS`; all of them if not given. The majority baseline
            is always among them.
        folds: Folds a repeat, at least 2; lowered, with a notice, to the units of the smallest class.
        repeats: How often the training part is divided anew, at least 1.
        jobs: Folds worked on at a time; as many as there are processors if not given. It moves no number.
        seed: The same seed gives the same numbers.
        spec: What features data has, see `extract`; VGG16 as it comes if not given. A run has its own.
        cache: The store's folder.
        on_error: What to do about data's images that cannot be read, see `extract`.
        progress: Told how far the work is.

    Raises:
        UsageError: An unknown classifier, or numbers out of range.
        DataError: Too few units in a class, an image without a class, or a test class without training images.
        FeatxError: What `extract` or reading a run raises.
    """
    start = time.perf_counter()
    _check(classifiers, folds, repeats, jobs)
    source = read_source(place, layer=layer, spec=spec, cache=cache, on_error=on_error)
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
    """Compare classifiers on rows that are open already; the arguments and errors are those of `compare`.

    Args:
        source: The rows of all splits.
        classifiers: Names from `--classifiers`; all if not given.
        folds: Folds per repeat, at least 2.
        repeats: How often the training part is divided again, at least 1.
        jobs: Folds worked on at a time; the number of processors if not given.
        seed: The same seed gives the same values.
        cache: The store's folder, which keeps the grey pixels of the baseline `pixels`.

    Raises:
        UsageError: An unknown classifier, or numbers out of range.
        DataError: Too few groups in a class, an image without a class, or a test class without training images.
        StoreError: The cache cannot be written.
    """
    start = time.perf_counter()
    _check(classifiers, folds, repeats, jobs)
    task = _task(source, classifiers, Store(Path(cache)))
    units = source.group_ids()
    own = [units[number] for number in task.train]
    y_train = task.y[task.train]
    folds = possible_folds(y_train, own, task.classes, folds)
    divided = repeated_folds(y_train, own, folds, repeats, seed)
    *in_folds, final = _evaluate_all(task, units, divided, seed, jobs)
    train, test = source.take(task.train), source.take(task.test) if len(task.test) else None
    paired = Paired(divided, y_train, task.y[task.test], () if test is None else test.group_ids(), seed)
    rows, best = rank(task.classifiers, paired, in_folds, final, head_probabilities(test, task.classes))
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
        y_test=task.y[task.test],
        fold_of=np.stack([numbered(each, len(y_train)) for each in repeat_folds]),
        train=train,
        test=test,
        notes=_notes(source.layer, test),
        seconds=time.perf_counter() - start,
    )


def _check(classifiers: Sequence[str] | None, folds: int, repeats: int, jobs: int | None) -> None:
    find_classifiers(classifiers)
    for name, number, least in (
        ("folds", folds, 2),
        ("repeats", repeats, 1),
        ("jobs", 1 if jobs is None else jobs, 1),
    ):
        if number < least:
            raise UsageError(f"Expected at least {least} {name}, received {number}.")


def _task(source: Source, names: Sequence[str] | None, store: Store) -> Task:
    is_test = np.array([split == "test" for split in source.table.splits])
    train, test = np.flatnonzero(~is_test), np.flatnonzero(is_test)
    labels = _labels(source)
    classes = tuple(sorted({labels[i] for i in train}))
    strange = sorted({labels[i] for i in test} - set(classes))
    if len(classes) < 2 or strange:
        raise DataError(
            f"Expected training images (splits train and val) of at least two classes, and of each class of the test "
            f"images, in {source.name}, found {first_few(classes) or 'none'}"
            f"{f' and test images of {first_few(strange)}' if strange else ''}; add training images."
        )
    number = {name: i for i, name in enumerate(classes)}
    chosen = find_classifiers(names)
    if names is None and len(train) > MANY:
        chosen = _without_kernels(chosen, len(train))
    rows: dict[bool, NDArray[np.float32]] = {False: source.table.X}
    if any(row.pixels for row in chosen):
        pixels = pixel_rows(source, store)
        if pixels is None:
            chosen = tuple(row for row in chosen if not row.pixels)
        else:
            rows[True] = pixels
    y = np.array([number[label] for label in labels], np.int64)
    return Task(source, train, test, classes, y, chosen, rows)


def _labels(source: Source) -> tuple[str, ...]:
    labels = source.column("label")
    if "" in labels:
        name = source.table.ids[labels.index("")]
        raise DataError(f"Expected a class for every image, found none for {name}; name one, or leave the image out.")
    return labels


def _without_kernels(classifiers: tuple[Classifier, ...], n: int) -> tuple[Classifier, ...]:
    log.warning(
        "Left out, because their work grows with the square of the %d training images: %s; name them in "
        "--classifiers to have them all the same.",
        n,
        ", ".join(row.name for row in classifiers if row.kernel),
    )
    return tuple(row for row in classifiers if not row.kernel)


def _evaluate_all(
    task: Task, units: Sequence[str], divided: Sequence[Fold], seed: int, jobs: int | None
) -> list[dict[str, Outcome]]:
    """Evaluate the folds and, last, the whole training part against the test part."""
    from joblib import Parallel, delayed
    from threadpoolctl import threadpool_limits

    parts = [*((task.train[fit], task.train[held]) for fit, held in divided), (task.train, task.test)]
    calls = (
        delayed(_evaluate)(task.classifiers, task.rows, task.y, units, part, [seed, number])
        for number, part in enumerate(parts)
    )
    found = []
    # Sums over another number of threads would be rounded otherwise.
    with threadpool_limits(1), warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        for outcome in Parallel(n_jobs=jobs or -1, prefer="threads", return_as="generator")(calls):
            found.append(outcome)
            report_progress("folds", len(found), len(parts))
    for text in sorted({str(warning.message).split("\n")[0] for warning in warned}):
        log.info("scikit-learn says: %s", text)
    return found


def _evaluate(
    classifiers: Sequence[Classifier],
    rows: Rows,
    y: NDArray[np.int64],
    units: Sequence[str],
    fold: Fold,
    seed: Sequence[int],
) -> dict[str, Outcome]:
    from threadpoolctl import threadpool_limits

    # OpenMP's limit is each thread's own.
    with threadpool_limits(1, "openmp"):
        return evaluate(classifiers, rows, y, units, fold, seed)


def _notes(layer: Layer, test: Source | None) -> tuple[str, ...]:
    notes = [PENULTIMATE] if layer == "penultimate" else []
    if test is None:
        notes.append("There are no images of the split test, so that cross-validation stands alone.")
    elif (units := len(set(test.group_ids()))) < len(test.table):
        notes.append(
            f"The {len(test.table)} test images are of {units} units (groups, or equal bytes): Wilson's intervals "
            "and McNemar's tests take images as independent and claim too much; the other test intervals draw whole "
            "units."
        )
    for note in notes:
        log.warning("%s", note)
    return tuple(notes)
