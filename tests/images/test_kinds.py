"""Every kind of file is right, or refused by its name: compared with writers of their own and with formulas."""

from __future__ import annotations

import io
import random
import struct
import subprocess
import sys
import zlib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image

from featx.errors import ImageError
from featx.images.decoding import decode

HEIGHT, WIDTH = 37, 29
COLOURS = {"grey": 1, "white": 1, "grey+alpha": 2, "rgb": 3, "rgb+other": 4, "rgb+alpha": 4, "rgb+alpha+other": 5}
EXTRA = {"grey+alpha": [2], "rgb+other": [0], "rgb+alpha": [2], "rgb+alpha+other": [2, 0]}
DTYPES = ["u1", "u2", "u4", "u8", "i1", "i2", "i4", "f2", "f4", "f8"]


def picture(channels: int) -> NDArray[np.uint8]:
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    grey = np.clip(x * 5.4 + y * 2.8, 0, 255).astype(np.uint8)
    planes = [np.roll(grey, 5 * k, 1) if k % 2 == 0 else 255 - np.roll(grey, 3 * k, 0) for k in range(channels)]
    return np.stack(planes, axis=2)


def samples_of(picture: NDArray[np.uint8], dtype: np.dtype[Any]) -> NDArray[Any]:
    if dtype.kind == "f":
        return (picture / 255).astype(dtype)
    if dtype.kind == "i":
        return (picture.astype(int) // 2 - 50).astype(dtype)
    wide: NDArray[Any] = picture.astype(dtype) * dtype.type({1: 1, 2: 257}.get(dtype.itemsize, 1_000_003))
    return wide


def levels(samples: NDArray[Any]) -> NDArray[np.float64]:
    """The rules of `decode`, in floating point."""
    low, high = float(samples.min()), float(samples.max())
    if samples.dtype.kind == "f" and low >= 0 and high <= 255:
        scaled: NDArray[np.float64] = np.rint(samples.astype(float) * (255 if high <= 1 else 1))
        return scaled
    if low < 0 or high > 65535:
        stretched: NDArray[np.float64] = np.rint((samples.astype(float) - low) * (255 / (high - low)))
        return stretched
    white = next(2**bits - 1 for bits in (8, 10, 12, 14, 16) if high < 2**bits)
    kept: NDArray[np.float64] = np.floor(samples.astype(float) * 255 / white + 0.5)
    return kept


def three(grey: NDArray[Any]) -> NDArray[Any]:
    return np.repeat(grey, 3, axis=2) if grey.shape[2] == 1 else grey


def written(samples: NDArray[Any], **options: Any) -> bytes:
    file = io.BytesIO()
    tifffile.imwrite(file, samples, metadata=None, **options)
    return file.getvalue()


def tiff(tags: Mapping[int, Sequence[int]], pieces: Sequence[bytes], order: str = "<") -> bytes:
    """A TIFF in strips written by hand, for kinds that no library writes."""
    data = bytearray((b"II*\0" if order == "<" else b"MM\0*") + bytes(4))
    offsets = []
    for piece in pieces:
        offsets.append(len(data))
        data += piece + b"\0" * (len(piece) % 2)
    tags = {**tags, 273: offsets, 279: [len(piece) for piece in pieces]}
    struct.pack_into(f"{order}L", data, 4, len(data))
    lines, values = struct.pack(f"{order}H", len(tags)), b""
    start = len(data) + 2 + 12 * len(tags) + 4
    for tag, numbers in sorted(tags.items()):
        kind, letter = (4, "L") if tag in (256, 257, 273, 278, 279) else (3, "H")
        value = struct.pack(f"{order}{len(numbers)}{letter}", *numbers)
        if len(value) > 4:
            value, values = struct.pack(f"{order}L", start + len(values)), values + value
        lines += struct.pack(f"{order}HHL4s", tag, kind, len(numbers), value)
    return bytes(data) + lines + bytes(4) + values


def packed(values: NDArray[Any], bits: int) -> bytes:
    """Rows of values of so many bits, the highest first, each row padded to whole bytes."""
    digits = (values.astype(np.int64)[..., np.newaxis] >> np.arange(bits - 1, -1, -1)) & 1
    return np.packbits(digits.astype(np.uint8).reshape(len(values), -1), axis=1).tobytes()


@pytest.mark.parametrize(
    ("kind", "planar"),
    [(kind, planar) for kind in COLOURS for planar in ("contig", "separate")[: COLOURS[kind]]],
)
@pytest.mark.parametrize("dtype", DTYPES)
def test_tiffs_of_every_depth_and_layout(dtype: str, kind: str, planar: str) -> None:
    numbers = np.dtype(dtype)
    samples = samples_of(picture(COLOURS[kind]), numbers)
    channels = 3 if kind.startswith("rgb") else 1
    if "alpha" in kind:
        samples[:, :, channels] = 1 if numbers.kind == "f" else np.iinfo(numbers).max
        samples[:9, :, channels] = 0
    expected = levels(samples[:, :, :channels])
    if kind == "white":
        expected = 255 - expected
    if "alpha" in kind:
        expected[:9] = 0
    stored = samples[:, :, 0] if COLOURS[kind] == 1 else samples
    options: dict[str, Any] = {"photometric": "rgb" if channels == 3 else "minisblack", "rowsperstrip": 11}
    if kind == "white":
        options["photometric"] = "miniswhite"
    if COLOURS[kind] > 1:
        stored = np.ascontiguousarray(np.moveaxis(samples, 2, 0)) if planar == "separate" else samples
        options |= {"planarconfig": planar, "extrasamples": EXTRA.get(kind)}
    floats = numbers.kind == "f"
    ways: list[dict[str, Any]] = [
        {},
        {"byteorder": ">"},
        {"byteorder": ">", "bigtiff": True},
        {"compression": "packbits"},
        {"compression": "lzw", "predictor": 3 if floats else 2},
        {"compression": "zlib", "predictor": 3 if floats else 2, "tile": (32, 16), "byteorder": ">"},
        {"compression": "zstd", "tile": (16, 16)},
    ]
    for way in ways:
        if "tile" in way:
            way = {**way, "rowsperstrip": None}
        pixels = decode(written(stored, **(options | way)), "a.tif").astype(float)
        assert np.abs(pixels - three(expected)).max() <= (1 if "alpha" in kind else 0), way


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("white", [True, False])
@pytest.mark.parametrize("bits", [1, 2, 4, 9, 10, 12, 14])
def test_packed_bits_in_both_orders(bits: int, white: bool, order: str) -> None:
    values = picture(1)[:, :, 0].astype(int) * (2**bits - 1) // 255
    expected = np.floor(values * 255 / (2**bits - 1) + 0.5) if bits < 9 else levels(values)
    tags = {256: [WIDTH], 257: [HEIGHT], 258: [bits], 262: [0 if white else 1], 277: [1], 278: [HEIGHT]}
    rows = packed(values, bits)
    turned = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))
    for data in (
        tiff({**tags, 259: [1]}, [rows], order),
        tiff({**tags, 259: [8]}, [zlib.compress(rows)], order),
        tiff({**tags, 259: [1], 266: [2]}, [rows.translate(turned)], order),
        tiff({**tags, 259: [8], 266: [2]}, [zlib.compress(rows).translate(turned)], order),
    ):
        assert np.array_equal(decode(data, "a.tif")[:, :, 0], 255 - expected if white else expected)


