"""Adam steps on the weights of a dense layer."""

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
    """Take an Adam step on a vector, in place; `rate` includes the bias correction (Kingma and Ba 2015, section 2).

    As in Keras, epsilon is added to the root of the uncorrected second moment.
    """
    for j in range(w.shape[0]):
        g = gradient[j]
        first = m[j] + (g - m[j]) * _KEEP_1
        second = v[j] + (g * g - v[j]) * _KEEP_2
        m[j] = first
        v[j] = second
        w[j] -= first * rate / (np.sqrt(second) + _EPSILON)


@compiled()
def _decay(w: Matrix, share: np.float32) -> None:
    """Take a share off the weights, before the step (Loshchilov and Hutter 2019, algorithm 2, as in Keras)."""
    for j in range(w.shape[0]):
        w[j] -= w[j] * share


@compiled()
def _replay(w: Matrix, m: Matrix, v: Matrix, rates: Matrix, decays: Matrix) -> None:
    """Take the steps, one for each rate, in which a row of weights had a gradient of zero."""
    for s in range(rates.shape[0]):
        if decays.shape[0]:
            _decay(w, decays[s])
        rate = rates[s]
        for j in range(w.shape[0]):
            first = m[j] - m[j] * _KEEP_1
            second = v[j] - v[j] * _KEEP_2
            m[j] = first
            v[j] = second
            w[j] -= first * rate / (np.sqrt(second) + _EPSILON)


@compiled()
def _gradient(out: Matrix, entries: Entries, first: int, last: int, delta: Matrix) -> None:
    """Compute the gradient, (h,), of one row of weights."""
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


class AdamState(NamedTuple):
    """A layer's weights with the state of Adam, all changed in place.

    Attributes:
        weights: (d, h).
        first: First moments, (d, h).
        second: Second moments, (d, h).
        last_step: (d,) the last step that each row has taken; -1 for a row that has taken none.
    """

    weights: Matrix
    first: Matrix
    second: Matrix
    last_step: NDArray[np.int64]


class Pass(NamedTuple):
    """Input and output of one step on a layer, besides the entries of the batch and of the next batch.

    If an input feature is zero in the whole batch, the gradient of its row of weights is zero. With `defer` such a
    row is skipped unless the next batch reads it. The skipped steps are taken, one by one, when the row is next
    needed, so the weights come out the same. A row that never had a gradient has no steps to take, except with weight
    decay.

    Attributes:
        step: Number of this step, counted from 0.
        rates: For each step, the learning rate times Adam's bias correction.
        decays: For each step, the share that weight decay takes off the weights; empty without weight decay.
        delta: (b, h) derivative of the loss by the layer's pre-activations.
        sums: (CHUNKS, b', h), filled with partial sums of the product of the next batch with the new weights.
        back: (b, d), filled with `delta` times the transposed old weights; (0, d) if it is not needed, which `defer`
            requires.
        defer: Whether rows without a gradient are skipped.
    """

    step: int
    rates: Matrix
    decays: Matrix
    delta: Matrix
    sums: Matrix
    back: Matrix
    defer: bool


@compiled()
def _adam_chunk(state: AdamState, current: Entries, upcoming: Entries, work: Pass, chunk: int) -> None:
    d, h = state.weights.shape
    step, last_step = work.step, state.last_step
    decaying = work.decays.shape[0] > 0
    gradient = np.empty(h, np.float32)
    work.sums[chunk] = 0
    for i in range(chunk * d // CHUNKS, (chunk + 1) * d // CHUNKS):
        now, then = current.start[i], current.start[i + 1]
        coming, gone = upcoming.start[i], upcoming.start[i + 1]
        for b in range(work.back.shape[0]):
            work.back[b, i] = _dot(work.delta[b], state.weights[i])
        active = now < then
        since = last_step[i]
        behind = since >= 0 or decaying
        moves = active or (behind and (coming < gone or not work.defer))
        if moves:
            last_step[i] = step
        elif coming == gone:
            continue
        w = state.weights[i]
        if moves:
            m, v = state.first[i], state.second[i]
            if behind:
                end = step if active else step + 1
                _replay(w, m, v, work.rates[since + 1 : end], work.decays[since + 1 : end])
            if active:
                _gradient(gradient, current, now, then, work.delta)
                if decaying:
                    _decay(w, work.decays[step])
                adam(w, m, v, gradient, work.rates[step])
        add_products(work.sums[chunk], upcoming, coming, gone, w)


@compiled(parallel=True)
def _adam_parallel(state: AdamState, current: Entries, upcoming: Entries, work: Pass) -> None:
    for chunk in numba.prange(CHUNKS):
        _adam_chunk(state, current, upcoming, work, chunk)


@compiled()
def _adam_serial(state: AdamState, current: Entries, upcoming: Entries, work: Pass) -> None:
    for chunk in range(CHUNKS):
        _adam_chunk(state, current, upcoming, work, chunk)


def adam_pass(state: AdamState, current: Entries, upcoming: Entries, work: Pass) -> None:
    """Take one Adam step on a layer, in one pass over its weights and moments; `upcoming` may have no entries."""
    (_adam_serial if state.weights.size < SMALL else _adam_parallel)(state, current, upcoming, work)


@compiled(parallel=True)
def catch_up(state: AdamState, step: int, rates: Matrix, decays: Matrix) -> None:
    """Take the steps up to `step` that rows have skipped; `decays` as in `Pass`."""
    d = state.weights.shape[0]
    last_step = state.last_step
    for chunk in numba.prange(CHUNKS):
        for i in range(chunk * d // CHUNKS, (chunk + 1) * d // CHUNKS):
            since = last_step[i]
            if since >= 0 or decays.shape[0]:
                missed, shares = rates[since + 1 : step + 1], decays[since + 1 : step + 1]
                _replay(state.weights[i], state.first[i], state.second[i], missed, shares)
                last_step[i] = step


@compiled(parallel=True)
def adam_everywhere(weights: Matrix, first: Matrix, second: Matrix, gradient: np.float32, rate: np.float32) -> None:
    """Take an Adam step on all of (n, h) arrays with one gradient: a lower bound of the time of a dense step."""
    for i in numba.prange(weights.shape[0]):
        w, m, v = weights[i], first[i], second[i]
        for j in range(w.shape[0]):
            first_moment = m[j] + (gradient - m[j]) * _KEEP_1
            second_moment = v[j] + (gradient * gradient - v[j]) * _KEEP_2
            m[j] = first_moment
            v[j] = second_moment
            w[j] -= first_moment * rate / (np.sqrt(second_moment) + _EPSILON)
