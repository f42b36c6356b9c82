"""Folders of a network with the settings that transformers or timm wrote for it: the card that follows from them."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from featx.errors import CardError, UsageError, WeightsError, reason_of
from featx.files import is_file, read_json
from featx.networks.cards.derived import hub_tables, timm_tables
from featx.networks.cards.file_digests import digest_once
from featx.networks.graphs.onnx_files import OnnxScan, scan_onnx

log = logging.getLogger("featx")

PROCESSOR, CONFIG = "preprocessor_config.json", "config.json"
SETTINGS_LIMIT = 2**24
# Where exporters put the network, the best first; of a CLIP, the part for images alone.
PLACES = ("onnx/vision_model.onnx", "vision_model.onnx", "onnx/model.onnx", "model.onnx")
UNCONVERTED = ("*.safetensors", "*.bin", "*.pt", "*.pth", "*.h5", "*.msgpack")
# Networks whose first token stands for the image, and the number of their tokens before those of patches.
FIRST_TOKEN = {
    "vit": 1,
    "vit_msn": 1,
    "deit": 2,
    "beit": 1,
    "data2vec-vision": 1,
    "dinov2": 1,
    "clip_vision_model": 1,
}
REGISTERS = {"dinov2_with_registers": 4, "dinov3_vit": 0}  # the defaults of num_register_tokens


def is_derivable(folder: Path) -> bool:
    """Tell whether there are settings in a folder from which a card can be derived."""
    return is_file(folder / PROCESSOR) or _is_timm(folder)


def derived_card(folder: Path, network: Path | None = None) -> dict[str, Any]:
    """Return the tables of the card that follows from a folder's settings, without what these leave open.

    Args:
        folder: It has `preprocessor_config.json`, or timm's `config.json`.
        network: The network's file in it; the one with the usual name if not given.

    Raises:
        UsageError: There is no network that can run as it is, or several of which none has the usual name.
        CardError: The settings cannot be read, or cannot be said in a card.
        WeightsError: The network's file is damaged.
    """
    config = _settings(folder / CONFIG) if is_file(folder / CONFIG) else {}
    of_timm = isinstance(config.get("pretrained_cfg"), Mapping)
    tables = timm_tables(config) if of_timm else hub_tables(_settings(folder / PROCESSOR))
    network = network or _network(folder, of_timm)
    name = network.relative_to(folder).as_posix()
    files = [name]
    if network.suffix.lower() == ".keras":
        kind, tables["input"]["layout"], output = "keras", "nhwc", {}
    else:
        scan = scan_onnx(network)
        kind, output = "onnx", _output(scan, config, of_timm)
        files += [(network.parent / part).relative_to(folder).as_posix() for part in scan.external]
        tables["input"] |= _input(scan)
    return {
        "name": _name(folder, config),
        "kind": kind,
        "files": {file: _digest(folder / file) for file in files},
        **tables,
        "output": output,
        "about": _about(config, of_timm),
    }


def _is_timm(folder: Path) -> bool:
    if not is_file(folder / CONFIG):
        return False
    try:
        return isinstance(_settings(folder / CONFIG).get("pretrained_cfg"), Mapping)
    except CardError:
        return False


def _settings(path: Path) -> dict[str, Any]:
    try:
        value = read_json(path, SETTINGS_LIMIT)
    except (OSError, ValueError) as error:
        raise CardError(
            f"Expected settings in JSON at {path}, but they cannot be read: {reason_of(error)}."
        ) from None
    if not isinstance(value, dict):
        raise CardError(f"Expected a JSON object of settings in {path}, found another value; fetch the file again.")
    return value


def _digest(path: Path) -> str:
    try:
        return digest_once(path)
    except OSError as error:
        reason = reason_of(error).lower()
        raise WeightsError(
            f"Expected a file of the network at {path}, but it cannot be read: {reason}; fetch it again."
        ) from None


def _network(folder: Path, of_timm: bool) -> Path:
    """Return the file in a folder that runs as it is."""
    found = sorted(path for place in (folder, folder / "onnx") for path in place.glob("*.onnx") if is_file(path))
    found += sorted(path for path in folder.glob("*.keras") if is_file(path))
    usual = next((folder / place for place in PLACES if folder / place in found), None)
    if usual is not None or len(found) == 1:
        network = usual or found[0]
        if len(found) > 1:
            log.info("Of the %d networks in %s, featx takes %s.", len(found), folder, network.relative_to(folder))
        return network
    if found:
        names = ", ".join(str(path.relative_to(folder)) for path in found[:6])
        raise UsageError(
            f"Expected one network in {folder}, or one named model.onnx, found {len(found)} ({names}); pass the path "
            "of the one that you want."
        )
    command = f"featx backbones import {'timm:NAME' if of_timm else f'hf:{folder}'} --out DIR"
    other = next((path.name for pattern in UNCONVERTED for path in sorted(folder.glob(pattern))), None)
    raise UsageError(
        f"Expected a network in ONNX or .keras in {folder}, but there is "
        f"{'none' if other is None else f'only {other}, which needs its framework'}; convert it once with {command}."
    )


def _input(scan: OnnxScan) -> dict[str, Any]:
    """Return the name of the image input, and its layout where its shape shows it."""
    images = {name: shape for name, shape in scan.inputs.items() if shape is None or len(shape) == 4}
    if len(images) != 1:
        return {}
    [(name, shape)] = images.items()
    last = shape is not None and shape[3] in (1, 3) and shape[1] not in (1, 3)
    return {"name": name, **({"layout": "nhwc"} if last else {})}


def _output(scan: OnnxScan, config: Mapping[str, Any], of_timm: bool) -> dict[str, Any]:
    """Return the output that gives the features.

    Raises:
        UsageError: The settings do not tell it.
    """
    ranks = {name: None if shape is None else len(shape) for name, shape in scan.outputs.items()}
    chosen = _timm_output(scan, config) if of_timm else _hub_output(ranks, config)
    if chosen is not None:
        return chosen
    names = ", ".join(ranks) or "none"
    raise UsageError(
        f"The settings of the network do not tell which of its outputs ({names}) gives features, and featx does not "
        "guess it; write a card with output.name, and output.tokens if it gives tokens (cls, mean, cls+mean or map)."
    )


def _hub_output(ranks: Mapping[str, int | None], config: Mapping[str, Any]) -> dict[str, Any] | None:
    if "image_embeds" in ranks:
        return {"name": "image_embeds"}
    prefix = _prefix(config)
    if prefix is not None and ranks.get("last_hidden_state") in (3, None) and "last_hidden_state" in ranks:
        return {"name": "last_hidden_state", "tokens": "cls", "prefix_tokens": prefix}
    if "pooler_output" in ranks and ranks["pooler_output"] in (2, None):
        return {"name": "pooler_output"}
    if ranks.get("last_hidden_state") == 4:
        return {"name": "last_hidden_state", "pooling": "avg"}
    # Scores of classes are no features.
    single = next(iter(ranks)) if len(ranks) == 1 else None
    return {"name": single} if single is not None and single != "logits" and ranks[single] in (2, None) else None


def _prefix(config: Mapping[str, Any]) -> int | None:
    """Return the number of tokens before those of patches; None for networks without a token of the image."""
    inner = config.get("vision_config")
    kind = config.get("model_type")
    if kind == "clip" and isinstance(inner, Mapping):
        kind, config = "clip_vision_model", inner
    if not isinstance(kind, str):
        return None
    registers = config.get("num_register_tokens", REGISTERS.get(kind))
    if kind in REGISTERS:
        return 1 + registers if isinstance(registers, int) and 0 <= registers < 1000 else None
    return FIRST_TOKEN.get(kind)


def _timm_output(scan: OnnxScan, config: Mapping[str, Any]) -> dict[str, Any] | None:
    if len(scan.outputs) != 1:
        return None
    [(name, shape)] = scan.outputs.items()
    width = config.get("num_features")
    if shape is None:
        return {"name": name} if config.get("num_classes") == 0 else None
    if len(shape) == 2 and (shape[1] is None or width is None or shape[1] == width):
        return {"name": name}
    if len(shape) == 3 and config.get("global_pool") == "token":
        return {"name": name, "tokens": "cls"}
    if len(shape) == 4 and isinstance(width, int) and width in (shape[1], shape[3]) and shape[1] != shape[3]:
        return {"name": name, "pooling": "avg", "layout": "nchw" if shape[1] == width else "nhwc"}
    return None


def _name(folder: Path, config: Mapping[str, Any]) -> str:
    architecture = config.get("architecture")
    name = architecture if isinstance(architecture, str) and architecture else folder.resolve().name
    return name[:200] or "network"


def _about(config: Mapping[str, Any], of_timm: bool) -> dict[str, Any]:
    settings = config.get("pretrained_cfg") if of_timm else config
    licence = settings.get("license") if isinstance(settings, Mapping) else None
    notes = f"derived from the settings of {'timm' if of_timm else 'transformers'}"
    return {"notes": notes, **({"licence": licence[:200]} if isinstance(licence, str) else {})}
