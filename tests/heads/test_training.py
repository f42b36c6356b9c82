from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from training_by_hand import ByHand

from featx.heads.fused.layers import SeededMasks
from featx.heads.head import Head
from featx.heads.sampling import TrainingBatches
from featx.heads.training import Batches, Epoch, KerasLoop, fit_epochs
from featx.networks import load_keras
from featx.recipes import DenseLayer, DropoutLayer, FitPart, HeadPart, load_recipe
from featx.recipes.schema import SchedulePart
from featx.stats import Score, score

Matrix = NDArray[np.float32]
Labels = NDArray[np.int64]
LINEAR = HeadPart()
WITH_DROPOUT = HeadPart(
    layers=(DenseLayer(type="dense", units=16, activation="relu"), DropoutLayer(type="dropout", rate=0.5))
)


def rows(n: int = 23, classes: int = 3, width: int = 6, seed: int = 0) -> tuple[Matrix, Labels]:
    """Rows whose classes lie a little apart."""
    generator = np.random.default_rng(seed)
    labels = np.arange(n) % classes
    centres = np.random.default_rng(1).normal(size=(classes, width))
    return (centres[labels] + generator.normal(size=(n, width))).astype(np.float32), labels


def nothing_held_out() -> Score:
    return Score(0, 0, None)


def fitted(
    fit: FitPart, spec: HeadPart = LINEAR, classes: int = 3, data: tuple[Matrix, Labels] | None = None, seed: int = 0
) -> tuple[Head, list[Epoch]]:
    X, y = data or rows(classes=classes)
    head = Head.build(spec, X.shape[1], classes, seed)
    batches = TrainingBatches(X, y, 1, fit.batch_size, seed)
    return head, fit_with_keras(head.logits_model, batches, nothing_held_out, fit, lambda epoch: None)


def fit_with_keras(
    model: Any,
    batches: Batches,
    validate: Callable[[], Score],
    fit: FitPart,
    on_epoch: Callable[[Epoch], None],
) -> list[Epoch]:
    return fit_epochs(KerasLoop(model, fit).run_epoch, batches, validate, fit, on_epoch)


SCHEDULE = SchedulePart(kind="factor", boundaries=(1, 3), values=(1.0, 0.1, 3.0))


@pytest.mark.parametrize(("output", "classes"), [("softmax", 3), ("softmax", 2), ("sigmoid", 2)])
@pytest.mark.parametrize("batch_size", [1, 5, 23])
def test_training_is_that_in_plain_numpy(output: str, classes: int, batch_size: int) -> None:
    """Adam's constants, the loss, the schedule, the last partial batch, and the epoch's means, all at once."""
    fit = FitPart(epochs=4, batch_size=batch_size, learning_rate=0.02, schedule=SCHEDULE)
    X, y = rows(classes=classes)
    head_spec = LINEAR.model_copy(update={"output": output})
    head = Head.build(head_spec, X.shape[1], classes, 0)
    batches = TrainingBatches(X, y, 1, batch_size, seed=3)
    hand = ByHand(head_spec, head.model.get_weights(), SeededMasks(head_spec, 0))
    expected = [hand.run_epoch(batches, number, fit.rate(number), False) for number in range(fit.epochs)]
    history = fit_with_keras(head.logits_model, batches, nothing_held_out, fit, lambda epoch: None)
    for found, wanted in zip(head.model.get_weights(), hand.weights, strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-3, atol=1e-4)
    assert [epoch.epoch for epoch in history] == [0, 1, 2, 3]
    np.testing.assert_allclose([(epoch.loss, epoch.accuracy) for epoch in history], expected, rtol=1e-4)
    assert [epoch.learning_rate for epoch in history] == pytest.approx([0.02, 0.002, 0.002, 0.06])
    assert {(epoch.val_loss, epoch.val_accuracy) for epoch in history} == {(None, None)}


