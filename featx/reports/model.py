"""The report's sections on the model: layers, recipe, and where everything came from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from featx.networks import BACKBONES, Card, is_model_file, is_random
from featx.pages import Block, Code, Facts, Note, Section, Table
from featx.recipes import DenseLayer, FitPart, HeadPart, ImagesPart, Recipe, ViewsPart, dump_recipe
from featx.reports.opened import OpenedRun, from_here
from featx.runs import Run
from featx.text import NOTHING, count, duration, images

RANDOM_WEIGHTS = (
    "The backbone's weights are random: it was not trained on any image. The accuracies on this page show that the "
    "program works, not what a pre-trained network would reach."
)
ACTIVATIONS = {"relu": "ReLU", "gelu": "GELU", "elu": "ELU", "selu": "SELU", "silu": "SiLU"}


@dataclass(frozen=True)
class NetworkLayer:
    """A layer of the network: the shape of its output for one image, and the number of its own parameters."""

    name: str
    shape: tuple[int, ...]
    parameters: int
    trainable: bool = True


def model_section(opened: OpenedRun) -> Section:
    """Return the section of layers, backbone and settings."""
    blocks: list[Block] = [Note(RANDOM_WEIGHTS, loud=True)] if has_random_weights(opened) else []
    blocks += [
        _layer_table(opened),
        Facts("Backbone", _backbone(opened)),
        Facts("Settings", _settings(opened.run)),
        Code("The complete recipe, with all default values", dump_recipe(opened.run.recipe)),
    ]
    return Section("Model", opened.id("model"), tuple(blocks))


def provenance_section(opened: OpenedRun) -> Section:
    """Return the section of dates, digests, versions, device, times and seeds."""
    manifest, recipe, metrics = opened.run.manifest, opened.run.recipe, opened.run.metrics
    penultimate = manifest["head"]["penultimate"]
    run = (
        ("folder", from_here(opened.run.path)),
        ("date of training", str(manifest["created"] or NOTHING).replace("T", " ").replace("+00:00", " UTC")),
        ("time to compute or read the features", duration(metrics["seconds"]["extract"])),
        ("time to train the head", duration(metrics["seconds"]["fit"])),
        ("engine for the features", str(manifest["features"]["engine"] or NOTHING)),
        ("engine for training", str(metrics["engine"])),
        ("steps per epoch", count(int(metrics["steps"]))),
        ("seed of split, image order, initial weights and dropout", str(recipe.fit.seed)),
        ("seed of the augmented views", str(recipe.views.seed)),
    )
    digests = (
        ("data (SHA-256)", str(manifest["data"]["sha256"])),
        ("weights (SHA-256)", str(manifest["weights"]["sha256"])),
        ("head (SHA-256)", str(manifest["head"]["sha256"])),
        ("feature set", str(manifest["features"]["feature_set"])),
        ("feature set of the augmented views", str(manifest["features"]["augmented_set"] or NOTHING)),
        ("feature set of the penultimate layer", str(penultimate["feature_set"]) if penultimate else NOTHING),
    )
    tables = (
        Facts("The run", run),
        Facts("Digests", digests, "Digests"),
        Facts("Versions of Python and of the libraries", _pairs(manifest["versions"]), "Versions"),
        Facts("The machine that trained the head", _pairs(manifest["device"]), "Machine"),
    )
    return Section("Provenance", opened.id("provenance"), tables)


def has_random_weights(opened: OpenedRun) -> bool:
    """Tell whether the backbone was never trained."""
    return is_random(str(opened.run.manifest["weights"]["source"]))


def backbone_title(opened: OpenedRun) -> str:
    """Return the backbone's name as its authors write it, or the name of its file."""
    name = opened.run.recipe.backbone.name
    if opened.run.card is not None:
        return opened.run.card.name
    if is_model_file(name):
        return Path(name).name
    return BACKBONES[name.lower()].builder if name.lower() in BACKBONES else name


def weights_title(opened: OpenedRun) -> str:
    """Return where the weights come from, in a word or two; of a file only its name."""
    source = str(opened.run.manifest["weights"]["source"])
    if is_model_file(source) or opened.run.card is not None:
        return "its own weights"
    named = f"{source} weights" if has_random_weights(opened) else Path(source).name
    return "ImageNet weights" if source == "imagenet" else named


def layers_of(opened: OpenedRun) -> list[NetworkLayer]:
    """Return all layers from the image to the classes, the backbone as one layer."""
    recipe, manifest, card = opened.run.recipe, opened.run.manifest, opened.run.card
    channels = 3 if card is None else card.input.channels
    return [
        NetworkLayer("Input", (*recipe.images.shape, channels), 0, trainable=False),
        *_frozen_layers(opened),
        *_head_layers(recipe.head, int(manifest["features"]["dim"]), _outputs(opened.run), recipe.fit.members),
    ]


