"""Shares of images that come in groups, such as the patients that they show."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from featx.stats.intervals import wilson

Numbers = NDArray[np.int64]


@dataclass(frozen=True)
class GroupedShare:
    """A share of images, with an interval that does not take images of one group as independent.

    Attributes:
        n: Number of images, at least 1.
        correct: Number of images that count.
        groups: Number of groups; None where no two images are of one group.
        effective: The number of independent images that would tell as much, see `effective_n`; None likewise.
    """

    n: int
    correct: int
    groups: int | None = None
    effective: float | None = None

    @property
    def share(self) -> float:
        """`correct / n`."""
        return self.correct / self.n

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's 95 % interval for the effective number of images."""
        return wilson_effective(self.correct, self.n, self.effective)


def wilson_effective(correct: int, n: int, effective: float | None) -> tuple[float, float]:
    """Return Wilson's 95 % interval of `correct / n` for an effective number of images; None means n."""
    return wilson(correct, n) if effective is None else wilson(correct / n * effective, effective)


def grouped_share(correct: NDArray[np.bool_], groups: Sequence[Hashable | None] | Numbers | None) -> GroupedShare:
    """Return the share of images that count, and what their groups are worth.

    Args:
        correct: (n,) True where an image counts, n at least 1.
        groups: (n,) the group of each image; None for an image that shares none. None for no groups at all.
    """
    n, right = len(correct), int(np.sum(correct))
    if groups is None:
        return GroupedShare(n, right)
    numbers = group_numbers(groups)
    number = int(numbers.max()) + 1
    return GroupedShare(n, right) if number == n else GroupedShare(n, right, number, effective_n(correct, numbers))


def group_numbers(groups: Sequence[Hashable | None] | Numbers) -> Numbers:
    """Return (n,) numbers of groups from 0, in the order in which they first occur; None is a group of its own."""
    known: dict[Hashable, int] = {}
    rows = groups.tolist() if isinstance(groups, np.ndarray) else groups
    keys = ((number,) if group is None else group for number, group in enumerate(rows))
    return np.array([known.setdefault(key, len(known)) for key in keys], np.int64)


def effective_n(correct: NDArray[np.bool_], groups: Numbers) -> float:
    """Return how many independent images tell as much about a share as these images in groups, above 0 to n.

    Args:
        correct: (n,) True where an image counts, n at least 1.
        groups: (n,) number of each image's group, from 0 without gaps.
    """
    sizes = np.bincount(groups).astype(np.float64)
    totals = np.bincount(groups, correct, len(sizes))
    return effective_of_totals(totals, sizes)


def effective_of_totals(totals: NDArray[np.float64], sizes: NDArray[np.float64]) -> float:
    """Return the effective number of images, see `effective_n`, from counts and numbers of images by group."""
    n, number = float(sizes.sum()), len(sizes)
    if number < 2:
        return 1.0
    p = float(totals.sum()) / n
    alike = n * n / float(np.sum(sizes**2))
    if p in (0.0, 1.0):
        return min(n, alike)
    variance = number / (number - 1) * float(np.sum((totals - p * sizes) ** 2)) / n**2
    return min(n, p * (1 - p) / variance) if variance > 0 else n
