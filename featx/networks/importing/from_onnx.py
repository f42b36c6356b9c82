"""ONNX files from elsewhere, which do not say how pixels are prepared."""

from __future__ import annotations

import difflib
import logging
import math
import shutil
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from featx.errors import UsageError
from featx.files import is_file
from featx.images import CAFFE_MEAN, TORCH_MEAN, TORCH_STD
from featx.networks.backbones import BACKBONES, find_backbone
from featx.networks.cards.card import AboutPart, InputPart, Layout, OutputPart, PixelsPart, Tokens
from featx.networks.cards.files import load_card
from featx.networks.framework import load_onnxruntime
from featx.networks.graphs.onnx_files import scan_onnx
from featx.networks.graphs.onnx_runtime import FOLDER_OPTION, onnx_package, with_output
from featx.networks.graphs.tails import map_layout
from featx.networks.importing.built import Built, Floats
from featx.networks.importing.comparison import black, prepare_pixels, run_file
from featx.networks.importing.inner_values import Shape, classifier, inner_values
from featx.recipes import is_network_path

log = logging.getLogger("featx")

LAST = 6


class Prepared(NamedTuple):
    """How pixels are prepared, and for which size."""

    input: InputPart
    pixels: PixelsPart


def build_onnx(path: Path, like: str | None = None, output: str | None = None, tokens: Tokens | None = None) -> Built:
    """Take an ONNX file as it is.

    Args:
        path: The file.
        like: A named backbone, or a card, whose pixels are prepared in the same way.
        output: The name of the output, or of a value inside the network; needed where there are several outputs.
        tokens: What to make of an output of tokens.

    Raises:
        UsageError: Nothing says how pixels are prepared, or it does not fit the file's input; or the output is not
            named where there are several.
        WeightsError: The file is no ONNX file.
    """
    scan = scan_onnx(path)
    prepared = preparation(path, like)
    name, shape = _image_input(path, scan.inputs)
    given = _fitted(path, name, shape, prepared)
    part = _output(path, scan.outputs, output, tokens, given.input)
    external = [path.parent / other for other in scan.external]

    def write(folder: Path) -> list[Path]:
        copies = []
        for file in (path, *external):
            target = folder / file.relative_to(path.parent)
            target.parent.mkdir(parents=True, exist_ok=True)
            copies.append(Path(shutil.copyfile(file, target)))
        return copies

    return Built(
        name=path.stem,
        kind="onnx",
        input=given.input,
        pixels=given.pixels,
        output=part,
        about=AboutPart(source=path.name, notes=f"Pixels are prepared as for {Path(like).name}." if like else ""),
        prepare=lambda image: prepare_pixels(image, given.input, given.pixels),
        outputs=_session(path, part.name),
        write=write,
    )


def preparation(path: Path, like: str | None) -> Prepared:
    """Return how the pixels of an ONNX file are prepared: as for another network, or as settings beside it say."""
    if like is None:
        try:
            card = load_card(path)
        except UsageError as error:
            if any(is_file(path.with_name(name)) for name in ("preprocessor_config.json", "config.json")):
                raise
            raise UsageError(
                f"Expected to learn how pixels are prepared for {path.name}, but an ONNX file does not say it, and "
                "featx does not guess: pixels.interpolation, pixels.fit, pixels.scale, pixels.mean, pixels.std and "
                "input.colour are missing. Name a network with the same preparation with --like (a backbone of featx "
                "backbones list, or a card), or put its preprocessor_config.json beside the file."
            ) from error
        return Prepared(card.input, card.pixels)
    if like.lower() in BACKBONES:
        return named_preparation(like)
    if not is_network_path(like) and not Path(like).exists():
        find_backbone(like)  # says which names there are
    card = load_card(like)
    return Prepared(card.input, card.pixels)


def named_preparation(name: str) -> Prepared:
    """Return how the pixels of a named backbone are prepared, in a card's terms."""
    row = find_backbone(name)
    rule = row.preprocessing
    none, one = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
    scale, mean, std, colour = {
        "caffe": (1.0, CAFFE_MEAN, one, "bgr"),
        "tf": (1 / 127.5, one, one, "rgb"),
        "torch": (1 / 255, TORCH_MEAN, TORCH_STD, "rgb"),
        "rescale": (1 / 255, none, one, "rgb"),
        "affine": (rule.scale, rule.mean, rule.std, rule.colour),
    }.get(rule.rule, (1.0, none, one, "rgb"))
    given = {"layout": "nhwc", "colour": colour, "size": (row.size, row.size)}
    pixels = {"interpolation": "bilinear", "scale": scale, "mean": mean, "std": std}
    return Prepared(InputPart.model_validate(given), PixelsPart.model_validate(pixels))


def _image_input(path: Path, inputs: Mapping[str, Shape | None]) -> tuple[str, Shape]:
    found = {name: shape for name, shape in inputs.items() if shape is not None and len(shape) == 4}
    if len(found) != 1 or len(inputs) != 1:
        names = ", ".join(f"{name} {_sides(shape)}" for name, shape in inputs.items()) or "none"
        raise UsageError(
            f"Expected a network with one input, of images, in {path}, found {names}; export it again with the image "
            "as its only input."
        )
    return next(iter(found.items()))