def test_each_epoch_is_reported_as_it_ends() -> None:
    X, y = rows()
    head = Head.build(LINEAR, X.shape[1], 3)
    reported: list[Epoch] = []
    validated: list[int] = []

    def validate() -> Score:
        validated.append(len(reported))
        return Score(1, 1, 0.25)

    history = fit_with_keras(
        head.logits_model, TrainingBatches(X, y, 1, 8, 0), validate, FitPart(epochs=3), reported.append
    )
    assert reported == history
    assert validated == [0, 1, 2]
    assert [(epoch.val_loss, epoch.val_accuracy) for epoch in history] == [(0.25, 1.0)] * 3


def test_the_seed_decides_the_fit() -> None:
    fit = FitPart(epochs=3, batch_size=4, learning_rate=0.01)
    (one, first), (two, again), (three, other) = (fitted(fit, WITH_DROPOUT, seed=seed) for seed in (5, 5, 6))
    for a, b in zip(one.model.get_weights(), two.model.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose([e.loss for e in first], [e.loss for e in again], rtol=1e-6)
    assert not np.allclose(one.model.get_weights()[0], three.model.get_weights()[0], rtol=0.1)
    assert not np.allclose([e.loss for e in first], [e.loss for e in other], rtol=1e-3)


class SameBatch:
    """One batch of the same rows, again and again."""

    def __init__(self, X: Matrix, y: Labels) -> None:
        self.batch = X, y

    def epoch(self, number: int) -> Iterator[tuple[Matrix, Labels]]:
        yield self.batch


def test_dropout_is_on_for_training_and_off_for_validation() -> None:
    """The same rows on both sides, and no learning: the held-out loss stands still, the training loss does not."""
    spec = HeadPart(layers=(DropoutLayer(type="dropout", rate=0.8), DenseLayer(type="dense", units=8)))
    X, y = rows()
    head = Head.build(spec, X.shape[1], 3)
    w1, b1, w2, b2 = (weight.astype(np.float64) for weight in head.model.get_weights())
    logits = ((X @ w1 + b1) @ w2 + b2).astype(np.float32)
    expected = score(logits, y)
    history = fit_with_keras(
        head.logits_model,
        SameBatch(X, y),
        lambda: score(head.logits([X]), y),
        FitPart(epochs=4, learning_rate=1e-30),
        lambda epoch: None,
    )
    assert [epoch.val_loss for epoch in history] == pytest.approx([expected.loss] * 4, rel=1e-5)
    assert [epoch.val_accuracy for epoch in history] == [expected.accuracy] * 4
    losses = [epoch.loss for epoch in history]
    assert len(set(losses)) == 4
    assert not np.isclose(losses, np.float64(expected.loss or 0), rtol=1e-3).any()


def test_fitting_separates_what_can_be_separated() -> None:
    data = rows(n=90)
    head, history = fitted(FitPart(epochs=25, batch_size=10, learning_rate=0.01), WITH_DROPOUT, data=data)
    assert history[-1].loss < 0.7 * history[0].loss
    fresh_X, fresh_y = rows(n=300, seed=1)
    accuracy = score(head.logits([fresh_X]), fresh_y).accuracy
    assert accuracy is not None
    assert accuracy > 0.6


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


def rows_of(batches: TrainingBatches) -> tuple[Matrix, Labels]:
    order = np.arange(len(batches.labels))
    return batches.rows[order], batches.labels


WIDE_EPOCHS = 3


def test_the_wide_head_learns_on_logits(like_vgg: tuple[TrainingBatches, Matrix, Labels]) -> None:
    """51.9 million parameters, raw features and Adam at 1e-3, as the recipe says, for 12 steps."""
    batches, X, y = like_vgg
    recipe = load_recipe("covid4-vgg16")
    head = Head.build(recipe.head, 25_088, 4)
    fit = recipe.fit.model_copy(update={"epochs": WIDE_EPOCHS})
    assert (fit.learning_rate, fit.batch_size) == (1e-3, 10)
    fit_with_keras(head.logits_model, batches, nothing_held_out, fit, lambda epoch: None)
    assert accuracy_of(head, X, y) > 0.75


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
    assert accuracy_of(head, *rows_of(batches)) < 0.5
