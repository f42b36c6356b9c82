"""Real DICOM files, all that come with pydicom and pydicom-data: the levels are those of pydicom's own functions."""

from __future__ import annotations

import hashlib
import threading
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from featx.dicom.pixels import decode_dicom
from featx.dicom.quiet import quiet
from featx.dicom.signature import is_dicom, mark_frame
from featx.errors import ImageError

pydicom = pytest.importorskip("pydicom")
data_store = pytest.importorskip("data_store", reason="pydicom-data is not installed")

ROOTS = (Path(data_store.__file__).parent / "data", Path(pydicom.__file__).parent / "data")
FILES = sorted(
    path
    for root in ROOTS
    for path in root.rglob("*")
    if path.is_file()
    and (path.suffix == ".dcm" or "." not in path.name)
    and path.name not in ("README", "no_meta.dcm")
)
MOST_PIXELS = 10**8
# pydicom's function takes the bytes of these palettes in the wrong order, or the windows of the data set alone.
BY_OTHER_MEANS = ("OBXXXX1A_expb.dcm", "OBXXXX1A_expb_2frame.dcm", "eCT_Supplemental.dcm")


def displayed(dataset: Any) -> NDArray[Any] | None:
    """The levels of the first frame, not rounded, by pydicom; None if it cannot decode the file."""
    from pydicom.pixels.processing import apply_color_lut, apply_modality_lut, apply_voi_lut
    from pydicom.pixels.utils import pixel_array

    try:
        samples = pixel_array(dataset, index=0)
    except (AttributeError, RuntimeError, ValueError, TypeError):
        return None
    if dataset.PhotometricInterpretation == "PALETTE COLOR":
        samples = apply_color_lut(samples, dataset)
    if samples.ndim == 3:
        levels: NDArray[Any] = samples * (255 / np.iinfo(samples.dtype).max)
        return levels
    shown = apply_voi_lut(apply_modality_lut(samples, dataset), dataset).astype(float)
    low, high = output_range(dataset) or (shown.min(), shown.max())
    levels = (shown - low) / (high - low or 1) * 255
    return (255 - levels if dataset.PhotometricInterpretation == "MONOCHROME1" else levels)[:, :, None]


def output_range(dataset: Any) -> tuple[float, float] | None:
    """What pydicom calls black and white; None without VOI LUT and window."""
    if dataset.get("VOILUTSequence"):
        return 0, 2 ** dataset.VOILUTSequence[0].LUTDescriptor[2] - 1
    if "WindowWidth" not in dataset:
        return None
    low = -(2 ** (dataset.BitsStored - 1)) if dataset.PixelRepresentation else 0
    high = low + 2**dataset.BitsStored - 1
    slope, intercept = float(dataset.get("RescaleSlope", 1)), float(dataset.get("RescaleIntercept", 0))
    return low * slope + intercept, high * slope + intercept


@pytest.mark.slow
def test_levels_are_those_of_pydicom_within_rounding() -> None:
    compared = []
    for path in FILES:
        data = path.read_bytes()
        try:
            pixels = decode_dicom(data, path.name, max_pixels=MOST_PIXELS)
        except ImageError:
            pixels = None
        with quiet():
            expected = displayed(pydicom.dcmread(path, force=True))
        if expected is None or path.name in BY_OTHER_MEANS:
            continue
        assert pixels is not None, path.name
        assert np.abs(pixels - expected).max() <= 0.5 + 1e-9, path.name
        compared.append(path.name)
    assert len(compared) > 150
    kinds = ("RG1_J2KR", "MR_small_RLE", "emri_small_RLE", "mlut_18", "vlut_04", "US1_UNCI")
    assert {f"{kind}.dcm" for kind in kinds} <= set(compared)


