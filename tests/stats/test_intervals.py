from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.special import expit, softmax
from scipy.stats import binomtest, norm
from sklearn.metrics import accuracy_score, log_loss

from featx.stats.intervals import Score, auc_interval, wilson
from featx.stats.scoring import probabilities, score, two_columns


@pytest.mark.parametrize(
    ("correct", "n", "low", "high"),
    [
        # Newcombe, "Two-sided confidence intervals for the single proportion", Statistics in Medicine 17
        # (1998), 857-872, table I, method 3.
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
        # 27 of 36 and 9 of 18, which the report gives as 75 % and 50 %.
        (27, 36, 0.5893, 0.8625),
        (9, 18, 0.2903, 0.7097),
        # At the ends the far one is z²/(n + z²) away.
        (36, 36, 36 / (36 + 1.959964**2), 1.0),
        (0, 1, 0.0, 1.959964**2 / (1 + 1.959964**2)),
    ],
)
def test_wilsons_interval_against_published_values(correct: int, n: int, low: float, high: float) -> None:
    assert wilson(correct, n) == pytest.approx((low, high), abs=6e-5)


@pytest.mark.parametrize("n", [1, 9, 36, 270])
def test_wilsons_interval_is_scipys(n: int) -> None:
    for correct in range(n + 1):
        expected = binomtest(correct, n).proportion_ci(method="wilson")
        assert wilson(correct, n) == pytest.approx((expected.low, expected.high), abs=1e-12)


