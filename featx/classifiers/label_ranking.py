"""From predictions of several labels to the rows of a comparison: scores, intervals, tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from featx.classifiers.comparison import ClassifierResult, MetricEstimate
from featx.classifiers.folds import Fold
from featx.classifiers.label_scores import (
    LABEL_BOUNDS,
    LABEL_METRICS,
    Matrix,
    Targets,
    interval_of,
    label_scores,
    paired_p,
    resampled,
    right_images,
)
from featx.classifiers.models import Classifier
from featx.classifiers.nested_cv import HeldOutResult
from featx.classifiers.ranking import HEAD, over_folds, with_verdicts
from featx.stats import LabelMetrics, label_metrics, wilson

MEASURE = "roc_auc"


@dataclass(frozen=True)
class LabelData:
    """What all classifiers are evaluated on: the folds of all repeats, targets (n, L), the bootstrap's seed."""

    labels: tuple[str, ...]
    folds: Sequence[Fold]
    Y: Targets
    Y_test: Targets
    test_groups: Sequence[str]
    seed: int

    @property
    def ratio(self) -> float:
        """Held-out rows divided by training rows, over all folds."""
        return sum(len(held) for _, held in self.folds) / sum(len(fit) for fit, _ in self.folds)

    @property
    def repeats(self) -> int:
        """How often every row was held out."""
        return sum(len(held) for _, held in self.folds) // len(self.Y)

    @property
    def has_test(self) -> bool:
        """Whether some label of some test image is known."""
        return bool(np.isfinite(self.Y_test).any())


def rank_labels(
    classifiers: Sequence[Classifier],
    data: LabelData,
    in_folds: Sequence[Mapping[str, HeldOutResult]],
    final: Mapping[str, HeldOutResult],
    head: Matrix | None,
) -> tuple[tuple[ClassifierResult, ...], str]:
    """Return the rows, the highest mean area in the folds first and the head last, and the name of the best.

    `final` are the results on the test part after fitting on the whole training part, `head` the (n_test, L)
    probabilities of a run's head. Test images are resampled once for intervals and for the tests against the best.
    """
    draws: dict[str, Matrix] = {}
    rows = [_row(each, data, [fold[each.name] for fold in in_folds], final[each.name], draws) for each in classifiers]
    # The sort is stable: equals keep the order of the table of classifiers, where baselines stand last.
    rows.sort(key=lambda row: -np.nan_to_num(row.cv_mean(MEASURE), nan=-1.0))
    best = rows[0]
    if head is not None and data.has_test:
        description = "The run's own head, trained with its recipe, on the test images."
        test = _on_test(HEAD, data, head, draws)
        by_label = label_metrics(data.labels, head, data.Y_test)
        rows.append(
            ClassifierResult(HEAD, "head", description, None, (), None, None, {}, test, head, per_label=by_label)
        )
    on_test = {}
    for row in rows:
        if row is not best and row.test and best.test:
            difference = row.test[MEASURE].value - best.test[MEASURE].value
            if np.isfinite(difference):
                on_test[row.name] = paired_p(difference, draws[row.name] - draws[best.name])
    return with_verdicts(rows, best, MEASURE, data.ratio, on_test), best.name


def _row(
    classifier: Classifier,
    data: LabelData,
    in_folds: Sequence[HeldOutResult],
    final: HeldOutResult,
    draws: dict[str, Matrix],
) -> ClassifierResult:
    per_repeat = len(data.folds) // data.repeats
    probabilities = np.empty((data.repeats, *data.Y.shape))
    fold_scores = []
    for number, ((_, held), result) in enumerate(zip(data.folds, in_folds, strict=True)):
        fold_scores.append(label_scores(data.Y[held], result.probabilities))
        probabilities[number // per_repeat, held] = result.probabilities
    scores = {name: np.array([each[name] for each in fold_scores]) for name in LABEL_METRICS}
    tested = final.probabilities if data.has_test else None
    return ClassifierResult(
        name=classifier.name,
        kind="baseline" if classifier.baseline else "classifier",
        description=classifier.description,
        fold_scores=scores,
        fold_parameters=tuple(_named(result.parameters, data.labels) for result in in_folds),
        cv=over_folds(scores, data.ratio, LABEL_BOUNDS),
        cv_probabilities=probabilities,
        parameters=_named(final.parameters, data.labels),
        test=None if tested is None else _on_test(classifier.name, data, tested, draws),
        test_probabilities=tested,
        seconds=sum(result.seconds for result in (*in_folds, final)),
        per_label=_by_label(data, probabilities[0], tested),
    )


def _by_label(data: LabelData, held_out: Matrix, tested: Matrix | None) -> tuple[LabelMetrics, ...]:
    if tested is None:
        return label_metrics(data.labels, held_out, data.Y)
    return label_metrics(data.labels, tested, data.Y_test)


def _named(parameters: Mapping[str, Any], labels: Sequence[str]) -> dict[str, Any]:
    """Return the parameters by the names of the labels; none where there was no choice for any."""
    named = dict(zip(labels, parameters.values(), strict=True))
    return named if any(named.values()) else {}


def _on_test(name: str, data: LabelData, P: Matrix, draws: dict[str, Matrix]) -> dict[str, MetricEstimate]:
    values = resampled(data.Y_test, P, data.test_groups, data.seed)
    draws[name] = values[MEASURE]
    estimates = {
        metric: MetricEstimate(score, interval_of(values[metric]))
        for metric, score in label_scores(data.Y_test, P).items()
    }
    counted = np.isfinite(data.Y_test).any(axis=1)
    correct, n = int((right_images(data.Y_test, P) & counted).sum()), int(counted.sum())
    return {**estimates, "accuracy": MetricEstimate(correct / n, wilson(correct, n))}
