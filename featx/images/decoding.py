"""Image files to RGB pixels: formats, bit depths, orientation."""

from __future__ import annotations

import io
import re
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.BmpImagePlugin import BmpImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.WebPImagePlugin import WebPImageFile

from featx.dicom import decode_dicom, is_dicom
from featx.errors import ImageError, reason_of
from featx.images.arrays import MAGIC, numpy_array
from featx.images.containers import bare_jpeg, bare_png, bmp_size, gif_frame, png_key_scale, png_samples, webp_size
from featx.images.heif import avif, heic, is_avif, is_heic
from featx.images.jpeg2000 import CODESTREAM, SIGNATURE, jpeg2000
from featx.images.jpegxl import SIGNATURE as JXL_SIGNATURE
from featx.images.jpegxl import jpeg_xl
from featx.images.levels import SampleDepth, SampleRange, depth_of_samples, levels_of, rgb_of
from featx.images.orientation import exif_orientation, upright
from featx.images.pending import BYTES_A_PIXEL, Pending
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
from featx.images.unread import refuse_large_slide, refuse_other, refuse_unread
from featx.machine import available_memory
from featx.parallel import Budget

DECODE_RULE = 1
"""Part of the cache's key: raised by hand whenever `decode` or `resize` give other values."""

MAX_PIXELS = 89_478_485
"""The most pixels an image may have by default: an RGB image of 256 MiB, about nine times the largest digital
radiographs. From this number on Pillow itself warns of a decompression bomb."""

LARGEST_FILE = 2**32
"""The most bytes of an image file: five times those of an uncompressed image of the most pixels."""

# What readers raise on damaged bytes. A Warning is among them only where a program asks for it.
_DAMAGE = (
    *(OSError, SyntaxError, ValueError, TypeError, LookupError, ArithmeticError, EOFError, struct.error, Warning),
    RuntimeError,  # of the decoders for AVIF, HEIC and JPEG XL
)

DICOM_HEAD = 4096  # bytes that tell a DICOM file, with or without a preamble
MAX_RUN_LENGTH_PIXELS = 10_000_000  # of a BMP: Pillow reads its runs in Python
LARGEST_BY_BYTE = 8_000_000  # bytes of what Pillow reads one by one

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
# These say their size before they decode.
_OPENED: tuple[tuple[str, Callable[[bytes], object], Callable[[bytes, str, int | None], Pending]], ...] = (
    ("JPEG 2000", lambda data: data.startswith((SIGNATURE, CODESTREAM)), jpeg2000),
    ("AVIF", is_avif, avif),
    ("HEIC", is_heic, heic),
    ("JPEG XL", JXL_SIGNATURE.match, jpeg_xl),
    ("NumPy", lambda data: data.startswith(MAGIC), numpy_array),
)
_Finish = Callable[[NDArray[np.uint8]], NDArray[np.uint8]]
KINDS = ", ".join([*(kind for kind, _, _ in (*_FORMATS, *_OPENED)), "DICOM"])


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
    window: str = "file",
    depth: SampleDepth | None = None,
    finish: _Finish | None = None,
) -> NDArray[np.uint8]:
    """Decode an image file to RGB: JPEG, PNG, TIFF, BMP, WebP, GIF, JPEG 2000, AVIF, HEIC, JPEG XL, NumPy or DICOM.

    The first image of a file is taken and turned upright: as its EXIF orientation says, but AVIF, HEIC and JPEG XL as
    their own head says. Grey values are repeated in the three channels. Transparent pixels are composited over black;
    around the first image of a GIF it is black. Samples of 8 bits keep their values, those of CMYK with 16 bits their
    high byte. Those of AVIF and HEIC with 10 and 12 bits are divided by 2^10 - 1 and 2^12 - 1; `decode_dicom` has the
    rules for DICOM. Samples of JPEG 2000 with fewer than 8 bits, and booleans, use the whole range. Other samples are
    scaled so that nothing is clipped, all colours by one map, whatever alpha is:

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
        at_least: For thumbnails, never for features: a JPEG or JPEG 2000 with more than this many pixels on both
            sides may be decoded at a half, a quarter, … of its size, but not below this, which is several times
            faster.
        window: Of DICOM files, see `featx.dicom.decode_dicom`.
        depth: The depth of samples of more than 8 bits, where a data set's images decide it together. The rules above
            are those of an image by itself, and hold for what the depth leaves open.
        finish: What is done with the pixels, such as resizing, while the memory that they need is still set aside:
            threads that decode large images at once wait for one another where memory is short.

    Returns:
        Shape (height, width, 3), RGB, a new array; or what `finish` made of it.

    Raises:
        ImageError: The bytes are not of one of these formats, truncated or damaged, of an unsupported kind, have
            more than `max_pixels`, or hold values that are not finite; or a package that reads them is missing.
    """
    finish = finish or np.ascontiguousarray
    with depth_of_samples(depth):
        return _by_format(data, name, max_pixels, at_least, window, finish)


