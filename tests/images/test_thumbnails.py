from __future__ import annotations

import base64
import io
import logging
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from pipeline_data import digest

from featx.images import thumbnails
from featx.images.thumbnails import CELLS, MAX_THUMBNAILS, SIDE, Atlas, assembled, atlas_of, cell_side, letterboxed
from featx.progress import listening

COLOURS = [(220, 40, 40), (40, 200, 60), (50, 60, 230), (230, 210, 40), (120, 120, 120)]


def solid(folder: Path, colour: tuple[int, int, int], number: int, size: tuple[int, int] = (120, 120)) -> Path:
    path = folder / f"{number}.png"
    Image.new("RGB", size, colour).save(path)
    return path


def atlas_as_it_is(*files: Path) -> Atlas:
    """The atlas of files that have not changed."""
    atlas = atlas_of(files, [digest(path) for path in files])
    assert atlas is not None
    return atlas


def picture(atlas: Atlas) -> NDArray[np.int64]:
    with Image.open(io.BytesIO(atlas.data)) as image:
        assert image.format == "JPEG"
        return np.asarray(image.convert("RGB")).astype(int)


def cell(atlas: Atlas, number: int) -> NDArray[np.int64]:
    row, column = divmod(number, atlas.columns)
    side = atlas.cell
    return picture(atlas)[row * side : (row + 1) * side, column * side : (column + 1) * side]


def test_every_file_has_its_thumbnail(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    files = [solid(tmp_path, colour, number) for number, colour in enumerate(COLOURS)]
    steps: list[tuple[str, int, int]] = []
    with caplog.at_level(logging.INFO, "featx"), listening(lambda *step: steps.append(step)):
        atlas = atlas_as_it_is(*files)
    assert atlas.filled == (True,) * 5
    for number, colour in enumerate(COLOURS):
        assert np.abs(cell(atlas, number) - colour).max() <= 4
    assert steps == [("thumbnails", done, 5) for done in range(1, 6)]
    assert not caplog.records


def test_missing_changed_and_damaged_images_are_blank_with_one_notice(
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
    assert atlas.filled == (False, True, False, False, True)
    assert np.abs(cell(atlas, 1) - COLOURS[1]).max() <= 4
    assert cell(atlas, 2).max() <= 4
    (notice,) = caplog.messages
    assert notice.startswith("3 of 5 images have no thumbnail")
    assert caplog.records[0].levelno == logging.INFO


def test_too_many_images_have_no_atlas_and_none_is_read(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(thumbnails, "read_bytes", None)
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
    atlas = atlas_as_it_is(ramp, turned)
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
    atlas = atlas_as_it_is(path)
    with Image.open(path) as image:
        wanted = np.asarray(image.convert("RGB").resize((96, 77), Image.Resampling.LANCZOS)).astype(int)
    assert np.abs(cell(atlas, 0)[9:86] - wanted).mean() < 3


@pytest.mark.parametrize(
    ("n", "side"),
    [(1, 96), (1764, 96), (1765, 64), (4096, 64), (4097, 48), (7225, 48), (10_000, 40), (16_384, 32), (28_900, 24)],
)
def test_cells_shrink_so_that_all_fit(n: int, side: int) -> None:
    assert cell_side(n) == side
    assert n <= (SIDE // side) ** 2


def test_beyond_the_limit_there_is_no_atlas() -> None:
    assert MAX_THUMBNAILS == 28_900
    assert cell_side(MAX_THUMBNAILS + 1) is None
    assert cell_side(0) is None


@pytest.mark.parametrize("side", CELLS)
def test_a_wide_image_keeps_its_shape_between_black_bars(side: int) -> None:
    small = letterboxed(np.full((50, 100, 3), 200, np.uint8), side)
    assert small.shape == (side, side, 3)
    bar = side // 4
    assert (small[: bar - 1] == 0).all()
    assert (small[-bar + 1 :] == 0).all()
    assert (small[bar + 1 : -bar - 1] == 200).all()


def test_a_tall_image_and_a_thread_of_pixels_fit_too() -> None:
    tall = letterboxed(np.full((300, 100, 3), 90, np.uint8), 48)
    assert (tall[:, 17:31] == 90).all()
    assert (tall[:, :15] == 0).all()
    assert letterboxed(np.full((1000, 1, 3), 9, np.uint8), 24).shape == (24, 24, 3)


def test_a_small_image_fills_its_cell() -> None:
    pixels = np.zeros((8, 8, 3), np.uint8)
    pixels[:, 4:] = 255
    large = letterboxed(pixels, 64)
    assert (large[:, :24] < 30).all()
    assert (large[:, 40:] > 225).all()


@pytest.mark.parametrize("side", CELLS)
def test_each_image_is_in_its_own_cell(side: int) -> None:
    """Saturated colours beside each other: a cell that bled into the next would not be of one colour."""
    colours = np.random.default_rng(0).choice([0, 255], (7, 3))
    atlas = assembled((np.full((side, side, 3), colour, np.uint8) for colour in colours), 7, side)
    assert (atlas.columns, atlas.rows, atlas.cell) == (3, 3, side)
    assert picture(atlas).shape == (3 * side, 3 * side, 3)
    for number, colour in enumerate(colours):
        assert np.abs(cell(atlas, number) - colour).max() <= 4
    assert base64.b64decode(atlas.uri().removeprefix("data:image/jpeg;base64,")) == atlas.data


def test_a_blank_cell_leaves_the_others_in_place() -> None:
    def cells() -> Iterator[NDArray[np.uint8] | None]:
        yield None
        yield np.full((24, 24, 3), 250, np.uint8)
        yield None

    atlas = assembled(cells(), 3, 24)
    assert atlas.filled == (False, True, False)
    sheet = picture(atlas)
    assert (sheet[:24, 24:] >= 245).all()
    assert (sheet[:24, :24] <= 5).all()
    assert (sheet[24:] <= 5).all()


def test_grey_images_make_a_grey_picture() -> None:
    grey = np.repeat(np.random.default_rng(0).integers(0, 255, (24, 24, 1), np.uint8), 3, axis=2)
    coloured = grey.copy()
    coloured[0, 0] = (255, 0, 0)
    modes = []
    for one in (grey, coloured):
        with Image.open(io.BytesIO(assembled([grey, one], 2, 24).data)) as image:
            modes.append(image.mode)
    assert modes == ["L", "RGB"]
