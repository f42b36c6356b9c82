"""What further columns of the manifest have to do with the class and with the features: the results."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.audits.columns.left_out_values import LeftOut
from featx.audits.columns.values import ColumnValues
from featx.audits.probes.probing import Area
from featx.stats import SIGNIFICANT

# From here on a column and the class are the same thing to any statistic.
INSEPARABLE = 0.95
# A column that goes with the class at least so much, and that the features tell at least so well, is an alarm.
RELATED, TOLD = 0.3, 0.65


@dataclass(frozen=True)
class ToldValue:
    """How well the features tell one value of a column from the others, among images of the same class.

    Attributes:
        value: The value; of a column of numbers, those above the median of their class.
        n: Number of images.
        area: The area under the ROC curve.
        corrected_p: Its p-value, corrected for all values of all columns.
    """

    value: str
    n: int
    area: Area
    corrected_p: float


@dataclass(frozen=True)
class ColumnResult:
    """What a column has to do with the class and with the features.

    Attributes:
        values: The column.
        cramers_v: How strongly it goes with the class, 0 to 1; None without labels.
        against: Of several labels for each image, the one that it goes with most; else "".
        table: (values, classes) numbers of images.
        classes: The classes of the table.
        told: How well the features tell its values; the best first; empty where a class has too few images of each.
        left_out: Accuracy on images of a value when no image of that value was trained on.
        separated: Pairs of classes that have hardly a value in common, though other classes may share values.
    """

    values: ColumnValues
    cramers_v: float | None
    against: str
    table: NDArray[np.int64]
    classes: tuple[str, ...]
    told: tuple[ToldValue, ...]
    left_out: tuple[LeftOut, ...]
    separated: tuple[tuple[str, str], ...] = ()

    @property
    def inseparable(self) -> bool:
        """Whether the column and the class cannot be separated."""
        return self.cramers_v is not None and self.cramers_v >= INSEPARABLE

    @property
    def a_shortcut(self) -> bool:
        """Whether the column goes with the class, and the features tell it where the class is the same."""
        if self.cramers_v is None or self.cramers_v < RELATED or not self.told:
            return False
        best = self.told[0]
        return best.corrected_p < SIGNIFICANT and best.area.interval[0] > TOLD

    @property
    def worse_elsewhere(self) -> tuple[LeftOut, ...]:
        """The values on which the class is told less well when no such image was trained on."""
        return tuple(one for one in self.left_out if one.worse)

    @property
    def alarm(self) -> bool:
        """Whether results on these images may be about the column."""
        return self.inseparable or bool(self.separated) or self.a_shortcut or bool(self.worse_elsewhere)

    def to_json(self) -> dict[str, Any]:
        """Return `column, cramers_v, auc, interval, p_value, alarm` and more."""
        best = self.told[0] if self.told else None
        return {
            "column": self.values.name,
            "cramers_v": self.cramers_v,
            **({"label": self.against} if self.against else {}),
            "auc": None if best is None else best.area.auc,
            "interval": None if best is None else list(best.area.interval),
            "p_value": None if best is None else best.area.p_value,
            "corrected_p": None if best is None else best.corrected_p,
            "value": None if best is None else best.value,
            "alarm": self.alarm,
            "missing": self.values.missing,
            "values": list(self.values.values),
            "pooled": list(self.values.pooled),
            "separated": [list(pair) for pair in self.separated],
            "left_out": [one.to_json() for one in self.left_out],
        }


@dataclass(frozen=True)
class ColumnResults:
    """What the further columns of the manifest have to do with the class and with the features.

    Attributes:
        results: One for each column that divides the images.
        ignored: The other columns, and why they divide nothing.
    """

    results: tuple[ColumnResult, ...]
    ignored: dict[str, str]
