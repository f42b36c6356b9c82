"""Pairs of images that may be copies: the nearest in the features, and the nearest among the previews."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from featx.duplicates.alignment import SYMMETRIES, Grey, details
from featx.progress import report_progress

Rows = NDArray[np.float32]
"""(n, d) rows of length 1; rows of zeros stay zeros."""

# Rows are projected onto so many random directions. The distance 1 - cosine of two rows is then right within about
# 9 % (one standard deviation), however small it is: enough to rank neighbours.
WIDTH = 256
PRODUCTS_AT_ONCE = 2**24  # of a query with a row: their cosines and the places of the nearest take 200 MB
# The distance to this neighbour, in the median of rows, is the scale of distances: a few copies do not move it.
SCALE_NEIGHBOUR = 5
SCALE_SAMPLE = 500
# The cosine of details from which previews may be copies: those of other images are seldom above, and those of crops
# need not be, because their features are near.
LEAST_SIMILAR = 0.8
MOST_SYMMETRIES_ROWS = 5_000  # above, previews are compared as they are and mirrored, not turned as well


def projected(chunks: Iterable[NDArray[np.float32]], width: int) -> Rows:
    """Return rows of features projected onto `WIDTH` fixed random directions, scaled to length 1.

    Args:
        chunks: Some rows at a time, (m, width).
        width: Features in a row; rows of at most twice `WIDTH` features are only scaled.
    """
    matrix = None
    if width > 2 * WIDTH:
        matrix = np.random.default_rng(0).standard_normal((width, WIDTH), np.float32)
    parts = [unit_rows(chunk if matrix is None else chunk @ matrix) for chunk in chunks]
    return np.concatenate(parts) if parts else np.zeros((0, width), np.float32)


def unit_rows(rows: NDArray[np.float32]) -> Rows:
    """Return rows scaled to length 1; rows of zeros stay as they are."""
    length = np.sqrt(np.einsum("nd,nd->n", rows, rows))[:, None]
    length[length == 0] = 1
    scaled: Rows = rows / length
    return scaled


def neighbours(
    rows: Rows, queries: NDArray[np.int64], among: NDArray[np.int64], k: int, least: float = -1
) -> NDArray[np.int64]:
    """Return pairs of each query with the k nearest other rows among some, (m, 2) numbers of rows.

    Args:
        rows: All rows.
        queries: Numbers of rows.
        among: Numbers of rows, ascending.
        k: At most the number of rows among which is searched.
        least: Neighbours with a lower cosine are left out.
    """
    parts = [np.zeros((0, 2), np.int64)]
    there = rows[among]
    at_once = max(1, PRODUCTS_AT_ONCE // len(among))
    for start in range(0, len(queries), at_once):
        part = queries[start : start + at_once]
        similar = rows[part] @ there.T
        _leave_out(similar, part, among)
        nearest = np.argpartition(similar, -k, axis=1)[:, -k:]
        near = np.take_along_axis(similar, nearest, axis=1) >= least
        parts.append(np.stack([np.broadcast_to(part[:, None], near.shape)[near], among[nearest][near]], axis=1))
        report_progress("searching for copies", start + len(part), len(queries))
    return np.concatenate(parts)


def scale_of(rows: Rows, among: NDArray[np.int64]) -> float:
    """Return the distance 1 - cosine to the fifth nearest row, the median over a sample; 0 of fewer rows than six."""
    if len(among) <= SCALE_NEIGHBOUR:
        return 0.0
    sample = among
    if len(among) > SCALE_SAMPLE:
        sample = np.sort(np.random.default_rng(0).choice(among, SCALE_SAMPLE, replace=False))
    similar = rows[sample] @ rows[among].T
    _leave_out(similar, sample, among)
    return float(np.median(1 - np.partition(similar, -SCALE_NEIGHBOUR, axis=1)[:, -SCALE_NEIGHBOUR]))


def _leave_out(similar: NDArray[np.float32], queries: NDArray[np.int64], among: NDArray[np.int64]) -> None:
    """Make no row similar to itself."""
    at = np.minimum(np.searchsorted(among, queries), len(among) - 1)
    own = np.flatnonzero(among[at] == queries)
    similar[own, at[own]] = -2


def descriptors(images: Grey) -> list[Rows]:
    """Return rows that describe previews by their detail: as they are first, then mirrored and turned."""
    detail = details(images)
    n, side, _ = detail.shape
    half: Grey = detail.reshape(n, side // 2, 2, side // 2, 2).mean(axis=(2, 4))
    turns = SYMMETRIES if n <= MOST_SYMMETRIES_ROWS else SYMMETRIES[:2]
    return [unit_rows(np.ascontiguousarray(turn(half)).reshape(n, -1)) for _, turn in turns]


def preview_neighbours(images: Grey, queries: NDArray[np.int64], among: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return pairs of previews, (m, 2): each query with the one of the most similar detail, mirrored or turned too.

    Args:
        images: (n, side, side) grey previews.
        queries: Numbers of previews.
        among: Numbers of previews, ascending, at least two if the queries are among them.
    """
    plain, *others = descriptors(images)
    parts = [neighbours(plain, queries, among, 1, LEAST_SIMILAR)]
    for turned in others:
        # Row n + i is image i turned. An image that is like its own mirror needs a second neighbour.
        rows = np.concatenate([plain, turned])
        near = neighbours(rows, queries + len(images), among, min(2, len(among)), LEAST_SIMILAR)
        near[:, 0] -= len(images)
        parts.append(near)
    return unique_pairs(parts)


def unique_pairs(parts: Sequence[NDArray[np.int64]]) -> NDArray[np.int64]:
    """Return each pair once, the smaller number first, sorted, without pairs of one image."""
    pairs = np.sort(np.concatenate([np.zeros((0, 2), np.int64), *parts]), axis=1)
    return np.unique(pairs[pairs[:, 0] != pairs[:, 1]], axis=0)
