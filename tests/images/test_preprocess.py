from __future__ import annotations

import importlib
import json
import math
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from featx.errors import DataError, RecipeError
from featx.images.preprocess import ChannelStatistics, Colour, Preprocessing, Rule, in_colour
from featx.networks import BACKBONES, KerasNetwork, find_weights, load_keras, own_preprocessing
from featx.recipes import BackbonePart

MODULES = {
    "vgg16": "vgg16",
    "vgg19": "vgg19",
    "resnet50v2": "resnet_v2",
    "resnet50": "resnet",
    "mobilenetv2": "mobilenet_v2",
    "densenet121": "densenet",
}
# Their Keras networks do it themselves, as layers.
IN_NETWORK = {"efficientnetv2b0": "efficientnet_v2", "convnexttiny": "convnext"}
RULES: tuple[Rule, ...] = ("rescale", "featurewise", "caffe", "tf", "torch")
MEAN, STD = (0.5, 0.25, 0.75), (0.25, 0.5, 0.125)


def some_images(n: int = 3, size: int = 16, seed: int = 0) -> NDArray[np.uint8]:
    """Images whose channels differ, with every grey level somewhere in the first."""
    images = np.random.default_rng(seed).integers(0, 256, (n, size, size, 3), dtype=np.uint8)
    images[0, ..., 0] = np.resize(np.arange(256, dtype=np.uint8), (size, size))
    images[..., 2] //= 2
    return images


def rule_of(rule: Rule) -> Preprocessing:
    return Preprocessing(rule, MEAN, STD) if rule == "featurewise" else Preprocessing(rule)


def scramble(model: Any, seed: int = 0) -> None:
    """Give every weight a seeded value, those of normalisation too, that keeps activations in range."""
    generator = np.random.default_rng(seed)
    drawn = []
    for value in model.get_weights():
        if value.ndim < 2:
            drawn.append(value + generator.normal(0, 0.1, value.shape).clip(-0.5, 0.5))
        else:
            inputs = math.prod(value.shape[:-1]) if value.shape[-1] > 1 else math.prod(value.shape[:2])
            drawn.append(generator.normal(0, math.sqrt(2 / inputs), value.shape))
    model.set_weights(drawn)


def test_every_backbone_of_keras_is_compared_with_it() -> None:
    assert {*MODULES, *IN_NETWORK} == {name for name, row in BACKBONES.items() if row.packaged is None}


@pytest.mark.parametrize("name", MODULES)
def test_the_imagenet_rule_is_keras_own(name: str) -> None:
    load_keras()
    module = importlib.import_module(f"keras.applications.{MODULES[name]}")
    images = some_images()
    expected = module.preprocess_input(images.astype(np.float32))
    np.testing.assert_array_equal(own_preprocessing(name)(images), expected)


@pytest.mark.slow
@pytest.mark.parametrize("name", IN_NETWORK)
def test_the_bare_network_on_preprocessed_pixels_is_keras_network_on_raw_ones(name: str, tmp_path: Path) -> None:
    keras = load_keras()
    module = importlib.import_module(f"keras.applications.{IN_NETWORK[name]}")
    images = some_images(2, 64)
    assert (module.preprocess_input(images) == images).all()

    build = getattr(keras.applications, BACKBONES[name].builder)
    full = build(include_top=False, weights=None, input_shape=(64, 64, 3), pooling="avg", include_preprocessing=True)
    scramble(full)
    file = tmp_path / "full.weights.h5"
    full.save_weights(file)
    expected = full.predict_on_batch(images.astype(np.float32))

    part = BackbonePart(name=name, weights=str(file), pooling="avg")
    network = KerasNetwork(part, (64, 64), find_weights(name, str(file)), batch_size=2)
    error = np.abs(network.rows(own_preprocessing(name)(images)) - expected).max()
    error_of_another_rule = np.abs(network.rows(Preprocessing("tf")(images)) - expected).max()
    assert error < 1e-3 * error_of_another_rule


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("rescale", (0.2, 0.4, 1.0)),
        ("featurewise", (-1.2, 0.3, 2.0)),
        ("caffe", (255 - 103.939, 102 - 116.779, 51 - 123.68)),
        ("tf", (-0.6, -0.2, 1.0)),
        ("torch", ((0.2 - 0.485) / 0.229, (0.4 - 0.456) / 0.224, (1 - 0.406) / 0.225)),
    ],
)
def test_one_pixel_by_hand(rule: Rule, expected: tuple[float, float, float]) -> None:
    pixel = np.array([[[51, 102, 255]]], np.uint8)
    np.testing.assert_allclose(rule_of(rule)(pixel)[0, 0], expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_the_callers_pixels_are_never_changed(rule: Rule, dtype: type[np.generic]) -> None:
    images: NDArray[Any] = some_images().astype(dtype)
    before = images.copy()
    result = rule_of(rule)(images)
    np.testing.assert_array_equal(images, before)
    assert not np.shares_memory(result, images)
    result += 1
    np.testing.assert_array_equal(images, before)


@pytest.mark.parametrize("rule", RULES)
def test_an_image_alone_or_in_a_batch_is_the_same_contiguous_float32(rule: Rule) -> None:
    images = some_images(4)
    images.flags.writeable = False
    together = rule_of(rule)(images)
    assert together.dtype == np.float32
    assert together.shape == images.shape
    assert together.flags.c_contiguous
    for image, row in zip(images, together, strict=True):
        np.testing.assert_array_equal(rule_of(rule)(image), row)


# Affine: as a network's card says


AFFINE: dict[str, Any] = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225), "scale": 1 / 255}


