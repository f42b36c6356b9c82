"""The tables and fields of a recipe, from the size of the images to the last layer of the head.

A `FeatureSpec` decides the features of an image; a `Recipe` adds the head and its training. Both are validated and
immutable. `featx.recipes.files` reads and writes them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from numbers import Integral, Real
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from featx.recipes.part import Part
from featx.recipes.pixels import ImagesPart, PreprocessPart, ViewsPart

Pooling = Literal["none", "avg", "max"]
Precision = Literal["float32", "mixed"]
Activation = Literal["linear", "relu", "gelu", "elu", "selu", "silu", "tanh", "sigmoid"]
Output = Literal["softmax", "sigmoid"]
LogitsKernel = Literal["glorot", "zeros"]
ClassWeight = Literal["balanced"]
Keep = Literal["last", "best"]

# Upper limits, far above what is of use. They keep a typing error from using up the memory or running for years.
MOST_LAYERS = 100
MOST_UNITS = 1_000_000
MOST_EPOCHS = 1_000_000
MOST_MEMBERS = 100
LARGEST_BATCH = 2**31 - 1  # far more than images means all of them
MOST_RATES = 10_000


def _without_null(text: str) -> str:
    if "\0" in text:
        raise ValueError("no file and no layer can have a null character in its name")
    return text


Line = Annotated[str, Field(min_length=1, max_length=4096), AfterValidator(_without_null)]
Rate = Annotated[float, Field(gt=0)]


def is_network_path(name: str) -> bool:
    """Tell whether a backbone's name is the path of a file or folder, not a name from the table of backbones."""
    return name.lower().endswith((".keras", ".toml", ".onnx")) or "/" in name or "\\" in name


class BackbonePart(Part):
    """The frozen network: a name from the table of backbones, a `.keras` file, or a network's card."""

    name: Line
    weights: Annotated[Line, Field(description="imagenet, random, or a weights file")] = "imagenet"
    pooling: Pooling = "none"
    cut: Annotated[Line | None, Field(description="layer whose output is the features; None: the last layer")] = None
    precision: Annotated[
        Precision, Field(description="mixed: half precision where that is safe, for GPUs with units for it")
    ] = "float32"


class FeaturesPart(Part):
    """How features are stored."""

    dtype: Literal["float32", "float16"] = "float32"


class DropoutLayer(Part):
    """Inverted dropout: in training, each value is set to 0 with probability `rate` and the rest is scaled up."""

    type: Literal["dropout"]
    rate: Annotated[float, Field(ge=0, lt=1)]


class DenseLayer(Part):
    """A fully connected layer."""

    type: Literal["dense"]
    units: Annotated[int, Field(ge=1, le=MOST_UNITS)]
    activation: Activation = "linear"
    name: Annotated[str | None, Field(pattern=r"^[A-Za-z][A-Za-z0-9_]*$", max_length=200)] = None


HeadLayer = Annotated[DropoutLayer | DenseLayer, Field(discriminator="type")]


class HeadPart(Part):
    """Layers between the features and the classes; a last dense layer with one unit per class is added to them."""

    layers: Annotated[tuple[HeadLayer, ...], Field(max_length=MOST_LAYERS)] = ()
    output: Annotated[
        Output, Field(description="sigmoid: one unit for two classes, or for each of several labels")
    ] = "softmax"
    penultimate: Annotated[
        str | None, Field(max_length=200, description="dense layer that gives the penultimate features")
    ] = None
    logits_kernel: Annotated[
        LogitsKernel, Field(description="how the last layer's kernel starts: random after Glorot, or zero")
    ] = "glorot"

    def key(self) -> dict[str, Any]:
        """Return what decides the trained head; fields that came later are left out where they have no effect."""
        values = self.model_dump(mode="json")
        return {name: value for name, value in values.items() if (name, value) != ("logits_kernel", "glorot")}

    @model_validator(mode="after")
    def _penultimate_is_a_layer(self) -> HeadPart:
        names = self.dense_names()
        # The other layers of a head have these names.
        taken = [name for name in names if re.fullmatch(r"features|logits|probabilities|dropout_\d+", name)]
        if taken:
            raise ValueError(f"a dense layer cannot be named '{taken[0]}', because featx uses that name")
        if len(set(names)) < len(names):
            raise ValueError("names of dense layers must differ (without a name they are dense_1, dense_2, …)")
        if self.penultimate is not None and self.penultimate not in names:
            raise ValueError(
                f"penultimate must name a dense layer ({', '.join(names) or 'there is none'}), "
                f"received '{self.penultimate}'"
            )
        return self

    @property
    def has_dropout(self) -> bool:
        """Whether a layer is dropout."""
        return any(isinstance(layer, DropoutLayer) for layer in self.layers)

    def outputs(self, classes: int, multilabel: bool = False) -> int:
        """Return the number of logits for these classes, of which an image has one, or several with `multilabel`."""
        return 1 if self.output == "sigmoid" and not multilabel else classes

    def dense_names(self) -> list[str]:
        """Return the names of the dense layers in order; without a name in the recipe, number i is `dense_i`."""
        dense = [layer for layer in self.layers if isinstance(layer, DenseLayer)]
        return [layer.name or f"dense_{number}" for number, layer in enumerate(dense, 1)]