def _frozen_layers(opened: OpenedRun) -> list[NetworkLayer]:
    """Return the backbone, and the layer that joins it to the head."""
    recipe, width = opened.run.recipe, int(opened.run.manifest["features"]["dim"])
    backbone = BACKBONES.get(recipe.backbone.name.lower())
    title = f"{backbone_title(opened)}, frozen"
    frozen = int(opened.run.metrics["parameters"]["non_trainable"])
    pooling = {"avg": "Average pooling", "max": "Maximum pooling"}.get(recipe.backbone.pooling)
    if backbone is None or recipe.backbone.cut is not None:
        joint = pooling.lower() if pooling else "flattened"
        return [NetworkLayer(f"{title} ({joint})", (width,), frozen, trainable=False)]
    sides = (side // backbone.stride for side in recipe.images.shape)
    joint_layer = NetworkLayer(pooling or "Flatten", (width,), 0, trainable=False)
    return [NetworkLayer(title, (*sides, backbone.channels), frozen, trainable=False), joint_layer]


def _outputs(run: Run) -> int:
    """Return how many values the head gives: one for each label, or for each class, or one for two classes."""
    return 1 if run.recipe.head.output == "sigmoid" and not run.multilabel else len(run.classes)


def _head_layers(head: HeadPart, width: int, units: int, members: int) -> Iterator[NetworkLayer]:
    """Yield the head's layers; a dense one has a weight for each input and unit, and a bias for each unit.

    Of several members, a layer stands for that of each of them.
    """
    times = "" if members == 1 else f", {members} of them"
    names = iter(head.dense_names())
    for layer in head.layers:
        if not isinstance(layer, DenseLayer):
            yield NetworkLayer(f"Dropout {layer.rate:g}", (width,), 0)
            continue
        parameters = members * (width + 1) * layer.units
        yield NetworkLayer(f"Dense ({next(names)}{times})", (layer.units,), parameters)
        width = layer.units
        if layer.activation != "linear":
            yield NetworkLayer(_activation_title(layer.activation), (width,), 0)
    yield NetworkLayer(f"Dense (logits{times})", (units,), members * (width + 1) * units)
    joined = "" if members == 1 else f", mean of {members}"
    yield NetworkLayer(f"{_activation_title(head.output)}{joined}", (units,), 0)


def _activation_title(activation: str) -> str:
    return ACTIVATIONS.get(activation, activation.capitalize())


def _layer_table(opened: OpenedRun) -> Table:
    rows = [
        (
            layer.name,
            " × ".join(map(count, layer.shape)),
            count(layer.parameters),
            ("yes" if layer.trainable else "no") if layer.parameters else "",
        )
        for layer in layers_of(opened)
    ]
    total = opened.run.metrics["parameters"]
    rows.append(("all", "", count(total["total"]), ""))
    caption = (
        f"Layers from the image to the classes. {count(total['trainable'])} parameters are trained, "
        f"{count(total['non_trainable'])} are frozen."
    )
    header = ("layer", "output", "parameters", "trained")
    return Table(caption, header, tuple(rows), words=frozenset({3}), last_is_total=True)


def _backbone(opened: OpenedRun) -> tuple[tuple[str, str], ...]:
    recipe, manifest = opened.run.recipe, opened.run.manifest
    if opened.run.card is not None:
        return _carded(opened, opened.run.card)
    return (
        ("network", backbone_title(opened)),
        ("weights", weights_title(opened)),
        ("SHA-256 of the weights", str(manifest["weights"]["sha256"])),
        ("features are taken from layer", recipe.backbone.cut or "the last"),
        ("pooling", recipe.backbone.pooling),
        ("features per image", count(int(manifest["features"]["dim"]))),
    )


def _carded(opened: OpenedRun, card: Card) -> tuple[tuple[str, str], ...]:
    """Return the facts of a network with a card."""
    output, about = card.output, card.about
    tokens = {
        "cls": "the first token",
        "mean": "the mean of the tokens of patches",
        "cls+mean": "the first token, and the mean of the tokens of patches",
        "map": "the map of the tokens of patches",
    }
    taken = [opened.run.recipe.backbone.cut or output.name or "the only one"]
    taken += [tokens[output.tokens]] if output.tokens else []
    return (
        ("network", card.name),
        ("weights", "its own weights"),
        ("SHA-256 of the card", str(opened.run.manifest["weights"]["sha256"])),
        ("SHA-256 of the network's file", next(iter(card.files.values()))),
        ("features are taken from output", ", ".join(taken)),
        ("pooling", opened.run.recipe.backbone.pooling),
        ("features per image", count(int(opened.run.manifest["features"]["dim"]))),
        ("licence", about.licence or NOTHING),
        ("source", about.source or NOTHING),
        ("made with", about.made_with or NOTHING),
        *((("notes", about.notes),) if about.notes else ()),
    )


def _settings(run: Run) -> tuple[tuple[str, str], ...]:
    recipe, fit = run.recipe, run.recipe.fit
    schedule = "constant"
    decay = f", weight decay {fit.weight_decay:g}" if fit.weight_decay else ""
    loss = "binary cross-entropy" if recipe.head.output == "sigmoid" else "categorical cross-entropy"
    loss += ", the mean over the known labels" if run.multilabel else ""
    loss += f", trained with label smoothing {fit.label_smoothing:g}" if fit.label_smoothing else ""
    if fit.schedule is not None:
        rates = ", ".join(f"{value:g}" for value in fit.schedule.values)
        epochs = ", ".join(map(str, fit.schedule.boundaries))
        schedule = f"{fit.schedule.kind} values {rates}, changing after epochs {epochs}"
    return (
        ("recipe", recipe.name),
        ("image size", image_size(recipe.images)),
        ("preprocessing", _preprocessing(recipe, run.card)),
        ("augmented views of each training image", _views(recipe.views)),
        ("optimizer", f"{fit.optimizer.capitalize()}, learning rate {fit.learning_rate:g}{decay}"),
        ("learning rate schedule", schedule),
        ("loss", loss),
        ("epochs", count(fit.epochs)),
        ("weights of the head", _weights_kept(fit)),
        *((("members", _members(fit)),) if fit.members > 1 else ()),
        ("batch size", count(fit.batch_size)),
        ("validation", f"{100 * fit.validation:g} % of the training images, unless the data has a validation split"),
        ("seed", str(fit.seed)),
        *(() if run.manifest.get("calibration") is None else (("temperature", _temperature(run)),)),
    )


def _weights_kept(fit: FitPart) -> str:
    if fit.average > 1:
        return f"mean of those at the ends of the last {count(fit.average)} epochs"
    if not fit.keeps_best:
        return "those of the last epoch"
    waiting = (
        "" if fit.patience is None else f"; training stops after {count(fit.patience)} epochs without a lower one"
    )
    return f"those of the epoch with the lowest validation loss{waiting}"


def _members(fit: FitPart) -> str:
    seeds = fit.member_seeds()
    return f"{fit.members}, with seeds {seeds[0]} to {seeds[-1]}; the head gives the mean of their probabilities"


def _temperature(run: Run) -> str:
    """Return what the temperature is, and that the probabilities of the page are those without it."""
    fitted = run.manifest["calibration"]
    if fitted["temperature"] == 1:
        return "1: predictions of new images have the head's own probabilities"
    n = fitted.get("n")
    on = "the validation images" if n is None else images(n, "validation")
    return (
        f"{fitted['temperature']:.2f}, fitted on {on}; predictions of new images use it, unless --raw is given, and "
        "the probabilities on this page do not"
    )


def image_size(part: ImagesPart) -> str:
    """Return the size of the network's input, and how images are brought to it."""
    height, width = part.shape
    order = "" if height == width else " (height × width)"
    fit = {"stretch": "stretched", "crop": "cropped", "pad": "padded with black"}[part.fit]
    if part.resize_to is not None:
        side = {"stretch": "both sides", "crop": "the shorter side"}[part.fit]
        fit += f": the centre after {side} became {part.resize_to} pixels"
    return f"{height} × {width} pixels{order}, {fit}, {part.resize}"


def _preprocessing(recipe: Recipe, card: Card | None) -> str:
    part = recipe.preprocess
    if part.mode == "card" and card is not None:
        pixels, order = card.pixels, {"rgb": "red, green, blue", "bgr": "blue, green, red", "grey": "grey"}
        mean, std = (", ".join(f"{value:g}" for value in values) for values in (pixels.mean, pixels.std))
        return (
            f"as the network's card says: pixel values from 0 to 255, times {pixels.scale:g}, minus {mean}, divided "
            f"by {std} ({order[card.input.colour]})"
        )
    if part.mean is None or part.std is None:
        return part.mode
    mean, std = (", ".join(f"{value:.4f}" for value in values) for values in (part.mean, part.std))
    return (
        f"{part.mode}; the training images have the mean {mean} and the standard deviation {std} (red, green, blue; "
        "pixel values from 0 to 1)"
    )


def _views(views: ViewsPart) -> str:
    if views.count == 1:
        return "1: the image itself, without augmentation"
    changes = {
        f"rotation ±{views.rotation:g}°": views.rotation,
        f"shift ±{views.shift:g} of the side": views.shift,
        f"shear ±{views.shear:g}°": views.shear,
        f"zoom ±{views.zoom:g}": views.zoom,
        f"channel shift ±{views.channel_shift:g} of 255": views.channel_shift,
        "horizontal flip": views.horizontal_flip,
        "vertical flip": views.vertical_flip,
    }
    listed = ", ".join(change for change, amount in changes.items() if amount) or "no change"
    return f"{views.count}: the image itself and {views.count - 1} augmented by {listed}"


def _pairs(document: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    return tuple(
        (name.replace("_", " "), ", ".join(map(str, value)) if isinstance(value, list) else str(value))
        for name, value in document.items()
    )
