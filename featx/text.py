"""Numbers as pages and tables show them, with their units."""

from __future__ import annotations

import math
from collections.abc import Iterable

from featx.stats import Score, wilson

NOTHING = "–"
LABEL_SEPARATOR = "|"  # between several labels of one image, in tables that people and programs read


def count(n: int) -> str:
    """Return a whole number with its thousands separated."""
    return f"{n:,}"


def images(n: int, kind: str = "") -> str:
    """Return `1 image`, `36 test images`."""
    return f"{n:,} {kind}{' ' * bool(kind)}image{'' if n == 1 else 's'}"


def joined_labels(labels: Iterable[str]) -> str:
    """Return several labels of one image as one text: `covid|opacity`."""
    return LABEL_SEPARATOR.join(labels)


def percent(share: float | None, digits: int = 1) -> str:
    """Return a share of 0 to 1 in per cent, a dash for none."""
    return NOTHING if share is None or math.isnan(share) else f"{100 * share:.{digits}f} %"


def small_share(share: float) -> str:
    """Return a share of 0 to 1 in per cent; `< 0.1 %` and `> 99.9 %` for what rounding would show as none or all."""
    if 0 < share < 0.001:
        return "< 0.1 %"
    return "> 99.9 %" if 0.999 < share < 1 else percent(share)


def interval_percent(interval: tuple[float, float] | None) -> str:
    """Return an interval of shares in per cent, a dash for none."""
    return NOTHING if interval is None else f"{100 * interval[0]:.1f}–{100 * interval[1]:.1f} %"


def decimal(value: float | None, digits: int = 3, *, sign: bool = False) -> str:
    """Return a number with a fixed number of digits, a dash for none; with `sign`, `+1.2` for a difference above 0.

    A value that is rounded to zero has no sign, and the others have a minus sign instead of a hyphen.
    """
    if value is None or math.isnan(value):
        return NOTHING
    rounded = round(value, digits) + 0.0  # adding 0 removes the sign of zero
    plus = "+" if sign and rounded > 0 else ""
    return f"{plus}{rounded:.{digits}f}".replace("-", "\N{MINUS SIGN}")


def fraction(correct: int, n: int) -> str:
    """Return `33/36`, a dash for none of none."""
    return f"{correct:,}/{n:,}" if n else NOTHING


def fraction_percent(correct: int, n: int) -> str:
    """Return `27/36 = 75.0 %`, a dash for none of none."""
    return f"{fraction(correct, n)} = {percent(correct / n)}" if n else NOTHING


def fraction_interval(correct: int, n: int) -> str:
    """Return `27/36 = 75.0 % (58.9–86.2 %)` with Wilson's 95 % interval, a dash for none of none."""
    return f"{fraction_percent(correct, n)} ({interval_percent(wilson(correct, n))})" if n else NOTHING


def accuracy_words(score: Score) -> str:
    """Return `75.0 % (27 of 36 images correct, 95 % interval 58.9–86.2 %)`; `36 images in 9 groups` if they are."""
    return (
        f"{percent(score.accuracy)} ({count(score.correct)} of {images(score.n)}{score.in_groups} correct, "
        f"95 % interval {interval_percent(score.interval)})"
    )


def duration(seconds: float | None) -> str:
    """Return a time in milliseconds, seconds, minutes or hours, a dash for none."""
    if seconds is None:
        return NOTHING
    if 0 < seconds < 0.1:
        return f"{1000 * seconds:.0f} ms"
    if seconds < 120:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes:,} min {rest} s" if minutes < 120 else f"{minutes // 60:,} h {minutes % 60} min"


def probability(p: float | None) -> str:
    """Return a p-value as journals print it, a dash for none."""
    if p is None:
        return NOTHING
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def p_words(p: float) -> str:
    """Return `p = 0.250`, `p < 0.001`."""
    return f"p {probability(p)}" if p < 0.001 else f"p = {probability(p)}"


def size(n: int) -> str:
    """Return a number of bytes in kB or MB."""
    return f"{n / 1e6:,.1f} MB" if n >= 1e6 else f"{n / 1e3:,.0f} kB"
