"""Data of DICOM files: what is listed, groups, columns, labels, and frames."""

from __future__ import annotations

import logging
import sys
import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from dicom_files import picture, write_dicom
from PIL import Image as Picture

from featx.data import Dataset, read_data, read_paths, with_frames
from featx.errors import DataError, UsageError
from featx.images import read_bytes

pytest.importorskip("pydicom")
Read = Callable[..., Dataset]


@pytest.fixture
def read(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> Read:
    """Read data with a cache of its own."""
    caplog.set_level(logging.INFO, "featx")
    return lambda data, **choice: read_data(data, cache=tmp_path / "cache", **choice)


def patient(folder: Path, name: str, number: int, files: int = 2, **elements: object) -> list[Path]:
    """Write files of one patient."""
    about = {
        "PatientID": f"ID{number:04}",
        "StudyInstanceUID": f"1.2.77.{number}",
        "PatientName": "Roe^Jo",
        **elements,
    }
    return [
        write_dicom(
            folder / name.format(k), picture(number * 10 + k, True), uid=f"1.2.9.{number}.{k}", elements=about
        )
        for k in range(files)
    ]


def test_files_are_found_by_ending_and_by_content_at_any_depth(tmp_path: Path, read: Read) -> None:
    root = tmp_path / "data"
    names = ["a.dcm", "b.DICOM", "c.ima", "IM000001", "1.2.840.113619.2.5", "deep/er/XR.12"]
    for number, name in enumerate(names):
        patient(root, name, number, files=1)
    (root / "README").write_text("no image")
    (root / "VERSION.2").write_bytes(b"\0" * 300)
    (root / "notes.txt").write_text("no image")
    data = read(root, labels="none")
    assert [item.id for item in data.items] == sorted(names)
    assert {item.extra["Modality"] for item in data.items} == {"CR"}


def test_patients_are_groups_and_headers_are_columns(
    tmp_path: Path, read: Read, caplog: pytest.LogCaptureFixture
) -> None:
    root = tmp_path / "data"
    for number in range(4):
        for label in ("covid", "normal"):
            patient(root / label, f"s{number}-{{}}.dcm", number, PatientAge="071Y", Manufacturer="ACME")
    data = read(root)
    assert data.classes == ("covid", "normal")
    groups = {item.id: item.group for item in data.items}
    assert len(set(groups.values())) == 4
    assert groups["covid/s1-0.dcm"] == groups["normal/s1-1.dcm"]
    assert groups == {item.id: item.group for item in read(root).items}, "the salt of a cache stays the same"
    assert data.items[0].extra["PatientAge"] == "71"
    assert data.items[0].extra["study"].startswith("study-")
    assert "DICOM: 16 files, 4 patients, 4 studies; patients are groups." in caplog.text


def test_without_patient_ids_studies_are_the_groups(tmp_path: Path, read: Read) -> None:
    for number in range(2):
        patient(tmp_path / "data", f"{number}-{{}}.dcm", number, PatientID="")
    groups = [item.group for item in read(tmp_path / "data").items]
    assert groups[0] == groups[1] != groups[2] == groups[3]
    assert all(group is not None and group.startswith("study-") for group in groups)


def test_a_manifests_own_columns_and_groups_win(tmp_path: Path, read: Read) -> None:
    first, second = (patient(tmp_path, f"x{n}.dcm", n, files=1)[0] for n in range(2))
    manifest = tmp_path / "data.csv"
    rows = [(first, "A", "mine", "g1"), (second, "B", "mine", "g2")]
    manifest.write_text("path,label,Modality,group\n" + "".join(f"{p.name},{x},{m},{g}\n" for p, x, m, g in rows))
    data = read(manifest)
    assert [(item.label, item.group, item.extra["Modality"]) for item in data.items] == [
        ("A", "g1", "mine"),
        ("B", "g2", "mine"),
    ]
    assert data.items[0].extra["Rows"] == 40
    assert all(item.group is None for item in read(manifest, group_column="none").items)
    manifest.write_text("path,label\n" + "".join(f"{p.name},{x}\n" for p, x, *_ in rows))
    assert all((item.group or "").startswith("patient-") for item in read(manifest).items)
    assert all((item.group or "").startswith("patient-") for item in read([first, second]).items)


def test_cells_of_a_manifest_that_name_the_patient_are_hashed(tmp_path: Path, read: Read) -> None:
    patient(tmp_path, "x.dcm", 7, files=1, PatientName="Featherstone^Ann")
    manifest = tmp_path / "data.csv"
    manifest.write_text("path,label,group,name,view\nx.dcm,A,ID0007,Ann Featherstone,PA\n")
    (item,) = read(manifest).items
    assert str(item.group).startswith("hidden-")
    assert str(item.extra["name"]).startswith("hidden-")
    assert item.extra["view"] == "PA"


def test_objects_that_are_no_images_are_left_out_and_named(
    tmp_path: Path, read: Read, caplog: pytest.LogCaptureFixture
) -> None:
    root = tmp_path / "data"
    patient(root, "i{}.dcm", 1)
    for kind in ("SR", "PR", "PDF"):
        write_dicom(root / f"{kind}.dcm", None, kind=kind, elements={"PatientID": "ID0001"})
    patient(root, "u{}.dcm", 2, BurnedInAnnotation="YES")
    data = read(root)
    assert [item.id for item in data.items] == ["i0.dcm", "i1.dcm"]
    assert "Basic Text SR (1), Encapsulated PDF (1), Grayscale Softcopy Presentation State (1)" in caplog.text
    assert "presentation states are not applied" in caplog.text
    assert "burned into their pixels, which may name patients, were left out (2): u0.dcm, u1.dcm" in caplog.text
    with pytest.raises(
        DataError, match=r"found only DICOM files that are left out \(objects without an image: Basic"
    ):
        read_paths([root / "SR.dcm"], cache=tmp_path / "cache")


def test_damaged_files_stay_for_decoding_to_refuse(tmp_path: Path, read: Read) -> None:
    root = tmp_path / "data"
    whole, damaged, empty = (patient(root, f"{n}.dcm", n, files=1)[0] for n in range(3))
    damaged.write_bytes(whole.read_bytes()[:300])
    empty.write_bytes(b"")
    assert len(read(root).items) == 3


@pytest.mark.parametrize("layout", ["{name}/{study}/IM{k}", "{name}/IM{k}.dcm"])
def test_folders_of_patients_are_no_classes(
    tmp_path: Path, read: Read, caplog: pytest.LogCaptureFixture, layout: str
) -> None:
    root = tmp_path / "data"
    for number in range(3):
        for k in range(2):
            patient(root, layout.format(name=f"PAT{number}", study="ST1", k=k), number, files=1)
    data = read(root)
    assert data.classes == ()
    assert "folders of the DICOM files (3) are those of patients" in caplog.text
    assert "--labels folder" in caplog.text or 'labels="folder"' in caplog.text
    assert len(read(root, labels="folder").classes) == 3


def test_two_folders_named_by_their_patients_are_no_classes(tmp_path: Path, read: Read) -> None:
    for number in range(2):
        patient(tmp_path / "data" / f"ID{number:04}", "{}.dcm", number)
    data = read(tmp_path / "data")
    assert data.classes == ()
    assert all(item.id.startswith("hidden-") for item in data.items)
    chosen = read(tmp_path / "data", labels="folder")
    assert len(chosen.classes) == 2
    assert all(name.startswith("hidden-") for name in chosen.classes)


def test_other_files_in_folders_of_patients_make_them_no_classes(tmp_path: Path, read: Read) -> None:
    root = tmp_path / "data"
    for number, name in enumerate(("Featherstone", "Winterbottom", "Ravensburg")):
        about: dict[str, Any] = {"PatientName": f"{name}^Ann", "IssuerOfPatientID": "X" if number else None}
        patient(root / f"{name}_Ann", "IM{}", number, **{key: value for key, value in about.items() if value})
        write_dicom(root / f"{name}_Ann" / "report", None, kind="SR", elements={"PatientID": f"ID{number:04}"})
    (root / "Featherstone_Ann" / "lost.dcm").write_bytes(b"\0" * 128 + b"DICM" + b"garbage" * 50)
    Picture.fromarray(picture(9, True)).save(root / "Ravensburg_Ann" / "snapshot.png")
    patient(root, "US00000{}", 7, files=1)  # in no folder of a patient
    data = read(root)
    assert data.classes == ()
    assert len(data.items) == 9
    assert sum(item.id == "US000000" for item in data.items) == 1
    assert all(item.id.startswith("hidden-") for item in data.items if item.id != "US000000")
    assert len({item.group for item in data.items} - {None}) == 4


def test_a_damaged_file_is_compared_with_what_other_headers_say(tmp_path: Path, read: Read) -> None:
    root = tmp_path / "data"
    (whole,) = patient(root, "a.dcm", 1, files=1, PatientName="Featherstone^Ann")
    (root / "featherstone_2.dcm").write_bytes(whole.read_bytes()[:160])
    assert sorted(item.id for item in read(root).items)[0] == "a.dcm"
    assert not any("feather" in item.id for item in read(root).items)


def test_classes_of_several_patients_stay_classes(tmp_path: Path, read: Read) -> None:
    for label, numbers in {"covid": (1, 2), "normal": (3,), "other": (4,)}.items():
        for number in numbers:
            patient(tmp_path / "data" / label, f"{number}-{{}}.dcm", number)
    assert read(tmp_path / "data").classes == ("covid", "normal", "other")


def test_one_patient_with_the_name_of_a_class_changes_no_class(tmp_path: Path, read: Read) -> None:
    root = tmp_path / "data"
    for label in ("normal", "other"):
        for number in range(2):
            patient(root / label, f"{number}-{{}}.dcm", number, PatientName="Norma^Roe" if number else "X^Y")
    data = read(root)
    assert data.classes == ("normal", "other")
    assert all(item.id.startswith(f"{item.label}/") for item in data.items)


def test_classes_that_are_in_the_names_of_their_patients_stay_classes(tmp_path: Path, read: Read) -> None:
    for label in ("covid", "normal"):
        for number in range(2):
            about: dict[str, Any] = {"PatientName": f"{label}-{number}", "PatientID": f"{label}-{number}"}
            patient(tmp_path / "data" / label, f"{number}-{{}}.dcm", number, **about)
    data = read(tmp_path / "data")
    assert data.classes == ("covid", "normal")
    assert {item.label for item in data.items} == {item.id.partition("/")[0] for item in data.items}
    assert len({item.group for item in data.items}) == 4


def test_a_word_that_stands_for_every_patient_is_no_id(tmp_path: Path, read: Read) -> None:
    for number in range(2):
        patient(tmp_path / "data", f"{number}-{{}}.dcm", number, PatientID="ANONYMIZED", PatientName="Anonymized")
    assert {str(item.group)[:6] for item in read(tmp_path / "data").items} == {"study-"}
    assert len({item.group for item in read(tmp_path / "data").items}) == 2


def test_a_zip_of_dicom_files(tmp_path: Path, read: Read) -> None:
    root = tmp_path / "data"
    for number in range(4):
        patient(root / ("covid" if number % 2 else "normal"), f"ID{number:04}/IM{{}}", number)
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        for path in sorted(root.rglob("IM*")):
            archive.write(path, path.relative_to(root))
    data, same = read(tmp_path / "x.zip"), read(root)
    assert data.classes == ("covid", "normal")
    assert len(data.items) == 8
    assert [item.id.removeprefix("x.zip/") for item in data.items] == [item.id for item in same.items]
    assert [item.group for item in data.items] == [item.group for item in same.items]
    assert [item.extra for item in data.items] == [item.extra for item in same.items]
    content = [read_bytes(item.path, item.id) for item in data.items]
    assert content == [read_bytes(item.path, item.id) for item in same.items]


def test_groups_are_looked_for_in_true_names_and_hashed(
    tmp_path: Path, read: Read, caplog: pytest.LogCaptureFixture
) -> None:
    root = tmp_path / "data"
    for number, name in enumerate(("featherstone", "winterbottom")):
        patient(root, f"{name}-scan{{}}.dcm", number, PatientName=f"{name}^Ann", PatientID="")
    patient(root, "other-scan{}.dcm", 7)
    groups = [str(item.group) for item in read(root, group_from=r"^(\w+)-").items]
    assert sorted(Counter(groups).values()) == [2, 2, 2]
    assert all(group.startswith("hidden-") for group in groups)
    with pytest.raises(DataError) as caught:
        read(root, group_from="(none)")
    said = f"{caught.value}{caplog.text}"
    assert "feather" not in said
    assert "winter" not in said


def test_one_frame_can_be_given_by_its_path(tmp_path: Path, read: Read) -> None:
    film = write_dicom(
        tmp_path / "featherstone.dcm",
        np.stack([picture(k, True) for k in range(4)]),
        kind="US",
        elements={"PatientName": "Featherstone^Ann", "PatientID": "ID1"},
    )
    (tmp_path / "data.csv").write_text("path,label\nfeatherstone.dcm/frame-2,A\n")
    whole = read(film).items[0]
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.write(film, film.name)
    for data in (
        read(film / "frame-2"),
        read(tmp_path / "data.csv"),
        read_paths(film / "frame-2", cache=tmp_path / "cache"),
        read_paths(tmp_path / "x.zip" / film.name / "frame-2", cache=tmp_path / "cache"),
    ):
        (item,) = with_frames(data, "all").items
        assert item.group == whole.group
        assert item.id.endswith(f"{whole.id}/frame-2" if "/" not in item.id else "/frame-2")
        assert "feather" not in item.id.removeprefix(str(tmp_path))
        assert read_bytes(item.path, "x") == read_bytes(film / "frame-2", "x")
    with pytest.raises(DataError, match="found nothing"):
        read(tmp_path / "data.csv" / "frame-2")


def test_rows_of_a_table_have_headers_too(tmp_path: Path, read: Read) -> None:
    about = {"PatientName": "Featherstone^Ann", "Manufacturer": "ACME"}
    files = [patient(tmp_path, f"featherstone-{n}.dcm", n, files=1, **about)[0] for n in range(3)]
    burned = patient(tmp_path, "burned.dcm", 4, files=1, BurnedInAnnotation="YES")[0]
    rows = [{"bytes": path.read_bytes(), "path": path.name} for path in (*files, burned)]
    pq.write_table(pa.table({"image": rows, "label": list("ABAB")}), tmp_path / "scans.parquet")
    items = read(tmp_path / "scans.parquet").items
    assert [item.label for item in items] == list("ABA")
    assert len({item.group for item in items}) == 3
    assert {item.extra["Manufacturer"] for item in items} == {"ACME"}
    assert not any("feather" in str(item.extra) for item in items)


def test_dicom_beside_other_images(tmp_path: Path, read: Read) -> None:
    root = tmp_path / "data"
    patient(root, "a{}.dcm", 1, PatientName="Featherstone^Ann")
    for name in ("b.png", "featherstone.png"):
        Picture.fromarray(picture(5, True)).save(root / name)
    items = read(root).items
    assert len(items) == 4
    assert sum(item.id.startswith("hidden-") and item.id.endswith(".png") for item in items) == 1


def test_a_root_that_names_a_patient_is_warned_of(
    tmp_path: Path, read: Read, caplog: pytest.LogCaptureFixture
) -> None:
    patient(tmp_path / "Featherstone", "a{}.dcm", 1, PatientName="Featherstone^Ann")
    read(tmp_path / "Featherstone")
    (warning,) = (record.getMessage() for record in caplog.records if record.levelname == "WARNING")
    assert warning.startswith("The path of the data's own folder contains a name")
    assert "Featherstone" not in warning


def test_frames_by_rule(tmp_path: Path, read: Read) -> None:
    root = tmp_path / "data"
    frames = np.stack([picture(k, True) for k in range(5)])
    write_dicom(root / "cine.dcm", frames, kind="US", uid="1.2.1")
    patient(root, "still.dcm", 1, files=1)
    data = read(root)
    assert {item.id: item.frames for item in data.items} == {"cine.dcm": 5, "still.dcm": 1}
    assert with_frames(data, "first") is data
    middle = with_frames(data, "middle").items
    assert [(item.id, item.path) for item in middle] == [
        ("cine.dcm/frame-2", root / "cine.dcm" / "frame-2"),
        ("still.dcm", root / "still.dcm"),
    ]
    every = with_frames(data, "all").items
    assert [item.id for item in every] == [*(f"cine.dcm/frame-{k}" for k in range(5)), "still.dcm"]
    assert {item.group for item in every[:5]} == {"cine.dcm"}, "frames of one file stay together"
    assert len({read_bytes(item.path, item.id) for item in every}) == 6
    assert read_bytes(every[0].path, "x") == (root / "cine.dcm").read_bytes()


def test_frames_of_hidden_files_have_hidden_aliases(tmp_path: Path, read: Read) -> None:
    frames = np.stack([picture(k, True) for k in range(3)])
    write_dicom(tmp_path / "data" / "ID0009.dcm", frames, uid="1.2.1", elements={"PatientID": "ID0009"})
    every = with_frames(read(tmp_path / "data"), "all").items
    assert all("ID0009" not in item.id and "ID0009" not in str(item.alias) for item in every)
    assert every[1].alias is not None
    assert every[1].alias.name == "frame-1"
    assert (every[1].group or "").startswith("patient-")


def test_a_file_that_claims_a_million_frames_is_refused(tmp_path: Path, read: Read) -> None:
    write_dicom(tmp_path / "data" / "x.dcm", picture(0, True), elements={"NumberOfFrames": 1_000_000})
    data = read(tmp_path / "data")
    with pytest.raises(DataError, match=r"at most 100,000 frames in a file, but x\.dcm says that it has 1,000,000"):
        with_frames(data, "all")
    assert with_frames(data, "middle").items[0].id == "x.dcm/frame-500000"


def test_without_pydicom_one_sentence_says_what_to_install(
    tmp_path: Path, read: Read, monkeypatch: pytest.MonkeyPatch
) -> None:
    patient(tmp_path / "data", "Roe{}.dcm", 1)
    monkeypatch.setitem(sys.modules, "pydicom", None)
    with pytest.raises(DataError, match=r"pydicom to read DICOM files.*pip install 'featx\[dicom\]'") as caught:
        read(tmp_path / "data")
    assert "Roe" not in str(caught.value)


def test_groups_that_are_chosen_are_not_replaced_by_patients(tmp_path: Path, read: Read) -> None:
    files = [*patient(tmp_path / "data", "a{}.dcm", 1), *patient(tmp_path / "data", "b{}.dcm", 2)]
    assert [item.group for item in read(files, groups=["x", "x", "y", None]).items] == ["x", "x", "y", None]
    assert {item.group for item in read(tmp_path / "data", group_from="^(.)").items} == {"a", "b"}
    with pytest.raises(UsageError):
        read(tmp_path / "data", group_column="x")
