"""Cards from the settings that timm and transformers write beside their networks.

Only what these settings say is used. What they leave open is missing in the card, and featx asks for it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from featx.errors import CardError, FeatxError, UsageError
from featx.networks.cards.card import InputPart, PixelsPart
from featx.recipes import DocumentKind, Part

Tables = dict[str, dict[str, Any]]

# Pillow's numbers of interpolation methods, as transformers writes them; 0, the nearest pixel, is not antialiased.
RESAMPLING = {1: "lanczos", 2: "bilinear", 3: "bicubic", 4: "box", 5: "hamming"}
# Steps of image processors that a card describes, or that change no pixel; no card describes other steps.
STEPS = {"do_resize", "do_center_crop", "do_rescale", "do_normalize", "do_convert_rgb", "do_flip_channel_order"}
NO_STEPS = {"do_reduce_labels"}
# Second scalings of transformers' EfficientNetImageProcessor.
OTHER_STEPS = {"rescale_offset", "include_top"}
# Processors that read a single number as the side of a square, and those that read it as the shorter side.
SQUARE = ("DeiT", "Beit", "ViTImage", "ViTFeature")
SHORTER = ("CLIP", "Bit")
CONVNEXT_STRETCHED = 384  # from this size on, transformers' ConvNextImageProcessor cuts nothing off


class _Prepared(Part):
    """What settings say of pixels."""

    input: InputPart
    pixels: PixelsPart


SETTINGS = DocumentKind("settings", _Prepared, CardError)


def timm_pixels(config: Mapping[str, Any], source: str = "of timm") -> tuple[InputPart, PixelsPart]:
    """Return what timm's settings (`config.json`, or `{"pretrained_cfg": resolve_data_config(…)}`) say of pixels.

    Raises:
        UsageError: They leave something open; the message names the fields.
        CardError: A value is not valid, or cannot be said in a card.
    """
    return _parts(timm_tables(config), source)


def hub_pixels(processor: Mapping[str, Any], source: str = "of transformers") -> tuple[InputPart, PixelsPart]:
    """Return what the settings of an image processor of transformers (`preprocessor_config.json`) say of pixels.

    Raises:
        UsageError: They leave something open; the message names the fields.
        CardError: A value is not valid, or cannot be said in a card.
    """
    return _parts(hub_tables(processor), source)


def _parts(tables: Tables, source: str) -> tuple[InputPart, PixelsPart]:
    try:
        prepared = SETTINGS.validated(tables)
    except ValidationError as error:
        raise unfit(SETTINGS, error, source) from None
    return prepared.input, prepared.pixels


def unfit(kind: DocumentKind[Any], error: ValidationError, source: object) -> FeatxError:
    """Return the error for a document that leaves something open, or has a field that is not valid."""
    fields = kind.missing(error)
    if not fields:
        return kind.error(kind.sentence(error, source))
    return UsageError(
        f"{kind.noun.capitalize()} {source}: {', '.join(fields)} {'is' if len(fields) == 1 else 'are'} missing; "
        "featx does not guess how a network's pixels are prepared, so say it in a card (see featx backbones import)."
    )


def timm_tables(config: Mapping[str, Any]) -> Tables:
    """Return a card's tables `input` and `pixels` from timm's settings, without what these leave open."""
    settings = config.get("pretrained_cfg")
    if not isinstance(settings, Mapping):
        settings = {}
    pixels: dict[str, Any] = {"scale": 1 / 255}  # timm's ToTensor
    given = {"interpolation": "interpolation", "mean": "mean", "std": "std"}
    pixels.update({ours: settings[theirs] for ours, theirs in given.items() if theirs in settings})
    table: dict[str, Any] = {"layout": "nchw"}
    size = settings.get("input_size")
    if not (isinstance(size, (list, tuple)) and len(size) == 3 and all(isinstance(side, int) for side in size)):
        return {"input": table | {"colour": "rgb"}, "pixels": pixels}
    channels, height, width = size
    if channels not in (1, 3):
        raise CardError(f"Expected a network for 1 or 3 channels, but its input_size in timm's settings is {size}.")
    table |= {"colour": "rgb" if channels == 3 else "grey", "size": [height, width]}
    pixels |= _timm_fit(settings, height, width)
    if "crop_pct" not in settings:
        pixels.pop("interpolation", None)  # without the share that is kept, it is not known how images are resized
    return {"input": table, "pixels": pixels}


def _timm_fit(settings: Mapping[str, Any], height: int, width: int) -> dict[str, Any]:
    """Return how images are brought to their size, as timm's `transforms_imagenet_eval` does."""
    share, mode = settings.get("crop_pct", 1.0), settings.get("crop_mode") or "center"
    if isinstance(share, bool) or not isinstance(share, (int, float)) or not 0 < share <= 1:
        raise CardError(f"Expected a crop_pct above 0 and at most 1 in timm's settings, received {share!r}.")
    cut = {math.floor(side / share) for side in (height, width)}
    if mode not in ("center", "squash"):
        raise CardError(
            f"Expected the crop_mode center or squash in timm's settings, received {str(mode)[:40]!r}, which no card "
            "can describe; prepare the images so yourself, or write a card with another rule."
        )
    if share < 1 and len(cut) > 1:
        raise CardError(
            f"Expected a square input for crop_pct {share:g} in timm's settings, received {height} × {width}; write "
            "a card with the rule that you want."
        )
    fit: dict[str, Any] = {"fit": "crop" if mode == "center" else "stretch"}
    return fit | ({"resize_to": cut.pop()} if share < 1 else {})


