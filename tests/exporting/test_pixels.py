from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("onnx", reason="the package onnx is not installed")
pytest.importorskip("onnxruntime", reason="the package onnxruntime is not installed")

from onnx_graphs import Run

from featx.exporting.graph import Graph
from featx.exporting.pixels import network_input
from featx.images import Preprocessing, resize
from featx.recipes import ImagesPart, Resize

METHODS: tuple[Resize, ...] = ("bilinear", "bicubic", "lanczos", "box", "hamming")
SIDES: list[int | str] = ["n", "h", "w", 3]


def run_of(part: ImagesPart, preprocessing: Preprocessing, opset: int = 17) -> Run:
    graph = Graph(opset)
    output = network_input(graph, "input", part, preprocessing)
    return Run(graph, graph.add("Transpose", output, perm=[0, 2, 3, 1]), np.uint8, SIDES)


def noise(generator: np.random.Generator, height: int, width: int) -> Any:
    return generator.integers(0, 256, (height, width, 3), np.uint8)


@pytest.mark.parametrize("method", METHODS)
def test_pixels_are_those_of_pillow_to_the_last_bit_whatever_the_size(method: Resize) -> None:
    generator = np.random.default_rng(len(method))
    # The same, half, thirds, one side larger and one smaller, one pixel, tall (columns first) and wide images.
    sizes = [(40, 24), (80, 48), (120, 72), (13, 97), (97, 13), (1, 1), (400, 30), (30, 400), (201, 333), (7, 5)]
    sizes += [(int(height), int(width)) for height, width in generator.integers(3, 250, (15, 2))]
    run = run_of(ImagesPart(size=40, width=24, resize=method), Preprocessing("raw"))
    for height, width in sizes:
        image = noise(generator, height, width)
        expected = np.asarray(Image.fromarray(image).resize((24, 40), Image.Resampling[method.upper()]))
        np.testing.assert_array_equal(run(image[None])[0], expected, err_msg=f"{height} × {width}")


def test_black_and_white_images_stay_so() -> None:
    run = run_of(ImagesPart(size=31, resize="lanczos"), Preprocessing("raw"))
    for level in (0, 255):
        assert (run(np.full((1, 50, 20, 3), level, np.uint8)) == level).all()


@pytest.mark.parametrize("opset", [13, 17, 21])
@pytest.mark.parametrize(
    "fields",
    [
        {"fit": "crop"},
        {"fit": "crop", "resize_to": 45},
        {"fit": "pad"},
        {"fit": "stretch", "resize_to": 43},
        {"fit": "crop", "resize_to": 61, "width": 60},
        {"fit": "crop", "width": 24},
        {"fit": "pad", "width": 24},
    ],
)
def test_images_are_cropped_and_padded_as_by_featx(fields: dict[str, Any], opset: int) -> None:
    generator = np.random.default_rng(3)
    part = ImagesPart.model_validate({"size": 40, "resize": "bicubic", **fields})
    run = run_of(part, Preprocessing("raw"), opset)
    for height, width in [(40, 40), (41, 80), (80, 41), (99, 30), (30, 99), (17, 18), (64, 64)]:
        image = noise(generator, height, width)
        expected = resize(image, part.shape, part.resize, part.fit, part.resize_to)
        np.testing.assert_array_equal(run(image[None])[0], expected, err_msg=f"{height} × {width}")


@pytest.mark.parametrize(
    "preprocessing",
    [
        *(Preprocessing(rule) for rule in ("raw", "rescale", "caffe", "tf", "torch")),
        Preprocessing("featurewise", (0.3, 0.4, 0.5), (0.2, 0.3, 0.1)),
        Preprocessing("affine", (0.4, 0.5, 0.6), (0.2, 0.3, 0.25), 1 / 255, "bgr"),
        Preprocessing("affine", (127.0, 127.0, 127.0), (128.0, 128.0, 128.0)),
        Preprocessing("affine", (0.5,), (0.25,), 1 / 255, "grey"),
    ],
    ids=lambda one: f"{one.rule}-{one.colour}",
)
def test_every_preprocessing_gives_the_networks_numbers(preprocessing: Preprocessing) -> None:
    image = noise(np.random.default_rng(5), 30, 40)
    expected = preprocessing(resize(image, (16, 16), "bilinear"))
    received = run_of(ImagesPart(size=16), preprocessing)(image[None])[0]
    assert received.shape == expected.shape
    np.testing.assert_allclose(received, expected, rtol=1e-6, atol=2e-5 if np.abs(expected).max() > 9 else 1e-6)


def test_images_of_a_batch_do_not_depend_on_each_other() -> None:
    generator = np.random.default_rng(6)
    batch = np.stack([noise(generator, 50, 33) for _ in range(3)])
    run = run_of(ImagesPart(size=20), Preprocessing("raw"))
    np.testing.assert_array_equal(run(batch), np.concatenate([run(image[None]) for image in batch]))
