from __future__ import annotations

import io
import struct
import sys
from typing import Any

import imagecodecs
import numpy as np
import pytest
import tifffile
from image_files import encoded
from numpy.typing import NDArray
from PIL import Image

from featx.errors import ImageError
from featx.images import decode

RNG = np.random.default_rng(5)
SIZ = b"\xff\x4f\xff\x51"


def jp2(samples: NDArray[Any], bits: int, *, kind: str = "jp2") -> bytes:
    return bytes(
        imagecodecs.jpeg2k_encode(
            np.ascontiguousarray(samples), level=0, reversible=True, bitspersample=bits, codecformat=kind
        )
    )


def samples_of(bits: int, *channels: int) -> NDArray[Any]:
    return RNG.integers(0, 2**bits, (20, 14, *channels)).astype(np.uint16 if bits > 8 else np.uint8)


def as_tiff(samples: NDArray[Any]) -> NDArray[np.uint8]:
    """What `decode` makes of the same samples in a TIFF, the format that the rule was written for."""
    file = io.BytesIO()
    photometric = "rgb" if samples.ndim == 3 else "minisblack"
    extra = ["unassalpha"] if samples.ndim == 3 and samples.shape[2] == 4 else None
    tifffile.imwrite(file, samples, photometric=photometric, metadata=None, extrasamples=extra)
    return decode(file.getvalue(), "a.tif")


def with_boxes(data: bytes, *extra: bytes) -> bytes:
    """A JP2 file with further boxes in its header box, and a colour space left to them."""
    start = data.index(b"jp2h") - 4
    (length,) = struct.unpack_from(">L", data, start)
    inside = b"".join([data[start + 8 : start + length], *extra])
    return data[:start] + struct.pack(">L", 8 + len(inside)) + b"jp2h" + inside + data[start + length :]


def box(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">L", 8 + len(body)) + kind + body


@pytest.mark.parametrize("kind", ["jp2", "j2k"])
@pytest.mark.parametrize("channels", [(), (3,), (4,)])
@pytest.mark.parametrize("bits", [8, 10, 12, 16])
def test_samples_follow_the_rule_of_their_depth(bits: int, channels: tuple[int, ...], kind: str) -> None:
    samples = samples_of(bits, *channels)
    assert np.array_equal(decode(jp2(samples, bits, kind=kind), "a.jp2"), as_tiff(samples))


def test_twelve_bits_in_sixteen_use_the_whole_range() -> None:
    samples = samples_of(12)
    samples[0, 0] = 4095
    pixels = decode(jp2(samples, 16), "a.jp2")
    assert np.array_equal(pixels[:, :, 0], np.rint(samples * 255.0 / 4095).astype(np.uint8))


@pytest.mark.parametrize("bits", [1, 2, 4, 7])
@pytest.mark.parametrize("channels", [(), (3,)])
def test_fewer_than_8_bits_use_the_whole_range(bits: int, channels: tuple[int, ...]) -> None:
    samples = samples_of(bits, *channels)
    expected = np.rint(samples * 255.0 / (2**bits - 1)).astype(np.uint8)
    pixels = decode(jp2(samples, bits), "a.jp2")
    assert np.array_equal(pixels if channels else pixels[:, :, 0], expected)


@pytest.mark.parametrize("dtype", ["i1", "i2"])
def test_signed_grey_is_stretched(dtype: str) -> None:
    samples = RNG.integers(-100, 100, (20, 14)).astype(dtype)
    data = bytes(imagecodecs.jpeg2k_encode(samples, level=0, reversible=True))
    assert np.array_equal(decode(data, "a.jp2"), as_tiff(samples))


def test_alpha_is_over_black_unless_the_file_says_that_it_is_none() -> None:
    samples = samples_of(8, 4)
    data = jp2(samples, 8)
    expected = np.rint(samples[:, :, :3] * (samples[:, :, 3:] / 255.0)).astype(np.uint8)
    assert np.array_equal(decode(data, "a.jp2"), expected)
    kinds = [(0, 0, 1), (1, 0, 2), (2, 0, 3), (3, 65535, 65535)]
    cdef = box(b"cdef", struct.pack(">H", 4) + b"".join(struct.pack(">HHH", *kind) for kind in kinds))
    start = data.find(b"cdef")
    data = data if start < 0 else data[: start - 4] + box(b"free", bytes(26)) + data[start + 28 :]
    assert np.array_equal(decode(with_boxes(data, cdef), "a.jp2"), samples[:, :, :3])


