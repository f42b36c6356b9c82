"""The nearest rows of a matrix by cosine similarity, exactly, in bounded memory."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from featx.errors import UsageError
from featx.progress import report_progress

# Rows are converted to float64 in blocks of at most this many bytes, and so are their cosines with this many queries.
BLOCK_BYTES = 2**25
QUERIES_AT_ONCE = 256
# Decimals of a cosine: enough for any use, and few enough that rows with the same features always tie, although the
# last digits of a product depend on where a row stands in its block.
DECIMALS = 12


def nearest(
    X: NDArray[np.float32], queries: NDArray[np.float32], k: int
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the k rows of X that are most similar to each query.

    The similarity is the cosine of the angle between two rows, `x·q / (|x| |q|)`, computed in float64. The cosine
    with a row of zeros is 0. Every row is compared, nothing is approximated. Of rows with the same cosine, the
    earlier one comes first.

    Args:
        X: (n, d) finite features.
        queries: (m, d) finite features.
        k: Number of rows for each query, at least 1; n where that is less.

    Returns:
        The numbers of the rows, and their cosines, -1 to 1: each (m, min(k, n)), the most similar first.

    Raises:
        UsageError: k is below 1, or the widths differ.
    """
    if k < 1:
        raise UsageError(f"Expected a number of neighbours of at least 1, received {k}.")
    if X.ndim != 2 or queries.ndim != 2 or X.shape[1] != queries.shape[1]:
        raise UsageError(f"Expected rows and queries of one width, received {X.shape} and {queries.shape}.")
    k = min(k, len(X))
    numbers = np.zeros((len(queries), k), np.int64)
    cosines = np.zeros((len(queries), k), np.float64)
    for start in range(0, len(queries), QUERIES_AT_ONCE):
        part = slice(start, start + QUERIES_AT_ONCE)
        numbers[part], cosines[part] = _nearest(X, _unit(queries[part]), k)
        report_progress("searching", min(part.stop, len(queries)), len(queries))
    return numbers, cosines


def _nearest(
    X: NDArray[np.float32], units: NDArray[np.float64], k: int
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return what `nearest` returns, for a few queries of length 1."""
    m, d = units.shape
    numbers = np.zeros((m, 0), np.int64)
    cosines = np.zeros((m, 0), np.float64)
    size = max(1, BLOCK_BYTES // (8 * max(d, m, 1)))
    for start in range(0, len(X), size):
        block = X[start : start + size].astype(np.float64)
        here = np.arange(start, start + len(block))
        similar = units @ block.T
        similar /= _lengths(block)
        # Adding 0 removes the sign of a value that is rounded to zero.
        similar = np.clip(similar.round(DECIMALS), -1, 1) + 0.0
        # What was there before stands first, so that a stable sort keeps the earlier of two that tie.
        similar = np.concatenate([cosines, similar], axis=1)
        candidates = np.concatenate([numbers, np.broadcast_to(here, (m, len(here)))], axis=1)
        order = _first(similar, k)
        numbers = np.take_along_axis(candidates, order, axis=1)
        cosines = np.take_along_axis(similar, order, axis=1)
    return numbers, cosines


def _first(values: NDArray[np.float64], k: int) -> NDArray[np.int64]:
    """Return the places of the k largest values of each row, the largest first; of equal ones, the earlier first."""
    if values.shape[1] <= k:
        return np.argsort(-values, axis=1, kind="stable")
    order = np.empty((len(values), k), np.int64)
    for number, row in enumerate(values):
        # All that are at least as large as the k-th largest, ties included, are sorted.
        least = np.partition(row, -k)[-k]
        places = np.flatnonzero(row >= least)
        order[number] = places[np.argsort(-row[places], kind="stable")[:k]]
    return order


def _unit(rows: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return rows of length 1 in float64; rows of zeros stay as they are."""
    wide = rows.astype(np.float64)
    return wide / _lengths(wide)[:, np.newaxis]


def _lengths(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the length of each row, (n,); 1 for rows of zeros."""
    lengths = np.sqrt(np.einsum("ij,ij->i", rows, rows))
    return np.where(lengths > 0, lengths, 1.0)