class SchedulePart(Part):
    """The learning rate by epoch (counted from 0): `values[i]` applies before epoch `boundaries[i]`.

    `absolute` values are rates; `factor` values multiply `fit.learning_rate`.
    """

    kind: Literal["absolute", "factor"]
    boundaries: Annotated[tuple[Annotated[int, Field(ge=1, le=MOST_EPOCHS)], ...], Field(max_length=MOST_RATES)]
    values: tuple[Rate, ...]

    @model_validator(mode="after")
    def _one_more_value_than_boundaries(self) -> SchedulePart:
        if len(self.values) != len(self.boundaries) + 1:
            raise ValueError(
                f"values must be one more than boundaries, received {len(self.values)} values "
                f"and {len(self.boundaries)} boundaries"
            )
        if any(a >= b for a, b in zip(self.boundaries, self.boundaries[1:], strict=False)):
            raise ValueError("boundaries must increase")
        return self


class FitPart(Part):
    """How the head is trained."""

    optimizer: Literal["adam"] = "adam"
    learning_rate: Rate = 1e-3
    schedule: SchedulePart | None = None
    epochs: Annotated[int, Field(ge=1, le=MOST_EPOCHS)] = 30
    batch_size: Annotated[int, Field(ge=1, le=LARGEST_BATCH)] = 32
    validation: Annotated[float, Field(ge=0, lt=1, description="share of the train split to hold out")] = 0.2
    seed: Annotated[int, Field(ge=0, le=2**32 - 1)] = 0
    patience: Annotated[
        int | None,
        Field(
            ge=0, le=MOST_EPOCHS, description="epochs without a lower validation loss that end the training; 0: none"
        ),
        AfterValidator(lambda epochs: epochs or None),
    ] = None
    class_weight: Annotated[
        ClassWeight | None, Field(description="balanced: images of rare classes count more in the training loss")
    ] = None
    weight_decay: Annotated[
        float, Field(ge=0, description="times the learning rate: the share that each step takes off the kernels")
    ] = 0.0
    keep: Annotated[
        Keep | None, Field(description="epoch whose weights the head has; without it best with patience, else last")
    ] = None
    average: Annotated[
        int, Field(ge=1, le=MOST_EPOCHS, description="last epochs over whose ends the weights are averaged")
    ] = 1
    label_smoothing: Annotated[
        float, Field(ge=0, lt=1, description="share of each target that is spread evenly over the classes")
    ] = 0.0
    members: Annotated[
        int, Field(ge=1, le=MOST_MEMBERS, description="heads that are fitted, whose probabilities are averaged")
    ] = 1

    @model_validator(mode="after")
    def _one_choice_of_weights(self) -> FitPart:
        if self.patience is not None and self.keep == "last":
            raise ValueError(
                f"patience {self.patience} keeps the best epoch, so keep cannot be 'last'; set patience to 0, or "
                "keep to 'best'"
            )
        if self.average > 1 and self.keeps_best:
            reason = "keep is 'best'" if self.patience is None else f"patience is {self.patience}"
            raise ValueError(
                f"average {self.average} takes the mean of the last epochs, but {reason}, which takes the best one; "
                "set average to 1, or patience to 0 and keep to 'last'"
            )
        if self.average > self.epochs:
            raise ValueError(f"average must be at most epochs ({self.epochs}), received {self.average}")
        return self

    @model_validator(mode="after")
    def _a_step_leaves_something(self) -> FitPart:
        rates = [self.learning_rate] if self.schedule is None else map(self._scheduled, self.schedule.values)
        highest = max(rates)
        if self.weight_decay * highest >= 1:
            raise ValueError(
                f"weight_decay times the learning rate must be below 1, because each step takes that share off the "
                f"weights, received {self.weight_decay:g} times {highest:g}"
            )
        return self

    def key(self) -> dict[str, Any]:
        """Return what decides the trained head; fields that came later are left out where they have no effect."""
        later: dict[str, set[Any]] = {"patience": {None}, "class_weight": {None}, "weight_decay": {0.0}}
        later |= {"average": {1}, "label_smoothing": {0.0}, "members": {1}}
        # Patience always keeps the best epoch.
        later["keep"] = {None, "last"} if self.patience is None else {None, "best"}
        values = self.model_dump(mode="json")
        return {name: value for name, value in values.items() if name not in later or value not in later[name]}

    @property
    def keeps_best(self) -> bool:
        """Whether the head gets the weights of the epoch with the lowest validation loss."""
        return self.patience is not None or self.keep == "best"

    def member_seeds(self) -> list[int]:
        """Return the seed of each member's initial weights and dropout; the first is `seed`."""
        return [(self.seed + number) % 2**32 for number in range(self.members)]

    def rate(self, epoch: int) -> float:
        """Return the learning rate of an epoch, counted from 0."""
        if self.schedule is None:
            return self.learning_rate
        step = sum(epoch >= boundary for boundary in self.schedule.boundaries)
        return self._scheduled(self.schedule.values[step])

    def _scheduled(self, value: float) -> float:
        """Return the learning rate that a value of the schedule means."""
        relative = self.schedule is not None and self.schedule.kind == "factor"
        return value * self.learning_rate if relative else value


