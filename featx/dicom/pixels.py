"""The pixels of a DICOM file as RGB."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.dicom.damage import REPLACE, DamageError, damage_errors
from featx.dicom.decompression import decompressed, syntax_name
from featx.dicom.description import Pixels, read_pixels
from featx.dicom.levels import Window, levels_of
from featx.dicom.lookup import read_palette
from featx.dicom.quiet import quiet
from featx.dicom.signature import unmark_frame
from featx.errors import ImageError
from featx.recipes import parse_window


def decode_dicom(data: bytes, name: str, *, window: str = "file", max_pixels: int) -> NDArray[np.uint8]:
    """Decode one frame of a DICOM file to RGB.

    The frame is decompressed, and no other one. Colours become RGB of 8 bits: YBR is converted, palettes are looked
    up, and b stored bits are scaled by v * 255 / (2^b - 1). Grey values go these ways, each computed in 64-bit
    floats and rounded once, at the end, to the nearest level, ties to even:

    1. Bits that are not stored, in which overlays may be, are left out.
    2. Modality LUT: the rescale slope and intercept, or the table (PS3.3 section C.11.1). They give the units.
    3. With `file`, the first VOI LUT; if there is none, the first window with its function, LINEAR, LINEAR_EXACT or
       SIGMOID (PS3.3 section C.11.2). With `CENTER/WIDTH`, this window, LINEAR, in the units of step 2. With `none`,
       or in a file with neither, linear from the smallest to the largest value of the frame to 0 and 255; padding
       pixels (pixel padding value and range limit) do not count; a constant frame becomes 0. Masks of 1 bit become
       0 and 255.
    4. If the smallest value is white (MONOCHROME1) or the presentation LUT shape is INVERSE, levels are inverted,
       once. Padding pixels that did not count become 0, black, after that.

    Enhanced objects have steps 2 and 3 in the functional groups of the frame, or of all frames. Overlays, shutters,
    presentation states, ICC profiles and supplemental palettes are not applied. Pixels that are not square are not
    resampled.

    Args:
        data: The file's bytes, or those of one frame (`read_frame`).
        name: The file as the user named it, for messages.
        window: `file`, `none` or `CENTER/WIDTH`, in the units of the images, such as Hounsfield units.
        max_pixels: The most pixels (rows * columns) accepted; checked before any pixel is decompressed.

    Returns:
        Shape (rows, columns, 3), RGB, a new array.

    Raises:
        ImageError: The file has no pixels or not this frame; it is truncated, damaged, a video, or compressed in a
            way for which there is no decoder; it has more than `max_pixels`; it holds values that are not finite; or
            pydicom and its decoders are not installed.
        ValueError: The window is none.
    """
    numbers = parse_window(window)
    plain, frame, alone = unmark_frame(data)
    try:
        with quiet():
            return _decoded(plain, frame, alone, numbers or window, name, max_pixels)  # type: ignore[arg-type]
    except ImportError as error:
        reason = f"is a DICOM file, and {error.name or 'a decoder'} is not installed; pip install 'featx[dicom]'"
        raise ImageError(name, reason) from None
    except MemoryError:
        raise ImageError(name, "needs more memory than there is; scale it down or leave it out") from None


def _decoded(data: bytes, frame: int, alone: bool, window: Window, name: str, max_pixels: int) -> NDArray[np.uint8]:
    damage, doing = damage_errors(), "its header cannot be read"
    try:
        pixels = read_pixels(data, name)
        _check_size(pixels, name, max_pixels)
        doing = f"its pixels cannot be decompressed, {syntax_name(pixels.syntax)}"
        stored = replace(pixels, frames=1) if alone else pixels
        samples, bits = decompressed(stored, 0 if alone else frame, name)
        doing = "its lookup tables or windows cannot be read"
        if pixels.photometric == "PALETTE COLOR":
            return _from_palette(samples, pixels)
        if pixels.samples == 3:
            return _colours(samples, bits)
        levels = levels_of(samples, pixels, frame, window, name)
        return np.repeat(levels[:, :, np.newaxis], 3, axis=2)
    except DamageError as error:
        raise ImageError(name, f"is a damaged or unsupported DICOM file ({error}); {REPLACE}") from None
    except damage:
        # What they say may quote the header, where a name could be.
        raise ImageError(name, f"is a damaged or unsupported DICOM file ({doing}); {REPLACE}") from None


def _check_size(pixels: Pixels, name: str, max_pixels: int) -> None:
    count = pixels.rows * pixels.columns
    if count > max_pixels:
        sizes = f"{count / 1e6:.1f} megapixels, more than the limit of {max_pixels / 1e6:.1f}"
        raise ImageError(name, f"has {sizes}; scale it down or leave it out")


def _from_palette(samples: NDArray[Any], pixels: Pixels) -> NDArray[np.uint8]:
    palette, first = read_palette(pixels.header, signed=pixels.signed, little_endian=pixels.little_endian)
    places = np.clip(samples.astype(np.int64) - first, 0, len(palette) - 1)
    colours: NDArray[np.uint8] = palette[places]
    return colours


def _colours(samples: NDArray[Any], bits: int) -> NDArray[np.uint8]:
    if samples.dtype.kind != "u":
        raise DamageError("colours that are not unsigned integers")
    if samples.dtype == np.uint8 and bits == 8:
        return np.ascontiguousarray(samples)
    scaled = np.empty(samples.shape, np.uint8)
    white = 2**bits - 1
    for row, values in enumerate(samples):
        scaled[row] = np.rint(np.minimum(values, white) * (255 / white))
    return scaled
