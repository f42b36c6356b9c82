"""Networks of Keras Hub."""

from __future__ import annotations

import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.errors import UsageError
from featx.networks.cards.card import AboutPart, InputPart, OutputPart, PixelsPart, Tokens
from featx.networks.framework import load_keras
from featx.networks.importing.built import Built, Floats, load_packages
from featx.networks.importing.hubs import fetching, licence_in, local_folder, quiet_hub

INTERPOLATIONS = {"bilinear": "bilinear", "bicubic": "bicubic", "lanczos3": "lanczos"}


def build_keras_hub(name: str, tokens: Tokens | None = None) -> Built:
    """Build a backbone of Keras Hub with its weights.

    It is written as a `.keras` file where it consists of Keras's own layers, else as a SavedModel. A map is averaged,
    and of tokens the one of the class is taken, if there is one, else their mean.

    Args:
        name: A preset, or a folder with one.
        tokens: What to make of its tokens.

    Raises:
        UsageError: There is no such preset, or it does not say how pixels are prepared.
        WeightsError: Its weights cannot be had.
    """
    folder = local_folder(name)
    source = f"keras-hub:{folder.name if folder else name}"
    keras = load_keras()
    [hub] = load_packages(source, "keras_hub", package="keras-hub")
    with fetching(f"keras-hub:{name}"), quiet_hub():
        preset = str(folder or name)
        backbone = hub.models.Backbone.from_preset(preset, dtype="float32")
        converter = hub.layers.ImageConverter.from_preset(preset)
    given, pixels = converter_parts(converter.get_config(), source)
    model = keras.Model(backbone.inputs[0], backbone.output)
    plain = all(type(layer).__module__.startswith("keras.") for layer in model.layers)
    output = _output(source, backbone, given.size, tokens)

    def prepare(image: NDArray[np.uint8]) -> Floats:
        prepared: Floats = np.asarray(converter(image[None].astype(np.float32)), np.float32)
        return prepared.reshape(prepared.shape[1:])

    def outputs(batch: Floats) -> dict[str, Floats]:
        return {"": np.asarray(model(batch, training=False), np.float32)}

    def write(target: Path) -> list[Path]:
        if plain:
            model.save(target / "model.keras")
            return [target / "model.keras"]
        signature = [keras.InputSpec(shape=(None, *given.size, 3), dtype="float32", name="pixel_values")]
        with redirect_stdout(sys.stderr):
            model.export(target / "model", format="tf_saved_model", verbose=False, input_signature=signature)
        files = sorted(path for path in (target / "model").rglob("*") if path.is_file())
        return sorted(files, key=lambda path: path.name != "saved_model.pb")

    return Built(
        name=source.rpartition("/")[2].removeprefix("keras-hub:"),
        kind="keras" if plain else "saved_model",
        input=given,
        pixels=pixels,
        output=output,
        about=AboutPart(
            licence=licence_in(folder / "README.md") if folder else "",
            source=source,
            made_with=f"keras-hub {hub.__version__}, keras {keras.__version__}",
        ),
        prepare=prepare,
        outputs=outputs,
        write=write,
    )


def converter_parts(config: dict[str, Any], source: str) -> tuple[InputPart, PixelsPart]:
    """Return what the settings of an `ImageConverter` say of pixels: x × scale + offset.

    Raises:
        UsageError: They leave something open, or no card can describe them.
    """
    size, interpolation = config.get("image_size"), INTERPOLATIONS.get(str(config.get("interpolation")))
    if not size or interpolation is None:
        field = "pixels.interpolation" if size else "input.size"
        raise UsageError(
            f"Expected the settings of {source} to say how images are resized, but {field} is missing; featx does "
            "not guess: save the network as .keras, and write a card for it."
        )
    scale = np.broadcast_to(np.array(config.get("scale") or 1.0, float), 3)
    offset = np.broadcast_to(np.array(config.get("offset") or 0.0, float), 3)
    fit = "crop" if config.get("crop_to_aspect_ratio") else "pad" if config.get("pad_to_aspect_ratio") else "stretch"
    # x × scale + offset = (x × first - mean) / std
    first = float(scale.max())
    std = first / scale
    given = {"layout": "nhwc", "colour": "rgb", "size": tuple(size)}
    pixels = {"interpolation": interpolation, "fit": fit, "scale": first}
    pixels |= {"mean": tuple((-offset * std + 0.0).tolist()), "std": tuple(std.tolist())}
    return InputPart.model_validate(given), PixelsPart.model_validate(pixels)


def _output(source: str, backbone: Any, size: tuple[int, int], tokens: Tokens | None) -> OutputPart:
    if not isinstance(backbone.output, dict | list) and len(backbone.output.shape) == 4:
        if tokens is not None:
            raise UsageError(f"Expected no --tokens for {source}, whose output is a map, received {tokens}.")
        return OutputPart(pooling="avg")
    if isinstance(backbone.output, dict | list) or len(backbone.output.shape) != 3:
        raise UsageError(f"Expected a backbone for images with one output in {source}; choose another preset.")
    patch = getattr(backbone, "patch_size", None) or size
    height, width = patch if isinstance(patch, list | tuple) else (patch, patch)
    prefix = max(0, (backbone.output.shape[1] or 0) - (size[0] // height) * (size[1] // width))
    return OutputPart(tokens=tokens or ("cls" if prefix else "mean"), prefix_tokens=prefix)
