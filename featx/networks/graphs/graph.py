"""Networks of cards as graphs of OpenVINO: the card's output, its rows, and the preprocessing of pixels in the graph.

The graph takes pixels, (n, height, width, 3) from 0 to 255 in uint8, so that nothing is left to do per image.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.errors import EngineError, RecipeError, WeightsError, reason_of
from featx.images import LUMA, Preprocessing
from featx.limits import check_memory
from featx.networks.cards.card import Card
from featx.networks.framework import load_openvino
from featx.networks.graphs.ports import check_sides, choose_input, choose_output
from featx.networks.graphs.tails import Output, tail_of
from featx.networks.openvino import conversion_failures, conversion_problem
from featx.recipes import BackbonePart

# Raised by hand when graphs that were made earlier must not be used any more.
GRAPH_RULE = 1
FRONTENDS = {"onnx": "onnx", "saved_model": "tf", "openvino": "ir"}


class Graph:
    """The graph of a card's network, from pixels to rows.

    Args:
        card: The network's card.
        backbone: What is cut off and pooled.
        shape: Height and width of the input in pixels.
        preprocessing: How pixels are prepared; any affine rule.

    Attributes:
        model: The model of OpenVINO.
        parameters: Number of weights.

    Raises:
        EngineError: OpenVINO cannot read the network, or has no counterpart for an operation.
        RecipeError: The card, the size, the cut or the pooling does not fit the network.
        WeightsError: Weights are not numbers.
        ResourcesError: The network takes more memory than there is.
    """

    def __init__(
        self, card: Card, backbone: BackbonePart, shape: tuple[int, int], preprocessing: Preprocessing
    ) -> None:
        self._ops = _operations()
        self._card = card
        model = _read(card)
        self.parameters = _checked_weights(model, card)
        output, parameter = _ends(model, card, backbone.cut)
        fixed = _free_batch(output, parameter, card, shape)
        _check_memory(fixed, card)
        (output,) = (result.input_value(0) for result in fixed.get_results())
        (parameter,) = fixed.get_parameters()
        found = Output(_name(output), tuple(_sides(output)[1:]), card.name)
        layout = card.output.layout or card.input.layout
        tail = tail_of(found, card.output, backbone.pooling, layout, shape, cut=backbone.cut is not None)
        batch = parameter.get_partial_shape()[0]
        pixels = self._ops.parameter([batch, *shape, 3], np.uint8, name="pixels")
        readers = list(parameter.output(0).get_target_inputs())
        prepared = self._prepared(pixels, preprocessing, parameter.get_element_type())
        for reader in readers:
            reader.replace_source_output(prepared.output(0))
        rows = tail(_GraphOperations(self._ops), self._ops.convert(output, "f32"))
        self.model = load_openvino().Model([self._ops.result(rows, name="features")], [pixels], "network")

    def _prepared(self, pixels: Any, preprocessing: Preprocessing, wanted: Any) -> Any:
        ops = self._ops
        colour, scale, mean, std = preprocessing.affine_numbers()
        values = ops.convert(pixels, "f32")
        if colour == "grey":
            # All sums are below 2^24, so they are exact in float32.
            total = ops.reduce_sum(ops.multiply(values, _constant(LUMA)), _axes(3), keep_dims=True)
            values = ops.floor(ops.multiply(ops.add(total, _constant([32768.0])), _constant([2.0**-16])))
        elif colour == "bgr":
            values = ops.gather(values, _axes(2, 1, 0), np.int64(3))
        values = ops.multiply(values, _constant([scale]))
        values = ops.divide(ops.subtract(values, _constant(mean)), _constant(std))
        if self._card.input.layout == "nchw":
            values = ops.transpose(values, _axes(0, 3, 1, 2))
        return ops.convert(values, wanted)

    def save(self, target: Path) -> None:
        """Write the graph: topology (.xml), weights beside it (.bin); raises OSError if that fails."""
        try:
            load_openvino().save_model(self.model, target, compress_to_fp16=False)
        except RuntimeError as error:
            raise OSError(reason_of(error)) from error


class _GraphOperations:
    """The functions that `Tail` needs, on outputs of a graph."""

    def __init__(self, ops: Any) -> None:
        self._ops = ops

    def take(self, x: Any, indices: Any, axis: int) -> Any:
        return self._ops.gather(x, np.array(indices, np.int64), np.int64(axis)).output(0)

    def mean(self, x: Any, axis: Any) -> Any:
        return self._ops.reduce_mean(x, np.atleast_1d(np.int64(axis))).output(0)

    def max(self, x: Any, axis: Any) -> Any:
        return self._ops.reduce_max(x, np.atleast_1d(np.int64(axis))).output(0)

    def concatenate(self, xs: Any, axis: int) -> Any:
        return self._ops.concat(list(xs), axis).output(0)

    def reshape(self, x: Any, newshape: Any) -> Any:
        # 0 keeps the number of images.
        return self._ops.reshape(x, np.array([0, *newshape[1:]], np.int64), special_zero=True).output(0)


def _operations() -> Any:
    load_openvino()
    from openvino import opset13

    return opset13


def _axes(*axes: int) -> NDArray[np.int64]:
    return np.array(axes, np.int64)


def _constant(values: Iterable[float]) -> NDArray[np.float32]:
    return np.array(list(values), np.float32)


def _read(card: Card) -> Any:
    """Read a card's network with the reader of its kind alone; its frontends do not look for others."""
    load_openvino()
    from openvino.frontend import FrontEndManager

    reader = FrontEndManager().load_by_framework(FRONTENDS[card.kind])
    path = card.main.parent if card.kind == "saved_model" else card.main
    try:
        return reader.convert(reader.load(str(path)))
    except conversion_failures() as error:
        raise unreadable(card, error) from error


