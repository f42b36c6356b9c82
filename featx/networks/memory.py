"""The memory that a network's feature maps need, known before an image is computed."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from featx.errors import ResourcesError
from featx.limits import check_memory
from featx.networks.framework import gpu_is_there

# The layers of networks take and give fewer channels than this at full resolution. The maps are looked at, which
# takes seconds, only if so many would not fit.
CHANNELS = 512
ADVICE = "lower --batch-size or --size"


def check_maps(shape: tuple[int, int], images: int, map_values: Callable[[], int], *, on_gpu: bool = False) -> None:
    """Check that the feature maps of the images that are computed at a time fit into memory.

    Args:
        shape: Height and width of an image in pixels.
        images: How many are computed at a time.
        map_values: Returns the most values of one image that a layer takes and gives.
        on_gpu: Whether a GPU runs the network, if there is one.

    Raises:
        ResourcesError: They do not fit.
    """
    on_gpu = on_gpu and gpu_is_there()
    what = f"the network on {images:,} images of {shape[0]} × {shape[1]} pixels at a time"
    try:
        check_memory(4 * images * math.prod(shape) * CHANNELS, what, ADVICE, on_gpu=on_gpu)
    except ResourcesError:
        check_memory(4 * images * map_values(), what, ADVICE, on_gpu=on_gpu)


def map_values_of_graph(graph: Any) -> int:
    """Return the most values of one image that an operation of a TensorFlow graph takes and gives."""
    return max((sum(map(_values, (*one.inputs, *one.outputs))) for one in graph.get_operations()), default=0)


def _values(tensor: Any) -> int:
    """Return the values of one image in a tensor; weights have a known first dimension, batches have not."""
    shape = tensor.shape
    if shape.rank is None or shape.rank < 2 or shape[0] is not None:
        return 0
    return math.prod(length or 1 for length in shape[1:])


def map_values_of_model(model: Any) -> int:
    """Return the most values that an operation of an OpenVINO model for a batch of one takes and gives."""
    return max(map(_values_at, model.get_ordered_ops()), default=0)


def _values_at(operation: Any) -> int:
    sources = [port.get_source_output() for port in operation.inputs()]
    maps = [source for source in sources if source.get_node().get_type_name() != "Constant"]
    if not maps:
        return 0
    return sum(math.prod(port.shape) for port in (*maps, *operation.outputs()) if not port.partial_shape.is_dynamic)