def test_grey_with_alpha() -> None:
    samples = samples_of(8, 2)
    expected = np.rint(samples[:, :, :1] * (samples[:, :, 1:] / 255.0)).astype(np.uint8)
    assert np.array_equal(decode(jp2(samples, 8), "a.jp2"), np.repeat(expected, 3, axis=2))


def test_palettes_keep_equal_colours_apart() -> None:
    indices = RNG.integers(0, 4, (20, 14)).astype(np.uint8)
    colours = np.array([[9, 8, 7], [9, 8, 7], [250, 0, 1], [3, 200, 90]], np.uint8)
    pclr = box(b"pclr", struct.pack(">HB3B", 4, 3, 7, 7, 7) + colours.tobytes())
    cmap = box(b"cmap", b"".join(struct.pack(">HBB", 0, 1, k) for k in range(3)))
    for bits in (8, 2):
        assert np.array_equal(decode(with_boxes(jp2(indices, bits), pclr, cmap), "a.jp2"), colours[indices])


def test_subsampled_and_lossy_files_of_pillow() -> None:
    smooth = Image.fromarray(RNG.integers(0, 256, (4, 4, 3)).astype(np.uint8)).resize(
        (64, 48), Image.Resampling.BICUBIC
    )
    data = encoded(smooth, "JPEG2000", irreversible=True, quality_mode="dB", quality_layers=[45])
    assert np.abs(decode(data, "a.jp2").astype(int) - np.asarray(smooth)).max() < 8


@pytest.mark.parametrize(("at_least", "shape"), [(None, (96, 160)), (100, (96, 160)), (40, (48, 80)), (1, (3, 5))])
def test_thumbnails_may_come_smaller(at_least: int | None, shape: tuple[int, int]) -> None:
    smooth = Image.fromarray(RNG.integers(0, 256, (4, 4, 3)).astype(np.uint8)).resize(
        (160, 96), Image.Resampling.BICUBIC
    )
    pixels = decode(encoded(smooth, "JPEG2000"), "a.jp2", at_least=at_least)
    assert pixels.shape[:2] == shape
    if at_least != 1:  # small ones are sharper than averages
        wanted = np.asarray(smooth.resize(shape[::-1], Image.Resampling.BOX)).astype(int)
        assert np.abs(pixels - wanted).mean() < 4


def test_thumbnails_of_odd_sides_come_whole() -> None:
    for size in ((161, 96), (160, 97), (33, 35)):
        assert decode(encoded(Image.new("RGB", size), "JPEG2000"), "a.jp2", at_least=8).shape[1::-1] == size


def test_the_size_is_that_of_the_codestream_and_checked_first() -> None:
    data = jp2(samples_of(8), 8)
    with pytest.raises(ImageError, match=r"has 0\.0 megapixels, more than the limit"):
        decode(data, "a.jp2", max_pixels=279)
    start = data.index(SIZ) + 8
    large = data[:start] + struct.pack(">6L", 60_000, 60_000, 0, 0, 60_000, 60_000) + data[start + 24 :]
    with pytest.raises(ImageError, match=r"has 3600\.0 megapixels"):
        decode(large, "a.jp2")
    header = data.index(b"ihdr") + 4
    with pytest.raises(ImageError, match="two different sizes"):
        decode(data[:header] + struct.pack(">LL", 5, 5) + data[header + 8 :], "a.jp2")


def test_what_would_come_out_wrong_is_refused() -> None:
    for samples, bits, clause in (
        (samples_of(8).astype(np.uint32) << 12, 20, "samples of 20 bits, which featx does not read"),
        (samples_of(8, 3).astype(np.int16), 16, "signed samples of 16/16/16 bits"),
        (samples_of(8, 5), 8, "colour space that featx does not read"),
    ):
        with pytest.raises(ImageError, match=clause):
            decode(jp2(samples, bits), "a.jp2")
    start = (data := jp2(samples_of(8), 8)).index(SIZ) + 24
    with pytest.raises(ImageError, match="more than 65,535 tiles"):
        decode(data[: start - 16] + struct.pack(">6L", 9000, 9000, 0, 0, 1, 1) + data[start + 8 :], "a.jp2")


def test_deep_colours_need_a_package_that_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "imagecodecs", None)
    data = jp2(samples_of(8, 3), 8)
    assert decode(data, "a.jp2").shape == (20, 14, 3)
    monkeypatch.undo()
    deep = jp2(samples_of(12, 3), 12)
    monkeypatch.setitem(sys.modules, "imagecodecs", None)
    with pytest.raises(
        ImageError, match=r"3 channels of 12 bits, for which imagecodecs .*\(pip install 'featx\[jxl\]'\)"
    ):
        decode(deep, "a.jp2")
