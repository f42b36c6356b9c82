from __future__ import annotations

from collections.abc import Iterable
from dataclasses import astuple
from typing import Any

import numpy as np
import pytest
from blobs import blobs
from numpy.typing import NDArray
from sklearn.metrics import adjusted_rand_score, silhouette_score

from featx import limits
from featx.clustering.quality import VALUES_AT_ONCE, Quality, measure
from featx.errors import DataError, ResourcesError, UsageError
from featx.files import finite


def measured(
    X: NDArray[Any], labels: Iterable[object], groups: Iterable[object] | None = None, **options: int
) -> Quality:
    """Measure rows with classes of any type; by default each row is a group of its own."""
    return measure(X, list(map(str, labels)), list(map(str, range(len(X)) if groups is None else groups)), **options)


def test_separated_classes_differ_from_chance() -> None:
    X, codes = blobs((30, 25, 20), apart=3)
    found = measured(X, codes, permutations=99)
    assert found.classes == ("0", "1", "2")
    assert found.silhouette.value == pytest.approx(silhouette_score(X, codes), rel=1e-5)
    assert {own.p_value for own in found.measures().values()} == {0.01}
    assert found.kmeans.ari.value == pytest.approx(adjusted_rand_score(codes, found.kmeans.clusters))


@pytest.mark.slow
def test_p_values_of_meaningless_labels_are_spread_evenly() -> None:
    X, codes = blobs((14, 12), apart=3)
    generator = np.random.default_rng(8)
    drawn = [measured(X, generator.permutation(codes), permutations=39) for _ in range(13)]
    for name in ("silhouette", "davies_bouldin", "knn_purity"):
        p_values = np.array([found.measures()[name].p_value for found in drawn])
        assert 0.3 < np.median(p_values) < 0.7, name
        assert np.mean(p_values <= 0.1) < 0.3, name
    own = drawn[0].silhouette
    assert own.low < own.mean < own.high


def test_labels_that_go_with_patients_alone_are_chance() -> None:
    """Images of a patient are alike, so any label of patients looks meaningful if images swap labels one by one."""
    generator = np.random.default_rng(0)
    X = np.repeat(3 * generator.normal(size=(16, 5)), 8, axis=0) + generator.normal(size=(128, 5))
    labels = np.repeat(generator.permutation(["a", "b"] * 8), 8)
    one_by_one = measured(X, labels, permutations=99)
    by_group = measured(X, labels, np.repeat(np.arange(16), 8), permutations=99)
    assert one_by_one.silhouette.value == by_group.silhouette.value
    assert one_by_one.silhouette.p_value == one_by_one.knn_purity.p_value == 0.01  # type: ignore[union-attr]
    assert by_group.knn_purity is not None
    assert by_group.silhouette.p_value > 0.05
    assert by_group.knn_purity.p_value > 0.05


def test_the_same_seed_gives_the_same_numbers() -> None:
    X, codes = blobs((12, 10), apart=1)
    one, two, other = (measured(X, codes, seed=seed) for seed in (3, 3, 4))
    assert one.to_json() == two.to_json()
    assert one.silhouette.mean != other.silhouette.mean


def test_permutations_in_parts_are_those_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    X, codes = blobs((12, 10, 5))
    whole = measured(X, codes, permutations=20)
    monkeypatch.setattr("featx.clustering.quality.VALUES_AT_ONCE", 3 * 27 * 3)
    parts = measured(X, codes, permutations=20)
    assert VALUES_AT_ONCE > 20 * 27 * 3
    assert astuple(parts.silhouette) == pytest.approx(astuple(whole.silhouette))
    np.testing.assert_allclose(parts.ratios_permuted, whole.ratios_permuted)


def test_numbers_of_a_class_are_those_of_its_rows() -> None:
    X, codes = blobs((12, 10, 14), apart=0.5)
    found = measured(X, ["abc"[code] for code in codes])
    for number, name in enumerate("abc"):
        own = found.to_json()["per_class"][name]
        assert own["n"] == (codes == number).sum()
        assert own["silhouette"] == pytest.approx(found.silhouettes[codes == number].mean())
        assert own["negative"] == (found.silhouettes[codes == number] < 0).mean()
        assert own["knn_purity"] == pytest.approx(found.purities[codes == number].mean())
        assert own["nearest"] == "abc"[int(np.nanargmin(found.ratios[number]))]
    ratios = {tuple(pair["classes"]): pair["ratio"] for pair in found.to_json()["pairs"]}
    assert ratios == {("a", "b"): found.ratios[0, 1], ("a", "c"): found.ratios[0, 2], ("b", "c"): found.ratios[1, 2]}


