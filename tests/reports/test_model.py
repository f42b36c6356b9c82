from __future__ import annotations

from typing import Any

import pytest

from featx.recipes import ImagesPart
from featx.reports.model import image_size


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({}, "224 × 224 pixels, stretched, bilinear"),
        ({"size": 480, "width": 640, "fit": "pad"}, "480 × 640 pixels (height × width), padded with black, bilinear"),
        (
            {"fit": "crop", "resize_to": 256, "resize": "bicubic"},
            "224 × 224 pixels, cropped: the centre after the shorter side became 256 pixels, bicubic",
        ),
        (
            {"fit": "stretch", "resize_to": 256},
            "224 × 224 pixels, stretched: the centre after both sides became 256 pixels, bilinear",
        ),
    ],
)
def test_the_size_says_what_becomes_of_an_image(fields: dict[str, Any], says: str) -> None:
    assert image_size(ImagesPart(**fields)) == says
