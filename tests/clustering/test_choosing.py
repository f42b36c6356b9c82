from __future__ import annotations

import numpy as np
import pytest
from blobs import blobs
from numpy.typing import NDArray
from sklearn.metrics import silhouette_samples

from featx.clustering.choosing import (
    Candidate,
    best,
    by_size,
    candidates_of,
    compared_with_none,
    fitted,
    numbers_to_try,
    parsed_numbers,
    silhouettes_by_sample,
    stability,
)
from featx.errors import DataError, UsageError

ROWS, NUMBERS = blobs((40, 30, 20), columns=5, apart=6)
NOISE = np.random.default_rng(1).normal(size=(120, 20))


def test_the_highest_silhouette_among_stable_numbers_is_taken() -> None:
    tried = [Candidate(2, 0.3, 0.95), Candidate(3, 0.4, 0.81), Candidate(4, 0.6, 0.5)]
    assert best(tried).k == 3
    assert best([Candidate(2, 0.1, 0.3), Candidate(3, 0.2, 0.1)]).k == 3
    assert best([Candidate(3, 0.2, 0.9), Candidate(2, 0.2, 0.9)]).k == 2


def test_separate_clusters_are_counted_and_stable() -> None:
    tried = candidates_of(ROWS.astype(np.float64), np.arange(len(ROWS)), (2, 3, 4, 5), seed=0)
    assert best(tried).k == 3
    by_number = {one.k: one for one in tried}
    assert by_number[3].stability == pytest.approx(1, abs=0.01)
    assert by_number[5].stability < 0.9


def test_clusters_of_noise_are_not_stable_and_not_above_data_without_clusters() -> None:
    assert stability(NOISE, np.arange(len(NOISE)), 3, seed=0) < 0.4
    for rows, k, above in ((ROWS.astype(np.float64), 3, True), (NOISE, 3, False)):
        value = float(silhouette_samples(rows, fitted(rows, k, 0).labels_).mean())
        measure = compared_with_none(rows, [k], value, seed=0)
        assert (measure.value > measure.high) == above
        assert (measure.p_value <= 0.05) == above


def test_images_of_a_group_are_left_out_together(monkeypatch: pytest.MonkeyPatch) -> None:
    parts: list[set[int]] = []
    groups = np.repeat(np.arange(30), 3)
    rows = np.arange(90, dtype=np.float64)[:, None]

    def recording(part: NDArray[np.float64], k: int, seed: int, starts: int) -> object:
        parts.append(set(part[:, 0].astype(int).tolist()))
        return fitted(part, k, seed, starts)

    monkeypatch.setattr("featx.clustering.choosing.fitted", recording)
    stability(rows, groups, 2, seed=0)
    assert len(parts) == 10
    assert len({frozenset(part) for part in parts}) > 1
    for part in parts:
        assert len(part) == 72
        assert {i // 3 * 3 + j for i in part for j in range(3)} == part


def test_silhouettes_by_all_rows_are_exact_and_by_a_sample_close() -> None:
    rows, clusters = ROWS.astype(np.float64), NUMBERS + 1
    expected = silhouette_samples(rows, NUMBERS)
    np.testing.assert_allclose(silhouettes_by_sample(rows, clusters, np.arange(len(rows))), expected, atol=1e-12)
    half = silhouettes_by_sample(rows, clusters, np.arange(0, len(rows), 2))
    assert np.abs(half - expected).max() < 0.1
    assert np.abs(half - expected).max() > 0


def test_a_cluster_of_one_image_has_silhouette_0() -> None:
    rows = np.array([[0.0], [0.1], [9.0]])
    assert silhouettes_by_sample(rows, np.array([1, 1, 2]), np.arange(3))[2] == 0


def test_clusters_are_numbered_by_their_size() -> None:
    assert by_size(np.array([2, 0, 0, -1, 1, 1, 0])).tolist() == [3, 1, 1, -1, 2, 2, 1]
    assert by_size(np.array([-1, -1])).tolist() == [-1, -1]


def test_numbers_are_a_number_or_a_range() -> None:
    assert parsed_numbers("5") == parsed_numbers(5) == (5,)
    assert parsed_numbers("2..4") == (2, 3, 4)
    for text in ("1", "0..3", "5..2", "many", "", "2..", 0):
        with pytest.raises(UsageError, match="Expected a number of clusters from 2"):
            parsed_numbers(text)


def test_the_number_is_bounded_by_the_images() -> None:
    rows = ROWS[:12]
    assert numbers_to_try(None, rows) == (2, 3, 4, 5, 6)
    assert numbers_to_try(None, ROWS)[-1] == 10
    assert numbers_to_try("11", rows) == (11,)
    with pytest.raises(UsageError, match="at most 11 clusters of 12 images, received 12"):
        numbers_to_try("12", rows)
    twice = np.concatenate([ROWS[:3], ROWS[:3]])
    assert numbers_to_try(None, twice) == (2, 3)
    with pytest.raises(UsageError, match="at most 3 clusters of 6 images, of which 3 differ"):
        numbers_to_try("2..5", twice)


def test_too_few_images() -> None:
    from featx.clustering import partition

    with pytest.raises(DataError, match="at least 4 images to look for clusters in, found 3"):
        partition(ROWS[:3], ["a", "b", "c"])
    with pytest.raises(DataError, match="all 5 have the same features"):
        partition(np.ones((5, 3), np.float32), list("abcde"))


def test_a_sample_too_small_to_look_for_clusters_in() -> None:
    from featx.clustering import partition

    names = list(map(str, range(len(ROWS))))
    with pytest.raises(UsageError, match="at least 4 images, received 3"):
        partition(ROWS, names, sample=3)
    one_differs = np.ones((300, 3), np.float32)
    one_differs[0] = 0
    with pytest.raises(DataError, match="all 10 have the same features"):
        partition(one_differs, list(map(str, range(300))), sample=10)
