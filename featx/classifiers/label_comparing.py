"""Compare classifiers on images with several labels: each label against its absence, on the same folds."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.classifiers.comparison import Comparison
from featx.classifiers.estimates import check_repeats
from featx.classifiers.folds import Fold, fold_numbers
from featx.classifiers.label_folds import (
    groups_by_kind,
    label_folds,
    least_groups,
    possible_label_folds,
    repeated_label_folds,
)
from featx.classifiers.label_ranking import LabelData, rank_labels
from featx.classifiers.models import Classifier
from featx.classifiers.nested_cv import (
    INNER_FOLDS,
    UNKNOWN,
    HeldOutResult,
    Rows,
    evaluate_targets,
    summed_loss,
)
from featx.classifiers.preparing import classifiers_and_rows, evaluate_parts, notes_on, refuse_leaks
from featx.classifiers.ranking import head_probabilities
from featx.data import first_few
from featx.errors import DataError
from featx.runs import Source
from featx.stats import METRICS
from featx.store import Store

log = logging.getLogger("featx")

NOT_INDEPENDENT = (
    "the intervals by label, and Wilson's of the images with all labels right, are too narrow, because they take "
    "images as independent; the other test intervals and the p-values resample whole groups."
)


@dataclass(frozen=True)
class LabelTask:
    """What is compared on which rows: as `Task`, with (n, L) targets of all images, see `Targets`."""

    train: NDArray[np.int64]
    test: NDArray[np.int64]
    Y: NDArray[np.float32]
    groups: tuple[str, ...]
    classifiers: tuple[Classifier, ...]
    rows: Rows


def compare_labels(
    source: Source,
    names: Sequence[str] | None,
    folds: int,
    repeats: int,
    jobs: int | None,
    seed: int,
    store: Store,
) -> Comparison:
    """Compare classifiers on the rows of a source whose images have several labels; see `compare`."""
    is_test = np.array([split == "test" for split in source.table.splits])
    train, test = np.flatnonzero(~is_test), np.flatnonzero(is_test)
    groups = source.group_ids()
    refuse_leaks(source, groups)
    train_groups = [groups[number] for number in train]
    kept, remarks = _usable_labels(source, train, train_groups, folds)
    Y = np.asarray(source.table.targets)[:, kept]
    labels = tuple(source.table.label_names[number] for number in kept)
    chosen, rows = classifiers_and_rows(source, names, len(train), store, len(labels))
    task = LabelTask(train, test, Y, groups, chosen, rows)
    folds = possible_label_folds(Y[train], train_groups, folds)
    check_repeats(len(train) * len(labels), folds, repeats)
    divided = repeated_label_folds(Y[train], train_groups, folds, repeats, seed)
    *in_folds, final = _evaluate_all(task, divided, seed, jobs)
    train_part, test_part = source.take(train), source.take(test) if len(test) else None
    data = LabelData(labels, divided, Y[train], Y[test], [groups[number] for number in test], seed)
    ranked, best = rank_labels(chosen, data, in_folds, final, head_probabilities(test_part, labels))
    repeat_folds = [divided[first : first + folds] for first in range(0, len(divided), folds)]
    return Comparison(
        name=source.name,
        layer=source.layer,
        classes=labels,
        rows=ranked,
        best=best,
        folds=folds,
        repeats=repeats,
        seed=seed,
        y_train=Y[train],
        y_test=Y[test],
        fold_of=np.stack([fold_numbers(each, len(train)) for each in repeat_folds]),
        train=train_part,
        test=test_part,
        notes=(*remarks, *notes_on(source.layer, test_part, NOT_INDEPENDENT)),
    )


def _usable_labels(
    source: Source, train: NDArray[np.int64], groups: Sequence[str], folds: int
) -> tuple[list[int], tuple[str, ...]]:
    """Return the numbers of the labels that can be compared, and a note on those that cannot."""
    least = least_groups(folds)
    names = source.table.label_names
    counts = groups_by_kind(np.asarray(source.table.targets)[train], groups)
    kept = [number for number in range(len(names)) if counts[:, number].min() >= least]
    few = [f"{name} ({counts[0, i]} with, {counts[1, i]} without)" for i, name in enumerate(names) if i not in kept]
    what = "groups of training images (an image without a group counts as one)"
    if not kept:
        raise DataError(
            f"Expected a label that at least {least} {what} have and at least {least} have not, to compare "
            f"classifiers by cross-validation, found fewer for {first_few(few)}; add images."
        )
    if not few:
        return kept, ()
    note = f"Left out, because fewer than {least} {what} have the label or are without it: {first_few(few)}."
    log.warning("%s", note)
    return kept, (note,)


def _evaluate_all(
    task: LabelTask, divided: Sequence[Fold], seed: int, jobs: int | None
) -> list[dict[str, HeldOutResult]]:
    """Evaluate the folds and, last, the whole training part against the test part."""
    parts = [*((task.train[fit], task.train[held]) for fit, held in divided), (task.train, task.test)]

    def evaluated(number: int) -> dict[str, HeldOutResult]:
        return _evaluate(task, parts[number], [seed, number])

    return evaluate_parts(evaluated, len(parts), task.rows, jobs)


def _evaluate(task: LabelTask, part: Fold, seed: Sequence[int]) -> dict[str, HeldOutResult]:
    """Evaluate each classifier for each label on one part: each label is fitted on the rows where it is known."""
    fit, _ = part
    Y, groups = task.Y[fit], [task.groups[number] for number in fit]
    inner = label_folds(Y, groups, min(INNER_FOLDS, int(groups_by_kind(Y, groups).min())), seed)
    targets = list(np.where(np.isfinite(Y), Y, UNKNOWN).astype(np.int64).T)
    by_label = evaluate_targets(task.classifiers, task.rows, targets, part, inner, seed[0], _goodness)
    return {each.name: _joined([results[each.name] for results in by_label]) for each in task.classifiers}


def _goodness(model: Any, X: NDArray[np.floating], y: NDArray[np.int64]) -> tuple[float, float]:
    """Return minus the summed log-loss of a model, or the area under the ROC curve of one without probabilities.

    Most labels are rare: the number of correct rows would be highest where none is found.
    """
    if hasattr(model, "predict_proba"):
        return -summed_loss(model.predict_proba(X), y), 0.0
    scores = np.asarray(model.decision_function(X), np.float64)
    # With a single column, that of class 0, there is only the area of the rows that have the label.
    area = float(METRICS["roc_auc"](1 - y, scores[:, None], np.ones((1, len(y))))[0])
    # Rounded, so that equal models are equal.
    return (round(area, 12) if np.isfinite(area) else 0.0), 0.0


def _joined(by_label: Sequence[HeldOutResult]) -> HeldOutResult:
    """Return the probabilities that the labels are there, (m, L), and the parameters by the number of the label."""
    return HeldOutResult(
        np.column_stack([result.probabilities[:, 1] for result in by_label]),
        {str(number): dict(result.parameters) for number, result in enumerate(by_label)},
        sum(result.seconds for result in by_label),
    )
