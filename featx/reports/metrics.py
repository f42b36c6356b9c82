"""What the accuracy of a run does not say: balanced accuracy, areas, each class, results by group, the majority."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from featx.data import group_ids
from featx.pages import Block, Note, Table, Text
from featx.runs import Run, RunImage
from featx.stats import (
    ClassificationMetrics,
    Estimate,
    GroupScore,
    Score,
    classification_metrics,
    grouped_share,
    positive_of,
    score_by_group,
)
from featx.text import NOTHING, count, decimal, fraction_percent, images, interval_percent, percent

# Classes whose sensitivity and specificity are shown beside the other metrics; all are in the table by class.
MOST_CLASSES = 6


def groups_of(chosen: Sequence[RunImage]) -> list[str]:
    """Return the group of each image: images of one patient, or with the same bytes, have the same."""
    return group_ids([image.digest for image in chosen], [image.group for image in chosen])


def with_groups(score: Score, chosen: Sequence[RunImage]) -> Score:
    """Return a score with the groups of its images, which runs of earlier versions do not have."""
    if score.groups is not None or len(chosen) != score.n or any(image.targets is not None for image in chosen):
        return score
    correct = np.array([image.predicted == image.label for image in chosen], np.bool_)
    share = grouped_share(correct, groups_of(chosen)) if len(chosen) else None
    if share is None or share.correct != score.correct:
        return score
    return Score(score.n, score.correct, score.loss, groups=share.groups, effective=share.effective)


def metrics_blocks(run: Run, chosen: Sequence[RunImage], kind: str) -> list[Block]:
    """Return the metrics of a run's images with one class each, and of their groups where images share some."""
    classes = run.classes
    number = {name: index for index, name in enumerate(classes)}
    y = np.array([number[image.label] for image in chosen], np.int64)
    P = np.array([image.probabilities for image in chosen], np.float64)
    # Probabilities in files are rounded, and of two equal ones the predicted class is the greater.
    P[np.arange(len(y)), [number[image.predicted] for image in chosen]] += 1e-9
    groups = groups_of(chosen)
    positive = positive_of(classes, [image.label for image in run.images])
    metrics = classification_metrics(classes, y, P, groups, positive)
    blocks: list[Block] = [_table(metrics, kind)]
    if (by_group := score_by_group(y, P, groups)) is not None:
        blocks.append(Text(_by_group(by_group, kind)))
    blocks.append(_majority(metrics))
    return blocks


def _table(metrics: ClassificationMetrics, kind: str) -> Table:
    macro = (
        ("balanced accuracy", metrics.balanced_accuracy),
        ("macro F1", metrics.macro_f1),
        ("area under the ROC curve", metrics.roc_auc),
    )
    listed = metrics.per_class if metrics.of_positive is None else (metrics.of_positive,)
    of_classes = [
        (f"{title} for {one.label}", estimate)
        for one in (listed if len(listed) <= MOST_CLASSES else ())
        for title, estimate in (("sensitivity", one.sensitivity), ("specificity", one.specificity))
    ]
    caption = (
        f"Other measures on the {kind} images with 95 % intervals, which keep a width at 0 and 1 and allow for "
        "images of one group. Balanced accuracy is the mean of the sensitivities of the classes: a rare class "
        "counts as much as a frequent one; an area of 0.5 is chance."
    )
    rows = tuple((title, *_cells(estimate)) for title, estimate in (*macro, *of_classes))
    return Table(caption, ("measure", "value", "95 % interval"), rows)


def _cells(estimate: Estimate | None) -> tuple[str, str]:
    if estimate is None:
        return NOTHING, NOTHING
    return decimal(estimate.value), "–".join(map(decimal, estimate.interval))


def _by_group(by_group: GroupScore, kind: str) -> str:
    score = by_group.score
    left_out = f" {count(by_group.mixed)} with images of several classes are left out." if by_group.mixed else ""
    if not score.n:
        return f"Every group of the {kind} images has images of several classes, so there is no result by group."
    return (
        f"By group (such as a patient; the probabilities of its images are averaged): {count(score.correct)} of "
        f"{count(score.n)} groups are classified correctly, {percent(score.accuracy)} (95 % interval "
        f"{interval_percent(score.interval)}).{left_out}"
    )


def _majority(metrics: ClassificationMetrics) -> Block:
    most = metrics.majority[1]
    points = f"{100 / metrics.n:.2g}"
    words = (
        f"Always guessing the most frequent class gets {fraction_percent(most, metrics.n)}. Each of "
        f"{images(metrics.n)} counts for {points} percentage point{'' if points == '1' else 's'} of accuracy."
    )
    sentence = metrics.no_better_than_majority()
    return Text(words) if sentence is None else Note(f"{words} {sentence}")
