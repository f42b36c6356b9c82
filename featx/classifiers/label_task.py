"""The comparison of classifiers on images with several labels: each label against its absence, on the same folds."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.classifiers.folds import Fold
from featx.classifiers.label_folds import (
    groups_by_kind,
    label_folds,
    least_groups,
    possible_label_folds,
    repeated_label_folds,
)
from featx.classifiers.nested_cv import INNER_FOLDS, UNKNOWN, HeldOutResult, evaluate_targets, summed_loss
from featx.classifiers.preparing import classifiers_and_rows, refuse_leaks
from featx.classifiers.scoring import EvaluationData, LabelScoring, Scoring
from featx.classifiers.task import Task, train_and_test
from featx.data import first_few
from featx.errors import DataError
from featx.runs import Source
from featx.stats import area_under_curve
from featx.store import Store

log = logging.getLogger("featx")


class LabelTask(Task):
    """Each classifier is fitted for each label, on the images where it is known."""

    def possible_folds(self, wanted: int) -> int:
        """Return at most one for each group of the rarest kind of image of any label."""
        return possible_label_folds(self.y_train, self.train_groups, wanted)

    def divided(self, folds: int, repeats: int, seed: int) -> list[Fold]:
        """Return folds that are stratified by all labels at once."""
        return repeated_label_folds(self.y_train, self.train_groups, folds, repeats, seed)

    def evaluated(self, part: Fold, seed: Sequence[int]) -> dict[str, HeldOutResult]:
        """Return the probabilities that the labels are there."""
        fit, _ = part
        Y, groups = self.y[fit], [self.groups[number] for number in fit]
        inner = label_folds(Y, groups, min(INNER_FOLDS, int(groups_by_kind(Y, groups).min())), seed)
        targets = list(np.where(np.isfinite(Y), Y, UNKNOWN).astype(np.int64).T)
        by_label = evaluate_targets(self.classifiers, self.rows, targets, part, inner, seed[0], _goodness)
        return {
            each.name: _joined(self.classes, [results[each.name] for results in by_label])
            for each in self.classifiers
        }

    def scoring(self, data: EvaluationData) -> Scoring:
        """Return that of labels."""
        return LabelScoring(data)


def label_task(source: Source, names: Sequence[str] | None, folds: int, store: Store) -> LabelTask:
    """Check that images have labels which can be compared, and return what is compared.

    Args:
        source: The images.
        names: The classifiers that are wanted, see `classifiers_and_rows`.
        folds: Number of folds that are wanted.
        store: Where grey pixels are kept.
    """
    train, test = train_and_test(source)
    groups = source.group_ids()
    refuse_leaks(source, groups)
    kept, remarks = _usable_labels(source, train, [groups[number] for number in train], folds)
    labels = tuple(source.table.label_names[number] for number in kept)
    chosen, rows = classifiers_and_rows(source, names, len(train), store, len(labels))
    return LabelTask(train, test, labels, np.asarray(source.table.targets)[:, kept], groups, chosen, rows, remarks)


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


def _goodness(model: Any, X: NDArray[np.floating], y: NDArray[np.int64]) -> tuple[float, float]:
    """Return minus the summed log-loss of a model, or the area under the ROC curve of one without probabilities.

    Most labels are rare: the number of correct rows would be highest where none is found.
    """
    if hasattr(model, "predict_proba"):
        return -summed_loss(model.predict_proba(X), y), 0.0
    scores = np.asarray(model.decision_function(X), np.float64)
    area = float(area_under_curve(y == 1, scores, np.ones((1, len(y))))[0])
    # Rounded, so that equal models are equal.
    return (round(area, 12) if np.isfinite(area) else 0.0), 0.0


def _joined(labels: Sequence[str], by_label: Sequence[HeldOutResult]) -> HeldOutResult:
    """Return the probabilities that the labels are there, (m, L), and the parameters by label, if any were chosen."""
    parameters = {label: dict(result.parameters) for label, result in zip(labels, by_label, strict=True)}
    return HeldOutResult(
        np.column_stack([result.probabilities[:, 1] for result in by_label]),
        parameters if any(parameters.values()) else {},
        sum(result.seconds for result in by_label),
    )