def test_of_many_classes_the_closest_pairs_are_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    X, codes = blobs((4, 4, 4, 4))
    found = measured(X, codes, permutations=2)
    every = found.to_json()["pairs"]
    monkeypatch.setattr("featx.clustering.quality.MOST_PAIRS", 3)
    assert len(every) == 6
    closest = sorted(pair["ratio"] for pair in every)[2]
    assert found.to_json()["pairs"] == [pair for pair in every if pair["ratio"] <= closest]


def test_neighbours_are_as_many_as_classes_allow() -> None:
    X, codes = blobs((30, 30))
    assert measured(X, codes, neighbours=7, permutations=2).neighbours == 7
    assert measured(X, codes, neighbours=40, permutations=2).neighbours == 15
    assert measured(X[:3], "abb", permutations=2).neighbours == 1


@pytest.mark.parametrize(
    "labels",
    ["aab", "abbb", "abcdee", "aaaaaabbbbbb"],
    ids=["three images", "one of a class", "almost all alone", "twelve"],
)
def test_few_images_have_numbers_where_they_are_defined(labels: str) -> None:
    X = np.random.default_rng(0).normal(size=(len(labels), 4)).astype(np.float32)
    found = measured(X, labels, permutations=9)
    document = finite(found.to_json())
    assert -1 <= document["silhouette"] <= 1
    assert (document["hdbscan"] is None) == (len(labels) < 10)
    assert all(-1 <= own["silhouette"] <= 1 for own in document["per_class"].values())


def test_images_of_a_single_group_have_no_purity() -> None:
    X, codes = blobs((8, 8))
    found = measured(X, codes, ["one"] * 16, permutations=9)
    assert found.knn_purity is None
    assert found.to_json()["knn_purity"] is None
    assert "knn_purity" not in found.to_json()["permuted"]
    assert found.to_json()["per_class"]["0"]["knn_purity"] is None


def test_points_in_few_places_have_no_warnings() -> None:
    X = np.repeat(np.array([[0.0], [1.0]], np.float32), 8, axis=0)
    same = measured(X, "aaaaaaaabbbbbbbb", permutations=9)
    assert (same.silhouette.value, same.davies_bouldin.value, same.kmeans.ari.value) == (1, 0, 1)
    assert finite(same.to_json())["calinski_harabasz"] is None
    mixed = measured(X, "abababababababab", permutations=9)
    assert finite(mixed.to_json())["davies_bouldin"] is None


def test_what_cannot_be_measured_is_refused() -> None:
    X = np.eye(4, dtype=np.float32)
    with pytest.raises(DataError, match="at least two classes, and all 4 images are of 'a'"):
        measured(X, "aaaa")
    with pytest.raises(DataError, match="each of the 4 images has a class of its own"):
        measured(X, "abcd")
    with pytest.raises(DataError, match="images that differ"):
        measured(np.zeros((4, 2), np.float32), "aabb")
    for name in ("neighbours", "permutations"):
        options: dict[str, Any] = {name: 0}
        with pytest.raises(UsageError, match=f"at least 1 of {name}, received 0"):
            measured(X, "aabb", **options)


def test_distances_and_permutations_that_no_memory_holds_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    X = np.random.default_rng(0).normal(size=(5000, 2))
    labels, groups = ["a", "b"] * 2500, [str(n) for n in range(5000)]
    monkeypatch.setattr(limits, "available_memory", lambda: 8 * 10**8)
    with pytest.raises(ResourcesError, match=r"comparing 5,000 images .* takes about 865\.9 MB; lower --sample"):
        measure(X, labels, groups)
    with pytest.raises(ResourcesError, match="and with 1,000,000,000 permutations takes about"):
        measure(X[:20], labels[:20], groups[:20], permutations=10**9)
