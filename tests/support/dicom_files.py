"""DICOM files for tests, some with planted identities."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

STORAGE = {
    "CR": "1.2.840.10008.5.1.4.1.1.1",
    "CT": "1.2.840.10008.5.1.4.1.1.2",
    "US": "1.2.840.10008.5.1.4.1.1.3.1",
    "SC": "1.2.840.10008.5.1.4.1.1.7",
    "SR": "1.2.840.10008.5.1.4.1.1.88.11",
    "PR": "1.2.840.10008.5.1.4.1.1.11.1",
    "PDF": "1.2.840.10008.5.1.4.1.1.104.1",
}


def write_dicom(
    path: Path,
    pixels: NDArray[np.uint8] | NDArray[np.uint16] | None,
    *,
    kind: str = "CR",
    uid: str = "1.2.3.4",
    elements: Mapping[str, Any] | None = None,
    private: Mapping[int, str] | None = None,
) -> Path:
    """Write a file in Explicit VR Little Endian.

    Args:
        path: The file; its folder is made.
        pixels: (height, width), or (frames, height, width); None for an object without pixels.
        kind: Which SOP class, and the modality.
        uid: The file's own.
        elements: Further elements by keyword; None removes one.
        private: Values by their number in a private block.
    """
    from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
    from pydicom.uid import UID, ExplicitVRLittleEndian

    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = UID(STORAGE[kind])
    meta.MediaStorageSOPInstanceUID = UID(uid)
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset = FileDataset(str(path), Dataset(), file_meta=meta, preamble=b"\0" * 128)
    dataset.SOPClassUID, dataset.SOPInstanceUID, dataset.Modality = STORAGE[kind], uid, kind
    if pixels is not None:
        frames, (height, width) = pixels.shape[:-2], pixels.shape[-2:]
        dataset.Rows, dataset.Columns, dataset.SamplesPerPixel = height, width, 1
        dataset.BitsAllocated = dataset.BitsStored = 8 * pixels.itemsize
        dataset.HighBit, dataset.PixelRepresentation = dataset.BitsStored - 1, 0
        dataset.PhotometricInterpretation = "MONOCHROME2"
        if frames:
            dataset.NumberOfFrames = frames[0]
        dataset.add_new(0x7FE00010, "OW", pixels.tobytes() + b"\0" * (pixels.nbytes % 2))
    for name, value in (elements or {}).items():
        if value is None:
            delattr(dataset, name)
        else:
            setattr(dataset, name, value)
    if private:
        block = dataset.private_block(0x0019, "PLANTED CREATOR", create=True)
        for number, text in private.items():
            block.add_new(number, "LO", text)
    path.parent.mkdir(parents=True, exist_ok=True)
    dataset.save_as(path, enforce_file_format=True)
    return path


def picture(seed: int, bright: bool, size: int = 40) -> NDArray[np.uint8]:
    """A grey picture of noise, (size, size), with a bright square in one half of them."""
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 120, (size, size), np.uint8)
    if bright:
        pixels[8:24, 8:24] += 120
    return pixels
