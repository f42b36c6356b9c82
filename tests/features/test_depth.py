"""The depth of samples of more than 8 bits: decided once for a data set, kept in the run, and used for new images."""

from __future__ import annotations

import io
import logging
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from featx import FeatureExtractor, extract, fit_head, predict
from featx.features.depth import depth_of
from featx.images import SampleDepth, SampleRange, decode, may_be_deep, sample_range
from featx.recipes import DepthPart, load_recipe, load_written_recipe
from featx.store import Store


def png(samples: NDArray[np.uint16]) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(samples).save(buffer, "PNG")
    return buffer.getvalue()


def npy(samples: NDArray[np.generic]) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, samples)
    return buffer.getvalue()


def radiograph(seed: int, high: int = 3000) -> NDArray[np.uint16]:
    return np.random.default_rng(seed).integers(0, high, (40, 40)).astype(np.uint16)


@pytest.fixture
def twelve_bits(tmp_path: Path) -> Path:
    """Images of 12 bits in files of 16, of two classes."""
    for number, (split, name) in enumerate([("train", "a"), ("train", "b"), ("test", "a"), ("test", "b")]):
        folder = tmp_path / "data" / split / name
        folder.mkdir(parents=True)
        for image in range(6 if split == "train" else 2):
            (folder / f"{image}.png").write_bytes(png(radiograph(10 * number + image)))
    return tmp_path / "data"


# --- levels ---


def test_one_sample_does_not_change_the_levels_of_the_others() -> None:
    samples = radiograph(0)
    samples[0, 0] = 4095
    other = samples.copy()
    other[0, 0] = 4096
    depth = SampleDepth(white=4095)
    np.testing.assert_array_equal(decode(png(samples), "x", depth=depth), decode(png(other), "x", depth=depth))
    # An image by itself would be of 12 or of 14 bits.
    assert decode(png(samples), "x")[1:].mean() > 3 * decode(png(other), "x")[1:].mean()


def test_levels_by_a_depth_are_those_of_the_formula_and_clipped() -> None:
    samples = np.array([[0, 100, 4095, 5000]], np.uint16)
    levels = decode(png(samples), "x", depth=SampleDepth(white=4095))[0, :, 0]
    assert levels.tolist() == [0, round(100 * 255 / 4095), 255, 255]
    floats = np.array([[-1.0, 0.0, 0.5, 2.0]], np.float32)
    levels = decode(npy(floats), "x", depth=SampleDepth(linear=(0.0, 1.0)))[0, :, 0]
    assert levels.tolist() == [0, 0, 128, 255]
    wide = np.array([[-1024, 0, 3071, 70000]], np.int32)
    levels = decode(npy(wide), "x", depth=SampleDepth(linear=(-1024.0, 3071.0)))[0, :, 0]
    assert levels.tolist() == [0, 64, 255, 255]


@pytest.mark.parametrize("kind", ["i2", ">i2", "u2", "i4", "i8"])
def test_a_depth_may_be_beyond_what_a_type_holds(kind: str) -> None:
    samples = np.array([[0, 1000, 32767]], kind)
    assert decode(npy(samples), "x", depth=SampleDepth(white=65535))[0, :, 0].tolist() == [0, 4, 127]
    floats = np.array([[-100, 0, 300]], np.float16)
    levels = decode(npy(floats), "x", depth=SampleDepth(linear=(0.0, 100_000.0)))[0, :, 0]
    assert levels.tolist() == [0, 0, 1]


def test_colours_of_12_bits_follow_the_depth() -> None:
    samples = np.array([[[4095, 2048, 0]]], np.uint16)
    assert decode(npy(samples), "x", depth=SampleDepth(white=4095))[0, 0].tolist() == [255, 128, 0]
    assert decode(npy(samples), "x", depth=SampleDepth(white=65535))[0, 0].tolist() == [16, 8, 0]


def test_images_of_8_bits_know_no_depth() -> None:
    samples = np.arange(16, dtype=np.uint8).reshape(4, 4)
    buffer = io.BytesIO()
    Image.fromarray(samples).save(buffer, "PNG")
    assert not may_be_deep(buffer.getvalue())
    assert sample_range(buffer.getvalue(), "x") is None
    expected = decode(buffer.getvalue(), "x")
    np.testing.assert_array_equal(decode(buffer.getvalue(), "x", depth=SampleDepth(white=4095)), expected)
    assert may_be_deep(png(radiograph(0)))
    assert sample_range(npy(np.array([[3, 900]], np.uint16)), "x") == SampleRange(False, 3, 900)


# --- what the training images decide ---


@pytest.mark.parametrize(
    ("ranges", "expected"),
    [
        ([], None),
        ([(False, 0, 200), (False, 5, 3000)], DepthPart(white=4095)),
        ([(False, 0, 4095), (False, 0, 4096)], DepthPart(white=16383)),
        ([(False, 0, 40_000)], DepthPart(white=65535)),
        ([(True, 0.0, 0.5), (True, 0.1, 1.0)], DepthPart(low=0.0, high=1.0)),
        ([(True, 0.0, 0.5), (True, 0.0, 254.0)], DepthPart(low=0.0, high=255.0)),
        ([(True, -3.0, 0.5), (True, 0.0, 4.0)], DepthPart(low=-3.0, high=4.0)),
        ([(False, -1024, 3071), (False, 0, 900)], DepthPart(white=1023, low=-1024.0, high=3071.0)),
        ([(True, 2.0, 2.0)], DepthPart(low=0.0, high=255.0)),
    ],
)
def test_the_smallest_common_depth_holds_all(
    ranges: list[tuple[bool, float, float]], expected: DepthPart | None
) -> None:
    assert depth_of([SampleRange(*one) for one in ranges]) == expected


