"""The engines that run networks, and which of them is meant on this machine."""

from __future__ import annotations

from typing import Literal, get_args

from featx.errors import UsageError
from featx.networks.framework import gpu_is_there, has_onnxruntime, has_openvino
from featx.recipes import Precision

Engine = Literal["auto", "keras", "openvino", "onnxruntime"]
ChosenEngine = Literal["keras", "openvino", "onnxruntime"]
# Images in a batch with which each engine was fastest, or nearly so, on VGG16 and MobileNetV2. OpenVINO computes
# several batches at once, and the feature maps of a few images stay in a core's cache.
BATCH_SIZES = {"keras": 16, "openvino": 2, "onnxruntime": 4}


def chosen_engine(engine: str, precision: Precision = "float32") -> ChosenEngine:
    """Return the engine that `engine` means on this machine, without loading any.

    `auto` is OpenVINO where it is installed, unless there is a GPU, which only Keras uses, or the precision is
    mixed, in which only Keras computes. For networks with a card see `card_engine`.

    Raises:
        UsageError: There is no such engine, it is not installed, or it does not compute in this precision.
    """
    if engine not in get_args(Engine):
        raise UsageError(f"Expected the engine auto, keras, openvino or onnxruntime, received {engine!r}.")
    if engine in ("openvino", "onnxruntime") and precision == "mixed":
        raise UsageError(
            f"Expected the engine keras for mixed precision, received {engine}; use --engine keras, or "
            "--precision float32."
        )
    if engine == "openvino":
        return installed("openvino")
    if engine == "onnxruntime":
        return installed("onnxruntime")
    if engine == "auto" and precision != "mixed" and has_openvino() and not gpu_is_there():
        return "openvino"
    return "keras"


def card_engine(engine: str, kind: str, name: str) -> ChosenEngine:
    """Return the engine that `engine` means for a card's network that is run as it is.

    `auto` is OpenVINO where it is installed, and else onnxruntime for networks in the format ONNX. Whether that is
    installed is not asked for `auto`, since rows that are stored need no engine; see `installed`.

    Args:
        engine: What the user chose.
        kind: `onnx`, `saved_model` or `openvino`.
        name: The network's name, for messages.

    Raises:
        UsageError: The engine cannot run such networks, or is not installed.
    """
    if engine == "keras" or (engine == "onnxruntime" and kind != "onnx"):
        others = " or onnxruntime" if kind == "onnx" else ""
        raise UsageError(
            f"Expected the engine openvino{others} for {name}, a network of the kind {kind}, received {engine}; use "
            "--engine openvino."
        )
    if engine == "auto":
        return "onnxruntime" if kind == "onnx" and not has_openvino() and has_onnxruntime() else "openvino"
    return installed("onnxruntime" if engine == "onnxruntime" else "openvino")


def installed(engine: ChosenEngine) -> ChosenEngine:
    """Return an engine if it is installed; raises UsageError if it is not."""
    if engine == "openvino" and not has_openvino():
        raise UsageError(
            "Expected the package openvino for the engine openvino, but it is not installed; install it with "
            "pip install openvino, or use another engine (--engine keras, or --engine onnxruntime for ONNX)."
        )
    if engine == "onnxruntime" and not has_onnxruntime():
        raise UsageError(
            "Expected the package onnxruntime for the engine onnxruntime, but it is not installed; install it with "
            "pip install 'featx[onnx]', or use the engine openvino (--engine openvino)."
        )
    return engine