def unreadable(card: Card, error: BaseException) -> EngineError:
    """Return the error for a network that OpenVINO cannot read or compile."""
    other = "use the engine onnxruntime (--engine onnxruntime)" if card.kind == "onnx" else "export it as ONNX"
    return EngineError(
        f"Expected a network that OpenVINO can run in {card.main}, but it cannot: {conversion_problem(error)}; "
        f"{other}, or pass another network."
    )


def _checked_weights(model: Any, card: Card) -> int:
    """Return the number of weights, which must be numbers."""
    count = 0
    for node in model.get_ordered_ops():
        if node.get_type_name() != "Constant":
            continue
        kind = node.get_element_type()
        if not kind.is_real():
            count += math.prod(node.shape) if kind.size == 1 and kind.get_type_name() != "boolean" else 0
            continue
        count += math.prod(node.shape)
        # Masks of attention may be infinite.
        if np.isnan(node.get_data(dtype=np.float32)).any():
            raise WeightsError(
                f"Expected finite weights in {card.main}, but {node.get_friendly_name()[:80]} has NaN values, as "
                "after a training that diverged; pass a network of finite weights."
            )
    return count


def _ends(model: Any, card: Card, cut: str | None) -> tuple[Any, Any]:
    """Return the output that the card or the cut names, and the image input that it needs."""
    outputs = [result.input_value(0) for result in model.get_results()]
    wanted = cut or card.output.name
    if wanted is not None:
        everything = [port for node in model.get_ordered_ops() for port in node.outputs()]
        named = [port for port in everything if wanted in port.get_names()]
        named += [port for port in everything if wanted == port.get_node().get_friendly_name()]
        named = [port for port in named if port.get_node().get_type_name() != "Parameter"]
        outputs = named[:1]
        inner = [_name(port) for port in everything if _is_inner(port)]
        if not outputs:
            raise choose_output(card, wanted, [_name(result.input_value(0)) for result in model.get_results()], inner)
    if not outputs:
        raise unreadable(card, ValueError("it has no output"))
    if len(outputs) != 1:
        raise choose_output(card, None, [_described(port) for port in outputs], [])
    needed = _inputs_of(outputs[0])
    wanted_input = card.input.name
    chosen = [one for one in needed if wanted_input in (None, one.get_friendly_name(), *one.output(0).get_names())]
    if len(needed) != 1 or len(chosen) != 1:
        everything = [_described(one.output(0)) for one in model.get_parameters()]
        raise choose_input(card, [_name(one.output(0)) for one in needed], everything, _name(outputs[0]))
    return outputs[0], chosen[0]


def _is_inner(port: Any) -> bool:
    kind = port.get_node().get_type_name()
    return bool(port.get_names()) and kind not in ("Constant", "Parameter", "Result", "Convert")


def _name(port: Any) -> str:
    return min(port.get_names(), key=len, default="") or str(port.get_node().get_friendly_name())


def _described(port: Any) -> str:
    sides = ", ".join("?" if side is None else str(side) for side in _sides(port))
    return f"{_name(port)} ({sides})"


def _sides(port: Any) -> list[int | None]:
    """Return the lengths of an output's axes, None where they are not fixed; none at all if their number is open."""
    shape = port.get_partial_shape()
    if shape.rank.is_dynamic:
        return []
    return [None if side.is_dynamic else side.get_length() for side in shape]


def _inputs_of(output: Any) -> list[Any]:
    """Return the inputs of a network that an output depends on."""
    waiting, seen, found = [output.get_node()], set(), []
    while waiting:
        node = waiting.pop()
        if node.get_name() in seen:
            continue
        seen.add(node.get_name())
        if node.get_type_name() == "Parameter":
            found.append(node)
        waiting += [source.get_node() for source in node.input_values()]
    return found


def _free_batch(output: Any, parameter: Any, card: Card, shape: tuple[int, int]) -> Any:
    """Return the network from its input to the output, for any number of images, or for one if it is made for one."""
    sides = _sides(parameter.output(0))
    check_sides(card, _name(parameter.output(0)), sides, shape, parameter.get_element_type().get_type_name())
    openvino = load_openvino()
    model = openvino.Model([output], [parameter])
    image = card.input.axes(shape)
    reason = ""
    for batch in (-1, 1):
        trial = model.clone()
        try:
            # A trial of two images shows whether a fixed number is somewhere inside.
            for images in (2, batch) if batch == -1 else (1,):
                trial.reshape({trial.input(0): openvino.PartialShape([images, *image])})
                found = _sides(trial.output(0))
                if not found or found[0] != (None if images == -1 else images) or None in found[1:]:
                    raise RuntimeError(f"its output becomes ({', '.join(map(str, found))}) for {images} images")
        except RuntimeError as error:
            reason = conversion_problem(error)
            continue
        return trial
    raise RecipeError(
        f"Expected a network whose output {_name(output)} has a row for each image of {shape[0]} × {shape[1]} "
        f"pixels, but {card.name} has not: {reason}; name another output in the card (output.name), or another size."
    )


def _check_memory(model: Any, card: Card) -> None:
    """Check that no single value in the network takes more memory than there is, before anything is computed."""
    ports = [port.get_partial_shape() for node in model.get_ordered_ops() for port in node.outputs()]
    largest = max(math.prod(side.get_min_length() or 1 for side in shape) for shape in ports if shape.rank.is_static)
    check_memory(4 * largest, f"an operation of {card.name} on one image", "use a smaller network or --size")
