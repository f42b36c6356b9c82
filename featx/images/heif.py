"""AVIF and HEIC: images in boxes of ISO/IEC 23008-12 (HEIF).

Their own rotation and mirroring (the properties irot and imir) turn them upright. The EXIF orientation repeats these
and is not applied again, as HEIF wants it. Samples of 10 and 12 bits are divided by the largest value of their depth:
these formats are lossy, and an image's own maximum says nothing there.
"""

from __future__ import annotations

import io
import re
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import features
from PIL.AvifImagePlugin import AvifImageFile

from featx.errors import ImageError
from featx.images.levels import rgb_of
from featx.images.orientation import exif_orientation, upright
from featx.images.pending import BYTES_A_PIXEL, Pending

# An entry of the box iinf for EXIF data: version 2 or 3, flags, number of the item, protection, kind.
_EXIF_ITEM = re.compile(rb"(infe(?:\x02.{7}|\x03.{9}))Exif", re.DOTALL)
_LIBRARIES = ("pi_heif", "pillow_heif")  # the first has decoders alone


def brands(data: bytes) -> set[bytes]:
    """Return the brands that the first box of a file names, such as b"avif" and b"mp42"; none for other files."""
    if data[4:8] != b"ftyp":
        return set()
    end = min(int.from_bytes(data[:4]), 512, len(data))
    return {data[8:12], *(data[k : k + 4] for k in range(16, end - 3, 4))}


def is_avif(data: bytes) -> bool:
    """Tell whether a file is AVIF."""
    return bool(brands(data) & {b"avif", b"avis"})


def is_heic(data: bytes) -> bool:
    """Tell whether a file is HEIC, or HEIF of an unknown kind."""
    kinds = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1"}
    return bool(brands(data) & kinds) and not is_avif(data)


def avif(data: bytes, name: str, _: int | None = None) -> Pending:
    """Return the primary image of an AVIF file, of a sequence its first."""
    if not features.check("avif"):
        raise ImageError(name, "is AVIF, without which Pillow was built here; install Pillow from its wheels")
    image = AvifImageFile(io.BytesIO(_without_exif(data)))

    def pixels() -> NDArray[np.uint8]:
        with image:
            image.load()
            samples = np.asarray(image if image.mode in ("L", "RGB", "RGBA") else image.convert("RGBA"))
            # Without EXIF data, Pillow gives here what irot and imir say.
            return upright(_rgb(samples, 8, name), exif_orientation(image.info.get("exif")))

    return Pending(image.width, image.height, pixels)


def heic(data: bytes, name: str, _: int | None = None) -> Pending:
    """Return the primary image of a HEIC file."""
    image = _library(name).open_heif(_without_exif(data), convert_hdr_to_8bit=False)
    width, height = image.size

    def pixels() -> NDArray[np.uint8]:
        samples = np.asarray(image)
        if samples.shape[:2] != (height, width):
            raise ValueError("two different sizes")
        bits = 8
        if samples.dtype != np.uint8:  # moved up to 16 bits
            bits = int(image.info["bit_depth"])
            samples = samples >> 16 - bits
        premultiplied = image.mode.split(";")[0].endswith("a")
        return _rgb(samples[:, :, :-1] if premultiplied else samples, bits, name)

    return Pending(width, height, pixels, 2 * BYTES_A_PIXEL)


def _without_exif(data: bytes) -> bytes:
    """The file with EXIF data of a kind that no reader knows: it may be damaged, and is not used."""
    return _EXIF_ITEM.sub(rb"\1none", data, count=4)


def _library(name: str) -> ModuleType:
    from importlib import import_module

    for library in _LIBRARIES:
        try:
            return import_module(library)
        except ImportError:
            continue
    raise ImageError(
        name, "is HEIC, for which pi-heif is needed (pip install 'featx[heic]'), or convert it to PNG first"
    )


def _rgb(samples: NDArray[Any], bits: int, name: str) -> NDArray[np.uint8]:
    """RGB of samples (height, width) or (height, width, channels), the last of 2 or 4 channels being alpha."""
    samples = np.atleast_3d(samples)
    if bits > 8:
        white = 2**bits - 1
        levels = ((np.arange(white + 1) * 255 + white // 2) // white).astype(np.uint8)
        samples = levels[samples]
    if samples.shape[2] in (2, 4):
        return rgb_of(samples[:, :, :-1], samples[:, :, -1], name)
    return np.array(samples) if samples.shape[2] == 3 else np.repeat(samples, 3, axis=2)