def test_palettes_of_16_and_of_8_bits_a_colour() -> None:
    indices = picture(1)[:, :, 0] // 16
    colours = np.random.default_rng(3).integers(0, 256, (3, 16))
    tags = {256: [WIDTH], 257: [HEIGHT], 258: [4], 259: [1], 262: [3], 277: [1], 278: [HEIGHT]}
    for scale in (257, 1):
        data = tiff({**tags, 320: (colours * scale).ravel().tolist()}, [packed(indices, 4)])
        assert np.array_equal(decode(data, "a.tif"), np.moveaxis(colours[:, indices], 0, 2))


@pytest.mark.parametrize(("dtype", "planar"), [("u1", "contig"), ("u1", "separate"), ("u2", "contig")])
def test_cmyk(dtype: str, planar: str) -> None:
    inks = picture(4)
    samples = samples_of(inks, np.dtype(dtype))
    stored = samples if planar == "contig" else np.ascontiguousarray(np.moveaxis(samples, 2, 0))
    expected = np.asarray(Image.fromarray(inks, mode="CMYK").convert("RGB"))
    for compression in (None, "lzw"):
        data = written(stored, photometric="separated", planarconfig=planar, compression=compression)
        assert np.array_equal(decode(data, "a.tif"), expected)


UNREAD: list[tuple[str, dict[int, list[int]]]] = [
    ("CIELab, 3 samples of 16 bits", {258: [16], 262: [8]}),
    ("palette, 3 samples of 16 bits", {258: [16], 262: [3]}),
    ("compression LERC", {258: [8], 259: [34887]}),
    ("compression JPEG 2000", {258: [16], 259: [34712]}),
    ("RGB, 3 samples of 24 bits", {258: [24]}),
    ("compression JPEG", {258: [12], 259: [7]}),
    ("YCbCr, 3 samples of 8 bits, integers, compression none", {258: [8], 262: [6], 530: [2, 2]}),
    ("YCbCr, 3 samples of 8 bits, integers, compression LZW", {258: [8], 259: [5], 262: [6]}),
    ("CMYK, 4 samples of 16 bits", {258: [16], 262: [5], 277: [4], 284: [2]}),
    ("CMYK, 5 samples of 8 bits", {258: [8], 262: [5], 277: [5], 284: [2], 338: [0]}),
    ("grey, 11 samples of 8 bits", {258: [8], 262: [1], 277: [11]}),
]


