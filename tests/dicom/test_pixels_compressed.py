"""Compressed frames and colours of DICOM files."""

from __future__ import annotations

import io
import time
from typing import Any

import numpy as np
import pytest
from dicom_pixels import (
    DEFLATED,
    EXPLICIT_BIG,
    JPEG,
    JPEG_2000,
    JPEG_LS,
    RLE,
    compressed,
    dicom_of,
    encapsulated,
    item,
)
from numpy.typing import NDArray
from PIL import Image

from featx.dicom.pixels import decode_dicom
from featx.dicom.signature import mark_frame

pytest.importorskip("pydicom")


def decoded(data: bytes) -> NDArray[np.uint8]:
    return decode_dicom(data, "x.dcm", max_pixels=10**7)


def noise(*shape: int, dtype: str = "u1", bits: int = 8) -> NDArray[Any]:
    signed = np.dtype(dtype).kind == "i"
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1)) if signed else (0, 2**bits)
    return np.random.default_rng(0).integers(low, high, shape).astype(dtype)


@pytest.mark.parametrize("syntax", [RLE, JPEG_LS, JPEG_2000])
@pytest.mark.parametrize(("dtype", "bits"), [("u1", 8), ("u2", 12), ("u2", 16), ("i2", 16), ("i2", 12)])
def test_lossless_compression_makes_no_difference(syntax: str, dtype: str, bits: int) -> None:
    values = noise(39, 44, dtype=dtype, bits=bits)
    window = {"WindowCenter": 100, "WindowWidth": 2 ** (bits - 1), "BitsStored": bits}
    assert np.array_equal(decoded(compressed(values, syntax, **window)), decoded(dicom_of(values, **window)))


def test_the_file_says_which_samples_are_signed() -> None:
    """Some writers compress signed samples of 12 bits as unsigned ones, and others the other way round."""
    values = noise(39, 44, dtype="i2", bits=12)
    signed, unsigned = (bytes(jpeg2k(each)) for each in (values, values.view("u2") & 0xFFF))
    said = {"BitsStored": 12, "WindowCenter": 100, "WindowWidth": 2048}
    for stream in (signed, unsigned):
        for pixels in (values, values.view("u2") & 0xFFF):
            shown = decoded(encapsulated([stream], pixels, JPEG_2000, **said))
            assert np.array_equal(shown, decoded(dicom_of(pixels, **said)))


def jpeg2k(samples: NDArray[Any]) -> Any:
    import imagecodecs

    return imagecodecs.jpeg2k_encode(samples, level=0, codecformat="j2k", reversible=True, bitspersample=12)


@pytest.mark.parametrize("syntax", [RLE, JPEG_LS, JPEG_2000])
def test_colours_keep_their_values(syntax: str) -> None:
    colours = noise(39, 44, 3)
    assert np.array_equal(decoded(compressed(colours, syntax)), colours)


def test_a_deflated_file() -> None:
    colours = noise(39, 44, 3)
    assert np.array_equal(decoded(dicom_of(colours, syntax=DEFLATED)), colours)


@pytest.mark.parametrize("syntax", [RLE, JPEG_LS, JPEG_2000])
@pytest.mark.parametrize("table", [True, False])
def test_a_frame_of_several_is_that_frame(syntax: str, table: bool) -> None:
    from pydicom import dcmread
    from pydicom.encaps import encapsulate, generate_frames

    frames = noise(4, 39, 44, dtype="u2", bits=12)
    file = compressed(frames, syntax, NumberOfFrames=4, BitsStored=12)
    if not table:
        streams = list(generate_frames(dcmread(io.BytesIO(file)).PixelData, number_of_frames=4))
        pixel_data = encapsulate(streams, has_bot=False)
        file = dicom_of(frames, syntax=syntax, NumberOfFrames=4, BitsStored=12, PixelData=pixel_data)
    for frame in range(4):
        assert np.array_equal(decoded(mark_frame(file, frame)), decoded(dicom_of(frames[frame], BitsStored=12)))


def test_one_frame_of_a_long_film_costs_one_frame() -> None:
    films = {n: compressed(noise(n, 64, 64), RLE, NumberOfFrames=n) for n in (2, 400)}
    seconds = {}
    for n, film in films.items():
        decoded(film)
        start = time.perf_counter()
        for _ in range(5):
            decoded(mark_frame(film, n - 1))
        seconds[n] = time.perf_counter() - start
    assert seconds[400] < 20 * seconds[2]  # not 200 times


def test_planes_and_byte_orders_of_colours() -> None:
    colours = noise(5, 6, 3)
    planes = np.ascontiguousarray(colours.transpose(2, 0, 1))
    assert np.array_equal(decoded(dicom_of(colours, PlanarConfiguration=1, PixelData=planes.tobytes())), colours)
    assert np.array_equal(decoded(dicom_of(colours, syntax=EXPLICIT_BIG)), colours)


@pytest.mark.parametrize(("dtype", "bits"), [("u2", 16), ("u2", 12), ("u4", 32)])
def test_deep_colours_are_scaled_by_their_stored_bits(dtype: str, bits: int) -> None:
    colours = noise(5, 6, 3, dtype=dtype, bits=bits)
    expected = np.rint(colours * (255 / (2**bits - 1)))
    assert np.array_equal(decoded(dicom_of(colours, BitsStored=bits)), expected)


