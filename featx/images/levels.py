"""Samples of any depth to grey levels from 0 to 255, and transparency over black; `decode` has the rules."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.errors import ImageError

_AT_ONCE = 2**20  # samples: each takes 16 bytes while it is mapped linearly


def levels_of(samples: NDArray[Any], name: str, *, white_is_zero: bool = False) -> NDArray[np.uint8]:
    """Return the levels of an image's colour samples, of any shape; one map is used for all channels."""
    levels = _float_levels(samples, name) if samples.dtype.kind == "f" else _integer_levels(samples)
    return 255 - levels if white_is_zero else levels


def rgb_of(
    samples: NDArray[Any], alpha: NDArray[Any] | None, name: str, *, white_is_zero: bool = False
) -> NDArray[np.uint8]:
    """Return RGB (height, width, 3) of samples (height, width, 1 or 3), over black where alpha (height, width) is."""
    levels = levels_of(samples, name, white_is_zero=white_is_zero)
    if alpha is not None:
        levels = _over_black(levels, alpha, samples)
    return np.repeat(levels, 3, axis=2) if levels.shape[2] == 1 else levels


def _over_black(levels: NDArray[np.uint8], alpha: NDArray[Any], samples: NDArray[Any]) -> NDArray[np.uint8]:
    high = max(int(alpha.max()), 1)
    if alpha.dtype.kind == "f":
        opaque = 1.0 if high <= 1 else float(np.iinfo(np.uint16).max if high > 255 else 255)
    else:  # 12-bit colours mostly come with 12-bit alpha
        white = _white(max(int(samples.max()), 0))
        largest = int(np.iinfo(alpha.dtype).max)
        opaque = min(white, largest) if high <= white else largest
    opacity = np.clip(alpha[:, :, np.newaxis].astype(np.float32) / np.float32(opaque), 0, 1)
    shown: NDArray[np.uint8] = np.rint(levels * opacity).astype(np.uint8)
    return shown


def _white(high: int) -> int:
    """The largest value of the smallest common bit depth that holds `high`, at most that of 16 bits."""
    return next((2**bits - 1 for bits in (8, 10, 12, 14) if high < 2**bits), 65535)


def _integer_levels(samples: NDArray[Any]) -> NDArray[np.uint8]:
    low, high = int(samples.min()), int(samples.max())
    if low < 0 or high > 65535:
        return _stretched(samples, low, high)
    white = _white(high)
    table = (np.arange(white + 1) * 255 + white // 2) // white
    levels: NDArray[np.uint8] = table.astype(np.uint8)[samples]
    return levels


def _float_levels(samples: NDArray[Any], name: str) -> NDArray[np.uint8]:
    if not np.isfinite(samples).all():
        raise ImageError(name, "holds values that are not finite (NaN or infinity); replace them by numbers")
    low, high = float(samples.min()), float(samples.max())
    if low < 0 or high > 255:
        return _stretched(samples, low, high)
    scale = 255.0 if high <= 1 else 1.0
    return _by_rows(lambda part: np.rint(part.astype(np.float64) * scale), samples)


def _stretched(samples: NDArray[Any], low: float, high: float) -> NDArray[np.uint8]:
    """Samples mapped linearly from [low, high] to [0, 255]."""
    if high / 2 - low / 2 > np.finfo(np.float64).max / 4:  # the span is no finite number
        return _stretched(samples / 4, low / 4, high / 4)
    span = (high - low) or 1.0
    return _by_rows(lambda part: np.rint((part.astype(np.float64) - low) * (255.0 / span)), samples)


def _by_rows(levels_of_rows: Callable[[NDArray[Any]], NDArray[Any]], samples: NDArray[Any]) -> NDArray[np.uint8]:
    """Levels of all samples, a few rows at a time."""
    levels = np.empty(samples.shape, np.uint8)
    rows = max(1, _AT_ONCE * len(samples) // samples.size)
    for start in range(0, len(samples), rows):
        levels[start : start + rows] = levels_of_rows(samples[start : start + rows])
    return levels
