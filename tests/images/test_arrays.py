from __future__ import annotations

import io
import struct
from typing import Any

import numpy as np
import pytest
import tifffile
from image_files import encoded
from numpy.typing import NDArray
from PIL import Image

from featx.errors import ImageError
from featx.images import decode

RNG = np.random.default_rng(7)


def npy(samples: NDArray[Any], version: tuple[int, int] | None = None) -> bytes:
    file = io.BytesIO()
    np.lib.format.write_array(file, samples, version=version)
    return file.getvalue()


def headed(head: bytes, values: bytes = bytes(64)) -> bytes:
    return b"\x93NUMPY\1\0" + struct.pack("<H", len(head)) + head + values


def as_tiff(samples: NDArray[Any]) -> NDArray[np.uint8]:
    file = io.BytesIO()
    tifffile.imwrite(file, samples, photometric="rgb" if samples.ndim == 3 else "minisblack", metadata=None)
    return decode(file.getvalue(), "a.tif")


@pytest.mark.parametrize("channels", [(), (3,)])
@pytest.mark.parametrize("dtype", ["u1", "u2", "u4", "u8", "i1", "i2", "i4", "i8", "f2", "f4", "f8"])
@pytest.mark.parametrize("order", ["<", ">"])
def test_numbers_of_every_type_follow_the_rule_of_their_depth(
    dtype: str, channels: tuple[int, ...], order: str
) -> None:
    for low, high in ((0, 100), (0, 1), (-50, 100), (0, 60_000)):
        if dtype[0] == "u" and low < 0:
            continue
        span = np.clip(
            [low, high], *((-126, 127) if dtype == "i1" else (-(2**15), 255 if dtype == "u1" else 2**15 - 1))
        )
        samples = (RNG.random((9, 7, *channels)) * (span[1] - span[0]) + span[0]).astype(dtype)
        pixels = decode(npy(samples.astype(order + dtype)), "a.npy")
        assert np.array_equal(pixels, as_tiff(samples))


def test_bytes_keep_their_values_and_booleans_use_the_whole_range() -> None:
    samples = RNG.integers(0, 100, (9, 7, 3)).astype(np.uint8)
    assert np.array_equal(decode(npy(samples), "a.npy"), samples)
    mask = RNG.random((9, 7)) < 0.5
    assert np.array_equal(decode(npy(mask), "a.npy")[:, :, 2], mask * 255)


@pytest.mark.parametrize("shape", [(9, 7), (9, 7, 1)])
def test_grey_is_repeated(shape: tuple[int, ...]) -> None:
    samples = RNG.integers(0, 256, shape).astype(np.uint8)
    assert np.array_equal(decode(npy(samples), "a.npy"), np.repeat(samples.reshape(9, 7, 1), 3, axis=2))


def test_alpha_is_over_black_as_in_a_png() -> None:
    samples = RNG.integers(0, 256, (9, 7, 4)).astype(np.uint8)
    assert np.array_equal(decode(npy(samples), "a.npy"), decode(encoded(Image.fromarray(samples), "PNG"), "a.png"))


@pytest.mark.parametrize("version", [(1, 0), (2, 0), (3, 0)])
def test_orders_and_versions_of_the_file(version: tuple[int, int]) -> None:
    samples = RNG.integers(0, 4096, (9, 7, 3)).astype(np.uint16)
    expected = decode(npy(samples), "a.npy")
    assert np.array_equal(decode(npy(np.asfortranarray(samples), version), "a.npy"), expected)


def test_heads_of_other_writers_and_of_python_2() -> None:
    values = bytes(range(6))
    for head in (
        b"{'descr': '|u1', 'fortran_order': False, 'shape': (2L, 3L), }\n",
        b'{"shape": (2,3), "fortran_order": False, "descr": "u1"}',
    ):
        assert decode(headed(head, values), "a.npy")[:, :, 0].tolist() == [[0, 1, 2], [3, 4, 5]]


@pytest.mark.parametrize(
    ("data", "clause"),
    [
        (npy(np.zeros((3, 9, 7))), r"is an array of shape \(3, 9, 7\), where one of \(height, width\), or"),
        (npy(np.zeros((9, 7, 2))), r"shape \(9, 7, 2\)"),
        (npy(np.zeros(9)), r"shape \(9,\)"),
        (npy(np.zeros(())), r"shape \(\)"),
        (npy(np.zeros((2, 9, 7, 3))), r"shape \(2, 9, 7, 3\)"),
        (npy(np.zeros((0, 7))), r"shape \(0, 7\)"),
        (npy(np.zeros((9, 7), complex)), "is an array of the type '<c16'"),
        (npy(np.zeros((9, 7), "S3")), "is an array of the type"),
        (npy(np.zeros((9, 7), "M8[s]")), "is an array of the type"),
        (npy(np.zeros((9, 7), [("a", "f4"), ("b", "u1")])), "is an array of records"),
        (npy(np.zeros((9, 7), object)), "is an array of Python objects, which are never loaded"),
        (npy(np.full((9, 7), np.nan)), "not finite"),
        (npy(np.zeros((9, 7)))[:-1], "ends before its values do"),
        (npy(np.zeros((9, 7)))[:40], "is truncated, damaged or an unsupported kind of NumPy"),
        (b"\x93NUMPY", "is truncated, damaged"),
        (b"\x93NUMPY\x09\0\x10\0", "is truncated, damaged"),
        (headed(b"x" * 20_000), "head of an unknown version or of more than 10,000 bytes"),
        (headed(b"{'descr': __import__('os').abort(), 'fortran_order': False, 'shape': (2, 3)}"), "no number type"),
        (headed(b"{'descr': '|u1', 'fortran_order': False, 'shape': (-2, 3)}"), "no shape in its head"),
        (
            headed(b"{'descr': '|u1', 'fortran_order': False, 'shape': (99999999, 99999999, 1)}"),
            "ends before its val",
        ),
        (
            headed(b"{'descr': '|u1', 'fortran_order': False, 'shape': (" + b"9" * 5000 + b", 3)}"),
            "is truncated, dam",
        ),
    ],
)
def test_what_is_no_image_is_said_in_one_sentence(data: bytes, clause: str) -> None:
    with pytest.raises(ImageError, match=clause) as caught:
        decode(data, "a.npy")
    assert "\n" not in str(caught.value)


def test_the_size_is_checked_before_memory_is_taken() -> None:
    with pytest.raises(ImageError, match=r"has 0\.0 megapixels, more than the limit"):
        decode(npy(np.zeros((9, 7))), "a.npy", max_pixels=62)
