"""What the layers of a Keras network say of it: where its channels are, which pixels it expects, faulty weights."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

# Operations that may come between a network's input and its first real layer, and that scale or move pixels.
SCALING = {"Rescaling", "Normalization", "TrueDivide", "Divide", "Multiply", "Add", "Subtract", "Cast", "Concatenate"}
SCALING |= {"GetItem", "Identity", "Resizing", "CenterCrop", "ZeroPadding2D", "Flip", "Stack", "Negative", "Clip"}
# On 0 to 1, the pixels of featx's other rules, a network for 0 to 255 would see less than this share of its range …
LITTLE = 0.1
# … or values that are this many times further from 0 than from each other.
FAR = 10.0


def faulty_weight(model: Any) -> str | None:
    """Return the path of the first weight (`layer/kernel`) that has NaN or infinite values, or None."""
    for weight in model.weights:
        value = np.asarray(weight)
        # NumPy has no test for bfloat16, whose kind is V.
        if value.dtype.kind not in "iub" and not np.isfinite(value.astype(np.float64, copy=False)).all():
            return str(weight.path)
    return None


def channel_axis(output: Any) -> int | None:
    """Return the axis of the channels of a map, (n, …) of rank 4: 1, 2 or 3; None if its layers do not say."""
    permutations = []
    while True:
        operation, node, place = output._keras_history
        if hasattr(operation, "layers"):
            output = operation.outputs[place]
            continue
        axis = _axis_of(operation)
        if axis is not None:
            break
        before = [tensor for tensor in operation._inbound_nodes[node].input_tensors if len(tensor.shape) == 4]
        if not before or type(operation).__name__ == "Reshape":
            return None
        if type(operation).__name__ == "Permute":
            permutations.append([0, *operation.dims])
        elif type(operation).__name__ == "Transpose":
            permutations.append([axis % 4 for axis in operation.axes or (3, 2, 1, 0)])
        output = before[0]
    for permutation in reversed(permutations):
        axis = permutation.index(axis)
    return axis


def _axis_of(operation: Any) -> int | None:
    formats = {"channels_first": 1, "channels_last": 3}
    if type(operation).__name__ == "BatchNormalization":
        return int(operation.axis) % 4
    return formats.get(getattr(operation, "data_format", None) or "")


def takes_raw_pixels(model: Any, shape: tuple[int, int, int]) -> bool:
    """Tell whether a network scales pixels from 0 to 255 itself, or takes them as integers.

    This is judged by the numbers that its first real layers would see of pixels from 0 to 1. `shape` is height, width
    and channels of an image.
    """
    if "int" in str(model.inputs[0].dtype):
        return True
    levels = np.array([0, 1, 255], np.float32)[:, None, None, None]
    pixels = np.broadcast_to(levels, (3, *shape))  # takes no memory, whatever the size
    seen: list[NDArray[Any]] = []
    _follow(model, pixels, pixels, seen)
    return any(map(_too_little, seen))


def _too_little(values: NDArray[Any]) -> bool:
    """Whether values that black (0), nearly black (1) and white (255) pixels become are meant for 0 to 255."""
    black, one, white = values.reshape(3, -1, values.shape[-1]).mean(axis=1, dtype=np.float64)
    if not np.abs(white - black).max() > 0:
        return False
    step = np.abs(one - black).max()
    return bool(step < LITTLE or np.abs(black).min() > FAR * step)


def _follow(model: Any, given: Any, pixels: Any, seen: list[NDArray[Any]]) -> Any:
    """Follow pixels, as they are given to a model, to its first layers that do more than scale.

    What these see is added to `seen`, unless it is the pixels as they were. Returns the model's output if it only
    scales, else None.
    """
    # A Sequential model keeps its layers in a model of another kind.
    model = getattr(model, "_functional", None) or model
    values = {id(model.inputs[0]): given}
    for operation in model.operations:
        for node in operation._inbound_nodes:
            if not node.input_tensors or not all(id(tensor) in values for tensor in node.input_tensors):
                continue
            before = values[id(node.input_tensors[0])]
            after = None
            if hasattr(operation, "layers"):
                after = _follow(operation, before, pixels, seen)
            elif _scales(operation):
                after = _scaled(operation, node, values)
            elif before is not pixels:
                seen.append(np.asarray(before))
            if after is not None:
                values[id(node.output_tensors[0])] = after
    return values.get(id(model.outputs[0]))


def _scales(operation: Any) -> bool:
    name = type(operation).__name__
    return name in SCALING or name == "BatchNormalization" or name.startswith("Random")


def _scaled(operation: Any, node: Any, values: dict[int, Any]) -> Any:
    name = type(operation).__name__
    if name.startswith("Random"):  # changes nothing when a network is used
        return values[id(node.input_tensors[0])]
    if name == "BatchNormalization":  # what it learned of the pixels, without the scale that follows
        shape = [1, 1, 1, 1]
        shape[operation.axis] = -1
        mean, variance = (np.reshape(value, shape) for value in (operation.moving_mean, operation.moving_variance))
        return (np.asarray(values[id(node.input_tensors[0])]) - mean) / np.sqrt(variance + operation.epsilon)
    arguments, named = node.arguments.fill_in(values)
    return operation(*arguments, **named)