@pytest.mark.parametrize(("kind", "tags"), UNREAD, ids=[kind for kind, _ in UNREAD])
def test_other_kinds_are_refused_by_their_name(kind: str, tags: dict[int, list[int]]) -> None:
    tags = {256: [8], 257: [8], 259: [1], 262: [2], 277: [3], 278: [8]} | tags
    with pytest.raises(ImageError, match=f"of a kind that featx does not read .*{kind}"):
        decode(tiff(tags, [bytes(8 * 8 * 11)]), "a.tif")


@pytest.mark.parametrize(
    ("kind", "tags"),
    [
        ("grey, 2 samples of 8 bits", {262: [0], 277: [2], 338: [2]}),
        ("RGB, 4 samples of 8 bits", {262: [2], 277: [4], 266: [2], 338: [2]}),
        ("YCbCr, 3 samples of 8 bits", {262: [6], 277: [3], 266: [2], 530: [1, 1]}),
    ],
)
def test_kinds_that_pillow_refuses_are_named_too(kind: str, tags: dict[int, list[int]]) -> None:
    tags = {256: [8], 257: [8], 258: [8], 259: [1], 278: [8]} | tags
    with pytest.raises(ImageError, match=f"an unsupported kind of TIFF .{kind}"):
        decode(tiff(tags, [bytes(8 * 8 * 4)]), "a.tif")


# PNG


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">L", len(data)) + kind + data + struct.pack(">L", zlib.crc32(kind + data))


def png(values: NDArray[Any], bits: int, colour: int, *extra: bytes, interlaced: bool = False) -> bytes:
    passes = [(0, 0, 1, 1)]
    if interlaced:
        passes = [*((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4)), (1, 0, 2, 2), (0, 1, 1, 2)]
    rows = b""
    for left, top, across, down in passes:
        for row in values[top::down, left::across]:
            rows += b"\0" + (row.astype(">u2").tobytes() if bits == 16 else packed(row.reshape(1, -1), bits))
    header = struct.pack(">LLBBBBB", values.shape[1], values.shape[0], bits, colour, 0, 0, interlaced)
    pixels = chunk(b"IDAT", zlib.compress(rows))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + b"".join(extra) + pixels + chunk(b"IEND", b"")


