"""What an index would be if the labels meant nothing: labels permuted, unit by unit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, lgamma
from typing import Any

import numpy as np
from numpy.typing import NDArray

# Values closer than this are ties; the same index by another way of rounding is not more extreme.
TIE = 1e-12


@dataclass(frozen=True)
class Measure:
    """A number beside what it would be if the labels meant nothing.

    Attributes:
        value: With the labels as they are.
        mean: Under permuted labels.
        low: 2.5th percentile under permuted labels.
        high: 97.5th percentile under permuted labels.
        p_value: Share of labellings at least as good, (b + 1) / (B + 1) with b of B permutations.
    """

    value: float
    mean: float
    low: float
    high: float
    p_value: float

    def permuted_json(self) -> dict[str, Any]:
        """Return `mean, range, p_value`."""
        return {"mean": self.mean, "range": [self.low, self.high], "p_value": self.p_value}


def measured(value: float, permuted: NDArray[np.float64], *, lower_is_better: bool = False) -> Measure:
    """Set a value beside those under permuted labels.

    The p-value is one-sided and never 0: B. Phipson and G. K. Smyth, "Permutation p-values should never be zero",
    Statistical Applications in Genetics and Molecular Biology 9 (2010), article 39.

    Args:
        value: With the labels as they are.
        permuted: (B,) the same under permuted labels, B at least 1.
        lower_is_better: Whether smaller values are the good ones.
    """
    margin = TIE * max(1.0, abs(value)) if np.isfinite(value) else 0.0
    as_good = permuted <= value + margin if lower_is_better else permuted >= value - margin
    # Of infinite values the mean and the range may not exist, and NaN says so.
    with np.errstate(invalid="ignore"):
        low, high = np.percentile(permuted, [2.5, 97.5])
        mean = permuted.mean()
    p_value = (int(as_good.sum()) + 1) / (len(permuted) + 1)
    return Measure(float(value), float(mean), float(low), float(high), p_value)


@dataclass(frozen=True)
class Blocks:
    """Images that swap their label together: those of one unit and one class.

    Attributes:
        members: (n,) number of each image's block.
        labels: (blocks,) class number of each block.
        mixed: Whether units have images of several classes, each of which is a block then.
        grouped: Whether any block has several images.
    """

    members: NDArray[np.int64]
    labels: NDArray[np.int64]
    mixed: bool
    grouped: bool

    @property
    def labellings(self) -> float:
        """How many different labellings there are, at most 1e300."""
        counts = np.bincount(self.labels)
        logarithm = lgamma(len(self.labels) + 1) - sum(lgamma(count + 1) for count in counts)
        return exp(min(logarithm, 690.0))

    def permuted(self, count: int, seed: int) -> NDArray[np.int64]:
        """Return (count, n) labellings in which blocks have swapped labels; a class keeps its number of blocks."""
        generator = np.random.default_rng(seed)
        return np.stack([generator.permutation(self.labels)[self.members] for _ in range(count)])


def blocks(labels: NDArray[np.int64], units: Sequence[str]) -> Blocks:
    """Return what can swap labels.

    Images of a unit are alike, so that single images swapping labels would make almost any label look
    meaningful; whole units do.

    Args:
        labels: (n,) class numbers.
        units: (n,) what hangs together, such as the images of one patient.
    """
    codes = np.unique(np.array(units), return_inverse=True)[1]
    pairs, members = np.unique(np.stack([codes, labels], axis=1), axis=0, return_inverse=True)
    return Blocks(
        members=members.reshape(-1),
        labels=pairs[:, 1],
        mixed=len(pairs) > len(np.unique(codes)),
        grouped=len(pairs) < len(labels),
    )
