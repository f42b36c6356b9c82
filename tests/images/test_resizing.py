from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from featx.errors import UsageError
from featx.images.resizing import RESIZE_METHODS, placement, resize
from featx.recipes import Fit, ImagesPart

# Of torchvision 0.28 on Pillow images: CenterCrop(size)(Resize(resize_to or size)(pattern(height, width))).
# Height and width of the image, size, resize_to, method; whole height, whole width, top, left; start of the SHA-256.
TORCHVISION: list[tuple[Any, ...]] = [
    ((50, 70), 32, 36, "bilinear", (36, 50, 2, 9), "54031cc76da9"),
    ((70, 50), 32, 36, "bicubic", (50, 36, 9, 2), "cdc88ce4f70c"),
    ((51, 77), 33, None, "bicubic", (33, 49, 0, 8), "6b3b5a7d1cb4"),
    ((90, 41), 32, 39, "lanczos", (85, 39, 26, 4), "1cc995de1b6c"),
    ((20, 33), 48, 50, "bicubic", (50, 82, 1, 17), "a8f75e7e955b"),
    ((17, 16), 40, None, "bilinear", (42, 40, 1, 0), "0e27b2982170"),
    ((64, 64), 32, 37, "bilinear", (37, 37, 2, 2), "8406e2e197fa"),
    ((60, 80), (24, 32), 33, "bicubic", (33, 44, 4, 6), "426f621a87d3"),
    ((60, 80), (32, 24), 40, "bilinear", (40, 53, 4, 14), "acd343ec0dbf"),
]


COLOUR = np.random.default_rng(5).integers(0, 256, (13, 9, 3), dtype=np.uint8)


def pattern(height: int, width: int) -> NDArray[np.uint8]:
    y, x = np.mgrid[:height, :width]
    return np.stack([(7 * x + 3 * y) % 256, (x * y) % 256, (255 - 5 * x - y) % 256], axis=2).astype(np.uint8)


def pillow(image: NDArray[np.uint8], height: int, width: int, method: str) -> NDArray[np.uint8]:
    return np.array(Image.fromarray(image).resize((width, height), getattr(Image.Resampling, method.upper())))


# To the size itself


@pytest.mark.parametrize("method", RESIZE_METHODS)
def test_every_method_resizes_with_antialiasing(method: str) -> None:
    stripes = np.zeros((64, 64, 3), np.uint8)
    stripes[:, ::2] = 255
    small = resize(stripes, 8, method)
    assert small.shape == (8, 8, 3)
    assert small.dtype == np.uint8
    assert np.abs(small[:, 2:6].astype(int) - 127).max() <= 12  # without it, all black or all white


def test_box_resizing_takes_means() -> None:
    means = COLOUR[:12, :8].reshape(4, 3, 4, 2, 3).mean(axis=(1, 3))
    assert np.abs(resize(COLOUR[:12, :8], 4, "box") - means).max() <= 1  # rounded by rows, then by columns


@pytest.mark.parametrize("fit", ["stretch", "crop", "pad"])
def test_resizing_leaves_its_input_and_returns_an_array_of_its_own(fit: Fit) -> None:
    image = np.ascontiguousarray(COLOUR[:9, :9])
    image.flags.writeable = False
    same = resize(image, 9, "bilinear", fit)
    assert np.array_equal(same, image)
    same[:] = 0
    assert image.any()


@pytest.mark.parametrize("method", RESIZE_METHODS)
def test_an_image_is_stretched_to_any_height_and_width(method: str) -> None:
    image = pattern(37, 52)
    assert np.array_equal(resize(image, (20, 61), method), pillow(image, 20, 61, method))
    assert np.array_equal(resize(image, (24, 24), method), resize(image, 24, method))


# Cropped


@pytest.mark.parametrize(("image", "size", "resize_to", "method", "placed", "digest"), TORCHVISION)
def test_crops_are_those_of_torchvision(
    image: tuple[int, int], size: Any, resize_to: int | None, method: str, placed: tuple[int, ...], digest: str
) -> None:
    shape = (size, size) if isinstance(size, int) else size
    whole_height, whole_width, top, left = placed
    whole = pillow(pattern(*image), whole_height, whole_width, method)
    expected = whole[top : top + shape[0], left : left + shape[1]]
    assert hashlib.sha256(expected.tobytes()).hexdigest()[:12] == digest
    assert placement(image, shape, "crop", resize_to) == placed
    assert np.array_equal(resize(pattern(*image), size, method, "crop", resize_to), expected)


@pytest.mark.parametrize("difference", range(9))
def test_the_centre_is_where_torchvision_has_it(difference: int) -> None:
    top = (0, 0, 1, 2, 2, 2, 3, 4, 4)[difference]  # halves go to even numbers there: 0.5 to 0, 1.5 to 2
    image = pattern(32 + difference, 60)
    cropped = resize(image, 32, "bicubic", "crop", 32 + difference)
    assert np.array_equal(cropped, image[top : top + 32, 14:46])


