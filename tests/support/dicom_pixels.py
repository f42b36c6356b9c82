"""DICOM files made for tests: any pixels, with the elements that decide their grey levels."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray

EXPLICIT = "1.2.840.10008.1.2.1"
EXPLICIT_BIG = "1.2.840.10008.1.2.2"
IMPLICIT = "1.2.840.10008.1.2"
DEFLATED = "1.2.840.10008.1.2.1.99"
RLE = "1.2.840.10008.1.2.5"
JPEG = "1.2.840.10008.1.2.4.50"
JPEG_EXTENDED = "1.2.840.10008.1.2.4.51"
JPEG_LOSSLESS = "1.2.840.10008.1.2.4.70"
JPEG_LS = "1.2.840.10008.1.2.4.80"
JPEG_2000 = "1.2.840.10008.1.2.4.90"


def dataset_of(samples: NDArray[Any] | None, **elements: Any) -> Any:
    """Return a data set whose pixels are samples: (rows, columns), (rows, columns, 3), or frames of them.

    Elements that are None are left out; those that are not given follow from the samples.
    """
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import UID, SecondaryCaptureImageStorage, generate_uid

    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = UID(elements.pop("syntax", EXPLICIT))
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=["featx"])
    if samples is not None:
        colour = samples.ndim > 2 and samples.shape[-1] == 3
        bits = 8 * samples.dtype.itemsize
        size = samples.shape[-3:-1] if colour else samples.shape[-2:]
        elements = {
            "SamplesPerPixel": 3 if colour else 1,
            "PhotometricInterpretation": "RGB" if colour else "MONOCHROME2",
            "Rows": size[0],
            "Columns": size[1],
            "BitsAllocated": bits,
            "BitsStored": elements.get("BitsAllocated", bits),
            "PixelRepresentation": int(samples.dtype.kind == "i"),
            **({"PlanarConfiguration": 0} if colour else {}),
            **elements,
        }
        elements.setdefault("HighBit", (elements["BitsStored"] or bits) - 1)
        elements.setdefault("PixelData", samples.tobytes() + b"\0" * (samples.nbytes % 2))
    for keyword, value in elements.items():
        if value is not None:
            setattr(dataset, keyword, value)
    if "PixelData" in dataset:
        dataset["PixelData"].VR = "OB" if dataset.BitsAllocated <= 8 else "OW"
    return dataset


def dicom_of(samples: NDArray[Any] | None, **elements: Any) -> bytes:
    """Return the bytes of a DICOM file, see `dataset_of`."""
    return written(dataset_of(samples, **elements))


def written(dataset: Any) -> bytes:
    """Return a data set as a file."""
    if dataset.file_meta.TransferSyntaxUID.is_encapsulated:
        dataset["PixelData"].VR = "OB"
        dataset["PixelData"].is_undefined_length = True
    file = io.BytesIO()
    dataset.save_as(file, enforce_file_format=True)
    return file.getvalue()


def compressed(samples: NDArray[Any], syntax: str, **elements: Any) -> bytes:
    """Return the bytes of a DICOM file whose pixels are compressed without loss: RLE, JPEG-LS or JPEG 2000."""
    if syntax == RLE:
        dataset = dataset_of(samples, **elements)
        dataset.compress(syntax, generate_instance_uid=False)
        return written(dataset)
    frames = samples if "NumberOfFrames" in elements else samples[None]
    bits = elements.get("BitsStored", 8 * samples.dtype.itemsize)
    streams = [_jpeg_ls(frame) if syntax == JPEG_LS else _jpeg_2000(frame, bits) for frame in frames]
    return encapsulated(streams, samples, syntax, **elements)


def _jpeg_ls(samples: NDArray[Any]) -> bytes:
    import imagecodecs

    return bytes(imagecodecs.jpegls_encode(samples.view(f"u{samples.dtype.itemsize}")))  # the codec knows no signs


def _jpeg_2000(samples: NDArray[Any], bits: int) -> bytes:
    import imagecodecs

    colour = samples.ndim == 3
    options: dict[str, Any] = {"level": 0, "codecformat": "j2k", "reversible": True, "mct": colour}
    return bytes(imagecodecs.jpeg2k_encode(np.ascontiguousarray(samples), bitspersample=bits, **options))


def encapsulated(frames: list[bytes], samples: NDArray[Any], syntax: str, **elements: Any) -> bytes:
    """Return the bytes of a DICOM file with compressed frames; `samples` only tell their size and depth."""
    from pydicom.encaps import encapsulate

    return dicom_of(samples, syntax=syntax, PixelData=encapsulate(frames), **elements)


def item(**elements: Any) -> Any:
    """Return an item of a sequence."""
    from pydicom.dataset import Dataset

    dataset = Dataset()
    for keyword, value in elements.items():
        setattr(dataset, keyword, value)
    return dataset


def lookup_table(entries: NDArray[Any], first: int, bits: int, *, signed: bool = False) -> Any:
    """Return an item of a Modality LUT Sequence or VOI LUT Sequence."""
    table = item()
    table.add_new("LUTDescriptor", "SS" if signed else "US", [len(entries) % 65536, first, bits])
    table["LUTDescriptor"].value = [len(entries) % 65536, first, bits]
    table.add_new("LUTData", "OW", np.asarray(entries, "<u2").tobytes())
    table.ModalityLUTType = "US"
    return table
