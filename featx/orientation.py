"""The EXIF orientation of an image: read without Pillow's warnings, and undone."""

from __future__ import annotations

import struct

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image
from PIL.TiffImagePlugin import TiffImageFile

_SHORT = 3  # field type, TIFF 6.0 section 2


def orientation_of(image: Image.Image) -> int:
    """Return the EXIF orientation, 1 to 8, that is still to be applied to a loaded image."""
    if isinstance(image, TiffImageFile):
        # Pillow turns TIFF images itself while loading and then takes the tag away.
        found = image.tag_v2.get(ExifTags.Base.Orientation, 1)
        return found if isinstance(found, int) else 1
    exif = image.info.get("exif", b"")
    return _exif_orientation(exif.removeprefix(b"Exif\0\0")) if isinstance(exif, bytes) else 1


def _exif_orientation(tiff: bytes) -> int:
    """The orientation in an EXIF block's first directory (TIFF 6.0 section 2); 1 if it holds none."""
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
    except struct.error:  # cut short: whatever the block says elsewhere, the pixels are whole
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
