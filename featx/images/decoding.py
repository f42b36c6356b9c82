"""Image files to RGB pixels: formats, bit depths, orientation."""

from __future__ import annotations

import io
import re
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image
from PIL.BmpImagePlugin import BmpImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.WebPImagePlugin import WebPImageFile

from featx.errors import ImageError, reason_of
from featx.images.containers import bare_jpeg, bare_png, bmp_size, gif_frame, png_key_scale, png_samples, webp_size
from featx.images.levels import levels_of, rgb_of
from featx.images.places import read_place
from featx.images.samples import deep_pixels
from featx.images.tiff import (
    LENGTH,
    WIDTH,
    Directory,
    TiffFile,
    check_kind,
    check_whole,
    described_anew,
    read_directory,
)
from featx.machine import available_memory
from featx.parallel import Budget

DECODE_RULE = 1
"""Part of the cache's key: raised by hand whenever `decode` or `resize` give other values."""

MAX_PIXELS = 89_478_485
"""The most pixels an image may have by default: an RGB image of 256 MiB, about nine times the largest digital
radiographs. From this number on Pillow itself warns of a decompression bomb."""

LARGEST_FILE = 2**32
"""The most bytes of an image file: five times those of an uncompressed image of the most pixels."""

# What Pillow's readers raise on damaged bytes. A Warning is among them only where a program asks for it.
_DAMAGE = (OSError, SyntaxError, ValueError, TypeError, LookupError, ArithmeticError, EOFError, struct.error, Warning)

_SHORT = 3  # field type, TIFF 6.0 section 2
MAX_RUN_LENGTH_PIXELS = 10_000_000  # of a BMP: Pillow reads its runs in Python
LARGEST_BY_BYTE = 8_000_000  # bytes of what Pillow reads one by one
BYTES_A_PIXEL = 14  # while an image of 8 bits is decoded: Pillow's pixels, converted ones, and the array

