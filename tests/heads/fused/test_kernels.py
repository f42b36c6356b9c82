"""Each kernel of the fused engine against NumPy in double precision."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numba
import numpy as np
import pytest
from numpy.typing import NDArray
from training_by_hand import check_same_bits

from featx.heads.fused import adam as fused_adam
from featx.heads.fused import entries as fused_entries
from featx.heads.fused.adam import BETA_1, BETA_2, AdamState, Pass, adam, adam_pass, catch_up
from featx.heads.fused.entries import CHUNKS, Entries, Matrix, compiled, dropped, entries_of, products

NOTHING = np.empty((0, 0), np.float32)
NO_DECAY = np.empty(0, np.float32)


@pytest.fixture
def most_threads() -> Iterator[int]:
    """How many there are; their number is put back."""
    most = numba.get_num_threads()
    yield most
    numba.set_num_threads(most)


def drawn(b: int, d: int, seed: int = 0, zeros: float = 0.6) -> Matrix:
    """Rows of either sign of which a share is zero."""
    generator = np.random.default_rng(seed)
    return (generator.normal(size=(b, d)) * (generator.random((b, d)) >= zeros)).astype(np.float32)


def rates_of(steps: int, rate: float = 0.01) -> Matrix:
    """A learning rate with Adam's bias correction, by step."""
    t = np.arange(1, steps + 1)
    return np.asarray(rate * np.sqrt(1 - BETA_2**t) / (1 - BETA_1**t), np.float32)


def decays_of(steps: int) -> Matrix:
    """What weight decay takes off in each step, under a learning rate that changes."""
    return np.where(np.arange(steps) % 7 < 4, 0.02, 0.005).astype(np.float32)


def layer(d: int, h: int, seed: int = 5) -> AdamState:
    w = np.random.default_rng(seed).normal(size=(d, h)).astype(np.float32)
    return AdamState(w, np.zeros_like(w), np.zeros_like(w), np.full(d, -1, np.int64))


def no_entries(d: int) -> Entries:
    return entries_of(np.zeros((1, d), np.float32))


def product(rows: Matrix, weights: Matrix) -> Matrix:
    sums = np.full((CHUNKS, len(rows), weights.shape[1]), np.nan, np.float32)
    products(entries_of(rows), weights, sums)
    total: Matrix = sums.sum(axis=0)
    return total


class Step:
    """One pass over a layer, with what it fills."""

    def __init__(
        self,
        state: AdamState,
        number: int,
        rates: Matrix,
        rows: Matrix,
        delta: Matrix,
        upcoming: Matrix,
        defer: bool,
        decays: Matrix = NO_DECAY,
    ) -> None:
        h = delta.shape[1]
        sums = np.full((CHUNKS, len(upcoming), h), np.nan, np.float32)
        # Where rows are deferred, their old weights are not at hand to be multiplied with.
        self.back = np.full((0 if defer else len(rows), rows.shape[1]), np.nan, np.float32)
        work = Pass(number, rates, decays, delta, sums, self.back, defer)
        adam_pass(state, entries_of(rows), entries_of(upcoming), work)
        self.product = sums.sum(axis=0)


# Compiling.


def test_a_function_without_a_file_is_compiled_but_not_kept() -> None:
    """As in an installation that may only be read, with no home folder to write to."""
    namespace: dict[str, Any] = {}
    exec("def doubled(x):\n    return 2 * x\n", namespace)
    assert compiled()(namespace["doubled"])(3) == 6


def test_machine_code_is_kept() -> None:
    vector = np.ones(3, np.float32)
    adam(vector, vector.copy(), vector.copy(), vector.copy(), np.float32(0.1))
    folder = Path(adam.stats.cache_path)  # type: ignore[attr-defined]
    assert list(folder.glob("adam.adam-*.nbc"))


# Entries.


@pytest.mark.parametrize(("b", "d"), [(1, 1), (3, 7), (4, 5), (5, 33), (10, 200)])
def test_entries_hold_all_that_is_not_zero_feature_by_feature(b: int, d: int) -> None:
    rows = drawn(b, d)
    entries = entries_of(rows)
    assert entries.start[0] == 0
    assert entries.start[-1] == len(entries.row) == len(entries.value)
    for i in range(d):
        now, then = entries.start[i], entries.start[i + 1]
        n = np.count_nonzero(rows[:, i])
        assert then - now == n
        np.testing.assert_array_equal(entries.row[now:then], rows[:, i].nonzero()[0])
        np.testing.assert_array_equal(entries.value[now:then], rows[rows[:, i] != 0, i])


