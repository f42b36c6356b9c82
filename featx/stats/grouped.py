"""Shares of images that come in groups, such as the patients that they show."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.stats.intervals import Score, Z, wilson_effective

Numbers = NDArray[np.int64]
Groups = Sequence[Hashable | None] | Numbers
"""(n,) the group of each image; None for an image that shares none."""
# Permutations of a test.
RESAMPLES = 999


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

    def as_score(self) -> Score:
        """Return it as an accuracy without a loss."""
        return Score(self.n, self.correct, None, groups=self.groups, effective=self.effective)


def grouped_share(correct: NDArray[np.bool_], groups: Groups | None) -> GroupedShare:
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


def group_numbers(groups: Groups) -> Numbers:
    """Return (n,) numbers of groups from 0, in the order in which they first occur; None is a group of its own."""
    known: dict[Hashable, int] = {}
    rows = groups.tolist() if isinstance(groups, np.ndarray) else groups
    keys = ((number,) if group is None else group for number, group in enumerate(rows))
    return np.array([known.setdefault(key, len(known)) for key in keys], np.int64)


def effective_n(values: NDArray[Any], groups: Numbers) -> float:
    """Return how many independent images tell as much about a mean as these images in groups, above 0 to n.

    It is n divided by the design effect `1 + (m - 1) r`. Here m is the mean size of the group of an image, and r
    the correlation within groups, estimated by the analysis of variance and cut off at 0 and 1. Where all values are
    the same, such as where all images are right, nothing is known of r, and it is taken as 1. Few groups tell little
    of r, so the number is made smaller by the squared ratio of the normal quantile to Student's t.

    Sources: Donner and Klar, "Design and Analysis of Cluster Randomization Trials" (2000), on the design effect;
    Ridout, Demétrio and Firth, "Estimating intraclass correlation for binary data", Biometrics 55 (1999), 137-148;
    Korn and Graubard, "Confidence intervals for proportions with small expected number of positive counts estimated
    from survey data", Survey Methodology 24 (1998), 193-201, on Student's t. Wilson's interval is studied for images
    in groups by Saha, Miller and Wang, International Journal of Biostatistics 12 (2016), doi:10.1515/ijb-2015-0024.
    `benchmarks/intervals.py` measures how often the intervals hold the true value.

    Args:
        values: (n,) a number for each image, such as whether it is classified correctly, n at least 1.
        groups: (n,) number of each image's group, from 0 without gaps.
    """
    sizes = np.bincount(groups).astype(np.float64)
    n, number = len(groups), len(sizes)
    if number == n:
        return float(n)
    if number < 2:
        return 1.0
    mean_size = float(np.sum(sizes**2)) / n
    independent = n / (1 + (mean_size - 1) * _correlation(np.asarray(values, np.float64), groups, sizes))
    return min(float(n), independent * _student_factor(max(independent - 1, number - 1.0)))


def _correlation(values: NDArray[np.float64], groups: Numbers, sizes: NDArray[np.float64]) -> float:
    """Return the correlation of values within groups by the analysis of variance, 0 to 1; 1 where all are equal."""
    n, number = len(values), len(sizes)
    centred = values - values.mean()
    total = float(np.sum(centred**2))
    if np.ptp(values) == 0 or total == 0:
        return 1.0
    sums = np.bincount(groups, centred, number)
    between = float(np.sum(sums**2 / sizes))
    mean_between, mean_within = between / (number - 1), max(total - between, 0.0) / (n - number)
    size = (n - float(np.sum(sizes**2)) / n) / (number - 1)
    spread = mean_between + (size - 1) * mean_within
    return min(max((mean_between - mean_within) / spread, 0.0), 1.0) if spread > 0 else 1.0


def _student_factor(degrees: float) -> float:
    """Return the squared ratio of the standard normal's quantile at 0.975 to that of Student's t."""
    from scipy.special import stdtrit

    return float((Z / stdtrit(degrees, 0.975)) ** 2)


def homogeneity(correct: NDArray[np.bool_], subgroups: Sequence[Hashable], groups: Groups, seed: int) -> float:
    """Return the p-value of the hypothesis that images of all subgroups are correct equally often.

    The statistic is that of Pearson's chi-squared test for shares of different numbers of images. It is compared with
    999 random permutations that keep groups whole: groups with images of one subgroup only exchange their subgroups,
    and images of the other groups exchange theirs within the group. Source: Edgington and Onghena, "Randomization
    Tests", 4th ed. 2007; the p-value is (b + 1) / (B + 1) (Phipson and Smyth 2010, doi:10.2202/1544-6115.1585).

    Args:
        correct: (n,) True where an image is classified correctly.
        subgroups: (n,) the subgroup of each image, such as its scanner.
        groups: (n,) the group of each image, such as its patient; None for an image that shares none.
        seed: Seed of the permutations.

    Returns:
        The p-value; 1 where there is one subgroup only, or where all images are correct or none is.
    """
    kinds, owners = group_numbers(subgroups), group_numbers(groups)
    if not len(kinds) or kinds.max() == 0 or np.all(correct) or not np.any(correct):
        return 1.0
    number, generator = int(kinds.max()) + 1, np.random.default_rng(seed)
    rest = correct.astype(np.float64) - float(np.mean(correct))
    first = kinds[np.unique(owners, return_index=True)[1]]
    mixed = np.bincount(owners, kinds != first[owners]) > 0
    inside = mixed[owners]
    sums, sizes = (np.bincount(owners, weights)[~mixed] for weights in (rest, np.ones(len(rest))))
    own, fixed = first[~mixed], np.bincount(kinds[inside], minlength=number)

    def statistic(of_groups: Numbers, of_images: NDArray[np.float64]) -> float:
        """Return the statistic for subgroups of whole groups, and residuals of images of mixed groups."""
        added = np.bincount(of_groups, sums, number) + np.bincount(kinds[inside], of_images, number)
        return float(np.sum(added**2 / (np.bincount(of_groups, sizes, number) + fixed)))

    seen = statistic(own, rest[inside]) * (1 - 1e-9)
    order, reached = np.argsort(owners[inside], kind="stable"), 1
    shuffled = np.empty(len(order), np.float64)
    for _ in range(RESAMPLES):
        drawn = np.lexsort((generator.random(len(order)), owners[inside]))
        shuffled[order] = rest[inside][drawn]
        reached += statistic(generator.permutation(own), shuffled) >= seen
    return reached / (RESAMPLES + 1)
