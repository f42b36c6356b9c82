"""How good a model's probabilities are: the accuracy, further metrics and each class, with their intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.errors import UsageError
from featx.stats import (
    THRESHOLD,
    Calibration,
    ClassificationMetrics,
    ClassMetrics,
    Estimate,
    GroupScore,
    LabelMetrics,
    Score,
    bootstrap,
    calibration_of,
    classification_metrics,
    label_metrics,
    logits_of,
    score,
    score_all,
    score_by_group,
)

Matrix = NDArray[np.float64]
# Metrics whose intervals are those of bootstrap samples of whole groups.
LOSSES = ("log_loss", "brier")


@dataclass(frozen=True)
class Metric:
    """A metric of all images.

    Attributes:
        value: Its value.
        interval: Its 95 % interval; None where there is none.
    """

    value: float
    interval: tuple[float, float] | None

    def to_json(self) -> dict[str, Any]:
        """Return `value, interval`."""
        return {"value": self.value, "interval": None if self.interval is None else list(self.interval)}


@dataclass(frozen=True)
class Scores:
    """The scores of a model on n images.

    Attributes:
        score: The accuracy, with an interval that knows the groups; of several labels a `LabelScore`.
        calibration: How well the probabilities say how often they are right.
        correct: (n,) whether an image's class is right; of several labels, whether all that are known are right.
        metrics: By name `balanced_accuracy`, `macro_f1`, `roc_auc`, `log_loss`, `brier`, and for two classes the
            `sensitivity` and `specificity` of the positive one; none of several labels.
        per_class: One for each class, or for each label.
        classification: The same metrics with the most frequent class; None for several labels.
        by_group: The accuracy by group, such as by patient; None where no images share a group.
    """

    score: Score
    calibration: Calibration
    correct: NDArray[np.bool_]
    metrics: Mapping[str, Metric] = field(default_factory=dict)
    per_class: tuple[ClassMetrics, ...] | tuple[LabelMetrics, ...] = ()
    classification: ClassificationMetrics | None = None
    by_group: GroupScore | None = None


def scores_of(
    classes: Sequence[str],
    labels: NDArray[Any],
    P: Matrix,
    groups: Sequence[str],
    seed: int,
    positive: str | None = None,
) -> Scores:
    """Return the scores of probabilities.

    Args:
        classes: In the order of the columns.
        labels: (n,) class numbers; of several labels (n, L) with 1, 0 and NaN for unknown.
        P: (n, classes) probabilities.
        groups: (n,) the group of each image.
        seed: Seed of bootstrap samples.
        positive: The class of two that is looked for; None to choose it.
    """
    if labels.ndim == 2:
        return _of_several(classes, labels, P, groups, seed)
    own = classification_metrics(classes, labels, P, list(groups), positive)
    return Scores(
        score(logits_of(P).astype(np.float32), labels, list(groups)),
        calibration_of(labels, P, seed),
        P.argmax(axis=1) == labels,
        _metrics(own, labels, P, groups, seed),
        own.per_class,
        own,
        score_by_group(labels, P, list(groups)),
    )


def _metrics(
    own: ClassificationMetrics, y: NDArray[np.int64], P: Matrix, groups: Sequence[str], seed: int
) -> dict[str, Metric]:
    of_positive = own.of_positive
    estimates: dict[str, Estimate | None] = {
        "balanced_accuracy": own.balanced_accuracy,
        "macro_f1": own.macro_f1,
        "roc_auc": own.roc_auc,
        "sensitivity": None if of_positive is None else of_positive.sensitivity,
        "specificity": None if of_positive is None else of_positive.specificity,
    }
    metrics = {name: Metric(one.value, one.interval) for name, one in estimates.items() if one is not None}
    values, ends = score_all(y, P), bootstrap(y, P, list(groups), seed)
    return metrics | {name: Metric(values[name], ends[name]) for name in LOSSES}


def _of_several(classes: Sequence[str], targets: NDArray[Any], P: Matrix, groups: Sequence[str], seed: int) -> Scores:
    known = np.isfinite(targets)
    correct = (((P >= THRESHOLD) == (targets == 1)) | ~known).all(axis=1)
    return Scores(
        score(logits_of(P, multilabel=True).astype(np.float32), targets, list(groups)),
        calibration_of(targets, P, seed),
        correct,
        per_class=label_metrics(classes, P, targets, list(groups)),
    )


def check_positive(positive: str | None, classes: Sequence[str], *, multilabel: bool) -> None:
    """Check that a class can be the one of two that is looked for.

    Raises:
        UsageError: There are not two classes, or it is none of them.
    """
    if positive is None:
        return
    if multilabel or len(classes) != 2:
        raise UsageError(
            f"Expected a model of two classes for --positive {positive}, received one of {len(classes)} "
            f"{'labels' if multilabel else 'classes'}; leave it out: each has its sensitivity and specificity."
        )
    if positive not in classes:
        raise UsageError(f"Expected --positive to be {' or '.join(classes)}, received {positive!r}.")
