from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from training_by_hand import ByHand, Labels, Matrix, SameBatches, dense, dropout, rows

from featx.heads.fused.layers import SeededMasks
from featx.heads.head import Head
from featx.heads.sampling import TrainingBatches
from featx.heads.training import Batches, Epoch, KerasLoop, fit_epochs
from featx.networks import load_keras
from featx.recipes import FitPart, HeadPart, load_recipe
from featx.recipes.schema import SchedulePart
from featx.stats import Score, score

LINEAR = HeadPart()
WITH_DROPOUT = HeadPart(layers=(dense(16), dropout(0.5)))


def nothing_held_out() -> Score:
    return Score(0, 0, None)


def fitted(fit: FitPart, data: tuple[Matrix, Labels], seed: int = 0) -> tuple[Head, list[Epoch]]:
    X, y = data
    head = Head.build(WITH_DROPOUT, X.shape[1], 3, seed)
    return head, fit_with_keras(head, TrainingBatches(X, y, 1, fit.batch_size, seed), fit)


def fit_with_keras(
    head: Head, batches: Batches, fit: FitPart, validate: Callable[[], Score] = nothing_held_out
) -> list[Epoch]:
    return list(fit_epochs(KerasLoop(head.logits_model).run_epoch, batches, validate, fit))


SCHEDULE = SchedulePart(kind="factor", boundaries=(1, 3), values=(1.0, 0.1, 3.0))


@pytest.mark.slow
@pytest.mark.parametrize(("output", "classes"), [("softmax", 3), ("softmax", 2), ("sigmoid", 2)])
@pytest.mark.parametrize("batch_size", [1, 5, 23])
def test_training_is_that_in_plain_numpy(output: str, classes: int, batch_size: int) -> None:
    """Adam's constants, the loss, the schedule, the last partial batch, and the epoch's means, all at once."""
    fit = FitPart(epochs=4, batch_size=batch_size, learning_rate=0.02, schedule=SCHEDULE)
    X, y = rows(23, 6, classes)
    head_spec = LINEAR.model_copy(update={"output": output})
    head = Head.build(head_spec, X.shape[1], classes, 0)
    batches = TrainingBatches(X, y, 1, batch_size, seed=3)
    hand = ByHand(head_spec, head.model.get_weights(), SeededMasks(head_spec, 0))
    expected = [hand.run_epoch(batches, number, fit.rate(number), False) for number in range(fit.epochs)]
    history = fit_with_keras(head, batches, fit)
    for found, wanted in zip(head.model.get_weights(), hand.weights, strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-3, atol=1e-4)
    assert [epoch.epoch for epoch in history] == [0, 1, 2, 3]
    np.testing.assert_allclose([(epoch.loss, epoch.accuracy) for epoch in history], expected, rtol=1e-4)
    assert [epoch.learning_rate for epoch in history] == pytest.approx([0.02, 0.002, 0.002, 0.06])
    assert {(epoch.val_loss, epoch.val_accuracy) for epoch in history} == {(None, None)}


@pytest.mark.slow
def test_each_epoch_is_reported_as_it_ends() -> None:
    X, y = rows(23, 6, 3)
    head = Head.build(LINEAR, X.shape[1], 3)
    validated: list[int] = []

    def validate() -> Score:
        validated.append(len(reported))
        return Score(1, 1, 0.25)

    reported: list[Epoch] = []
    run_epoch = KerasLoop(head.logits_model).run_epoch
    for epoch in fit_epochs(run_epoch, TrainingBatches(X, y, 1, 8, 0), validate, FitPart(epochs=3)):
        reported.append(epoch)
        assert validated == list(range(len(reported)))
    assert [(epoch.val_loss, epoch.val_accuracy) for epoch in reported] == [(0.25, 1.0)] * 3