@pytest.mark.parametrize("interlaced", [False, True])
@pytest.mark.parametrize(
    ("colour", "bits"),
    [(0, 1), (0, 2), (0, 4), (0, 8), (0, 16), (2, 8), (2, 16), (4, 8), (4, 16), (6, 8), (6, 16)],
)
def test_pngs_of_every_depth(colour: int, bits: int, interlaced: bool) -> None:
    channels = {0: 1, 2: 3, 4: 2, 6: 4}[colour]
    full = 2**bits - 1
    values = picture(channels).astype(int) * full // 255
    alpha = values[:, :, -1:] / full if colour in (4, 6) else np.ones((HEIGHT, WIDTH, 1))
    colours = values[:, :, :-1] if colour in (4, 6) else values
    expected = three(np.rint(np.floor(colours * 255 / full + 0.5) * alpha))
    pixels = decode(png(values, bits, colour, interlaced=interlaced), "a.png").astype(float)
    assert np.abs(pixels - expected).max() <= (1 if colour in (4, 6) else 0)
    if colour in (0, 2):
        key = values[5, 7]
        transparent = chunk(b"tRNS", struct.pack(f">{channels}H", *key.tolist()))
        hidden = np.where((values == key).all(axis=2, keepdims=True), 0, expected)
        assert np.array_equal(decode(png(values, bits, colour, transparent, interlaced=interlaced), "a.png"), hidden)


def wrong_checksum(part: bytes) -> bytes:
    return part[:-1] + bytes([part[-1] ^ 255])


METADATA = {
    "profile": chunk(b"iCCP", b"a\0\0" + zlib.compress(bytes(3_000_000))),
    "damaged profile": chunk(b"iCCP", b"a\0\7junk"),
    "xmp": chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(bytes(4_000_000))),
    "text": chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(3_000_000))),
    "checksum of text": wrong_checksum(chunk(b"tEXt", b"a\0b")),
    "checksum of exif": wrong_checksum(chunk(b"eXIf", b"II*\0")),
    "short ones": b"".join(
        chunk(kind, b"") for kind in (b"gAMA", b"cHRM", b"sRGB", b"pHYs", b"sBIT", b"acTL", b"fcTL")
    ),
    "many": chunk(b"tEXt", b"a\0b") * 20_000,
    "no pixels at first": chunk(b"IDAT", b"") * 20_000,
}


@pytest.mark.parametrize("name", METADATA)
def test_metadata_never_refuses_a_whole_png(name: str) -> None:
    values = picture(3)
    assert np.array_equal(decode(png(values, 8, 2, METADATA[name]), "a.png"), values)


def test_a_wrong_checksum_of_pixels_is_damage() -> None:
    data = bytearray(png(picture(3), 8, 2))
    data[-13] ^= 1  # the last byte of the checksum of IDAT
    with pytest.raises(ImageError, match="wrong checksum of its pixels"):
        decode(bytes(data), "a.png")


# JPEG, GIF, BMP


def jpeg(**options: Any) -> bytes:
    file = io.BytesIO()
    Image.fromarray(picture(3)).save(file, "JPEG", **options)
    return file.getvalue()


@pytest.mark.parametrize(
    "segment",
    [
        b"\xff\xe2\0\x11ICC_PROFILE\0\3\1a",
        b"\xff\xed\0\x14Photoshop 3.0\x008BIM",
        b"\xff\xe0\0\7JFIF\0",
        b"\xff\xee\0\x08Adobe1",
        b"\xff\xe1\0\x12Exif\0\0II*\0\xff\xff\xff\xff\0\0",
        b"\xff\xe2\0\x08MPF\0ab",
        b"\xff\xff\xff\xff",
    ],
)
def test_metadata_never_refuses_a_whole_jpeg(segment: bytes) -> None:
    data = jpeg()
    for start in (2, 20):  # with and without the density that Pillow looks for elsewhere
        changed = data[:2] + segment + data[start:]
        assert np.array_equal(decode(changed, "a.jpg"), decode(data, "b.jpg"))


