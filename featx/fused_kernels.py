"""What the fitting engine `fused` compiles: Adam's pass over a dense layer, and products with sparse rows.

Importing this module imports Numba. The machine code is kept beside the package's own bytecode, or in Numba's
folder for the user where that cannot be written.

Every sum is taken over a fixed number of chunks in a fixed order, so that the same input gives the same bits
with any number of threads.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar, cast

import numba
import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float32]
Function = TypeVar("Function", bound=Callable[..., Any])

BETA_1 = 0.9
BETA_2 = 0.999
EPSILON = 1e-7
# Parts of the work that may run side by side; their number decides in what order sums are taken.
CHUNKS = 16

# Weights of a layer for which waking other threads takes longer than they save.
SMALL = 250_000

_KEEP_1 = np.float32(1 - BETA_1)
_KEEP_2 = np.float32(1 - BETA_2)
_EPSILON = np.float32(EPSILON)


def _compiled(*, parallel: bool = False) -> Callable[[Function], Function]:
    # Without its own error model Numba checks each division, which keeps it from using vector instructions.
    # `reassoc` lets a dot product be summed in vector lanes: another order than left to right, yet always the same.
    fastmath = {"contract", "nsz", "reassoc"}
    compiled = numba.njit(parallel=parallel, fastmath=fastmath, error_model="numpy", nogil=True, cache=True)
    return cast(Callable[[Function], Function], compiled)


class Entries(NamedTuple):
    """The values of a batch of rows that are not zero, feature by feature.

    Attributes:
        start: (d + 1,) feature i has the entries from `start[i]` to `start[i + 1]`.
        row: The row of each entry.
        value: Its value.
    """

    start: NDArray[np.int64]
    row: NDArray[np.int64]
    value: Matrix


@_compiled()
def entries_of(rows: Matrix) -> Entries:
    """Return the entries of (b, d) rows."""
    b, d = rows.shape
    start = np.empty(d + 1, np.int64)
    row = np.empty(b * d, np.int64)
    value = np.empty(b * d, np.float32)
    n = 0
    for i in range(d):
        start[i] = n
        for k in range(b):
            if rows[k, i] != 0:
                row[n] = k
                value[n] = rows[k, i]
                n += 1
    start[d] = n
    return Entries(start, row[:n], value[:n])


@_compiled()
def dropped(values: Matrix, keep: NDArray[np.bool_], scale: np.float32) -> Matrix:
    """Return (b, d) values times a scale where they are kept, and 0 elsewhere."""
    out = np.empty_like(values)
    for k in range(values.shape[0]):
        for j in range(values.shape[1]):
            out[k, j] = values[k, j] * scale if keep[k, j] else np.float32(0)
    return out


@_compiled()
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


@_compiled()
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


@_compiled()
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


@_compiled()
def _add_products(out: Matrix, entries: Entries, first: int, last: int, w: Matrix) -> None:
    for e in range(first, last - 1, 2):
        x0, x1 = entries.value[e], entries.value[e + 1]
        s0, s1 = out[entries.row[e]], out[entries.row[e + 1]]
        for j in range(w.shape[0]):
            s0[j] += x0 * w[j]
            s1[j] += x1 * w[j]
    if (last - first) % 2:
        x0 = entries.value[last - 1]
        s0 = out[entries.row[last - 1]]
        for j in range(w.shape[0]):
            s0[j] += x0 * w[j]


@_compiled()
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


@_compiled()
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
        _add_products(work.sums[chunk], upcoming, coming, gone, w)


@_compiled(parallel=True)
def _adam_parallel(adam_of: Adam, current: Entries, upcoming: Entries, work: Pass) -> None:
    for chunk in numba.prange(CHUNKS):
        _adam_chunk(adam_of, current, upcoming, work, chunk)


@_compiled()
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


@_compiled(parallel=True)
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


@_compiled()
def _products_chunk(entries: Entries, weights: Matrix, sums: Matrix, chunk: int) -> None:
    d = weights.shape[0]
    sums[chunk] = 0
    for i in range(chunk * d // CHUNKS, (chunk + 1) * d // CHUNKS):
        _add_products(sums[chunk], entries, entries.start[i], entries.start[i + 1], weights[i])


@_compiled(parallel=True)
def _products_parallel(entries: Entries, weights: Matrix, sums: Matrix) -> None:
    for chunk in numba.prange(CHUNKS):
        _products_chunk(entries, weights, sums, chunk)


@_compiled()
def _products_serial(entries: Entries, weights: Matrix, sums: Matrix) -> None:
    for chunk in range(CHUNKS):
        _products_chunk(entries, weights, sums, chunk)


def products(entries: Entries, weights: Matrix, sums: Matrix) -> None:
    """Fill `sums`, (CHUNKS, b, h), with parts of the rows' product with (d, h) weights."""
    (_products_serial if weights.size < SMALL else _products_parallel)(entries, weights, sums)


@_compiled()
def total(sums: Matrix) -> Matrix:
    """Add up the parts, (CHUNKS, b, h) to (b, h)."""
    out: Matrix = sums[0].copy()
    for chunk in range(1, CHUNKS):
        for k in range(out.shape[0]):
            for j in range(out.shape[1]):
                out[k, j] += sums[chunk, k, j]
    return out


@_compiled(parallel=True)
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
