"""Which images with several labels are held out; those with one label are in tests/heads/test_sampling.py."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from numpy.typing import NDArray

from featx.data import held_out_mask
from featx.errors import DataError

PREVALENCE = np.array([0.5, 0.3, 0.1, 0.05, 0.02, 0.01])


def drawn(n: int, seed: int = 0) -> NDArray[np.float32]:
    """Targets of n images for labels of which some are rare, a tenth of them unknown."""
    rng = np.random.default_rng(seed)
    targets = (rng.random((n, len(PREVALENCE))) < PREVALENCE).astype(np.float32)
    targets[rng.random(targets.shape) < 0.1] = np.nan
    return targets


def digests(n: int) -> list[str]:
    return [hashlib.sha256(str(number).encode()).hexdigest() for number in range(n)]


def held(
    targets: NDArray[np.float32], groups: list[str | None], share: float = 0.2, seed: int = 1
) -> NDArray[np.bool_]:
    names = [f"l{number}" for number in range(targets.shape[1])]
    n = len(targets)
    return held_out_mask(targets, digests(n), groups, share, seed, purpose="testing", advice="add", names=names)


@pytest.mark.parametrize("size", [1, 4])
def test_each_label_has_the_share_of_both_kinds_and_groups_stay_whole(size: int) -> None:
    targets = drawn(2000)
    groups: list[str | None] = [str(number // size) for number in range(len(targets))]
    mask = held(targets, groups)
    assert abs(mask.mean() - 0.2) < 0.01
    for kind in (1, 0):
        there = (targets == kind).sum(0)
        wanted = np.rint(0.2 * there)
        assert (np.abs((targets[mask] == kind).sum(0) - wanted) <= np.maximum(2 * size, 0.12 * wanted)).all()
    assert len({(group, chosen) for group, chosen in zip(groups, mask, strict=True)}) == len(set(groups))


def test_order_and_names_of_groups_do_not_matter_but_the_seed_does() -> None:
    targets, names = drawn(400), digests(400)
    groups: list[str | None] = [str(number // 3) for number in range(400)]
    mask = held(targets, groups)
    order = np.random.default_rng(3).permutation(400)
    again = held_out_mask(
        targets[order],
        [names[number] for number in order],
        [f"patient {groups[number]}" for number in order],
        0.2,
        1,
        purpose="testing",
        advice="",
    )
    assert np.array_equal(again, mask[order])
    assert not np.array_equal(held(targets, groups, seed=2), mask)
    assert not held(targets, groups, share=0).any()


def test_rare_labels_are_on_both_sides_where_that_can_be(caplog: pytest.LogCaptureFixture) -> None:
    targets = np.zeros((100, 3), np.float32)
    targets[:2, 0] = 1  # one of two is held out
    targets[2, 1] = 1  # the only one stays for training
    targets[3:50, 2] = 1
    for seed in range(20):
        caplog.clear()
        mask = held(targets, [None] * 100, share=0.1, seed=seed)
        assert (targets[mask] == 1).sum(0)[:2].tolist() == [1, 0]
        assert caplog.messages == [
            "Labels of which not both images that have it and images that do not can be for testing (1): l1"
        ]


def test_data_that_cannot_be_divided() -> None:
    targets = np.array([[1, 0], [0, 1]], np.float32)
    with pytest.raises(DataError, match="none of the 2 images can be held out without dividing a group"):
        held(targets, ["p", "p"])


def test_images_of_which_nothing_is_known_are_for_training() -> None:
    targets = drawn(200)
    targets[::10] = np.nan
    assert not held(targets, [None] * 200)[::10].any()
