"""An imported network gives the features of the framework that it comes from: ten images through both."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from featx.errors import UntrustedError
from featx.images import Preprocessing, resize
from featx.networks.cards.card import Card, InputPart, PixelsPart
from featx.networks.framework import has_openvino, load_onnxruntime, load_openvino
from featx.networks.graphs.tails import Output, tail_of
from featx.networks.importing.built import Built, Floats

# The largest difference of a feature that is accepted from the same input, as a share of the row's largest.
MOST_OF_NETWORK = 1e-3
# The largest difference of a prepared pixel that is accepted, in grey levels of 255, on average. Another filter, or a
# centre cut out one pixel aside, gives less than 1 at usual sizes, and less than 2 at 32 pixels; another mean, colour
# order, fit or resize_to gives more than 7.
MOST_OF_PIXELS = 3.0
# Heights and widths of the trial images, as shares of the network's input.
SIZES = ((1, 1), (1, 1), (1, 1), (1, 1), (2.1, 2.1), (2.7, 1.8), (1.3, 2.3), (0.7, 0.7), (1.15, 1.15), (4.6, 3.4))


class Differences(NamedTuple):
    """The largest differences of a feature, as shares of a row's largest.

    Attributes:
        network: Both got the framework's input.
        whole: Each got the image, prepared by the framework and by featx.
    """

    network: float
    whole: float


def compare(built: Built, card: Card) -> Differences:
    """Compare a framework's network with its file on ten images.

    Raises:
        UntrustedError: The file gives other features, or featx prepares pixels in another way.
    """
    run, rows_of = runner(card), _rows(card)
    levels = _levels(card)
    network, whole, pixels = [], [], []
    for image in sample_images(card.input.size, grey=card.input.colour == "grey"):
        theirs, ours = built.prepare(image)[None], prepare_pixels(image, card.input, card.pixels)[None]
        if theirs.shape != ours.shape:
            raise UntrustedError(
                f"Expected {built.name} to take inputs of the shape {ours.shape[1:]}, but its framework prepares "
                f"{theirs.shape[1:]}; nothing is imported."
            )
        expected = rows_of(_chosen(built, theirs))
        network.append(relative_difference(rows_of(run(theirs)), expected))
        whole.append(relative_difference(rows_of(run(ours)), expected))
        pixels.append(float((np.abs(ours - theirs) * levels).mean()))
    _check(built.name, max(network), float(np.mean(pixels)))
    return Differences(max(network), max(whole))


def _check(name: str, network: float, pixels: float) -> None:
    # Values that are not finite are no better.
    if not network <= MOST_OF_NETWORK:
        raise UntrustedError(
            f"Expected the written file of {name} to give the framework's features, but they differ by "
            f"{network:.1g} of the largest, more than {MOST_OF_NETWORK:g}; nothing is imported."
        )
    if not pixels <= MOST_OF_PIXELS:
        raise UntrustedError(
            f"Expected to prepare images as the framework of {name} does, but prepared pixels differ by {pixels:.1f} "
            f"grey levels of 255 on average, more than {MOST_OF_PIXELS:g}; nothing is imported. Export the network "
            "to ONNX yourself, and write a card for it."
        )


def prepare_pixels(image: NDArray[np.uint8], given: InputPart, pixels: PixelsPart) -> Floats:
    """Prepare an image, (height, width, 3), as featx does for an input, in its layout and without a batch axis."""
    resized = resize(image, given.size, pixels.interpolation, pixels.fit, pixels.resize_to)
    values = Preprocessing("affine", pixels.mean, pixels.std, pixels.scale, given.colour)(resized)
    return np.ascontiguousarray(values.transpose(2, 0, 1)) if given.layout == "nchw" else values


def _levels(card: Card) -> Floats:
    """Return the number of grey levels in a prepared value of 1, by channel, in the card's layout."""
    levels = np.array(card.pixels.std, np.float32) / np.float32(card.pixels.scale)
    return levels[:, None, None] if card.input.layout == "nchw" else levels


def width_of(card: Card) -> int:
    """Return the number of features of an image.

    Raises:
        RecipeError: What the card says of its output does not fit the output.
    """
    return int(_rows(card)(runner(card)(black(card.input))).shape[1])


