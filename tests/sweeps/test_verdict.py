from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from permutations import by_hand

from featx.recipes import BackbonePart, Recipe
from featx.stats import Score, SeedSpread, spread_of
from featx.sweeps.fits import FitScores
from featx.sweeps.grid import points_of
from featx.sweeps.result import Role, Verdict, sentence, verdict_of

RECIPE = Recipe(backbone=BackbonePart(name="vgg16"))
NAN = None


def judged(
    right: Sequence[Sequence[int | None]], n: Sequence[Sequence[int]] | int = 10, role: Role = "test"
) -> tuple[Verdict, str]:
    """The verdict and its sentence on counts of right answers, a row a value and a column a seed; None diverged."""
    points = points_of(RECIPE, {"fit.batch_size": list(range(1, len(right) + 1))}, range(len(right[0])))
    counts = [count for row in right for count in row]
    sizes = [n] * len(counts) if isinstance(n, int) else [size for row in n for size in row]
    scores = [fit(count, size, role) for count, size in zip(counts, sizes, strict=True)]
    verdict = verdict_of(points, scores, role)
    spreads = [spread(scores[start : start + len(right[0])], role) for start in range(0, len(scores), len(right[0]))]
    return verdict, sentence(verdict, spreads, ["batch_size"], role)


def fit(count: int | None, n: int, role: Role) -> FitScores:
    empty = Score(0, 0, None)
    if count is None:
        return FitScores(empty, empty, empty, "fused", 0.0, "diverged")
    known = Score(n, count, 0.5)
    return FitScores(
        known, known if role == "validation" else empty, known if role == "test" else empty, "fused", 1.0
    )


def spread(scores: Sequence[FitScores], role: Role) -> SeedSpread:
    return spread_of([getattr(one, role) for one in scores if one.refused is None])


def test_too_few_seeds_cannot_tell() -> None:
    """Two values that are as far apart as can be: with five seeds p is 2 / 2^5."""
    verdict, text = judged([[1] * 5, [9] * 5])
    assert verdict.p_value == pytest.approx(0.0625)
    assert "5 seeds cannot tell whether batch size makes a difference (p = 0.062" in text
    assert "with 2 values p is never below 0.062; it takes at least 6 seeds." in text
    _, three = judged([[1, 1], [5, 5], [9, 9]])
    assert "2 seeds cannot tell" in three
    assert "with 3 values p is never below 0.17; it takes at least 3 seeds." in three


def test_a_difference_is_told() -> None:
    verdict, text = judged([[1] * 6, [9] * 6])
    assert verdict.p_value == pytest.approx(2 / 2**6)
    assert text.endswith(": batch size makes a difference (p = 0.031, permutation within seeds).")
    assert text.startswith("Means over seeds go from 10.0 to 90.0 %, seeds of one value differ by up to 0.0 points")
    assert "and one test image is 10.0:" in text


def test_no_difference_detected_is_no_proof_of_none() -> None:
    verdict, text = judged([[5, 6, 4, 7, 5, 6], [6, 5, 5, 6, 5, 6]])
    assert verdict.p_value is not None
    assert verdict.p_value > 0.05
    assert ": no difference by batch size was detected (p = " in text
    assert "makes no difference" not in text


def test_a_value_that_diverged_does_not_hide_the_others() -> None:
    verdict, text = judged([[1] * 6, [NAN] * 6, [9] * 6])
    assert verdict.p_value == pytest.approx(2 / 2**6)
    assert (verdict.values, verdict.seeds) == (2, 6)
    assert verdict.without == ("2",)
    assert ": batch size makes a difference (p = 0.031, " in text
    assert text.endswith(". No fit of 2 gave scores.")


def test_then_seeds_are_left_out() -> None:
    right: list[list[int | None]] = [[1, 2, 3, 1, 2, 3, 1], [9, 8, 9, 8, 9, NAN, 9], [NAN] * 7]
    verdict, text = judged(right)
    kept = np.array([[1, 2, 3, 1, 2, 1], [9, 8, 9, 8, 9, 9]], float)
    assert verdict.p_value == pytest.approx(by_hand(kept))
    assert (verdict.seeds, verdict.seeds_left_out) == (6, 1)
    assert text.endswith(
        " No fit of 3 gave scores. 1 seed is left out of the comparison, where a fit gave no scores."
    )


@pytest.mark.parametrize(
    ("right", "says"),
    [
        ([[5, 6, 5]], "takes two values, and there is one value."),
        (
            [[5, 6], [NAN, NAN]],
            "; whether batch size makes a difference takes two values, and only one value gave scores. No fit of 2",
        ),
        ([[5], [6]], "takes several seeds, at least 6 for 2 values, and there is one."),
        ([[5, NAN], [6, 7]], "at least 6 for 2 values, and there is one of which all fits gave scores."),
        ([[5, NAN], [NAN, 7]], "cannot be told, as with every seed a fit gave no scores."),
        ([[NAN, NAN], [NAN, NAN]], "No fit gave a test accuracy."),
    ],
)
def test_the_reason_for_no_p_value_is_the_true_one(right: list[list[int | None]], says: str) -> None:
    verdict, text = judged(right)
    assert verdict.p_value is None
    assert says in text


def test_accuracies_are_compared_where_numbers_of_images_differ() -> None:
    """One of two and five of ten are the same accuracy."""
    verdict, _ = judged([[1, 2] * 3, [5, 10] * 3], [[2, 2] * 3, [10, 10] * 3])
    assert verdict.p_value == 1.0


def test_the_validation_images_are_told_of_by_name() -> None:
    verdict, text = judged([[1] * 6, [9] * 6], role="validation")
    assert verdict.p_value == pytest.approx(2 / 2**6)
    assert "one validation image is 10.0" in text
