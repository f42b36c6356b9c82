"""Inputs that are not square, and images that are cropped or padded, from the recipe to the rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image as PillowImage
from pipeline_data import VIEWS, expected_rows, rows_by_digest, small_recipe, write_model

from featx.data import Item
from featx.errors import UsageError
from featx.features import FeatureExtractor, FeatureSpace, extract
from featx.features.choice import with_size
from featx.features.compute import compute
from featx.features.decoding import Work
from featx.features.hashing import Image, digest_of_array
from featx.images import ViewSpec, view
from featx.networks import find_weights
from featx.recipes import ImagesPart, Recipe, override
from featx.store import Store

BILINEAR = PillowImage.Resampling.BILINEAR
HEIGHT, WIDTH = 24, 40


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network for images of any size."""
    return write_model(tmp_path_factory.mktemp("model") / "any.keras", size=None)


@pytest.fixture(scope="module")
def images() -> list[NDArray[np.uint8]]:
    generator = np.random.default_rng(3)
    return [generator.integers(1, 256, (*shape, 3), dtype=np.uint8) for shape in [(50, 60), (33, 90), (70, 31)]]


@pytest.fixture(scope="module")
def data(images: list[NDArray[np.uint8]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("data")
    for number, image in enumerate(images):
        folder = root / "train" / "ab"[number % 2]
        folder.mkdir(parents=True, exist_ok=True)
        PillowImage.fromarray(image).save(folder / f"{number}.png")
    return root


def scaled(image: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    return np.asarray(PillowImage.fromarray(image).resize((width, height), BILINEAR))


def stretched(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return scaled(image, HEIGHT, WIDTH)


def cropped(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The shorter side to 44 pixels, and the centre cut out."""
    height, width = image.shape[:2]
    whole = scaled(image, 44, 44 * width // height) if height < width else scaled(image, 44 * height // width, 44)
    top, left = round((whole.shape[0] - HEIGHT) / 2), round((whole.shape[1] - WIDTH) / 2)
    return whole[top : top + HEIGHT, left : left + WIDTH]


def padded(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    height, width = image.shape[:2]
    factor = min(HEIGHT / height, WIDTH / width)
    small = scaled(image, int(height * factor + 0.5), int(width * factor + 0.5))
    result = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    top, left = (HEIGHT - small.shape[0]) // 2, (WIDTH - small.shape[1]) // 2
    result[top : top + small.shape[0], left : left + small.shape[1]] = small
    return result


FITS: list[tuple[dict[str, Any], Any]] = [
    ({}, stretched),
    ({"images.fit": "crop", "images.resize_to": 44}, cropped),
    ({"images.fit": "pad"}, padded),
]


def shaped(model: Path, changes: dict[str, Any] | None = None) -> Recipe:
    return small_recipe(model, {"images.size": HEIGHT, "images.width": WIDTH, **(changes or {})})


@pytest.mark.parametrize(("changes", "by_hand"), FITS, ids=["stretch", "crop", "pad"])
def test_rows_are_those_of_pillow_and_plain_keras(
    changes: dict[str, Any],
    by_hand: Any,
    model: Path,
    data: Path,
    images: list[NDArray[np.uint8]],
    tmp_path: Path,
) -> None:
    recipe = shaped(model, changes)
    extraction = extract(data, recipe, cache=tmp_path / "cache", engine="keras", batch_size=2)
    rows = rows_by_digest(extraction)
    expected = expected_rows(model, [by_hand(image) for image in images])
    ours = {image.item.id: rows[image.digest] for image in extraction.images}
    names = sorted(ours, key=lambda name: Path(name).name)
    np.testing.assert_allclose(np.stack([ours[name] for name in names]), expected, rtol=1e-5, atol=1e-6)
    assert extract(data, recipe, cache=tmp_path / "cache").computed == 0


def test_both_engines_give_the_same_rows(model: Path, data: Path, tmp_path: Path) -> None:
    pytest.importorskip("openvino", reason="needs OpenVINO")
    one, other = (
        extract(data, shaped(model), cache=tmp_path / engine, engine=engine).table().X
        for engine in ("keras", "openvino")
    )
    assert one.shape == (3, 3 * 5 * 6)
    np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


def test_views_are_those_of_the_input(
    model: Path, data: Path, images: list[NDArray[np.uint8]], tmp_path: Path
) -> None:
    recipe = shaped(model, {"views.count": 2, **{f"views.{name}": value for name, value in VIEWS.items()}})
    extraction = extract(data, recipe, cache=tmp_path / "cache", engine="keras")
    (last,) = (image for image in extraction.images if image.item.path.name == "2.png")
    row = extraction.view_rows([last], 2)[np.array([1])][0]
    turned = view(stretched(images[2]), ViewSpec(rotation=20.0, shift=0.1, horizontal_flip=True), last.digest, 1)
    assert turned.shape == (HEIGHT, WIDTH, 3)
    np.testing.assert_allclose(row, expected_rows(model, [turned])[0], rtol=1e-5, atol=1e-6)


def test_statistics_are_those_of_the_input(
    model: Path, data: Path, images: list[NDArray[np.uint8]], tmp_path: Path
) -> None:
    recipe = shaped(model, {"images.fit": "pad", "preprocess.mode": "featurewise"})
    extraction = extract(data, recipe, cache=tmp_path / "cache", engine="keras")
    pixels = np.stack([padded(image) for image in images]).reshape(-1, 3) / 255
    part = extraction.spec.preprocess
    assert part.mean == pytest.approx(pixels.mean(axis=0), rel=1e-9)
    assert part.std == pytest.approx(pixels.std(axis=0), rel=1e-9)


class PixelNetwork:
    """Preprocesses pixels itself; its features are each image's sum and first value."""

    name, width, parameters, batch_size, takes_pixels = "fake", 2, 0, 2, True

    def rows(self, images: NDArray[Any]) -> NDArray[np.float32]:
        assert images.dtype == np.uint8
        return np.stack([images.sum(axis=(1, 2, 3)), images[:, 0, 0, 0]], axis=1).astype(np.float32)

    def stream(self, batches: Iterable[NDArray[Any]]) -> Iterator[NDArray[np.float32]]:
        return map(self.rows, batches)


def test_a_network_that_preprocesses_itself_gets_pixels(
    model: Path, images: list[NDArray[np.uint8]], tmp_path: Path
) -> None:
    space = FeatureSpace(shaped(model), find_weights(str(model)), Store(tmp_path / "cache"))
    work = [
        Work(Image(Item(str(n), Path(str(n)), "a", "train", pixels=image), digest_of_array(image)), (0,))
        for n, image in enumerate(images)
    ]
    assert compute(work, space, PixelNetwork(), "fail") == {}
    rows = space.plain.rows([(item.image.digest, 0) for item in work]).to_array()
    expected = [[stretched(image).sum(dtype=np.int64), stretched(image)[0, 0, 0]] for image in images]
    np.testing.assert_array_equal(rows, np.array(expected, np.float32))


# The key


def test_the_key_of_a_stretched_square_is_what_it_was() -> None:
    """If this fails, rows in users' caches are not found any more."""
    assert ImagesPart(size=32, resize="box").key() == {"size": 32, "resize": "box"}
    assert ImagesPart(size=32, width=32).key() == {"size": 32, "resize": "bilinear"}
    further: dict[str, Any] = {"width": 40, "fit": "crop", "resize_to": 44}
    assert ImagesPart(size=32, **further).key() == {"size": 32, "resize": "bilinear", **further}


# The size that is asked for


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        (None, (224, None, 256)),
        (112, (112, None, 128)),
        ((112, 112), (112, None, 128)),
        ([448, 224], (448, 224, 512)),
        (8, (8, None, 9)),
        (4096, (4096, None, 4681)),
    ],
)
def test_another_size_shows_the_same_share_of_an_image(model: Path, size: Any, expected: tuple[Any, ...]) -> None:
    recipe = small_recipe(model, {"images.size": 224, "images.fit": "crop", "images.resize_to": 256})
    part = with_size(recipe, size).images
    assert (part.size, part.width, part.resize_to) == expected
    assert part.fit == "crop"


def test_one_number_makes_a_wide_input_square(model: Path) -> None:
    part = with_size(shaped(model), 32).images
    assert part == ImagesPart(size=32)


@pytest.mark.parametrize("size", [0, 4097, (32, 7), (32, 32, 3), "32", 32.0, (32, "40")])
def test_a_size_that_is_none_is_refused(model: Path, size: Any) -> None:
    with pytest.raises(UsageError, match=r"images\.(size|width)"):
        with_size(shaped(model), size)


def test_the_transformer_takes_height_and_width(model: Path, images: list[NDArray[np.uint8]], tmp_path: Path) -> None:
    extractor = FeatureExtractor(
        backbone=str(model), size=(HEIGHT, WIDTH), preprocess="rescale", pooling="none", cache=tmp_path / "cache"
    )
    expected = expected_rows(model, [stretched(image) for image in images])
    np.testing.assert_allclose(extractor.fit_transform(images), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"images.resize_to": 39}, "at least 40, the longer side of the input, received 39"),
        ({"images.fit": "pad", "images.resize_to": 44}, "for fit 'stretch' and 'crop', not for 'pad'"),
        ({"images.fit": "cover"}, "'stretch', 'crop' or 'pad', received 'cover'"),
    ],
)
def test_fields_that_do_not_go_together_are_refused(model: Path, changes: dict[str, Any], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        override(shaped(model), changes)
