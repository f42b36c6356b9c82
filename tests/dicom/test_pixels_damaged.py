"""DICOM files that cannot be decoded: one sentence each, no warning, and no work before the size is known."""

from __future__ import annotations

import builtins
import io
import struct
import traceback
from typing import Any

import numpy as np
import pytest
from dicom_pixels import (
    DEFLATED,
    JPEG,
    JPEG_2000,
    JPEG_LOSSLESS,
    JPEG_LS,
    RLE,
    compressed,
    dataset_of,
    dicom_of,
    encapsulated,
    item,
    lookup_table,
    written,
)

from featx.dicom import description
from featx.dicom.pixels import decode_dicom
from featx.dicom.signature import mark_frame
from featx.errors import ImageError

pytest.importorskip("pydicom")
GREY = np.random.default_rng(0).integers(0, 256, (40, 44)).astype("u1")
DEEP = GREY.astype("u2") * 256
COLOUR = np.stack([GREY] * 3, axis=2)


def reason_for(data: bytes, *, max_pixels: int = 10**6, window: str = "file") -> str:
    with pytest.raises(ImageError) as caught:
        decode_dicom(data, "x.dcm", max_pixels=max_pixels, window=window)
    reason: str = caught.value.reason
    assert "\n" not in reason
    assert len(reason) < 250
    return reason


def without_pixels(sop_class: str) -> bytes:
    dataset = dataset_of(None)
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = sop_class
    return written(dataset)


@pytest.mark.parametrize(
    ("sop_class", "kind"),
    [
        ("1.2.840.10008.5.1.4.1.1.88.11", "Basic Text SR Storage"),
        ("1.2.840.10008.5.1.4.1.1.104.1", "Encapsulated PDF Storage"),
        ("1.2.840.10008.5.1.4.1.1.11.1", "Grayscale Softcopy Presentation State Storage"),
        ("1.2.840.10008.5.1.4.1.1.481.3", "RT Structure Set Storage"),
        ("1.2.3.4.5", "an unknown kind of object"),
    ],
)
def test_objects_without_pixels_are_named(sop_class: str, kind: str) -> None:
    assert reason_for(without_pixels(sop_class)) == f"is a DICOM file without pixels ({kind}); leave it out"


def test_an_image_whose_pixels_are_lost_is_damaged() -> None:
    said = reason_for(without_pixels("1.2.840.10008.5.1.4.1.1.1"))  # Computed Radiography Image Storage
    assert said == "is a damaged DICOM file (an image, but no pixels were found); replace it or leave it out"


@pytest.mark.parametrize("keyword", ["PhotometricInterpretation", "Rows", "NumberOfFrames", "BitsAllocated"])
def test_no_value_of_a_damaged_header_is_in_a_traceback(keyword: str) -> None:
    dataset = dataset_of(GREY)
    dataset.add_new(keyword, "LO", "FEATHERSTONE ANN")
    with pytest.raises(ImageError) as caught:
        decode_dicom(written(dataset), "x.dcm", max_pixels=10**6)
    assert "FEATHERSTONE" not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize(
    ("elements", "says"),
    [
        ({"Rows": None}, "damaged DICOM file (no Rows)"),
        ({"Columns": None}, "damaged DICOM file (no Columns)"),
        ({"BitsAllocated": 0}, "damaged DICOM file (0 bits allocated)"),
        ({"Rows": 0}, "has no pixels (0 rows, 44 columns)"),
        ({"Columns": 0}, "has no pixels (40 rows, 0 columns)"),
        ({"PhotometricInterpretation": "HSV"}, "has pixels that featx does not read (HSV, 1 samples each)"),
        ({"SamplesPerPixel": 4}, "has pixels that featx does not read (MONOCHROME2, 4 samples each)"),
        ({"PhotometricInterpretation": "PALETTE COLOR"}, "a palette is missing"),
        ({"BitsAllocated": 12, "NumberOfFrames": 0}, "damaged DICOM file (12 bits allocated)"),
        ({"PixelData": GREY.tobytes()[:-2]}, "truncated DICOM file (1,758 bytes of pixels, 1,760 expected)"),
        ({"NumberOfFrames": 3}, "truncated DICOM file (1,760 bytes of pixels, 5,280 expected)"),
        ({"VOILUTSequence": [lookup_table(GREY[0], 0, 20)]}, "a lookup table of 20 bits"),
    ],
)
def test_headers_that_do_not_fit(elements: dict[str, Any], says: str) -> None:
    assert says in reason_for(dicom_of(GREY, **elements))


def test_a_lookup_table_that_is_cut_off() -> None:
    table = lookup_table(np.arange(256), 0, 12)
    table.LUTData = table.LUTData[:300]
    assert "a lookup table has 300 bytes, 512 expected" in reason_for(dicom_of(GREY, VOILUTSequence=[table]))


def test_a_frame_that_is_not_there() -> None:
    film = dicom_of(np.stack([GREY] * 3), NumberOfFrames=3)
    assert "has 3 frames, so there is no frame 3 (they are counted from 0)" in reason_for(mark_frame(film, 3))


@pytest.mark.parametrize("syntax", [RLE, JPEG_LS, JPEG_2000])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.97])
def test_compressed_frames_that_are_cut_off(syntax: str, share: float) -> None:
    from pydicom import dcmread
    from pydicom.encaps import get_frame

    whole = compressed(DEEP, syntax)
    dataset = dcmread(io.BytesIO(whole))
    stream = get_frame(dataset.PixelData, 0, number_of_frames=1)
    reason = reason_for(encapsulated([stream[: int(share * len(stream))]], DEEP, syntax))
    assert "truncated" in reason or "damaged" in reason


