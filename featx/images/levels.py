"""Samples of any depth to grey levels from 0 to 255, and transparency over black; `decode` has the rules."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from featx.errors import ImageError

_AT_ONCE = 2**20  # samples: each takes 16 bytes while it is mapped linearly
LARGEST = 65535  # the largest value of 16 bits
DEPTHS = (8, 10, 12, 14, 16)


class SampleRange(NamedTuple):
    """The smallest and the largest sample of an image with more than 8 bits.

    Attributes:
        floats: Whether the samples are floats.
        low: The smallest.
        high: The largest.
    """

    floats: bool
    low: float
    high: float

    @property
    def linear(self) -> bool:
        """Whether the samples have no bit depth: floats, and integers outside 0 to 65535."""
        return self.floats or self.low < 0 or self.high > LARGEST


@dataclass(frozen=True)
class SampleDepth:
    """Which samples of more than 8 bits become black and white, the same for all images of a data set.

    Attributes:
        white: Integers from 0 to 65535 become `v * 255 / white`; those above are white. None: each image's own depth.
        linear: Floats and other integers are mapped linearly from these two values to 0 and 255; those outside are
            black or white. None: each image's own range.
    """

    white: int | None = None
    linear: tuple[float, float] | None = None


@dataclass
class _Rule:
    depth: SampleDepth = field(default_factory=SampleDepth)
    seen: list[SampleRange] = field(default_factory=list)


# Set by `decode` for what it calls in its own thread: a dozen readers of formats need not hand it on.
_RULE: ContextVar[_Rule | None] = ContextVar("rule", default=None)


@contextmanager
def depth_of_samples(depth: SampleDepth | None) -> Iterator[list[SampleRange]]:
    """Let `levels_of` use a depth within the block; the list then has the ranges of what it was given."""
    rule = _Rule(depth or SampleDepth())
    token = _RULE.set(rule)
    try:
        yield rule.seen
    finally:
        _RULE.reset(token)


def levels_of(samples: NDArray[Any], name: str, *, white_is_zero: bool = False) -> NDArray[np.uint8]:
    """Return the levels of an image's colour samples, of any shape; one map is used for all channels."""
    if samples.dtype.kind == "f" and not np.isfinite(samples).all():
        raise ImageError(name, "holds values that are not finite (NaN or infinity); replace them by numbers")
    rule = None if samples.dtype.itemsize == 1 else _RULE.get()
    levels = _own_levels(samples) if rule is None else _levels_by(rule, samples)
    return 255 - levels if white_is_zero else levels


def _own_levels(samples: NDArray[Any]) -> NDArray[np.uint8]:
    """Levels by the image's own depth."""
    return _float_levels(samples) if samples.dtype.kind == "f" else _integer_levels(samples)


def _levels_by(rule: _Rule, samples: NDArray[Any]) -> NDArray[np.uint8]:
    """Levels by the depth of the data set, where it says anything of such samples."""
    floats = samples.dtype.kind == "f"
    cast = float if floats else int
    own = SampleRange(floats, cast(samples.min()), cast(samples.max()))
    rule.seen.append(own)
    depth = rule.depth
    if depth.linear is not None and own.linear:
        return _stretched(samples, *depth.linear)
    if depth.white is not None and not own.linear:
        most = min(depth.white, int(np.iinfo(samples.dtype).max))
        return _scaled(np.minimum(samples, most), depth.white)
    return _own_levels(samples)


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
        rule = _RULE.get()
        chosen = None if rule is None or samples.dtype.itemsize == 1 else rule.depth.white
        white = chosen or white_of(max(int(samples.max()), 0))
        largest = int(np.iinfo(alpha.dtype).max)
        opaque = min(white, largest) if high <= white else largest
    opacity = np.clip(alpha[:, :, np.newaxis].astype(np.float32) / np.float32(opaque), 0, 1)
    shown: NDArray[np.uint8] = np.rint(levels * opacity).astype(np.uint8)
    return shown


def white_of(high: int) -> int:
    """Return the largest value of the smallest common bit depth that holds `high`, at most that of 16 bits."""
    return next((2**bits - 1 for bits in DEPTHS if high < 2**bits), LARGEST)


def _integer_levels(samples: NDArray[Any]) -> NDArray[np.uint8]:
    low, high = int(samples.min()), int(samples.max())
    if low < 0 or high > LARGEST:
        return _stretched(samples, low, high)
    return _scaled(samples, white_of(high))


def _scaled(samples: NDArray[Any], white: int) -> NDArray[np.uint8]:
    """Levels of integers from 0 to `white`."""
    table = (np.arange(white + 1) * 255 + white // 2) // white
    levels: NDArray[np.uint8] = table.astype(np.uint8)[samples]
    return levels


def _float_levels(samples: NDArray[Any]) -> NDArray[np.uint8]:
    low, high = float(samples.min()), float(samples.max())
    if low < 0 or high > 255:
        return _stretched(samples, low, high)
    scale = 255.0 if high <= 1 else 1.0
    return _by_rows(lambda part: np.rint(part.astype(np.float64) * scale), samples)


def _stretched(samples: NDArray[Any], low: float, high: float) -> NDArray[np.uint8]:
    """Samples mapped linearly from [low, high] to [0, 255]; those outside are clipped."""
    if high / 2 - low / 2 > np.finfo(np.float64).max / 4:  # the span is no finite number
        return _stretched(samples / 4, low / 4, high / 4)
    span = (high - low) or 1.0

    def levels_of_rows(part: NDArray[Any]) -> NDArray[Any]:
        # Clipped as float64, because the ends may be beyond what narrower types hold.
        return np.rint((np.clip(part.astype(np.float64), low, high) - low) * (255.0 / span))

    return _by_rows(levels_of_rows, samples)


def _by_rows(levels_of_rows: Callable[[NDArray[Any]], NDArray[Any]], samples: NDArray[Any]) -> NDArray[np.uint8]:
    """Levels of all samples, a few rows at a time."""
    levels = np.empty(samples.shape, np.uint8)
    rows = max(1, _AT_ONCE * len(samples) // samples.size)
    for start in range(0, len(samples), rows):
        levels[start : start + rows] = levels_of_rows(samples[start : start + rows])
    return levels
