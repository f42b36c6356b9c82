"""Tests of the warning about scale, mean and std that do not belong together."""

from __future__ import annotations

from typing import Any

import pytest

from featx.networks import BACKBONES, card_of
from featx.networks.cards.card import PixelsPart
from featx.networks.cards.doubtful_pixels import doubt_about
from featx.networks.importing.from_onnx import named_preparation


def pixels(scale: float, mean: Any, std: Any) -> PixelsPart:
    """Numbers for three channels."""
    return PixelsPart(interpolation="bilinear", scale=scale, mean=(mean,) * 3, std=(std,) * 3)


@pytest.mark.parametrize("name", BACKBONES)
def test_no_doubt_about_networks_that_featx_knows(name: str) -> None:
    assert doubt_about(named_preparation(name).pixels) is None


@pytest.mark.parametrize(
    ("scale", "mean", "std"),
    [
        (1, 0, 1),
        (1 / 255, 0, 1),
        (1 / 255, 0.5, 0.5),
        (1 / 255, 0.707, 0.212),  # pathology
        (1 / 255, 0.5306, 0.2583),  # radiographs
        (1, 123.675, 58.395),
        (2048 / 255, 1024, 1),  # torchxrayvision
        (1 / 127.5, 1, 1),
        (1 / 255, 0.4815, 0.2686),
    ],
)
def test_no_doubt_about_usual_numbers(scale: float, mean: float, std: float) -> None:
    assert doubt_about(pixels(scale, mean, std)) is None


@pytest.mark.parametrize(
    ("scale", "mean", "std", "says"),
    [
        (1 / 255, 123.675, 58.395, "become -2.118 to -2.101: after the scale they are 0 to 1, and the mean 123.7"),
        (1, 0.485, 0.229, "become -2.118 to 1111: after the scale they are 0 to 255, and the mean 0.485"),
        (1, 0, 0.229, "the std 0.229"),
        (1 / 255, 0, 58.395, "the std 58.4"),
        (1 / 255, -0.5, 0.5, "the mean -0.5"),
        (255, 0, 1, "become 0 to 6.502e+04, which is much more"),
    ],
)
def test_numbers_for_another_scale(scale: float, mean: float, std: float, says: str) -> None:
    assert says in (doubt_about(pixels(scale, mean, std)) or "")


def test_it_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    document = {
        "name": "said once",
        "kind": "onnx",
        "files": {"net.onnx": "0" * 64},
        "input": {"layout": "nchw", "colour": "rgb", "size": [32, 32]},
        "pixels": {"interpolation": "box", "scale": 1 / 255, "mean": [123.0] * 3, "std": [58.0] * 3},
    }
    for _ in range(2):
        card_of(document, "here")
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert record.getMessage().endswith("Check pixels.scale, pixels.mean and pixels.std in the card said once.")
