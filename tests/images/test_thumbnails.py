from __future__ import annotations

import base64
import io
from collections.abc import Iterator

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from featx.images.thumbnails import CELLS, LIMIT, SIDE, Atlas, assembled, cell_side, letterboxed


def picture(atlas: Atlas) -> NDArray[np.uint8]:
    with Image.open(io.BytesIO(atlas.data)) as image:
        assert image.format == "JPEG"
        return np.asarray(image.convert("RGB"))


@pytest.mark.parametrize(
    ("n", "side"),
    [(1, 96), (1764, 96), (1765, 64), (4096, 64), (4097, 48), (7225, 48), (10_000, 40), (16_384, 32), (28_900, 24)],
)
def test_cells_shrink_so_that_all_fit(n: int, side: int) -> None:
    assert cell_side(n) == side
    assert n <= (SIDE // side) ** 2


def test_beyond_the_limit_there_is_no_atlas() -> None:
    assert LIMIT == 28_900
    assert cell_side(LIMIT + 1) is None
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
    sheet = picture(atlas).astype(int)
    assert sheet.shape == (3 * side, 3 * side, 3)
    for number, colour in enumerate(colours):
        row, column = divmod(number, 3)
        cell = sheet[row * side : (row + 1) * side, column * side : (column + 1) * side]
        assert np.abs(cell - colour).max() <= 4
    assert base64.b64decode(atlas.uri().removeprefix("data:image/jpeg;base64,")) == atlas.data


def test_a_blank_cell_moves_no_other() -> None:
    def cells() -> Iterator[NDArray[np.uint8] | None]:
        yield None
        yield np.full((24, 24, 3), 250, np.uint8)
        yield None

    atlas = assembled(cells(), 3, 24)
    assert atlas.found == (False, True, False)
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
