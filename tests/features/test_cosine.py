from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from featx.errors import UsageError
from featx.features import cosine as module
from featx.features.cosine import nearest


def rows_of(n: int, d: int = 5, seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).normal(size=(n, d)).astype(np.float32)


def by_hand(X: NDArray[np.float32], q: NDArray[np.float32]) -> list[float]:
    """The cosine of each row with one query, by the formula, pair by pair."""
    return [
        float(np.dot(x.astype(float), q.astype(float)) / np.sqrt(np.sum(x.astype(float) ** 2)) / norm(q)) for x in X
    ]


def matrix(*rows: list[float]) -> NDArray[np.float32]:
    return np.array(rows, np.float32)


def norm(q: NDArray[np.float32]) -> float:
    return float(np.sqrt(np.sum(q.astype(float) ** 2)))


@given(
    st.integers(1, 40), st.integers(1, 6), st.integers(1, 45), st.sampled_from([64, 200, 10**6]), st.integers(0, 9)
)
@settings(max_examples=60, deadline=None)
def test_these_are_the_k_largest_cosines(n: int, m: int, k: int, block: int, seed: int) -> None:
    X, queries = rows_of(n, seed=seed), rows_of(m, seed=seed + 100)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "BLOCK_BYTES", block)
        patch.setattr(module, "QUERIES_AT_ONCE", 2)
        numbers, cosines = nearest(X, queries, k)
    assert numbers.shape == cosines.shape == (m, min(k, n))
    for q, places, values in zip(queries, numbers, cosines, strict=True):
        expected = by_hand(X, q)
        assert len(set(places)) == len(places)
        np.testing.assert_allclose(values, [expected[i] for i in places], atol=1e-9)
        np.testing.assert_allclose(values, sorted(expected, reverse=True)[:k], atol=1e-9)


@pytest.mark.parametrize("block", [64, 10**6], ids=["many-blocks", "one-block"])
def test_rows_that_tie_are_in_their_order(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BLOCK_BYTES", block)
    # Rows 0, 4, 8, … are the same, and so are rows that are longer but have the same direction.
    X = np.tile(rows_of(4), (5, 1)) * np.repeat(matrix([1, 2, 4, 8, 16]), 4)[:, None]
    numbers, cosines = nearest(X, X[:1], 7)
    assert numbers[0, :5].tolist() == [0, 4, 8, 12, 16]
    assert cosines[0, :5].tolist() == [1.0] * 5
    second = sorted(range(1, 4), key=lambda i: -by_hand(X[i : i + 1], X[0])[0])[0]
    assert numbers[0, 5:].tolist() == [second, second + 4]


def test_many_queries_of_few_features_take_little_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BLOCK_BYTES", 2**19)
    X, queries = rows_of(20_000, d=2), rows_of(200, d=2)
    tracemalloc.start()
    try:
        nearest(X, queries, 5)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 8 * len(X) * len(queries) / 4


def test_a_cosine_with_zeros_is_zero() -> None:
    X = matrix([0, 0], [1, 1], [-1, -1])
    numbers, cosines = nearest(X, matrix([1, 1], [0, 0]), 3)
    assert numbers.tolist() == [[1, 0, 2], [0, 1, 2]]
    np.testing.assert_array_equal(cosines, [[1, 0, -1], [0, 0, 0]])
    assert not np.signbit(cosines[cosines == 0]).any()
    assert not np.signbit(nearest(matrix([-1e-13, 1]), matrix([1, 0]), 1)[1]).any()


@pytest.mark.parametrize("scale", [1e-38, 1e37], ids=["tiny", "huge"])
def test_very_small_and_large_features_do_not_overflow(scale: float) -> None:
    X = rows_of(6) * np.float32(scale)
    numbers, cosines = nearest(X, X, 1)
    assert numbers[:, 0].tolist() == list(range(6))
    np.testing.assert_array_equal(cosines, 1)


def test_what_is_wrong_is_said() -> None:
    with pytest.raises(UsageError, match="at least 1, received 0"):
        nearest(rows_of(3), rows_of(1), 0)
    with pytest.raises(UsageError, match="of one width"):
        nearest(rows_of(3), rows_of(1, d=4), 1)