def test_entries_of_nothing() -> None:
    for rows in (np.zeros((5, 4), np.float32), np.zeros((0, 4), np.float32), np.full((2, 4), -0.0, np.float32)):
        entries = entries_of(rows)
        assert entries.start.tolist() == [0] * 5
        assert len(entries.row) == len(entries.value) == 0


def test_nan_and_infinity_are_kept() -> None:
    """Otherwise training that has diverged would look as if it had not."""
    rows = np.array([[np.nan, 0, -np.inf], [0, 1e-45, 2]], np.float32)
    entries = entries_of(rows)
    assert entries.start.tolist() == [0, 1, 2, 4]
    assert np.isnan(entries.value[0])
    assert entries.value[1] == np.float32(1e-45)
    assert entries.value[2:].tolist() == [-np.inf, 2]
    assert np.isnan(product(rows, np.ones((3, 2), np.float32))[0]).all()


def test_read_only_rows_can_be_read() -> None:
    rows = drawn(3, 20)
    expected = entries_of(rows)
    rows.flags.writeable = False
    for found, wanted in zip(entries_of(rows), expected, strict=True):
        np.testing.assert_array_equal(found, wanted)


def test_dropout_scales_what_it_keeps() -> None:
    rows = np.array([[1, np.nan, -3], [np.inf, 5, 0]], np.float32)
    keep = np.array([[True, False, True], [False, True, True]])
    np.testing.assert_array_equal(dropped(rows, keep, np.float32(2)), [[2, 0, -6], [0, 10, 0]])


# Products.


@pytest.mark.parametrize(("b", "d", "h"), [(1, 1, 1), (4, 15, 3), (5, 16, 17), (12, 203, 40), (0, 5, 3)])
@pytest.mark.parametrize("zeros", [0.0, 0.75])
def test_products(b: int, d: int, h: int, zeros: float) -> None:
    rows, weights = drawn(b, d, zeros=zeros), drawn(d, h, seed=1, zeros=0)
    expected = rows.astype(np.float64) @ weights
    np.testing.assert_allclose(product(rows, weights), expected, rtol=1e-5, atol=1e-5)


def test_weights_of_inputs_that_are_zero_are_not_read() -> None:
    rows, weights = drawn(5, 40), drawn(40, 6, seed=1, zeros=0)
    rows[:, 7] = 0
    rows[:, 8] = [0, 0, 0, 2, 0]
    expected = product(rows, weights)
    weights[7:9] = np.nan
    expected[3] = np.nan
    np.testing.assert_array_equal(product(rows, weights), expected)


# Adam.


def test_adam_is_its_formula_for_gradients_of_all_sizes() -> None:
    """Tiny gradients show where epsilon is added: to the root of the uncorrected moment."""
    generator = np.random.default_rng(0)
    size = 10.0 ** np.arange(-9, 4).repeat(3)
    w, m, v = (np.zeros(len(size), np.float32) for _ in range(3))
    expected = np.zeros((3, len(size)))
    for rate in rates_of(20):
        gradient = (size * generator.normal(size=len(size))).astype(np.float32)
        adam(w, m, v, gradient, rate)
        expected[1] = BETA_1 * expected[1] + (1 - BETA_1) * gradient
        expected[2] = BETA_2 * expected[2] + (1 - BETA_2) * gradient.astype(np.float64) ** 2
        expected[0] -= float(rate) * expected[1] / (np.sqrt(expected[2]) + 1e-7)
    for found, wanted in zip((w, m, v), expected, strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=0)


class DoubleAdam:
    """A dense layer's weights under Adam in double precision."""

    def __init__(self, weights: Matrix) -> None:
        self.w = weights.astype(np.float64)
        self.m, self.v = np.zeros_like(self.w), np.zeros_like(self.w)

    def step(self, rows: Matrix, delta: Matrix, rate: float, decay: float = 0.0) -> None:
        gradient = rows.astype(np.float64).T @ delta
        self.w = self.w * (1 - decay)
        self.m = BETA_1 * self.m + (1 - BETA_1) * gradient
        self.v = BETA_2 * self.v + (1 - BETA_2) * gradient**2
        self.w = self.w - rate * self.m / (np.sqrt(self.v) + 1e-7)


