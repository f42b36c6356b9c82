"""Lossless JPEG: streams of a small encoder by ISO/IEC 10918-1 annex H, and GDCM as a second decoder."""

from __future__ import annotations

import struct
from contextlib import suppress
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from dicom_pixels import JPEG_LOSSLESS, dicom_of, encapsulated
from numpy.typing import NDArray

from featx.dicom.codestreams import jpeg_header
from featx.dicom.damage import DamageError
from featx.dicom.lossless_jpeg import decode_lossless
from featx.dicom.pixels import decode_dicom

pytest.importorskip("pydicom")
CODES = 17  # a code of 5 bits for each size of a difference


def expected_value(image: NDArray[np.int64], row: int, column: int, predictor: int, first: int, fresh: bool) -> int:
    """Table H.1, with a, b and c for the neighbours on the left, above, and above on the left."""
    if row == 0 or fresh:
        return int(image[row, column - 1]) if column else first
    if column == 0:
        return int(image[row - 1, 0])
    a, b, c = int(image[row, column - 1]), int(image[row - 1, column]), int(image[row - 1, column - 1])
    return (a, b, c, a + b - c, a + ((b - c) >> 1), b + ((a - c) >> 1), (a + b) >> 1)[predictor - 1]


def code(difference: int) -> str:
    """The bits of a difference, modulo 2^16."""
    difference = (difference + 32768) % 65536 - 32768
    if difference == -32768:
        return f"{16:05b}"
    size = abs(difference).bit_length()
    value = difference if difference >= 0 else difference + (1 << size) - 1
    return f"{size:05b}" + (f"{value:0{size}b}" if size else "")


