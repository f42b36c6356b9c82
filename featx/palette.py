"""Colours and markers of classes, the same on every picture and page."""

from __future__ import annotations

# Okabe and Ito's colours ("Color universal design", 2008), which readers with any kind of colour vision can
# tell apart; the markers, by Matplotlib's names, say the same again for print without colour.
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")


def style(number: int) -> tuple[str, str]:
    """Return colour and marker of a class by its number; 64 classes differ in one or the other."""
    turn, place = divmod(number, len(COLOURS))
    return COLOURS[place], MARKERS[(place + turn) % len(MARKERS)]
