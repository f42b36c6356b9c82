"""A network as a table of layers with the shapes and parameters that a recipe implies; nothing is built."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from featx.recipe import DenseLayer, HeadPart


@dataclass(frozen=True)
class Layer:
    """One row.

    Attributes:
        name: What it is.
        shape: Of its output, without the batch.
        parameters: Its own.
        trainable: Whether they are fitted.
    """

    name: str
    shape: tuple[int, ...]
    parameters: int
    trainable: bool = True


def head_layers(spec: HeadPart, width: int, classes: int) -> list[Layer]:
    """Return the head's layers: a dense one has a weight for each input and unit, and a bias a unit.

    Args:
        spec: The recipe's part.
        width: Features an image.
        classes: Number of classes.
    """
    return list(_walk(spec, width, classes))


def _walk(spec: HeadPart, width: int, classes: int) -> Iterator[Layer]:
    names = iter(spec.dense_names())
    for layer in spec.layers:
        if not isinstance(layer, DenseLayer):
            yield Layer(f"Dropout {layer.rate:g}", (width,), 0)
            continue
        name = next(names)
        yield Layer(f"Dense ({name})", (layer.units,), (width + 1) * layer.units)
        width = layer.units
        if layer.activation != "linear":
            yield Layer(_title(layer.activation), (width,), 0)
    units = 1 if spec.output == "sigmoid" else classes
    yield Layer("Dense (logits)", (units,), (width + 1) * units)
    yield Layer(_title(spec.output), (units,), 0)


def _title(activation: str) -> str:
    return {"relu": "ReLU", "gelu": "GELU", "elu": "ELU", "selu": "SELU", "silu": "SiLU"}.get(
        activation, activation.capitalize()
    )
