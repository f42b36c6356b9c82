"""JPEG 2000: samples at their own depth, palettes, alpha, and smaller versions for thumbnails.

Pillow decodes up to 8 bits, and grey of up to 16, moved up to 8 or 16 bits, which is undone here. Of deeper colours
it keeps the high byte, so imagecodecs decodes those.
"""

from __future__ import annotations

import io
import struct
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import features
from PIL.Jpeg2KImagePlugin import Jpeg2KImageFile

from featx.errors import ImageError
from featx.images.levels import levels_of, rgb_of
from featx.images.pending import BYTES_A_PIXEL, Pending, boxes

CODESTREAM = b"\xff\x4f\xff\x51"  # the markers SOC and SIZ, ISO/IEC 15444-1 annex A
SIGNATURE = b"\0\0\0\x0cjP  \r\n\x87\n"
MOST_TILES = 65_535  # as the standard allows
_COD, _SOT = 0x52, 0x90
_OPACITY, _CMYK, _CIELABS = 1, 12, (14, 19)
_LIBRARY = "pip install 'featx[jxl]'"


class Stream(NamedTuple):
    """What the main header of a codestream says."""

    width: int
    height: int
    tiles: int
    depths: tuple[int, ...]  # bits of the samples of each component
    signed: bool
    halvings: int  # how often the image can be had at half the size

    @property
    def bits(self) -> int:
        """Bits of the deepest samples."""
        return max(self.depths)


class Header(NamedTuple):
    """What the boxes of a JP2 file say; a codestream alone has none."""

    palette: NDArray[np.uint8] | None = None  # (entries, channels)
    colour_space: int = 0
    last_channel: int = _OPACITY  # the kind of a second or fourth channel


def jpeg2000(data: bytes, name: str, at_least: int | None = None) -> Pending:
    """Return a JPEG 2000 image; one larger than `at_least` may be decoded at a half, a quarter, … of its size."""
    start, header = _opened(data)
    stream = _stream(data, start)
    _check(stream, header, name)
    if stream.bits > 8 and len(stream.depths) > 1:
        deep = partial(_deep_colour, data, stream, header, name)
        return Pending(stream.width, stream.height, deep, 4 * BYTES_A_PIXEL)
    if not features.check("jpg_2000"):
        raise ImageError(name, "is JPEG 2000, without which Pillow was built here; install Pillow from its wheels")

    def pixels() -> NDArray[np.uint8]:
        with Jpeg2KImageFile(io.BytesIO(data if header.palette is None else data[start:])) as image:
            if image.size != (stream.width, stream.height):
                raise ValueError("two different sizes")
            image.reduce = _reduction(stream, at_least)
            image.load()
            return _rgb(image, stream, header, name)

    return Pending(stream.width, stream.height, pixels, 2 * BYTES_A_PIXEL)


def _opened(data: bytes) -> tuple[int, Header]:
    """Where the codestream begins, and what the boxes before it say."""
    if data.startswith(CODESTREAM):
        return 0, Header()
    header = Header()
    for kind, start, end in boxes(data, 0, len(data)):
        if kind == b"jp2h":
            header = _header(data, start, end)
        elif kind == b"jp2c" and data.startswith(CODESTREAM, start):
            return start, header
    raise ValueError("no codestream")


