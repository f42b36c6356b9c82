"""JPEG in DICOM files: lossless, by the standard's own rules, and extended with 12 bits."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from dicom_pixels import JPEG, JPEG_EXTENDED, JPEG_LOSSLESS, dicom_of, encapsulated
from lossless_jpeg import CODES, encoded
from numpy.typing import NDArray

from featx.dicom.pixels import decode_dicom
from featx.errors import ImageError

pytest.importorskip("pydicom")
imagecodecs = pytest.importorskip("imagecodecs")


def image_of(bits: int, components: int = 1) -> NDArray[Any]:
    dtype = np.uint8 if bits <= 8 else np.uint16
    return np.random.default_rng(0).integers(0, 2**bits, (7, 9, components)).astype(dtype)


def shown(stream: bytes, image: NDArray[Any], bits: int, syntax: str = JPEG_LOSSLESS, **elements: Any) -> Any:
    """The levels of a compressed file whose samples (rows, columns, components) have these bits."""
    plain = image[:, :, 0] if image.shape[2] == 1 else image
    file = encapsulated([stream], plain, syntax, **window_of(image, bits), **elements)
    return decode_dicom(file, "x.dcm", max_pixels=10**6)


def levels(image: NDArray[Any], bits: int, **elements: Any) -> Any:
    """The levels of the same samples without compression."""
    plain = image[:, :, 0] if image.shape[2] == 1 else image
    return decode_dicom(dicom_of(plain, **window_of(image, bits), **elements), "x.dcm", max_pixels=10**6)


def window_of(image: NDArray[Any], bits: int) -> dict[str, Any]:
    """So few samples of many bits that two of them may have the same level, only seldom."""
    grey = image.shape[2] == 1
    return {"BitsStored": bits, **({"WindowCenter": 2 ** (bits - 1), "WindowWidth": 2**bits} if grey else {})}


@pytest.mark.parametrize("predictor", range(1, 8))
@pytest.mark.parametrize(("bits", "components"), [(8, 1), (10, 1), (12, 1), (15, 1), (16, 1), (8, 3), (12, 3)])
def test_every_predictor(predictor: int, bits: int, components: int) -> None:
    image = image_of(bits, components)
    assert np.array_equal(shown(encoded(image, bits, predictor), image, bits), levels(image, bits))


@pytest.mark.parametrize("predictor", [1, 4, 7])
def test_restarts_scans_of_one_component_and_bits_that_are_cut_off(predictor: int) -> None:
    image = image_of(8, 3)
    for options in ({"rows_between": 2}, {"apart": True}, {"rows_between": 3, "apart": True}):
        assert np.array_equal(shown(encoded(image, 8, predictor, **options), image, 8), image)
    assert np.array_equal(shown(encoded(image, 8, predictor, shift=3), image, 8), image >> 3 << 3)


def test_a_difference_of_32768_has_no_bits() -> None:
    image = np.array([[[0], [32768], [0], [65535], [32767]]], np.uint16)
    assert np.array_equal(shown(encoded(image, 16), image, 16), levels(image, 16))


@pytest.mark.parametrize("photometric", ["RGB", "YBR_FULL"])
def test_colours_of_a_lossless_jpeg_are_what_the_file_says(photometric: str) -> None:
    """libjpeg-turbo would take three components without a name for YCbCr."""
    image = image_of(8, 3)
    said = {"PhotometricInterpretation": photometric}
    assert np.array_equal(shown(encoded(image, 8), image, 8, **said), levels(image, 8, **said))


@pytest.mark.parametrize("precision", [12, 16])
def test_signed_samples_of_12_bits(precision: int) -> None:
    values = np.random.default_rng(1).integers(-2048, 2048, (7, 9)).astype("i2")
    window = {"BitsStored": 12, "WindowCenter": 0, "WindowWidth": 4096}
    stream = encoded(values.view("u2")[:, :, None] & (2**precision - 1), precision)
    file = encapsulated([stream], values, JPEG_LOSSLESS, **window)
    expected = decode_dicom(dicom_of(values, **window), "x", max_pixels=100)
    assert np.array_equal(decode_dicom(file, "x", max_pixels=100), expected)


@pytest.mark.parametrize("predictor", [1, 4])
@pytest.mark.parametrize("with_end", [True, False])
def test_a_stream_that_ends_anywhere_is_refused(predictor: int, with_end: bool) -> None:
    image = image_of(12)
    stream = encoded(image, 12, predictor)
    for end in range(30, len(stream) - 3):
        with pytest.raises(ImageError, match=r"truncated|damaged"):
            shown(stream[:end] + b"\xff\xd9" * with_end, image, 12)


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
        (bytes([0xFF, 0xC4]), bytes([0xFF, 0x01])),  # a marker without a segment
        (bytes([0xFF, 0xC4]), bytes([0xFF, 0xB0])),  # an unknown marker
    ],
)
def test_headers_that_do_not_fit(old: bytes, new: bytes) -> None:
    image = image_of(12, 3)
    stream = encoded(image, 12, apart=True)
    assert old in stream
    with pytest.raises(ImageError, match="damaged"):
        shown(stream.replace(old, new, 1), image, 12)


def test_a_second_frame_header_of_another_size() -> None:
    """The decoder's own idea of the size is not believed."""
    image = image_of(12)
    stream = encoded(image, 12)
    frame = stream[2:15]
    larger = frame.replace(bytes([0, 7, 0, 9]), bytes([0xFF, 0xD0, 0xFF, 0xD0]))
    assert larger != frame
    for twice in (frame + larger, b"\xff\xe0\x00\x02" + frame + larger):
        with pytest.raises(ImageError, match="damaged"):
            shown(stream[:2] + twice + stream[15:], image, 12)
    with pytest.raises(ImageError, match="damaged"):  # a decoder skips the first two bytes, and reads the header
        shown(stream[:2] + b"\xff\x01" + larger + stream[2:], image, 12)


