"""The backbone as nodes of ONNX: converted from Keras, or a card's own file."""

from __future__ import annotations

from typing import Any

import numpy as np

from featx.errors import EngineError, UsageError, reason_of
from featx.exporting.graph import LOWEST, USUAL, Graph
from featx.features import FeatureSpace
from featx.networks import Card, KerasNetwork, OnnxRuntimeNetwork, plain_keras, quiet_library

BACKBONE = "backbone/"


class KerasBackbone:
    """A backbone that Keras builds: a network of the table, a `.keras` file, or the card of one."""

    opset = USUAL
    one_by_one = False

    def __init__(self, space: FeatureSpace) -> None:
        spec = space.spec
        self.network = KerasNetwork(spec.backbone, spec.images.shape, space.weights, batch_size=1)

    def rows(self, graph: Graph, pixels: str) -> str:
        """Return the network's rows, (n, width), of its input (n, channels, height, width)."""
        converted = self._converted()
        name = converted.graph.output[0].name
        images = graph.add("Transpose", pixels, perm=[0, 2, 3, 1])
        output = graph.insert(converted, BACKBONE, {converted.graph.input[0].name: images}, name)
        return graph.add("Reshape", output, graph.constant([-1, self.network.width], np.int64))

    def _converted(self) -> Any:
        import tensorflow as tf

        traced = self.network.traced()
        (argument,) = traced.structured_input_signature[0]
        with plain_keras(), quiet_library("tf2onnx"):
            import tf2onnx

            whole = tf.function(lambda images: traced(images), input_signature=[argument], autograph=False)
            try:
                model, _ = tf2onnx.convert.from_function(whole, input_signature=[argument], opset=self.opset)
            except (RuntimeError, ValueError, NotImplementedError, KeyError) as error:
                raise EngineError(
                    f"Expected a network that ONNX can express, but {self.network.label} cannot be converted: "
                    f"{reason_of(error).rstrip('.')}; use --format keras."
                ) from error
        return model


class CardBackbone:
    """A backbone in an ONNX file with a card; its weights stay as they are.

    `one_by_one` if the file does not run on two images at once.
    """

    def __init__(self, space: FeatureSpace, card: Card) -> None:
        import onnx

        if card.kind != "onnx":
            raise UsageError(
                f"Expected a network of Keras or in the format ONNX, but {card.name} is in the format {card.kind}, "
                "which cannot be put into an ONNX file; export it to ONNX, write a card of that file, and train "
                "again."
            )
        self._card = card
        self._network = OnnxRuntimeNetwork(card, space.spec.backbone, space.spec.images.shape, batch_size=2)
        self.one_by_one = self._network.batch_size == 1
        self._model = _of_known_version(onnx.load(card.main), card)
        self.opset = _version(self._model)

    def rows(self, graph: Graph, pixels: str) -> str:
        """Return the network's rows, (n, width), of its input (n, channels, height, width)."""
        network = self._network
        if self._card.input.layout == "nhwc":
            pixels = graph.add("Transpose", pixels, perm=[0, 2, 3, 1])
        inputs = {network.input: graph.cast(pixels, network.type)}
        output = graph.insert(self._model, BACKBONE, inputs, network.output)
        return str(network.tail(_Operations(graph), graph.cast(output, np.float32)))


class _Operations:
    """The functions that the steps from an output to a row need, as nodes; see `featx.networks`."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph

    def take(self, x: Any, indices: Any, axis: int) -> Any:
        return self._graph.add("Gather", x, self._graph.constant(indices, np.int64), axis=axis)

    def mean(self, x: Any, axis: Any) -> Any:
        return self._graph.reduce("ReduceMean", x, *np.atleast_1d(axis).tolist())

    def max(self, x: Any, axis: Any) -> Any:
        return self._graph.reduce("ReduceMax", x, *np.atleast_1d(axis).tolist())

    def concatenate(self, xs: Any, axis: int) -> Any:
        return self._graph.add("Concat", *xs, axis=axis)

    def reshape(self, x: Any, newshape: Any) -> Any:
        return self._graph.add("Reshape", x, self._graph.constant(newshape, np.int64))


def _version(model: Any) -> int:
    return max(int(one.version) for one in model.opset_import if one.domain in ("", "ai.onnx"))


def _of_known_version(model: Any, card: Card) -> Any:
    """Return a model whose operators are of a version that is written here."""
    if _version(model) >= LOWEST:
        return model
    from onnx import version_converter

    try:
        return version_converter.convert_version(model, LOWEST)
    except (RuntimeError, ValueError) as error:
        raise EngineError(
            f"Expected operators of ONNX from version {LOWEST} on, but {card.main} has version {_version(model)} and "
            f"cannot be converted ({reason_of(error)[:80]}); export the network again with a later one."
        ) from error
