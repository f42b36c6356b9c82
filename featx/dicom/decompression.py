"""One frame of a DICOM file as the samples that it stores, whatever they are compressed with."""

from __future__ import annotations

import io
from math import ceil
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from featx.dicom.codestreams import JPEG_LS, LOSSLESS, Jpeg, bare_jpeg2000, check_one_scan, jpeg_header
from featx.dicom.damage import DamageError
from featx.dicom.description import NATIVE, Pixels
from featx.dicom.lossless_jpeg import decode_lossless
from featx.errors import ImageError

_RLE = "1.2.840.10008.1.2.5"
_JPEG_2000 = ("1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.91")
_HTJ2K = ("1.2.840.10008.1.2.4.201", "1.2.840.10008.1.2.4.202", "1.2.840.10008.1.2.4.203")
_JPEG_LS = ("1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.81")
_JPEG = tuple(f"1.2.840.10008.1.2.4.{number}" for number in (50, 51, 53, 55, 57, 70))
_LOSSLESS_JPEG = "1.2.840.10008.1.2.4.70"
_PALETTE = "PALETTE COLOR"
REPLACE = "replace it or leave it out"
_COLOURS = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT")
_BY_8 = (0xC0, 0xC1, 0xC2)  # baseline, extended and progressive, which Pillow decodes with 8 bits


class Frame(NamedTuple):
    """A frame of samples.

    Attributes:
        samples: (height, width) or (height, width, 3), RGB, integers or floats in the machine's byte order.
        bits: Bits of a sample that are in use.
    """

    samples: NDArray[Any]
    bits: int


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
            f"has pixels that featx does not read ({pixels.photometric[:40]}, {pixels.samples} samples each); "
            "convert it to MONOCHROME2 or RGB",
        )
    if pixels.syntax in NATIVE:
        return _native(pixels, frame, name)
    stream = _one_stream(pixels, frame, name)
    if pixels.syntax == _RLE:
        return _from_rle(pixels, stream, name)
    if pixels.syntax in _JPEG_2000 + _HTJ2K:
        return _from_jpeg_2000(pixels, stream, name)
    return _from_jpeg(pixels, stream, name)


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

    if pixels.syntax not in (_RLE, *_JPEG_2000, *_HTJ2K, *_JPEG_LS, *_JPEG):
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
    offsets = (tables[0], tables[1]) if all(tables) and len(tables[0]) == len(tables[1]) else None
    stream: bytes = get_frame(file, frame, number_of_frames=pixels.frames, extended_offsets=offsets)
    return stream


def _from_rle(pixels: Pixels, stream: bytes, name: str) -> Frame:
    expected = pixels.rows * pixels.columns * pixels.samples * pixels.allocated // 8
    if len(stream) > expected * 1.2 + 4096:  # runs are at most a 64th longer than what they stand for
        raise DamageError("more bytes of run lengths than the image needs")
    return _by_plugin(pixels, stream, (_RLE, "pydicom"), name, correct_unused_bits=False)


def _from_jpeg_2000(pixels: Pixels, stream: bytes, name: str) -> Frame:
    stream, size = bare_jpeg2000(stream)
    _check_size(pixels, size.rows, size.columns, size.components, name)
    syntax = _JPEG_2000[1] if pixels.syntax in _JPEG_2000 else pixels.syntax
    return _by_plugin(pixels, stream, (syntax, "pylibjpeg"), name)


def _from_jpeg(pixels: Pixels, stream: bytes, name: str) -> Frame:
    header = jpeg_header(stream)
    if b"\xff\xd9" not in stream:  # the end of the image; a decoder may take long to find out
        raise ImageError(name, f"is a truncated DICOM file (a JPEG codestream without its end); {REPLACE}")
    _check_size(pixels, header.rows, header.columns, header.components, name)
    if header.frame == JPEG_LS:
        return _by_plugin(pixels, stream, (_JPEG_LS[0], "pyjpegls"), name)
    if header.frame in _BY_8 and header.bits == 8:
        return _from_pillow(pixels, stream)
    if header.frame == LOSSLESS:
        return _from_lossless(pixels, stream, header)
    if header.bits == 12:
        check_one_scan(stream)
        # With the right transfer syntax pydicom refuses 12 bits, which GDCM decodes.
        sizes = {"bits_allocated": 16, "bits_stored": min(pixels.stored, 16)}
        return _by_plugin(pixels, stream, (_LOSSLESS_JPEG, "gdcm"), name, **sizes)
    raise DamageError(f"a JPEG codestream of kind {header.frame:X} with {header.bits} bits")


