"""The images that judge a model: a run's test or validation images; of data, images that folds held out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from featx.audits.opened import AuditData
from featx.errors import DataError


@dataclass(frozen=True)
class Judged:
    """Labelled images with the probabilities of a model that was not fitted on them.

    Attributes:
        rows: (m,) the numbers of their rows of the source.
        probabilities: (m, classes), of a head without its temperature.
        role: What a run used them for, `test` or `validation`; "" if logistic regression on the features, fitted in
            folds, gave the probabilities.
    """

    rows: NDArray[np.int64]
    probabilities: NDArray[np.float64]
    role: str = ""

    @property
    def of_head(self) -> bool:
        """Whether a run's head gave the probabilities."""
        return bool(self.role)


def judged_images(data: AuditData) -> Judged:
    """Return the test images of a run, or those of validation where there are none; of data the training images.

    Raises:
        DataError: A run has training images only, or data has too few images of a class.
    """
    if data.source.predicted is None:
        held = data.out_of_fold
        return Judged(held.rows, held.probabilities)
    for role in ("test", "validation"):
        if (judged := images_of_role(data, role)) is not None:
            return judged
    raise DataError(
        f"Expected test or validation images in the run {data.source.name}, found training images only; fit with "
        "--validation or --test."
    )


def images_of_role(data: AuditData, role: str) -> Judged | None:
    """Return the labelled images that a run used for `test` or `validation`; None if there are none."""
    predicted, targets = data.source.predicted, data.source.table.targets
    if predicted is None:
        return None
    known = data.y >= 0 if targets is None else np.isfinite(targets).any(axis=1)
    rows = np.flatnonzero((np.asarray(predicted.roles) == role) & known)
    return Judged(rows, predicted.probabilities[rows], role) if len(rows) else None
