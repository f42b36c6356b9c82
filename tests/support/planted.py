"""Planted identities: DICOM files full of them, and the search for them in everything that featx wrote."""

from __future__ import annotations

import base64
import io
import re
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dicom_files import picture, write_dicom

# Each planted value begins with one of these, which nothing else does; bytes in lower case.
PERSON, CODE, UID, YEAR = "Zqfam", "Zqid", "1.2.826.0.1.99471.", "1876"
DATES = [f"{YEAR}{month:02}{day:02}" for month in (1, 11) for day in range(1, 29)]
MARKS = [mark.lower().encode() for mark in (PERSON, "Zqgiv", CODE, UID, "Zqtext", "Zqpriv")]
_DATE = re.compile(rb"18760[1]\d\d|187611\d\d|1876-(?:01|11)-\d\d|\d\d\.(?:01|11)\.1876")


def planted_elements(number: int) -> dict[str, Any]:
    """A value in every element that names a patient, a relative, a physician or a place, or says when."""
    from pydicom.dataset import Dataset

    person = f"{PERSON}{number}^Zqgiv{number}"
    names = (
        *("PatientName", "PatientBirthName", "PatientMotherBirthName", "OtherPatientNames", "ResponsiblePerson"),
        *("ReferringPhysicianName", "PerformingPhysicianName", "OperatorsName", "RequestingPhysician"),
        *("NameOfPhysiciansReadingStudy", "PhysiciansOfRecord", "ConsultingPhysicianName", "PersonName"),
    )
    ids = (
        *("PatientID", "OtherPatientIDs", "AccessionNumber", "StudyID", "AdmissionID", "MedicalRecordLocator"),
        *("IssuerOfPatientID", "DeviceSerialNumber", "PerformedProcedureStepID", "ProtocolName"),
    )
    texts = (
        *("InstitutionName", "InstitutionAddress", "StationName", "InstitutionalDepartmentName", "PatientAddress"),
        *("PatientTelephoneNumbers", "PatientComments", "ImageComments", "StudyDescription", "SeriesDescription"),
        *("AdditionalPatientHistory", "RequestedProcedureDescription", "Occupation", "EthnicGroup"),
    )
    dates = ("PatientBirthDate", "StudyDate", "SeriesDate", "AcquisitionDate", "ContentDate", "InstanceCreationDate")
    elements: dict[str, Any] = dict.fromkeys(names, person)
    elements |= {name: f"{CODE}{number}A{place}"[:16] for place, name in enumerate(ids)}
    elements |= {name: f"Zqtext{number}x{place}"[:16] for place, name in enumerate(texts)}
    elements |= {name: DATES[(number + place) % len(DATES)] for place, name in enumerate(dates)}
    elements |= {
        name: f"{UID}{number}.{place}"
        for place, name in enumerate(("StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID"))
    }
    within = Dataset()
    within.PatientID, within.PatientName = f"{CODE}{number}S", person
    elements["OtherPatientIDsSequence"] = [within]
    return elements | {
        "PatientAge": "045Y" if number % 2 else "093Y",
        "PatientSex": "F",
        "Manufacturer": "Maker",
        # A maker of the hospital's own: a column that must not be kept.
        "ManufacturerModelName": f"Zqtext{number}x0",
        "ViewPosition": "PA",
        "InstanceNumber": number,
    }


def planted_file(folder: Path, number: int, patient: int, bright: bool, *, name: str | None = None) -> Path:
    """Write one file in folders that name the patient and the day, itself named by its UID."""
    uid = f"{UID}{patient}.9.{number}"
    place = folder / f"{PERSON}{patient}_Zqgiv{patient}" / DATES[patient % len(DATES)]
    return write_dicom(
        place / (name or f"{uid}.dcm"),
        picture(number, bright),
        uid=uid,
        elements=planted_elements(patient),
        private={1: f"Zqpriv{patient}", 2: f"{PERSON}{patient}"},
    )


def planted_data(root: Path, train: int = 12, test: int = 4) -> Path:
    """Class folders with a file for each of so many patients."""
    for number in range(train + test):
        split, bright = "train" if number < train else "test", number % 2 == 0
        planted_file(root / split / ("bright" if bright else "dark"), number, number, bright)
    return root


def leaks(content: bytes) -> set[str]:
    """The planted values in bytes, also where they are packed."""
    found: set[str] = set()
    for layer in _layers(content):
        lower = layer.lower()
        for mark in map(bytes.decode, MARKS):
            # NumPy keeps text in UTF-32.
            if any(mark.encode(codec) in lower for codec in ("ascii", "utf-16-le", "utf-32-le")):
                found.add(mark)
        found |= {match.decode() for match in _DATE.findall(lower)}
    return found


def leaks_in(folder: Path) -> dict[str, set[str]]:
    """The planted values in a folder: in names and contents of files."""
    found = {}
    for path in sorted(folder.rglob("*")):
        there = leaks(str(path.relative_to(folder)).encode())
        there |= leaks(path.read_bytes()) if path.is_file() else set()
        if there:
            found[str(path.relative_to(folder))] = there
    return found


def _layers(content: bytes, depth: int = 0) -> Iterator[bytes]:
    """Yield bytes, and what is packed in them: ZIP (.npz, .keras), zlib, Arrow, Parquet, base64 in pages."""
    yield content
    if depth > 3:
        return
    inner = [*_unzipped(content), *_inflated(content), *_tables(content)]
    for text in re.findall(rb"[A-Za-z0-9+/]{24,}={0,2}", content):
        try:
            inner.append(base64.b64decode(text + b"=" * (-len(text) % 4)))
        except ValueError:
            continue
    for one in inner:
        yield from _layers(one, depth + 1)


def _unzipped(content: bytes) -> list[bytes]:
    if not content.startswith(b"PK"):
        return []
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return [archive.read(name) for name in archive.namelist()]


def _inflated(content: bytes) -> list[bytes]:
    inner = []
    for match in re.finditer(rb"\x78[\x01\x5e\x9c\xda]|\x1f\x8b\x08", content):
        try:
            inner.append(zlib.decompressobj(zlib.MAX_WBITS | 32).decompress(content[match.start() :], 2**24))
        except zlib.error:
            continue
    return inner


def _tables(content: bytes) -> list[bytes]:
    import pyarrow as pa
    import pyarrow.ipc
    import pyarrow.parquet

    try:
        if content.startswith(b"ARROW1"):
            table = pyarrow.ipc.open_file(pa.BufferReader(content)).read_all()
        elif content.startswith(b"PAR1"):
            table = pyarrow.parquet.read_table(pa.BufferReader(content))
        else:
            return []
    except pa.ArrowInvalid:
        return []
    texts = [name for name in table.column_names if not pa.types.is_nested(table[name].type)]
    columns = [str(table[name].to_pylist()).encode() for name in texts]
    return [*columns, str(table.schema.metadata).encode()]