def test_ybr_becomes_rgb() -> None:
    """PS3.3 C.7.6.3.1.2; grey has 128 in both colour channels, and pure red is (76, 85, 255)."""
    ybr = np.array([[[0, 128, 128], [255, 128, 128], [76, 85, 255], [100, 128, 128]]], "u1")
    expected = [[0, 0, 0], [255, 255, 255], [254, 0, 0], [100, 100, 100]]
    assert decoded(dicom_of(ybr, PhotometricInterpretation="YBR_FULL"))[0].tolist() == expected
    # Y1 Y2 B R: two pixels share their colour.
    half = bytes([0, 255, 128, 128, 100, 100, 128, 128])
    full_422 = dicom_of(ybr, PhotometricInterpretation="YBR_FULL_422", PixelData=half)
    assert decoded(full_422)[0, :, 0].tolist() == [0, 255, 100, 100]


COLOURS = np.zeros((32, 48, 3), np.uint8)
COLOURS[:, :16], COLOURS[:, 16:32], COLOURS[:, 32:] = (200, 30, 40), (20, 180, 60), (90, 90, 220)


def jpeg(*, rgb: bool = False, adobe: int | None = None) -> bytes:
    """A JPEG whose components are RGB or YCbCr, with a segment of Adobe that says so or with none."""
    file = io.BytesIO()
    image = Image.fromarray(COLOURS)
    image.save(file, "JPEG", quality=100, subsampling=0, keep_rgb=rgb)
    stream = file.getvalue()
    while stream[2:4] in (b"\xff\xe0", b"\xff\xee"):
        stream = stream[:2] + stream[4 + int.from_bytes(stream[4:6]) :]
    segment = b"\xff\xee\0\x0eAdobe\0\x64\0\0\0\0" + bytes([adobe or 0])
    return stream if adobe is None else stream[:2] + segment + stream[2:]


@pytest.mark.parametrize(
    ("stream", "photometric"),
    [
        (jpeg(), "YBR_FULL_422"),
        (jpeg(), "YBR_FULL"),
        (jpeg(adobe=1), "YBR_FULL_422"),
        (jpeg(adobe=1), "RGB"),
        (jpeg(rgb=True), "RGB"),
        (jpeg(rgb=True), "YBR_FULL_422"),  # the components are named R, G and B
        (jpeg(rgb=True, adobe=0), "YBR_FULL"),
        (jpeg(rgb=True, adobe=0), "RGB"),
    ],
)
def test_colours_of_a_jpeg_are_converted_once(stream: bytes, photometric: str) -> None:
    pixels = decoded(encapsulated([stream], COLOURS, JPEG, PhotometricInterpretation=photometric))
    assert np.abs(pixels.astype(int) - COLOURS).max() <= 3


def test_a_jpeg_2000_in_the_boxes_of_a_file() -> None:
    colours = noise(16, 16, 3)
    file = io.BytesIO()
    Image.fromarray(colours).save(file, "JPEG2000", irreversible=False, mct=0)
    boxed = file.getvalue()
    assert boxed[4:8] == b"jP  "
    assert np.array_equal(decoded(encapsulated([boxed], colours, JPEG_2000)), colours)


def palette(bits: int, first: int = 0, **data: Any) -> dict[str, Any]:
    descriptor = [4, first, bits]
    names = [f"{colour}PaletteColorLookupTable" for colour in ("Red", "Green", "Blue")]
    return {
        **{f"{name}Descriptor": descriptor for name in names},
        "PhotometricInterpretation": "PALETTE COLOR",
        **data,
    }


def test_palettes() -> None:
    tables = np.array([[0, 255, 10, 40], [1, 2, 3, 4], [9, 8, 7, 6]], np.uint8)
    names = [f"{colour}PaletteColorLookupTableData" for colour in ("Red", "Green", "Blue")]
    values = np.array([[0, 1, 2, 3, 7]], "u1")
    expected = tables.T[[0, 1, 2, 3, 3]].tolist()
    eight: dict[str, Any] = {name: table.tobytes() for name, table in zip(names, tables, strict=True)}
    assert decoded(dicom_of(values, **palette(8, **eight)))[0].tolist() == expected
    wide: dict[str, Any] = {
        name: (table.astype("<u2") * 257).tobytes() for name, table in zip(names, tables, strict=True)
    }
    assert decoded(dicom_of(values, **palette(16, **wide)))[0].tolist() == expected
    # Values below the first one have its colour.
    shifted = dicom_of(np.array([[0, 100, 101, 103, 255]], "u1"), **palette(8, 100, **eight))
    assert decoded(shifted)[0].tolist() == tables.T[[0, 0, 1, 3, 3]].tolist()


def test_a_segmented_palette() -> None:
    """PS3.3 C.7.9.2: 10 and 20 as they are, then 2 entries up to 40, then the first segment again."""
    parts = np.array([0, 2, 10 * 257, 20 * 257, 1, 2, 40 * 257, 2, 1, 0, 0], "<u2").tobytes()
    names = [f"Segmented{colour}PaletteColorLookupTableData" for colour in ("Red", "Green", "Blue")]
    data: dict[str, Any] = dict.fromkeys(names, parts)
    elements = palette(16, **data)
    for colour in ("Red", "Green", "Blue"):
        elements[f"{colour}PaletteColorLookupTableDescriptor"] = [6, 0, 16]
    values = np.arange(6, dtype="u1")[None]
    assert decoded(dicom_of(values, **elements))[0, :, 0].tolist() == [10, 20, 30, 40, 10, 20]


def test_a_presentation_state_in_the_file_is_not_applied() -> None:
    values = noise(4, 4)
    state = item(WindowCenter=1, WindowWidth=1)
    assert np.array_equal(decoded(dicom_of(values, SoftcopyVOILUTSequence=[state])), decoded(dicom_of(values)))