@settings(deadline=None)
@given(st.integers(1, 100_000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_the_interval_of_any_counts(counts: tuple[int, int]) -> None:
    correct, n = counts
    low, high = wilson(correct, n)
    assert 0 <= low <= correct / n <= high <= 1
    assert (low == 0) == (correct == 0)
    assert (high == 1) == (correct == n)
    assert low < high
    # Swapping right and wrong mirrors it.
    assert wilson(n - correct, n) == pytest.approx((1 - high, 1 - low), abs=1e-12)
    if correct < n:
        further = wilson(correct + 1, n)
        assert further[0] > low
        assert further[1] > high or correct + 1 == n


def some_logits(n: int = 50, classes: int = 4, scale: float = 3.0) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    generator = np.random.default_rng(0)
    labels = generator.integers(max(classes, 2), size=n)
    return (scale * generator.normal(size=(n, classes))).astype(np.float32), labels


@pytest.mark.parametrize("classes", [2, 4])
def test_a_score_is_sklearns(classes: int) -> None:
    logits, labels = some_logits(classes=classes)
    p = softmax(logits.astype(np.float64), axis=1)
    found = score(logits, labels)
    assert found.loss == pytest.approx(log_loss(labels, p, labels=range(classes)), rel=1e-9)
    assert found.accuracy == accuracy_score(labels, p.argmax(axis=1))
    assert (found.n, found.correct) == (50, round(50 * accuracy_score(labels, p.argmax(axis=1))))
    assert found.interval == wilson(found.correct, 50)
    np.testing.assert_allclose(probabilities(logits), p, rtol=1e-12)


def test_a_single_column_speaks_for_the_second_class() -> None:
    logits, labels = some_logits(classes=1)
    p = expit(logits[:, 0].astype(np.float64))
    found = score(logits, labels)
    assert found.loss == pytest.approx(log_loss(labels, p), rel=1e-9)
    assert found.correct == np.sum((p > 0.5) == labels)
    np.testing.assert_allclose(probabilities(logits), np.column_stack([1 - p, p]), rtol=1e-9)
    np.testing.assert_array_equal(two_columns(logits)[:, 1], logits[:, 0])


@pytest.mark.parametrize("scale", [1e3, 1e6, 3e37])
def test_extreme_logits(scale: float) -> None:
    """Certain and right costs nothing, certain and wrong costs the difference of the logits; nothing overflows."""
    logits = np.array([[scale, -scale, 0], [scale, -scale, 0]], np.float32)
    right, wrong = (score(logits[:1], np.array([label])) for label in (0, 1))
    assert (right.loss, right.correct) == (0.0, 1)
    assert wrong.loss == pytest.approx(2 * float(np.float32(scale)))
    assert wrong.correct == 0
    even = np.full((1, 3), scale, np.float32)
    assert score(even, np.array([0])).loss == pytest.approx(math.log(3))
    np.testing.assert_allclose(probabilities(even), 1 / 3)
    np.testing.assert_array_equal(probabilities(logits), [[1, 0, 0], [1, 0, 0]])
    np.testing.assert_array_equal(probabilities(logits[:, 1:2]), [[1, 0], [1, 0]])


@settings(deadline=None)
@given(
    st.lists(st.lists(st.floats(-(2.0**100), 2.0**100, width=32), min_size=3, max_size=3), min_size=1, max_size=20),
)
def test_any_logits_give_probabilities(values: list[list[float]]) -> None:
    logits = np.array(values, np.float32)
    p = probabilities(logits)
    assert np.all((p >= 0) & (p <= 1))
    np.testing.assert_allclose(p.sum(axis=1), 1)
    loss = score(logits, np.zeros(len(logits), np.int64)).loss
    assert loss is not None
    assert 0 <= loss <= 2 * np.abs(logits.astype(np.float64)).max() + math.log(3)


def test_an_empty_part() -> None:
    nothing = score(np.empty((0, 4), np.float32), np.empty(0, np.int64))
    assert (nothing.n, nothing.accuracy, nothing.interval, nothing.loss) == (0, None, None, None)
    assert str(nothing) == "no images"
    assert nothing.to_json() == {"n": 0, "correct": 0, "accuracy": None, "interval": None, "loss": None}
    assert probabilities(np.empty((0, 4), np.float32)).shape == (0, 4)


def test_a_score_in_json_and_in_words() -> None:
    one = Score(36, 27, 0.7699)
    document = json.loads(json.dumps(one.to_json()))
    assert list(document) == ["n", "correct", "accuracy", "interval", "loss"]
    assert document == {
        "n": 36,
        "correct": 27,
        "accuracy": 0.75,
        "interval": pytest.approx([0.5893, 0.8625], abs=1e-4),
        "loss": 0.7699,
    }
    assert str(one) == "27/36 = 75.0 % (59–86 %)"


@pytest.mark.parametrize(("area", "positives", "negatives"), [(0.5, 10, 10), (0.98, 25, 75), (0.9, 9, 27)])
def test_the_ends_of_an_areas_interval_are_1_96_standard_errors_away(
    area: float, positives: int, negatives: int
) -> None:
    n = (positives + negatives) / 2
    for end in auc_interval(area, positives, negatives):
        first, second = end / (2 - end), 2 * end**2 / (1 + end)  # Hanley and McNeil's Q1 and Q2
        variance = end * (1 - end) + (n - 1) * (first - end**2) + (n - 1) * (second - end**2)
        assert abs(area - end) == pytest.approx(1.959964 * math.sqrt(variance / (positives * negatives)), rel=1e-5)


@pytest.mark.parametrize("n", [1, 12, 10**6])
def test_a_perfect_area_is_not_oversold_and_mirrors_that_of_zero(n: int) -> None:
    low, high = auc_interval(1.0, n, n)
    assert high == 1
    assert 0 < low < 1
    assert auc_interval(0.0, n, n) == pytest.approx((0, 1 - low))
    assert auc_interval(1.0, 10 * n, 10 * n)[0] > low


def test_an_areas_interval_contains_the_true_area_about_as_often_as_it_says() -> None:
    generator = np.random.default_rng(0)
    for distance in (0.5, 2.5):
        true, hits = norm.cdf(distance / math.sqrt(2)), 0
        for _ in range(300):
            positives, negatives = generator.normal(distance, 1, 9), generator.normal(0, 1, 27)
            low, high = auc_interval(float((positives[:, None] > negatives).mean()), 9, 27)
            hits += low <= true <= high
        assert 0.92 < hits / 300 <= 1
