"""One frame of a DICOM file as the samples that it stores, whatever they are compressed with."""

from __future__ import annotations

import io
import re
from math import ceil
from typing import Any

from numpy.typing import NDArray

from featx.dicom.damage import REPLACE, DamageError
from featx.dicom.decoders import Frame, decode_jpeg, decode_jpeg_2000, only_stored
from featx.dicom.description import NATIVE, Pixels
from featx.errors import ImageError

_RLE = "1.2.840.10008.1.2.5"
_JPEG_2000 = tuple(f"1.2.840.10008.1.2.4.{number}" for number in (90, 91, 201, 202, 203))
_JPEG = tuple(f"1.2.840.10008.1.2.4.{number}" for number in (50, 51, 53, 55, 57, 70, 80, 81))  # JPEG-LS too
_PALETTE = "PALETTE COLOR"
_COLOURS = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT")


def decompressed(pixels: Pixels, frame: int, name: str) -> Frame:
    """Return one frame of a file; no other one is decompressed.

    Args:
        pixels: What `read_pixels` returned.
        frame: Its number, counted from 0.
        name: The file as the user named it, for messages.

    Raises:
        ImageError: There is no such frame, it is truncated, or there is no decoder for it.
        DamageError: It is damaged.
    """
    if frame >= pixels.frames:
        raise ImageError(name, f"has {pixels.frames} frames, so there is no frame {frame} (they are counted from 0)")
    grey = pixels.samples == 1 and (pixels.grey or pixels.photometric == _PALETTE)
    if not grey and not (pixels.samples == 3 and pixels.photometric in _COLOURS):
        raise ImageError(
            name,
            f"has pixels that featx does not read ({_kind_of_pixels(pixels)}, {pixels.samples} samples each); "
            "convert it to MONOCHROME2 or RGB",
        )
    if pixels.syntax in NATIVE:
        return _native(pixels, frame, name)
    stream = _one_stream(pixels, frame, name)
    if pixels.syntax == _RLE:
        return _from_rle(pixels, stream)
    decode = decode_jpeg_2000 if pixels.syntax in _JPEG_2000 else decode_jpeg
    return decode(pixels, stream, name)


def _kind_of_pixels(pixels: Pixels) -> str:
    # Of a damaged header, the value may be anything, a name too.
    is_standard = re.fullmatch(
        r"(MONOCHROME|YBR_|PALETTE COLOR$|RGB$|HSV$|ARGB$|CMYK$|XYB$)[A-Z0-9_]{0,12}", pixels.photometric
    )
    return pixels.photometric if is_standard else "an unknown photometric interpretation"


def syntax_name(syntax: str) -> str:
    """Return the name of a transfer syntax, such as `JPEG 2000 Image Compression`."""
    from pydicom.uid import UID

    uid = UID(syntax)
    return uid.name if uid.name != uid else "an unknown transfer syntax"


def _native(pixels: Pixels, frame: int, name: str) -> Frame:
    """A frame that is not compressed."""
    half = pixels.photometric == "YBR_FULL_422"  # two pixels share their colour
    bits = pixels.rows * pixels.columns * pixels.samples * pixels.allocated * pixels.frames
    expected = ceil((bits * 2 // 3 if half else bits) / 8)
    value = memoryview(pixels.data)[pixels.start : pixels.start + (pixels.length or 0)]
    if len(value) < expected:
        raise ImageError(
            name,
            f"is a truncated DICOM file ({len(value):,} bytes of pixels, {expected:,} expected); {REPLACE}",
        )
    if half and len(value) >= bits // 8:
        raise ImageError(name, "has no YBR_FULL_422 colours, as it says; correct its photometric interpretation")
    options = _options(pixels) | {"number_of_frames": pixels.frames, "correct_unused_bits": False}
    samples, properties = _decoder(pixels.syntax).as_array(value, index=frame, validate=False, **options)
    return _finished(samples, properties, pixels)


def _one_stream(pixels: Pixels, frame: int, name: str) -> bytes:
    """The compressed bytes of one frame."""
    from pydicom.encaps import get_frame

    if pixels.syntax not in (_RLE, *_JPEG_2000, *_JPEG):
        kind = syntax_name(pixels.syntax)
        if any(word in kind for word in ("MPEG", "HEVC")):
            raise ImageError(name, f"is a video ({kind}); save its frames as images, for example with ffmpeg")
        raise ImageError(
            name,
            f"is compressed in a way that featx does not read ({kind}); convert it, such as with gdcmconv --raw",
        )
    if pixels.length is not None:
        raise ImageError(name, f"is a damaged DICOM file (compressed pixels without items); {REPLACE}")
    file = io.BytesIO(pixels.data)
    file.seek(pixels.start)
    tables = [pixels.header.get(keyword) for keyword in ("ExtendedOffsetTable", "ExtendedOffsetTableLengths")]
    are_whole = all(tables) and len(tables[0]) == len(tables[1]) == 8 * pixels.frames
    offsets = (tables[0], tables[1]) if are_whole else None
    stream: bytes = get_frame(file, frame, number_of_frames=pixels.frames, extended_offsets=offsets)
    return stream


def _from_rle(pixels: Pixels, stream: bytes) -> Frame:
    from pydicom.encaps import encapsulate

    expected = pixels.rows * pixels.columns * pixels.samples * pixels.allocated // 8
    if len(stream) > expected * 1.2 + 4096:  # runs are at most a 64th longer than what they stand for
        raise DamageError("more bytes of run lengths than the image needs")
    item = encapsulate([stream], has_bot=False)
    options = _options(pixels) | {"number_of_frames": 1, "correct_unused_bits": False, "decoding_plugin": "pydicom"}
    samples, properties = _decoder(_RLE).as_array(item, index=0, validate=False, **options)
    return _finished(samples, properties, pixels)


def _decoder(syntax: str) -> Any:
    from pydicom.pixels.decoders.base import get_decoder
    from pydicom.uid import UID

    return get_decoder(UID(syntax))


def _options(pixels: Pixels) -> dict[str, Any]:
    """What pydicom's decoders must know."""
    return {
        "rows": pixels.rows,
        "columns": pixels.columns,
        "samples_per_pixel": pixels.samples,
        "bits_allocated": pixels.allocated,
        "bits_stored": pixels.stored,
        "photometric_interpretation": pixels.photometric,
        "pixel_keyword": pixels.keyword,
        "pixel_representation": int(pixels.signed),
        "planar_configuration": pixels.planar,
        "pixel_vr": pixels.vr,
    }


def _finished(samples: NDArray[Any], properties: dict[str, Any], pixels: Pixels) -> Frame:
    samples = samples.astype(samples.dtype.newbyteorder("="), copy=False)
    if samples.dtype.kind == "f" or pixels.allocated == 1:
        return Frame(samples, pixels.allocated)
    return Frame(only_stored(samples, pixels.stored, pixels.high_bit), int(properties["bits_stored"]))
