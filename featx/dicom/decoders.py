"""Frames of JPEG, JPEG-LS and JPEG 2000, decoded by imagecodecs (libjpeg-turbo, CharLS, OpenJPEG)."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from featx.dicom.codestreams import JPEG_LS, LOSSLESS, Jpeg, bare_jpeg2000, is_whole_jpeg, jpeg_header
from featx.dicom.damage import REPLACE, DamageError
from featx.dicom.description import Pixels
from featx.errors import ImageError

_BY_COSINES = (0xC0, 0xC1, 0xC2)  # baseline, extended and progressive
_DEPTHS = (8, 12)  # of these
_FILLER = b"\xaa" * 32


class Frame(NamedTuple):
    """A frame of samples.

    Attributes:
        samples: (height, width) or (height, width, 3), RGB, integers or floats in the machine's byte order.
        bits: Bits of a sample that are in use.
    """

    samples: NDArray[Any]
    bits: int


def decode_jpeg(pixels: Pixels, stream: bytes, name: str) -> Frame:
    """Return the frame of a JPEG or JPEG-LS codestream, whatever transfer syntax the file names.

    Raises:
        ImageError: It is truncated, or of another size than the file says.
        DamageError: It is damaged.
    """
    header = jpeg_header(stream)
    _check_size(pixels, header.rows, header.columns, header.components, name)
    if not is_whole_jpeg(stream, header.frame):
        raise ImageError(name, f"is a truncated DICOM file (a JPEG codestream without its end); {REPLACE}")
    if header.frame == JPEG_LS:
        return _from_jpeg_ls(pixels, stream, header)
    if header.frame == LOSSLESS:
        return _from_lossless(pixels, stream, header)
    if header.frame not in _BY_COSINES or header.bits not in _DEPTHS:
        raise DamageError(f"a JPEG codestream of kind {header.frame:X} with {header.bits} bits")
    samples = _by_libjpeg(stream, header, "YCBCR" if _is_ycbcr(header, pixels.photometric) else "RGB")
    return _as_said(samples, header.bits, pixels)


def decode_jpeg_2000(pixels: Pixels, stream: bytes, name: str) -> Frame:
    """Return the frame of a JPEG 2000 or HTJ2K codestream; its own colour transform is undone.

    Raises:
        ImageError: It is of another size than the file says.
        DamageError: It is damaged.
    """
    import imagecodecs

    stream, header = bare_jpeg2000(stream)
    _check_size(pixels, header.rows, header.columns, header.components, name)
    samples: NDArray[Any] = imagecodecs.jpeg2k_decode(stream, numthreads=1)
    return _with_rgb(_as_said(samples, header.bits, pixels), pixels)


def only_stored(samples: NDArray[Any], stored: int, high_bit: int) -> NDArray[Any]:
    """Return samples without what stands beside the stored bits, an overlay for example; signs are extended."""
    bits = 8 * samples.dtype.itemsize
    if stored >= bits and high_bit + 1 >= bits:
        return samples
    kept: NDArray[Any] = np.right_shift(np.left_shift(samples, max(bits - high_bit - 1, 0)), max(bits - stored, 0))
    return kept


def _from_jpeg_ls(pixels: Pixels, stream: bytes, header: Jpeg) -> Frame:
    import imagecodecs

    samples: NDArray[Any] = imagecodecs.jpegls_decode(stream)
    if samples.shape[:2] != (header.rows, header.columns):
        raise DamageError("a JPEG-LS codestream that gives its size twice")
    return _with_rgb(_as_said(np.ascontiguousarray(samples), header.bits, pixels), pixels)


def _from_lossless(pixels: Pixels, stream: bytes, header: Jpeg) -> Frame:
    """A lossless JPEG, ISO/IEC 10918-1 annex H: the compression of most archives."""
    if len(set(header.sampling)) != 1:
        raise DamageError("a JPEG codestream with components of several sizes")
    samples = _by_libjpeg(stream, header, "RGB")
    # Where its data end too early, libjpeg-turbo goes on with zeros, and imagecodecs does not pass on its warning.
    # If other bytes after the data change the pixels, these are not in the file.
    end = stream.rindex(b"\xff\xd9")
    if not np.array_equal(samples, _by_libjpeg(stream[:end] + _FILLER + stream[end:], header, "RGB")):
        raise DamageError("a JPEG codestream ends too early")
    return _with_rgb(_as_said(samples, _in_use(header.bits, pixels), pixels), pixels)


def _by_libjpeg(stream: bytes, header: Jpeg, colours: str) -> NDArray[Any]:
    """Samples, grey or RGB, of a codestream whose colours are RGB or YCBCR."""
    import imagecodecs

    grey = header.components == 1
    size = (header.rows, header.columns) if grey else (header.rows, header.columns, header.components)
    samples: NDArray[Any] = imagecodecs.jpeg8_decode(
        stream,
        colorspace="GRAY" if grey else colours,
        outcolorspace="GRAY" if grey else "RGB",
        # Were its size another one than was found small enough, it would not be decoded.
        out=np.empty(size, np.uint8 if header.bits <= 8 else np.uint16),
    )
    return samples


def _is_ycbcr(header: Jpeg, photometric: str) -> bool:
    """Whether colours are YCbCr: what the codestream itself says comes before what the file says."""
    if header.adobe is not None:
        return header.jfif or header.adobe != 0
    return header.ids not in (b"RGB", b"rgb") and (header.jfif or photometric != "RGB")


def _as_said(samples: NDArray[Any], bits: int, pixels: Pixels) -> Frame:
    """Samples of that many bits, with the signs that the file says they have: not every codestream says it."""
    kind = "i" if pixels.signed else "u"
    samples = samples.view(f"{kind}{samples.dtype.itemsize}")
    return Frame(only_stored(samples, bits, bits - 1), _in_use(bits, pixels))


def _in_use(bits: int, pixels: Pixels) -> int:
    """Bits of samples whose codestream has that many: the file may say that fewer are stored."""
    return pixels.stored if pixels.stored < bits <= pixels.allocated else bits


def _with_rgb(frame: Frame, pixels: Pixels) -> Frame:
    """A frame whose colours, if the file says that they are YBR and its codec does not know it, become RGB."""
    from pydicom.pixels.processing import convert_color_space

    if frame.samples.ndim == 2 or not pixels.photometric.startswith("YBR_FULL"):
        return frame
    if frame.samples.dtype != np.uint8:
        raise DamageError("YBR colours of more than 8 bits")
    return Frame(convert_color_space(frame.samples, "YBR_FULL", "RGB"), frame.bits)


def _check_size(pixels: Pixels, rows: int, columns: int, components: int, name: str) -> None:
    """Check that a compressed frame is of the size that was found small enough."""
    if (rows, columns, components) != (pixels.rows, pixels.columns, pixels.samples):
        raise ImageError(
            name,
            f"is a damaged DICOM file ({pixels.rows} rows, {pixels.columns} columns and {pixels.samples} samples, "
            f"but {rows}, {columns} and {components} in its compressed frame); {REPLACE}",
        )
