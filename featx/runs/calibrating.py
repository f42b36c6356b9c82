"""The temperature of a trained head: fitted on validation images, and what it changes on the test images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.heads import HeadFit, label_array
from featx.stats import Calibration, Temperature, calibration_of, fit_temperature, scaled_probabilities
from featx.text import decimal, images


@dataclass(frozen=True)
class HeadCalibration:
    """The temperature that `predict` divides a head's logits by.

    Attributes:
        fitted: The temperature, fitted on the validation images.
        before: Calibration on the test images without it; None where there are none.
        after: The same with it.
    """

    fitted: Temperature
    before: Calibration | None = None
    after: Calibration | None = None

    @property
    def entry(self) -> dict[str, Any]:
        """The entry of the run's manifest: `temperature, n, loss_before, loss_after, on`, and perhaps `note`."""
        return {**self.fitted.to_json(), "on": "validation"}

    def to_json(self) -> dict[str, Any]:
        """Return the entry with `test`: the calibration before and after."""
        if self.before is None or self.after is None:
            return self.entry
        return {**self.entry, "test": {"before": self.before.to_json(), "after": self.after.to_json()}}

    def __str__(self) -> str:
        fitted = self.fitted
        if fitted.note:
            return f"no temperature: {fitted.note}"
        words = f"temperature {fitted.temperature:.2f} from {images(fitted.n, 'validation')}"
        if self.before is None or self.after is None:
            return words
        errors = f"calibration error {decimal(self.before.ece)} → {decimal(self.after.ece)}"
        return f"{words}; on test log loss {decimal(self.before.log_loss)} → {decimal(self.after.log_loss)}, {errors}"


def calibrate_head(fit: HeadFit, logits: Mapping[str, NDArray[np.float32]]) -> HeadCalibration | None:
    """Fit the temperature of a trained head; None without validation images.

    Args:
        fit: The head and its images.
        logits: The logits of its images by role.
    """
    dataset = fit.extraction.dataset
    if not fit.images.validation:
        return None
    fitted = fit_temperature(logits["validation"], label_array(fit.images.validation, dataset))
    return _tested(fitted, logits["test"], label_array(fit.images.test, dataset), fit.recipe.fit.seed)


def _tested(fitted: Temperature, logits: NDArray[np.float32], labels: NDArray[Any], seed: int) -> HeadCalibration:
    several = labels.ndim == 2
    if not len(labels) or (several and not np.isfinite(labels).any()):
        return HeadCalibration(fitted)
    before, after = (
        calibration_of(labels, scaled_probabilities(logits, temperature, multilabel=several), seed)
        for temperature in (1.0, fitted.temperature)
    )
    return HeadCalibration(fitted, before, after)
