from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm
from sklearn.metrics import average_precision_score, roc_auc_score

from featx.stats import Estimate, at_sensitivity, at_specificity, precision_curve, ranking_of, roc_curve
from featx.stats.class_figures import GroupedImages


def test_points_by_hand() -> None:
    positive = np.array([True] * 4 + [False] * 5)
    scores = np.array([0.9, 0.8, 0.6, 0.3, 0.7, 0.5, 0.4, 0.2, 0.1])
    ranking = ranking_of(positive, scores)
    point = at_specificity(ranking, 0.8)
    # One of five negative images may be above; the threshold is the next score above the second highest of them.
    assert (point.threshold, point.sensitivity.value) == (0.6, 0.75)
    assert point.specificity.value == pytest.approx(0.8)
    assert point.ppv is not None
    assert point.npv is not None
    assert point.ppv.value == pytest.approx(3 / 4)
    assert point.npv.value == pytest.approx(4 / 5)
    reverse = at_sensitivity(ranking, 1.0 - 1e-9)
    assert (reverse.threshold, reverse.sensitivity.value) == (0.3, 1.0)
    assert reverse.specificity.value == pytest.approx(0.4)
    assert at_specificity(ranking, 0.99).threshold == 0.8


def test_predictive_values_hold_for_the_prevalence_that_is_named() -> None:
    generator = np.random.default_rng(0)
    positive = np.arange(2000) < 1000
    scores = generator.normal(size=2000) + 2 * positive
    ranking = ranking_of(positive, scores)
    own, rare = at_specificity(ranking, 0.9), at_specificity(ranking, 0.9, prevalence=0.01)
    assert own.threshold == rare.threshold
    sensitivity, specificity = rare.sensitivity.value, rare.specificity.value
    expected = 0.01 * sensitivity / (0.01 * sensitivity + 0.99 * (1 - specificity))
    assert rare.ppv is not None
    assert own.ppv is not None
    assert rare.ppv.value == pytest.approx(expected)
    assert rare.ppv.interval[0] < rare.ppv.value < rare.ppv.interval[1] < own.ppv.value


@pytest.mark.parametrize(("p", "q", "distance"), [(9, 27, 1.5), (25, 75, 2.0), (100, 300, 1.5)])
def test_intervals_contain_the_true_value(p: int, q: int, distance: float) -> None:
    generator = np.random.default_rng(p)
    truth = 1 - norm.cdf(norm.ppf(0.9) - distance)
    positive = np.arange(p + q) < p
    hits = np.zeros(2)
    for _ in range(400):
        ranking = ranking_of(positive, generator.normal(size=p + q) + distance * positive)
        for place, one in enumerate(
            (at_specificity(ranking, 0.9).sensitivity, at_sensitivity(ranking, 0.9).specificity)
        ):
            hits[place] += one.interval[0] <= truth <= one.interval[1]
    assert (hits / 400 >= 0.925).all()


def width(one: Estimate) -> float:
    return one.interval[1] - one.interval[0]


def test_images_of_one_patient_tell_less() -> None:
    generator = np.random.default_rng(5)
    patients = generator.normal(size=40) + 1.5 * (np.arange(40) < 20)
    groups = np.repeat(np.arange(40), 5)
    positive, scores = groups < 20, patients[groups]
    alone, together = ranking_of(positive, scores), ranking_of(positive, scores, groups)
    once = ranking_of(np.arange(40) < 20, patients)
    assert together.auc.value == pytest.approx(alone.auc.value) == pytest.approx(once.auc.value)
    assert width(together.auc) >= width(once.auc) > 1.5 * width(alone.auc)
    assert width(at_specificity(together, 0.9).sensitivity) > 1.3 * width(at_specificity(alone, 0.9).sensitivity)


def test_a_perfect_ranking_has_an_interval_with_a_width() -> None:
    positive = np.arange(40) < 20
    point = at_specificity(ranking_of(positive, positive.astype(float)), 0.9)
    assert point.sensitivity.value == 1
    assert point.sensitivity.interval[0] < 0.9


def test_curves_agree_with_scikit_learn() -> None:
    generator = np.random.default_rng(1)
    positive = generator.random(300) < 0.3
    scores = np.round(generator.normal(size=300) + positive, 1)  # many ties
    ranking = ranking_of(positive, scores)
    roc, precision = roc_curve(ranking), precision_curve(ranking)
    assert roc.area.value == pytest.approx(roc_auc_score(positive, scores))
    assert precision.area.value == pytest.approx(average_precision_score(positive, scores))
    assert (np.diff(roc.y) >= 0).all()
    assert roc.y[-1] == 1
    assert precision.y[-1] == pytest.approx(positive.sum() / np.sum(scores >= scores[positive].min()))
    for curve in (roc, precision):
        assert (curve.low <= curve.y + 1e-12).all()
        assert (curve.y <= curve.high + 1e-12).all()


@pytest.mark.parametrize("groups", [None, np.arange(40) // 4, np.arange(40) // 20])
def test_the_area_is_that_of_the_class_metrics(groups: np.ndarray | None) -> None:
    """Also for two patients only, who are worth less than one image of each kind."""
    generator = np.random.default_rng(5)
    positive = generator.random(40) < 0.4
    scores = (positive + generator.standard_normal(40)).round(1)
    area, figure = ranking_of(positive, scores, groups).auc, GroupedImages(40, groups).area(positive, scores)
    assert figure is not None
    assert area.value == pytest.approx(figure.value)
    assert area.interval == pytest.approx(figure.interval)
