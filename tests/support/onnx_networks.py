"""Small networks in the format ONNX, their cards, and what must come of them in NumPy; needs the package onnx."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.digests import digest_of_file
from featx.networks import Card, write_card
from featx.recipes import BackbonePart

HEIGHT, WIDTH, CHANNELS = 24, 32, 6
MEAN, STD = (0.4, 0.5, 0.6), (0.2, 0.25, 0.3)
Side = int | str


def kernel(channels: int = 3, seed: int = 0) -> NDArray[np.float32]:
    """The kernel of 8 × 8 pixels that all these networks have, (features, channels, 8, 8)."""
    drawn = np.random.default_rng(seed).normal(size=(CHANNELS, channels, 8, 8)) / 8
    return drawn.astype(np.float32)


def expected_map(prepared: NDArray[np.float32], seed: int = 0) -> NDArray[np.float32]:
    """What the convolution makes of prepared images, (n, height, width, channels): (n, height / 8, width / 8, 6)."""
    n, height, width, channels = prepared.shape
    patches = prepared.astype(np.float64).reshape(n, height // 8, 8, width // 8, 8, channels)
    values = np.einsum("nhawbc,fcab->nhwf", patches, kernel(channels, seed).astype(np.float64))
    positive: NDArray[np.float32] = np.maximum(values, 0).astype(np.float32)
    return positive


def write_onnx(
    path: Path,
    *,
    output: str = "map",
    side: tuple[Side, Side] = (HEIGHT, WIDTH),
    batch: Side = "n",
    channels: int = 3,
    dtype: str = "FLOAT",
    nhwc: bool = False,
    prefix: int = 1,
    external: str | None = None,
    weights: NDArray[Any] | None = None,
    more: Sequence[Any] = (),
) -> Path:
    """Write a network: a convolution of 8 × 8 pixels, and what makes `output` of it.

    Args:
        output: `map`, `row` (its mean over the places), `tokens` (with `prefix` tokens of ones before), or `both`
            (map and row).
        side: Height and width of the input; a text stands for any.
        batch: Number of images; a text stands for any.
        dtype: The type of the input and the weights; the input's is UINT8 for `UINT8`.
        nhwc: Whether channels are the input's last axis.
        external: A file beside it for the weights.
        weights: Other weights than `kernel` gives.
        more: Nodes of which the first reads `relu`, and the last gives `out`.
    """
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    real = np.float16 if dtype == "FLOAT16" else np.float32
    shape = [batch, *side, channels] if nhwc else [batch, channels, *side]
    inputs = [helper.make_tensor_value_info("image", getattr(TensorProto, dtype), shape)]
    nodes, last = [], "image"
    if dtype == "UINT8":
        nodes.append(helper.make_node("Cast", [last], ["cast"], to=TensorProto.FLOAT))
        last = "cast"
    if nhwc:
        nodes.append(helper.make_node("Transpose", [last], ["turned"], perm=[0, 3, 1, 2]))
        last = "turned"
    nodes.append(helper.make_node("Conv", [last, "kernel"], ["conv"], strides=[8, 8]))
    nodes.append(helper.make_node("Relu", ["conv"], ["relu"]))
    constants = [numpy_helper.from_array((kernel(channels) if weights is None else weights).astype(real), "kernel")]
    kind = TensorProto.FLOAT16 if dtype == "FLOAT16" else TensorProto.FLOAT
    outputs = []
    if output in ("map", "both"):
        outputs.append(helper.make_tensor_value_info("relu", kind, None))
    if output in ("row", "both"):
        nodes.append(helper.make_node("ReduceMean", ["relu"], ["row"], axes=[2, 3], keepdims=0))
        outputs.append(helper.make_tensor_value_info("row", kind, None))
    if output == "tokens":
        places = (int(side[0]) // 8) * (int(side[1]) // 8)
        constants.append(numpy_helper.from_array(np.array([0, CHANNELS, places], np.int64), "flat"))
        nodes.append(helper.make_node("Reshape", ["relu", "flat"], ["columns"]))
        nodes.append(helper.make_node("Transpose", ["columns"], ["patches"], perm=[0, 2, 1]))
        if prefix:
            # As many tokens as there are images, each of ones: taken from the patches.
            constants.append(numpy_helper.from_array(np.arange(prefix, dtype=np.int64), "first"))
            constants.append(numpy_helper.from_array(np.array(0, real), "zero"))
            constants.append(numpy_helper.from_array(np.array(1, real), "one"))
            nodes.append(helper.make_node("Gather", ["patches", "first"], ["taken"], axis=1))
            nodes.append(helper.make_node("Mul", ["taken", "zero"], ["nothing"]))
            nodes.append(helper.make_node("Add", ["nothing", "one"], ["ones"]))
            nodes.append(helper.make_node("Concat", ["ones", "patches"], ["tokens"], axis=1))
        outputs.append(helper.make_tensor_value_info("tokens" if prefix else "patches", kind, None))
    nodes += more
    if more:
        outputs = [helper.make_tensor_value_info("out", kind, None)]
    graph = helper.make_graph(nodes, "small", inputs, outputs, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    options: dict[str, Any] = (
        {} if external is None else {"save_as_external_data": True, "location": external, "size_threshold": 0}
    )
    onnx.save(model, path, **options)
    return path


def card_document(path: Path, changes: dict[str, Any] | None = None) -> dict[str, Any]:
    """The tables of a card for a file of `write_onnx` and for what lies beside it with external data.

    `changes` has values by dotted name, such as `output.tokens`; None removes one.
    """
    files = [path, *sorted(one for one in path.parent.iterdir() if one.suffix == ".data")]
    document: dict[str, Any] = {
        "card": 1,
        "name": path.stem,
        "kind": "onnx",
        "files": {one.name: digest_of_file(one) for one in files},
        "input": {"layout": "nchw", "colour": "rgb", "size": (HEIGHT, WIDTH)},
        "pixels": {"interpolation": "bilinear", "scale": 1 / 255, "mean": MEAN, "std": STD},
        "output": {},
    }
    for name, value in (changes or {}).items():
        *tables, key = name.split(".")
        table = document
        for one in tables:
            table = table[one]
        if value is None:
            table.pop(key, None)
        else:
            table[key] = value
    return document


def card_of_onnx(path: Path, changes: dict[str, Any] | None = None) -> Card:
    """The card of a file of `write_onnx`, in memory."""
    return Card.model_validate(card_document(path, changes)).at(path.parent)


def write_onnx_card(path: Path, changes: dict[str, Any] | None = None) -> Path:
    """Write the card of a file of `write_onnx` beside it, and return its path."""
    return write_card(card_of_onnx(path, changes), path.with_suffix(".toml"))


def part(**fields: Any) -> BackbonePart:
    """What is cut off and pooled of a card's network."""
    return BackbonePart(name="network.toml", **fields)


def some_images(n: int = 3, shape: tuple[int, int] = (HEIGHT, WIDTH), seed: int = 0) -> NDArray[np.uint8]:
    """Pixels, (n, height, width, 3), 0 to 255."""
    return np.random.default_rng(seed).integers(0, 256, (n, *shape, 3), np.uint8)