def sample_range(data: bytes, name: str, *, max_pixels: int = MAX_PIXELS) -> SampleRange | None:
    """Return the smallest and the largest sample of an image file whose depth its own values would decide.

    Args:
        data: The file's bytes.
        name: The file as the user named it, for messages.
        max_pixels: The most pixels accepted.

    Returns:
        None for images of 8 bits, and for files that say their depth: DICOM, AVIF and HEIC.

    Raises:
        ImageError: What `decode` raises.
    """
    with depth_of_samples(None) as seen:
        _by_format(data, name, max_pixels, None, "file", np.ascontiguousarray)
    return seen[0] if seen else None


def _by_format(
    data: bytes, name: str, max_pixels: int, at_least: int | None, window: str, finish: _Finish
) -> NDArray[np.uint8]:
    """Return what `decode` returns."""
    if is_dicom(data[:DICOM_HEAD]):
        with DECODING.granted(min(8 * len(data), max_pixels * BYTES_A_PIXEL)):
            return finish(decode_dicom(data, name, window=window, max_pixels=max_pixels))
    refuse_unread(data, name)
    for kind, matches, opened in _OPENED:
        if matches(data):
            with _named(kind, name):
                return _decoded(opened(data, name, at_least), name, max_pixels, finish)
    match = next((known for known in _FORMATS if known[1].match(data)), None)
    if match is None:
        refuse_other(data, name, KINDS)
    kind, _, reader = match
    with _named(kind, name):
        if kind == "TIFF":
            return _tiff(data, name, max_pixels, finish)
        data = _bare(data, kind, name, max_pixels)
        with reader(io.BytesIO(data)) as image:
            _check_size(image.width, image.height, name, max_pixels)
            if at_least is not None:
                image.draft(None, (at_least, at_least))
            with DECODING.granted(image.width * image.height * BYTES_A_PIXEL):
                pixels = _png16(image, data, name) if png_samples(data) else _loaded(image, data)
                return finish(upright(pixels, exif_orientation(image.info.get("exif"))))


def _decoded(pending: Pending, name: str, max_pixels: int, finish: _Finish) -> NDArray[np.uint8]:
    _check_size(pending.width, pending.height, name, max_pixels)
    with DECODING.granted(pending.width * pending.height * pending.bytes_a_pixel):
        return finish(pending.pixels())


def _tiff(data: bytes, name: str, max_pixels: int, finish: _Finish) -> NDArray[np.uint8]:
    directory = read_directory(data)
    width, height = directory.value(WIDTH), directory.value(LENGTH)
    with _named("TIFF", name, f"{directory.described()}: "):
        refuse_large_slide(data, name, width * height, max_pixels)
        check_kind(directory, name)
        check_whole(data, directory, name)
        _check_size(width, height, name, max_pixels)
        if directory.deep:
            with DECODING.granted(_deep_memory(directory)):
                return finish(upright(deep_pixels(data, directory, name), directory.orientation))
        data = described_anew(data, directory)
        with TiffFile(io.BytesIO(data)) as image:
            _check_size(image.width, image.height, name, max_pixels)
            with DECODING.granted(image.width * image.height * BYTES_A_PIXEL):
                turned = directory.orientation or exif_orientation(image.info.get("exif"))
                return finish(upright(_loaded(image, data), turned))


@contextmanager
def _named(kind: str, name: str, described: str = "") -> Iterator[None]:
    """Raise what readers raise on damaged bytes as an ImageError."""
    try:
        yield
    except Image.DecompressionBombError as error:  # Pillow's own limit, which some of its readers apply
        raise ImageError(name, f"has more pixels than the limit of its reader ({error})") from error
    except MemoryError as error:
        raise ImageError(name, "needs more memory than there is; scale it down or leave it out") from error
    except _DAMAGE as error:
        reason = f"is truncated, damaged or an unsupported kind of {kind} ({described}{reason_of(error)})"
        raise ImageError(name, f"{reason}; replace it or leave it out") from error


def as_rgb(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return an image in memory, (height, width) or (height, width, 3), as RGB, (height, width, 3)."""
    return np.repeat(image[:, :, np.newaxis], 3, axis=2) if image.ndim == 2 else image


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
