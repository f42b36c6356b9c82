from __future__ import annotations

import logging

import numpy as np
import pytest

from featx.classifiers.folds import fold_numbers, grouped_folds, possible_folds, repeated_folds
from featx.errors import DataError


def test_every_row_is_held_out_once_a_repeat() -> None:
    y = np.repeat([0, 1, 2], [20, 30, 10])
    groups = [str(i) for i in range(60)]
    folds = repeated_folds(y, groups, 5, 3, seed=0)
    assert len(folds) == 15
    for repeat in range(3):
        once = folds[5 * repeat : 5 * repeat + 5]
        held = np.concatenate([rows for _, rows in once])
        assert sorted(held) == list(range(60))
        numbers = fold_numbers(once, 60)
        for number, (fit, rows) in enumerate(once):
            assert set(fit) | set(rows) == set(range(60))
            assert set(np.flatnonzero(numbers == number)) == set(rows)
            # Stratified exactly.
            assert np.bincount(y[rows]).tolist() == [4, 6, 2]
    assert {tuple(rows) for _, rows in folds[:5]} != {tuple(rows) for _, rows in folds[5:10]}


@pytest.mark.parametrize("seed", range(5))
def test_groups_are_never_divided(seed: int) -> None:
    generator = np.random.default_rng(seed)
    patients = generator.integers(30, size=120)
    y = (patients + generator.integers(2, size=120)) % 3
    for fit, held in grouped_folds(y, [f"patient {p}" for p in patients], 5, [seed]):
        assert not set(patients[fit]) & set(patients[held])
        assert set(y[fit]) == {0, 1, 2}


def test_folds_are_lowered_to_the_groups_of_the_smallest_class(caplog: pytest.LogCaptureFixture) -> None:
    y = np.array([0] * 10 + [1] * 8)
    groups = [f"a{i}" for i in range(10)] + [f"b{i // 2}" for i in range(8)]
    with caplog.at_level(logging.WARNING, "featx"):
        assert possible_folds(y, groups, ("a", "b"), 5) == 4
    assert "4 folds are used instead of 5: the smallest class has no more groups." in caplog.text
    assert possible_folds(y, groups, ("a", "b"), 3) == 3
    with pytest.raises(DataError, match=r"at least 3 groups .* found fewer for b \(2\)"):
        possible_folds(y, [*groups[:10], *["b1"] * 4, *["b2"] * 4], ("a", "b"), 5)


def test_two_folds_need_four_groups_because_their_training_parts_are_divided_again() -> None:
    y = np.repeat([0, 1], [3, 4])
    groups = [str(number) for number in range(7)]
    with pytest.raises(DataError, match=r"at least 4 groups .* found fewer for a \(3\); .* more --folds"):
        possible_folds(y, groups, ("a", "b"), 2)
    assert possible_folds(y, groups, ("a", "b"), 3) == 3


def test_a_class_in_one_group_cannot_be_on_both_sides() -> None:
    y = np.array([0, 0, 0, 0, 1, 1])
    with pytest.raises(DataError, match="every class in the training part"):
        grouped_folds(y, ["a", "b", "c", "d", "e", "e"], 2, [0])
