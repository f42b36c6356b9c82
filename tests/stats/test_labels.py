from __future__ import annotations

import json

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import expit
from sklearn.metrics import average_precision_score, log_loss, recall_score, roc_auc_score

from featx.stats import LabelScore, label_metrics, label_probabilities, score, wilson
from featx.stats.labels import average_precision, average_precision_interval, macro_areas

NAMES = ("cardiomegaly", "effusion", "no finding")


def make(seed: int = 0, n: int = 400, unknown: float = 0.2) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return logits with ties, (n, 3), and targets of which some are not known."""
    generator = np.random.default_rng(seed)
    targets = (generator.random((n, 3)) < [0.1, 0.3, 0.6]).astype(np.float32)
    logits = np.round(generator.normal(size=(n, 3)) + 1.5 * targets - 1, 1).astype(np.float32)
    targets[generator.random((n, 3)) < unknown] = np.nan
    return logits, targets


def test_a_score_of_several_labels_counts_what_is_known() -> None:
    logits = np.array([[2, -1], [-3, 1], [0, 5], [1, 1]], np.float32)
    targets = np.array([[1, 0], [0, 0], [1, np.nan], [np.nan, np.nan]], np.float32)
    result = score(logits, targets)
    assert isinstance(result, LabelScore)
    # The last image has no known label: it is neither right nor wrong.
    assert (result.n, result.correct) == (3, 2)
    known = np.array([1, 0, 0, 0, 1]), expit([2, -1, -3, 1, 0])
    assert result.loss == pytest.approx(log_loss(*known))
    assert result.auc == 1  # the second label is there in no image
    assert result.interval == wilson(2, 3)
    document = json.loads(json.dumps(result.to_json(), allow_nan=False))
    assert list(document) == ["n", "correct", "accuracy", "interval", "loss", "auc", "average_precision"]


def test_a_score_without_known_labels_has_no_figures() -> None:
    empty = score(np.empty((0, 2), np.float32), np.empty((0, 2), np.float32))
    unknown = score(np.zeros((3, 2), np.float32), np.full((3, 2), np.nan, np.float32))
    for result in (empty, unknown):
        assert result.to_json() == {
            **dict.fromkeys(("n", "correct"), 0),
            **dict.fromkeys(("accuracy", "interval", "loss", "auc", "average_precision")),
        }
        assert str(result) == "no images"


def test_losses_of_extreme_logits_are_exact() -> None:
    logits = np.array([[800.0], [-800.0]], np.float32)
    assert score(logits, np.array([[0], [1]], np.float32)).loss == 800
    assert score(logits, np.array([[1], [0]], np.float32)).loss == 0
    np.testing.assert_array_equal(label_probabilities(logits), [[1], [0]])


def test_metrics_by_label_are_those_of_scikit_learn() -> None:
    logits, targets = make()
    shares = label_probabilities(logits)
    np.testing.assert_allclose(shares, expit(logits.astype(np.float64)), rtol=1e-12)
    metrics = label_metrics(NAMES, shares, targets)
    assert [one.label for one in metrics] == list(NAMES)
    for i, one in enumerate(metrics):
        known = np.isfinite(targets[:, i])
        y, p = targets[known, i], shares[known, i]
        assert (one.n, one.positive) == (len(y), y.sum())
        assert one.auc is not None
        assert one.auc.value == pytest.approx(roc_auc_score(y, p))
        assert one.average_precision is not None
        assert one.average_precision.value == pytest.approx(average_precision_score(y, p))
        for estimate, kind in ((one.sensitivity, 1), (one.specificity, 0)):
            assert estimate is not None
            assert estimate.value == pytest.approx(recall_score(y, p >= 0.5, pos_label=kind))
            assert estimate.interval == wilson(round(estimate.value * (y == kind).sum()), int((y == kind).sum()))
        assert one.prevalence is not None
        assert one.prevalence.value == pytest.approx(y.mean())
        for estimate in (one.auc, one.average_precision, one.prevalence):
            low, high = estimate.interval
            assert 0 < low < estimate.value < high < 1
    macro = macro_areas(shares, targets)
    assert macro == pytest.approx(
        tuple(np.mean([getattr(one, name).value for one in metrics]) for name in ("auc", "average_precision"))
    )
    summary = score(logits, targets)
    assert isinstance(summary, LabelScore)
    assert (summary.auc, summary.average_precision) == pytest.approx(macro)


def test_a_perfect_ranking_is_not_above_1() -> None:
    """A run whose metrics.json has more than 1 could not be read again."""
    for positives in (20, 21, 45, 150):  # whose shares, added one by one, round to more than 1
        there = np.arange(positives + 5) < positives
        assert average_precision(there, -np.arange(positives + 5.0)) == 1


def test_a_label_with_one_kind_of_images_has_only_what_is_defined() -> None:
    shares = np.array([[0.9, 0.2, 0.4], [0.1, 0.7, 0.4]])
    targets = np.array([[1, 0, np.nan], [1, 0, np.nan]], np.float32)
    there, absent, unknown = label_metrics(NAMES, shares, targets)
    assert there.auc is there.average_precision is there.specificity is None
    assert there.sensitivity is not None
    assert there.sensitivity.value == 0.5
    assert absent.auc is absent.average_precision is absent.sensitivity is None
    assert absent.specificity is not None
    assert absent.specificity.value == 0.5
    assert unknown.n == 0
    assert unknown.prevalence is unknown.sensitivity is unknown.specificity is None
    assert macro_areas(shares, targets) == (None, None)
    json.dumps([one.to_json() for one in (there, absent, unknown)], allow_nan=False)


def test_order_of_images_changes_nothing() -> None:
    logits, targets = make()
    shares = label_probabilities(logits)
    order = np.random.default_rng(1).permutation(len(shares))
    assert label_metrics(NAMES, shares, targets) == label_metrics(NAMES, shares[order], targets[order])


def test_interval_of_average_precision() -> None:
    # By hand: log-odds of 0.8 are log 4, and the standard error is 1 / sqrt(25 * 0.16) = 0.5.
    low, high = average_precision_interval(0.8, 25)
    assert (low, high) == pytest.approx((expit(np.log(4) - 0.98), expit(np.log(4) + 0.98)), abs=1e-4)
    assert average_precision_interval(1.0, 12) == wilson(12, 12)
    low, high = average_precision_interval(1e-6, 1)
    assert 0 <= low < 1e-6 < high <= 1


def test_intervals_of_average_precision_cover_the_truth() -> None:
    generator = np.random.default_rng(0)

    def draw(n: int) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
        there = generator.random(n) < 0.25
        return there, generator.normal(size=n) + 1.2 * there

    truth = average_precision(*draw(400_000))
    covered = 0
    for _ in range(400):
        there, scores = draw(200)
        low, high = average_precision_interval(average_precision(there, scores), int(there.sum()))
        covered += low <= truth <= high
    # 95 % of 400 is 380; the interval is approximate.
    assert 365 <= covered <= 398
