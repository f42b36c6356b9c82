"""Numbers as a report shows them."""

from __future__ import annotations

import math

import pytest

from featx import text as numbers
from featx.stats import Score


def test_numbers_have_units_and_thousands() -> None:
    assert numbers.count(51_907_844) == "51,907,844"
    assert (numbers.images(1), numbers.images(1200, "test")) == ("1 image", "1,200 test images")
    assert numbers.percent(0.9166) == "91.7 %"
    assert numbers.interval_percent((0.7817, 0.9713)) == "78.2–97.1 %"
    assert numbers.fraction_interval(27, 36) == "27/36 = 75.0 % (58.9–86.2 %)"
    words = numbers.accuracy_words(Score(36, 27, 0.5))
    assert words == "75.0 % (27 of 36 images correct, 95 % interval 58.9–86.2 %)"
    assert (numbers.size(491_234), numbers.size(2_812_000)) == ("491 kB", "2.8 MB")


@pytest.mark.parametrize("nothing", [None, math.nan])
def test_what_is_not_there_is_a_dash(nothing: float | None) -> None:
    assert numbers.percent(nothing) == numbers.decimal(nothing) == "–"
    assert numbers.interval_percent(None) == numbers.duration(None) == numbers.probability(None) == "–"
    assert numbers.fraction(0, 0) == numbers.fraction_interval(0, 0) == "–"


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0.0, "0.000"), (-0.0001, "0.000"), (-0.0412, "−0.041"), (1234.5678, "1234.568")],  # noqa: RUF001
)
def test_small_negatives_are_no_minus_zero(value: float, shown: str) -> None:
    assert numbers.decimal(value) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0.04, "0.0"), (-0.04, "0.0"), (1.25, "+1.2"), (-1.3, "−1.3"), (None, "–")],  # noqa: RUF001
)
def test_differences_have_a_sign_unless_they_are_nothing(value: float | None, shown: str) -> None:
    assert numbers.decimal(value, 1, sign=True) == shown


@pytest.mark.parametrize(
    ("share", "shown"), [(0.0, "0.0 %"), (1e-9, "< 0.1 %"), (0.5, "50.0 %"), (0.99996, "> 99.9 %"), (1.0, "100.0 %")]
)
def test_shares_that_are_nearly_all_or_nothing(share: float, shown: str) -> None:
    assert numbers.small_share(share) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0.0, "0.0 s"),
        (0.041, "41 ms"),
        (0.72, "0.7 s"),
        (65.9, "65.9 s"),
        (2786, "46 min 26 s"),
        (9000, "2 h 30 min"),
    ],
)
def test_times(seconds: float, shown: str) -> None:
    assert numbers.duration(seconds) == shown


@pytest.mark.parametrize(("p", "shown"), [(0.0004, "< 0.001"), (0.03125, "0.031"), (1.0, "1.000")])
def test_p_values(p: float, shown: str) -> None:
    assert numbers.probability(p) == shown