def test_a_file_that_ends_anywhere_is_refused_or_whole() -> None:
    """Cut after each of its bytes, a file without compression is never shown with pixels that it lacks."""
    whole = dicom_of(GREY[:4, :4], WindowCenter=128, WindowWidth=256)
    for end in range(140, len(whole)):
        assert reason_for(whole[:end])


def jpeg_stream(rows: int, columns: int) -> bytes:
    """A JPEG that says this size and has no pixels to speak of."""
    return (
        b"\xff\xd8\xff\xc0"
        + struct.pack(">HBHHB", 11, 8, rows, columns, 1)
        + bytes([1, 0x11, 0])
        + b"\xff\xda\x00\x08\x01\x01\x00\x00\x3f\x00\xff\xd9"
    )


def jpeg_2000_stream(rows: int, columns: int) -> bytes:
    size = struct.pack(">HH8LH", 41, 0, columns, rows, 0, 0, columns, rows, 0, 0, 1) + bytes([7, 1, 1])
    return b"\xff\x4f\xff\x51" + size + b"\xff\xd9"


@pytest.mark.parametrize(
    ("stream", "syntax"),
    [
        (jpeg_stream(65500, 65500), JPEG),
        (jpeg_stream(65500, 65500), JPEG_LOSSLESS),
        (jpeg_stream(65500, 65500), JPEG_LS),
        (jpeg_2000_stream(2**31 - 1, 2**31 - 1), JPEG_2000),
    ],
)
def test_a_compressed_frame_of_another_size_is_not_decompressed(stream: bytes, syntax: str) -> None:
    assert "in its compressed frame" in reason_for(encapsulated([stream], GREY, syntax))


def test_hostile_sizes_are_refused_first() -> None:
    huge = dicom_of(GREY, Rows=65535, Columns=65535, NumberOfFrames=2**31 - 1)
    assert reason_for(huge) == "has 4294.8 megapixels, more than the limit of 1.0; scale it down or leave it out"


def test_run_lengths_that_stand_for_too_much() -> None:
    bomb = struct.pack("<16L", 1, 64, *[0] * 14) + b"\x81\x00" * 100_000
    assert "more bytes of run lengths than the image needs" in reason_for(encapsulated([bomb], GREY, RLE))


def test_a_deflated_file_that_is_larger_than_it_seems(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(description, "LARGEST_INFLATED", 2**20)
    film = np.zeros((30, 200, 200), "u1")
    assert "MiB when inflated" in reason_for(dicom_of(film, NumberOfFrames=30, syntax=DEFLATED))
    whole = dicom_of(GREY, syntax=DEFLATED)
    assert "truncated DICOM file (deflated)" in reason_for(whole[:-100])


@pytest.mark.parametrize(
    ("syntax", "says"),
    [
        ("1.2.840.10008.1.2.4.102", "is a video (MPEG-4 AVC/H.264 High Profile"),
        ("1.2.840.10008.1.2.4.107", "is a video (HEVC/H.265 Main Profile"),
        ("1.2.840.10008.1.2.4.94", "is compressed in a way that featx does not read (JPIP Referenced)"),
        ("1.2.3.4.5.6", "is compressed in a way that featx does not read (an unknown transfer syntax)"),
    ],
)
def test_transfer_syntaxes_without_a_decoder(syntax: str, says: str) -> None:
    from pydicom.encaps import encapsulate

    dataset = dataset_of(GREY, PixelData=encapsulate([b"\0\0"]))
    dataset.file_meta.TransferSyntaxUID = RLE
    data = written(dataset)
    padded = syntax.encode() + b"\0" * (len(syntax) % 2)
    old = b"\x02\x00\x10\x00UI" + struct.pack("<H", 20) + RLE.encode() + b"\0"
    assert data.count(old) == 1
    group = int.from_bytes(data[140:144], "little") + len(padded) - 20
    data = data[:140] + struct.pack("<L", group) + data[144:]
    data = data.replace(old, old[:6] + struct.pack("<H", len(padded)) + padded)
    assert says in reason_for(data)


def test_values_of_the_header_are_not_quoted() -> None:
    """A file whose elements are shifted may have a name where a number was expected."""
    dataset = dataset_of(GREY, NumberOfFrames=1)
    data = written(dataset)
    element = b"\x28\x00\x08\x00IS\x02\x001 "
    assert data.count(element) == 1
    reason = reason_for(data.replace(element, b"\x28\x00\x08\x00IS\x08\x00DOE^JANE"))
    assert reason == "is a damaged or unsupported DICOM file (its header cannot be read); replace it or leave it out"


@pytest.mark.parametrize("missing", ["pydicom", "imagecodecs"])
@pytest.mark.parametrize("syntax", [JPEG_LS, JPEG_2000])
def test_a_missing_package_is_named(missing: str, syntax: str, monkeypatch: pytest.MonkeyPatch) -> None:
    original = builtins.__import__

    def without(name: str, *rest: Any, **more: Any) -> Any:
        if name.partition(".")[0] == missing:
            raise ModuleNotFoundError(f"No module named {missing!r}", name=missing)
        return original(name, *rest, **more)

    data = compressed(DEEP, syntax)
    monkeypatch.setattr(builtins, "__import__", without)
    assert f"is a DICOM file, and {missing} is not installed; pip install 'featx[dicom]'" in reason_for(data)


def test_an_item_of_a_sequence_without_its_values() -> None:
    reason = reason_for(dicom_of(GREY, VOILUTSequence=[item(ModalityLUTType="US")]))
    assert "its lookup tables or windows cannot be read" in reason
