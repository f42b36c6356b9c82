"""How kernels are compiled, and products of sparse rows with a layer's weights."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any, NamedTuple, TypeVar, cast

import numba
import numpy as np
from numpy.typing import NDArray

from featx.machine import NUMBA, provide_folders

Matrix = NDArray[np.float32]
Function = TypeVar("Function", bound=Callable[..., Any])

# Parts of the work that may run in parallel. Their number fixes the order of summation.
CHUNKS = 16
# Below this number of weights, waking other threads takes longer than they save in a few thousand steps, if the time
# to compile for them (5 s, once) is counted too.
SMALL = 400_000

provide_folders([NUMBA])


def compiled(*, parallel: bool = False) -> Callable[[Function], Function]:
    """Return a decorator that compiles a function at its first call."""
    # With Python's error model Numba checks each division, which prevents vector instructions.
    # `reassoc` lets a dot product be summed in vector lanes: not from left to right, but always in the same order.
    fastmath = {"contract", "nsz", "reassoc"}

    def decorate(function: Function) -> Function:
        kernel = numba.njit(parallel=parallel, fastmath=fastmath, error_model="numpy", nogil=True)(function)
        # Without a folder for machine code, each process compiles the function again.
        with suppress(RuntimeError):
            kernel.enable_caching()
        return cast(Function, kernel)

    return decorate


class Entries(NamedTuple):
    """The nonzero values of a batch, feature by feature (compressed sparse columns).

    Attributes:
        start: (d + 1,) feature i has the entries from `start[i]` to `start[i + 1]`.
        row: (entries,) row of each entry.
        value: (entries,) value of each entry.
    """

    start: NDArray[np.int64]
    row: NDArray[np.int64]
    value: Matrix


@compiled()
def entries_of(rows: Matrix) -> Entries:
    """Return the nonzero values of (b, d) rows."""
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


@compiled()
def dropped(values: Matrix, keep: NDArray[np.bool_], scale: np.float32) -> Matrix:
    """Return (b, d) values after dropout: multiplied by `scale` where `keep`, 0 elsewhere."""
    out = np.empty_like(values)
    for k in range(values.shape[0]):
        for j in range(values.shape[1]):
            out[k, j] = values[k, j] * scale if keep[k, j] else np.float32(0)
    return out


@compiled()
def add_products(out: Matrix, entries: Entries, first: int, last: int, w: Matrix) -> None:
    """Add the products of one feature's entries with its row of weights `w`, (h,), to the (b, h) sums `out`."""
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


@compiled()
def _products_chunk(entries: Entries, weights: Matrix, sums: Matrix, chunk: int) -> None:
    d = weights.shape[0]
    sums[chunk] = 0
    for i in range(chunk * d // CHUNKS, (chunk + 1) * d // CHUNKS):
        add_products(sums[chunk], entries, entries.start[i], entries.start[i + 1], weights[i])


@compiled(parallel=True)
def _products_parallel(entries: Entries, weights: Matrix, sums: Matrix) -> None:
    for chunk in numba.prange(CHUNKS):
        _products_chunk(entries, weights, sums, chunk)


@compiled()
def _products_serial(entries: Entries, weights: Matrix, sums: Matrix) -> None:
    for chunk in range(CHUNKS):
        _products_chunk(entries, weights, sums, chunk)


def products(entries: Entries, weights: Matrix, sums: Matrix) -> None:
    """Fill `sums`, (CHUNKS, b, h), with partial sums of the rows' product with (d, h) weights."""
    (_products_serial if weights.size < SMALL else _products_parallel)(entries, weights, sums)
