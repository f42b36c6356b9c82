"""Grey levels of DICOM files: the published rules, computed by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from dicom_pixels import EXPLICIT_BIG, IMPLICIT, dicom_of, item, lookup_table
from numpy.typing import NDArray

from featx.dicom.pixels import decode_dicom
from featx.dicom.signature import mark_frame
from featx.errors import ImageError

pytest.importorskip("pydicom")


def levels(data: bytes, window: str = "file") -> NDArray[np.uint8]:
    """The grey levels of a file, whose three channels are the same."""
    pixels = decode_dicom(data, "x.dcm", window=window, max_pixels=10**6)
    assert pixels.dtype == np.uint8
    assert pixels.flags.c_contiguous
    assert (pixels == pixels[:, :, :1]).all()
    grey: NDArray[np.uint8] = pixels[:, :, 0]
    return grey


def row(*values: int, dtype: str = "u2") -> NDArray[Any]:
    return np.array([values, values[::-1]], dtype)


# Hounsfield units -160 (black), 40 (just above the middle), 240 (white) in a window of 40/400, PS3.3 C.11.2.1.2:
# ((x - 39.5) / 399 + 0.5) * 255.
CT = row(864, 1064, 1264, 1000, 0, 4095)
RESCALED = {"RescaleSlope": 1, "RescaleIntercept": -1024}
IN_WINDOW = [0, 128, 255, 87, 0, 255]


def test_a_window_is_applied_after_the_rescale_slope_and_intercept() -> None:
    assert levels(dicom_of(CT, WindowCenter=40, WindowWidth=400, **RESCALED)).tolist() == [IN_WINDOW, IN_WINDOW[::-1]]


def test_of_several_windows_the_first_one_counts() -> None:
    several = dicom_of(CT, WindowCenter=[40, 500], WindowWidth=[400, 3000], **RESCALED)
    assert levels(several)[0].tolist() == IN_WINDOW


def test_a_chosen_window_replaces_that_of_the_file() -> None:
    lung = dicom_of(CT, WindowCenter=-600, WindowWidth=1500, **RESCALED)
    assert levels(lung, "40/400")[0].tolist() == IN_WINDOW
    assert levels(lung)[0].tolist() != IN_WINDOW
    table = lookup_table(np.arange(4096)[::-1], 0, 12)
    assert levels(dicom_of(CT, VOILUTSequence=[table], **RESCALED), "40/400")[0].tolist() == IN_WINDOW


def test_without_a_window_all_values_count_from_the_smallest_to_the_largest() -> None:
    values = row(100, 150, 300, 125)
    expected = [0, 64, 255, 32]  # 63.75 and 31.875
    assert levels(dicom_of(values))[0].tolist() == expected
    assert levels(dicom_of(values, WindowCenter=5, WindowWidth=2), "none")[0].tolist() == expected
    # A negative slope turns black and white round.
    assert levels(dicom_of(values, RescaleSlope=-2, RescaleIntercept=7))[0].tolist() == [255, 191, 0, 223]


def test_ties_become_the_even_level() -> None:
    values = np.arange(0, 511, dtype="u2")[None]
    assert levels(dicom_of(values))[0].tolist() == np.rint(values[0] / 2).tolist()


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_a_constant_image_becomes_0_before_it_is_inverted(photometric: str) -> None:
    image = levels(dicom_of(row(7, 7, 7), PhotometricInterpretation=photometric))
    assert image.tolist() == [[255 if photometric == "MONOCHROME1" else 0] * 3] * 2


def test_monochrome1_and_the_inverse_shape_invert_once() -> None:
    values = row(0, 100, 1000)
    plain = levels(dicom_of(values))
    elements = {"PhotometricInterpretation": "MONOCHROME1"}
    assert np.array_equal(levels(dicom_of(values, **elements)), 255 - plain)
    assert np.array_equal(levels(dicom_of(values, PresentationLUTShape="INVERSE")), 255 - plain)
    assert np.array_equal(levels(dicom_of(values, PresentationLUTShape="INVERSE", **elements)), 255 - plain)
    assert np.array_equal(levels(dicom_of(values, PresentationLUTShape="IDENTITY")), plain)


def test_linear_exact_and_sigmoid() -> None:
    values = row(0, 25, 50, 75, 100)
    window = {"WindowCenter": 50, "WindowWidth": 100}
    exact = levels(dicom_of(values, VOILUTFunction="LINEAR_EXACT", **window))[0]
    assert exact.tolist() == [0, 64, 128, 191, 255]  # x * 2.55
    sigmoid = levels(dicom_of(values, VOILUTFunction="SIGMOID", **window))[0]
    assert sigmoid.tolist() == [round(255 / (1 + np.exp(-4 * (x - 50) / 100))) for x in values[0].tolist()]
    far = {"WindowCenter": 60000, "WindowWidth": 1, "VOILUTFunction": "SIGMOID"}
    assert levels(dicom_of(row(0, 65535), **far))[0].tolist() == [0, 255]  # no overflow


def test_a_window_of_width_1_is_a_threshold() -> None:
    """PS3.3 C.11.2.1.2.1: black up to center - 0.5, white above."""
    assert levels(dicom_of(row(8, 9, 10, 11), WindowCenter=10, WindowWidth=1))[0].tolist() == [0, 0, 255, 255]


@pytest.mark.parametrize("window", [{"WindowWidth": 0}, {"WindowWidth": -5}, {"WindowWidth": None}, {}])
def test_a_window_that_is_none_is_as_if_it_were_not_there(window: dict[str, Any]) -> None:
    values = row(100, 150, 300, 125)
    assert levels(dicom_of(values, WindowCenter=120, **window))[0].tolist() == [0, 64, 255, 32]


def test_a_voi_lut_comes_before_a_window() -> None:
    table = np.array([0, 10, 40, 90, 1023])
    elements = {"VOILUTSequence": [lookup_table(table, 100, 10)], "WindowCenter": 1, "WindowWidth": 2}
    expected = [0, 0, round(10 * 255 / 1023), round(40 * 255 / 1023), 255, 255]
    assert levels(dicom_of(row(0, 100, 101, 102, 104, 3000), **elements))[0].tolist() == expected


def test_a_modality_lut_gives_the_values_that_a_window_is_for() -> None:
    table = lookup_table(np.array([0, 1000, 2000, 500]), 2, 12)
    elements = {"ModalityLUTSequence": [table], "WindowCenter": 1000.5, "WindowWidth": 2001}
    assert levels(dicom_of(row(0, 2, 3, 4, 5, 9), **elements))[0].tolist() == [0, 0, 128, 255, 64, 64]
    # Entries do not rise, so the smallest is not that of the smallest value.
    assert levels(dicom_of(row(3, 5, 4), ModalityLUTSequence=[table]))[0].tolist() == [85, 0, 255]


def test_signed_values_and_a_table_that_starts_below_zero() -> None:
    values = row(-1000, -500, 0, 1000, dtype="i2")
    assert levels(dicom_of(values))[0].tolist() == [0, 64, 128, 255]  # 63.75, 127.5
    table = lookup_table(np.array([0, 255, 128]), -1, 8, signed=True)
    assert levels(dicom_of(row(-5, -1, 0, 1, 9, dtype="i2"), VOILUTSequence=[table]))[0].tolist() == [
        0,
        0,
        255,
        128,
        128,
    ]


def test_bits_that_are_not_stored_are_left_out() -> None:
    values = np.array([[0, 1, 2047, 4095]], "u2")
    expected = levels(dicom_of(values, BitsStored=12))
    overlay = values | np.array([[0x1000, 0x8000, 0xF000, 0x3000]], "u2")
    assert np.array_equal(levels(dicom_of(overlay, BitsStored=12)), expected)
    low = (values << 4) | np.array([[0xF, 0, 3, 1]], "u2")  # the highest bit is 15
    assert np.array_equal(levels(dicom_of(low, BitsStored=12, HighBit=15)), expected)
    signed = np.array([[-2048, 0, 2047]], "i2")
    garbage = (signed & 0x0FFF) | np.array([[0, 0x5000, 0x7000]], "i2")
    assert np.array_equal(levels(dicom_of(garbage, BitsStored=12)), levels(dicom_of(signed, BitsStored=12)))


def test_padding_does_not_count_and_is_black() -> None:
    values = row(-2000, 100, 150, 300, -2000, dtype="i2")
    assert levels(dicom_of(values, PixelPaddingValue=-2000))[0].tolist() == [0, 0, 64, 255, 0]
    white = {"PhotometricInterpretation": "MONOCHROME1", "PixelPaddingValue": -2000}
    assert levels(dicom_of(values, **white))[0].tolist() == [0, 255, 191, 0, 0]
    limited = dicom_of(row(0, 3, 100, 150, 300, 7), PixelPaddingValue=0, PixelPaddingRangeLimit=9)
    assert levels(limited)[0].tolist() == [0, 0, 0, 64, 255, 0]
    assert not levels(dicom_of(row(5, 5), PixelPaddingValue=5, PhotometricInterpretation="MONOCHROME1")).any()


def test_values_of_32_bits() -> None:
    values = np.array([[0, 2**31, 2**32 - 1, 2**30]], "u4")
    assert levels(dicom_of(values))[0].tolist() == [0, 128, 255, 64]
    assert levels(dicom_of(values.astype("i4")))[0].tolist() == [170, 0, 170, 255]


def test_byte_orders_and_value_representations_make_no_difference() -> None:
    values = row(-900, 0, 1000, dtype="i2")
    expected = levels(dicom_of(values))
    assert np.array_equal(levels(dicom_of(values, syntax=IMPLICIT)), expected)
    swapped = dicom_of(values, syntax=EXPLICIT_BIG, PixelData=values.astype(">i2").tobytes())
    assert np.array_equal(levels(swapped), expected)


def test_masks_of_1_bit_are_black_and_white_whatever_they_hold() -> None:
    bits = np.zeros((2, 4), np.uint8)
    bits[0, 1] = bits[1, 3] = 1

    def mask(values: NDArray[np.uint8]) -> bytes:
        packed = np.packbits(values, bitorder="little").tobytes().ljust(2, b"\0")
        return dicom_of(values, BitsAllocated=1, BitsStored=1, HighBit=0, PixelData=packed)

    assert np.array_equal(levels(mask(bits)), bits * 255)
    assert (levels(mask(np.ones_like(bits))) == 255).all()
    assert not levels(mask(np.zeros_like(bits))).any()


@pytest.mark.parametrize(("keyword", "dtype"), [("FloatPixelData", "<f4"), ("DoubleFloatPixelData", "<f8")])
def test_floats(keyword: str, dtype: str) -> None:
    values = np.array([[-1.5, 0, 0.5, 2.5]], dtype)
    bits = 8 * values.dtype.itemsize
    elements = {"PixelData": None, keyword: values.tobytes(), "BitsAllocated": bits, "BitsStored": None}

    def file(**more: Any) -> bytes:
        return dicom_of(values, **{**elements, "HighBit": None, "PixelRepresentation": None, **more})

    assert levels(file())[0].tolist() == [0, 96, 128, 255]  # 95.625, 127.5
    assert levels(file(), "0.5/2")[0].tolist() == [0, 128, 255, 255]  # from -0.5 to 0.5
    assert levels(file(), "0.5/0.5")[0].tolist() == [0, 0, 128, 255]  # too narrow for LINEAR: exactly 0.25 to 0.75
    missing = np.array([[np.nan, 0, 1, np.nan]], dtype)
    padded = {keyword: missing.tobytes(), f"{keyword.removesuffix('PixelData')}PixelPaddingValue": float("nan")}
    assert levels(file(**padded))[0].tolist() == [0, 0, 255, 0]
    with pytest.raises(ImageError, match="not finite"):
        levels(file(**{keyword: missing.tobytes()}))
    with pytest.raises(ImageError, match="not finite"):
        levels(file(**{keyword: missing.tobytes()}), "0/1")


FRAMES = np.stack([row(0, 50, 100, 7), row(100, 200, 300, 8), row(500, 0, 1000, 9)])


@pytest.mark.parametrize("frame", [0, 1, 2])
def test_a_frame_is_decoded_as_if_it_were_the_only_one(frame: int) -> None:
    data = dicom_of(FRAMES, NumberOfFrames=3)
    marked = data if frame == 0 else mark_frame(data, frame)
    assert np.array_equal(levels(marked), levels(dicom_of(FRAMES[frame])))


def test_functional_groups_say_what_a_frame_means() -> None:
    def group(center: float | None, slope: float | None) -> Any:
        made = item()
        if center is not None:
            made.FrameVOILUTSequence = [item(WindowCenter=center, WindowWidth=100)]
        if slope is not None:
            made.PixelValueTransformationSequence = [
                item(RescaleSlope=slope, RescaleIntercept=0, RescaleType="US"),
            ]
        return made

    frames = [group(50, None), group(200, 2), group(None, None)]
    shared = {"PerFrameFunctionalGroupsSequence": frames, "SharedFunctionalGroupsSequence": [group(900, 3)]}
    data = dicom_of(FRAMES, NumberOfFrames=3, WindowCenter=1, WindowWidth=1, **shared)
    for frame, (center, slope) in enumerate([(50, 3), (200, 2), (900, 3)]):
        one = {"WindowCenter": center, "WindowWidth": 100, "RescaleSlope": slope, "RescaleIntercept": 0}
        assert np.array_equal(levels(mark_frame(data, frame)), levels(dicom_of(FRAMES[frame], **one)))


def test_pixels_that_are_not_square_stay() -> None:
    assert levels(dicom_of(row(0, 1, 2), PixelSpacing=[2, 1], PixelAspectRatio=[2, 1])).shape == (2, 3)


def test_a_window_that_is_none_of_these_is_refused() -> None:
    with pytest.raises(ValueError, match="CENTER/WIDTH"):
        levels(dicom_of(CT), "lung")
