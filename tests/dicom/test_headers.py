"""Headers: columns, hashes, kinds of objects, and what damaged files give."""

from __future__ import annotations

import io
import random
import warnings
from pathlib import Path

import numpy as np
import pytest
from dicom_files import picture, write_dicom

from featx.dicom import Header, read_header

pydicom = pytest.importorskip("pydicom")
SALT, OTHER = b"1" * 32, b"2" * 32


def header(path: Path, salt: bytes = SALT) -> Header:
    with path.open("rb") as file:
        read = read_header(file, salt)
    assert read is not None
    return read


def test_columns_are_what_the_file_says(tmp_path: Path) -> None:
    elements = {
        "Manufacturer": "ACME ",
        "ManufacturerModelName": "X 1",
        "ViewPosition": "AP",
        "PatientSex": "F",
        "PatientAge": "045Y",
        "BodyPartExamined": "CHEST",
        "StudyInstanceUID": "1.2.3",
    }
    read = header(write_dicom(tmp_path / "a.dcm", np.zeros((5, 20, 30), np.uint16), elements=elements))
    assert {name: value for name, value in read.columns.items() if name != "study"} == {
        "Modality": "CR",
        "Manufacturer": "ACME",
        "ManufacturerModelName": "X 1",
        "ViewPosition": "AP",
        "PatientSex": "F",
        "PatientAge": "45",
        "BodyPartExamined": "CHEST",
        "PhotometricInterpretation": "MONOCHROME2",
        "Rows": 20,
        "Columns": 30,
        "NumberOfFrames": 5,
    }
    assert (read.frames, read.left_out, read.burned_in, read.is_whole) == (5, None, False, True)


@pytest.mark.parametrize(
    ("written", "age"),
    [
        *(("045Y", "45"), ("089Y", "89"), ("090Y", "90+"), ("103Y", "90+"), ("018M", "1"), ("003W", "0")),
        *(("010D", "0"), ("", None), ("old", None)),
    ],
)
def test_ages_are_in_years_and_end_at_90(tmp_path: Path, written: str, age: str | None) -> None:
    path = write_dicom(tmp_path / "a.dcm", picture(0, True))
    raw = path.read_bytes()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom does not like the odd ones
        dataset = pydicom.dcmread(io.BytesIO(raw))
        dataset.add_new(0x00101010, "AS", written)
        dataset.save_as(path)
    assert header(path).columns.get("PatientAge") == age


def test_hashes_depend_on_patient_and_salt_and_not_on_the_issuer(tmp_path: Path) -> None:
    def group(salt: bytes = SALT, **elements: str) -> str | None:
        return header(write_dicom(tmp_path / "a.dcm", picture(0, True), elements=elements), salt).group

    one = group(PatientID="P1")
    assert one is not None
    assert one.startswith("patient-")
    assert len(one) == len("patient-") + 16
    assert one == group(PatientID="P1 ", PatientName="Doe^Jane", StudyInstanceUID="1.2.3")
    assert one == group(PatientID="P1", IssuerOfPatientID="X"), "some files of a patient lack it"
    others = [group(PatientID="P2"), group(OTHER, PatientID="P1")]
    assert len({one, *others}) == 3
    study = group(StudyInstanceUID="1.2.3")
    assert study is not None
    assert study.startswith("study-")
    assert study == header(tmp_path / "a.dcm").columns["study"]
    assert group() is None


@pytest.mark.parametrize(("kind", "said"), [("SR", "Basic Text SR"), ("PDF", "Encapsulated PDF")])
def test_objects_without_pixels_are_named(tmp_path: Path, kind: str, said: str) -> None:
    assert header(write_dicom(tmp_path / "a.dcm", None, kind=kind)).left_out == said


