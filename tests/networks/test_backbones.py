from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

import numpy as np
import pytest
from network_data import keras_network, some_pixels
from numpy.typing import NDArray

from featx.errors import RecipeError, UsageError
from featx.networks.backbones import BACKBONES, Backbone, find_backbone, is_model_file, own_preprocessing
from featx.networks.keras import KerasNetwork
from featx.recipes import Pooling

SIZE, BATCH = 64, 4
# Channels of the last feature map, of 7 × 7 places: figures of the Keras documentation's table, and of EfficientNet's
# authors.
CHANNELS = {
    "efficientnetlite0": 1280,
    "vgg16": 512,
    "vgg19": 512,
    "resnet50v2": 2048,
    "resnet50": 2048,
    "mobilenetv2": 1280,
    "densenet121": 1024,
    "efficientnetv2b0": 1280,
    "convnexttiny": 768,
}
RULES = {
    "efficientnetlite0": "affine",
    "vgg16": "caffe",
    "vgg19": "caffe",
    "resnet50": "caffe",
    "resnet50v2": "tf",
    "mobilenetv2": "tf",
}


@pytest.fixture(scope="module", params=BACKBONES)
def flat(request: pytest.FixtureRequest) -> tuple[Backbone, KerasNetwork]:
    """Each backbone with random weights and without pooling, built once."""
    return BACKBONES[request.param], keras_network(request.param, size=SIZE)


@pytest.fixture(scope="module")
def pixels() -> NDArray[np.float32]:
    return some_pixels(BATCH, SIZE)


@pytest.mark.slow
def test_declared_widths_are_those_of_real_output(
    flat: tuple[Backbone, KerasNetwork], pixels: NDArray[np.float32]
) -> None:
    row, flat_network = flat
    rows = flat_network.rows(pixels)
    assert rows.shape == (BATCH, row.width("none", SIZE)) == (BATCH, flat_network.width)
    assert rows.dtype == np.float32
    assert np.isfinite(rows).all()
    assert (rows.std(axis=0) > 0).any()

    pooled: tuple[Pooling, ...] = ("avg", "max")
    for pooling in pooled:
        assert keras_network(row.name, size=SIZE, pooling=pooling).width == row.width(pooling)


@pytest.mark.slow
def test_a_row_does_not_depend_on_its_batch(flat: tuple[Backbone, KerasNetwork], pixels: NDArray[np.float32]) -> None:
    _, flat_network = flat
    together = flat_network.rows(pixels)
    turned = flat_network.rows(pixels[::-1])[::-1]
    np.testing.assert_array_equal(turned, together)
    padded = flat_network.rows(pixels[1:3])
    np.testing.assert_array_equal(padded, together[1:3])
    for number in range(BATCH):
        alone = flat_network.rows(pixels[number : number + 1])
        np.testing.assert_array_equal(alone[0], together[number])


@pytest.mark.slow
@pytest.mark.parametrize(("pooling", "by_hand"), [("avg", np.mean), ("max", np.max)])
def test_pooled_rows_are_flat_ones_pooled_by_hand(
    pooling: Pooling, by_hand: Callable[..., NDArray[np.float32]], pixels: NDArray[np.float32]
) -> None:
    row = BACKBONES["vgg16"]
    maps = keras_network(row.name, size=SIZE, pooling="none").rows(pixels).reshape(BATCH, -1, row.channels)
    rows = keras_network(row.name, size=SIZE, pooling=pooling).rows(pixels)
    np.testing.assert_allclose(rows, by_hand(maps, axis=1), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", BACKBONES)
def test_widths_at_the_default_size(name: str) -> None:
    row = BACKBONES[name]
    assert row.width("none") == row.width("none", 224) == 7 * 7 * CHANNELS[name]
    assert row.width("avg") == row.width("max") == row.width("max", 320) == CHANNELS[name]
    assert row.width("none", 448) == 14 * 14 * CHANNELS[name]
    assert row.width("none", (64, 96)) == 2 * 3 * CHANNELS[name]


def test_the_table_is_found_by_name_in_any_case() -> None:
    for name, row in BACKBONES.items():
        assert row.name == name
        assert find_backbone(name) is find_backbone(name.upper()) is row
    assert find_backbone("ResNet50V2").builder == "ResNet50V2"


@pytest.mark.parametrize(
    ("name", "near"),
    [("vgg61", "vgg16"), ("VGG-16", "vgg16"), ("resnet50v", "resnet50v2"), ("mobilenet", "mobilenetv2")],
)
def test_an_unknown_backbone_names_the_nearest(name: str, near: str) -> None:
    with pytest.raises(UsageError, match=f"No backbone is named '{name}'; did you mean {near}?") as caught:
        find_backbone(name)
    assert caught.value.exit_code == 2
    assert ".keras" in str(caught.value)


@pytest.mark.parametrize("name", ["timm:convnext_tiny", "hf:facebook/dinov2-small", "keras-hub:vit"])
def test_a_network_of_another_library_must_be_brought_in_first(name: str) -> None:
    with pytest.raises(UsageError, match=f"run featx backbones import {name} --out DIR once"):
        find_backbone(name)


@pytest.mark.parametrize("name", ["net.onnx", "whole.h5", "exported/", "./vgg16"])
def test_a_model_of_another_format_is_no_backbone(name: str) -> None:
    with pytest.raises(
        UsageError, match=r"a card \(\.toml\), received '.*'; save a model of another format, such as"
    ):
        find_backbone(name)


def test_an_unknown_backbone_near_to_none_lists_all() -> None:
    with pytest.raises(UsageError, match=f"there are {', '.join(BACKBONES)}"):
        find_backbone("alexnet")


def test_every_backbone_is_preprocessed_as_its_weights_want() -> None:
    levels = np.array([[[0, 127, 255]]], np.uint8)
    expected = {
        "caffe": [255 - 103.939, 127 - 116.779, 0 - 123.68],
        "tf": [-1, 127 / 127.5 - 1, 1],
        "torch": [-0.485 / 0.229, (127 / 255 - 0.456) / 0.224, (1 - 0.406) / 0.225],
        "affine": [-127 / 128, 0, 1],
    }
    for name in BACKBONES:
        rule = RULES.get(name, "torch")
        own = own_preprocessing(name.upper())
        np.testing.assert_allclose(own(levels)[0, 0], expected[rule], rtol=1e-5, err_msg=name)
        # Keys of rows in caches that were made before this table had the numbers themselves.
        assert rule == "affine" or own.key() == {"rule": rule}


def test_a_file_has_no_imagenet_rule() -> None:
    assert is_model_file("models/own.keras")
    assert not any(map(is_model_file, BACKBONES))
    with pytest.raises(RecipeError, match=r"own\.keras is a model file; choose preprocess\.mode 'rescale'") as caught:
        own_preprocessing("models/own.keras")
    assert caught.value.exit_code == 1
    with pytest.raises(UsageError, match="did you mean vgg19"):
        own_preprocessing("vg19")
    with pytest.raises(RecipeError, match=r"dino\.toml has its own in its card; choose preprocess\.mode 'card'"):
        own_preprocessing("models/dino.toml")


def test_the_table_is_read_without_keras() -> None:
    script = (
        "import sys; from featx.networks import BACKBONES, own_preprocessing as own; [own(n) for n in BACKBONES]; "
        "sys.exit(int(bool({'keras', 'tensorflow'} & set(sys.modules))))"
    )
    assert subprocess.run([sys.executable, "-c", script]).returncode == 0
