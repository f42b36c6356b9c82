"""Folds for data with several labels for each image: stratified by all labels at once, with whole groups."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from featx.classifiers.folds import ATTEMPTS, Fold
from featx.errors import DataError
from featx.limits import Pace

log = logging.getLogger("featx")

# (n, L): 1 where a label is there, 0 where it is not, NaN where it is not known.
Targets = NDArray[np.float32]


def kinds_of(Y: Targets) -> NDArray[np.bool_]:
    """Return (n, 2 L): which images have each label, then which are known not to have it."""
    return np.hstack([Y == 1, Y == 0])


def groups_by_kind(Y: Targets, groups: Sequence[str]) -> NDArray[np.int64]:
    """Return (2, L): how many groups have an image with each label, and one without it."""
    units = _by_unit(kinds_of(Y), groups)[0] > 0
    return np.asarray(units.sum(axis=0).reshape(2, -1))


def least_groups(folds: int) -> int:
    """Return how many groups of each kind a label needs: training parts have 2, since they are divided again."""
    return 4 if folds == 2 else 3


def possible_label_folds(Y: Targets, groups: Sequence[str], wanted: int) -> int:
    """Return how many folds are possible: at most one for each group of the rarest kind of image of any label."""
    allowed = min(wanted, int(groups_by_kind(Y, groups).min()))
    if allowed < wanted:
        log.warning(
            "%d folds are used instead of %d: the rarest label, or images without a frequent one, are in no more %s.",
            allowed,
            wanted,
            "groups" if len(set(groups)) < len(groups) else "images",
        )
    return allowed


def repeated_label_folds(Y: Targets, groups: Sequence[str], folds: int, repeats: int, seed: int) -> list[Fold]:
    """Divide rows `repeats` times; return `repeats * folds` folds, repeat by repeat."""
    pace = Pace(repeats, f"drawing the folds of {repeats:,} repeats", "lower --repeats")
    divided = []
    for repeat in range(repeats):
        divided += label_folds(Y, groups, folds, [seed, repeat], least=2)
        pace.step()
    return divided


def label_folds(Y: Targets, groups: Sequence[str], folds: int, seed: Sequence[int], *, least: int = 1) -> list[Fold]:
    """Divide rows once, stratified by all labels, with whole groups.

    The label that is rarest among the groups that are left, or the rarest lack of one, is divided next: each of its
    groups goes to the fold that lacks most of it, among equals to the one that lacks most images. It is drawn again
    where a training part has fewer than `least` groups with and without each label. Source: Sechidis, Tsoumakas and
    Vlahavas, "On the stratification of multi-label data", ECML PKDD 2011, 145-158; here for groups, and for images
    without a label as for those with it.
    """
    counts, numbers = _by_unit(kinds_of(Y), groups)
    sizes = np.bincount(numbers)
    there = counts > 0
    needed = np.minimum(least, there.sum(axis=0))
    for state in np.random.SeedSequence(list(seed)).generate_state(ATTEMPTS):
        fold_of = _assigned(counts, sizes, folds, np.random.default_rng(int(state)))
        held = np.stack([there[fold_of == fold].sum(axis=0) for fold in range(folds)])
        filled = len(np.unique(fold_of)) == folds
        if filled and ((there.sum(axis=0) - held) >= needed).all():
            of_row = fold_of[numbers]
            return [(np.flatnonzero(of_row != fold), np.flatnonzero(of_row == fold)) for fold in range(folds)]
    raise DataError(
        f"Expected images with and without each label in the training part of each of {folds} folds, but whole "
        "groups (images of one group, or with the same bytes) do not allow that; add images of more groups with the "
        "rarest label, or lower --folds."
    )


def _by_unit(kinds: NDArray[np.bool_], groups: Sequence[str]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return (units, 2 L) images of each kind in each group, and (n,) the number of each image's group."""
    # Numbered in the order of the rows, which is that of the digests: names of groups change nothing.
    first: dict[str, int] = {}
    numbers = np.array([first.setdefault(group, len(first)) for group in groups], np.int64)
    counts = np.zeros((len(first), kinds.shape[1]), np.int64)
    np.add.at(counts, numbers, kinds)
    return counts, numbers


def _assigned(
    counts: NDArray[np.int64], sizes: NDArray[np.int64], folds: int, generator: np.random.Generator
) -> NDArray[np.int64]:
    """Return (units,) the fold of each group."""
    wanted = np.tile(counts.sum(axis=0) / folds, (folds, 1))
    room = np.full(folds, sizes.sum() / folds)
    fold_of = np.full(len(counts), -1)
    order = generator.permutation(len(counts))
    # Large groups first: what they leave uneven, small ones make even.
    order = order[np.argsort(-sizes[order], kind="stable")]
    left = (counts > 0).sum(axis=0)
    while True:
        open_kinds = np.flatnonzero(left)
        kind = int(open_kinds[left[open_kinds].argmin()]) if len(open_kinds) else -1
        chosen = order[fold_of[order] < 0]
        if kind >= 0:
            chosen = chosen[counts[chosen, kind] > 0]
        for unit in chosen:
            lacking = wanted[:, kind] if kind >= 0 else room
            # Random numbers are last, so that equals are drawn.
            fold = int(np.lexsort((generator.random(folds), -room, -lacking))[0])
            fold_of[unit] = fold
            wanted[fold] -= counts[unit]
            room[fold] -= sizes[unit]
        if kind < 0:
            return fold_of
        left = (counts[fold_of < 0] > 0).sum(axis=0)