def test_an_image_without_its_pixels_is_damaged_and_no_other_object(tmp_path: Path) -> None:
    whole = write_dicom(tmp_path / "a.dcm", None, kind="CT").read_bytes()
    for length in (len(whole), 140, 300):
        (tmp_path / "a.dcm").write_bytes(whole[:length])
        read = header(tmp_path / "a.dcm")
        assert read.left_out is None
        assert not read.is_whole


def test_a_column_that_names_the_patient_or_the_hospital_is_left_out(tmp_path: Path) -> None:
    elements = {"InstitutionName": "St. Elsewhere", "Manufacturer": "St Elsewhere workshop", "PatientName": "Doe^J"}
    read = header(write_dicom(tmp_path / "a.dcm", picture(0, True), elements=elements))
    assert "Manufacturer" not in read.columns
    assert read.columns["Modality"] == "CR"


@pytest.mark.parametrize("syntax", ["ImplicitVRLittleEndian", "DeflatedExplicitVRLittleEndian"])
def test_every_transfer_syntax_gives_the_same(tmp_path: Path, syntax: str) -> None:
    path = write_dicom(tmp_path / "a.dcm", picture(0, True), elements={"PatientID": "P1", "PatientName": "Doe^Jane"})
    expected = header(path)
    dataset = pydicom.dcmread(path)
    dataset.file_meta.TransferSyntaxUID = getattr(pydicom.uid, syntax)
    dataset.save_as(path)
    assert header(path) == expected


@pytest.mark.parametrize(
    ("charset", "codec", "name", "folder"),
    [
        ("ISO_IR 100", "latin-1", "Müller^Jörg", "mueller"),
        ("ISO_IR 192", "utf-8", "Yamada^Tarou=山田^太郎", "山田"),
        ("ISO_IR 144", "iso8859-5", "Жданов^Д", "ЖДАНОВ_1"),
        ("", "utf-8", "Žižková^Eva", "ZIZKOVA EVA"),  # not what the file says, as in many files
    ],
)
def test_names_in_every_character_set_identify(
    tmp_path: Path, charset: str, codec: str, name: str, folder: str
) -> None:
    path = write_dicom(tmp_path / "a.dcm", picture(0, True), elements={"PatientName": "placeholder"})
    written = name.encode(codec)
    placeholder = b"x" * (len(written) + len(written) % 2)
    dataset = pydicom.dcmread(path)
    dataset.PatientName = placeholder.decode()
    if charset:
        dataset.SpecificCharacterSet = charset
    dataset.save_as(path)
    path.write_bytes(path.read_bytes().replace(placeholder, written.ljust(len(placeholder))))
    assert header(path).identifiers.are_in(folder)
    assert not header(path).identifiers.are_in("somebody else")


def test_damage_anywhere_raises_nothing_and_warns_of_nothing(tmp_path: Path) -> None:
    elements = {"PatientName": "Doe^Jane", "PatientID": "P1", "PatientAge": "045Y"}
    whole = write_dicom(tmp_path / "a.dcm", picture(0, True, 8), elements=elements).read_bytes()
    rng = random.Random(0)
    for length in range(0, len(whole), 7):
        read_header(io.BytesIO(whole[:length]), SALT)
    for _ in range(300):
        damaged = bytearray(whole)
        for _ in range(3):
            damaged[rng.randrange(128, len(damaged))] = rng.randrange(256)
        read_header(io.BytesIO(bytes(damaged)), SALT)
    assert read_header(io.BytesIO(b""), SALT) is None


def test_pydicoms_own_files_are_read_without_a_warning() -> None:
    from pydicom.data import get_testdata_file

    kinds = {
        "CT_small.dcm": ("CT", None),
        "reportsi.dcm": ("SR", "Basic Text SR"),
        "MR_small_bigendian.dcm": ("MR", None),
    }
    for name, (modality, left_out) in kinds.items():
        read = header(Path(str(get_testdata_file(name))))
        assert (read.columns["Modality"], read.left_out) == (modality, left_out)
    assert header(Path(str(get_testdata_file("MR_small_bigendian.dcm")))).columns["Rows"] == 64
