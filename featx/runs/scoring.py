"""The metrics of a trained head on the images that it was not fitted on, by image and by group."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from featx.heads import HeadFit, groups_of, label_array
from featx.runs.writing import Logits
from featx.stats import (
    ClassificationMetrics,
    GroupScore,
    classification_metrics,
    positive_of,
    probabilities,
    score_by_group,
)


@dataclass(frozen=True)
class HeadMetrics:
    """The metrics of a head by the part of the data, `validation` and `test`; empty for several labels.

    Attributes:
        metrics: Of the images of each part that has any.
        by_group: The accuracy by group, such as by patient, of each part whose images share groups.
    """

    metrics: Mapping[str, ClassificationMetrics] = field(default_factory=dict)
    by_group: Mapping[str, GroupScore] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return `metrics` and `by_group`, by the part of the data."""
        return {
            "metrics": {part: one.to_json() for part, one in self.metrics.items()},
            "by_group": {part: one.to_json() for part, one in self.by_group.items()},
        }


def head_metrics(fit: HeadFit, logits: Logits) -> HeadMetrics:
    """Return the metrics of a head from its logits by role."""
    dataset = fit.extraction.dataset
    if dataset.multilabel:
        return HeadMetrics()
    # By all images, so that it is the same class in both parts.
    labels = [str(image.item.label) for part in vars(fit.images).values() for image in part]
    positive = positive_of(dataset.classes, labels)
    metrics, by_group = {}, {}
    for part in ("validation", "test"):
        images = vars(fit.images)[part]
        if not images:
            continue
        y, P, groups = label_array(images, dataset).astype(np.int64), probabilities(logits[part]), groups_of(images)
        metrics[part] = classification_metrics(dataset.classes, y, P, groups, positive)
        if (grouped := score_by_group(y, P, groups)) is not None:
            by_group[part] = grouped
    return HeadMetrics(metrics, by_group)
