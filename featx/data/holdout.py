"""Images that are held out: which of them, by class and with whole groups, whatever their names and order."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from featx.data.dataset import first_few, group_ids, in_sentence
from featx.errors import DataError

log = logging.getLogger("featx")


def held_out_mask(
    labels: Sequence[str] | NDArray[np.float32],
    digests: Sequence[str],
    groups: Sequence[str | None],
    share: float,
    seed: int,
    *,
    purpose: str,
    advice: str,
    names: Sequence[str] = (),
) -> NDArray[np.bool_]:
    """Return which images are held out, (n,): stratified by class, with groups kept whole.

    Images with the same bytes are one group, whatever their column `group` says. Groups are visited in an order that
    the seed and the digests decide. A group is held out if that brings the counts of the classes nearer to
    `round(share * n)`; without groups these counts are met exactly.

    Of several labels, images that have a label and images that do not are two kinds, of which at least one image is
    wanted. Groups with images of the rarest kind are visited first, and the count of that kind decides (after
    Sechidis, Tsoumakas and Vlahavas 2011, On the stratification of multi-label data). Some of each kind are left.

    Args:
        labels: (n,) classes, or (n, L) of several labels: 1, 0 or NaN for unknown, see `targets_of`.
        digests: (n,) SHA-256 of each image's bytes.
        groups: (n,) the patient or another group of each image, or None.
        share: In [0, 1).
        seed: From 0 to 2**32 - 1.
        purpose: What images are held out for, for the message.
        advice: What to do if a class cannot be divided, for the message.
        names: (L,) the labels, for a notice of those that cannot be on both sides.

    Raises:
        DataError: A class would be on one side alone; a group can be too large to be held out. Or, of several
            labels, nothing can be held out.
    """
    mask = np.zeros(len(labels), bool)
    if share == 0:
        return mask
    members: dict[str, list[int]] = {}
    for index, group in enumerate(group_ids(digests, groups)):
        members.setdefault(group, []).append(index)
    if isinstance(labels, np.ndarray) and labels.ndim == 2:
        for held_group in _held_of_several(labels, members, share, seed):
            mask[members[held_group]] = True
        _check_several(labels, mask, purpose, advice, names)
        return mask
    classes, y = np.unique(np.array(labels), return_inverse=True)
    wanted = np.rint(np.bincount(y) * share)
    for group in np.random.default_rng(seed).permutation(sorted(members)):
        counts = np.bincount(y[members[group]], minlength=len(classes))
        if np.abs(wanted - counts).sum() < np.abs(wanted).sum():
            mask[members[group]] = True
            wanted -= counts
    for number, name in enumerate(classes):
        held = mask[y == number]
        if held.all() or not held.any():
            raise DataError(
                f"Expected images of {in_sentence(str(name)) or 'the data'} both for training and for {purpose}, but "
                f"{_reason(len(held), share, advice, len(members) < len(labels))}."
            )
    return mask


def _held_of_several(
    targets: NDArray[np.float32], members: Mapping[str, Sequence[int]], share: float, seed: int
) -> list[str]:
    """Return the groups that are held out of images with several labels, see `held_out_mask`."""
    kinds = _kinds(targets)
    totals = kinds.sum(0)
    wanted = np.where(totals > 1, np.maximum(np.rint(share * totals), 1), 0.0)
    spare = totals.copy()  # what may still be held out, so that one of each kind is left
    order = [str(group) for group in np.random.default_rng(seed).permutation(sorted(members))]
    counts = {group: kinds[members[group]].sum(0) for group in order}
    rarest = {group: int(np.where(counts[group] > 0, totals, np.inf).argmin()) for group in order}
    held = []
    for group in sorted(order, key=lambda group: totals[rarest[group]]):
        kind, count = rarest[group], counts[group]
        nearer = abs(wanted[kind] - count[kind]) < abs(wanted[kind])
        if nearer and not ((count > 0) & (count >= spare)).any():
            held.append(group)
            wanted -= count
            spare -= count
    return held


def _kinds(targets: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return (n, 2 L) marks: which labels an image has, and which it is known not to have."""
    return np.concatenate([targets == 1, targets == 0], axis=1).astype(np.float64)


def _check_several(
    targets: NDArray[np.float32], mask: NDArray[np.bool_], purpose: str, advice: str, names: Sequence[str]
) -> None:
    """Refuse to hold out nothing, and give notice of labels of which a kind of images is not held out."""
    if not mask.any():
        raise DataError(
            f"Expected images both for training and for {purpose}, but none of the {len(mask)} images can be held "
            f"out without dividing a group or taking all images of a label; {advice}."
        )
    kinds = _kinds(targets)
    missing = (kinds.sum(0) > 0) & (kinds[mask].sum(0) == 0)
    alone = [name for name, lacks in zip(names, missing.reshape(2, -1).any(0), strict=False) if lacks]
    if alone:
        log.warning(
            "Labels of which not both images that have it and images that do not can be for %s (%d): %s",
            purpose,
            len(alone),
            first_few(alone),
        )


def _reason(n: int, share: float, advice: str, has_groups: bool) -> str:
    """Return why the n images of a class are all on one side, and what to do."""
    if n == 1:
        return "there is only one; add images of it, or leave this class out"
    if round(share * n) in (0, n):
        return f"a share of {share:g} of its {n} images is {'none' if share < 0.5 else 'all'} of them; {advice}"
    return f"its {n} images cannot be divided{' without dividing a group' * has_groups}; {advice}"
