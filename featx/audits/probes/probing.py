"""A fast classifier for any matrix: how well are two kinds of images told apart by it, and is it more than chance?

Kernel ridge regression (Saunders et al., ICML 1998) with a Gaussian kernel and a fixed penalty. What it predicts for
the rows of a fold is a linear function of the other rows' labels, so one matrix, made once, gives the out-of-fold
scores of the labels and of all their permutations.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.classifiers import grouped_folds
from featx.errors import DataError
from featx.stats import auc_interval

Matrix = NDArray[np.float64]
Numbers = NDArray[np.int64]
Flags = NDArray[np.bool_]

FOLDS = 5
# Of more rows, whole groups are drawn. It bounds time and memory, and an area is then known to about 0.03.
MOST_ROWS = 1000
# Groups of each kind without which no area is worth giving.
LEAST_GROUPS = 5
# The scores of these penalties, as shares of the kernel's mean diagonal, are averaged.
PENALTIES = (0.01, 0.1, 1.0)


@dataclass(frozen=True)
class Contrast:
    """Two kinds of images to be told apart, in fixed folds with whole groups.

    Attributes:
        names: What the kinds are called, the positive one first.
        rows: (m,) numbers of the images.
        positive: (m,) True for images of the first kind.
        strata: (m,) only images of one stratum are compared with each other; all 0 where any two are.
        groups: (m,) numbers of their groups.
        fold: (m,) the fold that holds each image out.
        drawn_from: How many images there are, of which the rows were drawn.
    """

    names: tuple[str, str]
    rows: Numbers
    positive: Flags
    strata: Numbers
    groups: Numbers
    fold: Numbers
    drawn_from: int


@dataclass(frozen=True)
class Area:
    """How well two kinds of images are told apart by one matrix.

    Attributes:
        auc: Area under the ROC curve of out-of-fold scores, 0 to 1; 0.5 is chance.
        interval: Its 95 % interval.
        p_value: The share of permutations of whole groups with an area as large, the labels' own included.
        permuted: (b,) the areas of the permutations.
    """

    auc: float
    interval: tuple[float, float]
    p_value: float
    permuted: Matrix


def make_contrast(
    names: tuple[str, str],
    rows: Numbers,
    positive: Flags,
    groups: Numbers,
    seed: int,
    strata: Numbers | None = None,
) -> Contrast:
    """Draw at most `MOST_ROWS` rows in whole groups, and divide them into folds.

    Args:
        names: What the kinds are called, the positive one first.
        rows: (m,) numbers of the images.
        positive: (m,) True for images of the first kind.
        groups: (m,) numbers of their groups.
        seed: The same seed draws the same images and folds.
        strata: (m,) strata within which images are compared; None for one.

    Raises:
        DataError: There are fewer than five groups of a kind.
    """
    own = np.zeros(len(rows), np.int64) if strata is None else strata
    chosen = draw_groups(groups, seed)
    rows, positive, groups, own = rows[chosen], positive[chosen], groups[chosen], own[chosen]
    counts = {name: len(np.unique(groups[positive == kind])) for name, kind in zip(names, (True, False), strict=True)}
    few = [f"{number} of {name}" for name, number in counts.items() if number < LEAST_GROUPS]
    if few:
        raise DataError(
            f"Expected images of at least {LEAST_GROUPS} groups of each kind to see whether they can be told apart, "
            f"found {' and '.join(few)}; add images."
        )
    fold = whole_folds(2 * own + positive, groups, min(FOLDS, *counts.values()), seed)
    return Contrast(names, rows, positive, own, groups, fold, len(chosen))


def draw_groups(groups: Numbers, seed: int, most: int = MOST_ROWS) -> Flags:
    """Choose whole groups in a random order, until there are `most` rows."""
    if len(groups) <= most:
        return np.ones(len(groups), bool)
    numbers = np.unique(groups, return_inverse=True)[1]
    sizes = np.bincount(numbers)
    order = np.random.default_rng([seed, len(groups)]).permutation(len(sizes))
    kept = order[: max(1, int(np.searchsorted(np.cumsum(sizes[order]), most, side="right")))]
    return np.asarray(np.isin(numbers, kept))


def whole_folds(kinds: Numbers, groups: Numbers, folds: int, seed: int) -> Numbers:
    """Return (m,) the fold of each row: stratified by kind, with whole groups."""
    fold = np.zeros(len(kinds), np.int64)
    number = np.unique(kinds, return_inverse=True)[1].astype(np.int64)
    for place, (_, held) in enumerate(grouped_folds(number, [str(group) for group in groups], folds, [seed])):
        fold[held] = place
    return fold


def area_of(contrast: Contrast, smooth: Matrix, labels: Flags) -> Area:
    """Return the area of a matrix of `smoother` for labels in the first column, and of permutations in the others."""
    areas = _areas(smooth @ _centred(labels, contrast.strata), labels, contrast.strata)
    auc, permuted = float(areas[0]), areas[1:]
    p_value = (1 + float(np.sum(permuted >= auc - 1e-12))) / (1 + len(permuted))
    return Area(auc, _interval(auc, contrast), p_value, permuted)


def family_p(areas: Mapping[Any, Area]) -> dict[Any, float]:
    """Return p-values corrected for the number of areas: how often chance makes any of them stand out as much.

    Single-step max-T (Westfall and Young, "Resampling-Based Multiple Testing", 1993): an area is compared with the
    largest of all areas of a permutation, each in units of its own spread over the permutations.
    """
    kept = {name: area for name, area in areas.items() if len(area.permuted) and np.ptp(area.permuted) > 0}
    if not kept:
        return dict.fromkeys(areas, 1.0)
    moments = {name: (area.permuted.mean(), area.permuted.std()) for name, area in kept.items()}
    largest = np.max([(area.permuted - moments[name][0]) / moments[name][1] for name, area in kept.items()], axis=0)
    seen = {name: (area.auc - moments[name][0]) / moments[name][1] for name, area in kept.items()}
    corrected = {name: (1 + float(np.sum(largest >= one - 1e-9))) / (1 + len(largest)) for name, one in seen.items()}
    return {name: corrected.get(name, 1.0) for name in areas}


def permuted_labels(contrast: Contrast, permutations: int, seed: int) -> Flags:
    """Return (m, 1 + permutations) labels: the own ones, then those of other groups of the same fold and stratum.

    Folds stay stratified, so what is held out is no different for a permutation. A group gets all labels of another
    one; if it has more images, labels are repeated.
    """
    generator = np.random.default_rng([seed, len(contrast.rows)])
    units = np.stack([contrast.fold, contrast.strata, contrast.groups], axis=1)
    kinds, unit = np.unique(units, axis=0, return_inverse=True)
    unit = unit.ravel()
    # Each group's labels, repeated to the size of the largest one, and each image's place in its group.
    order = np.argsort(unit, kind="stable")
    sizes = np.bincount(unit)
    starts = np.cumsum(sizes) - sizes
    table = np.stack(
        [
            contrast.positive[order][start + np.arange(sizes.max()) % size]
            for start, size in zip(starts, sizes, strict=True)
        ]
    )
    place = np.empty(len(unit), np.int64)
    place[order] = np.arange(len(unit)) - np.repeat(starts, sizes)
    source = np.repeat(np.arange(len(kinds))[:, None], 1 + permutations, axis=1)
    cells = np.unique(kinds[:, :2], axis=0, return_inverse=True)[1].ravel()
    for cell in range(int(cells.max()) + 1):
        own = np.flatnonzero(cells == cell)
        source[own, 1:] = generator.permuted(source[own, 1:], axis=0)
    return np.asarray(table[source[unit], place[:, None]])


def smoother(X: Matrix, fold: Numbers) -> Matrix:
    """Return (m, m): times labels it gives out-of-fold scores, the mean of those of all penalties."""
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):  # small matrices: more threads wait for each other, and would round otherwise
        return _smoother(gaussian_kernel(X), fold)


def _smoother(kernel: Matrix, fold: Numbers) -> Matrix:
    smooth = np.zeros_like(kernel)
    if not kernel.any():
        return smooth
    for number in np.unique(fold):
        fit, held = np.flatnonzero(fold != number), np.flatnonzero(fold == number)
        smooth[np.ix_(held, fit)] = smoothed(kernel[np.ix_(fit, fit)], kernel[np.ix_(fit, held)], np.ones(len(fit)))
    return smooth


def smoothed(own: Matrix, across: Matrix, weights: Matrix) -> Matrix:
    """Return (held, fit): times the labels of some rows it gives the scores of others, the mean over all penalties.

    Args:
        own: (fit, fit) the kernel of the rows with labels.
        across: (fit, held) the kernel of these rows and the others.
        weights: (fit,) how much each row with a label counts, 1 on average.
    """
    from scipy.linalg import cho_factor, cho_solve

    smooth = np.zeros(across.shape[::-1])
    for penalty in PENALTIES:
        factor = cho_factor(own + np.diag(penalty / weights), lower=True)
        smooth += cho_solve(factor, across).T / len(PENALTIES)
    return smooth


def gaussian_kernel(X: Matrix) -> Matrix:
    """Return the centred Gaussian kernel of rows, as wide as their median distance, with mean diagonal 1.

    It is 0 if all rows are equal.
    """
    centred = X - X.mean(axis=0)
    squares = np.sum(centred**2, axis=1)
    distances = np.maximum(squares[:, None] + squares - 2 * centred @ centred.T, 0)
    apart = distances[np.triu_indices(len(X), 1)]
    apart = apart[apart > 1e-9 * max(float(apart.max(initial=0)), 1e-12)]
    if not len(apart):
        return np.zeros_like(distances)
    kernel = np.exp(-distances / (2 * float(np.median(apart))))
    kernel -= kernel.mean(axis=0)
    kernel -= kernel.mean(axis=1, keepdims=True)
    return np.asarray(kernel / np.mean(np.diag(kernel)))


def _centred(labels: Flags, strata: Numbers) -> Matrix:
    """Return labels as 0 and 1, less their mean in the stratum, so that strata cannot be learnt."""
    centred = labels.astype(np.float64)
    for stratum in np.unique(strata):
        centred[strata == stratum] -= centred[strata == stratum].mean(axis=0)
    return centred


def _areas(scores: Matrix, labels: Flags, strata: Numbers) -> Matrix:
    """Return (b,) areas under ROC curves, ties counting half, over pairs of images of the same stratum."""
    from scipy.stats import rankdata

    won, pairs = np.zeros(scores.shape[1]), np.zeros(scores.shape[1])
    for stratum in np.unique(strata):
        own = strata == stratum
        ups = labels[own].sum(axis=0)
        downs = own.sum() - ups
        ranks = rankdata(np.round(scores[own], 9), axis=0)
        won += np.sum(ranks * labels[own], axis=0) - ups * (ups + 1) / 2
        pairs += ups * downs
    return np.asarray(np.divide(won, pairs, out=np.full(len(won), 0.5), where=pairs > 0))


def _interval(auc: float, contrast: Contrast) -> tuple[float, float]:
    """Return Newcombe's interval for as many independent images as the groups are worth, if each adds up to one.

    Of several strata, the numbers are those of one stratum whose area would vary as much.
    """
    weights, spreads = [], []
    for stratum in np.unique(contrast.strata):
        own = contrast.strata == stratum
        ups, downs = (_kish(contrast.groups[own & (contrast.positive == kind)]) for kind in (True, False))
        if ups and downs:
            weights.append(ups * downs)
            spreads.append((ups, downs))
    if len(spreads) == 1:
        ups, downs = spreads[0]
    else:
        shares = np.array(weights) / np.sum(weights)
        ups = downs = 2 / float(np.sum(shares**2 * [1 / up + 1 / down for up, down in spreads]))
    return auc_interval(auc, max(ups, 1.0), max(downs, 1.0))


def _kish(groups: Numbers) -> float:
    """Return how many images count if those of a group are all alike (L. Kish, "Survey Sampling", 1965)."""
    sizes = np.unique(groups, return_counts=True)[1].astype(np.float64)
    return float(sizes.sum() ** 2 / np.sum(sizes**2)) if len(sizes) else 0.0
