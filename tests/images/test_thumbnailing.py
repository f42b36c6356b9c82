from __future__ import annotations

import hashlib
import io
import logging
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from featx.images import thumbnails as thumbnailing
from featx.images.thumbnails import Atlas, atlas_of
from featx.progress import listening

COLOURS = [(220, 40, 40), (40, 200, 60), (50, 60, 230), (230, 210, 40), (120, 120, 120)]


def solid(folder: Path, colour: tuple[int, int, int], number: int, size: tuple[int, int] = (120, 120)) -> Path:
    path = folder / f"{number}.png"
    Image.new("RGB", size, colour).save(path)
    return path


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def cell(atlas: Atlas, number: int) -> NDArray[np.int64]:
    row, column = divmod(number, atlas.columns)
    with Image.open(io.BytesIO(atlas.data)) as image:
        sheet = np.asarray(image.convert("RGB")).astype(int)
    side = atlas.cell
    return np.asarray(sheet[row * side : (row + 1) * side, column * side : (column + 1) * side])


def test_every_file_has_its_thumbnail(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    files = [solid(tmp_path, colour, number) for number, colour in enumerate(COLOURS)]
    told: list[tuple[str, int, int]] = []
    with caplog.at_level(logging.INFO, "featx"), listening(lambda *step: told.append(step)):
        atlas = atlas_of(files, [digest(path) for path in files])
    assert atlas is not None
    assert atlas.found == (True,) * 5
    for number, colour in enumerate(COLOURS):
        assert np.abs(cell(atlas, number) - colour).max() <= 4
    assert told == [("thumbnails", done, 5) for done in range(1, 6)]
    assert not caplog.records


def test_what_is_gone_or_changed_or_no_image_is_blank_and_said_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    files = [solid(tmp_path, colour, number) for number, colour in enumerate(COLOURS)]
    digests = [digest(path) for path in files]
    files[0].unlink()
    solid(tmp_path, (1, 2, 3), 2)  # other bytes at the same place
    files[3].write_bytes(b"no image")
    digests[3] = digest(files[3])
    with caplog.at_level(logging.INFO, "featx"):
        atlas = atlas_of(files, digests)
    assert atlas is not None
    assert atlas.found == (False, True, False, False, True)
    assert np.abs(cell(atlas, 1) - COLOURS[1]).max() <= 4
    assert cell(atlas, 2).max() <= 4
    (notice,) = caplog.messages
    assert notice.startswith("3 of 5 images have no thumbnail")
    assert caplog.records[0].levelno == logging.INFO


def test_too_many_images_have_no_atlas_and_none_is_read(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(thumbnailing, "read_bytes", None)
    with caplog.at_level(logging.INFO, "featx"):
        assert atlas_of([Path("x.png")] * 28_901, ["0" * 64] * 28_901) is None
    assert "at most 28,900 images" in caplog.messages[0]
    assert "28,901" in caplog.messages[0]
    assert atlas_of([], []) is None


def test_sixteen_bits_and_orientation_come_out_right(tmp_path: Path) -> None:
    ramp = tmp_path / "ramp.png"
    Image.fromarray(np.tile(np.linspace(0, 65535, 96).astype(np.uint16), (96, 1))).save(ramp)
    turned = tmp_path / "turned.jpg"
    pixels = np.zeros((400, 800, 3), np.uint8)
    pixels[:, 400:] = 255
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned a quarter to the right: the right half is then the lower
    Image.fromarray(pixels).save(turned, quality=95, exif=exif)
    atlas = atlas_of([ramp, turned], [digest(ramp), digest(turned)])
    assert atlas is not None
    assert np.abs(cell(atlas, 0)[48, :, 0] - np.linspace(0, 255, 96)).max() <= 8
    upright = cell(atlas, 1)[:, :, 0]
    assert (upright[:44, 28:68] < 20).all()
    assert (upright[52:, 28:68] > 235).all()
    assert (upright[:, :20] < 10).all()


def test_a_large_jpeg_gives_nearly_the_same_thumbnail_as_its_full_size(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    coarse = Image.fromarray(rng.integers(0, 256, (4, 5, 3), dtype=np.uint8))
    path = tmp_path / "large.jpg"
    coarse.resize((1500, 1200), Image.Resampling.BICUBIC).save(path, quality=95)
    atlas = atlas_of([path], [digest(path)])
    assert atlas is not None
    with Image.open(path) as image:
        wanted = np.asarray(image.convert("RGB").resize((96, 77), Image.Resampling.LANCZOS)).astype(int)
    found = cell(atlas, 0)[9:86]
    assert np.abs(found - wanted).mean() < 3
