"""Tests of networks of Keras Hub, from presets in folders."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from featx.errors import UsageError
from featx.networks.cards.card import Card
from featx.networks.cards.files import load_card
from featx.networks.framework import load_keras
from featx.networks.importing.from_keras_hub import converter_parts
from featx.networks.importing.sources import import_backbone

SETTINGS = {
    "image_size": (64, 64),
    "interpolation": "bilinear",
    "crop_to_aspect_ratio": True,
    "scale": [0.017, 0.018, 0.0175],
    "offset": [-2.1, -2.0, -1.8],
}


def test_settings_of_a_converter_become_a_card_with_the_same_pixels() -> None:
    given, pixels = converter_parts(SETTINGS, "keras-hub:some")
    card = Card(name="some", kind="keras", files={"x.keras": "0" * 64}, input=given, pixels=pixels)
    image = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 3), np.uint8)
    expected = image * np.array(SETTINGS["scale"]) + np.array(SETTINGS["offset"])
    assert np.allclose(card.preprocessing()(image), expected, atol=1e-5)
    assert (pixels.fit, given.layout) == ("crop", "nhwc")


@pytest.mark.parametrize(
    ("changes", "field"), [({"image_size": None}, "input.size"), ({"interpolation": "nearest"}, "")]
)
def test_settings_that_no_card_describes_are_refused(changes: dict[str, object], field: str) -> None:
    with pytest.raises(UsageError, match=rf"{field}.* is missing; featx does not guess"):
        converter_parts(SETTINGS | changes, "keras-hub:some")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("kind", "file"), [("resnet", "model.keras"), ("vit", "model/saved_model.pb")])
def test_a_preset_becomes_a_network_with_the_same_features(tmp_path: Path, kind: str, file: str) -> None:
    keras = load_keras()
    hub = pytest.importorskip("keras_hub", reason="networks of Keras Hub are built")
    keras.utils.set_random_seed(0)
    if kind == "resnet":
        backbone = hub.models.ResNetBackbone(
            input_conv_filters=[64],
            input_conv_kernel_sizes=[7],
            stackwise_num_filters=[64, 64],
            stackwise_num_blocks=[1, 1],
            stackwise_num_strides=[1, 2],
            block_type="basic_block",
        )
    else:
        backbone = hub.models.ViTBackbone((64, 64, 3), 16, num_layers=1, num_heads=2, hidden_dim=16, mlp_dim=32)
    converter = {"resnet": hub.layers.ResNetImageConverter, "vit": hub.layers.ViTImageConverter}[kind]
    backbone.save_to_preset(str(tmp_path / kind))
    converter(**SETTINGS).save_to_preset(str(tmp_path / kind))
    done = import_backbone(f"keras-hub:{tmp_path / kind}", tmp_path / "out")
    card = load_card(done.card)
    card.verify()
    assert done.file == tmp_path / "out" / file
    assert done.network_difference is not None
    assert done.network_difference < 1e-5
    assert done.width == (64 if kind == "resnet" else 16)
