"""How well one class for each image is predicted: metrics with intervals, each class, and results by group."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.stats.class_figures import Figure, GroupedImages, class_intervals
from featx.stats.grouped import Groups, group_numbers
from featx.stats.intervals import Score
from featx.stats.labels import Estimate
from featx.stats.metrics import score_all
from featx.stats.significance import SIGNIFICANT, mcnemar

Matrix = NDArray[np.float64]
Labels = NDArray[np.int64]

MOST_CLASSES = 200
# What the class of two is often called that is not looked for.
USUAL = frozenset(
    {"normal", "negative", "healthy", "control", "benign", "none", "no finding", "no", "0", "other", "background"}
)


@dataclass(frozen=True)
class ClassMetrics:
    """How well one class is told from the others. Intervals are Wilson's, and that of `auc_interval`.

    Attributes:
        label: The class.
        n: Number of its images.
        sensitivity: Share of its images that are predicted as it (recall); None where it has none.
        specificity: Share of the other images that are not predicted as it; None where there are none.
        precision: Share of the images predicted as it that are of it; None where there are none.
        auc: Area under the ROC curve of the class against the rest; None without images of both.
    """

    label: str
    n: int
    sensitivity: Estimate | None
    specificity: Estimate | None
    precision: Estimate | None
    auc: Estimate | None

    def to_json(self) -> dict[str, Any]:
        """Return the attributes, `label` as `class`; each estimate is `{value, interval}` or null."""
        names = ("sensitivity", "specificity", "precision", "auc")
        estimates = {name: _json(getattr(self, name)) for name in names}
        return {"class": self.label, "n": self.n, **estimates}


@dataclass(frozen=True)
class ClassificationMetrics:
    """How well images are classified, apart from their accuracy.

    Attributes:
        n: Number of images, at least 1.
        correct: Number of images whose most probable class is the true one.
        majority: The most frequent class, and the number of its images.
        p_value_vs_majority: McNemar's exact test, by whole groups, against always answering that class.
        balanced_accuracy: Mean recall of the classes.
        macro_f1: Mean F1 of the classes.
        roc_auc: Mean area under the ROC curve of each class against the rest; None for images of one class.
        per_class: In the order of the classes; empty for more than 200 classes, which would take long.
        positive: Of two classes the one that is looked for, see `positive_class`; None for more.
    """

    n: int
    correct: int
    majority: tuple[str, int]
    p_value_vs_majority: float
    balanced_accuracy: Estimate
    macro_f1: Estimate
    roc_auc: Estimate | None
    per_class: tuple[ClassMetrics, ...]
    positive: str | None

    @property
    def of_positive(self) -> ClassMetrics | None:
        """The metrics of the class that is looked for; None for more than two classes."""
        return next((one for one in self.per_class if one.label == self.positive), None)

    def no_better_than_majority(self) -> str | None:
        """Return a sentence where it is not shown that the head is better than always answering one class."""
        name, most = self.majority
        if self.correct > most and self.p_value_vs_majority < SIGNIFICANT:
            return None
        relation = "fewer than" if self.correct < most else "as many as" if self.correct == most else "more than"
        beginning = f"{self.correct:,} of {self.n:,} images are correct, {relation} the {most:,} of always answering"
        if self.correct <= most:
            return f"{beginning} {name}: the head is no better than that."
        return f"{beginning} {name}, but not by more than chance (p = {self.p_value_vs_majority:.3f})."

    def to_json(self) -> dict[str, Any]:
        """Return the attributes; for two classes also sensitivity and specificity of the positive one."""
        of_positive = {} if self.of_positive is None else self.of_positive.to_json()
        shown = {name: of_positive[name] for name in ("sensitivity", "specificity") if of_positive}
        return {
            "majority": {
                "class": self.majority[0],
                "correct": self.majority[1],
                "accuracy": self.majority[1] / self.n,
            },
            "p_value_vs_majority": self.p_value_vs_majority,
            "balanced_accuracy": self.balanced_accuracy.to_json(),
            "macro_f1": self.macro_f1.to_json(),
            "roc_auc": _json(self.roc_auc),
            **({} if self.positive is None else {"positive": self.positive, **shown}),
            "per_class": [one.to_json() for one in self.per_class],
        }


def classification_metrics(
    classes: Sequence[str], y: Labels, P: Matrix, groups: Groups | None = None, positive: str | None = None
) -> ClassificationMetrics:
    """Return the metrics of predicted probabilities with intervals that keep a width at 0 and 1 and know groups.

    Args:
        classes: The names of the classes.
        y: (n,) class indices, n at least 1.
        P: (n, classes) probabilities.
        groups: (n,) the group of each image, such as its patient; None for an image that shares none.
        positive: Of two classes the one that is looked for; the one that `positive_of` chooses if not given.
    """
    images, predicted = GroupedImages(len(y), groups), P.argmax(axis=1)
    counts = np.bincount(y, minlength=len(classes))
    if positive is None:
        positive = positive_of(classes, [classes[number] for number in y])
    values, ends, most = score_all(y, P), class_intervals(y, P, groups), int(counts.argmax())
    macro = {
        name: Estimate(values[name], interval)
        for name, interval in ends.items()
        if interval is not None and np.isfinite(values[name])
    }
    return ClassificationMetrics(
        n=len(y),
        correct=int(np.sum(predicted == y)),
        majority=(classes[most], int(counts[most])),
        p_value_vs_majority=mcnemar(predicted == y, y == most, groups),
        balanced_accuracy=macro["balanced_accuracy"],
        macro_f1=macro["macro_f1"],
        roc_auc=macro.get("roc_auc"),
        per_class=()
        if len(classes) > MOST_CLASSES
        else tuple(_of_class(images, name, y, P, number) for number, name in enumerate(classes)),
        positive=positive,
    )


def positive_class(classes: Sequence[str], counts: Sequence[int]) -> int:
    """Return which of two classes is looked for: the one that is not called normal or the like, or the rarer one.

    Args:
        classes: Two names.
        counts: The number of images of each.
    """
    usual = [name.lower().replace("_", " ").replace("-", " ") in USUAL for name in classes]
    if usual[0] != usual[1]:
        return int(usual[0])
    return 0 if counts[0] < counts[1] else 1


def positive_of(classes: Sequence[str], labels: Sequence[str]) -> str | None:
    """Return the positive class of images with these labels, see `positive_class`; None for more than two classes."""
    if len(classes) != 2:
        return None
    counts = Counter(labels)
    return classes[positive_class(classes, [counts[name] for name in classes])]


@dataclass(frozen=True)
class GroupScore:
    """The accuracy of groups: the classes of a group's images are its class, their mean probabilities its own.

    Attributes:
        score: Of the groups whose images are all of one class; its `n` is the number of groups.
        mixed: Number of groups that are left out, because their images are of several classes.
    """

    score: Score
    mixed: int

    def to_json(self) -> dict[str, Any]:
        """Return that of the score, and `mixed`."""
        return {**self.score.to_json(), "mixed": self.mixed}

    def __str__(self) -> str:
        left_out = "" if not self.mixed else f"; {self.mixed:,} with images of several classes left out"
        return f"{self.score} of the groups{left_out}"


def score_by_group(y: Labels, P: Matrix, groups: Groups) -> GroupScore | None:
    """Return the accuracy by group, such as by patient, with Wilson's interval; None where no images share a group.

    Args:
        y: (n,) class indices.
        P: (n, classes) probabilities; those of the images of a group are averaged.
        groups: (n,) the group of each image; None for an image that shares none.
    """
    numbers = group_numbers(groups)
    if not len(y) or int(numbers.max()) + 1 == len(y):
        return None
    sizes = np.bincount(numbers)
    means = np.stack([np.bincount(numbers, column) for column in P.T], axis=1) / sizes[:, None]
    first = y[np.unique(numbers, return_index=True)[1]]
    mixed = np.bincount(numbers, y != first[numbers]) > 0
    own, kept = first[~mixed], means[~mixed]
    if not len(own):
        return GroupScore(Score(0, 0, None), int(mixed.sum()))
    losses = -np.log(np.clip(kept[np.arange(len(own)), own], np.finfo(np.float32).eps, 1))
    correct = int(np.sum(kept.argmax(axis=1) == own))
    return GroupScore(Score(len(own), correct, float(losses.mean())), int(mixed.sum()))


def _of_class(images: GroupedImages, name: str, y: Labels, P: Matrix, number: int) -> ClassMetrics:
    own, called = y == number, P.argmax(axis=1) == number
    return ClassMetrics(
        name,
        int(own.sum()),
        sensitivity=_estimate(images.share(called, own)),
        specificity=_estimate(images.share(~called, ~own)),
        precision=_estimate(images.share(own, called)),
        auc=_estimate(images.area(own, P[:, number])),
    )


def _estimate(figure: Figure | None) -> Estimate | None:
    return None if figure is None else Estimate(figure.value, figure.interval)


def _json(estimate: Estimate | None) -> dict[str, Any] | None:
    return None if estimate is None else estimate.to_json()
