"""The engine `openvino`: a converted network run by OpenVINO over batches of images."""

from __future__ import annotations

import logging
import math
import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.errors import EngineError, reason_of
from featx.networks.framework import load_openvino
from featx.networks.keras import KerasNetwork
from featx.networks.memory import check_maps, map_values_of_model
from featx.store import load_network, save_network, seal_compiled

log = logging.getLogger("featx")

# Raised by hand when networks that were converted earlier must not be used any more.
CONVERSION_RULE = 2
# Single precision everywhere: on processors with bfloat16 OpenVINO would otherwise use that.
SETTINGS = {"PERFORMANCE_HINT": "THROUGHPUT", "INFERENCE_PRECISION_HINT": "f32"}


class OpenVINONetwork:
    """A converted network, compiled for this machine's CPU; neither Keras nor TensorFlow is loaded.

    All batches have the same shape, and the last one is padded. Several batches are computed at once, as many
    as OpenVINO finds best for this machine. `model` is the topology (.xml) that `convert` or `Graph.save` wrote, with
    its weights (.bin) beside it; the network is kept compiled in the folder `compiled`, if there is one.

    Attributes:
        takes_pixels: Whether images are pixels in uint8, since their preprocessing is part of the network.
        batch_size: Images of a batch; 1 if the network is made for one.
    """

    name = "openvino"

    def __init__(self, model: Path, parameters: int, batch_size: int = 2, compiled: Path | None = None) -> None:
        core = load_openvino().Core()
        settings = SETTINGS if compiled is None else {**SETTINGS, "CACHE_DIR": str(compiled)}
        try:
            network = core.read_model(model)
            fixed, height, width, channels = (side.max_length for side in network.input(0).partial_shape)
            batch_size = fixed if network.input(0).partial_shape[0].is_static else batch_size
            network.reshape([1, height, width, channels])
            map_values = map_values_of_model(network)
            check_maps((height, width), batch_size, lambda: map_values)
            network.reshape([batch_size, height, width, channels])
            self._compiled = core.compile_model(network, "CPU", settings)
        except RuntimeError as error:
            raise EngineError(
                f"Expected a network that OpenVINO can run in {model}, but it cannot: {reason_of(error)}; remove the "
                "file to have it converted again, or use the engine keras (--engine keras)."
            ) from error
        at_once = self._compiled.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS")
        check_maps((height, width), at_once * batch_size, lambda: map_values)
        # One more than run at once, so that the next batch is ready when one is done.
        self._requests = [self._compiled.create_infer_request() for _ in range(at_once + 1)]
        self.batch_size = batch_size
        self.width = math.prod(self._compiled.output(0).shape[1:])
        self.parameters = parameters
        self.takes_pixels = self._compiled.input(0).get_element_type().get_type_name() == "u8"

    def rows(self, images: NDArray[Any]) -> NDArray[np.float32]:
        """Return (n, width) features of at most `batch_size` images, (n, height, width, channels)."""
        return next(self.stream([images]))

    def stream(self, batches: Iterable[NDArray[Any]]) -> Iterator[NDArray[np.float32]]:
        """Yield the rows of each batch, in order; the next batch is read while earlier ones are computed."""
        idle, running = deque(self._requests), deque[tuple[Any, int]]()
        try:
            for images in batches:
                if not idle:
                    yield self._finished(running, idle)
                request = idle.popleft()
                pixels = request.get_input_tensor().data
                pixels[: len(images)] = images
                pixels[len(images) :] = 0
                request.start_async()
                running.append((request, len(images)))
            while running:
                yield self._finished(running, idle)
        finally:
            # Their rows are not needed any more, but the next stream will use these requests.
            for request, _ in running:
                request.wait()

    def _finished(self, running: deque[tuple[Any, int]], idle: deque[Any]) -> NDArray[np.float32]:
        request, count = running.popleft()
        idle.append(request)
        request.wait()
        output = request.get_output_tensor().data.reshape(self.batch_size, self.width)
        return np.array(output[:count], np.float32)


def stored_network(root: Path, key: str, parameters: int, batch_size: int) -> OpenVINONetwork | None:
    """Return a network that was converted earlier, from the cache at `root`; None if it must be converted (again)."""
    files = load_network(root, key)
    if files is None:
        return None
    try:
        network = OpenVINONetwork(files.model, parameters, batch_size, files.compiled)
    except EngineError as error:
        # The file is what was written, so another version of OpenVINO has written it.
        log.info("The network is converted again: %s", error)
        return None
    seal_compiled(root, files)
    return network


def store_network(
    root: Path, key: str, about: Mapping[str, Any], write: Callable[[Path], None], parameters: int, batch_size: int
) -> OpenVINONetwork:
    """Keep a converted network in the cache at `root`, and return it; for `about` and `write` see `save_network`."""
    files = save_network(root, key, about, write)
    network = OpenVINONetwork(files.model, parameters, batch_size, files.compiled)
    seal_compiled(root, files)
    return network


def convert(network: KerasNetwork, target: Path) -> None:
    """Write a Keras network in OpenVINO's format, in single precision: topology (.xml), weights beside it (.bin).

    The same reader as in `openvino.convert_model`, which would report its use over the network. Raises EngineError if
    OpenVINO has no counterpart for something in the network, and OSError if the files cannot be written.
    """
    traced = network.traced()
    openvino = load_openvino()
    from openvino.frontend import FrontEndManager
    from openvino.frontend.tensorflow.graph_iterator import GraphIteratorTFGraph

    # This variable keeps the graph alive until the conversion is over; OpenVINO does not.
    graph = GraphIteratorTFGraph(traced.graph, True)
    reader = FrontEndManager().load_by_framework("tf")
    try:
        model = reader.convert(reader.load(graph))
        # Some activations add results of their own; only the network's output is needed.
        result = model.output(traced.outputs[0].name).get_node()
        model = openvino.Model([result], model.get_parameters())
    except conversion_failures() as error:
        raise EngineError(
            f"Expected a network that OpenVINO can run, but {network.label} cannot be converted: "
            f"{conversion_problem(error)}; use the engine keras (--engine keras)."
        ) from error
    try:
        openvino.save_model(model, target, compress_to_fp16=False)
    except RuntimeError as error:
        raise OSError(reason_of(error)) from error


def conversion_failures() -> tuple[type[Exception], ...]:
    """Return what OpenVINO raises for networks that it cannot read or convert."""
    frontend = load_openvino().frontend
    return (
        RuntimeError,
        frontend.NotImplementedFailure,
        frontend.OpConversionFailure,
        frontend.OpValidationFailure,
        frontend.InitializationFailure,
        frontend.GeneralFailure,
    )


def conversion_problem(error: BaseException) -> str:
    """Return which operations cannot be converted, which a long report says, or the error's own words."""
    text = str(error)
    operations = re.search(r"No conversion rule found for operations?: (.+)", text)
    if operations:
        return f"it has no counterpart for {operations[1].strip()[:100]}"
    # Lines that say where in OpenVINO's source it happened are of no use.
    lines = [
        line
        for line in text.splitlines()
        if line.strip() and not re.match(r"(Exception from|Check '.*' failed)", line)
    ]
    return reason_of(ValueError(" ".join(lines) or text)).rstrip(" .:")
