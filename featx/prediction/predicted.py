"""The prediction for one image."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.novelty import is_outside
from featx.searching import Neighbour
from featx.text import NOTHING, joined_labels


@dataclass(frozen=True)
class Prediction:
    """The prediction for one image.

    Attributes:
        path: The image's path as it was given.
        label: The most probable class; None where an image may have several labels.
        probabilities: For each class; they add up to 1. Where an image may have several labels, the probability of
            each that it is there, 0 to 1.
        true_label: The class that a manifest or data frame gives; None without one.
        group: The group that it gives, such as a patient; None without one.
        extra: Its other columns.
        labels: Where an image may have several labels, those with a probability of at least 0.5; None otherwise.
        true_labels: Where a manifest or data frame gives several labels, whether each of them is there, None where
            that is not known; empty otherwise.
        typicality: How typical the image is of the training images, 0 to 100, see `Reference.typicality`: the
            percentage of held-out training images that lie at least as far from the others. None where it is not
            known.
        neighbours: The nearest training images in the backbone's features, the most similar first; empty if they
            were not asked for.
        file: The image's file; None if it is not known.
        digest: SHA-256 of its bytes.
        pixels: The pixels of an image that is in memory and no file.
    """

    path: str
    label: str | None
    probabilities: dict[str, float]
    true_label: str | None = None
    group: str | None = None
    extra: Mapping[str, Any] = field(default_factory=dict, hash=False)
    labels: tuple[str, ...] | None = None
    true_labels: Mapping[str, bool | None] = field(default_factory=dict, hash=False)
    typicality: float | None = None
    neighbours: tuple[Neighbour, ...] = ()
    file: Path | None = field(default=None, repr=False, compare=False)
    digest: str = field(default="", repr=False, compare=False)
    pixels: NDArray[np.uint8] | None = field(default=None, repr=False, compare=False)

    @property
    def outside(self) -> bool:
        """Whether the image is outside what the training images span: a typicality below 1."""
        return self.typicality is not None and is_outside(self.typicality)

    @property
    def words(self) -> str:
        """The class, or the labels with `|` between them, as tables show them."""
        return joined_labels(self.labels) if self.labels is not None else str(self.label)

    def to_json(self) -> dict[str, Any]:
        """Return `path, label, probabilities, typicality`.

        There are `labels` too where an image may have several, and `neighbours` where they were asked for.
        """
        several = {} if self.labels is None else {"labels": list(self.labels)}
        near = {"neighbours": [one.to_json() for one in self.neighbours]} if self.neighbours else {}
        # With fewer digits, one just below 1 would be 1, and no longer outside.
        typicality = None if self.typicality is None else round(self.typicality, 3)
        return {
            "path": self.path,
            "label": self.label,
            **several,
            "probabilities": self.probabilities,
            "typicality": typicality,
            **near,
        }


def typicality_text(typicality: float | None) -> str:
    """Return a typicality as a whole number, `< 1` for an image outside what the training images span."""
    if typicality is None:
        return NOTHING
    return "< 1" if is_outside(typicality) else f"{typicality:.0f}"
