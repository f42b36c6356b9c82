"""Images that are held out: which of them, by class and with whole groups, whatever their names and order."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from featx.data.dataset import group_ids, in_sentence
from featx.errors import DataError


def held_out_mask(
    labels: Sequence[str],
    digests: Sequence[str],
    groups: Sequence[str | None],
    share: float,
    seed: int,
    *,
    purpose: str,
    advice: str,
) -> NDArray[np.bool_]:
    """Return which images are held out, (n,): stratified by class, with groups kept whole.

    Images with the same bytes are one group, whatever their column `group` says. Groups are visited in an order that
    the seed and the digests decide. A group is held out if that brings the counts of the classes nearer to
    `round(share * n)`; without groups these counts are met exactly.

    Args:
        labels: (n,) classes.
        digests: (n,) SHA-256 of each image's bytes.
        groups: (n,) the patient or another group of each image, or None.
        share: In [0, 1).
        seed: From 0 to 2**32 - 1.
        purpose: What images are held out for, for the message.
        advice: What to do if a class cannot be divided, for the message.

    Raises:
        DataError: A class would be on one side alone; a group can be too large to be held out.
    """
    mask = np.zeros(len(labels), bool)
    if share == 0:
        return mask
    members: dict[str, list[int]] = {}
    for index, group in enumerate(group_ids(digests, groups)):
        members.setdefault(group, []).append(index)
    names, y = np.unique(np.array(labels), return_inverse=True)
    wanted = np.rint(np.bincount(y) * share)
    for group in np.random.default_rng(seed).permutation(sorted(members)):
        counts = np.bincount(y[members[group]], minlength=len(names))
        if np.abs(wanted - counts).sum() < np.abs(wanted).sum():
            mask[members[group]] = True
            wanted -= counts
    for number, name in enumerate(names):
        held = mask[y == number]
        if held.all() or not held.any():
            raise DataError(
                f"Expected images of {in_sentence(str(name)) or 'the data'} both for training and for {purpose}, but "
                f"{_reason(len(held), share, advice, len(members) < len(labels))}."
            )
    return mask


def _reason(n: int, share: float, advice: str, has_groups: bool) -> str:
    """Return why the n images of a class are all on one side, and what to do."""
    if n == 1:
        return "there is only one; add images of it, or leave this class out"
    if round(share * n) in (0, n):
        return f"a share of {share:g} of its {n} images is {'none' if share < 0.5 else 'all'} of them; {advice}"
    return f"its {n} images cannot be divided{' without dividing a group' * has_groups}; {advice}"
