import numpy as np
import pytest
from numpy.typing import NDArray

from featx.stats import (
    BOUNDS,
    METRICS,
    auc_interval,
    bootstrap,
    class_intervals,
    difference_of_shares,
    score_all,
    wilson,
)
from featx.stats.class_figures import GroupedImages, f1_of, recall_of
from featx.stats.intervals import jeffreys

Drawn = tuple[NDArray[np.int64], NDArray[np.float64]]


def drawn(n: int, classes: int, apart: float, seed: int = 0) -> Drawn:
    """Labels, and probabilities that know more of them the further apart the classes are."""
    generator = np.random.default_rng(seed)
    y = generator.permutation(np.arange(n) % classes)
    scores = np.exp(apart * np.eye(classes)[y] + generator.standard_normal((n, classes)))
    return y, scores / scores.sum(axis=1, keepdims=True)


def perfect(n: int, classes: int) -> Drawn:
    y = np.arange(n) % classes
    return y, np.eye(classes)[y]


def test_every_interval_is_around_its_value() -> None:
    y, P = drawn(60, 3, 1.5)
    values, ends = score_all(y, P), bootstrap(y, P, [str(number // 2) for number in range(60)], seed=0)
    assert list(ends) == list(METRICS)
    assert ends["calibration_error"] is None
    for name, value in values.items():
        if name != "calibration_error":
            low, high = ends[name] or (np.nan, np.nan)
            least, most = BOUNDS.get(name, (0.0, 1.0))
            assert least <= low < value < high <= most, name
    assert ends == bootstrap(y, P, [str(number // 2) for number in range(60)], seed=0)


def test_perfect_predictions_have_intervals_below_1() -> None:
    """36 of 36 images right say no more than that 90 % or so may be."""
    ends = class_intervals(*perfect(36, 2), None)
    assert ends["accuracy"] == wilson(36, 36)
    for name in ("balanced_accuracy", "macro_f1", "roc_auc"):
        low, high = ends[name] or (1, 1)
        assert 0.8 < low < 0.95, name
        assert high == 1
    of_bootstrap = bootstrap(*perfect(36, 2), [None] * 36, seed=0)
    assert {name: of_bootstrap[name] for name in ends} == ends
    # All samples agree in these, and nothing says how far they are from the truth.
    assert of_bootstrap["log_loss"] is None


def test_groups_make_perfect_predictions_less_certain() -> None:
    """Nine patients with four images each."""
    y = np.repeat(np.arange(9) % 2, 4)
    alone, grouped = class_intervals(y, np.eye(2)[y], None), class_intervals(y, np.eye(2)[y], np.arange(36) // 4)
    for name, ends in alone.items():
        assert (grouped[name] or (1, 1))[0] < (ends or (0, 0))[0] - 0.05, name


def test_the_bootstrap_of_the_loss_draws_whole_groups() -> None:
    y, P = drawn(100, 2, 1.0)
    one = bootstrap(y, P, [None] * 100, seed=0)["log_loss"]
    # Each image four times, as one group: the same losses, and the same samples.
    four = bootstrap(np.repeat(y, 4), np.repeat(P, 4, axis=0), np.arange(400) // 4, seed=0)["log_loss"]
    assert one == pytest.approx(four)


def test_a_class_has_the_interval_of_its_own_images() -> None:
    y, P = drawn(80, 4, 1.0)
    images, hits = GroupedImages(80, None), P.argmax(axis=1) == y
    predicted = P.argmax(axis=1)
    recall = recall_of(images, y, predicted, 2)
    assert recall is not None
    assert recall.value == np.mean(hits[y == 2])
    assert recall.interval == jeffreys(int(np.sum(hits[y == 2])), 20)
    both, either = int(np.sum(hits & (y == 2))), int(np.sum((y == 2) | (P.argmax(axis=1) == 2)))
    f1 = f1_of(images, y, predicted, 2)
    assert f1 is not None
    assert f1.value == pytest.approx(2 * both / (both + either))
    area = images.area(y == 2, P[:, 2])
    assert area is not None
    assert area.interval == pytest.approx(auc_interval(area.value, 20, 60))
    assert images.area(y < 9, P[:, 2]) is None
    assert recall_of(images, y, predicted, 9) is None


def test_the_mean_of_equal_figures_has_their_interval() -> None:
    """With two classes both areas are one: they are correlated, and two of them say no more than one."""
    y, P = drawn(50, 2, 1.0)
    images = GroupedImages(50, None)
    areas = [images.area(y == number, P[:, number]) for number in (0, 1)]
    assert areas[0] is not None
    assert areas[1] is not None
    assert images.mean([areas[0], areas[1]]) == pytest.approx(areas[0].interval)


def test_the_mean_of_independent_figures_is_more_certain() -> None:
    """The recalls of four classes are of different images."""
    y, P = drawn(400, 4, 1.0)
    images = GroupedImages(400, None)
    recalls = [recall_of(images, y, P.argmax(axis=1), number) for number in range(4)]
    widths = [each.interval[1] - each.interval[0] for each in recalls if each is not None]
    low, high = images.mean([each for each in recalls if each is not None], apart=True) or (0, 0)
    assert high - low == pytest.approx(np.mean(widths) / 2, rel=0.02)


def test_differences_of_shares_of_the_same_images() -> None:
    """By hand where both are always the same: z² / (n + z²) on either side."""
    one = np.arange(30) < 20
    assert difference_of_shares(one, one) == pytest.approx((-3.8415 / 33.8415, 3.8415 / 33.8415), abs=1e-4)
    other = np.arange(30) % 10 < 5
    low, high = difference_of_shares(one, other)
    assert low < np.mean(one) - np.mean(other) < high
    reverse = difference_of_shares(other, one)
    assert reverse == pytest.approx((-high, -low))
    # The same images four times, as groups, say no more than once.
    four = difference_of_shares(np.repeat(one, 4), np.repeat(other, 4), np.arange(120) // 4)
    assert four[0] <= low < high <= four[1]
    assert difference_of_shares(~one & one, ~one | one)[0] == -1


def test_half_right() -> None:
    """The standard error of an accuracy of 1/2 over 400 images is 0.025; over 16 patients it is 0.125."""
    y = np.zeros(400, np.int64)
    P = np.where((np.arange(400) // 25 % 2 == 0)[:, None], [0.9, 0.1], [0.1, 0.9])
    low, high = class_intervals(y, P, None)["accuracy"] or (0, 0)
    assert (low, high) == pytest.approx((0.451, 0.549), abs=0.001)
    low, high = class_intervals(y, P, [str(number // 25) for number in range(400)])["accuracy"] or (0, 0)
    assert (low, high) == pytest.approx((0.264, 0.736), abs=0.003)
    assert class_intervals(y, P, None)["roc_auc"] is None