def _fitted(path: Path, name: str, shape: Shape, prepared: Prepared) -> Prepared:
    """Return a preparation with the layout and size of the file's input."""
    colour, channels = prepared.input.colour, prepared.input.channels
    layouts: dict[Layout, tuple[int | None, Shape]] = {"nchw": (shape[1], shape[2:]), "nhwc": (shape[3], shape[1:3])}
    fitting: dict[Layout, Shape] = {key: sides for key, (count, sides) in layouts.items() if count == channels}
    if not fitting:
        raise UsageError(
            f"Expected an input of {channels} channels in {path.name}, as for the colour {colour!r}, but {name} is "
            f"{_sides(shape)}; name a network of that many channels with --like."
        )
    # An input of 3 rows or columns is no image.
    layout, sides = next(iter(fitting.items()))
    usual = prepared.input.size
    size = (sides[0] or usual[0], sides[1] or usual[1])
    given = prepared.input.model_copy(update={"name": name, "layout": layout, "size": size})
    before = prepared.pixels.resize_to
    if before is None or size == usual:
        return Prepared(given, prepared.pixels)
    # The centre keeps its share of the image.
    after = max(math.floor(before * max(size) / max(usual)), *size)
    return Prepared(given, prepared.pixels.model_copy(update={"resize_to": after}))


def _output(
    path: Path, outputs: Mapping[str, Shape | None], name: str | None, tokens: Tokens | None, given: InputPart
) -> OutputPart:
    listed = ", ".join(f"{key} {_sides(shape)}" for key, shape in outputs.items())
    if name is None and len(outputs) > 1:
        raise UsageError(f"Expected --output NAME, because {path.name} has several outputs: {listed}.")
    name = name or next(iter(outputs))
    if name in outputs:
        _tell_of_classifier(path, name)
    else:
        _check_inner(path, name, listed)
    # Files need not say the shapes of their outputs.
    shape = outputs.get(name)
    if shape is None or None in shape[1:]:
        shape = run_file(path, name)(black(given)).shape
    if len(shape) == 3 and tokens is None:
        raise UsageError(
            f"Expected --tokens cls, mean, cls+mean or map, because {name} of {path.name} is {_sides(shape)}: tokens "
            "and their channels."
        )
    return OutputPart(name=name, tokens=tokens, **_of_map(shape, given))


def _of_map(shape: Shape, given: InputPart) -> dict[str, Any]:
    """Return pooling and layout of a feature map; inner maps need not have the layout of the input."""
    if len(shape) != 4:
        return {}
    channels, rows, columns = (side or 0 for side in shape[1:])
    layout = map_layout((channels, rows, columns), given.size, given.layout)
    return {"pooling": "avg", **({} if layout == given.layout else {"layout": layout})}


def _check_inner(path: Path, name: str, outputs: str) -> None:
    """Check that a name which is no output is one of a value inside."""
    inner = inner_values(path)
    if name in inner:
        return
    near = difflib.get_close_matches(name, inner, n=1)
    last = ", ".join(f"{key} {_sides(inner[key])}" for key in list(inner)[-LAST:])
    also = f"did you mean {near[0]}?" if near else f"it has {outputs}{f' and, last inside, {last}' if last else ''}."
    raise UsageError(f"Expected --output to name an output of {path.name}, received {name[:60]!r}; {also}")


def _tell_of_classifier(path: Path, name: str) -> None:
    found = classifier(path, name)
    if found is not None:
        log.warning(
            "The output %s of %s has %s values, perhaps scores of classes. The features before the last layer are "
            "usually better: --output %s, of the shape %s.",
            name,
            path.name,
            "?" if found.scores is None else f"{found.scores:,}",
            found.before,
            _sides(found.shape),
        )


def _session(path: Path, output: str | None) -> Callable[[Floats], Mapping[str, Floats]]:
    """Return a function that runs the file in onnxruntime, as `Built.outputs` is."""

    @cache
    def session() -> Any:
        onnxruntime = load_onnxruntime()
        options = onnxruntime.SessionOptions()
        options.add_session_config_entry(FOLDER_OPTION, str(path.parent))
        return onnxruntime.InferenceSession(model(), options, providers=["CPUExecutionProvider"])

    def run(batch: Floats) -> Mapping[str, Floats]:
        values = session().run([output], {session().get_inputs()[0].name: batch})
        return {str(output): np.asarray(values[0], np.float32)}

    def model() -> str | bytes:
        if output is None or output in scan_onnx(path).outputs:
            return str(path)
        onnx = onnx_package(f"to compare the values of {output[:80]}")
        return with_output(onnx.load(path, load_external_data=False), output)

    return run


def _sides(shape: Shape | None) -> str:
    if shape is None:
        return "of unknown shape"
    return "(" + ", ".join("?" if side is None else str(side) for side in shape) + ")"
