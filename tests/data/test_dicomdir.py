"""A medium with a DICOMDIR: pydicom's own files."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path

import pytest

from featx.data import read_data, read_paths
from featx.errors import DataError

pydicom = pytest.importorskip("pydicom")


@pytest.fixture
def medium(tmp_path: Path) -> Path:
    """A writable copy of a medium: a DICOMDIR and 31 files in folders of studies."""
    from pydicom.data import get_testdata_file

    source = Path(str(get_testdata_file("DICOMDIR"))).parent
    folder = tmp_path / "medium"
    for name in ("77654033", "98892001", "98892003"):
        shutil.copytree(source / name, folder / name)
    shutil.copy(source / "DICOMDIR", folder / "DICOMDIR")
    return folder


def test_the_folder_and_the_directory_list_the_same_images(medium: Path, tmp_path: Path) -> None:
    by_folder, by_directory = (read_data(place, cache=tmp_path / "c") for place in (medium, medium / "DICOMDIR"))
    assert len(by_folder.items) == 31
    assert by_folder.items == by_directory.items
    assert by_folder.classes == ()
    assert by_directory.root == medium
    assert {item.extra["Modality"] for item in by_folder.items} == {"CR", "CT", "MR"}
    assert len({item.group for item in by_folder.items}) == 2
    assert len(read_paths([medium / "DICOMDIR"], cache=tmp_path / "c").items) == 31


def test_files_that_are_not_in_the_directory_are_not_listed_by_it(medium: Path, tmp_path: Path) -> None:
    shutil.copy(medium / "77654033" / "CR1" / "6154", medium / "77654033" / "copy.dcm")
    assert len(read_data(medium / "DICOMDIR", cache=tmp_path / "c").items) == 31
    assert len(read_data(medium, cache=tmp_path / "c").items) == 32


def test_missing_files_are_counted(medium: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "featx")
    shutil.rmtree(medium / "98892003")
    assert len(read_data(medium / "DICOMDIR", cache=tmp_path / "c").items) == 14
    assert "were not found and are left out (17 of 31)" in caplog.text
    for name in ("98892001", "77654033"):
        shutil.rmtree(medium / name)
    with pytest.raises(DataError, match="found none; copy the whole medium"):
        read_data(medium / "DICOMDIR", cache=tmp_path / "c")


def test_names_in_lower_case_as_copies_of_media_have_them(medium: Path, tmp_path: Path) -> None:
    for path in sorted(medium.rglob("*"), reverse=True):
        path.rename(path.with_name(path.name.lower()))
    assert len(read_data(medium / "dicomdir", cache=tmp_path / "c").items) == 31
    assert read_data(medium, cache=tmp_path / "c").classes == ()


def test_a_damaged_directory_is_refused_in_one_sentence(medium: Path, tmp_path: Path) -> None:
    whole = (medium / "DICOMDIR").read_bytes()
    (medium / "DICOMDIR").write_bytes(whole[:400])
    with pytest.raises(DataError, match=r"Expected a DICOMDIR in .*give its folder instead\.|found none"):
        read_data(medium / "DICOMDIR", cache=tmp_path / "c")
    assert len(read_data(medium, cache=tmp_path / "c").items) == 31


def test_a_directory_without_a_preamble_is_read(medium: Path, tmp_path: Path) -> None:
    (medium / "DICOMDIR").write_bytes((medium / "DICOMDIR").read_bytes()[132:])
    assert len(read_data(medium / "DICOMDIR", cache=tmp_path / "c").items) == 31


def test_a_directory_of_records_within_records_without_end_is_refused(medium: Path, tmp_path: Path) -> None:
    whole = (medium / "DICOMDIR").read_bytes()
    place = whole.index(b"\x04\x00\x20\x12SQ")
    start = b"\x04\x00\x20\x12SQ\0\0\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff"
    (medium / "DICOMDIR").write_bytes(whole[:place] + start * 5000)
    with pytest.raises(DataError, match=r"Expected a DICOMDIR in .*give its folder instead\."):
        read_data(medium / "DICOMDIR", cache=tmp_path / "c")


def test_records_that_lead_out_of_the_medium_are_not_followed(medium: Path, tmp_path: Path) -> None:
    from featx.dicom import directory_files

    whole = (medium / "DICOMDIR").read_bytes()
    (tmp_path / "outside").write_bytes((medium / "77654033" / "CR1" / "6154").read_bytes())
    written = b"77654033\\CR1\\6154 "
    assert written in whole
    (medium / "DICOMDIR").write_bytes(whole.replace(written, b"..\\outside".ljust(len(written))))
    files, missing = directory_files(medium / "DICOMDIR")
    assert len(files) == 30
    assert missing == ["../outside"]
