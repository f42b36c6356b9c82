"""Heads of several members: names of their layers, and the logits of their mean probabilities."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.recipes import DenseLayer, DropoutLayer, HeadPart

LOGITS = "logits"


def layer_name(member: int | None, name: str) -> str:
    """Return the name of a member's layer, counted from 1; a head with None has one member, and plain names.

    No layer of a recipe has a hyphen in its name.
    """
    return name if member is None else f"member_{member}-{name}"


def logits_layer(units: int) -> DenseLayer:
    """Return the layer that gives the logits of a member."""
    return DenseLayer(type="dense", units=units)


def initializer(keras: ModuleType, spec: HeadPart, seed: int, place: int) -> Any:
    """Return how the kernel of the layer at a place starts; the layer of the logits comes after all others."""
    if spec.logits_kernel == "zeros" and place == len(spec.layers):
        return keras.initializers.Zeros()
    return keras.initializers.GlorotUniform(seed=seed + place)


def member_logits(
    keras: ModuleType, inputs: Any, spec: HeadPart, outputs: int, seed: int, member: int | None, drawn: bool
) -> Any:
    """Add the layers of a member to inputs and return its logits.

    Args:
        keras: The library.
        inputs: The features.
        spec: The layers.
        outputs: Number of logits.
        seed: Seed of the weights and of dropout.
        member: Its number, counted from 1; None for the only one.
        drawn: Whether the weights are random; they are zero otherwise.
    """
    layers, x = keras.layers, inputs
    names = iter([*spec.dense_names(), LOGITS])
    for place, layer in enumerate([*spec.layers, logits_layer(outputs)]):
        if isinstance(layer, DropoutLayer):
            x = layers.Dropout(layer.rate, seed=seed + place, name=layer_name(member, f"dropout_{place + 1}"))(x)
        else:
            kernel = initializer(keras, spec, seed, place) if drawn else "zeros"
            name = layer_name(member, next(names))
            x = layers.Dense(layer.units, layer.activation, kernel_initializer=kernel, name=name)(x)
    return x


def joined_logits(keras: ModuleType, members: Sequence[Any], softmax: bool) -> Any:
    """Return the layer `logits`, whose softmax or sigmoid is the mean of the members' probabilities.

    All layers are of plain Keras: `log(exp(a) + exp(b))` is `max(a, b) + softplus(min(a, b) - max(a, b))`.

    Args:
        keras: The library.
        members: Their logits, two or more.
        softmax: Whether these are of classes that exclude one another; otherwise each is of a label by itself.
    """
    layers = keras.layers
    # All have names of their own, because the head may become a part of a larger model.
    numbers = range(1, len(members) + 1)

    def each(kind: str, values: Sequence[Any], make: Callable[[str], Any]) -> list[Any]:
        return [make(layer_name(number, kind))(value) for number, value in zip(numbers, values, strict=True)]

    def log_of_sum(what: str, values: Sequence[Any]) -> Any:
        total, *others = values
        for number, value in enumerate(others, 2):
            names = (
                layer_name(number, f"{what}-{part}") for part in ("larger", "smaller", "below", "softplus", "sum")
            )
            larger = layers.Maximum(name=next(names))([total, value])
            smaller = layers.Minimum(name=next(names))([total, value])
            below = layers.Subtract(name=next(names))([smaller, larger])
            more = layers.Activation("softplus", name=next(names))(below)
            total = layers.Add(name=next(names))([larger, more])
        return total

    if softmax:
        logs = each("log_softmax", members, lambda name: layers.Activation("log_softmax", name=name))
        offset = -float(np.log(len(members)))
        return layers.Rescaling(1.0, offset=offset, name=LOGITS)(log_of_sum("classes", logs))
    # log p - log(1 - p), where log p = z + log(1 - p).
    both = each("softplus", members, lambda name: layers.Activation("softplus", name=name))
    against = each("against", both, lambda name: layers.Rescaling(-1.0, name=name))
    there = each("there", list(zip(members, against, strict=True)), lambda name: layers.Add(name=name))
    return layers.Subtract(name=LOGITS)([log_of_sum("there", there), log_of_sum("against", against)])


def member_by_member(
    members: Sequence[Callable[[Iterable[NDArray[np.float32]]], NDArray[np.float32]]],
    chunks: Iterable[NDArray[np.float32]],
) -> NDArray[np.float32]:
    """Return the logits of each member, (members, n, outputs); rows are read once, and never all are in memory.

    Args:
        members: What gives the logits of a member, (n, outputs), from rows in chunks.
        chunks: Rows in chunks.
    """
    no_rows = np.stack([member(()) for member in members])
    return np.concatenate([no_rows, *(np.stack([member([rows]) for member in members]) for rows in chunks)], axis=1)


def mean_logits(members: NDArray[np.float32], softmax: bool) -> NDArray[np.float32]:
    """Return the logits, (n, outputs), of the mean of members' probabilities, as `joined_logits` computes them.

    Args:
        members: (members, n, outputs) logits.
        softmax: Whether these are of classes that exclude one another; otherwise each is of a label by itself.
    """
    if len(members) == 1:
        only: NDArray[np.float32] = members[0]
        return only
    z = members.astype(np.float64)
    if softmax:
        shares = z - np.logaddexp.reduce(z, axis=2, keepdims=True)
        joined: NDArray[np.float64] = np.logaddexp.reduce(shares, axis=0) - np.log(len(z))
    else:
        against = -np.logaddexp(0, z)
        joined = np.logaddexp.reduce(z + against, axis=0) - np.logaddexp.reduce(against, axis=0)
    return joined.astype(np.float32)