SHAPES = [(1, 1, 1), (4, 15, 3), (5, 16, 17), (7, 101, 33), (12, 40, 1)]


@pytest.mark.parametrize(("b", "d", "h"), SHAPES)
@pytest.mark.parametrize("defer", [False, True])
@pytest.mark.parametrize("decaying", [False, True])
def test_passes_are_adam_and_the_next_product(b: int, d: int, h: int, defer: bool, decaying: bool) -> None:
    steps = 9
    rates, found = rates_of(steps), layer(d, h)
    decays = decays_of(steps) if decaying else NO_DECAY
    expected = DoubleAdam(found.weights)
    for number in range(steps):
        rows, upcoming = drawn(b, d, seed=number), drawn(b, d, seed=number + 1)
        delta = drawn(b, h, seed=100 + number, zeros=0)
        before = expected.w
        step = Step(found, number, rates, rows, delta, upcoming, defer, decays)
        expected.step(rows, delta, float(rates[number]), float(decays[number]) if decaying else 0.0)
        np.testing.assert_allclose(step.product, upcoming @ expected.w, rtol=1e-4, atol=1e-4)
        if not defer:
            np.testing.assert_allclose(step.back, delta @ before.T, rtol=1e-4, atol=1e-4)
    catch_up(found, steps - 1, rates, decays)
    np.testing.assert_allclose(found.weights, expected.w, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(found.first, expected.m, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(found.second, expected.v, rtol=1e-4, atol=1e-7)


def test_the_derivative_by_the_input_is_of_the_old_weights() -> None:
    """At a rate so large that old and new weights have nothing in common."""
    found = layer(30, 6)
    old = found.weights.copy()
    rows, delta = drawn(5, 30, zeros=0.8), drawn(5, 6, seed=1, zeros=0)
    step = Step(found, 0, rates_of(1, rate=100.0), rows, delta, drawn(2, 30), defer=False)
    np.testing.assert_allclose(step.back, delta.astype(np.float64) @ old.T, rtol=1e-4, atol=1e-5)
    active = rows.any(0)
    assert active.any()
    assert not active.all()
    assert np.abs(found.weights - old)[active].min() > 10


# Rows that are skipped.


def sparse_steps(b: int, d: int, steps: int) -> list[Matrix]:
    """Batches that read feature i every i + 1 steps; the last two features are never read."""
    batches = [drawn(b, d, seed=number, zeros=0) for number in range(steps)]
    for number, rows in enumerate(batches):
        rows[:, [i for i in range(d) if (number + 1) % (i + 1) or i >= d - 2]] = 0
    return batches


def run(
    state: AdamState,
    batches: list[Matrix],
    defer: bool,
    caught_up_after: tuple[int, ...] = (),
    decays: Matrix = NO_DECAY,
) -> list[Matrix]:
    """Take a step a batch, deltas drawn by the step; return the next batch's product of each."""
    rates = rates_of(len(batches))
    out = []
    for number, rows in enumerate(batches):
        upcoming = batches[(number + 1) % len(batches)]
        delta = drawn(len(rows), state.weights.shape[1], seed=100 + number, zeros=0)
        out.append(Step(state, number, rates, rows, delta, upcoming, defer, decays).product)
        if number in caught_up_after:
            catch_up(state, number, rates, decays)
    catch_up(state, len(batches) - 1, rates, decays)
    return out


@pytest.mark.parametrize("caught_up_after", [(), (0,), (3, 4, 17), tuple(range(40))])
@pytest.mark.parametrize("h", [1, 21, 64])
def test_skipped_rows_catch_up_to_the_bit(h: int, caught_up_after: tuple[int, ...]) -> None:
    batches = sparse_steps(3, 45, 40)
    at_once, skipped = layer(45, h), layer(45, h)
    check_same_bits(run(at_once, batches, defer=False), run(skipped, batches, True, caught_up_after))
    check_same_bits(at_once, skipped)
    assert skipped.last_step.tolist() == [39] * 40 + [-1] * 5


@pytest.mark.parametrize("caught_up_after", [(), (3, 4, 17), tuple(range(40))])
def test_weights_decay_in_skipped_steps_to_the_bit(caught_up_after: tuple[int, ...]) -> None:
    """Also rows that never had a gradient, and at the rate of each step."""
    batches, decays = sparse_steps(3, 45, 40), decays_of(40)
    at_once, skipped = layer(45, 21), layer(45, 21)
    start = skipped.weights.copy()
    products_at_once = run(at_once, batches, defer=False, decays=decays)
    check_same_bits(products_at_once, run(skipped, batches, True, caught_up_after, decays))
    check_same_bits(at_once, skipped)
    assert skipped.last_step.tolist() == [39] * 45
    left = np.prod(1 - decays.astype(np.float64))
    assert 0.3 < left < 0.7
    np.testing.assert_allclose(skipped.weights[40:], start[40:] * left, rtol=1e-5)


def test_skipped_steps_are_taken_later() -> None:
    """Momentum moves weights without a gradient, so skipping a step for good would give other weights."""
    batches = sparse_steps(3, 45, 40)
    found = layer(45, 8)
    expected = DoubleAdam(found.weights)
    start = found.weights.copy()
    run(found, batches, defer=True)
    for number, (rows, rate) in enumerate(zip(batches, rates_of(40), strict=True)):
        expected.step(rows, drawn(3, 8, seed=100 + number, zeros=0), float(rate))
    moved = np.linalg.norm(expected.w - start, axis=1)
    apart = np.linalg.norm(found.weights - expected.w, axis=1)
    assert (apart[:40] < 1e-4 * moved[:40]).all()
    # Feature 40 would first be read in step 41.
    np.testing.assert_array_equal(found.weights[40:], start[40:])
    assert not found.first[40:].any()
    assert not found.second[40:].any()


def test_only_rows_that_are_needed_are_touched() -> None:
    rates, found = rates_of(4), layer(4, 3)
    features = np.eye(4, dtype=np.float32)
    delta = np.ones((1, 3), np.float32)
    places = []
    for number, (now, then) in enumerate([(0, 1), (1, 2), (2, 0), (2, 1)]):
        before = found.weights.copy()
        Step(found, number, rates, features[[now]], delta, features[[then]], defer=True)
        touched = (found.weights != before).any(1)
        assert touched.tolist() == [i == now or (i == then and found.first[i].any()) for i in range(4)]
        places.append(found.last_step.tolist())
    # A row that no batch has read before has no moments yet, and no step to take.
    assert places == [[0, -1, -1, -1], [0, 1, -1, -1], [2, 1, 2, -1], [2, 3, 3, -1]]


# Threads.


@pytest.mark.parametrize(("b", "d", "h"), [*SHAPES, (6, 300, 130)])
@pytest.mark.parametrize("defer", [False, True])
def test_the_number_of_threads_changes_no_bit(
    b: int, d: int, h: int, defer: bool, most_threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def outcome() -> list[NDArray[Any]]:
        found = layer(d, h)
        sums = run(found, [drawn(b, d, seed=number, zeros=0.8) for number in range(8)], defer)
        return [*found, *sums, product(drawn(b, d), found.weights)]

    serial = outcome()
    for kernels in (fused_adam, fused_entries):
        monkeypatch.setattr(kernels, "SMALL", 0)
    for number in range(1, most_threads + 1):
        numba.set_num_threads(number)
        check_same_bits(outcome(), serial)


def test_large_layers_are_divided_among_threads_and_small_ones_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    called = []
    for kernels, kind in ((fused_adam, "adam"), (fused_entries, "products")):
        monkeypatch.setattr(kernels, "SMALL", 12)
        for name in (f"_{kind}_serial", f"_{kind}_parallel"):
            monkeypatch.setattr(kernels, name, lambda *_, name=name: called.append(name))
    for d in (3, 4):
        weights = np.zeros((d, 3), np.float32)
        work = Pass(0, rates_of(1), NO_DECAY, weights, weights[None], NOTHING, False)
        adam_pass(layer(d, 3), no_entries(d), no_entries(d), work)
        products(no_entries(d), weights, weights[None])
    assert called == ["_adam_serial", "_products_serial", "_adam_parallel", "_products_parallel"]
