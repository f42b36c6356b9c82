"""The named backbones as a table, and all that is known about one network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from featx.errors import UsageError
from featx.images import Preprocessing
from featx.networks.backbones import BACKBONES, Backbone, find_backbone, is_model_file
from featx.networks.cards.files import dump_card, is_card, load_card
from featx.networks.weights import file_digest, find_imagenet, weights_places

UNKNOWN = "unknown"
# Of the ImageNet weights. Sources: for EfficientNet-Lite0, the package that its weights were taken from; for the
# others keras-team/keras, docs/templates/applications.md, which does not name all.
LICENCES = {
    "efficientnetlite0": "Apache-2.0",
    "vgg16": "CC BY 4.0",
    "vgg19": "CC BY 4.0",
    "resnet50": "MIT",
    "mobilenetv2": "Apache-2.0",
    "densenet121": "BSD-3-Clause",
}
IN_WORDS = {
    "rescale": "x / 255",
    "raw": "x, 0 to 255",
    "caffe": "x in BGR order, minus (103.939, 116.779, 123.68)",
    "tf": "x / 127.5 - 1",
    "torch": "(x / 255 - (0.485, 0.456, 0.406)) / (0.229, 0.224, 0.225)",
}


@dataclass(frozen=True)
class ListedBackbone:
    """A row of the table of backbones.

    Attributes:
        name: What `--backbone` takes.
        width: Number of features of an image after pooling.
        size: Height and width of the input in pixels.
        source: Where the network and its ImageNet weights come from.
        licence: The licence of the weights; `unknown` where their source does not say it.
        here: Whether the weights are on this machine.
    """

    name: str
    width: int
    size: int
    source: str
    licence: str
    here: bool


def list_backbones() -> list[ListedBackbone]:
    """Return the named backbones, those that come with featx first; nothing is downloaded."""
    rows = sorted(BACKBONES.values(), key=lambda row: row.packaged is None)
    return [
        ListedBackbone(
            row.name,
            row.channels,
            row.size,
            _source(row),
            LICENCES.get(row.name, UNKNOWN),
            find_imagenet(row) is not None,
        )
        for row in rows
    ]


def describe_backbone(name: str) -> dict[str, Any]:
    """Return all that is known about a network, without building it or downloading anything.

    Args:
        name: The name of a backbone, a card, or a folder or ONNX file that has one or from which one is derived.

    Returns:
        For a named backbone: `name, width, size, stride, source, licence, here, preprocessing, weights: {path,
        sha256, places}`. For a card: `card` (its content), `digest` (its key), `folder`, and `toml`.

    Raises:
        UsageError: There is no such network, or it is a model file, which says nothing of itself.
        FeatxError: What `load_card` raises.
    """
    if is_model_file(name):
        raise UsageError(
            f"Expected the name of a backbone, a card, or a folder with one, received the file {Path(name).name}, "
            "which does not say how pixels are prepared; write a card for it."
        )
    if is_card(name) or (name.lower() not in BACKBONES and Path(name).is_dir()):
        card = load_card(name)
        return {
            "card": card.model_dump(mode="json"),
            "digest": card.digest(),
            "folder": str(card.folder.absolute()),
            "toml": dump_card(card),
        }
    row = find_backbone(name)
    listed = next(one for one in list_backbones() if one.name == row.name)
    path = find_imagenet(row)
    return {
        **vars(listed),
        "stride": row.stride,
        "preprocessing": {**row.preprocessing.key(), "formula": formula(row.preprocessing)},
        "weights": {
            "path": None if path is None else str(path),
            "sha256": None if path is None else file_digest(path),
            "places": [str(place) for place in weights_places(row)],
        },
    }


def formula(rule: Preprocessing) -> str:
    """Return in one line what is computed of a pixel x, 0 to 255."""
    if rule.rule != "affine":
        return IN_WORDS.get(rule.rule, rule.rule)
    key: Mapping[str, Any] = rule.key()
    x = "x" if rule.scale == 1 else f"x × {rule.scale:g}"
    mean, std = (", ".join(f"{value:g}" for value in dict.fromkeys(key[name])) for name in ("mean", "std"))
    mean, std = (text if "," not in text else f"({text})" for text in (mean, std))
    order = "" if rule.colour == "rgb" else f", x in {rule.colour} order" if rule.colour == "bgr" else ", x is grey"
    return f"({x} - {mean}) / {std}{order}"


def _source(row: Backbone) -> str:
    return "comes with featx" if row.packaged is not None else f"keras.applications.{row.builder}"
