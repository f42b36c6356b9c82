"""The report's section on the model: layers, recipe, and where everything came from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from featx.networks import BACKBONES, is_model_file, is_random
from featx.recipes import DenseLayer, HeadPart, Recipe, ViewsPart, dump_recipe
from featx.reports.blocks import Block, Code, Facts, Note, Section, Table
from featx.reports.told import Told
from featx.text import NOTHING, count, duration


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


def provenance_section(told: Told) -> Section:
    """Return the section: dates, digests, versions, device, timings, seeds."""
    manifest, recipe = told.run.manifest, told.run.recipe
    penultimate = manifest["head"]["penultimate"]
    run = (
        ("folder", str(told.run.path)),
        ("fitted", str(manifest.get("created", NOTHING)).replace("T", " ").replace("+00:00", " UTC")),
        ("features computed or read in", duration(manifest["seconds"]["extract"])),
        ("head fitted in", duration(manifest["seconds"]["fit"])),
        ("features computed by", str(manifest["features"]["engine"])),
        ("head fitted by", str(told.metrics["engine"])),
        ("steps an epoch", count(int(told.metrics["steps"]))),
        ("seed of split, order, first weights and dropout", str(recipe.fit.seed)),
        ("seed of views", str(recipe.views.seed)),
    )
    digests = (
        ("data (SHA-256)", str(manifest["data"]["sha256"])),
        ("weights (SHA-256)", str(manifest["weights"]["sha256"])),
        ("head (SHA-256)", str(manifest["head"]["sha256"])),
        ("feature set", str(manifest["features"]["feature_set"])),
        ("feature set of the views", str(manifest["features"].get("augmented_set", NOTHING))),
        ("feature set of the penultimate layer", str(penultimate["feature_set"]) if penultimate else NOTHING),
    )
    return Section(
        "Provenance",
        told.id("provenance"),
        (
            Facts("The run", run),
            Facts("Digests", digests),
            Facts("Versions", _pairs(manifest["versions"])),
            Facts("Machine", _pairs(manifest["device"])),
        ),
    )


def _pairs(document: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    return tuple((name.replace("_", " "), _words(value)) for name, value in document.items())


def _words(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


RANDOM_WEIGHTS = (
    "The backbone's weights are random: it has learnt nothing from any image. Accuracies on this page show that the "
    "steps work, not what a pre-trained network would reach."
)


def model_section(told: Told) -> Section:
    """Return the section: layers, backbone, settings."""
    blocks: list[Block] = []
    if has_random_weights(told):
        blocks.append(Note(RANDOM_WEIGHTS, loud=True))
    blocks += [
        _layers(told),
        Facts("Backbone", _backbone(told)),
        Facts("Settings", _settings(told.run.recipe)),
        Code("The whole recipe, with every default", dump_recipe(told.run.recipe)),
    ]
    return Section("Model", told.id("model"), tuple(blocks))


def has_random_weights(told: Told) -> bool:
    """Tell whether the backbone was never trained."""
    return is_random(str(told.run.manifest["weights"]["source"]))


def backbone_title(told: Told) -> str:
    """Return the backbone's name as its authors write it, or the file's."""
    name = told.run.recipe.backbone.name
    if is_model_file(name):
        return Path(name).name
    return BACKBONES[name.lower()].builder if name.lower() in BACKBONES else name


def weights_words(told: Told) -> str:
    """Return where the weights come from, in a word or two."""
    source = str(told.run.manifest["weights"]["source"])
    return {"imagenet": "ImageNet weights"}.get(source, f"{source} weights" if has_random_weights(told) else source)


def layers_of(told: Told) -> list[Layer]:
    """Return all layers from the image to the classes, the backbone as one."""
    recipe, manifest = told.run.recipe, told.run.manifest
    return [
        Layer("Input", (recipe.images.size, recipe.images.size, 3), 0, trainable=False),
        *_frozen(told),
        *head_layers(recipe.head, int(manifest["features"]["dim"]), len(told.run.classes)),
    ]


def _layers(told: Told) -> Table:
    cells = [
        (
            row.name,
            " × ".join(map(count, row.shape)),
            count(row.parameters),
            ("yes" if row.trainable else "no") if row.parameters else "",
        )
        for row in layers_of(told)
    ]
    total = told.metrics["parameters"]
    caption = (
        f"Layers from the image to the classes: {count(total['trainable'])} parameters are fitted, "
        f"{count(total['non_trainable'])} are frozen."
    )
    header = ("layer", "output", "parameters", "fitted")
    return Table(
        caption, header, (*cells, ("all", "", count(total["total"]), "")), words=frozenset({3}), last_is_total=True
    )


def _frozen(told: Told) -> list[Layer]:
    """The backbone and what joins it to the head."""
    recipe, dim = told.run.recipe, int(told.run.manifest["features"]["dim"])
    known = BACKBONES.get(recipe.backbone.name.lower())
    title = f"{backbone_title(told)}, frozen"
    frozen = int(told.metrics["parameters"]["non_trainable"])
    pooling = {"avg": "Average pooling", "max": "Maximum pooling"}.get(recipe.backbone.pooling)
    if known is None or recipe.backbone.cut is not None:
        joint = pooling.lower() if pooling else "flattened"
        return [Layer(f"{title} ({joint})", (dim,), frozen, trainable=False)]
    side = recipe.images.size // known.stride
    join = Layer(pooling or "Flatten", (dim,), 0, trainable=False)
    return [Layer(title, (side, side, known.channels), frozen, trainable=False), join]


def _backbone(told: Told) -> tuple[tuple[str, str], ...]:
    recipe, manifest = told.run.recipe, told.run.manifest
    return (
        ("network", backbone_title(told)),
        ("weights", weights_words(told)),
        ("SHA-256 of the weights", str(manifest["weights"]["sha256"])),
        ("cut after layer", recipe.backbone.cut or "the last"),
        ("pooling", recipe.backbone.pooling),
        ("features an image", count(int(manifest["features"]["dim"]))),
    )


def _settings(recipe: Recipe) -> tuple[tuple[str, str], ...]:
    fit = recipe.fit
    schedule = "constant"
    if fit.schedule is not None:
        steps = ", ".join(f"{value:g}" for value in fit.schedule.values)
        bounds = ", ".join(map(str, fit.schedule.boundaries))
        schedule = f"{fit.schedule.kind} values {steps}, changing at epochs {bounds}"
    return (
        ("recipe", recipe.name),
        ("image size", f"{recipe.images.size} × {recipe.images.size} pixels, {recipe.images.resize}"),
        ("preprocessing", _preprocessing(recipe)),
        ("views of a training image", _views(recipe.views)),
        ("optimiser", f"{fit.optimizer.capitalize()}, learning rate {fit.learning_rate:g}"),
        ("schedule", schedule),
        ("loss", "binary cross-entropy" if recipe.head.output == "sigmoid" else "categorical cross-entropy"),
        ("epochs", count(fit.epochs)),
        ("batch size", count(fit.batch_size)),
        (
            "held out for validation",
            f"{100 * fit.validation:g} % of the training images, unless there is a split for it",
        ),
        ("seed", str(fit.seed)),
    )


def _preprocessing(recipe: Recipe) -> str:
    part = recipe.preprocess
    if part.mean is None or part.std is None:
        return part.mode
    mean, std = (", ".join(f"{value:.4f}" for value in values) for values in (part.mean, part.std))
    return f"{part.mode}; of the training images: mean {mean}; deviation {std} (red, green, blue; 0 to 1)"


def _views(views: ViewsPart) -> str:
    if views.count == 1:
        return "1, the image itself"
    parts = [
        f"rotation ±{views.rotation:g}°" if views.rotation else "",
        f"shift ±{views.shift:g} of the side" if views.shift else "",
        f"shear ±{views.shear:g}°" if views.shear else "",
        f"zoom ±{views.zoom:g}" if views.zoom else "",
        f"channel shift ±{views.channel_shift:g} of 255" if views.channel_shift else "",
        "horizontal flip" if views.horizontal_flip else "",
        "vertical flip" if views.vertical_flip else "",
    ]
    return f"{views.count}: the image itself and others by " + (", ".join(filter(None, parts)) or "no change at all")
