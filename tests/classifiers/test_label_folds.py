from __future__ import annotations

import numpy as np
import pytest
from label_data import drawn_targets

from featx.classifiers.label_folds import groups_by_kind, label_folds, possible_label_folds
from featx.errors import DataError


def alone(n: int) -> list[str]:
    return [str(i) for i in range(n)]


def test_every_fold_has_its_share_of_each_label() -> None:
    Y = (np.random.default_rng(0).random((200, 4)) < [0.03, 0.2, 0.5, 0.95]).astype(np.float32)
    divided = label_folds(Y, alone(200), 5, [0])
    assert sorted(np.concatenate([held for _, held in divided]).tolist()) == list(range(200))
    for fit, held in divided:
        assert not set(fit.tolist()) & set(held.tolist())
        assert abs(len(held) - 40) <= 4
        # The rare kinds, the first label and the absence of the last, differ by at most one image from a fifth.
        for kind in (Y[:, 0] == 1, Y[:, 3] == 0):
            assert abs(kind[held].sum() - kind.sum() / 5) <= 1


def test_folds_by_chance_would_be_less_even() -> None:
    _, Y = drawn_targets(150, 4)
    numbers = np.random.default_rng(1).permutation(150) % 5
    wanted = np.nansum(Y, axis=0) / 5
    drawn = max(np.abs(np.nansum(Y[numbers == fold], axis=0) - wanted).max() for fold in range(5))
    ours = max(np.abs(np.nansum(Y[held], axis=0) - wanted).max() for _, held in label_folds(Y, alone(150), 5, [0]))
    assert ours <= 2 < drawn


def test_groups_stay_whole_and_the_seed_decides() -> None:
    _, Y = drawn_targets(90, 4)
    groups = [f"patient {i // 3}" for i in range(90)]
    one, again, other = (label_folds(Y, groups, 3, [seed]) for seed in (0, 0, 1))
    for fit, held in one:
        assert not {groups[i] for i in fit} & {groups[i] for i in held}
    assert [held.tolist() for _, held in one] == [held.tolist() for _, held in again]
    assert [held.tolist() for _, held in one] != [held.tolist() for _, held in other]


def test_names_of_groups_change_nothing() -> None:
    _, Y = drawn_targets(60, 4)
    one = label_folds(Y, [f"a{i // 2}" for i in range(60)], 3, [0])
    other = label_folds(Y, [f"z{99 - i // 2}" for i in range(60)], 3, [0])
    assert [held.tolist() for _, held in one] == [held.tolist() for _, held in other]


def test_unknown_labels_count_for_neither_kind() -> None:
    Y = np.array([[1, np.nan], [0, 1], [1, 0], [np.nan, 0]], np.float32)
    np.testing.assert_array_equal(groups_by_kind(Y, alone(4)), [[2, 1], [1, 2]])
    np.testing.assert_array_equal(groups_by_kind(Y, ["a", "a", "a", "b"]), [[1, 1], [1, 2]])


def test_the_rarest_kind_lowers_the_folds(caplog: pytest.LogCaptureFixture) -> None:
    Y = np.tile(np.array([[0.0], [1.0]], np.float32), (10, 1))
    assert possible_label_folds(Y, alone(20), 5) == 5
    Y[3:] = 0
    Y[:3] = 1
    assert possible_label_folds(Y, alone(20), 5) == 3
    assert "3 folds are used instead of 5" in caplog.text


def test_a_label_in_one_group_cannot_be_divided() -> None:
    Y = np.array([[1]] * 3 + [[0]] * 9, np.float32)
    with pytest.raises(DataError, match="images with and without each label in the training part of each of 3 folds"):
        label_folds(Y, ["a"] * 3 + alone(9), 3, [0])
