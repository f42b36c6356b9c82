"""Permute labels group by group, and compare a value with its values under permuted labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, lgamma
from typing import Any

import numpy as np
from numpy.typing import NDArray

# Values that differ by less are equal: the same index may be rounded differently.
TIE = 1e-12


@dataclass(frozen=True)
class Measure:
    """A value and what it would be if the labels meant nothing.

    Attributes:
        value: The value with the labels as they are.
        mean: Mean under permuted labels.
        low: 2.5th percentile under permuted labels.
        high: 97.5th percentile under permuted labels.
        p_value: Share of labellings that are at least as good, (b + 1) / (B + 1) with b of B permutations.
    """

    value: float
    mean: float
    low: float
    high: float
    p_value: float

    def permuted_json(self) -> dict[str, Any]:
        """Return `mean`, `range` and `p_value`."""
        return {"mean": self.mean, "range": [self.low, self.high], "p_value": self.p_value}


@dataclass(frozen=True)
class Blocks:
    """The images that keep a common label in permutations: those of one group and one class.

    Attributes:
        members: (n,) number of each image's block.
        labels: (blocks,) class number of each block.
        mixed: Whether a group has images of several classes.
        grouped: Whether any block has several images.
    """

    members: NDArray[np.int64]
    labels: NDArray[np.int64]
    mixed: bool
    grouped: bool

    @property
    def labellings(self) -> float:
        """The number of different labellings, at most 1e300."""
        counts = np.bincount(self.labels)
        logarithm = lgamma(len(self.labels) + 1) - sum(lgamma(count + 1) for count in counts)
        return exp(min(logarithm, 690.0))

    def permuted(self, count: int, seed: int) -> NDArray[np.int64]:
        """Return (count, n) labellings with the labels of blocks permuted; a class keeps its number of blocks."""
        generator = np.random.default_rng(seed)
        return np.stack([generator.permutation(self.labels)[self.members] for _ in range(count)])


def blocks(labels: NDArray[np.int64], groups: Sequence[str]) -> Blocks:
    """Return the blocks of (n,) class numbers and (n,) groups.

    Images of a group are similar. If labels were permuted image by image, almost any label would look meaningful, so
    they are permuted by group.
    """
    codes = np.unique(np.array(groups), return_inverse=True)[1]
    pairs, members = np.unique(np.stack([codes, labels], axis=1), axis=0, return_inverse=True)
    return Blocks(
        members=members.reshape(-1),
        labels=pairs[:, 1],
        mixed=len(pairs) > len(np.unique(codes)),
        grouped=len(pairs) < len(labels),
    )


def compared(value: float, permuted: NDArray[np.float64], *, lower_is_better: bool = False) -> Measure:
    """Compare a value with its (B,) values under permuted labels; p is never 0 (Phipson and Smyth 2010)."""
    margin = TIE * max(1.0, abs(value)) if np.isfinite(value) else 0.0
    as_good = permuted <= value + margin if lower_is_better else permuted >= value - margin
    # Infinite values may have no mean and no percentiles; these are NaN then.
    with np.errstate(invalid="ignore"):
        low, high = np.percentile(permuted, [2.5, 97.5])
        mean = permuted.mean()
    p_value = (int(as_good.sum()) + 1) / (len(permuted) + 1)
    return Measure(float(value), float(mean), float(low), float(high), p_value)
