"""Accuracy on held-out images of classifiers that are fitted on parts of the others, larger and larger."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from featx.audits.logistic.held_out import FOLDS, folds_of
from featx.audits.logistic.regression import held_out_logistic
from featx.data import first_few
from featx.errors import DataError
from featx.progress import report_progress
from featx.stats import effective_n, wilson

SIZES = 7
# The smallest part has this share of a fold's training images or this many groups of each class, whichever is more.
LEAST_SHARE, LEAST_OF_CLASS = 0.08, 2
# Groups of the smallest class with which the largest part is at least three times the smallest.
LEAST_GROUPS = 8
SAMPLES = 500


@dataclass(frozen=True)
class CurvePoints:
    """Accuracies at several numbers of training images.

    Attributes:
        sizes: (k,) mean number of images that the classifiers were fitted on.
        correct: (k, repeats, n) whether each image is classified correctly while it is held out.
        groups: (n,) numbers of the images' groups, from 0 without gaps.
    """

    sizes: NDArray[np.float64]
    correct: NDArray[np.bool_]
    groups: NDArray[np.int64]

    @property
    def accuracies(self) -> NDArray[np.float64]:
        """(k,) mean accuracy over the images and repeats."""
        return np.asarray(self.correct.mean(axis=(1, 2)))

    def intervals(self) -> list[tuple[float, float]]:
        """Return for each size Wilson's 95 % interval for the effective number of images."""
        return [self.interval(place, float(share)) for place, share in enumerate(self.accuracies)]

    def interval(self, place: int, share: float) -> tuple[float, float]:
        """Return Wilson's 95 % interval of a share of as many independent images as those of a size are worth."""
        worth = effective_n(self.correct[place].mean(axis=0), self.groups)
        return wilson(share * worth, worth)

    def samples(self, seed: int) -> NDArray[np.float64]:
        """Return (`SAMPLES`, k) accuracies of bootstrap samples of the groups and of the repeats.

        A sample has the same images at each size, so differences between sizes keep what is common to both.
        """
        generator = np.random.default_rng(seed)
        (k, repeats, n), number = self.correct.shape, int(self.groups.max()) + 1
        members = np.bincount(self.groups, minlength=number).astype(np.float64)
        sums = np.zeros((number, k * repeats))
        np.add.at(sums, self.groups, self.correct.reshape(k * repeats, n).T)
        drawn = generator.multinomial(number, np.full(number, 1 / number), SAMPLES).astype(np.float64)
        shares = (drawn @ sums / (drawn @ members)[:, None]).reshape(SAMPLES, k, repeats)
        weights = generator.multinomial(repeats, np.full(repeats, 1 / repeats), SAMPLES) / repeats
        return np.asarray((shares * weights[:, None, :]).sum(axis=-1))


def measure_points(
    X: NDArray[np.float32],
    y: NDArray[np.int64],
    groups: NDArray[np.int64],
    classes: Sequence[str],
    cost: float,
    repeats: int,
    seed: int,
) -> CurvePoints:
    """Measure logistic regression at several numbers of training images, with whole groups in folds.

    Within a fold each part contains the smaller ones and has the classes in about the same shares.

    Args:
        X: (n, d) features.
        y: (n,) class numbers.
        groups: (n,) numbers of groups.
        classes: Names of the classes.
        cost: The value of C, see `held_out_logistic`.
        repeats: How often the images are divided into folds.
        seed: Seed of folds and parts.

    Raises:
        DataError: A class has too few groups.
    """
    shares = _shares(y, groups, classes)
    correct = np.zeros((len(shares), repeats, len(y)), bool)
    sizes: list[list[int]] = [[] for _ in shares]
    for repeat in range(repeats):
        for number, (fit, held) in enumerate(folds_of(y, groups, classes, [seed, 1, repeat])):
            generator = np.random.default_rng([seed, 2, repeat, number])
            ranks = _shares_of_rows(y[fit], groups[fit], generator)
            for place, share in enumerate(shares):
                rows = fit[ranks <= share]
                probabilities = held_out_logistic(X[rows], y[rows], X[held], [cost], len(classes))[0]
                correct[place, repeat, held] = probabilities.argmax(axis=1) == y[held]
                sizes[place].append(len(rows))
            report_progress("fitting a learning curve", repeat * FOLDS + number + 1, repeats * FOLDS)
    means = np.array([np.mean(of_share) for of_share in sizes])
    distinct = np.unique(means, return_index=True)[1]
    return CurvePoints(means[distinct], correct[distinct], np.unique(groups, return_inverse=True)[1].astype(np.int64))


def _shares(y: NDArray[np.int64], groups: NDArray[np.int64], classes: Sequence[str]) -> list[float]:
    """Return the shares of a fold's training images that are fitted on, growing by a constant factor up to 1."""
    counts = {classes[label]: len(np.unique(groups[y == label])) for label in np.unique(y).tolist()}
    few = [f"{name} ({count})" for name, count in counts.items() if count < LEAST_GROUPS]
    if few:
        raise DataError(
            f"Expected training images of at least {LEAST_GROUPS} groups (an image without a group counts as one) in "
            f"each class for a learning curve, found fewer for {first_few(few)}; add images."
        )
    # Four of five groups, or fewer in a smaller class, are fitted on.
    least = min(counts.values())
    smallest = LEAST_OF_CLASS / (least - -(-least // 5))
    return [float(share) for share in np.geomspace(max(smallest, LEAST_SHARE), 1.0, SIZES)]


def _shares_of_rows(
    y: NDArray[np.int64], groups: NDArray[np.int64], generator: np.random.Generator
) -> NDArray[np.float64]:
    """Return (n,) for each row the share of the rows of its class with which its group comes in, above 0 to 1.

    Groups of a class come in a random order. A group of several classes comes in with the first of its rows' classes.
    The first `LEAST_OF_CLASS` groups of a class always come in.
    """
    ids, first, place = np.unique(groups, return_index=True, return_inverse=True)
    kind, sizes = y[first], np.bincount(place)
    share = np.zeros(len(ids))
    for label in np.unique(y):
        order = generator.permutation(np.flatnonzero(kind == label))
        if not len(order):
            continue
        share[order] = np.cumsum(sizes[order]) / sizes[order].sum() - 0.5 / len(y)
        share[order[:LEAST_OF_CLASS]] = 0.0
    return share[place]
