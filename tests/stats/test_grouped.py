import numpy as np
import pytest

from featx.stats import (
    LabelScore,
    Score,
    effective_n,
    group_numbers,
    grouped_share,
    homogeneity,
    homogeneity_p,
    score,
    wilson,
)


def test_images_that_share_no_group_have_wilsons_interval() -> None:
    correct = np.arange(36) < 33
    for groups in (None, [None] * 36, np.arange(36), [f"patient {number}" for number in range(36)]):
        share = grouped_share(correct, groups)
        assert (share.n, share.correct, share.groups, share.effective) == (36, 33, None, None)
        assert share.interval == wilson(33, 36)


def test_copies_of_images_add_next_to_nothing() -> None:
    """36 images, 33 of them right, and the same images four times over."""
    correct = np.arange(36) < 33
    share = grouped_share(np.repeat(correct, 4), np.repeat(np.arange(36), 4))
    assert (share.n, share.correct, share.groups) == (144, 132, 36)
    # Student's t instead of the normal makes 36 a little smaller.
    assert share.effective == pytest.approx(36 * (1.959964 / 2.030108) ** 2, rel=1e-6)
    low, high = share.interval
    assert low < wilson(33, 36)[0] < wilson(132, 144)[0]
    assert high > wilson(33, 36)[1] > wilson(132, 144)[1]


def test_images_that_are_unlike_within_groups_count_nearly_all() -> None:
    """In every group of four, three are right: the groups are as good as no groups."""
    correct = np.tile([True, True, True, False], 25)
    groups = np.repeat(np.arange(25), 4)
    assert 93 < effective_n(correct, groups) <= 100


def test_a_perfect_share_counts_groups_and_not_images() -> None:
    groups = np.repeat(np.arange(20), 5)
    share = grouped_share(np.ones(100, bool), groups)
    assert share.effective is not None
    assert share.effective < 20
    low, high = share.interval
    assert low < wilson(20, 20)[0]
    assert high == 1


def test_the_correlation_within_groups_is_that_of_the_analysis_of_variance() -> None:
    """Groups of 2: both right, both wrong, one of each. By hand: between 1/2, within 1/6, so r is 1/2."""
    correct = np.array([True, True, False, False, True, False])
    numbers = np.array([0, 0, 1, 1, 2, 2])
    independent = 6 / (1 + 1 * 0.5)
    assert effective_n(correct, numbers) == pytest.approx(independent * (1.959964 / 3.182446) ** 2, rel=1e-6)


def test_one_group_is_worth_one_image() -> None:
    assert effective_n(np.array([True, False, True]), np.zeros(3, np.int64)) == 1


def test_group_numbers_follow_the_first_occurrence() -> None:
    assert group_numbers(["b", None, "a", "b", None]).tolist() == [0, 1, 2, 0, 3]
    assert group_numbers(np.array([7, 7, 3])).tolist() == [0, 0, 1]


def test_scores_of_logits_take_groups() -> None:
    logits = np.array([[2.0], [3.0], [-1.0], [-2.0]], np.float32)
    labels = np.array([1, 1, 0, 1])
    scored = score(logits, labels, ["a", "a", "b", None])
    assert (scored.n, scored.correct, scored.groups) == (4, 3, 3)
    assert str(scored).endswith("in 3 groups")
    assert scored.interval is not None
    assert scored.interval[0] < wilson(3, 4)[0]
    assert Score.from_json(scored.to_json()) == scored
    targets = np.array([[1], [1], [0], [np.nan]], np.float32)
    several = score(logits, targets, ["a", "a", "b", "b"])
    assert isinstance(several, LabelScore)
    assert (several.n, several.groups) == (3, 2)
    assert LabelScore.from_json(several.to_json()) == several


def test_a_score_without_groups_is_written_as_before() -> None:
    scored = Score(36, 27, 0.5)
    assert list(scored.to_json()) == ["n", "correct", "accuracy", "interval", "loss"]
    assert Score.from_json(scored.to_json()) == scored


def test_homogeneity_agrees_with_pearson_where_images_are_independent() -> None:
    correct = np.concatenate([np.arange(100) < right for right in (90, 80, 75)])
    kinds = np.repeat(["a", "b", "c"], 100).tolist()
    assert homogeneity(correct, kinds, [None] * 300, 0) == pytest.approx(homogeneity_p([90, 80, 75], 100), abs=0.015)


def test_homogeneity_takes_groups_as_whole() -> None:
    """Two subgroups of 4 patients with 20 images each; one patient's images are all wrong."""
    groups = np.repeat(np.arange(8), 20)
    correct, kinds = groups != 0, np.where(groups < 4, "a", "b").tolist()
    assert homogeneity_p([60, 80], 80) < 1e-5
    # Whichever subgroup the patient is in, the shares are as different.
    assert homogeneity(correct, kinds, groups, 0) == 1


def test_homogeneity_within_groups() -> None:
    """Each patient has images of both scanners, and only those of one are ever wrong."""
    groups = np.repeat(np.arange(30), 2)
    kinds = np.tile(["old", "new"], 30).tolist()
    correct = np.array([kind == "new" or number % 3 > 0 for kind, number in zip(kinds, groups, strict=True)])
    assert homogeneity(correct, kinds, groups, 0) < 0.01
    assert homogeneity(correct, ["old"] * 60, groups, 0) == 1
    assert homogeneity(np.ones(60, bool), kinds, groups, 0) == 1
