from __future__ import annotations

import numpy as np
import pytest

from featx.audits.logistic import confident

# Six images worked through by hand; the third and the last have the other class's look.
Y = np.array([0, 0, 0, 1, 1, 1])
FIRST = np.array([0.9, 0.8, 0.1, 0.2, 0.1, 0.7])
P = np.column_stack([FIRST, 1 - FIRST])


def test_thresholds_are_the_mean_probabilities_of_the_labels() -> None:
    assert confident.thresholds(P, Y) == pytest.approx([0.6, 2 / 3])


def test_images_below_both_thresholds_are_of_no_class() -> None:
    assert confident.confident_classes(P, Y).tolist() == [0, 0, 1, 1, 1, 0]
    unsure = np.vstack([P, [0.5, 0.5]])
    assert confident.confident_classes(unsure, np.append(Y, 0))[-1] == -1


def test_the_joint_has_the_number_of_images_of_each_label() -> None:
    assert confident.joint_counts(P, Y).tolist() == [[2, 1], [1, 2]]
    # An image of no class is shared out in the proportions of the others.
    unsure = np.vstack([P, [0.5, 0.5]])
    assert confident.joint_counts(unsure, np.append(Y, 0))[0] == pytest.approx([8 / 3, 4 / 3])


def test_both_rules_take_the_wrong_labels() -> None:
    wrong = [False, False, True, False, False, True]
    assert confident.by_class(P, Y).tolist() == wrong
    assert confident.by_noise_rate(P, Y).tolist() == wrong
    assert confident.doubtful(P, Y).tolist() == wrong
    assert confident.second_labels(P, Y).tolist() == [1, 1, 1, 0, 0, 0]
    assert confident.told_apart(P, Y, 0, 1) == pytest.approx(2 / 3)


def test_a_class_without_images_counts_for_none() -> None:
    wide = np.column_stack([P, np.full(6, 0.01)])
    assert confident.thresholds(wide, Y)[2] == 1.0
    assert confident.joint_counts(wide, Y)[2].tolist() == [0, 0, 0]
    assert confident.doubtful(wide, Y).tolist() == confident.doubtful(P, Y).tolist()