@pytest.mark.parametrize("colour", ["rgb", "bgr"])
def test_affine_pixels_are_scaled_then_centred_in_the_order_of_the_channels(colour: Colour) -> None:
    images = some_images()
    images.flags.writeable = False
    ordered = images if colour == "rgb" else images[..., [2, 1, 0]]
    # The numbers stand in the order of the network's channels, whichever it is.
    expected = (ordered.astype(np.float64) / 255 - AFFINE["mean"]) / AFFINE["std"]
    result = Preprocessing("affine", **AFFINE, colour=colour)(images)
    assert result.dtype == np.float32
    assert result.flags.c_contiguous
    assert result.flags.writeable
    assert not np.shares_memory(result, images)
    np.testing.assert_allclose(result, expected, atol=1e-6)


@pytest.mark.parametrize("rule", ["rescale", "raw", "tf", "torch", "caffe"])
def test_the_other_rules_are_special_cases_of_affine(rule: Rule) -> None:
    same: dict[Rule, dict[str, Any]] = {
        "rescale": {"mean": (0.0,) * 3, "std": (1.0,) * 3, "scale": 1 / 255},
        "raw": {"mean": (0.0,) * 3, "std": (1.0,) * 3},
        "tf": {"mean": (1.0,) * 3, "std": (1.0,) * 3, "scale": 1 / 127.5},
        "torch": AFFINE,
        "caffe": {"mean": (103.939, 116.779, 123.68), "std": (1.0,) * 3, "colour": "bgr"},
    }
    images = some_images()
    ours = Preprocessing("affine", **same[rule])
    np.testing.assert_allclose(ours(images), Preprocessing(rule)(images), rtol=1e-6, atol=1e-6)
    assert ours.key() != Preprocessing(rule).key()
    assert ours.keeps_pixels == Preprocessing(rule).keeps_pixels


def test_grey_is_pillows_and_one_channel() -> None:
    # All 16.7 million colours were compared once. These are fewer, with both ends of each channel.
    levels = np.array([*range(0, 256, 7), 1, 2, 127, 128, 254, 255], np.uint8)
    colours = np.stack(np.meshgrid(levels, levels, levels, indexing="ij"), axis=-1).reshape(len(levels), -1, 3)
    expected = np.asarray(Image.fromarray(colours).convert("L"))[..., None]
    np.testing.assert_array_equal(in_colour(colours, "grey"), expected)
    grey = Preprocessing("affine", (0.5,), (0.25,), 1 / 255, "grey")
    result = grey(colours[None])
    assert (grey.channels, result.shape) == (1, (1, *expected.shape))
    assert result.dtype == np.float32
    np.testing.assert_allclose(result[0], (expected / 255 - 0.5) / 0.25, atol=1e-6)


def test_grey_of_three_equal_channels_is_their_value() -> None:
    levels = np.repeat(np.arange(256, dtype=np.uint8)[:, None], 3, axis=1)
    np.testing.assert_array_equal(in_colour(levels, "grey")[:, 0], np.arange(256))
    assert Preprocessing("affine", (0.0,), (1.0,), 1.0, "grey").keeps_pixels
    assert (Preprocessing("affine", **AFFINE).channels, Preprocessing("torch").channels) == (3, 3)


