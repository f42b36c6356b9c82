"""The training images as a reference: how typical of them another image is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from math import ceil
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.errors import DataError, UsageError
from featx.novelty.distances import ShrunkMahalanobis, cosines, mean_distance_of_nearest

NEIGHBOURS = 5
# An image is outside what the training images span where fewer than this many per cent of held-out training images
# lie as far away.
OUTSIDE = 1.0
# Percentiles of fewer held-out images say little.
LEAST_IMAGES = 20
LEAST_GROUPS = 5
# Held-out distances are those of at most so many training images, and the Mahalanobis distance is of these: the
# work grows with the third power of their number.
MOST_HELD_OUT = 1000
FOLDS = 10
# Of held-out distances, what is called far; the scale of each of the two distances is from the median to it.
FAR = 0.99
# The scale on which an image is called off-topic: nine tenths of held-out training images are closer than 1. A tenth
# of the training images may be strangers themselves without moving it much.
NEAR = 0.9
# Off-topic is beyond so many times that scale; benchmarks/novelty.py shows what it is reached by.
OFF_TOPIC = 5.0
# So few that rows with the same features tie, in whatever order rows stand.
DECIMALS = 8


def is_outside(typicality: float) -> bool:
    """Return whether a typicality, 0 to 100, is that of an image outside what the training images span."""
    return typicality < OUTSIDE


@dataclass(frozen=True)
class Reference:
    """Training images, and how far each of them lies from the others when it is held out.

    Attributes:
        X: (n, d) their features, float32.
        groups: (n,) numbers; images of one group are left out together.
        basis: (h,) the rows whose held-out distances are known, in ascending order; all up to 1,000, else evenly
            spaced ones.
        distances: (h, 2) their held-out distances: mean cosine distance to the five nearest, and Mahalanobis.
    """

    X: NDArray[np.float32] = field(repr=False)
    groups: NDArray[np.int64] = field(repr=False)
    basis: NDArray[np.int64] = field(repr=False)
    distances: NDArray[np.float64] = field(repr=False)
    _mahalanobis: ShrunkMahalanobis = field(repr=False)
    _sorted: NDArray[np.float64] = field(repr=False)

    @property
    def held_out_typicality(self) -> NDArray[np.float64]:
        """(h,) The typicality of the images of `basis`, each compared with the others, 0 to 100."""
        # An image is not farther away than itself.
        return self._percentile(_joined(self.distances, self.distances), itself=1)

    @property
    def false_alarms(self) -> float:
        """The share of images like the training images, 0 to 1, that are expected to be called outside.

        If images can be exchanged with the held-out ones, it is (c + 1) / (h + 1), where c is the largest number of
        them that may lie as far away as an image that is called outside.
        """
        return (self.most_as_far + 1) / (len(self.basis) + 1)

    def typicality(self, X: NDArray[np.float32], groups: NDArray[np.int64] | None = None) -> NDArray[np.float64]:
        """Return how typical images are of the training images.

        It is the percentage of held-out training images that lie at least as far from the other training images as
        the image does from all of them: 100 for an image that is closer than any of them, 0 for one that is farther.
        The distance is the larger of two, each in units in which held-out training images have the median 0 and the
        99th percentile 1: the mean cosine distance to the five nearest training images, and the Mahalanobis distance
        from their mean, of rows of length 1, with the covariance of Ledoit and Wolf.

        Args:
            X: (m, d) features, made as those of the training images.
            groups: (m,) the group of each image, numbered as those of the reference: training images of the same
                group are no neighbours. None: all are.

        Returns:
            (m,) 0 to 100.

        Raises:
            UsageError: The widths differ.
        """
        return self.typicality_of(self.distances_of(X, groups))

    def typicality_of(self, distances: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the typicality of images, (m,), from both distances of each, (m, 2), see `distances_of`."""
        return self._percentile(_joined(distances, self.distances))

    def distances_of(self, X: NDArray[np.float32], groups: NDArray[np.int64] | None = None) -> NDArray[np.float64]:
        """Return both distances of images, (m, 2), as in `distances`; for the arguments see `typicality`."""
        if X.ndim != 2 or X.shape[1] != self.X.shape[1]:
            raise UsageError(f"Expected rows of {self.X.shape[1]:,} features, received an array of {X.shape}.")
        distances = np.empty((len(X), 2))
        # A row of zeros has the length 0, all others have 1.
        squares = np.any(X != 0, axis=1).astype(np.float64)
        for part, similar in cosines(self.X, X):
            cross = similar[:, self.basis].T
            distances[part, 1] = self._mahalanobis.distances(cross, squares[part])
            own = None if groups is None else groups[part]
            distances[part, 0] = mean_distance_of_nearest(_without_group(similar, own, self.groups), NEIGHBOURS)
        return distances

    def relative_distance(self, distances: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the larger of two distances, 0 at the median of held-out training images, 1 where nine tenths are.

        Args:
            distances: (m, 2) as `distances_of` returns them, or `distances`.

        Returns:
            (m,) values; above 4 an image is off-topic.
        """
        return _joined(distances, self.distances, NEAR)

    @property
    def most_as_far(self) -> int:
        """The largest number of held-out images that may lie as far away as one that is called outside."""
        return ceil(OUTSIDE / 100 * len(self.basis)) - 1

    def _percentile(self, values: NDArray[np.float64], itself: int = 0) -> NDArray[np.float64]:
        closer = np.searchsorted(self._sorted, values, side="left")
        n = len(self._sorted) - itself
        return np.asarray(100 * (n - np.minimum(closer, n)) / n)


def make_reference(X: NDArray[np.float32], groups: NDArray[Any] | None = None) -> Reference:
    """Return training images as a reference, with the held-out distances of each or of 1,000 of them.

    A training image's nearest are looked for in other groups. For its Mahalanobis distance, the mean and the
    covariance are those of nine tenths of the images, without its own tenth; a group is whole in one tenth.

    Args:
        X: (n, d) finite features.
        groups: (n,) names or numbers of groups, such as patients; None if every image is its own.

    Raises:
        DataError: There are fewer than 20 images or 5 groups.
    """
    names = np.arange(len(X)) if groups is None else np.asarray(groups)
    numbers = np.unique(names, return_inverse=True)[1].astype(np.int64)
    several = int(numbers.max(initial=-1)) + 1
    if len(X) < LEAST_IMAGES or several < LEAST_GROUPS:
        raise DataError(
            f"Expected at least {LEAST_IMAGES} training images of {LEAST_GROUPS} groups to say how typical an image "
            f"is, found {len(X)} of {several} group{'s' * (several != 1)}; add training images."
        )
    basis, width = evenly_spaced(len(X), MOST_HELD_OUT), X.shape[1]
    distances, gram = np.empty((len(basis), 2)), np.empty((len(basis), len(basis)))
    for part, similar in cosines(X, X[basis]):
        gram[part] = similar[:, basis]
        apart = _without_group(similar, numbers[basis[part]], numbers)
        distances[part, 0] = mean_distance_of_nearest(apart, NEIGHBOURS)
    squares = np.any(X[basis] != 0, axis=1).astype(np.float64)
    for held_out in _folds(numbers[basis]):
        rest = ~held_out
        inner, cross = gram[np.ix_(rest, rest)], gram[np.ix_(rest, held_out)]
        distances[held_out, 1] = ShrunkMahalanobis(inner, width).distances(cross, squares[held_out])
    mahalanobis = ShrunkMahalanobis(gram, width)
    return Reference(X, numbers, basis, distances, mahalanobis, np.sort(_joined(distances, distances)))


def outside_p_value(outside: int, n: int, reference: Reference, groups: int | None = None) -> float:
    """Return the probability that chance alone puts so many images outside, if they are like the training images.

    The number is beta-binomial, because the limit is an order statistic of the held-out distances. Where images share
    groups, the number of groups counts, at the same share: images of a group are not independent.

    Args:
        outside: Number of images that are outside.
        n: Number of images.
        reference: The training images.
        groups: Number of groups of the n images; None if each is its own.
    """
    from scipy.stats import betabinom

    if not n:
        return 1.0
    independent = n if groups is None else groups
    number = outside * independent // n
    allowed = reference.most_as_far
    return float(betabinom.sf(number - 1, independent, allowed + 1, len(reference.basis) - allowed))


def evenly_spaced(n: int, most: int) -> NDArray[np.int64]:
    """Return the numbers of n rows, or of `most` evenly spaced ones."""
    return np.arange(n) if n <= most else np.linspace(0, n - 1, most).round().astype(np.int64)


def _without_group(
    similar: NDArray[np.float64], own: NDArray[np.int64] | None, groups: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Return cosines where those with rows of a query's own group are -inf."""
    return similar if own is None else np.where(own[:, np.newaxis] == groups, -np.inf, similar)


def _joined(distances: NDArray[np.float64], held_out: NDArray[np.float64], upper: float = FAR) -> NDArray[np.float64]:
    """Return the larger of two distances, (n, 2), on the scale from the median of the held-out ones to `upper`."""
    middle, far = np.quantile(held_out, [0.5, upper], axis=0)
    scale = np.where(far > middle, far - middle, 1.0)
    return np.asarray(((distances - middle) / scale).max(axis=1).round(DECIMALS))


def _folds(groups: NDArray[np.int64]) -> Iterator[NDArray[np.bool_]]:
    """Yield which rows are held out together: about a tenth of them, groups whole."""
    _, first, place = np.unique(groups, return_index=True, return_inverse=True)
    # Groups are counted in the order of their first rows, which are ordered by content: that is like chance.
    rank = np.argsort(np.argsort(first, kind="stable"), kind="stable")
    numbers = rank[place] % min(FOLDS, len(first))
    for number in range(int(numbers.max()) + 1):
        yield numbers == number
