from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from featx.audits.probes.probing import (
    MOST_ROWS,
    Area,
    Contrast,
    area_of,
    draw_groups,
    family_p,
    gaussian_kernel,
    make_contrast,
    permuted_labels,
    smoother,
)
from featx.audits.probes.standard import standard_rows, standardised
from featx.errors import DataError

N = 100


def contrast_of(positive: NDArray[Any], groups: NDArray[Any] | None = None, strata: Any = None) -> Contrast:
    rows = np.arange(len(positive))
    return make_contrast(("a", "b"), rows, positive == 1, rows if groups is None else groups, 0, strata)


def probe(contrast: Contrast, matrices: dict[str, Any], permutations: int) -> dict[str, Area]:
    labels = permuted_labels(contrast, permutations, 0)
    return {name: area_of(contrast, smoother(X, contrast.fold), labels) for name, X in matrices.items()}


def noise(columns: int = 5, n: int = N, seed: int = 0) -> NDArray[np.float64]:
    return np.random.default_rng(seed).normal(size=(n, columns))


def labels(n: int = N, seed: int = 1) -> NDArray[Any]:
    return np.random.default_rng(seed).permutation(n) % 2


def test_scores_are_those_of_models_without_the_fold() -> None:
    y, X = labels(), noise()
    X[:, 0] += y
    contrast = contrast_of(y)
    smooth, kernel = smoother(X, contrast.fold), gaussian_kernel(X)
    for number in range(5):
        fit, held = contrast.fold != number, contrast.fold == number
        expected = np.mean(
            [
                kernel[np.ix_(held, fit)] @ np.linalg.solve(kernel[np.ix_(fit, fit)] + c * np.eye(fit.sum()), y[fit])
                for c in (0.01, 0.1, 1.0)
            ],
            axis=0,
        )
        np.testing.assert_allclose((smooth @ y)[held], expected, atol=1e-8)
        assert not smooth[np.ix_(held, held)].any()
    area = probe(contrast, {"x": X}, 99)["x"]
    assert area.auc == pytest.approx(roc_auc_score(y, smooth @ (y - y.mean())))
    assert area.p_value == 0.01
    assert area.interval[0] > 0.55


def test_random_labels_give_half_and_p_values_that_are_uniform() -> None:
    areas = [probe(contrast_of(labels(60, seed)), {"x": noise(5, 60, seed)}, 39)["x"] for seed in range(60)]
    assert np.mean([area.auc for area in areas]) == pytest.approx(0.5, abs=0.04)
    assert np.mean([area.p_value <= 0.1 for area in areas]) < 0.2
    assert np.mean([area.p_value <= 0.5 for area in areas]) == pytest.approx(0.5, abs=0.17)


def test_whole_groups_are_held_out_and_exchange_labels() -> None:
    groups = np.repeat(np.arange(40), [1, 2, 3, 4] * 10)
    y = (np.arange(40) % 2)[groups]
    contrast = contrast_of(y, groups)
    drawn = permuted_labels(contrast, 20, 0)
    assert (drawn[:, 0] == contrast.positive).all()
    assert (drawn[:, 1:] != contrast.positive[:, None]).any()
    for group in range(40):
        own = contrast.groups == group
        assert len(set(contrast.fold[own])) == 1
        assert (drawn[own] == drawn[own][:1]).all()
    first = np.unique(groups, return_index=True)[1]
    for fold in range(5):  # as many groups of each class as before
        own = first[contrast.fold[first] == fold]
        assert (drawn[own].sum(axis=0) == drawn[own, 0].sum()).all()


def test_the_class_cannot_help_where_it_is_held_fixed() -> None:
    """The column goes with the class, and the features tell the class alone: within a class they tell nothing."""
    generator = np.random.default_rng(3)
    kind = np.arange(200) % 2
    column = np.where(generator.random(200) < 0.8, kind, 1 - kind)
    X = noise(4, 200)
    X[:, 0] += 3 * kind
    free = probe(contrast_of(column), {"x": X}, 99)["x"]
    fixed = probe(contrast_of(column, strata=kind), {"x": X}, 99)["x"]
    assert free.auc > 0.7
    assert fixed.interval[0] < 0.5 < fixed.interval[1]
    assert fixed.p_value > 0.05


def test_images_of_a_group_make_no_interval_narrower() -> None:
    y = np.repeat(labels(20), 5)
    X = noise(3, 20)[np.arange(100) // 5] + y[:, None]
    groups = np.arange(100) // 5
    alone, grouped = (probe(contrast_of(y, g), {"x": X}, 0)["x"] for g in (None, groups))
    assert np.diff(grouped.interval)[0] > 1.5 * np.diff(alone.interval)[0]


def test_equal_rows_tell_nothing() -> None:
    area = probe(contrast_of(labels()), {"same": np.ones((N, 3)), "none": np.zeros((N, 0))}, 19)
    assert area["same"].auc == area["none"].auc == 0.5
    assert area["same"].p_value == 1


def test_p_values_are_corrected_for_their_number() -> None:
    y = labels()
    strong = noise()
    strong[:, 0] += 3 * y
    matrices = {"strong": strong, **{f"noise {k}": noise(seed=40 + k) for k in range(20)}}
    areas = probe(contrast_of(y), matrices, 199)
    corrected = family_p(areas)
    assert corrected["strong"] == 0.005
    assert min(area.p_value for name, area in areas.items() if name != "strong") < 0.1
    assert all(corrected[name] >= areas[name].p_value for name in areas)
    assert min(p for name, p in corrected.items() if name != "strong") > 0.1


def test_of_many_rows_whole_groups_are_drawn() -> None:
    groups = np.repeat(np.arange(400), 5)
    kept = draw_groups(groups, 0)
    assert MOST_ROWS - 5 < kept.sum() <= MOST_ROWS
    assert set(np.bincount(groups, kept).astype(int)) == {0, 5}
    contrast = contrast_of(labels(2000), groups)
    assert (len(contrast.rows), contrast.drawn_from) == (kept.sum(), 2000)


def test_too_few_groups_are_refused() -> None:
    groups = np.r_[np.zeros(50, np.int64), np.arange(1, 51)]
    with pytest.raises(DataError, match="found 1 of a"):
        contrast_of(np.r_[np.ones(50), np.zeros(50)], groups)


def test_rows_that_are_taken_are_standardised_as_all_rows_are() -> None:
    X = noise(150).astype(np.float32) * 3 + 7
    X[:, [0, 70, 149]] = 5
    rows = np.array([40, 3, 99])
    taken = standard_rows(X).take(rows)
    assert taken.shape == (3, 147)
    np.testing.assert_array_equal(taken, standardised(X.astype(np.float64))[rows])
