"""What a form is filled from: a run, its audit, and what several answers need of both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.audits.columns.subgroups import Subgroups
from featx.audits.parts import Part
from featx.audits.probabilities.calibration import CalibrationPart
from featx.audits.result import Audit
from featx.errors import DataError
from featx.runs import Predicted, Run
from featx.stats import THRESHOLD, GroupedShare, grouped_share
from featx.text import interval_percent, percent

# What a run uses images for, and what journals call these parts.
PARTS = {"fit": "training", "validation": "tuning (validation)", "test": "test"}

# Digits of a SHA-256 that are shown.
DIGITS = 16


@dataclass(frozen=True)
class Subject:
    """A run and its audit.

    Attributes:
        audit: The audit of the run.
        run: The run.
    """

    audit: Audit
    run: Run

    @property
    def predicted(self) -> Predicted:
        """The predictions of the run's head.

        Raises:
            DataError: The audit is of data.
        """
        predicted = self.audit.data.source.predicted
        if predicted is None:
            raise DataError("Expected the audit of a run, received that of data; audit the run.")
        return predicted

    @cached_property
    def roles(self) -> NDArray[np.str_]:
        """(n,) what the run used each image for."""
        return np.asarray(self.predicted.roles)

    @property
    def used(self) -> tuple[str, ...]:
        """The parts that have images."""
        return tuple(role for role in PARTS if role in self.roles)

    @property
    def judged(self) -> str:
        """The part that the model is judged by: `test`, without one `validation`, without both `fit`."""
        return self.used[-1]

    @property
    def named_groups(self) -> bool:
        """Whether the data name groups, such as patients."""
        return any(group is not None for group in self.audit.data.source.table.groups)

    @cached_property
    def correct(self) -> NDArray[np.bool_]:
        """(n,) whether each image was classified correctly; of several labels whether all known ones are."""
        targets, P = self.audit.data.source.table.targets, self.predicted.probabilities
        if targets is None:
            return np.asarray(P.argmax(axis=1) == self.audit.data.y)
        return np.asarray((((P >= THRESHOLD) == (targets == 1)) | ~np.isfinite(targets)).all(axis=1))

    def accuracy(self, role: str) -> GroupedShare:
        """Return the accuracy on a part of the images that has some."""
        mask = self.roles == role
        return grouped_share(self.correct[mask], self.audit.data.groups[mask])

    def part(self, key: str) -> Part | None:
        """Return the result of an examination; None if it was not made."""
        return next((part for part in self.audit.parts if part.key == key), None)

    @property
    def calibration(self) -> CalibrationPart | None:
        """The examination of the probabilities; None if it was not made."""
        part = self.part("calibration")
        return part if isinstance(part, CalibrationPart) else None

    @property
    def subgroups(self) -> Subgroups | None:
        """The examination of subgroups; None if it was not made."""
        part = self.part("subgroups")
        return part if isinstance(part, Subgroups) else None


def joined(names: Sequence[Any]) -> str:
    """Return `a`, `a and b`, `a, b and c`."""
    words = [str(name) for name in names]
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}" if words else ""


def number_of(n: int, one: str, several: str) -> str:
    """Return `1 group is`, `4 groups are`."""
    return f"{n:,} {one if n == 1 else several}"


def digest_words(document: Mapping[str, Any]) -> str:
    """Return the first digits of the SHA-256 that a part of a run's manifest has."""
    digest = str(document["sha256"])
    return f"{digest[:DIGITS]}…" if digest else "unknown"


def share_words(share: GroupedShare) -> str:
    """Return `33/36 = 91.7 % (78.2–97.1 %)`, with the number of groups where images share them."""
    groups = "" if share.groups is None else f" in {share.groups:,} groups"
    return f"{share.correct:,}/{share.n:,}{groups} = {percent(share.share)} ({interval_percent(share.interval)})"
