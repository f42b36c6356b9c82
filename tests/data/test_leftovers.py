from __future__ import annotations

from pathlib import Path

import pytest

from featx.data import refuse_folder_of_images
from featx.errors import UsageError


def test_no_folder_of_images_is_written_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "photos" / "2026").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    for data in ("photos", Path("photos"), "photos/*.jpg", "photos/**/*.jpg", ["x", "photos/a.jpg"]):
        with pytest.raises(UsageError, match=r"apart from the images for the files, received .*photos"):
            refuse_folder_of_images(tmp_path / "photos", data)


def test_folders_beside_and_below_the_images_are_written_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "photos").mkdir()
    monkeypatch.chdir(tmp_path)
    for out in (".", "maps", "photos/maps"):
        refuse_folder_of_images(out, "photos")
    # A manifest lists its images, so it is read as before whatever is written beside it.
    refuse_folder_of_images("photos", "photos/list.csv")
    refuse_folder_of_images("photos", object())
