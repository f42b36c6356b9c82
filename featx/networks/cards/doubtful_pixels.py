"""Numbers of a card that are valid, but in all likelihood meant for another scale of pixels."""

from __future__ import annotations

import logging
from functools import cache

from featx.networks.cards.card import Card, PixelsPart

log = logging.getLogger("featx")

# As shares of white, which is 255 × scale. Known networks have means of 0 or 0.36 to 0.53, and deviations of 1 (no
# division) or 0.18 to 0.53.
LEAST_SHARE, LEAST_DEVIATION, MOST_DEVIATION = 0.02, 0.02, 4.0
WIDEST = 10_000.0


def tell_of_doubt(card: Card) -> None:
    """Warn once of a card whose scale, mean and std do not seem to belong together."""
    doubt = doubt_about(card.pixels)
    if doubt is not None:
        _tell(f"{doubt} Check pixels.scale, pixels.mean and pixels.std in the card {card.name[:80]}.")


def doubt_about(pixels: PixelsPart) -> str | None:
    """Return what is strange about (x × scale - mean) / std for x from 0 to 255; None if nothing is."""
    white = 255 * pixels.scale
    for mean, std in zip(pixels.mean, pixels.std, strict=True):
        low, high = (0 - mean) / std, (white - mean) / std
        ends = f"Pixels from 0 to 255 become {low:.4g} to {high:.4g}"
        if mean and not LEAST_SHARE * white <= mean <= white:
            return f"{ends}: after the scale they are 0 to {white:.4g}, and the mean {mean:.4g} does not fit this."
        if std != 1 and not LEAST_DEVIATION * white <= std <= MOST_DEVIATION * white:
            return f"{ends}: after the scale they are 0 to {white:.4g}, and the std {std:.4g} does not fit this."
        if high - low > WIDEST:
            return f"{ends}, which is much more than networks usually take."
    return None


@cache
def _tell(sentence: str) -> None:
    log.warning("%s", sentence)
