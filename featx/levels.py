"""The rule by which samples of more than 8 bits become grey levels, without clipping."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.errors import ImageError

BIT_DEPTHS = (8, 10, 12, 14, 16)


def integer_levels(samples: NDArray[Any]) -> NDArray[np.uint8]:
    """Return integer samples as grey levels.

    The smallest of 8, 10, 12, 14 and 16 bits that holds the largest sample is taken for the image's depth, and its
    range is scaled to 0 to 255. Negative samples or larger ones are stretched from their extremes.
    """
    low, high = int(samples.min()), int(samples.max())
    if low < 0 or high > 65535:
        return _stretched(samples, low, high)
    white = next(2**bits - 1 for bits in BIT_DEPTHS if high < 2**bits)
    table = (np.arange(white + 1) * 255 + white // 2) // white
    levels: NDArray[np.uint8] = table.astype(np.uint8)[samples]
    return levels


def float_levels(samples: NDArray[np.float32], name: str) -> NDArray[np.uint8]:
    """Return float samples as grey levels: times 255 within [0, 1], as they are within [0, 255], else stretched.

    Raises:
        ImageError: A sample is NaN or infinite; `name` is the image's.
    """
    if not np.isfinite(samples).all():
        raise ImageError(name, "holds values that are not finite (NaN or infinity); replace them by numbers")
    low, high = float(samples.min()), float(samples.max())
    if low < 0 or high > 255:
        return _stretched(samples, low, high)
    scale = 255.0 if high <= 1 else 1.0
    return np.rint(samples.astype(np.float64) * scale).astype(np.uint8)


def _stretched(samples: NDArray[Any], low: float, high: float) -> NDArray[np.uint8]:
    """Samples mapped linearly from [low, high] to [0, 255]."""
    span = (high - low) or 1.0
    return np.rint((samples.astype(np.float64) - low) * (255.0 / span)).astype(np.uint8)
