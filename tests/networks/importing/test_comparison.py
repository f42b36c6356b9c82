"""Tests of the comparison between a framework and the file that came of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx_networks import write_onnx

from featx.errors import UntrustedError
from featx.networks.importing.built import Built
from featx.networks.importing.comparison import SIZES, compare, relative_difference, sample_images
from featx.networks.importing.from_onnx import build_onnx


def test_trial_images_are_the_same_each_time_and_of_many_sizes() -> None:
    first, again = sample_images((40, 56)), sample_images((40, 56))
    assert len(first) == len(SIZES) == 10
    assert all(np.array_equal(one, other) for one, other in zip(first, again, strict=True))
    assert [image.shape[:2] for image in first[:5]] == [(40, 56)] * 4 + [(84, 118)]
    assert all(image.dtype == np.uint8 and np.ptp(image) > 150 for image in first)


def test_grey_trial_images_have_equal_channels() -> None:
    assert all(not np.ptp(image, axis=2).any() for image in sample_images((32, 32), grey=True))


def test_a_difference_is_a_share_of_the_largest_value_of_the_row() -> None:
    expected = np.array([[1, -4, 2]], np.float32)
    assert relative_difference(expected + np.array([[0, 0, 1]], np.float32), expected) == pytest.approx(0.25)


@pytest.mark.parametrize("rows", [np.array([[np.nan, 1]]), np.array([[1.0]])])
def test_what_is_not_finite_or_of_another_width_differs_without_end(rows: np.ndarray) -> None:
    assert relative_difference(rows.astype(np.float32), np.ones((1, 2), np.float32)) == float("inf")


def built_here(tmp_path: Path) -> Built:
    """A small network, whose pixels are prepared as DenseNet's."""
    for package in ("onnx", "openvino", "onnxruntime"):
        pytest.importorskip(package, reason="the network is written and run with it")
    (tmp_path / "out").mkdir()
    return build_onnx(write_onnx(tmp_path / "small.onnx", output="row"), like="densenet121")


def test_another_filter_is_accepted(tmp_path: Path) -> None:
    right = built_here(tmp_path)
    other = replace(right, pixels=right.pixels.model_copy(update={"interpolation": "hamming"}))
    differences = compare(right, other.card(tmp_path / "out", other.write(tmp_path / "out")))
    assert differences.network < 1e-5
    assert differences.whole > 1e-4


@pytest.mark.parametrize(
    ("part", "changes"),
    [
        ("pixels", {"fit": "crop"}),
        ("pixels", {"mean": (0.48, 0.46, 0.32)}),
        ("pixels", {"std": (0.21, 0.2, 0.2)}),
        ("pixels", {"scale": 1.0}),
        ("input", {"colour": "bgr"}),
    ],
)
def test_another_preparation_than_the_frameworks_is_refused(
    tmp_path: Path, part: Any, changes: dict[str, object]
) -> None:
    right = built_here(tmp_path)
    wrong: Any = {part: getattr(right, part).model_copy(update=changes)}
    other = replace(right, **wrong)
    with pytest.raises(UntrustedError, match=r"prepared pixels differ by .* grey levels of 255 on average"):
        compare(right, other.card(tmp_path / "out", other.write(tmp_path / "out")))
