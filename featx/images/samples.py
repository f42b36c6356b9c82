"""The samples of TIFF files that Pillow does not unpack: more than 8 bits, signed, floats, separate planes."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.images.levels import rgb_of
from featx.images.tiff import (
    BITS,
    BLACK_IS_ZERO,
    COLOURS,
    COMPRESSION,
    FILL_ORDER,
    FLOAT,
    LENGTH,
    PHOTOMETRIC,
    PLANAR,
    PREDICTOR,
    ROWS,
    SAMPLES,
    SIGNED,
    STRIP_SIZES,
    STRIPS,
    TILE_LENGTH,
    TILE_SIZES,
    TILE_WIDTH,
    TILES,
    UNSIGNED,
    WHITE_IS_ZERO,
    WIDTH,
    Directory,
    Entry,
    TiffFile,
    described_anew,
    integers,
)

_HORIZONTAL, _FLOATING = 2, 3  # predictors
_PREMULTIPLIED, _ALPHAS = 1, (1, 2, 999)  # 999: Corel Draw 10


def deep_pixels(data: bytes, directory: Directory, name: str) -> NDArray[np.uint8]:
    """Return RGB pixels (height, width, 3), not yet upright, of an image whose samples Pillow does not unpack."""
    samples = _samples(data, directory)
    photometric = directory.value(PHOTOMETRIC, BLACK_IS_ZERO)
    colours = COLOURS[photometric]
    kind, alpha = next(((kind, k) for k, kind in enumerate(directory.extra, colours) if kind in _ALPHAS), (0, 0))
    opacity = samples[:, :, alpha] if kind not in (0, _PREMULTIPLIED) else None
    return rgb_of(samples[:, :, :colours], opacity, name, white_is_zero=photometric == WHITE_IS_ZERO)


def _samples(data: bytes, directory: Directory) -> NDArray[Any]:
    """Samples (height, width, samples)."""
    planes = directory.samples if directory.value(PLANAR, 1) == 2 else 1
    parts = [_plane(data, directory, k, planes) for k in range(planes)]
    return parts[0] if planes == 1 else np.concatenate(parts, axis=2)


def _plane(data: bytes, directory: Directory, k: int, planes: int) -> NDArray[Any]:
    """Samples (height, width, samples of the plane) of plane k."""
    width, height, bits = directory.value(WIDTH), directory.value(LENGTH), directory.bits
    channels = directory.samples // planes
    tiled = TILES in directory.entries
    across = directory.value(TILE_WIDTH) if tiled else width
    if min(width, height, across) < 1:
        raise ValueError("a side of no pixels")
    columns = -(-width // across)
    row = -(-across * channels * bits // 8)  # bytes of a row of a piece
    rows = _bytes(data, directory, (k, planes), columns * row)
    pieces = [
        _unpacked(rows[:, column * row : (column + 1) * row], across * channels, directory).reshape(
            height, -1, channels
        )
        for column in range(columns)
    ]
    pieces = [_predicted(piece, directory) for piece in pieces]
    return (pieces[0] if columns == 1 else np.concatenate(pieces, axis=1))[:, :width]


def _bytes(data: bytes, directory: Directory, plane: tuple[int, int], width: int) -> NDArray[np.uint8]:
    """The decompressed bytes (height, width in bytes) of a plane (number, of how many), read as a grey image."""
    changes: dict[int, Entry | None] = {
        **dict.fromkeys(directory.entries),
        **{tag: integers(directory, [value]) for tag, value in ((BITS, 8), (SAMPLES, 1), (PHOTOMETRIC, 1))},
        **{tag: directory.entries.get(tag) for tag in (LENGTH, COMPRESSION, FILL_ORDER, ROWS, TILE_LENGTH)},
        WIDTH: integers(directory, [width]),
    }
    for tag in (STRIPS, STRIP_SIZES, TILES, TILE_SIZES):
        if values := directory.values(tag):
            each = len(values) // plane[1]
            changes[tag] = integers(directory, values[plane[0] * each : (plane[0] + 1) * each])
    if TILES in directory.entries:
        columns = -(-directory.value(WIDTH) // directory.value(TILE_WIDTH))
        changes[TILE_WIDTH] = integers(directory, [width // columns])
    with TiffFile(io.BytesIO(described_anew(data, directory, changes))) as image:
        image.load()
    return np.asarray(image)


def _unpacked(rows: NDArray[np.uint8], count: int, directory: Directory) -> NDArray[Any]:
    """Rows of bytes (height, bytes) as samples (height, count)."""
    bits = directory.bits
    if bits % 8:  # packed, the highest bit first, whatever the byte order
        values = np.empty((len(rows), count), np.uint16)
        together = max(1, 2**18 // count)
        for start in range(0, len(rows), together):
            part = rows[start : start + together]
            digits = np.unpackbits(part, axis=1, count=count * bits).reshape(len(part), count, bits)
            padded = np.zeros((len(part), count, 16), np.uint8)
            padded[:, :, 16 - bits :] = digits
            values[start : start + together] = np.packbits(padded, axis=2).view(">u2")[:, :, 0]
        return values
    size = bits // 8
    if directory.value(PREDICTOR, 1) == _FLOATING:
        return np.ascontiguousarray(rows)  # undone by byte
    kind = {UNSIGNED: "u", SIGNED: "i", FLOAT: "f"}[directory.format]
    samples: NDArray[Any] = np.ascontiguousarray(rows).view(np.dtype(f"{directory.order}{kind}{size}"))
    return samples.astype(samples.dtype.newbyteorder("="), copy=False)


def _predicted(samples: NDArray[Any], directory: Directory) -> NDArray[Any]:
    """Undo the predictor in the rows of a strip or tile (height, width, channels)."""
    predictor = directory.value(PREDICTOR, 1)
    if predictor == _HORIZONTAL and not directory.bits % 8:
        differences = samples.view(f"u{samples.dtype.itemsize}")
        return np.cumsum(differences, axis=1, dtype=differences.dtype).view(samples.dtype)
    if predictor == _FLOATING:  # Adobe Photoshop TIFF Technical Note 3: bytes by significance, then differences
        height, _, channels = samples.shape
        size = directory.bits // 8
        whole = np.cumsum(samples.reshape(height, -1, channels), axis=1, dtype=np.uint8)
        by_value = whole.reshape(height, size, -1).swapaxes(1, 2)
        floats = np.ascontiguousarray(by_value).view(f">f{size}").astype(f"f{size}")
        return floats.reshape(height, -1, channels)
    return samples
