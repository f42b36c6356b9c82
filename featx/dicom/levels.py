"""Stored values of a grey DICOM frame to levels from 0 to 255: modality LUT, then VOI LUT or window."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from featx.dicom.description import Pixels, text
from featx.dicom.lookup import Table, read_table
from featx.errors import ImageError

Values = NDArray[np.float64]
Rule = Callable[[Values], Values]
Window = tuple[float, float] | Literal["file", "none"]

_AT_ONCE = 2**20  # values: each takes some 40 bytes while it is mapped
_WIDEST_TABLE = 2**17  # a table of the levels of all values is built where they span no more


def levels_of(
    samples: NDArray[Any],
    pixels: Pixels,
    frame: int,
    window: tuple[float, float] | Literal["file", "none"],
    name: str,
) -> NDArray[np.uint8]:
    """Return the levels of a frame's stored values, see `decode_dicom`.

    Args:
        samples: (height, width), integers or floats.
        pixels: What the file says.
        frame: The frame's number, counted from 0.
        window: The file's own, none, or centre and width.
        name: The file as the user named it, for messages.

    Raises:
        ImageError: Values are not finite.
        DamageError: A lookup table is damaged.
    """
    modality = modality_rule(pixels, frame)
    voi = _voi_rule(pixels, frame) if window == "file" else None
    if isinstance(window, tuple):
        voi = window_rule(*window)
    inverted = pixels.photometric == "MONOCHROME1" or text(pixels.header, "PresentationLUTShape").upper() == "INVERSE"
    background = None
    if voi is None:
        low_high, background = _range(samples, pixels, modality, name)
        voi = stretch_rule(*low_high)
    elif samples.dtype.kind == "f" and not np.isfinite(samples).all():
        raise _not_finite(name)

    def level(values: Values) -> Values:
        # No value is a tie but of exact halves: NumPy rounds them to even.
        shown = np.clip(np.rint(voi(modality(values))), 0, 255)
        return 255 - shown if inverted else shown

    levels = _mapped(samples, level)
    if background is not None:
        levels[background] = 0
    return levels


def modality_rule(pixels: Pixels, frame: int) -> Rule:
    """Return what stored values mean: the Modality LUT, PS3.3 section C.11.1."""
    tables = pixels.header.get("ModalityLUTSequence")
    if tables and pixels.keyword == "PixelData":
        return read_table(tables[0], signed=pixels.signed, little_endian=pixels.little_endian).look_up
    for source in _sources(pixels, frame, "PixelValueTransformationSequence"):
        slope, intercept = (_number(source, keyword) for keyword in ("RescaleSlope", "RescaleIntercept"))
        if slope is not None and intercept is not None:
            return lambda values: values * slope + intercept
    return lambda values: values


def _voi_rule(pixels: Pixels, frame: int) -> Rule | None:
    """Return the file's own VOI LUT or window, the first one, PS3.3 section C.11.2; None if it has neither."""
    for source in _sources(pixels, frame, "FrameVOILUTSequence"):
        tables = source.get("VOILUTSequence")
        if tables:
            signed = pixels.signed or _number(pixels.header, "RescaleIntercept") not in (None, 0.0)
            table = read_table(tables[0], signed=signed, little_endian=pixels.little_endian)
            return _scaled(table)
        center, width = (_number(source, keyword) for keyword in ("WindowCenter", "WindowWidth"))
        if center is not None and width is not None and width > 0:
            return window_rule(center, width, text(source, "VOILUTFunction").upper() or "LINEAR")
    return None


def _scaled(table: Table) -> Rule:
    """Return the levels of a VOI LUT, whose entries use all of their bits."""
    white = 2**table.bits - 1
    return lambda values: table.look_up(values) * (255 / white)


def window_rule(center: float, width: float, function: str = "LINEAR") -> Rule:
    """Return the levels of a window, PS3.3 sections C.11.2.1.2 and C.11.2.1.3.

    Args:
        center: In the units of the values.
        width: In the same units, above 0. LINEAR needs 1 or more; a narrower one is taken as LINEAR_EXACT.
        function: LINEAR, LINEAR_EXACT or SIGMOID; any other one is taken as LINEAR.
    """
    if function == "SIGMOID":
        # Far below the window the power overflows to infinity, and the level is 0, which is right.
        return lambda values: 255 / (1 + np.exp(np.minimum(-4 * (values - center) / width, 700)))
    if function != "LINEAR_EXACT" and width >= 1:
        center, width = center - 0.5, width - 1
    low, high = center - width / 2, center + width / 2

    def levels(values: Values) -> Values:
        if width == 0:
            return np.where(values > high, 255.0, 0.0)
        return np.where(values <= low, 0.0, np.where(values > high, 255.0, ((values - center) / width + 0.5) * 255))

    return levels


