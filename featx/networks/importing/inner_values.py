"""Values inside an ONNX file before its output: classifiers have their features there."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from featx.networks.framework import has_openvino, load_openvino

Shape = tuple[int | None, ...]
# What may stand after a classifier's last layer.
ENDS = frozenset(
    {"Add", "Convert", "Identity", "LogSoftmax", "Reshape", "Sigmoid", "Softmax", "Squeeze", "Unsqueeze"}
)
LAYERS = frozenset({"MatMul", "Convolution"})
RANKS = (2, 3, 4)


class Classifier(NamedTuple):
    """The last layer of a network that seems to give scores of classes.

    Attributes:
        scores: Number of values that it gives; None if it is not fixed.
        before: The name of the value that it reads.
        shape: That value's shape.
    """

    scores: int | None
    before: str
    shape: Shape


def inner_values(path: Path) -> Mapping[str, Shape]:
    """Return the shapes of values inside a network that can be its output, by name; none without OpenVINO."""
    if not has_openvino():
        return {}
    found: dict[str, Shape] = {}
    for node in _read(path).get_ordered_ops():
        if node.get_type_name() in ("Constant", "Parameter", "Result"):
            continue
        for port in node.outputs():
            shape = _shape(port)
            if len(shape) in RANKS and port.get_element_type().is_real():
                found |= dict.fromkeys(port.get_names(), shape)
    return found


def classifier(path: Path, output: str) -> Classifier | None:
    """Return the classifier that an output seems to be: a last layer with weights that gives a row."""
    if not has_openvino():
        return None
    ports = [port for port in _read(path).outputs if output in port.get_names()]
    if not ports or len(_shape(ports[0])) != 2:
        return None
    end = ports[0].get_node().input_value(0)
    while end.get_node().get_type_name() in ENDS:
        end = end.get_node().input_value(0)
    layer = end.get_node()
    if layer.get_type_name() not in LAYERS or not _is_weight(layer.input_value(1)):
        return None
    before = layer.input_value(0)
    # A value that OpenVINO made itself has no name in the file.
    while not before.get_names() and len(before.get_node().input_values()) > 0:
        before = before.get_node().input_value(0)
    names = sorted(before.get_names(), key=len)
    return Classifier(_shape(ports[0])[1], names[0], _shape(before)) if names else None


def _is_weight(port: Any) -> bool:
    while port.get_node().get_type_name() in ("Convert", "Transpose", "Reshape"):
        port = port.get_node().input_value(0)
    return bool(port.get_node().get_type_name() == "Constant")


def _read(path: Path) -> Any:
    return load_openvino().Core().read_model(str(path))


def _shape(port: Any) -> Shape:
    shape = port.get_partial_shape()
    return () if shape.rank.is_dynamic else tuple(None if one.is_dynamic else one.get_length() for one in shape)
