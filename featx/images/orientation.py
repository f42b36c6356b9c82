"""The EXIF orientation of an image, and turning its pixels upright."""

from __future__ import annotations

import struct

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags

_SHORT = 3  # field type, TIFF 6.0 section 2


def exif_orientation(exif: object) -> int:
    """The orientation, 1 to 8, in the first directory of an EXIF block (TIFF 6.0 section 2); 1 if it holds none.

    TIFF images have no block, but a tag. `ImageOps.exif_transpose` is not used for the others: it warns of damaged
    blocks or refuses them, and follows XMP data, too, which would change cached rows.
    """
    tiff = exif.removeprefix(b"Exif\0\0") if isinstance(exif, bytes) else b""
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(tiff[:4])
    if order is None:
        return 1
    try:
        (directory,) = struct.unpack_from(f"{order}L", tiff, 4)
        (entries,) = struct.unpack_from(f"{order}H", tiff, directory)
        for entry in range(entries):
            tag, kind, _, value = struct.unpack_from(f"{order}HHLH", tiff, directory + 2 + 12 * entry)
            if tag == ExifTags.Base.Orientation and kind == _SHORT:
                return int(value)
    except struct.error:  # the block is cut short, but the pixels are whole
        pass
    return 1


def upright(pixels: NDArray[np.uint8], orientation: int) -> NDArray[np.uint8]:
    """Undo an EXIF orientation (EXIF 2.32, tag 0x0112); unknown values leave the pixels as they are."""
    if orientation in (5, 6, 7, 8):
        pixels = pixels.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return np.ascontiguousarray(pixels)