def _from_pillow(pixels: Pixels, stream: bytes) -> Frame:
    """A JPEG of 8 bits; its colours are what its own header says, or else what the file says."""
    from PIL import Image
    from pydicom.pixels.processing import convert_color_space

    header = jpeg_header(stream)
    with Image.open(io.BytesIO(stream), formats=("JPEG",)) as image:
        if header.components == 3 and header.adobe is None:
            # RGB from RGB: libjpeg would guess, and convert what may be RGB already.
            image.tile = [tile._replace(args=("RGB", "RGB")) for tile in image.tile]
        image.load()
        samples: NDArray[Any] = np.asarray(image)
    named = header.adobe is not None or header.ids in (b"RGB", b"rgb")
    if header.components == 3 and not named and (header.jfif or pixels.photometric != "RGB"):
        samples = convert_color_space(samples.copy(), "YBR_FULL", "RGB")
    return Frame(samples, 8)


def _from_lossless(pixels: Pixels, stream: bytes, header: Jpeg) -> Frame:
    from pydicom.pixels.processing import convert_color_space

    samples: NDArray[Any] = decode_lossless(stream, header)
    if pixels.allocated == 8:
        samples = np.minimum(samples, 255).astype(np.uint8)
    if pixels.signed:
        samples = samples.view(f"i{samples.dtype.itemsize}")
    samples = _only_stored(samples, pixels.stored, pixels.stored - 1)
    if header.components == 1:
        return Frame(samples[:, :, 0], pixels.stored)
    if pixels.photometric.startswith("YBR_FULL"):
        samples = convert_color_space(samples, "YBR_FULL", "RGB")
    return Frame(samples, pixels.stored)


def _by_plugin(pixels: Pixels, stream: bytes, wanted: tuple[str, str], name: str, **options: Any) -> Frame:
    """A frame that a decoder of pydicom decompresses, which has a transfer syntax and the name of a plugin."""
    from pydicom.encaps import encapsulate

    decoder, plugin = _decoder(wanted[0]), wanted[1]
    if not decoder.is_available:
        reason = f"is compressed ({syntax_name(pixels.syntax)}), and its decoder is not installed"
        raise ImageError(name, f"{reason}; pip install 'featx[dicom]'")
    options = _options(pixels) | {"number_of_frames": 1} | options
    samples, properties = decoder.as_array(
        encapsulate([stream], has_bot=False),
        index=0,
        validate=False,
        decoding_plugin=plugin if plugin in decoder.available_plugins else "",
        **options,
    )
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
    if pixels.syntax in (*NATIVE, _RLE):
        samples = _only_stored(samples, pixels.stored, pixels.high_bit)
    return Frame(samples, int(properties.get("bits_stored", pixels.stored)))


def _only_stored(samples: NDArray[Any], stored: int, high_bit: int) -> NDArray[Any]:
    """Samples without what stands beside the stored bits, an overlay for example; signs are extended."""
    bits = 8 * samples.dtype.itemsize
    if stored >= bits and high_bit + 1 >= bits:
        return samples
    kept: NDArray[Any] = np.right_shift(np.left_shift(samples, max(bits - high_bit - 1, 0)), max(bits - stored, 0))
    return kept


def _check_size(pixels: Pixels, rows: int, columns: int, components: int, name: str) -> None:
    """Check that a compressed frame is of the size that was found small enough."""
    if (rows, columns, components) != (pixels.rows, pixels.columns, pixels.samples):
        raise ImageError(
            name,
            f"is a damaged DICOM file ({pixels.rows} rows, {pixels.columns} columns and {pixels.samples} samples, "
            f"but {rows}, {columns} and {components} in its compressed frame); {REPLACE}",
        )