def _header(data: bytes, start: int, end: int) -> Header:
    """The JP2 header box, annex I.5.3."""
    header = Header()
    for kind, first, last in boxes(data, start, end):
        body = data[first:last]
        if kind == b"colr" and body[:1] == b"\1":
            header = header._replace(colour_space=int.from_bytes(body[3:7]))
        elif kind == b"pclr":
            header = header._replace(palette=_palette(body))
        elif kind == b"cdef":
            entries = struct.iter_unpack(">HHH", body[2 : 2 + len(body[2:]) // 6 * 6])
            channels = {number: kind for number, kind, _ in entries}
            header = header._replace(last_channel=channels.get(max(channels, default=0), _OPACITY))
    return header


def _palette(body: bytes) -> NDArray[np.uint8]:
    entries, channels = struct.unpack_from(">HB", body)
    if channels not in (1, 3, 4) or any(depth != 7 for depth in body[3 : 3 + channels]):
        raise ValueError("a palette of other than 1, 3 or 4 channels of 8 bits")
    return np.frombuffer(body, np.uint8, entries * channels, 3 + channels).reshape(entries, channels)


def _stream(data: bytes, start: int) -> Stream:
    """The main header, annex A.5: the marker segments SIZ and COD."""
    across, down, left, top, tile_width, tile_height, tile_left, tile_top, count = struct.unpack_from(
        ">8LH", data, start + 8
    )
    components = [struct.unpack_from("BBB", data, start + 42 + 3 * k) for k in range(count)]
    if across <= left or down <= top or not tile_width or not tile_height or not count:
        raise ValueError("a side of no pixels")
    tiles = -(-(across - tile_left) // tile_width) * -(-(down - tile_top) // tile_height)
    halvings, place = 0, start + 2
    while data[place : place + 1] == b"\xff" and data[place + 1] != _SOT:
        if data[place + 1] == _COD:
            halvings = data[place + 9]
        place += 2 + int.from_bytes(data[place + 2 : place + 4])
    depths = tuple((depth & 127) + 1 for depth, _, _ in components)
    signed = any(depth & 128 for depth, _, _ in components)
    return Stream(across - left, down - top, tiles, depths, signed, halvings)


def _check(stream: Stream, header: Header, name: str) -> None:
    """Refuse what would be decoded to wrong pixels, or take minutes."""
    several = len(stream.depths) > 1
    if stream.tiles > MOST_TILES:
        raise ImageError(name, f"is JPEG 2000 in more than {MOST_TILES:,} tiles; save it with larger ones")
    if stream.bits > 16 or (several and stream.signed) or (stream.bits > 8 and len(set(stream.depths)) > 1):
        kind = f"{'signed ' * stream.signed}samples of {'/'.join(map(str, stream.depths[:8]))} bits"
        raise ImageError(name, f"is JPEG 2000 with {kind}, which featx does not read; save it as TIFF")
    if header.colour_space in _CIELABS or len(stream.depths) > 4:
        raise ImageError(name, "is JPEG 2000 in a colour space that featx does not read; save it as RGB or grey")
    if header.palette is not None and (several or stream.bits > 8):
        raise ValueError("a palette for more than one channel of 8 bits")


def _reduction(stream: Stream, at_least: int | None) -> int:
    """How often the image's sides are halved."""
    halvings = 0
    while at_least and halvings < stream.halvings and not (stream.width | stream.height) >> halvings & 1:
        if min(stream.width, stream.height) >> halvings + 1 < at_least:
            break
        halvings += 1  # Pillow takes even sides alone: it rounds otherwise than OpenJPEG
    return halvings


def _rgb(image: Jpeg2KImageFile, stream: Stream, header: Header, name: str) -> NDArray[np.uint8]:
    if image.mode == "CMYK":
        return np.array(image.convert("RGB"))
    samples: NDArray[Any] = np.atleast_3d(np.asarray(image))
    if samples.shape[2] == 1:
        samples = samples >> ((16 if image.mode == "I;16" else 8) - stream.bits)
        if header.palette is not None:
            colours = header.palette[np.minimum(samples[:, :, 0], len(header.palette) - 1)]
            return rgb_of(colours[:, :, :3], colours[:, :, 3] if colours.shape[2] == 4 else None, name)
        if stream.signed:  # Pillow moves them up to begin at 0
            return np.repeat(levels_of(samples.astype(np.int32) - 2 ** (stream.bits - 1), name), 3, axis=2)
        if stream.bits > 8:
            return np.repeat(levels_of(samples, name), 3, axis=2)
        return np.repeat(_whole_range(samples, stream.bits), 3, axis=2)
    parts = [_whole_range(samples[:, :, k] >> 8 - bits, bits) for k, bits in enumerate(stream.depths)]
    return _over_black(np.stack(parts, axis=2), header, name)


def _whole_range(samples: NDArray[Any], bits: int) -> NDArray[np.uint8]:
    """Levels of samples of up to 8 bits."""
    white = 2**bits - 1
    levels: NDArray[np.uint8] = ((np.arange(256) * 255 + white // 2) // white).astype(np.uint8)[samples]
    return levels


def _over_black(samples: NDArray[Any], header: Header, name: str) -> NDArray[np.uint8]:
    """RGB of samples (height, width, 2 to 4); premultiplied colours are over black already."""
    colours = samples.shape[2] - 1 + samples.shape[2] % 2
    alpha = samples[:, :, colours] if samples.shape[2] > colours and header.last_channel == _OPACITY else None
    return rgb_of(samples[:, :, :colours], alpha, name)


def _deep_colour(data: bytes, stream: Stream, header: Header, name: str) -> NDArray[np.uint8]:
    try:
        import imagecodecs
    except ImportError as error:
        kind = f"is JPEG 2000 with {len(stream.depths)} channels of {stream.bits} bits"
        raise ImageError(name, f"{kind}, for which imagecodecs is needed ({_LIBRARY})") from error
    if header.colour_space == _CMYK:
        raise ValueError("CMYK of more than 8 bits")
    samples = imagecodecs.jpeg2k_decode(data, numthreads=1)
    if samples.shape != (stream.height, stream.width, len(stream.depths)):
        raise ValueError("channels of different sizes")
    return _over_black(samples, header, name)
