"""How good a model's probabilities are: the accuracy, further metrics and each class, with their intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.stats import (
    Calibration,
    Estimate,
    LabelMetrics,
    Score,
    bootstrap,
    calibration_of,
    group_numbers,
    grouped_share,
    label_metrics,
    logits_of,
    ranking_of,
    score,
    score_all,
)

Matrix = NDArray[np.float64]
Numbers = NDArray[np.int64]


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
class ClassScore:
    """How well one class is told from the others.

    Attributes:
        label: The class.
        n: Number of its images.
        correct: Number of these that are predicted as it.
        recall: `correct / n`, the sensitivity; None where it has no images.
        specificity: Share of the images of other classes that are not predicted as it; None where there are none.
        precision: Share of the images predicted as it that are of it; None where there are none.
        auc: Area under the ROC curve of the class against all others; None without images of both.
    """

    label: str
    n: int
    correct: int
    recall: Estimate | None
    specificity: Estimate | None
    precision: Estimate | None
    auc: Estimate | None

    def to_json(self) -> dict[str, Any]:
        """Return the attributes, `label` as `class`; each estimate is `{value, interval}` or null."""
        names = ("recall", "specificity", "precision", "auc")
        estimates = {name: getattr(self, name) for name in names}
        return {
            "class": self.label,
            "n": self.n,
            "correct": self.correct,
            **{name: None if value is None else value.to_json() for name, value in estimates.items()},
        }


@dataclass(frozen=True)
class Scores:
    """The scores of a model on n images.

    Attributes:
        score: The accuracy, with an interval that knows the groups; of several labels a `LabelScore`.
        metrics: Further metrics by name.
        per_class: One for each class, or for each label.
        calibration: How well the probabilities say how often they are right.
        correct: (n,) whether an image's class is right; of several labels, whether all that are known are right.
        majority: The most frequent class, and the number of its images; None for several labels.
    """

    score: Score
    metrics: Mapping[str, Metric]
    per_class: tuple[ClassScore, ...] | tuple[LabelMetrics, ...]
    calibration: Calibration
    correct: NDArray[np.bool_]
    majority: tuple[str, int] | None = None


def share_of(correct: NDArray[np.bool_], groups: Sequence[str]) -> Score:
    """Return the accuracy on some images as a score without a loss."""
    share = grouped_share(correct, list(groups))
    return Score(share.n, share.correct, None, groups=share.groups, effective=share.effective)


def scores_of(classes: Sequence[str], labels: NDArray[Any], P: Matrix, groups: Sequence[str], seed: int) -> Scores:
    """Return the scores of probabilities.

    Args:
        classes: In the order of the columns.
        labels: (n,) class numbers; of several labels (n, L) with 1, 0 and NaN for unknown.
        P: (n, classes) probabilities.
        groups: (n,) the group of each image.
        seed: Seed of bootstrap samples.
    """
    if labels.ndim == 2:
        return _of_several(classes, labels, P, groups, seed)
    correct = P.argmax(axis=1) == labels
    intervals = bootstrap(labels, P, groups, seed)
    metrics = {name: Metric(value, intervals[name]) for name, value in score_all(labels, P).items()}
    counts = np.bincount(labels, minlength=len(classes))
    most = int(counts.argmax())
    return Scores(
        score(logits_of(P).astype(np.float32), labels, list(groups)),
        metrics,
        tuple(_of_class(name, number, labels, P, groups) for number, name in enumerate(classes)),
        calibration_of(labels, P, seed),
        correct,
        (classes[most], int(counts[most])),
    )


def _of_several(classes: Sequence[str], targets: NDArray[Any], P: Matrix, groups: Sequence[str], seed: int) -> Scores:
    known = np.isfinite(targets)
    correct = (((P >= 0.5) == (targets == 1)) | ~known).all(axis=1)
    logits = logits_of(P, multilabel=True).astype(np.float32)
    return Scores(
        score(logits, targets, list(groups)),
        {},
        label_metrics(classes, P, targets, list(groups)),
        calibration_of(targets, P, seed),
        correct,
    )


def _of_class(name: str, number: int, y: Numbers, P: Matrix, groups: Sequence[str]) -> ClassScore:
    own, called = y == number, P.argmax(axis=1) == number
    area = None
    if own.any() and not own.all():
        area = ranking_of(own, P[:, number], group_numbers(list(groups))).auc
    return ClassScore(
        name,
        int(own.sum()),
        int((own & called).sum()),
        _share(called, own, groups),
        _share(~called, ~own, groups),
        _share(own, called, groups),
        area,
    )


def _share(counted: NDArray[np.bool_], among: NDArray[np.bool_], groups: Sequence[str]) -> Estimate | None:
    """Return the share of images that are counted, among some, with an interval that knows the groups."""
    if not among.any():
        return None
    share = grouped_share(counted[among], [group for group, chosen in zip(groups, among, strict=True) if chosen])
    return Estimate(share.share, share.interval)