def stretch_rule(low: float, high: float) -> Rule:
    """Return the levels of values mapped linearly from [low, high] to [0, 255]; 0 if they are all the same."""
    span = high - low
    return lambda values: (values - low) * (255 / span) if span > 0 else np.zeros_like(values)


def _range(
    samples: NDArray[Any], pixels: Pixels, modality: Rule, name: str
) -> tuple[tuple[float, float], NDArray[np.bool_] | None]:
    """The smallest and largest value, after the modality LUT, and where padding is, which does not count."""
    if pixels.allocated == 1:  # a mask: 0 is black and 1 white even where there is only one of them
        return (0.0, 1.0), None
    padding = _padding(samples, pixels)
    inside = samples if padding is None else samples[~padding]
    if inside.dtype.kind == "f" and not np.isfinite(inside).all():
        raise _not_finite(name)
    if not inside.size:
        return (0.0, 0.0), padding
    values = modality(_occurring(inside).astype(np.float64))
    return (float(values.min()), float(values.max())), padding


def _occurring(samples: NDArray[Any]) -> NDArray[Any]:
    """The values that occur, each once where that is quickly found."""
    low, high = samples.min(), samples.max()
    if samples.dtype.kind == "f" or int(high) - int(low) > _WIDEST_TABLE:
        return samples
    occurs = np.zeros(int(high) - int(low) + 1, np.bool_)
    occurs[_places(samples, int(low))] = True
    return np.flatnonzero(occurs) + int(low)


def _padding(samples: NDArray[Any], pixels: Pixels) -> NDArray[np.bool_] | None:
    """Where pixels stand for nothing, PS3.3 section C.7.5.1.1.2."""
    prefix = {"PixelData": "", "FloatPixelData": "Float", "DoubleFloatPixelData": "DoubleFloat"}[pixels.keyword]
    values = [_number(pixels.header, f"{prefix}PixelPadding{end}", finite=False) for end in ("Value", "RangeLimit")]
    if values[0] is None:
        return None
    if np.isnan(values[0]):
        return np.asarray(np.isnan(samples), np.bool_)
    ends = [_as_stored(value, pixels) for value in values if value is not None]
    return np.asarray((samples >= min(ends)) & (samples <= max(ends)), np.bool_)


def _as_stored(value: float, pixels: Pixels) -> float:
    """A padding value that is written with the wrong sign, as samples are."""
    if pixels.keyword != "PixelData":
        return value
    if pixels.signed and value >= 2 ** (pixels.allocated - 1):
        return value - float(2**pixels.allocated)
    return value + float(2**pixels.allocated) if value < 0 and not pixels.signed else value


def _mapped(samples: NDArray[Any], level: Rule) -> NDArray[np.uint8]:
    """Levels of all samples: by a table of the values they span, or a few rows at a time."""
    if samples.dtype.kind != "f":
        low, high = int(samples.min()), int(samples.max())
        if high - low <= _WIDEST_TABLE:
            table = level(np.arange(low, high + 1, dtype=np.float64)).astype(np.uint8)
            return np.take(table, _places(samples, low))
    levels = np.empty(samples.shape, np.uint8)
    rows = max(1, _AT_ONCE // samples.shape[1])
    with np.errstate(over="ignore", invalid="ignore"):  # padding may be NaN, and becomes black afterwards
        for start in range(0, len(samples), rows):
            shown = level(samples[start : start + rows].astype(np.float64))
            levels[start : start + rows] = np.nan_to_num(shown, nan=0.0)
    return levels


def _places(samples: NDArray[Any], low: int) -> NDArray[Any]:
    """Integers counted from the smallest of them."""
    if samples.dtype.itemsize <= 2:
        return samples.astype(np.int32) - low if low else samples
    return samples.astype(np.int64) - low


def _sources(pixels: Pixels, frame: int, sequence: str) -> Iterator[Any]:
    """Where a frame's settings may be: its functional groups, those of all frames, and the data set itself."""
    for groups, index in (("PerFrameFunctionalGroupsSequence", frame), ("SharedFunctionalGroupsSequence", 0)):
        items = pixels.header.get(groups)
        inner = items[index].get(sequence) if items and index < len(items) else None
        if inner:
            yield inner[0]
    yield pixels.header


def _number(header: Any, keyword: str, *, finite: bool = True) -> float | None:
    """The first number of an element; None if it has none."""
    with suppress(ValueError):
        number = float(text(header, keyword))
        if np.isfinite(number) or not finite:
            return number
    return None


def _not_finite(name: str) -> ImageError:
    return ImageError(name, "holds values that are not finite (NaN or infinity); replace them by numbers")