def stuffed(bits: str) -> bytes:
    bits += "1" * (-len(bits) % 8)
    return int(bits, 2).to_bytes(len(bits) // 8).replace(b"\xff", b"\xff\0") if bits else b""


def segment(marker: int, body: bytes) -> bytes:
    return bytes([0xFF, marker]) + struct.pack(">H", len(body) + 2) + body


def encoded(
    image: NDArray[Any], bits: int, predictor: int = 1, *, shift: int = 0, rows_between: int = 0, apart: bool = False
) -> bytes:
    """A codestream of (rows, columns, components); with `apart` each component has a scan of its own."""
    rows, columns, components = image.shape
    values = image.astype(np.int64) >> shift
    stream = b"\xff\xd8" + segment(
        0xC3,
        struct.pack(">BHHB", bits, rows, columns, components)
        + b"".join(bytes([k + 1, 0x11, 0]) for k in range(components)),
    )
    stream += segment(0xC4, bytes([0, 0, 0, 0, 0, CODES, *[0] * 11, *range(CODES)]))
    if rows_between:
        stream += segment(0xDD, struct.pack(">H", rows_between * columns))
    scans = [[k] for k in range(components)] if apart else [list(range(components))]
    for scan in scans:
        parts = b"".join(bytes([k + 1, 0]) for k in scan)
        stream += segment(0xDA, bytes([len(scan)]) + parts + bytes([predictor, 0, shift]))
        starts = [*range(0, rows, rows_between or rows), rows]
        for number, (start, end) in enumerate(pairwise(starts)):
            stream += bytes([0xFF, 0xD0 + (number - 1) % 8]) if number else b""
            text = ""
            for row in range(start, end):
                for column in range(columns):
                    for k in scan:
                        first = 1 << (bits - shift - 1)
                        guess = expected_value(values[:, :, k], row, column, predictor, first, row == start)
                        text += code(int(values[row, column, k]) - guess)
            stream += stuffed(text)
    return stream + b"\xff\xd9"


def decoded(stream: bytes) -> NDArray[np.uint16]:
    return decode_lossless(stream, jpeg_header(stream))


def image_of(bits: int, components: int = 1, seed: int = 0) -> NDArray[np.uint16]:
    return np.random.default_rng(seed).integers(0, 2**bits, (7, 9, components)).astype(np.uint16)


@pytest.mark.parametrize("predictor", range(1, 8))
@pytest.mark.parametrize(("bits", "components"), [(8, 1), (12, 1), (16, 1), (8, 3)])
def test_every_predictor(predictor: int, bits: int, components: int) -> None:
    image = image_of(bits, components)
    assert np.array_equal(decoded(encoded(image, bits, predictor)), image)


@pytest.mark.parametrize("predictor", [1, 4, 7])
def test_restarts_scans_of_one_component_and_bits_that_are_cut_off(predictor: int) -> None:
    image = image_of(12, 3)
    assert np.array_equal(decoded(encoded(image, 12, predictor, rows_between=2)), image)
    assert np.array_equal(decoded(encoded(image, 12, predictor, apart=True)), image)
    assert np.array_equal(decoded(encoded(image, 12, predictor, shift=3)), image >> 3 << 3)


def test_a_difference_of_32768_has_no_bits() -> None:
    image = np.array([[[0], [32768], [0], [65535], [32767]]], np.uint16)
    assert np.array_equal(decoded(encoded(image, 16)), image)


@pytest.mark.parametrize("predictor", range(1, 8))
def test_gdcm_sees_the_same(predictor: int) -> None:
    """Without it a mistake that the encoder shares would stay unseen."""
    from pydicom.encaps import encapsulate
    from pydicom.pixels.decoders.base import JPEGLosslessDecoder

    if "gdcm" not in JPEGLosslessDecoder.available_plugins:
        pytest.skip("GDCM is not installed")
    image = image_of(12)
    stream = encoded(image, 12, predictor)
    sizes: dict[str, Any] = {
        "rows": 7,
        "columns": 9,
        "samples_per_pixel": 1,
        "number_of_frames": 1,
        "pixel_keyword": "PixelData",
    }
    depth: dict[str, Any] = {
        "bits_allocated": 16,
        "bits_stored": 12,
        "pixel_representation": 0,
        "photometric_interpretation": "MONOCHROME2",
    }
    by_gdcm, _ = JPEGLosslessDecoder.as_array(encapsulate([stream]), index=0, **sizes, **depth)
    assert np.array_equal(by_gdcm, image[:, :, 0])


def test_signed_samples_of_12_bits() -> None:
    values = np.random.default_rng(1).integers(-2048, 2048, (7, 9)).astype("i2")
    stream = encoded((values & 0xFFF).astype(np.uint16)[:, :, None], 12)
    window = {"BitsStored": 12, "WindowCenter": 0, "WindowWidth": 4096}
    file = encapsulated([stream], values, JPEG_LOSSLESS, **window)
    expected = decode_dicom(dicom_of(values, **window), "x", max_pixels=100)
    assert np.array_equal(decode_dicom(file, "x", max_pixels=100), expected)


def test_a_stream_that_ends_anywhere_is_refused() -> None:
    stream = encoded(image_of(12), 12, 4)
    whole = decoded(stream)
    for end in range(30, len(stream) - 2):
        with pytest.raises(DamageError):
            decoded(stream[:end])
    assert np.array_equal(decoded(stream[:-2]), whole)  # all samples are there


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (bytes([1, 1, 0, 1, 0, 0]), bytes([1, 1, 0, 8, 0, 0])),  # predictor 8
        (bytes([1, 1, 0, 1, 0, 0]), bytes([1, 9, 0, 1, 0, 0])),  # a component that is not there
        (bytes([1, 1, 0, 1, 0, 0]), bytes([1, 1, 0x30, 1, 0, 0])),  # a table that is not there
        (bytes([1, 1, 0, 1, 0, 0]), bytes([1, 1, 0, 1, 0, 12])),  # all bits cut off
        (bytes([0, 0, 0, 0, CODES]), bytes([3, 0, 0, 0, CODES])),  # more codes than bits allow
        (bytes([15, 16]), bytes([15, 17])),  # a difference of 17 bits
        (bytes([1, 0x11, 0]), bytes([1, 0x21, 0])),  # a component of half the width
    ],
)
def test_headers_that_do_not_fit(old: bytes, new: bytes) -> None:
    stream = encoded(image_of(12, 2), 12, apart=True)
    assert old in stream
    with pytest.raises(DamageError):
        decoded(stream.replace(old, new, 1))


def test_any_byte_may_be_wrong() -> None:
    """Nothing is read or written outside, and nothing but damage is said."""
    stream = encoded(image_of(12), 12, 4, rows_between=3)
    rng = np.random.default_rng(0)
    for _ in range(400):
        broken = bytearray(stream)
        broken[rng.integers(20, len(stream))] = rng.integers(256)
        with suppress(DamageError):
            assert decoded(bytes(broken)).shape == (7, 9, 1)
