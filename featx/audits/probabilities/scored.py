"""The probabilities whose calibration is examined: a head's on images that it was not trained on, or out-of-fold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.audits.judged import Judged, images_of_role, judged_images
from featx.audits.opened import AuditData
from featx.stats import Temperature, fit_temperature, logits_of, with_temperature

Matrix = NDArray[np.float64]
Numbers = NDArray[np.int64]
FOLDS = 5


@dataclass(frozen=True)
class Scored:
    """Images with their probabilities.

    Attributes:
        y: (m,) class numbers; of several labels (m, L) with 1, 0 and NaN.
        P: (m, classes), without a temperature.
        groups: (m,) the number of each image's group, from 0 without gaps.
    """

    y: NDArray[Any]
    P: Matrix
    groups: Numbers

    @property
    def multilabel(self) -> bool:
        """Whether an image may have several labels."""
        return self.y.ndim == 2

    @property
    def grouped(self) -> bool:
        """Whether some images share a group."""
        return bool(self.groups.max(initial=-1) + 1 < len(self.groups))

    def take(self, chosen: NDArray[Any]) -> Scored:
        """Return some of the images."""
        numbers = np.unique(self.groups[chosen], return_inverse=True)[1].astype(np.int64)
        return Scored(self.y[chosen], self.P[chosen], numbers)

    def temperature(self) -> Temperature:
        """Return the temperature with the lowest loss on these images."""
        return fit_temperature(logits_of(self.P, multilabel=self.multilabel), self.y)


@dataclass(frozen=True)
class Examined:
    """What is examined, and what a temperature and prediction sets are calibrated on.

    Attributes:
        scored: The images.
        on: What images these are, in words.
        of_head: Whether the probabilities are a run's head's; else logistic regression on the features gave them.
        calibration: Other images, of validation; None where there are none.
        fold: (m,) the fold of each image, for calibration on the other folds where there are no such images.
        temperature: The temperature.
        kept: Whether the run has this temperature, so that `predict` uses it.
    """

    scored: Scored
    on: str
    of_head: bool
    calibration: Scored | None
    fold: Numbers
    temperature: Temperature
    kept: bool

    @property
    def model(self) -> str:
        """What gave the probabilities."""
        return "the head" if self.of_head else "logistic regression on the features"

    def calibrated(self) -> Matrix:
        """Return the probabilities with the temperature, which each image had no part in."""
        scored = self.scored
        if self.calibration is not None:
            return with_temperature(scored.P, self.temperature.temperature, multilabel=scored.multilabel)
        P = scored.P.copy()
        for number in np.unique(self.fold):
            held = self.fold == number
            fitted = scored.take(~held).temperature()
            P[held] = with_temperature(P[held], fitted.temperature, multilabel=scored.multilabel)
        return P

    def used(self) -> Matrix:
        """Return the probabilities that `predict` would give."""
        return self.calibrated() if self.kept else self.scored.P


def examined(data: AuditData) -> Examined:
    """Return what is examined: of a run its test images, else those of validation; of data, out-of-fold.

    Raises:
        DataError: A run has training images only, or data has too few images of a class.
    """
    judged = judged_images(data)
    own = _scored(data, judged)
    if not judged.of_head:
        words = "training images, each from a fold that held it out"
        return Examined(own, words, False, None, data.out_of_fold.fold, own.temperature(), False)
    validation = images_of_role(data, "validation") if judged.role == "test" else None
    other = None if validation is None else _scored(data, validation)
    kept = _kept(data)
    temperature = kept or (other or own).temperature()
    fold = np.random.default_rng(data.seed).permutation(int(own.groups.max()) + 1)[own.groups] % FOLDS
    return Examined(own, f"{judged.role} images", True, other, fold, temperature, kept is not None)


def _scored(data: AuditData, judged: Judged) -> Scored:
    targets, rows = data.source.table.targets, judged.rows
    groups = np.unique(data.groups[rows], return_inverse=True)[1].astype(np.int64)
    return Scored(data.y[rows] if targets is None else targets[rows], judged.probabilities, groups)


def _kept(data: AuditData) -> Temperature | None:
    """Return the temperature that the run has; None for runs of earlier versions and without validation images."""
    run = data.source.run
    entry = None if run is None else run.manifest.get("calibration")
    if entry is None:
        return None
    losses = (entry.get("loss_before"), entry.get("loss_after"))
    before, after = (float(loss) if isinstance(loss, float) else None for loss in losses)
    return Temperature(
        float(entry["temperature"]), int(entry.get("n") or 0), before, after, str(entry.get("note", ""))
    )
