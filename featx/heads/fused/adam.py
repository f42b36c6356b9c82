"""Adam's pass over a dense layer's weights, as Numba compiles it for the fitting engine `fused`."""

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from featx.heads.fused.entries import CHUNKS, SMALL, Entries, Matrix, add_products, compiled

BETA_1 = 0.9
BETA_2 = 0.999
EPSILON = 1e-7

_KEEP_1 = np.float32(1 - BETA_1)
_KEEP_2 = np.float32(1 - BETA_2)
_EPSILON = np.float32(EPSILON)


@compiled()
def adam(w: Matrix, m: Matrix, v: Matrix, gradient: Matrix, rate: np.float32) -> None:
    """Take Adam's step on a vector, in place; the rate has its bias correction (Kingma and Ba 2015, section 2).

    As Keras has it, epsilon is added to the root of the moment that is not corrected.
    """
    for j in range(w.shape[0]):
        g = gradient[j]
        first = m[j] + (g - m[j]) * _KEEP_1
        second = v[j] + (g * g - v[j]) * _KEEP_2
        m[j] = first
        v[j] = second
        w[j] -= first * rate / (np.sqrt(second) + _EPSILON)


@compiled()
def _replay(w: Matrix, m: Matrix, v: Matrix, rates: Matrix) -> None:
    """Make up for steps in which the row had no gradient."""
    for s in range(rates.shape[0]):
        rate = rates[s]
        for j in range(w.shape[0]):
            first = m[j] - m[j] * _KEEP_1
            second = v[j] - v[j] * _KEEP_2
            m[j] = first
            v[j] = second
            w[j] -= first * rate / (np.sqrt(second) + _EPSILON)


@compiled()
def _gradient(out: Matrix, entries: Entries, first: int, last: int, delta: Matrix) -> None:
    out[:] = 0
    for e in range(first, last - 1, 2):
        x0, x1 = entries.value[e], entries.value[e + 1]
        d0, d1 = delta[entries.row[e]], delta[entries.row[e + 1]]
        for j in range(out.shape[0]):
            out[j] += x0 * d0[j] + x1 * d1[j]
    if (last - first) % 2:
        x0 = entries.value[last - 1]
        d0 = delta[entries.row[last - 1]]
        for j in range(out.shape[0]):
            out[j] += x0 * d0[j]


@compiled()
def _dot(one: Matrix, other: Matrix) -> np.float32:
    product = np.float32(0)
    for j in range(one.shape[0]):
        product += one[j] * other[j]
    return product


class Adam(NamedTuple):
    """A layer's weights with what Adam knows of them, all changed in place.

    Attributes:
        weights: (d, h).
        first: First moments, (d, h).
        second: Second moments, (d, h).
        stands_at: (d,) the step after which each row stands; -1 for one that never had a gradient.
    """

    weights: Matrix
    first: Matrix
    second: Matrix
    stands_at: NDArray[np.int64]


class Pass(NamedTuple):
    """What one step does to a layer, besides the entries of the batch and of the next one.

    A row of weights whose input is zero in all of the batch has no gradient. With `defer` it is left where it
    stands, unless the next batch reads it, and the steps it missed are made up for, one by one, when it is next
    needed; the weights come out the same.

    Attributes:
        step: This step, counted from 0.
        rates: By step, the learning rate times Adam's bias correction.
        delta: (b, h) derivative of the loss by the layer's pre-activations.
        sums: (CHUNKS, b', h), filled with parts of the next batch's product with the new weights.
        back: (b, d), filled with `delta` times the old weights' transpose; (0, d) if it is not wanted, as it
            must be with `defer`.
        defer: Leave rows that nobody needs.
    """

    step: int
    rates: Matrix
    delta: Matrix
    sums: Matrix
    back: Matrix
    defer: bool


@compiled()
def _adam_chunk(adam_of: Adam, current: Entries, upcoming: Entries, work: Pass, chunk: int) -> None:
    d, h = adam_of.weights.shape
    step, stands_at = work.step, adam_of.stands_at
    gradient = np.empty(h, np.float32)
    work.sums[chunk] = 0
    for i in range(chunk * d // CHUNKS, (chunk + 1) * d // CHUNKS):
        now, then = current.start[i], current.start[i + 1]
        coming, gone = upcoming.start[i], upcoming.start[i + 1]
        for b in range(work.back.shape[0]):
            work.back[b, i] = _dot(work.delta[b], adam_of.weights[i])
        active = now < then
        since = stands_at[i]
        moves = active or (since >= 0 and (coming < gone or not work.defer))
        if moves:
            stands_at[i] = step
        elif coming == gone:
            continue
        w = adam_of.weights[i]
        if moves:
            m, v = adam_of.first[i], adam_of.second[i]
            if since >= 0:
                _replay(w, m, v, work.rates[since + 1 : step if active else step + 1])
            if active:
                _gradient(gradient, current, now, then, work.delta)
                adam(w, m, v, gradient, work.rates[step])
        add_products(work.sums[chunk], upcoming, coming, gone, w)


@compiled(parallel=True)
def _adam_parallel(adam_of: Adam, current: Entries, upcoming: Entries, work: Pass) -> None:
    for chunk in numba.prange(CHUNKS):
        _adam_chunk(adam_of, current, upcoming, work, chunk)


@compiled()
def _adam_serial(adam_of: Adam, current: Entries, upcoming: Entries, work: Pass) -> None:
    for chunk in range(CHUNKS):
        _adam_chunk(adam_of, current, upcoming, work, chunk)


def adam_pass(adam_of: Adam, current: Entries, upcoming: Entries, work: Pass) -> None:
    """Take one step of Adam on a layer's weights, in one pass over them and both moments.

    Args:
        adam_of: The layer.
        current: Input of the batch.
        upcoming: Input of the next batch, or no entries.
        work: The step.
    """
    (_adam_serial if adam_of.weights.size < SMALL else _adam_parallel)(adam_of, current, upcoming, work)


@compiled(parallel=True)
def catch_up(adam_of: Adam, step: int, rates: Matrix) -> None:
    """Bring all rows to where they stand after a step, with the rates of all steps so far."""
    d = adam_of.weights.shape[0]
    stands_at = adam_of.stands_at
    for chunk in numba.prange(CHUNKS):
        for i in range(chunk * d // CHUNKS, (chunk + 1) * d // CHUNKS):
            if stands_at[i] >= 0:
                missed = rates[stands_at[i] + 1 : step + 1]
                _replay(adam_of.weights[i], adam_of.first[i], adam_of.second[i], missed)
                stands_at[i] = step


@compiled(parallel=True)
def adam_everywhere(weights: Matrix, first: Matrix, second: Matrix, gradient: np.float32, rate: np.float32) -> None:
    """Take Adam's step on (n, h) arrays with one gradient for all: the floor below which no dense step can be."""
    for i in numba.prange(weights.shape[0]):
        w, m, v = weights[i], first[i], second[i]
        for j in range(w.shape[0]):
            first_moment = m[j] + (gradient - m[j]) * _KEEP_1
            second_moment = v[j] + (gradient * gradient - v[j]) * _KEEP_2
            m[j] = first_moment
            v[j] = second_moment
            w[j] -= first_moment * rate / (np.sqrt(second_moment) + _EPSILON)
