from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from sklearn.utils.class_weight import compute_class_weight
from training_by_hand import ByHand, Labels, Matrix, SameBatches, dense, dropout, rows

from featx.heads.fused.layers import SeededMasks
from featx.heads.head import Head
from featx.heads.keras_loop import KerasLoop
from featx.heads.sampling import TrainingBatches
from featx.heads.training import (
    Batches,
    Epoch,
    balanced_weights,
    best_epoch,
    describe_stopping,
    fit_epochs,
)
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
    return list(fit_epochs(KerasLoop(head.logits_model), batches, validate, fit))


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
    for epoch in fit_epochs(
        KerasLoop(head.logits_model), TrainingBatches(X, y, 1, 8, 0), validate, FitPart(epochs=3)
    ):
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


# Stopping.


class Recorder:
    """A trainer that only records what it is asked to do."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def run_epoch(self, batches: Batches, number: int, rate: float, last: bool) -> tuple[float, float]:
        self.calls.append(f"epoch {number}{', the last' if last else ''}")
        return 0.5, 0.5

    def keep_weights(self, nth: int = 1) -> None:
        self.calls.append("keep" if nth == 1 else f"keep as number {nth} of a mean")

    def restore_weights(self) -> None:
        self.calls.append("restore")


def trained_on(losses: Sequence[float | None], **fit: Any) -> tuple[list[str], list[Epoch]]:
    """What a trainer does if these are the validation losses, and the history."""
    trainer, given = Recorder(), iter(losses)
    history = list(
        fit_epochs(trainer, SameBatches(), lambda: Score(1, 1, next(given)), FitPart(epochs=len(losses), **fit))
    )
    return trainer.calls, history


def test_training_ends_when_patience_ends_and_the_best_weights_are_put_back() -> None:
    calls, history = trained_on([0.9, 0.5, 0.6, 0.4, 0.4, 0.7, 0.1], patience=2)
    assert calls == [
        *("epoch 0", "keep", "epoch 1", "keep", "epoch 2", "epoch 3", "keep", "epoch 4", "epoch 5", "restore"),
    ]
    assert [epoch.val_loss for epoch in history] == [0.9, 0.5, 0.6, 0.4, 0.4, 0.7]


def test_the_best_weights_are_put_back_after_all_epochs_too() -> None:
    calls, history = trained_on([0.9, 0.5, 0.6], patience=5)
    assert calls == ["epoch 0", "keep", "epoch 1", "keep", "epoch 2, the last", "restore"]
    assert len(history) == 3


def test_without_patience_no_weights_are_kept() -> None:
    calls, history = trained_on([0.1, 0.5, 0.6])
    assert calls == ["epoch 0", "epoch 1", "epoch 2, the last"]
    assert len(history) == 3


def test_losses_that_are_not_finite_are_no_best_ones() -> None:
    calls, _ = trained_on([np.nan, 0.5, np.inf, 0.6], patience=2)
    assert calls == ["epoch 0", "epoch 1", "keep", "epoch 2", "epoch 3, the last", "restore"]


@pytest.mark.parametrize(
    ("losses", "expected"),
    [
        ([0.5, 0.3, 0.4], 1),
        ([0.3, 0.2, 0.2], 1),
        ([np.nan, 0.4, np.inf], 1),
        ([None, None], None),
        ([np.nan], None),
        ([], None),
    ],
)
def test_the_best_epoch_is_the_first_of_the_lowest_finite_losses(
    losses: list[float | None], expected: int | None
) -> None:
    assert best_epoch(losses) == expected


FALLING = [1.0, 0.8, 0.6, 0.5]


@pytest.mark.parametrize(
    ("losses", "fit", "expected"),
    [
        (FALLING, FitPart(epochs=4), None),
        ([None] * 4, FitPart(epochs=4), None),
        ([*FALLING, 0.5001], FitPart(epochs=5), None),
        (
            [*FALLING, 0.75],
            FitPart(epochs=5),
            "validation loss was lowest at epoch 4 of 5 (0.500) and has risen since (0.750); --patience 10 would "
            "have kept that epoch",
        ),
        (
            [1.0, *[2.0] * 11, 0.5, 3.0],
            FitPart(epochs=14),
            "validation loss was lowest at epoch 13 of 14 (0.500) and has risen since (3.000); --patience 12 would "
            "have kept that epoch",
        ),
        (
            [*FALLING, 0.75, 0.8],
            FitPart(epochs=30, patience=2),
            "stopped at epoch 6 of 30; the weights of epoch 4, with the lowest validation loss (0.500), are kept",
        ),
        (
            [*FALLING, 0.75],
            FitPart(epochs=5, patience=2),
            "the weights of epoch 4, with the lowest validation loss (0.500), are kept",
        ),
        (FALLING, FitPart(epochs=4, patience=2), None),
    ],
)
def test_what_is_said_of_stopping(losses: list[float | None], fit: FitPart, expected: str | None) -> None:
    assert describe_stopping(losses, fit) == expected


def test_the_patience_that_is_advised_keeps_the_best_epoch_and_a_smaller_one_would_not() -> None:
    losses = [1.0, *[2.0] * 11, 0.5, 3.0]
    sentence = describe_stopping(losses, FitPart(epochs=14)) or ""
    advised = int(sentence.partition("--patience ")[2].split()[0])
    for patience, kept in ((advised, 0.5), (advised - 1, 1.0)):
        _, history = trained_on(losses, patience=patience)
        assert min(epoch.val_loss or 9 for epoch in history) == kept


# Balance.


def test_balanced_weights_are_those_of_scikit_learn() -> None:
    labels = np.array([0] * 7 + [1] * 2 + [2])
    expected = compute_class_weight("balanced", classes=np.arange(3), y=labels)
    weights = balanced_weights(labels, 3)
    assert weights.dtype == np.float32
    np.testing.assert_allclose(weights, expected, rtol=1e-6)
    assert weights[labels].sum() == pytest.approx(len(labels))
    assert np.isfinite(balanced_weights(labels, 4)).all()


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
