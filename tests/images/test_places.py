"""The bytes that a path stands for."""

from __future__ import annotations

from pathlib import Path

import pytest
from archive_files import pictures, write_zip

from featx.errors import ImageError
from featx.images import read_bytes


def test_files_members_and_frames_of_both(tmp_path: Path) -> None:
    (data,) = pictures(1)
    (tmp_path / "scan.dcm").write_bytes(data)
    archive = write_zip(tmp_path / "x.zip", {"s/1.dcm": data, "s/frame-7": b"a file of this name"})
    for file in (tmp_path / "scan.dcm", archive / "s/1.dcm"):
        assert read_bytes(file, "x") == data
        assert read_bytes(file / "frame-0", "x") == data  # so that it has the row of the whole file
        assert read_bytes(file / "frame-3", "x") == b"featx frame 3\n" + data
    assert read_bytes(archive / "s/frame-7", "x") == b"a file of this name"


@pytest.mark.parametrize(
    "place", ["none.png", "x.zip/s/2.dcm", "x.zip/none/frame-1", "scan.dcm/other", "none/frame-1"]
)
def test_what_is_not_there_is_said_so(tmp_path: Path, place: str) -> None:
    (tmp_path / "scan.dcm").write_bytes(b"1")
    write_zip(tmp_path / "x.zip", {"s/1.dcm": b"1"})
    with pytest.raises(ImageError, match=r"image.png does not exist"):
        read_bytes(tmp_path / place, "image.png")


def test_what_is_wrong_with_an_archive_is_said_of_its_images(tmp_path: Path) -> None:
    (tmp_path / "x.zip").write_bytes(b"no archive")
    with pytest.raises(ImageError, match=r"x.zip/1.png is damaged or no ZIP archive: File is not a zip file; use"):
        read_bytes(tmp_path / "x.zip/1.png", "x.zip/1.png")
    empty = write_zip(tmp_path / "y.zip", {"1.png": b""})
    with pytest.raises(ImageError, match="is empty"):
        read_bytes(empty / "1.png", "1.png")