def test_a_jpeg_of_thousands_of_scans_is_refused_before_it_is_decoded() -> None:
    data = jpeg(progressive=True)
    scan = data[data.rindex(b"\xff\xda") : -2]
    assert decode(data[:-2] + 9 * scan + data[-2:], "a.jpg").shape == (HEIGHT, WIDTH, 3)
    with pytest.raises(ImageError, match=r"is a JPEG of 3.,\d\d\d scans"):
        decode(data[:-2] + 30_000 * scan + data[-2:], "a.jpg")


def test_around_the_first_image_of_a_gif_is_black() -> None:
    file = io.BytesIO()
    palette = Image.new("P", (8, 6), 1)
    palette.putpalette([200, 0, 0, 0, 150, 0])
    palette.save(file, "GIF")
    data = bytearray(file.getvalue())
    struct.pack_into("<HH", data, 6, 12, 9)
    image = data.index(b"," + struct.pack("<HHHH", 0, 0, 8, 6))
    struct.pack_into("<HH", data, image + 1, 3, 2)
    expected = np.zeros((9, 12, 3))
    expected[2:8, 3:11] = (0, 150, 0)
    assert np.array_equal(decode(bytes(data), "a.gif"), expected)


def test_a_gif_larger_than_its_canvas_counts_whole() -> None:
    frame = b"," + struct.pack("<HHHHB", 0, 0, 12_000, 12_000, 0) + b"\2\1\0\0;"
    with pytest.raises(ImageError, match=r"has 144\.0 megapixels"):
        decode(b"GIF89a" + struct.pack("<HHBBB", 1, 1, 0x80, 0, 0) + bytes(6) + frame, "a.gif")


def test_a_bmp_of_run_lengths_is_bounded() -> None:
    header = struct.pack("<LllHHLLllLL", 40, 9_000, 9_000, 1, 8, 1, 0, 0, 0, 0, 0)
    data = b"BM" + struct.pack("<LHHL", 0, 0, 0, 1078) + header + bytes(1024) + b"\1\1\0\0" * 9_000 + b"\0\1"
    with pytest.raises(ImageError, match=r"has 81\.0 megapixels, more than the limit of 10\.0"):
        decode(data, "a.bmp")


def test_a_webp_is_measured_before_memory_is_taken() -> None:
    data = b"RIFF" + bytes(4) + b"WEBPVP8X\n" + bytes(7) + b"\xff\x3f\0\xff\x3f\0" + bytes(60)
    with pytest.raises(ImageError, match=r"has 268\.4 megapixels"):
        decode(data, "a.webp")


def test_a_tiff_in_too_many_strips_is_refused() -> None:
    tags = {256: [1], 257: [100_001], 258: [8], 259: [1], 262: [1], 277: [1], 278: [1]}
    with pytest.raises(ImageError, match="in more than 100,000 strips or tiles"):
        decode(tiff(tags, [b"a"] * 100_001), "a.tif")


# Damage

SOUND = {
    "planar": lambda: written(samples_of(np.moveaxis(picture(3), 2, 0), np.dtype("u2")), photometric="rgb"),
    "floats": lambda: written(picture(3).astype("f4"), photometric="rgb", compression="lzw", predictor=3),
    "tiles": lambda: written(picture(3), photometric="rgb", compression="zlib", tile=(16, 16)),
    "packed": lambda: tiff(
        {256: [WIDTH], 257: [HEIGHT], 258: [12], 259: [1], 262: [1], 277: [1], 278: [HEIGHT]},
        [packed(picture(1)[:, :, 0], 12)],
    ),
    "png16": lambda: png(picture(3).astype(int) * 257, 16, 2, METADATA["damaged profile"]),
    "interlaced": lambda: png(picture(4).astype(int) * 257, 16, 6, interlaced=True),
    "progressive": lambda: jpeg(progressive=True, comment=b"text"),
}


