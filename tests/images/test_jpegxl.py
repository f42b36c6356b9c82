from __future__ import annotations

import io
import struct
import sys
from typing import Any

import imagecodecs
import numpy as np
import pytest
from image_files import encoded
from numpy.typing import NDArray
from PIL import ExifTags, Image

from featx.errors import ImageError
from featx.images import decode

RNG = np.random.default_rng(6)


def jxl(samples: NDArray[Any], bits: int | None = None) -> bytes:
    return bytes(imagecodecs.jpegxl_encode(np.ascontiguousarray(samples), lossless=True, bitspersample=bits))


def as_npy(samples: NDArray[Any]) -> NDArray[np.uint8]:
    file = io.BytesIO()
    np.save(file, samples)
    return decode(file.getvalue(), "a.npy")


@pytest.mark.parametrize("channels", [(), (3,), (4,)])
@pytest.mark.parametrize("bits", [8, 10, 12, 16])
def test_samples_follow_the_rule_of_their_depth(bits: int, channels: tuple[int, ...]) -> None:
    samples = RNG.integers(0, 2**bits, (20, 14, *channels)).astype(np.uint8 if bits == 8 else np.uint16)
    assert np.array_equal(decode(jxl(samples, bits), "a.jxl"), as_npy(samples))


@pytest.mark.parametrize("dtype", ["f2", "f4"])
@pytest.mark.parametrize("high", [1, 2, 400])
def test_floats_are_read_by_their_range(dtype: str, high: float) -> None:
    samples = (RNG.random((20, 14, 3)) * high).astype(dtype)
    assert np.array_equal(decode(jxl(samples), "a.jxl"), as_npy(samples))


def test_grey_with_alpha() -> None:
    samples = RNG.integers(0, 256, (20, 14, 2)).astype(np.uint8)
    expected = np.rint(samples[:, :, :1] * (samples[:, :, 1:] / 255.0)).astype(np.uint8)
    assert np.array_equal(decode(jxl(samples), "a.jxl"), np.repeat(expected, 3, axis=2))


@pytest.mark.parametrize(
    "size", [(1, 1), (8, 8), (256, 256), (300, 200), (120, 100), (40, 30), (160, 90), (2000, 3), (3, 9000), (64, 32)]
)
def test_the_size_in_the_head_is_read(size: tuple[int, int]) -> None:
    """All ways in which it is written: small ones in eights, ratios of the sides, and both sides."""
    width, height = size
    data = jxl(np.zeros((height, width), np.uint8))
    assert decode(data, "a.jxl").shape == (height, width, 3)
    assert decode(data, "a.jxl", max_pixels=width * height).shape == (height, width, 3)
    with pytest.raises(ImageError, match="more than the limit"):
        decode(data, "a.jxl", max_pixels=width * height - 1)


def test_a_hostile_size_is_refused_before_pixels_are_decoded() -> None:
    fields = [(0, 1), (3, 2), (2**20 - 1, 30), (0, 3), (3, 2), (2**20 - 1, 30), (1, 1)]
    number, place = 0, 0
    for value, bits in fields:
        number |= value << place
        place += bits
    with pytest.raises(ImageError, match="megapixels, more than the limit"):
        decode(b"\xff\x0a" + number.to_bytes(12, "little") + bytes(60), "a.jxl")


@pytest.mark.parametrize("value", [1, 2, 3, 5, 6, 8])
def test_jpegs_in_jpeg_xl_are_turned_upright_once(value: int) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = value
    smooth = Image.fromarray(RNG.integers(0, 256, (4, 4, 3)).astype(np.uint8)).resize(
        (64, 48), Image.Resampling.BICUBIC
    )
    jpeg = encoded(smooth, "JPEG", quality=95, subsampling=0, exif=exif)
    pixels = decode(bytes(imagecodecs.jpegxl_encode_jpeg(jpeg)), "a.jxl")
    assert np.abs(pixels.astype(int) - decode(jpeg, "a.jpg")).max() <= 4


def test_of_an_animation_the_first_image_is_taken() -> None:
    frames = RNG.integers(0, 256, (3, 20, 14, 3)).astype(np.uint8)
    assert np.array_equal(decode(jxl(frames), "a.jxl"), frames[0])


def test_parts_of_a_codestream_in_boxes() -> None:
    samples = RNG.integers(0, 256, (20, 14, 3)).astype(np.uint8)
    stream = jxl(samples)
    assert stream.startswith(b"\xff\x0a")
    parts = [(b"jxlp", b"\0\0\0\0" + stream[:5]), (b"jxlp", b"\x80\0\0\1" + stream[5:])]
    boxes = [(b"JXL ", b"\r\n\x87\n"), (b"ftyp", b"jxl \0\0\0\0jxl "), (b"free", bytes(9)), *parts]
    data = b"".join(struct.pack(">L", 8 + len(body)) + kind + body for kind, body in boxes)
    assert np.array_equal(decode(data, "a.jxl"), samples)


def test_jpeg_xl_needs_a_package_that_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    data = jxl(np.zeros((4, 4), np.uint8))
    monkeypatch.setitem(sys.modules, "imagecodecs", None)
    with pytest.raises(
        ImageError, match=r"a\.jxl is JPEG XL, for which imagecodecs .*\(pip install 'featx\[jxl\]'\)"
    ):
        decode(data, "a.jxl")
