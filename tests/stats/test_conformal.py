from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from featx.stats import conformal_threshold, prediction_sets


def drawn(generator: np.random.Generator, n: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    P = generator.dirichlet([0.5, 0.5, 0.5], n)
    # The model is wrong about its own certainty, which must not matter.
    true = P**0.3 / (P**0.3).sum(axis=1, keepdims=True)
    return (generator.random(n)[:, None] > true.cumsum(axis=1)).sum(axis=1), P


@pytest.mark.parametrize(("n", "coverage"), [(19, 0.9), (30, 0.8), (54, 0.9)])
def test_the_promise_is_kept_and_not_exceeded_by_more_than_one_image(n: int, coverage: float) -> None:
    generator = np.random.default_rng(n)
    repeats = 3000
    hits = 0
    for _ in range(repeats):
        y, P = drawn(generator, n + 1)
        threshold = conformal_threshold(y[:n], P[:n], np.arange(n), coverage)
        hits += bool(prediction_sets(P[n:], threshold)[0, y[n]])
    exact = np.ceil((n + 1) * coverage) / (n + 1)
    assert coverage <= exact <= coverage + 1 / (n + 1)
    assert hits / repeats == pytest.approx(exact, abs=4 * np.sqrt(exact * (1 - exact) / repeats))


def test_groups_count_as_one_each() -> None:
    """Of a few large groups, single images would promise more than they hold for a new group."""
    generator = np.random.default_rng(0)
    repeats, groups = 1500, 19
    hits = np.zeros(2)
    for _ in range(repeats):
        # Images of a group are equally hard, and one group has most of the images.
        hardness = generator.random(groups + 1)
        sizes = np.r_[60, np.full(groups - 1, 2)]
        numbers = np.repeat(np.arange(groups), sizes)
        own = np.r_[hardness[numbers], hardness[groups]]
        P = np.stack([own, 1 - own], axis=1)
        y = np.zeros(len(own), np.int64)
        for place, owners in enumerate((numbers, np.arange(len(numbers)))):
            threshold = conformal_threshold(y[:-1], P[:-1], owners, 0.9)
            hits[place] += bool(prediction_sets(P[-1:], threshold)[0, 0])
    kept, single = hits / repeats
    assert kept == pytest.approx(18 / 20, abs=0.03)
    assert single < 0.85


def test_too_few_groups_give_all_classes() -> None:
    generator = np.random.default_rng(1)
    y, P = drawn(generator, 8)
    assert conformal_threshold(y, P, np.arange(8), 0.9) == 0
    assert conformal_threshold(y[:0], P[:0], np.arange(0), 0.9) == 0
    assert prediction_sets(P, 0.0).all()
    assert conformal_threshold(y, P, np.arange(8), 0.8) > 0


def test_a_threshold_by_hand() -> None:
    own = np.array([0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.15])
    P = np.stack([own, 1 - own], axis=1)
    # ceil(10 * 0.8) = 8 of 9 images must be in: those from 0.2 on.
    assert conformal_threshold(np.zeros(9, np.int64), P, np.arange(9), 0.8) == 0.2