def test_each_number_of_affine_is_in_the_key() -> None:
    def key(**changes: Any) -> str:
        return json.dumps(Preprocessing("affine", **{**AFFINE, **changes}).key(), sort_keys=True)

    others: list[dict[str, Any]] = [
        {"scale": 1.0},
        {"mean": (0.4, 0.456, 0.406)},
        {"std": (0.2, 0.224, 0.225)},
        {"colour": "bgr"},
    ]
    assert len({key(), *(key(**other) for other in others)}) == 5
    assert key() == key(mean=[0.485, 0.456, 0.406])


def test_affine_without_its_numbers_is_refused() -> None:
    with pytest.raises(RecipeError, match="needs a mean and a deviation of each channel"):
        Preprocessing("affine")(some_images())


def statistics_of(images: list[NDArray[np.uint8]]) -> tuple[Any, Any]:
    statistics = ChannelStatistics()
    for image in images:
        statistics.add(image)
    return statistics.result()


def images_of_many_sizes(seed: int = 0, n: int = 5) -> list[NDArray[np.uint8]]:
    generator = np.random.default_rng(seed)
    shapes = generator.integers(1, 40, (n, 2))
    return [generator.integers(0, 256, (height, width, 3), dtype=np.uint8) for height, width in shapes]


def test_channel_statistics_are_numpys_on_the_same_pixels() -> None:
    images = images_of_many_sizes()
    pixels = np.concatenate([image.reshape(-1, 3) for image in images]).astype(np.float64) / 255
    mean, std = statistics_of(images)
    np.testing.assert_allclose(mean, pixels.mean(axis=0), rtol=1e-13)
    np.testing.assert_allclose(std, pixels.std(axis=0), rtol=1e-12)


def test_channel_statistics_are_exact_where_floats_cancel() -> None:
    # One grey level apart, far from zero: squares minus the mean's square loses digits in floating point.
    image = np.full((1000, 1000, 3), 254, np.uint8)
    image[0, 0] = 255
    mean, std = statistics_of([image])
    n = 10**6
    assert mean == (float(Fraction(254 * n + 1, 255 * n)),) * 3
    assert std == pytest.approx((math.sqrt((n - 1) / n**2) / 255,) * 3, rel=1e-15)


def test_featurewise_pixels_have_mean_zero_and_deviation_one() -> None:
    images = some_images(8, 32)
    pixels = Preprocessing("featurewise", *statistics_of(list(images)))(images).reshape(-1, 3).astype(np.float64)
    np.testing.assert_allclose(pixels.mean(axis=0), 0, atol=1e-6)
    np.testing.assert_allclose(pixels.std(axis=0), 1, atol=1e-6)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.randoms(use_true_random=False))
def test_neither_order_nor_division_into_images_changes_a_bit(seed: int, random: Any) -> None:
    images = images_of_many_sizes(seed, 4)
    pieces = [piece for image in images for piece in np.array_split(image, 3) if len(piece)]
    random.shuffle(pieces)
    assert statistics_of(pieces) == statistics_of(images)


@pytest.mark.parametrize("channel", [0, 1, 2])
def test_a_channel_that_is_the_same_everywhere_is_refused(channel: int) -> None:
    images = some_images()
    images[..., channel] = 77
    with pytest.raises(DataError, match="a channel is the same everywhere; use --preprocess rescale") as caught:
        statistics_of(list(images))
    assert caught.value.exit_code == 1


def test_no_image_has_no_statistics() -> None:
    with pytest.raises(DataError, match="needs training images, and the data has none"):
        ChannelStatistics().result()


def test_featurewise_without_statistics_is_refused_before_it_does_anything() -> None:
    unknown = Preprocessing("featurewise")
    for use in (lambda: unknown(some_images()), unknown.key):
        with pytest.raises(RecipeError, match="needs the channel means and deviations of training images"):
            use()


def test_the_key_tells_rules_and_statistics_apart() -> None:
    keys = [dict(rule_of(rule).key()) for rule in RULES]
    keys.append(dict(Preprocessing("featurewise", MEAN, (0.25, 0.5, 0.126)).key()))
    keys.append(dict(Preprocessing("featurewise", (0.5, 0.25, 0.76), STD).key()))
    assert len({repr(key) for key in keys}) == len(keys)
    assert rule_of("featurewise").key() == {"rule": "featurewise", "mean": list(MEAN), "std": list(STD)}
    # Statistics that a rule does not use do not split the cache.
    assert Preprocessing("rescale", MEAN, STD).key() == Preprocessing("rescale").key()