def of(name: str, frame: int = 0) -> NDArray[np.uint8]:
    path = next(path for path in FILES if path.name == name)
    data = path.read_bytes()
    return decode_dicom(mark_frame(data, frame) if frame else data, name, max_pixels=MOST_PIXELS)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("OBXXXX1A.dcm", "OBXXXX1A_expb.dcm"),
        ("OBXXXX1A.dcm", "OBXXXX1A_rle.dcm"),
        ("gdcm-US-ALOKA-16.dcm", "gdcm-US-ALOKA-16_big.dcm"),
        ("liver.dcm", "liver_expb.dcm"),
        ("MR_small.dcm", "MR_small_jp2klossless.dcm"),
        ("RG1_UNCR.dcm", "RG1_J2KR.dcm"),
        ("RG3_UNCR.dcm", "RG3_J2KR.dcm"),
        ("MR2_UNCR.dcm", "MR2_J2KR.dcm"),
        ("US1_UNCR.dcm", "US1_J2KR.dcm"),
        ("693_UNCR.dcm", "693_J2KR.dcm"),
        ("SC_rgb.dcm", "SC_rgb_gdcm_KY.dcm"),
        ("SC_rgb.dcm", "SC_rgb_jpeg_gdcm.dcm"),
        ("MR_small.dcm", "MR_small_jpeg_ls_lossless.dcm"),
        ("emri_small.dcm", "emri_small_jpeg_ls_lossless.dcm"),
        ("emri_small.dcm", "emri_small_jpeg_2k_lossless.dcm"),
    ],
)
def test_the_same_image_in_other_bytes_has_the_same_levels(one: str, other: str) -> None:
    assert np.array_equal(of(one), of(other))


def test_jpeg_of_12_bits() -> None:
    """264 is its largest value and 14.4 the mean, by GDCM as well."""
    pixels = of("JPGExtended.dcm")
    assert pixels.shape == (1024, 256, 3)
    assert round(float(pixels.mean()) * 264 / 255, 1) == pytest.approx(14.4, abs=0.1)


@pytest.mark.parametrize(
    ("name", "digest"),
    [
        ("JPEG-LL.dcm", "2a295efa788649f7"),
        ("bad_sequence.dcm", "5a754dea62f09339"),
        ("JPGLosslessP14SV1_1s_1f_8b.dcm", "c9e3dd1102067229"),
    ],
)
def test_lossless_jpeg(name: str, digest: str) -> None:
    """Digests of the levels when GDCM decodes these files."""
    assert hashlib.sha256(of(name).tobytes()).hexdigest().startswith(digest)


def test_windows_of_the_frames_of_an_enhanced_ct() -> None:
    """Its functional groups say 49/102 and -1024, its data set itself nothing."""
    from pydicom.pixels.utils import pixel_array

    path = next(path for path in FILES if path.name == "eCT_Supplemental.dcm")
    for frame in (0, 1):
        units = pixel_array(path, index=frame) - 1024.0
        levels = np.clip((units - 48.5) / 101 + 0.5, 0, 1) * 255
        assert np.abs(of(path.name, frame)[:, :, 0] - levels).max() <= 0.5


def test_nothing_warns_in_any_thread_though_warnings_are_errors(caplog: pytest.LogCaptureFixture) -> None:
    """Files of which pydicom warns, in threads, while this thread asks for its warnings all the time."""
    assert any(action == "error" and category is Warning for action, _, category, *_ in warnings.filters)
    names = ("JPEG-LL.dcm", "SC_rgb_rle_2frame.dcm", "bad_sequence.dcm", "MR_small_padded.dcm", "MR_truncated.dcm")
    wanted = [path for path in FILES if path.name in names]
    assert len(wanted) == len(names)
    failures: list[BaseException] = []

    def decode_all() -> None:
        try:
            for path in wanted * 3:
                try:
                    decode_dicom(path.read_bytes(), path.name, max_pixels=MOST_PIXELS)
                except ImageError:
                    assert path.name == "MR_truncated.dcm"
        except BaseException as error:  # noqa: BLE001 - a thread's errors are those of the test
            failures.append(error)

    threads = [threading.Thread(target=decode_all) for _ in range(4)]
    for thread in threads:
        thread.start()
    for _ in range(50):
        with pytest.warns(UserWarning, match="Invalid value for VR UI"):
            pydicom.uid.UID("no uid", validation_mode=1)
    for thread in threads:
        thread.join()
    assert failures == []
    assert not [record for record in caplog.records if record.threadName != "MainThread"]


def test_files_are_known_by_their_start() -> None:
    without_preamble = {"ExplVR_BigEndNoMeta.dcm", "ExplVR_LitEndNoMeta.dcm", "OT-PAL-8-face.dcm", "rtstruct.dcm"}
    for path in FILES:
        head = path.read_bytes()[:160]
        assert is_dicom(head), path.name
        assert is_dicom(mark_frame(head, 12)), path.name
        assert (head[128:132] == b"DICM") == (path.name not in without_preamble), path.name
