"""The head: a small Keras model from features to class probabilities."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.digests import digest_of
from featx.errors import RecipeError, RunError, WeightsError, reason_of
from featx.heads.head_file import check_head_file
from featx.heads.members import (
    LOGITS,
    initializer,
    joined_logits,
    layer_name,
    logits_layer,
    member_by_member,
    member_logits,
)
from featx.networks import faulty_weight, load_model_file, plain_keras
from featx.recipes import DenseLayer, HeadPart


class Head:
    """A head with named layers: the layers of the recipe, then `logits`, then `probabilities`.

    It is trained on the logits and predicts probabilities. With the output `sigmoid` both have one column, for the
    second class; for data with several labels for each image they have one column for each label.

    A head may have several members: the layers of the recipe up to the logits, for each member by itself. Its
    probabilities are the mean of the members' probabilities, its logits the logarithms that belong to them, and its
    penultimate features those of all members side by side.

    Attributes:
        model: The Keras model, from (n, width) features to probabilities.
        penultimate_layer: Name of the layer whose output is the penultimate features, or None.
    """

    def __init__(self, model: Any, penultimate_layer: str | None = None) -> None:
        self.model = model
        self.penultimate_layer = penultimate_layer
        logits = model.get_layer(LOGITS).output
        with plain_keras() as keras:
            self.logits_model = keras.Model(model.input, logits)
            of_members = [keras.Model(model.input, layer.output) for layer in self._member_layers(LOGITS)]
        # From features to the logits of each member, with the weights that the head has.
        self.member_models = of_members or [self.logits_model]

    def _member_layers(self, name: str) -> list[Any]:
        """Return the layer of each member with a name; none of a head with one member."""
        layers = {layer.name: layer for layer in self.model.layers}
        numbers = iter(range(1, len(layers) + 1))
        return list(iter(lambda: layers.get(layer_name(next(numbers), name)), None))

    @classmethod
    def build(
        cls,
        spec: HeadPart,
        width: int,
        classes: int,
        seed: int | Sequence[int] = 0,
        weights: Sequence[NDArray[np.float32]] = (),
        *,
        multilabel: bool = False,
    ) -> Head:
        """Build a head with random weights (Glorot's uniform distribution, the default of Keras).

        With `logits_kernel = "zeros"` the kernel of the last layer is zero, and all classes start equally probable.

        Args:
            spec: The layers.
            width: Number of features in a row.
            classes: At least 2; at least 1 with `multilabel`.
            seed: Seed of the weights and of dropout, or one for each member of a head with several.
            weights: Kernel and bias of each dense layer in order, member after member, instead of random ones.
            multilabel: Whether the classes are labels of which an image may have several: one sigmoid for each.

        Raises:
            RecipeError: The output is `sigmoid` and there are not two classes.
        """
        if not multilabel:
            check_output(spec, classes)
        seeds = [seed] if isinstance(seed, int) else seed
        with plain_keras() as keras:
            inputs = keras.Input((width,), name="features")
            outputs = spec.outputs(classes, multilabel)
            numbers = [None] if len(seeds) == 1 else range(1, len(seeds) + 1)
            logits = [
                member_logits(keras, inputs, spec, outputs, own, number, drawn=not weights)
                for own, number in zip(seeds, numbers, strict=True)
            ]
            softmax = outputs > 1 and not multilabel
            x = logits[0] if len(logits) == 1 else joined_logits(keras, logits, softmax)
            x = keras.layers.Activation("sigmoid" if multilabel else spec.output, name="probabilities")(x)
            head = cls(keras.Model(inputs, x, name="head"), spec.penultimate)
            each = len(weights) // len(seeds)
            for number, model in enumerate(head.member_models if weights else ()):
                model.set_weights(list(weights[number * each : (number + 1) * each]))
        return head

    @classmethod
    def load(cls, path: Path, penultimate_layer: str | None = None) -> Head:
        """Read a head that `save` wrote.

        Args:
            path: The `.keras` file.
            penultimate_layer: Name of the layer whose output is the penultimate features, or None.

        Raises:
            RunError: The file is missing or does not hold a head, or its weights are not finite.
        """
        try:
            check_head_file(path, (LOGITS, *([] if penultimate_layer is None else [penultimate_layer])))
            with plain_keras() as keras:
                head = cls(load_model_file(keras, path), penultimate_layer)
        except (OSError, ValueError, AttributeError, WeightsError) as error:
            raise RunError(f"Expected a head in {path}, but it does not load: {reason_of(error)}") from error
        faulty = faulty_weight(head.model)
        if faulty is not None:
            raise RunError(
                f"Expected finite weights in the head {path}, but {faulty} has NaN or infinite values; train it "
                "again."
            )
        return head

    def save(self, path: Path) -> None:
        """Write the head as a `.keras` file that plain Keras loads."""
        with plain_keras():
            self.model.save(path)

    @property
    def width(self) -> int:
        """Number of features in a row."""
        return int(self.model.input_shape[1])

    @property
    def outputs(self) -> int:
        """Number of logits."""
        return int(self.model.output_shape[1])

    @property
    def classes(self) -> int:
        """Number of classes, of which an image has one."""
        return max(2, self.outputs)

    def parameters(self) -> int:
        """Return the number of trainable parameters."""
        return int(self.model.count_params())

    def digest(self) -> str:
        """Return the SHA-256 of the head's layers and weights."""
        # Seeds and initializers no longer matter once a layer is trained.
        fields = ("name", "units", "activation", "rate")
        layers = [{key: layer.get_config().get(key) for key in fields} for layer in self.model.layers]
        digest = hashlib.sha256(digest_of(layers).encode())
        for value in self.model.get_weights():
            digest.update(np.ascontiguousarray(value).tobytes())
        return digest.hexdigest()

    def logits(self, chunks: Iterable[NDArray[np.float32]]) -> NDArray[np.float32]:
        """Return the logits, (n, classes) or (n, 1), of rows in chunks of any length."""
        return self._logits(self.logits_model, chunks)

    def _logits(self, model: Any, chunks: Iterable[NDArray[np.float32]]) -> NDArray[np.float32]:
        no_rows = np.empty((0, self.outputs), np.float32)
        return np.concatenate([no_rows, *_outputs(model, chunks)])

    def penultimate(self, chunks: Iterable[NDArray[np.float32]]) -> Iterator[NDArray[np.float32]]:
        """Yield the output of the penultimate layer, (n, units) or (n, members * units), chunk by chunk.

        Raises:
            RecipeError: The recipe names no penultimate layer.
        """
        if self.penultimate_layer is None:
            raise RecipeError("The recipe names no penultimate layer; set head.penultimate to a dense layer.")
        with plain_keras() as keras:
            parts = [layer.output for layer in self.penultimate_layers()]
            joined = parts[0] if len(parts) == 1 else keras.layers.Concatenate()(parts)
            model = keras.Model(self.model.input, joined)
        return _outputs(model, chunks)

    def penultimate_layers(self) -> list[Any]:
        """Return the Keras layers whose outputs, side by side, are the penultimate features: one for each member."""
        return self._member_layers(str(self.penultimate_layer)) or [self.model.get_layer(self.penultimate_layer)]

    @staticmethod
    def sources(layer: Any) -> list[str]:
        """Return the names of the layers whose outputs a Keras layer of a head gets, in order; none for the input."""
        if type(layer).__name__ == "InputLayer":
            return []
        tensors = layer.input if isinstance(layer.input, list) else [layer.input]
        return [tensor._keras_history.operation.name for tensor in tensors]

    def logits_of_members(self, chunks: Iterable[NDArray[np.float32]]) -> NDArray[np.float32]:
        """Return the logits of each member, (members, n, classes) or (members, n, 1), of rows in chunks."""
        return member_by_member([partial(self._logits, model) for model in self.member_models], chunks)


def check_output(spec: HeadPart, classes: int) -> None:
    """Check that a head's output is for that many classes.

    Raises:
        RecipeError: The output is `sigmoid` and there are not two classes.
    """
    if spec.output == "sigmoid" and classes != 2:
        raise RecipeError(
            f"A head with output 'sigmoid' is for two classes, and the data has {classes}; "
            "use a recipe with output 'softmax'."
        )


def initial_weights(
    spec: HeadPart, width: int, classes: int, seed: int, *, multilabel: bool = False
) -> Iterator[tuple[NDArray[np.float32], NDArray[np.float32]]]:
    """Yield the kernel and bias of each dense layer with which `Head.build` starts."""
    for place, layer in enumerate([*spec.layers, logits_layer(spec.outputs(classes, multilabel))]):
        if isinstance(layer, DenseLayer):
            # A copy: the memory of a Keras tensor must not be written to.
            with plain_keras() as keras:
                kernel = np.array(initializer(keras, spec, seed, place)((width, layer.units)))
            yield kernel, np.zeros(layer.units, np.float32)
            width = layer.units


def _outputs(model: Any, chunks: Iterable[NDArray[np.float32]]) -> Iterator[NDArray[np.float32]]:
    for chunk in chunks:
        # `predict` would trace the model again for every length of a chunk; a plain call does not.
        with plain_keras():
            outputs = np.asarray(model(chunk, training=False), np.float32)
        yield outputs