# Images are decoded in many threads; the largest ones one after another where memory is short.
DECODING = Budget(lambda: available_memory() // 4, free=2**24)


class _JpegFile(JpegImageFile):
    """A JPEG (of an MPO, the first image) whose EXIF block Pillow does not parse."""

    def getexif(self) -> Image.Exif:
        # Pillow asks for the resolution while it opens the file, and warns if the block is damaged.
        return Image.Exif()


# `Image.open` would say neither which format a damaged file has nor what is wrong with it, would parse EXIF blocks,
# and would apply the limit that the whole process has set for pixels.
_FORMATS: tuple[tuple[str, re.Pattern[bytes], type[ImageFile]], ...] = (
    ("JPEG", re.compile(rb"\xff\xd8\xff"), _JpegFile),
    ("PNG", re.compile(rb"\x89PNG\r\n\x1a\n"), PngImageFile),
    ("TIFF", re.compile(rb"II[*+]\0|MM\0[*+]"), TiffFile),
    ("BMP", re.compile(rb"BM"), BmpImageFile),
    ("WebP", re.compile(rb"RIFF.{4}WEBP", re.DOTALL), WebPImageFile),
    ("GIF", re.compile(rb"GIF8[79]a"), GifImageFile),
)
# What people have, too, and must convert first.
_OTHERS: tuple[tuple[str, re.Pattern[bytes]], ...] = (
    ("DICOM", re.compile(rb".{128}DICM", re.DOTALL)),
    ("HEIC", re.compile(rb".{4}ftyp(hei|hev|mif1|msf1)", re.DOTALL)),
    ("AVIF", re.compile(rb".{4}ftypavi", re.DOTALL)),
    ("JPEG 2000", re.compile(rb"\0\0\0\x0cjP  \r\n|\xff\x4f\xff\x51")),
    ("PDF", re.compile(rb"%PDF-")),
)


def read_bytes(path: Path, name: str) -> bytes:
    """Return the bytes of an image file, at least one; also of a member of an archive, or of one frame of a file.

    Args:
        path: The file; in an archive `xrays.zip/normal/1.png` (see `featx.archives.archive_of`); for one of the
            frames of a file, counted from 0, `scan.dcm/frame-3` (see `featx.dicom.split_frame`), whose bytes are
            marked unless it is the first.
        name: The file as the user named it, for messages.

    Raises:
        ImageError: The file does not exist, is a folder, a pipe or a device, is empty or cannot be read.
    """
    try:
        data = read_place(path, LARGEST_FILE)
    except FileNotFoundError as error:
        raise ImageError(name, "does not exist") from error
    except IsADirectoryError as error:
        raise ImageError(name, "is a folder where an image file was expected") from error
    except PermissionError as error:
        raise ImageError(name, "may not be read (permission denied)") from error
    except OSError as error:
        reason = reason_of(error)
        said = reason.removeprefix("it ") if reason.startswith("it ") else f"cannot be read ({reason})"
        raise ImageError(name, said) from error
    if not data:
        raise ImageError(name, "is empty (zero bytes)")
    return data


def decode(
    data: bytes,
    name: str,
    *,
    max_pixels: int = MAX_PIXELS,
    at_least: int | None = None,
    finish: Callable[[NDArray[np.uint8]], NDArray[np.uint8]] | None = None,
) -> NDArray[np.uint8]:
    """Decode a JPEG, PNG, TIFF, BMP, WebP or GIF file to RGB.

    The first image of a file is taken and turned upright as its EXIF orientation says. Grey values are repeated in
    the three channels. Transparent pixels are composited over black; around the first image of a GIF it is black.
    Samples of 8 bits keep their values, those of CMYK with 16 bits their high byte. Other samples of
    more than 8 bits are scaled so that nothing is clipped, all colours by one map, whatever alpha is:

    - Integers from 0 to 65535: the smallest b of 8, 10, 12, 14 and 16 with max < 2^b is taken as the image's bit
      depth, and values become v * 255 / (2^b - 1), rounded to the nearest (there are no ties). A 12-bit radiograph
      in a 16-bit file thus uses the whole range. If alpha is nowhere above 2^b - 1, that is opaque.
    - Integers outside 0 to 65535: linear from [min, max] to [0, 255].
    - Floats: if all are in [0, 1], they are multiplied by 255; if all are in [0, 255], they stay; otherwise linear
      from [min, max] to [0, 255].

    Linear maps and floats are rounded to the nearest, ties to even; a constant image that needs a linear map
    becomes 0. TIFF images in which white is zero are inverted last. Metadata is not read, and does no harm. Files
    that would take minutes are refused: JPEGs of hundreds of scans, images in hundreds of thousands of pieces.

    Args:
        data: The file's bytes.
        name: The file as the user named it, for messages.
        max_pixels: The most pixels (width * height) accepted; checked before any pixel is decoded.
        at_least: For thumbnails, never for features: a JPEG with more than this many pixels on both sides may be
            decoded at a half, a quarter or an eighth of its size, but not below this, which is several times faster.
        finish: What is done with the pixels, such as resizing, while the memory that they need is still set aside:
            threads that decode large images at once wait for one another where memory is short.

    Returns:
        Shape (height, width, 3), RGB, a new array; or what `finish` made of it.

    Raises:
        ImageError: The bytes are not of one of these formats, truncated or damaged, of an unsupported kind, have
            more than `max_pixels`, or hold values that are not finite.
    """
    kind, reader = _reader(data, name)
    finish = finish or np.ascontiguousarray
    directory = None
    try:
        if kind == "TIFF":
            directory = read_directory(data)
            check_kind(directory, name)
            check_whole(data, directory, name)
            _check_size(directory.value(WIDTH), directory.value(LENGTH), name, max_pixels)
            if directory.deep:
                with DECODING.granted(_deep_memory(directory)):
                    return finish(_upright(deep_pixels(data, directory, name), directory.orientation))
            turned = directory.orientation
            data = described_anew(data, directory)
        else:
            data, turned = _bare(data, kind, name, max_pixels), None
        with reader(io.BytesIO(data)) as image:
            _check_size(image.width, image.height, name, max_pixels)
            if at_least is not None:
                image.draft(None, (at_least, at_least))
            with DECODING.granted(image.width * image.height * BYTES_A_PIXEL):
                pixels = _png16(image, data, name) if png_samples(data) else _loaded(image, data)
                return finish(_upright(pixels, turned or _orientation(image.info.get("exif"))))
    except Image.DecompressionBombError as error:  # Pillow's own limit, which some of its readers apply
        raise ImageError(name, f"has more pixels than the limit of its reader ({error})") from error
    except MemoryError as error:
        raise ImageError(name, "needs more memory than there is; scale it down or leave it out") from error
    except _DAMAGE as error:
        detail = reason_of(error) if directory is None else f"{directory.described()}: {reason_of(error)}"
        reason = f"is truncated, damaged or an unsupported kind of {kind} ({detail})"
        raise ImageError(name, f"{reason}; replace it or leave it out") from error


def as_rgb(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return an image in memory, (height, width) or (height, width, 3), as RGB, (height, width, 3)."""
    return np.repeat(image[:, :, np.newaxis], 3, axis=2) if image.ndim == 2 else image


def _reader(data: bytes, name: str) -> tuple[str, type[ImageFile]]:
    for kind, signature, reader in _FORMATS:
        if signature.match(data):
            return kind, reader
    kinds = ", ".join(kind for kind, _, _ in _FORMATS)
    for kind, signature in _OTHERS:
        if signature.match(data):
            raise ImageError(name, f"is {kind}, which must be converted first, for example to PNG")
    raise ImageError(name, f"is not an image that featx reads ({kinds})")


def _check_size(width: int, height: int, name: str, max_pixels: int) -> None:
    pixels = width * height
    if pixels > max_pixels:
        sizes = f"{pixels / 1e6:.1f} megapixels, more than the limit of {max_pixels / 1e6:.1f}"
        raise ImageError(name, f"has {sizes}; scale it down or leave it out")


def _bare(data: bytes, kind: str, name: str, max_pixels: int) -> bytes:
    """The file without metadata that Pillow could stumble over; checks what Pillow does not before it works."""
    if kind == "JPEG":
        return bare_jpeg(data, name)
    if kind == "PNG":
        return bare_png(data, name)
    if kind == "WebP":
        _check_size(*webp_size(data), name, max_pixels)
    frame = gif_frame(data) if kind == "GIF" else None
    if kind == "GIF" and frame is None and len(data) > LARGEST_BY_BYTE:
        raise ImageError(name, "is a damaged GIF (no image within reach); replace it or leave it out")
    if frame is not None:  # Pillow extends the canvas for a large frame
        _check_size(
            max(frame.width, frame.left + frame.across), max(frame.height, frame.top + frame.down), name, max_pixels
        )
    if kind == "BMP" and data[30:31] in (b"\1", b"\2"):
        _check_size(*bmp_size(data), name, min(max_pixels, MAX_RUN_LENGTH_PIXELS))
        if len(data) > LARGEST_BY_BYTE:
            raise ImageError(name, "is a BMP of run lengths of more than 8 MB; save it without them")
    return data


def _loaded(image: ImageFile, data: bytes) -> NDArray[np.uint8]:
    """The image's pixels in RGB, not yet upright."""
    if (scale := png_key_scale(data)) > 1 and "transparency" in image.info:
        image.info["transparency"] *= scale
    extents = image.tile[0][1] if isinstance(image, GifImageFile) and image.tile else None
    image.load()
    if image.mode.startswith("I"):  # PNG with 16 bits of grey
        samples = np.asarray(image)
        levels = levels_of(samples, "")
        if "transparency" in image.info:  # one transparent grey value
            levels[samples == image.info["transparency"]] = 0
        return np.repeat(levels[:, :, np.newaxis], 3, axis=2)
    if image.has_transparency_data:
        return np.array(_over_black(image))
    pixels = np.array(image if image.mode == "RGB" else image.convert("RGB"))
    if extents is not None and extents != (0, 0, *image.size):  # around the first frame there is nothing
        left, top, right, bottom = extents
        inside = pixels[top:bottom, left:right].copy()
        pixels[:] = 0
        pixels[top:bottom, left:right] = inside
    return pixels


def _png16(image: ImageFile, data: bytes, name: str) -> NDArray[np.uint8]:
    """Pixels of a PNG in colour, or with alpha, of 16 bits: Pillow has no mode for these and keeps the high bytes."""
    (tile,) = image.tile
    if png_samples(data) == 2:  # grey and alpha are four bytes, like RGBA of 8 bits
        image.tile = [tile._replace(args="RGBA")]
        image.load()
        samples: NDArray[Any] = np.asarray(image).view(">u2").astype(np.uint16)
        return rgb_of(samples[:, :, :1], samples[:, :, 1], name)
    with PngImageFile(io.BytesIO(data)) as other:
        other.tile = [tile._replace(args=str(tile.args).replace("16B", "16L"))]
        other.load()
    image.load()
    samples = np.asarray(image).astype(np.uint16) << 8 | np.asarray(other)
    key = image.info.get("transparency")
    pixels = rgb_of(samples[:, :, :3], samples[:, :, 3] if samples.shape[2] == 4 else None, name)
    if samples.shape[2] == 3 and isinstance(key, tuple):
        pixels[(samples == key).all(axis=2)] = 0
    return pixels


def _deep_memory(directory: Directory) -> int:
    """Bytes that decoding may take: compressed bytes, samples in two orders, levels."""
    pixels = directory.value(WIDTH) * directory.value(LENGTH)
    return pixels * (BYTES_A_PIXEL + 3 * directory.samples * max(directory.bits, 16) // 8)


def _over_black(image: Image.Image) -> Image.Image:
    """The image's colours times their opacity."""
    key = image.info.get("transparency")
    if image.mode == "RGB" and isinstance(key, tuple) and max(key) > 255:
        image.info["transparency"] = tuple(value >> 8 for value in key)
    # Pillow converts premultiplied grey to grey with alpha, but to nothing else.
    rgba = (image.convert("LA") if image.mode == "La" else image).convert("RGBA")
    black = Image.new("RGB", image.size)
    black.paste(rgba, mask=rgba.getchannel("A"))
    return black


def _orientation(exif: object) -> int:
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


def _upright(pixels: NDArray[np.uint8], orientation: int) -> NDArray[np.uint8]:
    """Undo an EXIF orientation (EXIF 2.32, tag 0x0112); unknown values leave the pixels as they are."""
    if orientation in (5, 6, 7, 8):
        pixels = pixels.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return np.ascontiguousarray(pixels)
