"""The `.keras` file of a head, looked at before Keras loads it: it may have been damaged or forged."""

from __future__ import annotations

import json
import os
import zipfile
import zlib
from pathlib import Path
from typing import Any

from featx.files import open_file
from featx.heads.members import layer_name

# Those of the last line join the members of a head.
LAYERS = (
    *("InputLayer", "Dense", "Dropout", "Activation"),
    *("Maximum", "Minimum", "Subtract", "Add", "Rescaling"),
)
MOST_CONFIG = 2**20  # bytes of the description of its layers


def check_head_file(path: Path, needed: tuple[str, ...]) -> None:
    """Check that a file has the layers of a head, the needed dense ones too, and space for all their weights.

    Raises:
        OSError: It cannot be opened, see `open_file`.
        ValueError: It is not a head's file; the message says why.
    """
    try:
        with open_file(path) as file, zipfile.ZipFile(file) as archive:
            space = sum(member.file_size for member in archive.infolist())
            described = archive.getinfo("config.json").file_size
            # Keras compresses nothing.
            if described > MOST_CONFIG or space > 2 * os.fstat(file.fileno()).st_size:
                raise ValueError("it unpacks to more than a head has")
            document = json.loads(archive.read("config.json"))
        units = _units_by_name(document["config"]["layers"], space)
    except (LookupError, TypeError, RecursionError, NotImplementedError, EOFError, zlib.error) as error:
        raise ValueError(f"it is damaged or of another program ({type(error).__name__})") from error
    except zipfile.BadZipFile as error:
        raise ValueError("it is damaged, or not a file of Keras 3") from error
    for name in needed:
        # The layers of a head with several members have the member's number in front.
        if name not in units and layer_name(1, name) not in units:
            raise ValueError(f"it has no dense layer {name[:60]}")


def _units_by_name(layers: list[dict[str, Any]], space: int) -> dict[str, int]:
    """Return the number of units of each dense layer; raises ValueError if a file of `space` bytes has no such."""
    first = layers[0]
    widths, weights = {str(first["name"]): int(first["config"]["batch_shape"][1])}, 0
    units: dict[str, int] = {}
    for layer in layers[1:]:
        kind, config = str(layer["class_name"]), layer["config"]
        if kind not in LAYERS:
            raise ValueError(f"a head has no layer of the kind {kind[:60]}")
        width = widths[_source(layer)]
        if kind == "Dense":
            number = units[str(config["name"])] = int(config["units"])
            weights, width = weights + width * number, number
        widths[str(layer["name"])] = width
    if min(widths.values()) < 1 or 4 * weights > space:
        raise ValueError("it has no space for the weights of its layers")
    return units


def _source(layer: dict[str, Any]) -> str:
    """Return the name of the layer, or of the first of several, whose output a layer gets."""
    tensor = layer["inbound_nodes"][0]["args"][0]
    while isinstance(tensor, list):
        tensor = tensor[0]
    return str(tensor["config"]["keras_history"][0])
