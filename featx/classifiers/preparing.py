"""What every comparison needs before and around its work: classifiers and rows, checks, folds side by side, notes."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Sequence
from math import isqrt
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from featx.classifiers.estimates import affordable_jobs
from featx.classifiers.models import Classifier, find_classifiers
from featx.classifiers.nested_cv import Rows
from featx.classifiers.pixels import pixel_rows
from featx.errors import UntrustedError
from featx.features import in_two_splits, refuse_two_labels
from featx.limits import Pace
from featx.progress import report_progress
from featx.runs import Layer, Source
from featx.store import Store

log = logging.getLogger("featx")
T = TypeVar("T")

# With more training images than this, classifiers whose work grows with their square are left out unless named.
MANY = 20_000

PENULTIMATE = (
    "The head was trained with the labels of the training images whose penultimate features these are, so "
    "cross-validation on them flatters every classifier; trust only the test columns, or compare with --layer "
    "backbone."
)


def classifiers_and_rows(
    source: Source, names: Sequence[str] | None, n: int, store: Store, labels: int = 1
) -> tuple[tuple[Classifier, ...], Rows]:
    """Return the classifiers that are compared, and the rows that they take.

    Args:
        source: The images.
        names: The classifiers that are wanted; all that the number of images allows if not given.
        n: Number of training images.
        store: Where grey pixels are kept.
        labels: How often each classifier is fitted on the same rows: once for each of several labels.
    """
    chosen = find_classifiers(names)
    most = MANY // isqrt(labels)
    if names is None and n > most:
        log.warning(
            "Left out, because their work grows with the square of the %d training images%s: %s; name them in "
            "--classifiers to include them.",
            n,
            f", for each of {labels} labels" if labels > 1 else "",
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
            len(source.table),
        )
    return chosen, rows


def refuse_leaks(source: Source, groups: Sequence[str]) -> None:
    """Check that no group, and no image with the same bytes, is for training and for testing, or has two labels."""
    refuse_two_labels(source.table)
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


def evaluate_parts(evaluated: Callable[[int], T], parts: int, rows: Rows, jobs: int | None) -> list[T]:
    """Return what a function gives for each part's number, several at the same time."""
    # The limits below hold for the libraries that are loaded by then: OpenMP and the BLAS of NumPy and of SciPy.
    import sklearn.linear_model  # noqa: F401
    from joblib import Parallel, delayed
    from threadpoolctl import threadpool_limits

    def one(number: int) -> T:
        # Each thread has its own limit for OpenMP.
        with threadpool_limits(1, "openmp"):
            return evaluated(number)

    results: list[T] = []
    jobs = affordable_jobs(rows, jobs, parts)
    pace = Pace(parts, f"work on {parts:,} folds", "lower --repeats or name fewer --classifiers")
    # With another number of threads sums would be rounded differently.
    with threadpool_limits(1), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        calls = (delayed(one)(number) for number in range(parts))
        for result in Parallel(n_jobs=jobs, prefer="threads", return_as="generator")(calls):
            results.append(result)
            report_progress("folds", len(results), parts)
            pace.step()
    for text in sorted({str(warning.message).split("\n")[0] for warning in caught}):
        log.info("scikit-learn says: %s", text)
    return results


def notes_on(layer: Layer, train: Source, test: Source | None) -> tuple[str, ...]:
    """Return what a reader must know, and say it."""
    notes = [PENULTIMATE] if layer == "penultimate" else []
    if test is None:
        notes.append("There are no images of the split test, so there are only the results of cross-validation.")
    elif (groups := len(set(test.group_ids()))) < len(test.table):
        notes.append(
            f"The {len(test.table)} test images belong to {groups} groups (images with the same bytes count as one "
            f"group); intervals and p-values on them allow for it."
        )
    for note in notes:
        log.warning("%s", note)
    of_head = _on_the_head(train) if test is not None and train.predicted is not None else []
    for note in of_head:
        log.info("%s", note)
    return (*notes, *of_head)


def _on_the_head(train: Source) -> list[str]:
    """Return a sentence on the images that a run's head was not fitted on, where there are any."""
    roles = train.predicted.roles if train.predicted is not None else ()
    fitted = sum(role == "fit" for role in roles)
    if fitted == len(roles):
        return []
    return [
        f"The head was fitted on {fitted:,} of the {len(roles):,} training images "
        f"({100 * fitted / len(roles):.0f} %); the other {len(roles) - fitted:,} were for validation. Before the "
        f"test, each classifier was fitted on all {len(roles):,}."
    ]