def test_the_training_images_decide_and_say_so(
    twelve_bits: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "featx")
    extraction = extract(twelve_bits, cache=tmp_path / "cache", size=32)
    assert extraction.spec.images.depth == DepthPart(white=4095)
    assert "White is 4095 (12 bits) in 12 training images of more than 8 bits." in caplog.messages
    again = extract(twelve_bits, cache=tmp_path / "cache", size=32)
    assert (again.computed, again.space.plain.id) == (0, extraction.space.plain.id)


@pytest.mark.parametrize("high", [3000.7, 1e300])
def test_the_range_of_floats_is_the_same_when_the_cache_has_it(tmp_path: Path, high: float) -> None:
    for number, name in enumerate(("a", "b")):
        (tmp_path / "data" / name).mkdir(parents=True)
        samples = np.random.default_rng(number).uniform(-1024.3, high, (40, 40))
        (tmp_path / "data" / name / "x.npy").write_bytes(npy(samples))
    extraction = extract(tmp_path / "data", cache=tmp_path / "cache", size=32)
    again = extract(tmp_path / "data", cache=tmp_path / "cache", size=32)
    assert (again.computed, again.spec.images.depth) == (0, extraction.spec.images.depth)


def test_a_mixture_of_depths_is_warned_of(
    twelve_bits: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (twelve_bits / "train" / "a" / "bright.png").write_bytes(png(radiograph(99, 65535)))
    extraction = extract(twelve_bits, cache=tmp_path / "cache", size=32)
    assert extraction.spec.images.depth == DepthPart(white=65535)
    (warning,) = [message for message in caplog.messages if "several depths" in message]
    assert "12 bits 12" in warning
    assert "16 bits 1 (such as train/a/bright.png)" in warning


@pytest.mark.parametrize(("dark", "warned"), [(1, False), (2, True)])
def test_a_few_dark_images_are_no_mixture_of_depths(
    dark: int, warned: bool, twelve_bits: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(dark):
        (twelve_bits / "train" / "a" / f"dark-{number}.png").write_bytes(png(radiograph(50 + number, 900)))
    extract(twelve_bits, cache=tmp_path / "cache", size=32)
    assert any("10 bits 2" in message for message in caplog.messages) == warned


def test_each_image_decides_where_a_recipe_says_so(twelve_bits: Path, tmp_path: Path) -> None:
    recipe = load_recipe("linear", {"images.depth": "image", "images.size": 32})
    extraction = extract(twelve_bits, recipe, cache=tmp_path / "cache")
    assert extraction.spec.images.depth == "image"
    assert "depth" not in extraction.space.plain.description["images"]


def test_images_of_8_bits_keep_their_keys(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / "data" / name).mkdir(parents=True)
        Image.new("RGB", (40, 40), name and "red").save(tmp_path / "data" / name / f"{name}.png")
    extraction = extract(tmp_path / "data", cache=tmp_path / "cache", size=32)
    assert extraction.spec.images.depth == "image"
    assert "depth" not in extraction.space.plain.description["images"]


def test_a_run_keeps_the_depth_for_new_images(
    twelve_bits: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    cache = tmp_path / "cache"
    fit_head(twelve_bits, out=tmp_path / "run", cache=cache, size=32, epochs=2)
    assert load_written_recipe(tmp_path / "run" / "recipe.toml").images.depth == DepthPart(white=4095)
    samples = radiograph(7)
    for name, value in (("x", 4095), ("y", 4096)):
        samples[0, 0] = value
        (tmp_path / f"{name}.png").write_bytes(png(samples))
    one, other = predict(tmp_path / "run", [tmp_path / "x.png", tmp_path / "y.png"], cache=cache).rows
    assert one.probabilities == other.probabilities
    (warning,) = [message for message in caplog.messages if "beyond what is black and white" in message]
    assert "y.png" in warning


def test_a_transformer_has_the_rows_of_extract(
    twelve_bits: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    extraction = extract(twelve_bits, cache=tmp_path / "cache", size=32)
    extractor = FeatureExtractor(size=32, cache=tmp_path / "cache")
    extractor.fit(sorted((twelve_bits / "train").rglob("*.png")))
    assert extractor.spec_.images.depth == DepthPart(white=4095)
    assert extractor.feature_set_ == extraction.space.plain.id
    bright = tmp_path / "bright.png"
    bright.write_bytes(png(radiograph(0, 9000)))
    extractor.transform([bright])
    assert any("beyond what is black and white" in message and "bright.png" in message for message in caplog.messages)


def test_a_recipe_that_was_written_before_lets_each_image_decide(twelve_bits: Path, tmp_path: Path) -> None:
    fit_head(twelve_bits, out=tmp_path / "run", cache=tmp_path / "cache", size=32, epochs=1)
    path = tmp_path / "run" / "recipe.toml"
    text = path.read_text("utf-8").replace("[images.depth]\nwhite = 4095\n", "")
    assert "depth" not in text
    path.write_text(text, "utf-8")
    assert load_written_recipe(path).images.depth == "image"
    # In a recipe that is used anew, the images decide.
    assert load_recipe(path).images.depth == "data"


def test_a_cache_that_cannot_be_written_is_no_reason_to_stop(
    twelve_bits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    extract(twelve_bits, cache=tmp_path / "cache", size=32)
    space = Store(tmp_path / "cache").space({"kind": "sample ranges", "decode": 1})
    assert space.stored() == 16
    for shard in space.path.iterdir():
        shard.unlink()
    monkeypatch.setattr("featx.store.store.write_description", refuse)
    assert extract(twelve_bits, cache=tmp_path / "cache", size=32).computed == 0


def refuse(*_: object) -> None:
    raise PermissionError(13, "Permission denied")