@pytest.mark.parametrize("image", [(30, 90), (90, 30), (33, 40), (7, 5), (400, 401)])
@pytest.mark.parametrize("shape", [(32, 32), (24, 40), (40, 24)])
def test_without_a_side_the_image_just_covers_the_input(image: tuple[int, int], shape: tuple[int, int]) -> None:
    height, width, top, left = placement(image, shape, "crop")
    assert height == shape[0] or width == shape[1]
    assert 0 <= top <= height - shape[0]
    assert 0 <= left <= width - shape[1]
    assert abs(height * image[1] - width * image[0]) < max(image)  # the aspect ratio, but for less than a pixel
    expected = pillow(pattern(*image), height, width, "bilinear")[top : top + shape[0], left : left + shape[1]]
    assert np.array_equal(resize(pattern(*image), shape, "bilinear", "crop"), expected)


def test_a_stretched_square_is_cropped_to_its_centre() -> None:
    image = pattern(50, 90)
    assert np.array_equal(
        resize(image, (32, 24), "lanczos", "stretch", 40), pillow(image, 40, 40, "lanczos")[4:36, 8:32]
    )


@pytest.mark.parametrize("turned", [False, True])
def test_of_a_very_long_image_only_the_part_that_is_seen_is_computed(turned: bool) -> None:
    # In whole it would be 224 million pixels long, 200 GB. What is seen is as wide as high: one pixel.
    line = np.repeat((np.arange(1_000_000) // 400 % 256).astype(np.uint8)[:, None], 3, axis=1)
    seen = resize(line[:, None] if turned else line[None], 224, "bilinear", "crop")
    before, after = 499_999 // 400 % 256, 500_000 // 400 % 256
    assert (before, after) == (225, 226)
    assert seen.shape == (224, 224, 3)
    assert set(np.unique(seen)) == {before, after}
    assert abs(float(seen.mean()) - 225.5) < 0.01


def test_the_part_that_is_seen_is_that_of_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    image = pattern(60, 400)
    whole = resize(image, 32, "bicubic", "crop", 40)
    monkeypatch.setattr("featx.images.resizing.MOST_PIXELS", 0)
    monkeypatch.setattr("featx.images.resizing.MOST_SQUARES", 0)
    part = resize(image, 32, "bicubic", "crop", 40)
    assert np.abs(part.astype(int) - whole).max() <= 2  # Pillow keeps its place in 32 bits


# Padded


@pytest.mark.parametrize(
    ("image", "shape", "size", "corner"),
    [
        ((30, 60), (32, 32), (16, 32), (8, 0)),
        ((60, 30), (32, 32), (32, 16), (0, 8)),
        ((31, 60), (32, 32), (17, 32), (7, 0)),  # 16.53 rows, and of 15 black ones 7 above
        ((45, 64), (32, 64), (32, 46), (0, 9)),  # 45.51 columns
        ((20, 20), (24, 40), (24, 24), (0, 8)),
        ((1, 900), (32, 32), (1, 32), (15, 0)),  # never no row at all
    ],
)
def test_a_padded_image_keeps_its_aspect_ratio_in_the_middle_of_black(
    image: tuple[int, int], shape: tuple[int, int], size: tuple[int, int], corner: tuple[int, int]
) -> None:
    original = pattern(*image) | np.uint8(1)  # no black of its own
    expected = np.zeros((*shape, 3), np.uint8)
    (height, width), (top, left) = size, corner
    expected[top : top + height, left : left + width] = pillow(original, height, width, "bicubic")
    assert np.array_equal(resize(original, shape, "bicubic", "pad"), expected)


# Arguments


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((8, "nearest"), "must be one of bilinear, bicubic, lanczos, box, hamming; received 'nearest'"),
        ((0, "box"), "at least 1 pixel; received 0"),
        (((8, 0), "box"), "at least 1 pixel; received 0"),
        ((8, "box", "cover"), "must be one of stretch, crop, pad; received 'cover'"),
        ((8, "box", "pad", 9), "must be None for fit 'pad'; received 9"),
        (((8, 10), "box", "crop", 9), "at least 10, the longer side of the result; received 9"),
    ],
)
def test_what_is_not_possible_is_refused(arguments: tuple[Any, ...], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        resize(COLOUR, *arguments)


def test_the_names_are_those_of_recipes() -> None:
    for method in RESIZE_METHODS:
        ImagesPart.model_validate({"resize": method})
    for fit in ("stretch", "crop", "pad"):
        resize(COLOUR, 8, "box", ImagesPart(fit=fit).fit)