@pytest.mark.parametrize("kind", SOUND)
def test_damage_gives_pixels_or_an_image_error(kind: str) -> None:
    generator = random.Random(kind)
    data = SOUND[kind]()
    for _ in range(200):
        changed = bytearray(data)
        for _ in range(generator.choice((1, 2, 8))):
            near_an_end = generator.choice((generator.randrange(60), len(data) - 1 - generator.randrange(200)))
            changed[near_an_end] = generator.choice((0, 1, 255, generator.randrange(256)))
        del changed[generator.choice((len(changed), generator.randrange(len(changed)))) :]
        with suppress(ImageError):
            assert decode(bytes(changed), kind, max_pixels=1_000_000).dtype == np.uint8


@pytest.mark.parametrize("tile", [None, (16, 16)])
@pytest.mark.parametrize("compression", [None, "lzw", "zlib", "packbits", "zstd"])
@pytest.mark.parametrize("dtype", ["u1", "u2", "f4"])
def test_a_tiff_that_ends_before_its_pixels_is_refused(
    dtype: str, compression: str | None, tile: tuple[int, int] | None
) -> None:
    """The directory comes first in these files."""
    for planar in ("contig", "separate"):
        samples = samples_of(picture(3), np.dtype(dtype))
        stored = np.ascontiguousarray(np.moveaxis(samples, 2, 0)) if planar == "separate" else samples
        options = {"rowsperstrip": 11} if tile is None else {"tile": tile}
        data = written(stored, photometric="rgb", planarconfig=planar, compression=compression, **options)
        decode(data, "whole.tif")
        for missing in (1, 2, 5, 17, 100, len(data) // 3):
            with pytest.raises(ImageError, match=r"is truncated \(a TIFF"):
                decode(data[:-missing], "cut.tif")


def test_black_is_zero_in_deep_grey_that_does_not_say_so() -> None:
    values = picture(1)[:, :, 0]
    tags = {256: [WIDTH], 257: [HEIGHT], 258: [16], 259: [1], 277: [1], 278: [HEIGHT]}
    data = tiff(tags, [(values.astype("<u2") * 257).tobytes()])
    assert np.array_equal(decode(data, "a.tif")[:, :, 0], values)


def test_sizes_of_uncompressed_strips_may_be_wrong() -> None:
    values = picture(1)[:, :, 0]
    tags = {256: [WIDTH], 257: [HEIGHT], 258: [8], 259: [1], 262: [1], 277: [1], 278: [20]}
    data = tiff(tags, [values[:20].tobytes(), values[20:].tobytes()])
    size = struct.pack("<LL", 20 * WIDTH, 17 * WIDTH)
    assert data.count(size) == 1
    assert np.array_equal(decode(data.replace(size, struct.pack("<LL", 10**6, 10**6)), "a.tif")[:, :, 0], values)


@pytest.mark.parametrize("silent", [False, True])
def test_libtiff_is_silent_only_where_that_was_asked_for(silent: bool, tmp_path: Path) -> None:
    damaged = bytearray(written(picture(3), photometric="rgb", compression="zlib"))
    (strip,) = tifffile.TiffFile(io.BytesIO(damaged)).pages.first.dataoffsets
    damaged[strip : strip + 8] = b"\xff" * 8
    (tmp_path / "damaged.tif").write_bytes(damaged)
    asked = "featx.images.silence_libtiff()" if silent else "pass"
    code = f"""
import featx.images
from featx.errors import ImageError
{asked}
try:
    featx.images.decode(open("damaged.tif", "rb").read(), "damaged.tif")
except ImageError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "damaged.tif is truncated, damaged" in done.stdout
    assert ("Decoding error" in done.stderr) == (not silent)
