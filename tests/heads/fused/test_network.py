"""The fused engine against Keras, and against the same training in plain NumPy in double precision."""

from __future__ import annotations

import os
import subprocess
import sys
import tracemalloc
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from training_by_hand import ByHand, Labels, Matrix, SameBatches, check_same_bits, dense, dropout, rows

from featx.heads.fused.class_loss import cross_entropy
from featx.heads.fused.layers import SeededMasks
from featx.heads.fused.network import FusedNetwork
from featx.heads.head import Head, initial_weights
from featx.heads.keras_loop import KerasLoop
from featx.heads.sampling import TrainingBatches
from featx.heads.training import Batches, Trainer, fit_epochs
from featx.recipes import DenseLayer, FitPart, HeadPart
from featx.recipes.schema import SchedulePart
from featx.stats import Score

RunEpoch = Callable[[Batches, int, float, bool], tuple[float, float]]
LINEAR = HeadPart()
SIGMOID = HeadPart(output="sigmoid")
ONE_LAYER = HeadPart(layers=(dense(19),))
DEEP = HeadPart(layers=(dense(24), dense(9, "linear"), dense(17)))
DEEP_SIGMOID = HeadPart(layers=(dense(13, "linear"), dense(16)), output="sigmoid")
WITH_DROPOUT = HeadPart(layers=(dropout(0.4), dense(18), dropout(0.3), dense(7, "linear")))


def drawn_weights(spec: HeadPart, width: int, classes: int, seed: int = 0) -> list[Matrix]:
    """Kernels of a size that keeps values as large as they are, and biases that are not zero."""
    generator = np.random.default_rng(seed)
    units = [layer.units for layer in spec.layers if isinstance(layer, DenseLayer)]
    widths = [width, *units, 1 if spec.output == "sigmoid" else classes]
    weights = []
    for d, h in pairwise(widths):
        kernel, bias = generator.normal(size=(d, h)) * np.sqrt(2 / (d + h)), 0.1 * generator.normal(size=h)
        weights += [kernel.astype(np.float32), bias.astype(np.float32)]
    return weights


def network(spec: HeadPart, weights: Sequence[Matrix], masks: SeededMasks | None = None) -> FusedNetwork:
    """A network with weights of its own."""
    pairs = [(kernel.copy(), bias.copy()) for kernel, bias in zip(weights[::2], weights[1::2], strict=True)]
    return FusedNetwork(spec, pairs, masks or SeededMasks(spec, 0))


def fit(run_epoch: RunEpoch, batches: Batches, rates: Sequence[float]) -> list[tuple[float, float]]:
    """Fit for an epoch a rate; return loss and accuracy of each."""
    last = len(rates) - 1
    return [run_epoch(batches, number, rate, number == last) for number, rate in enumerate(rates)]


def apart(found: Any, expected: Any) -> float:
    """The relative norm of the difference."""
    return float(np.linalg.norm(found - expected) / np.linalg.norm(expected))


# Against the engine keras, with the same weights and batches.

SCHEDULE = SchedulePart(kind="factor", boundaries=(2, 5), values=(1.0, 0.2, 2.0))


@dataclass(frozen=True)
class Case:
    """A training of at least 50 steps."""

    spec: HeadPart
    classes: int
    n: int
    batch_size: int
    epochs: int
    zeros: float = 0.0
    schedule: SchedulePart | None = None
    weight_decay: float = 0.0
    class_weights: tuple[float, ...] | None = None