def hub_tables(processor: Mapping[str, Any]) -> Tables:
    """Return a card's tables `input` and `pixels` from settings of transformers, without what these leave open."""
    steps = [name for name in processor if name.startswith("do_") or name in OTHER_STEPS]
    steps = [name for name in steps if processor[name] and name not in STEPS | NO_STEPS]
    if steps:
        raise CardError(
            f"Expected an image processor that resizes, cuts and scales, but its settings have {steps[0]}, which no "
            "card can describe; prepare the images so yourself, or write a card without it."
        )
    table: dict[str, Any] = {"layout": "nchw", "colour": "bgr" if processor.get("do_flip_channel_order") else "rgb"}
    pixels: dict[str, Any] = {}
    # All processors of transformers divide by 255 unless their settings say something else.
    pixels["scale"] = processor.get("rescale_factor", 1 / 255) if processor.get("do_rescale", True) else 1.0
    if processor.get("do_normalize", True):
        pixels |= {ours: processor[f"image_{ours}"] for ours in ("mean", "std") if f"image_{ours}" in processor}
    else:
        pixels |= {"mean": [0.0] * 3, "std": [1.0] * 3}
    if processor.get("do_resize", True):
        method = RESAMPLING.get(processor["resample"]) if isinstance(processor.get("resample"), int) else None
        pixels |= {"interpolation": method} if method else {}
        shape, fit = _hub_fit(processor)
        pixels |= fit
        table |= {"size": list(shape)} if shape else {}
    return {"input": table, "pixels": pixels}


def _hub_fit(processor: Mapping[str, Any]) -> tuple[tuple[int, int] | None, dict[str, Any]]:
    """Return height and width of the network's input, and how images are brought to it; None if that is left open."""
    size = _hub_size(processor)
    if "crop_pct" in processor and isinstance(size, int):
        return _convnext_fit(size, processor["crop_pct"])
    if not processor.get("do_center_crop"):
        # The shorter side alone does not give all images one size.
        return (size, {"fit": "stretch"}) if isinstance(size, tuple) else (None, {})
    crop = processor.get("crop_size")
    shape = (crop, crop) if isinstance(crop, int) else _sides(crop)
    if shape is None or size is None:
        return None, {}
    if isinstance(size, int):
        return shape, {"fit": "crop", "resize_to": size}
    if size == shape:
        return shape, {"fit": "stretch"}
    # The centre is cut out of a rectangle that only a square can describe.
    return (shape, {"fit": "stretch", "resize_to": size[0]}) if size[0] == size[1] else (None, {})


def _convnext_fit(size: int, share: Any) -> tuple[tuple[int, int] | None, dict[str, Any]]:
    if isinstance(share, bool) or not isinstance(share, (int, float)) or not 0 < share <= 1:
        return None, {}
    if size >= CONVNEXT_STRETCHED:
        return (size, size), {"fit": "stretch"}
    return (size, size), {"fit": "crop", "resize_to": int(size / share)}


def _hub_size(processor: Mapping[str, Any]) -> int | tuple[int, int] | None:
    """Return the shorter side to which images are resized, or height and width; None if that is left open."""
    size = processor.get("size")
    if isinstance(size, int):
        kind = str(processor.get("image_processor_type") or processor.get("feature_extractor_type") or "")
        if kind.startswith(SHORTER) or "crop_pct" in processor:
            return size
        return (size, size) if kind.startswith(SQUARE) else None
    if isinstance(size, Mapping) and isinstance(size.get("shortest_edge"), int) and "longest_edge" not in size:
        return int(size["shortest_edge"])
    return _sides(size)


def _sides(size: Any) -> tuple[int, int] | None:
    if isinstance(size, Mapping) and isinstance(size.get("height"), int) and isinstance(size.get("width"), int):
        return size["height"], size["width"]
    return None
