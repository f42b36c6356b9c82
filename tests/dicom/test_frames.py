"""One frame of a file, read without the others."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from dicom_files import write_dicom

from featx.dicom import decode_dicom
from featx.dicom.frames import read_frame
from featx.dicom.signature import mark_frame, unmark_frame
from featx.errors import ImageError
from featx.images import read_bytes

pytest.importorskip("pydicom")
MOST = 10**7
LIMIT = 2**32
FILM = np.random.default_rng(0).integers(0, 256, (5, 40, 44)).astype(np.uint8)

# Files with several frames of each kind.
CUT = [
    *("emri_small.dcm", "emri_small_RLE.dcm", "emri_small_big_endian.dcm", "emri_small_jpeg_2k_lossless.dcm"),
    *("emri_small_jpeg_ls_lossless.dcm", "examples_ybr_color.dcm", "OBXXXX1A_2frame.dcm", "OBXXXX1A_rle_2frame.dcm"),
    *("SC_rgb_16bit_2frame.dcm", "SC_rgb_expb_32bit_2frame.dcm", "SC_rgb_rle_16bit_2frame.dcm", "rtdose.dcm"),
    *("color3d_jpeg_baseline.dcm", "eCT_Supplemental.dcm", "liver.dcm"),
]


@pytest.mark.parametrize("name", CUT)
def test_a_frame_alone_has_the_pixels_that_it_has_in_the_file(name: str) -> None:
    pytest.importorskip("data_store", reason="pydicom-data is not installed")
    from pydicom.data import get_testdata_file

    path = Path(str(get_testdata_file(name, download=False)))
    data = path.read_bytes()
    alone = read_frame(path, 1, LIMIT)
    assert alone == read_frame(data, 1, LIMIT), "in an archive"
    assert unmark_frame(alone)[1:] == (1, True)
    assert len(alone) < len(data)
    expected = decode_dicom(mark_frame(data, 1), name, max_pixels=MOST)
    assert np.array_equal(decode_dicom(alone, name, max_pixels=MOST), expected)


def test_frames_that_begin_within_a_byte_are_read_from_the_whole_file(tmp_path: Path) -> None:
    bits = np.random.default_rng(1).integers(0, 256, (1, 3, 9)).astype(np.uint8)
    about = {"BitsAllocated": 1, "BitsStored": 1, "HighBit": 0, "NumberOfFrames": 3, "Rows": 7, "Columns": 9}
    path = write_dicom(tmp_path / "mask.dcm", bits, elements=about)
    assert read_frame(path, 1, LIMIT) == mark_frame(path.read_bytes(), 1)


def film(path: Path, **elements: object) -> Path:
    return write_dicom(path, FILM, elements=elements)


def test_a_long_film_is_not_read_whole(tmp_path: Path) -> None:
    path = film(tmp_path / "film.dcm")
    each = [read_bytes(path / f"frame-{number}", "film") for number in range(5)]
    assert each[0] == path.read_bytes(), "so that it has the row of the whole file"
    assert all(len(data) < 2500 < len(each[0]) for data in each[1:])
    assert len(set(each)) == 5
    for number, data in enumerate(each):
        assert np.array_equal(
            decode_dicom(data, "film", window="0/512", max_pixels=MOST)[:, :, 0], FILM[number] // 2 + 128
        )


def test_a_change_of_the_header_or_of_its_own_pixels_changes_a_frame(tmp_path: Path) -> None:
    path = film(tmp_path / "film.dcm")
    before = [read_frame(path, number, LIMIT) for number in range(1, 5)]
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    after = [read_frame(path, number, LIMIT) for number in range(1, 5)]
    assert [one == other for one, other in zip(before, after, strict=True)] == [True, True, True, False]
    film(path, PatientSex="F")
    assert not set(after) & {read_frame(path, number, LIMIT) for number in range(1, 5)}


def test_frames_that_are_cut_short_or_not_there_are_said_so(tmp_path: Path) -> None:
    path = film(tmp_path / "film.dcm")
    path.write_bytes(path.read_bytes()[: -FILM[0].size - 9])
    decode_dicom(read_frame(path, 2, LIMIT), "x", window="0/512", max_pixels=MOST)
    for number, said in ((3, "truncated"), (4, "truncated"), (5, "has 5 frames, so there is no frame 5")):
        with pytest.raises(ImageError, match=said):
            decode_dicom(read_frame(path, number, LIMIT), "x", max_pixels=MOST)


def test_a_header_that_says_a_billion_frames_costs_nothing(tmp_path: Path) -> None:
    path = film(tmp_path / "film.dcm", NumberOfFrames=10**9)
    assert read_frame(path, 7, LIMIT) == mark_frame(path.read_bytes(), 7)