CASES = {
    "linear, last batch partial": Case(LINEAR, 4, n=47, batch_size=10, epochs=11, schedule=SCHEDULE),
    "linear, wide batches of sparse rows": Case(LINEAR, 3, n=64, batch_size=32, epochs=25, zeros=0.75),
    "sigmoid, last batch of 1": Case(SIGMOID, 2, n=41, batch_size=8, epochs=9, zeros=0.75, schedule=SCHEDULE),
    "one layer, batches of 1": Case(ONE_LAYER, 3, n=26, batch_size=1, epochs=2, zeros=0.75),
    "one layer, last batch of 2": Case(ONE_LAYER, 2, n=50, batch_size=12, epochs=10, schedule=SCHEDULE),
    "deep, last batch partial": Case(DEEP, 4, n=47, batch_size=10, epochs=11, zeros=0.75, schedule=SCHEDULE),
    "deep, dense rows": Case(DEEP, 2, n=40, batch_size=8, epochs=10),
    "decay, sparse rows": Case(LINEAR, 3, n=64, batch_size=32, epochs=25, zeros=0.95, weight_decay=8.0),
    "decay, deep sigmoid": Case(
        DEEP_SIGMOID, 2, n=45, batch_size=7, epochs=8, zeros=0.95, schedule=SCHEDULE, weight_decay=20.0
    ),
    "class weights": Case(DEEP, 4, n=47, batch_size=10, epochs=11, class_weights=(0.3, 4.0, 1.0, 0.5)),
    "class weights, sigmoid": Case(SIGMOID, 2, n=41, batch_size=8, epochs=9, class_weights=(0.6, 3.0)),
    "deep sigmoid": Case(DEEP_SIGMOID, 2, n=45, batch_size=7, epochs=8, zeros=0.75, schedule=SCHEDULE),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_losses_and_weights_are_those_of_the_engine_keras(name: str) -> None:
    case, width = CASES[name], 37
    X, y = rows(case.n, width, case.classes, case.zeros)
    batches = TrainingBatches(X, y, 1, case.batch_size, seed=4)
    part = FitPart(epochs=case.epochs, learning_rate=3e-3, schedule=case.schedule)
    assert batches.steps * case.epochs >= 50

    head = Head.build(case.spec, width, case.classes, seed=6)
    start = head.model.get_weights()
    drawn = initial_weights(case.spec, width, case.classes, 6)
    weights = None if case.class_weights is None else np.array(case.class_weights, np.float32)
    fused = FusedNetwork(case.spec, drawn, SeededMasks(case.spec, 0), case.weight_decay, weights)

    trainers: list[Trainer] = [KerasLoop(head.logits_model, case.weight_decay, weights), fused]
    wanted, history = (list(fit_epochs(trainer, batches, lambda: Score(0, 0, None), part)) for trainer in trainers)
    np.testing.assert_allclose([epoch.loss for epoch in history], [epoch.loss for epoch in wanted], rtol=1e-5)
    np.testing.assert_allclose([e.accuracy for e in history], [e.accuracy for e in wanted], rtol=1e-6)
    assert [e.learning_rate for e in history] == [e.learning_rate for e in wanted]
    np.testing.assert_allclose(fused.logits([X]), head.logits([X]), rtol=1e-4, atol=1e-4)
    found, expected = fused.take_weights(), head.model.get_weights()
    assert [weight.shape for weight in found] == [weight.shape for weight in expected]
    assert max(map(apart, found, expected)) < 1e-4
    assert min(map(apart, start, expected)) > 0.05  # they have moved far


@pytest.mark.slow
def test_epsilon_is_added_where_keras_adds_it() -> None:
    """Some features are so small that Adam's epsilon decides how far their weights move; others are large."""
    scale = 10.0 ** np.arange(-9, 4)
    X, y = rows(20, len(scale), 3)
    X = (X * scale).astype(np.float32)
    batches = TrainingBatches(X, y, 1, 6, seed=0)
    head = Head.build(LINEAR, len(scale), 3, seed=0)
    start = head.model.get_weights()
    fused = network(LINEAR, start)
    fit(KerasLoop(head.logits_model).run_epoch, batches, [1e-3] * 3)
    fit(fused.run_epoch, batches, [1e-3] * 3)
    found, expected = fused.take_weights()[0], head.model.get_weights()[0]
    moved = np.abs(expected - start[0]).max(1)
    assert moved[0] < moved[4] / 2 < moved[-1] / 4
    # What is left of a small step once it is added to a weight of about 1.
    np.testing.assert_allclose(found - start[0], expected - start[0], rtol=1e-2, atol=1e-6)


# Dropout, with the same masks.


@pytest.mark.parametrize(
    "spec",
    [
        HeadPart(layers=(dropout(0.4),)),
        HeadPart(layers=(dense(18), dropout(0.5)), output="sigmoid"),
        HeadPart(layers=(dropout(0.4), dense(18), dropout(0.3), dense(7, "linear"))),
        HeadPart(layers=(dropout(0.3), dropout(0.5), dense(18), dropout(0.2), dropout(0.0), dropout(0.6))),
    ],
    ids=["at the input", "at the end", "between layers", "twice in a row"],
)
def test_the_same_masks_give_the_values_of_plain_numpy(spec: HeadPart) -> None:
    classes = 2 if spec.output == "sigmoid" else 3
    X, y = rows(45, 30, classes)
    batches = TrainingBatches(X, y, 1, 8, seed=3)
    masks = SeededMasks(spec, 9)
    weights = drawn_weights(spec, 30, classes)
    hand, fused = ByHand(spec, list(weights), masks), network(spec, weights, masks)
    # At larger rates training magnifies the rounding of single precision.
    rates = [1.5e-3] * 5 + [5e-4] * 4
    np.testing.assert_allclose(fit(fused.run_epoch, batches, rates), fit(hand.run_epoch, batches, rates), rtol=1e-5)
    assert max(map(apart, fused.take_weights(), hand.weights)) < 1e-4
    assert min(map(apart, weights, hand.weights)) > 0.05


@pytest.mark.parametrize("spec", [LINEAR, WITH_DROPOUT], ids=["linear", "dropout"])
def test_decay_and_class_weights_are_those_of_plain_numpy(spec: HeadPart) -> None:
    """With features that are rarely active, some never, under dropout and changing rates, row by row."""
    batches, rates, decay = rare_features(), [1e-2, 1e-3, 1e-2], 5.0
    counts = np.array([0.5, 2.0, 1.0], np.float32)
    weights, masks = drawn_weights(spec, 45, 3), SeededMasks(spec, 4)
    hand = ByHand(spec, list(weights), masks, weight_decay=decay, class_weights=counts)
    pairs = [(kernel.copy(), bias.copy()) for kernel, bias in zip(weights[::2], weights[1::2], strict=True)]
    fused = FusedNetwork(spec, pairs, masks, decay, counts)
    np.testing.assert_allclose(fit(fused.run_epoch, batches, rates), fit(hand.run_epoch, batches, rates), rtol=1e-4)
    found = fused.take_weights()
    assert max(map(apart, found, hand.weights)) < 1e-3
    left = np.prod([(1 - rate * decay) ** len(batches.batches) for rate in rates])
    assert 0.01 < left < 0.1
    np.testing.assert_allclose(found[0][ACTIVE:], weights[0][ACTIVE:] * left, rtol=1e-4)


def test_masks_keep_their_share_and_depend_on_seed_epoch_step_and_place() -> None:
    masks, shape = SeededMasks(WITH_DROPOUT, 3), (50, 400)
    kept = masks(0, 0, 0, shape)
    assert kept.mean() == pytest.approx(0.6, abs=0.02)
    assert masks(0, 0, 2, shape).mean() == pytest.approx(0.7, abs=0.02)
    np.testing.assert_array_equal(SeededMasks(WITH_DROPOUT, 3)(0, 0, 0, shape), kept)
    others = [masks(1, 0, 0, shape), masks(0, 1, 0, shape), SeededMasks(WITH_DROPOUT, 4)(0, 0, 0, shape)]
    twice = SeededMasks(HeadPart(layers=(dropout(0.4), dropout(0.4))), 3)
    for other in (*others, twice(0, 0, 1, shape)):
        # Independent masks agree by chance.
        assert (other == kept).mean() == pytest.approx(0.52, abs=0.03)


# Against plain NumPy in double precision.


HEADS = st.builds(
    lambda layers, sigmoid: HeadPart(layers=tuple(layers), output="sigmoid" if sigmoid else "softmax"),
    st.lists(
        st.builds(dense, st.integers(1, 40), st.sampled_from(["relu", "linear"]))
        | st.builds(dropout, st.sampled_from([0.0, 0.25, 0.6])),
        max_size=5,
    ).filter(lambda layers: sum(isinstance(layer, DenseLayer) for layer in layers) <= 3),
    st.booleans(),
)


@pytest.mark.slow
@settings(deadline=None, max_examples=60, derandomize=True)
@given(
    spec=HEADS,
    width=st.integers(1, 70),
    classes=st.integers(2, 6),
    n=st.integers(1, 40),
    batch_size=st.integers(1, 12),
    views=st.integers(1, 3),
    zeros=st.sampled_from([0.0, 0.5, 0.75, 0.97]),
    rates=st.lists(st.sampled_from([1e-2, 3e-3, 1e-4]), min_size=1, max_size=3),
    seed=st.integers(0, 99),
)
def test_any_training_is_that_in_plain_numpy(
    spec: HeadPart,
    width: int,
    classes: int,
    n: int,
    batch_size: int,
    views: int,
    zeros: float,
    rates: list[float],
    seed: int,
) -> None:
    classes = 2 if spec.output == "sigmoid" else classes
    X, y = rows(n * views, width, classes, zeros, seed)
    batches = TrainingBatches(X, y[::views], views, batch_size, seed)
    weights, masks = drawn_weights(spec, width, classes, seed), SeededMasks(spec, seed)
    hand, fused = ByHand(spec, list(weights), masks), network(spec, weights, masks)
    expected = fit(hand.run_epoch, batches, rates)
    # Nearer to a corner, single and double precision may go to either side.
    assume(hand.margin > 1e-5)
    np.testing.assert_allclose(fit(fused.run_epoch, batches, rates), expected, rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(fused.logits([X[:3], X[3:]]), hand.logits(X), rtol=1e-2, atol=1e-3)
    for found, wanted, start in zip(fused.take_weights(), hand.weights, weights, strict=True):
        # Adam blows up the rounding of gradients that cancel; epsilon keeps it below a hundredth of a step.
        assert np.linalg.norm(found - wanted) < 1e-2 * np.linalg.norm(wanted - start) + 1e-2 * rates[0]


# The loss.


@pytest.mark.parametrize("sigmoid", [False, True])
def test_the_loss_of_any_logits(sigmoid: bool) -> None:
    """Also for logits whose exponential overflows."""
    z = np.array([0.0, -0.5, 3.0, 40.0, -40.0, 90.0, -90.0, 2e4, -2e4])
    logits = z[:, None] if sigmoid else np.stack([np.zeros_like(z), z], axis=1)
    for label in (0, 1):
        with np.errstate(over="ignore"):  # as the engine has it
            loss, hits, delta = cross_entropy(logits.astype(np.float32), np.full(len(z), label))
        p = np.exp(-np.logaddexp(0, -z))
        own = np.logaddexp(0, -z) if label else np.logaddexp(0, z)
        assert loss == pytest.approx(own.sum(), rel=1e-6)
        assert hits == int(((z > 0) == label).sum())
        np.testing.assert_allclose(delta[:, -1] * len(z), p - label, rtol=1e-5, atol=1e-7)
        assert delta.dtype == np.float32
        if not sigmoid:
            np.testing.assert_allclose(delta.sum(1), 0, atol=1e-8)


# Rows of weights that are skipped until they are needed.


def rare_features(steps: int = 30) -> SameBatches:
    """Feature i is active every i + 1 steps (10, say, in the tenth and the twentieth), the last 5 of 45 in none."""
    X, y = rows(4 * steps, 45, 3)
    step = np.arange(len(X)) // 4 + 1
    X[step[:, None] % np.arange(1, 46) != 0] = 0
    X[:, -5:] = 0
    return SameBatches(*((X[k : k + 4], y[k : k + 4]) for k in range(0, len(X), 4)))


ACTIVE = 30  # features of `rare_features` that are active at all


@pytest.mark.parametrize("spec", [LINEAR, DEEP], ids=["linear", "deep"])
def test_rarely_active_features_are_trained_like_all_others(spec: HeadPart) -> None:
    """Row by row of the first kernel: in a norm of the whole, one wrong row would not show."""
    batches, rates = rare_features(), [1e-2, 1e-4, 1e-2]
    weights = drawn_weights(spec, 45, 3)
    hand, fused = ByHand(spec, list(weights), SeededMasks(spec, 0)), network(spec, weights)
    np.testing.assert_allclose(fit(fused.run_epoch, batches, rates), fit(hand.run_epoch, batches, rates), rtol=1e-4)
    found, expected, start = fused.take_weights()[0], hand.weights[0], weights[0]
    moved = np.linalg.norm(expected - start, axis=1)
    assert moved[:ACTIVE].min() > 0.01
    assert (np.linalg.norm(found - expected, axis=1) < 1e-3 * moved)[:ACTIVE].all()
    np.testing.assert_array_equal(found[ACTIVE:], start[ACTIVE:])


def test_a_feature_is_active_again_after_a_thousand_steps() -> None:
    X, y = rows(1100, 4, 2)
    X[:, 2] = 0
    X[[3, 4, 1095], 2] = 1.5
    batches = TrainingBatches(X, y, 1, 1, seed=0)
    weights = drawn_weights(SIGMOID, 4, 2)
    hand, fused = ByHand(SIGMOID, list(weights), SeededMasks(SIGMOID, 0)), network(SIGMOID, weights)
    fit(hand.run_epoch, batches, [1e-3, 1e-4])
    fit(fused.run_epoch, batches, [1e-3, 1e-4])
    found, expected = fused.take_weights()[0], hand.weights[0]
    assert apart(found[2] - weights[0][2], expected[2] - weights[0][2]) < 1e-3
    assert apart(found, expected) < 1e-4


@pytest.mark.parametrize("spec", [LINEAR, WITH_DROPOUT], ids=["linear", "dropout"])
def test_logits_during_training_change_nothing(spec: HeadPart) -> None:
    batches, rates = rare_features(), [1e-2] * 4
    weights, masks = drawn_weights(spec, 45, 3), SeededMasks(spec, 0)
    X = np.concatenate([batch for batch, _ in batches.batches])
    hand, interrupted, plain = ByHand(spec, list(weights), masks), network(spec, weights), network(spec, weights)
    interrupted.logits([X])
    for number, rate in enumerate(rates):
        last = number == len(rates) - 1
        hand.run_epoch(batches, number, rate, last)
        assert interrupted.run_epoch(batches, number, rate, last) == plain.run_epoch(batches, number, rate, last)
        # They are those of the current weights, without dropout.
        np.testing.assert_allclose(
            interrupted.logits([X[:50], X[50:51], X[51:]]), hand.logits(X), rtol=1e-3, atol=1e-3
        )
    check_same_bits(interrupted.take_weights(), plain.take_weights())


def test_logits_of_no_rows() -> None:
    fused = network(ONE_LAYER, drawn_weights(ONE_LAYER, 5, 3))
    assert fused.logits([]).shape == fused.logits([np.empty((0, 5), np.float32)]).shape == (0, 3)


# The same bits.


def fitted(seed: int = 0) -> list[Any]:
    """History, weights and logits of a small fit with dropout, of 3 epochs of 6 batches."""
    X, y = rows(46, 150, 4, zeros=0.75)
    weights = drawn_weights(WITH_DROPOUT, 150, 4)
    fused = network(WITH_DROPOUT, weights, SeededMasks(WITH_DROPOUT, seed))
    history = fit(fused.run_epoch, TrainingBatches(X, y, 1, 8, seed=2), [1e-2, 1e-2, 1e-3])
    logits = fused.logits([X])
    return [history, logits, *fused.take_weights()]


def test_the_seed_decides_the_masks() -> None:
    check_same_bits(fitted(seed=5), fitted(seed=5))
    assert apart(fitted(seed=6)[2], fitted(seed=5)[2]) > 1e-2


FITS_AT_ONCE = """
import sys
from concurrent.futures import ThreadPoolExecutor
from featx.heads.fused import adam, entries
from test_network import fitted
from training_by_hand import check_same_bits

adam.SMALL = entries.SMALL = 0
expected = fitted()
sys.setswitchinterval(1e-5)
with ThreadPoolExecutor(4) as threads:
    for found in threads.map(lambda _: fitted(), range(40)):
        check_same_bits(found, expected)
print("the same")
"""


@pytest.mark.slow
def test_several_fits_at_once_in_one_process() -> None:
    """With Numba's own threads, which end the process if two Python threads use them at the same time."""
    environment = os.environ | {
        "NUMBA_THREADING_LAYER": "workqueue",
        "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path]),
    }
    ended = subprocess.run([sys.executable, "-c", FITS_AT_ONCE], env=environment, capture_output=True, text=True)
    assert (ended.returncode, ended.stdout) == (0, "the same\n"), ended.stderr


# Memory.


class Store:
    """Rows that record how many are read at once, and how many batches of them are in memory."""

    def __init__(self, X: Matrix) -> None:
        self.X = X
        self.lengths: list[int] = []
        self.most_alive = 0
        self._given: list[weakref.ref[Matrix]] = []

    def __getitem__(self, index: Labels, /) -> Matrix:
        batch = self.X[index]
        self.lengths.append(len(index))
        self._given.append(weakref.ref(batch))
        self.most_alive = max(self.most_alive, sum(ref() is not None for ref in self._given))
        return batch


@pytest.mark.parametrize("spec", [LINEAR, WITH_DROPOUT], ids=["linear", "dropout"])
def test_rows_are_read_one_batch_at_a_time(spec: HeadPart) -> None:
    X, y = rows(103, 12, 3)
    store = Store(X)
    fused = network(spec, drawn_weights(spec, 12, 3))
    fit(fused.run_epoch, TrainingBatches(store, y, 1, 10, seed=0), [1e-3] * 3)
    # The first batch of an epoch is read with the last one of the epoch before.
    assert sorted(store.lengths) == [3] * 3 + [10] * (3 * 10 + 2)
    # The current batch, the next one, the one that is being prepared, and the one just read.
    assert store.most_alive <= 4


def test_memory_is_weights_and_moments_and_little_else() -> None:
    """No gradient of the kernel is stored, nor a copy of it."""
    X, y = rows(16, 1024, 3, zeros=0.75)
    spec = HeadPart(layers=(dropout(0.4), dense(1024)))
    weights = drawn_weights(spec, 1024, 3)
    batches = TrainingBatches(X, y, 1, 4, seed=0)
    fit(network(spec, weights).run_epoch, batches, [1e-3])  # what is compiled stays in memory
    tracemalloc.start()
    fused = FusedNetwork(spec, zip(weights[::2], weights[1::2], strict=True), SeededMasks(spec, 0))
    fit(fused.run_epoch, batches, [1e-3] * 2)
    fused.logits([X[:4]])
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    moments = 2 * weights[0].nbytes
    assert moments <= peak < moments + weights[0].nbytes / 4


# Training that diverges.


@pytest.mark.parametrize("spec", [LINEAR, SIGMOID, DEEP, WITH_DROPOUT], ids=["linear", "sigmoid", "deep", "dropout"])
@pytest.mark.parametrize("rate", [1e30, 1e300])
def test_training_that_diverges_has_no_finite_loss_and_does_not_warn(spec: HeadPart, rate: float) -> None:
    classes = 2 if spec.output == "sigmoid" else 3
    X, y = rows(30, 12, classes)
    fused = network(spec, drawn_weights(spec, 12, classes))
    history = fit(fused.run_epoch, TrainingBatches(X * np.float32(1e10), y, 1, 10, seed=0), [rate] * 2)
    assert not np.isfinite([loss for loss, _ in history]).all()
    assert not np.isfinite(fused.logits([X * np.float32(1e10)])).all()