class FeatureSpec(Part):
    """Everything that decides the features of an image."""

    images: ImagesPart = ImagesPart()
    views: ViewsPart = ViewsPart()
    preprocess: PreprocessPart = PreprocessPart()
    backbone: BackbonePart
    features: FeaturesPart = FeaturesPart()


class Recipe(FeatureSpec):
    """Features, a head on them, and its training."""

    name: Line = "unnamed"
    description: str = ""
    head: HeadPart = HeadPart()
    fit: FitPart = FitPart()

    def tables_beside_card(self, **options: Any) -> dict[str, Any]:
        """Return the tables of which the network's card may say the rest, without the fields that are not set."""
        parts = {"images": self.images, "backbone": self.backbone}
        return {name: part.model_dump(exclude_unset=True, **options) for name, part in parts.items()}

    def replaced(self, changes: dict[str, Any]) -> Recipe:
        """Return a copy with some fields replaced, validated again.

        Args:
            changes: Values by dotted field, such as `fit.epochs`; a number is an index of a list, counted from 0,
                as in `head.layers.1.units`.

        Raises:
            pydantic.ValidationError: A value is not valid for its field, or a list has no such index.
        """
        document: Any = self.model_dump() | self.tables_beside_card()
        for dotted, value in changes.items():
            document = _with(document, dotted.split("."), value, ())
        return Recipe.model_validate(document)


def _with(table: Any, path: Sequence[str], value: Any, above: tuple[str, ...]) -> Any:
    """Return a table or list with the value at a path replaced."""
    if not path:
        return _as_python(value)
    name, *rest = path
    if isinstance(table, tuple):
        place = _place_in(table, name, above)
        return (*table[:place], _with(table[place], rest, value, (*above, name)), *table[place + 1 :])
    # A table that does not belong here is made all the same; validation says what is wrong with it.
    fields = table if isinstance(table, dict) else {}
    return {**fields, name: _with(fields.get(name), rest, value, (*above, name))}


def _as_python(value: Any) -> Any:
    """Return a value with tuples instead of lists, and Python's numbers instead of NumPy's."""
    if isinstance(value, dict):
        return {key: _as_python(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return tuple(map(_as_python, value))
    if isinstance(value, Real) and not isinstance(value, bool):
        return int(value) if isinstance(value, Integral) else float(value)
    return value


def _place_in(items: Sequence[Any], name: str, above: tuple[str, ...]) -> int:
    if name in map(str, range(len(items))):
        return int(name)
    expected = f"a number from 0 to {len(items) - 1}" if items else "no number, as there are none"
    reason = PydanticCustomError(
        "no_such_place", "expected {expected}, received {name}", {"expected": expected, "name": name}
    )
    raise ValidationError.from_exception_data("Recipe", [{"type": reason, "loc": above, "input": name}])