@pytest.mark.slow
def test_the_seed_decides_the_fit() -> None:
    fit = FitPart(epochs=3, batch_size=4, learning_rate=0.01)
    (one, first), (two, again), (three, other) = (fitted(fit, rows(23, 6, 3), seed) for seed in (5, 5, 6))
    for a, b in zip(one.model.get_weights(), two.model.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose([e.loss for e in first], [e.loss for e in again], rtol=1e-6)
    assert not np.allclose(one.model.get_weights()[0], three.model.get_weights()[0], rtol=0.1)
    assert not np.allclose([e.loss for e in first], [e.loss for e in other], rtol=1e-3)


@pytest.mark.slow
def test_dropout_is_on_for_training_and_off_for_validation() -> None:
    """The same rows on both sides, and no learning: the held-out loss stands still, the training loss does not."""
    spec = HeadPart(layers=(dropout(0.8), dense(8, "linear")))
    X, y = rows(23, 6, 3)
    head = Head.build(spec, X.shape[1], 3)
    w1, b1, w2, b2 = (weight.astype(np.float64) for weight in head.model.get_weights())
    logits = ((X @ w1 + b1) @ w2 + b2).astype(np.float32)
    expected = score(logits, y)
    fit = FitPart(epochs=4, learning_rate=1e-30)
    history = fit_with_keras(head, SameBatches((X, y)), fit, lambda: score(head.logits([X]), y))
    assert [epoch.val_loss for epoch in history] == pytest.approx([expected.loss] * 4, rel=1e-5)
    assert [epoch.val_accuracy for epoch in history] == [expected.accuracy] * 4
    losses = [epoch.loss for epoch in history]
    assert len(set(losses)) == 4
    assert not np.isclose(losses, np.float64(expected.loss or 0), rtol=1e-3).any()


@pytest.mark.slow
def test_fitting_separates_what_can_be_separated() -> None:
    X, y = rows(390, 6, 3)
    head, history = fitted(FitPart(epochs=25, batch_size=10, learning_rate=0.01), (X[:90], y[:90]))
    assert history[-1].loss < 0.7 * history[0].loss
    assert accuracy_of(head, X[90:], y[90:]) > 0.6


@pytest.fixture(scope="module")
def like_vgg() -> tuple[TrainingBatches, Matrix, Labels]:
    """Rows like the raw last map of VGG16: 25,088 values, three quarters zero, the rest up to some hundreds.

    Each class has a quarter of the units that are active more often for it. The second part is to test on.
    """
    generator = np.random.default_rng(0)
    labels = np.arange(80) % 4
    of_class = generator.integers(4, size=25_088) == labels[:, None]
    active = generator.random((80, 25_088)) < np.where(of_class, 0.6, 0.4 / 3)
    X = (active * generator.exponential(40, (80, 25_088))).astype(np.float32)
    assert 0.74 < (X == 0).mean() < 0.76
    assert 200 < X.max() < 1000
    return TrainingBatches(X[:40], labels[:40], 1, 10, seed=0), X[40:], labels[40:]


def accuracy_of(head: Head, X: Matrix, y: Labels) -> float:
    return score(head.logits([X]), y).correct / len(y)


WIDE_EPOCHS = 3


@pytest.mark.slow
def test_the_wide_head_learns_on_logits(like_vgg: tuple[TrainingBatches, Matrix, Labels]) -> None:
    """51.9 million parameters, raw features and Adam at 1e-3, as the recipe says, for 12 steps."""
    batches, X, y = like_vgg
    recipe = load_recipe("covid4-vgg16")
    head = Head.build(recipe.head, 25_088, 4)
    fit = recipe.fit.model_copy(update={"epochs": WIDE_EPOCHS})
    assert (fit.learning_rate, fit.batch_size) == (1e-3, 10)
    fit_with_keras(head, batches, fit)
    assert accuracy_of(head, X, y) > 0.75


@pytest.mark.slow
def test_the_wide_head_is_stuck_on_clipped_probabilities(like_vgg: tuple[TrainingBatches, Matrix, Labels]) -> None:
    """Why the fit takes the logits: the same head and data, with the loss behind a clipped softmax."""
    batches, X, y = like_vgg
    keras = load_keras()
    head = Head.build(load_recipe("covid4-vgg16").head, 25_088, 4)

    def clipped(truth: Any, given: Any) -> Any:
        own = keras.ops.sum(given * keras.ops.one_hot(keras.ops.reshape(truth, (-1,)), 4), axis=1)
        return -keras.ops.log(keras.ops.clip(own, 1e-7, 1 - 1e-7))

    head.model.compile(keras.optimizers.Adam(1e-3), clipped)
    for number in range(WIDE_EPOCHS):
        for batch in batches.epoch(number):
            head.model.train_on_batch(*batch)
    assert accuracy_of(head, X, y) < 0.5
    assert accuracy_of(head, batches.rows[np.arange(40)], batches.labels) < 0.5
