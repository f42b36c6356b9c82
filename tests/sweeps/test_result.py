from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from featx.recipes import BackbonePart, Recipe
from featx.stats import Score
from featx.sweeps.fits import FitScores
from featx.sweeps.grid import points_of
from featx.sweeps.result import Role, Sweep, ValueComparison, compare_values

RECIPE = Recipe(backbone=BackbonePart(name="vgg16"))
NAN = None


def compared(
    right: Sequence[Sequence[int | None]], n: Sequence[Sequence[int]] | int = 10, role: Role = "test"
) -> tuple[ValueComparison, str]:
    """The comparison and its conclusion for correct counts, a row per value and a column per seed; None: diverged."""
    points = points_of(RECIPE, {"fit.batch_size": list(range(1, len(right) + 1))}, range(len(right[0])))
    counts = [count for row in right for count in row]
    sizes = [n] * len(counts) if isinstance(n, int) else [size for row in n for size in row]
    scores = tuple(fit(count, size, role) for count, size in zip(counts, sizes, strict=True))
    comparison = compare_values(points, scores, role)
    result = Sweep(Path(), ("fit.batch_size",), tuple(points), scores, role, comparison, (), {}, {})
    return comparison, result.conclusion()


def fit(count: int | None, n: int, role: Role) -> FitScores:
    empty = Score(0, 0, None)
    if count is None:
        return FitScores(empty, empty, empty, "fused", 0.0, "diverged")
    known = Score(n, count, 0.5)
    validation, test = (known, empty) if role == "validation" else (empty, known)
    return FitScores(known, validation, test, "fused", 1.0)


def test_too_few_seeds_cannot_show_a_difference() -> None:
    """Two values that are as far apart as can be: with five seeds p is 2 / 2^5."""
    comparison, text = compared([[1] * 5, [9] * 5])
    assert comparison.p_value == pytest.approx(0.0625)
    assert "5 seeds cannot show whether batch size makes a difference (p = 0.062" in text
    assert "with 2 values p is never below 0.062; at least 6 seeds are needed." in text
    _, three = compared([[1, 1], [5, 5], [9, 9]])
    assert "2 seeds cannot show" in three
    assert "with 3 values p is never below 0.17; at least 3 seeds are needed." in three


def test_a_difference_is_reported() -> None:
    comparison, text = compared([[1] * 6, [9] * 6])
    assert comparison.p_value == pytest.approx(2 / 2**6)
    assert text.endswith(": batch size makes a difference (p = 0.031, permutation within seeds).")
    assert text.startswith(
        "Mean accuracies over seeds range from 10.0 to 90.0 %, seeds of one value differ by up to 0.0 points"
    )
    assert "and one test image is worth 10.0 points:" in text


def test_no_difference_detected_is_no_proof_of_none() -> None:
    comparison, text = compared([[5, 6, 4, 7, 5, 6], [6, 5, 5, 6, 5, 6]])
    assert comparison.p_value is not None
    assert comparison.p_value > 0.05
    assert ": no difference between values of batch size was detected (p = " in text
    assert "makes no difference" not in text


def test_a_value_that_diverged_does_not_hide_the_others() -> None:
    comparison, text = compared([[1] * 6, [NAN] * 6, [9] * 6])
    assert comparison.p_value == pytest.approx(2 / 2**6)
    assert (comparison.values, comparison.seeds) == (2, 6)
    assert comparison.without == ("2",)
    assert ": batch size makes a difference (p = 0.031, " in text
    assert text.endswith(". No fit of 2 has scores.")


def test_seeds_without_scores_are_left_out() -> None:
    comparison, text = compared([[1, 2, 3, 1, 2, 3, 1], [9, 8, 9, 8, 9, NAN, 9], [NAN] * 7])
    kept, _ = compared([[1, 2, 3, 1, 2, 1], [9, 8, 9, 8, 9, 9]])
    assert comparison.p_value == kept.p_value
    assert (comparison.seeds, comparison.seeds_left_out) == (6, 1)
    assert text.endswith(
        " No fit of 3 has scores. 1 seed is left out of the comparison, because a fit has no scores."
    )


@pytest.mark.parametrize(
    ("right", "says"),
    [
        ([[5, 6, 5]], "two values are needed to see whether batch size makes a difference, and there is only one."),
        (
            [[5, 6], [NAN, NAN]],
            "; two values are needed to see whether batch size makes a difference, and only one value has scores. No",
        ),
        (
            [[5], [6]],
            "at least 6 seeds are needed to see whether 2 values of batch size make a difference, and there is",
        ),
        ([[5, NAN], [6, 7]], "make a difference, and there is only one with scores of all fits."),
        ([[5, NAN], [NAN, 7]], "is not known, because with every seed a fit has no scores."),
        ([[NAN, NAN], [NAN, NAN]], "No fit gave a test accuracy."),
    ],
)
def test_the_reason_for_no_p_value_is_the_true_one(right: list[list[int | None]], says: str) -> None:
    comparison, text = compared(right)
    assert comparison.p_value is None
    assert says in text


def test_accuracies_are_compared_where_numbers_of_images_differ() -> None:
    """One of two and five of ten are the same accuracy."""
    comparison, _ = compared([[1, 2] * 3, [5, 10] * 3], [[2, 2] * 3, [10, 10] * 3])
    assert comparison.p_value == 1.0


def test_the_conclusion_names_validation_images() -> None:
    comparison, text = compared([[1] * 6, [9] * 6], role="validation")
    assert comparison.p_value == pytest.approx(2 / 2**6)
    assert "one validation image is worth 10.0" in text