def test_any_byte_may_be_wrong() -> None:
    """Nothing but damage is said."""
    image = image_of(12)
    stream = encoded(image, 12, 4, rows_between=3)
    rng = np.random.default_rng(0)
    refused = 0
    for _ in range(400):
        broken = bytearray(stream)
        broken[rng.integers(20, len(stream))] = rng.integers(256)
        refused += 1
        with suppress(ImageError):
            assert shown(bytes(broken), image, 12).shape == (7, 9, 3)
            refused -= 1
    assert refused > 40


@pytest.mark.parametrize("components", [1, 3])
def test_extended_jpeg_of_12_bits(components: int) -> None:
    """A smooth image, whose levels are the same but for rounding."""
    y, x = np.mgrid[:64, :48]
    image = np.stack([2000 + 1500 * np.sin(x / 9 + k) * np.cos(y / 11) for k in range(components)], 2).astype("u2")
    plain = image[:, :, 0] if components == 1 else image
    options: dict[str, Any] = {"level": 100, "bitspersample": 12, "subsampling": "444"}
    stream = bytes(imagecodecs.jpeg8_encode(np.ascontiguousarray(plain), **options))
    said = {"PhotometricInterpretation": "MONOCHROME2" if components == 1 else "YBR_FULL_422"}
    pixels = shown(stream, image, 12, JPEG_EXTENDED, **said)
    assert np.abs(pixels.astype(int) - levels(image, 12)).max() <= 1


def progressive(scans: int) -> tuple[bytes, NDArray[np.uint8]]:
    """A progressive JPEG whose last scan is there so many times more."""
    import io

    from PIL import Image

    image = np.tile(np.arange(16, dtype=np.uint8), (16, 1))
    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", progressive=True, quality=100)
    stream = file.getvalue()
    last = stream[stream.rindex(b"\xff\xc4") : -2]
    return stream[:-2] + last * scans + stream[-2:], image[:, :, None]


def test_a_progressive_jpeg_and_one_with_too_many_scans() -> None:
    stream, image = progressive(0)
    assert np.abs(shown(stream, image, 8, JPEG).astype(int) - levels(image, 8)).max() <= 1
    with pytest.raises(ImageError, match="more than 500 scans"):
        shown(progressive(600)[0], image, 8, JPEG)
