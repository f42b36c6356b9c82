"""The pixels of a DICOM file as grey levels or RGB."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def decode_dicom(data: bytes, name: str, *, window: str = "file", max_pixels: int) -> NDArray[np.uint8]:
    """Decode one frame of a DICOM file to RGB.

    Args:
        data: The file's bytes, or those of one frame (`mark_frame`).
        name: The file as the user named it, for messages.
        window: `file`, `none` or `CENTER/WIDTH`.
        max_pixels: The most pixels accepted.

    Returns:
        Shape (height, width, 3), RGB.
    """
    raise NotImplementedError
