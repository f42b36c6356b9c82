from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score
from sklearn.metrics import log_loss as sklearn_log_loss

from featx.classifiers.label_scores import (
    LABEL_METRICS,
    label_calibration_error,
    label_scores,
    paired_p,
    resampled,
    right_images,
)
from featx.stats.labels import macro_areas

GENERATOR = np.random.default_rng(3)
Y = (GENERATOR.random((80, 3)) < [0.2, 0.5, 0.7]).astype(np.float32)
# Rounded, so that some are equal.
P = np.clip(np.round(0.5 * GENERATOR.random((80, 3)) + 0.4 * Y, 1), 0.05, 0.95).astype(np.float64)
Y[GENERATOR.random(Y.shape) < 0.2] = np.nan
KNOWN = np.isfinite(Y)


def by_sklearn(weights: np.ndarray) -> dict[str, float]:
    areas, precisions = [], []
    for i in range(3):
        known = KNOWN[:, i]
        areas.append(roc_auc_score(Y[known, i], P[known, i], sample_weight=weights[known]))
        precisions.append(average_precision_score(Y[known, i], P[known, i], sample_weight=weights[known]))
    every = np.broadcast_to(weights[:, None], Y.shape)[KNOWN]
    loss = sklearn_log_loss(Y[KNOWN], P[KNOWN], sample_weight=every)
    return {"roc_auc": np.mean(areas), "average_precision": np.mean(precisions), "log_loss": float(loss)}


@pytest.mark.parametrize("weighted", [False, True])
def test_metrics_are_those_of_scikit_learn(weighted: bool) -> None:
    weights = GENERATOR.integers(0, 4, 80).astype(np.float64) if weighted else np.ones(80)
    for name, expected in by_sklearn(weights).items():
        assert LABEL_METRICS[name](Y, P, weights[None])[0] == pytest.approx(expected), name


def test_means_are_those_of_the_scores_of_heads() -> None:
    scores = label_scores(Y, P)
    assert (scores["roc_auc"], scores["average_precision"]) == pytest.approx(macro_areas(P, Y))


def test_an_image_is_right_if_all_its_known_labels_are() -> None:
    targets = np.array([[1, 0], [1, np.nan], [0, 0], [np.nan, np.nan]], np.float32)
    shares = np.array([[0.5, 0.49], [0.4, 0.9], [0.1, 0.6], [0.9, 0.9]])
    assert right_images(targets, shares).tolist() == [True, False, False, True]
    # The last image, of which nothing is known, does not count.
    assert label_scores(targets, shares)["accuracy"] == pytest.approx(1 / 3)


def test_a_label_that_all_images_have_does_not_count() -> None:
    targets = np.column_stack([Y[:, 0], np.ones(80)]).astype(np.float32)
    assert label_scores(targets, P[:, :2])["roc_auc"] == pytest.approx(label_scores(Y[:, :1], P[:, :1])["roc_auc"])
    assert np.isnan(label_scores(targets[:, 1:], P[:, :1])["roc_auc"])


def test_bootstrap_samples_are_of_whole_groups_and_of_the_seed() -> None:
    groups = [f"patient {i // 4}" for i in range(80)]
    one, again, other = (resampled(Y, P, groups, seed, 200)["roc_auc"] for seed in (0, 0, 1))
    assert one.tolist() == again.tolist() != other.tolist()
    # The samples scatter about the value; copies of images in groups make them scatter more.
    assert np.mean(one) == pytest.approx(label_scores(Y, P)["roc_auc"], abs=0.02)
    targets, shares = np.repeat(Y, 4, axis=0), np.repeat(P, 4, axis=0)
    apart = resampled(targets, shares, [str(i) for i in range(320)], 0, 200)["roc_auc"]
    together = resampled(targets, shares, [str(i // 4) for i in range(320)], 0, 200)["roc_auc"]
    assert together.std() > 1.5 * apart.std()


def test_a_difference_beside_its_scatter_is_no_difference() -> None:
    scatter = np.random.default_rng(0).normal(0.1, 0.05, 2000)
    assert paired_p(0.1, scatter) == pytest.approx(2 * 0.02275, abs=0.01)
    assert paired_p(0.0, scatter) == 1.0
    assert paired_p(0.1, np.full(10, 0.1)) == 1.0


def test_calibration_of_all_labels_together() -> None:
    shares = np.repeat([[0.1, 0.9]], 100, axis=0)
    targets = np.zeros((100, 2), np.float32)
    targets[:10, 0], targets[:80, 1] = 1, 1
    assert label_calibration_error(targets, shares) == pytest.approx(0.05)