def black(given: InputPart) -> Floats:
    """Return an input of zeros for one image."""
    return np.zeros((1, *given.axes(given.size)), np.float32)


def _rows(card: Card) -> Callable[[Floats], Floats]:
    """Return the steps from the output that the card names to rows."""

    def rows(output: Floats) -> Floats:
        found = Output(card.output.name or "the output", output.shape[1:], card.name)
        layout = card.output.layout or card.input.layout
        tail = tail_of(found, card.output, card.output.pooling, layout, card.input.size)
        return np.asarray(tail(np, output), np.float32)

    return rows


def relative_difference(rows: Floats, expected: Floats) -> float:
    """Return the largest difference of a value as a share of the largest expected one; infinite if not finite."""
    if rows.shape != expected.shape or not (np.isfinite(rows).all() and np.isfinite(expected).all()):
        return float("inf")
    return float(np.abs(rows - expected).max() / max(float(np.abs(expected).max()), 1e-12))


def sample_images(shape: tuple[int, int], *, grey: bool = False) -> list[NDArray[np.uint8]]:
    """Return ten seeded images, (height, width, 3): a ramp, noise, and scenes of smooth shades with discs.

    Grey ones have three equal channels: frameworks differ in how they weigh colours.
    """
    generator = np.random.default_rng(0)
    images = []
    for number, shares in enumerate(SIZES):
        height, width = (max(1, round(share * side)) for share, side in zip(shares, shape, strict=True))
        if number == 0:
            ramp = np.linspace(0, 255, height)[:, None] + np.linspace(0, 64, width)
            pixels = np.stack([ramp / 1.26, ramp[::-1] / 1.26, ramp[:, ::-1] / 1.26], -1)
        elif number == 1:
            pixels = generator.uniform(0, 256, (height, width, 3))
        else:
            pixels = _scene(generator, height, width)
        image = pixels.clip(0, 255).astype(np.uint8)
        images.append(np.repeat(image[..., :1], 3, axis=2) if grey else image)
    return images


def _scene(generator: np.random.Generator, height: int, width: int) -> NDArray[np.float64]:
    coarse = Image.fromarray(generator.integers(0, 256, (7, 7, 3), np.uint8))
    pixels = np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC), np.float64)
    rows, columns = np.mgrid[:height, :width]
    for _ in range(6):
        y, x, radius = generator.uniform((0, 0, 0.03), (1, 1, 0.2)) * (height, width, min(height, width))
        inside = (rows - y) ** 2 + (columns - x) ** 2 < radius**2
        pixels[inside] = pixels[inside] * 0.5 + generator.uniform(0, 128, 3)
    return pixels


def runner(card: Card) -> Callable[[Floats], Floats]:
    """Return a function from a network's input, (1, …), to the output that its card names, run by featx's engines."""
    if card.kind == "keras":
        return _keras(card)
    return run_file(card.main if card.kind != "saved_model" else card.main.parent, card.output.name)


def run_file(path: Path, output: str | None) -> Callable[[Floats], Floats]:
    """Return a function from a network's input, (1, …), to an output of a file that is not Keras's."""
    return _openvino(path, output) if has_openvino() else _onnxruntime(path, output)


def _openvino(path: Path, output: str | None) -> Callable[[Floats], Floats]:
    openvino = load_openvino()
    core = openvino.Core()
    model = core.read_model(str(path))
    if output and not any(output in port.get_names() for port in model.outputs):
        model.add_outputs(output)
    compiled = core.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    port = compiled.output(output) if output else compiled.output(0)
    return lambda batch: np.array(compiled([batch])[port], np.float32)


def _onnxruntime(path: Path, output: str | None) -> Callable[[Floats], Floats]:
    session = load_onnxruntime().InferenceSession(str(path), providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda batch: np.asarray(session.run([output] if output else None, {name: batch})[0], np.float32)


def _keras(card: Card) -> Callable[[Floats], Floats]:
    from featx.networks.framework import load_keras
    from featx.networks.model_files import load_model_file

    model = load_model_file(load_keras(), card.main)
    return lambda batch: np.asarray(model(batch, training=False), np.float32)


def _chosen(built: Built, batch: Floats) -> Floats:
    outputs = built.outputs(batch)
    return outputs.get(built.output.name or "", next(iter(outputs.values())))
