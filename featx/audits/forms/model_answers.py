"""Answers on the model: the network, the head, how it was trained, and where it is kept."""

from __future__ import annotations

from pathlib import Path

from featx.audits.forms.subject import Subject, digest_words, joined, number_of
from featx.networks import BACKBONES, is_model_file, is_random
from featx.recipes import DenseLayer, ImagesPart
from featx.text import count, images, percent

FITS = {
    "stretch": "stretched to it, so the aspect ratio is not kept",
    "crop": "scaled until they cover it, and cut to the centre",
    "pad": "scaled until they fit into it, and padded with black",
}
POOLINGS = {"avg": "average pooling", "max": "maximum pooling", "none": "no pooling"}
# By the rule of `featx.images.Preprocessing`; of `affine` and `featurewise` the numbers are said.
PREPROCESSING = {
    "rescale": "Values are divided by 255.",
    "raw": "Values from 0 to 255 are given to the network as they are.",
    "caffe": "From the BGR channels the means of ImageNet (103.939, 116.779 and 123.68) are subtracted.",
    "tf": "Values are divided by 127.5, and 1 is subtracted.",
    "torch": "Values are divided by 255 and standardised with the channel means and deviations of ImageNet.",
}
OPTIMIZERS = {"adam": "Adam"}


def technique(subject: Subject) -> str:
    """Say what kind of artificial intelligence it is."""
    return (
        f"A neural network, {_network_name(subject)} with {_weights_name(subject)}, is kept frozen, and a head is "
        "trained on its features (transfer learning, deep learning)."
    )


def task(subject: Subject) -> str:
    """Say what is told from what."""
    classes = subject.run.classes
    if subject.run.multilabel:
        return f"For each image the model says which of {count(len(classes))} labels are there: {_few(classes)}."
    return f"For each image the model gives one of {count(len(classes))} classes: {_few(classes)}."


def predictors(subject: Subject) -> str:
    """Say what the prediction is made of."""
    return (
        f"The image is the only predictor: {count(int(subject.run.manifest['features']['dim']))} features that the "
        "frozen network computes from it, all of which are used. No clinical data enter the model."
    )


def no_judgement(subject: Subject) -> str:
    """Say that features are computed."""
    return "The features of an image are computed by a program, without human judgement."


def prepared(subject: Subject) -> str:
    """Say how a file becomes the network's input."""
    recipe = subject.run.recipe
    part = recipe.images
    height, width = part.shape
    first = f" after scaling the side to {part.resize_to} pixels" if part.resize_to is not None else ""
    sentences = [
        f"Files are decoded upright (EXIF), brought to {height} × {width} pixels by {part.resize} resampling with "
        f"antialiasing{first} and {FITS[part.fit]}."
    ]
    return " ".join([*sentences, _scaling(subject), *_depth(part)])


def _scaling(subject: Subject) -> str:
    """Say how pixel values are scaled, with numbers where they are of this run or network."""
    description = subject.run.manifest["features"].get("description") or {}
    scaling = description.get("preprocess") or {"rule": subject.run.recipe.preprocess.mode}
    if "mean" not in scaling:
        return PREPROCESSING.get(str(scaling["rule"]), "Values are scaled as the network's weights require.")
    mean, std = (joined([f"{value:.6g}" for value in scaling[name]]) for name in ("mean", "std"))
    numbers = f"{mean} are subtracted and the result divided by {std}"
    if scaling["rule"] == "featurewise":
        return f"Values are divided by 255; the channel means {numbers} (statistics of the training images)."
    factor = "" if scaling["scale"] == 1 else f"Values are multiplied by {scaling['scale']:.6g}. "
    return f"{factor}From the {scaling['colour'].upper()} channels {numbers}."


def _depth(part: ImagesPart) -> list[str]:
    if isinstance(part.depth, str):
        return []
    if part.depth.white is not None:
        return [f"Of images with more than 8 bits, {part.depth.white} is white, as the training images decided."]
    return ["The black and white of images of floats were decided by the training images."]


def views(subject: Subject) -> str:
    """Say which augmented views the head was trained on."""
    part = subject.run.recipe.views
    if part.count == 1:
        return "No augmentation: the head was trained on the features of each image as it is."
    ranges = (
        (f"rotation up to {part.rotation:g}°", part.rotation),
        (f"shifts up to {percent(part.shift, 0)}", part.shift),
        (f"shear up to {part.shear:g}°", part.shear),
        (f"zoom up to {percent(part.zoom, 0)}", part.zoom),
        (f"channel shifts up to {part.channel_shift:g} of 255", part.channel_shift),
        ("horizontal flips", part.horizontal_flip),
        ("vertical flips", part.vertical_flip),
    )
    used = [words for words, value in ranges if value]
    return (
        f"Augmentation: {part.count} views of each training image, the image itself among them, with "
        f"{joined(used) or 'no change'} (seed {part.seed}); validation and test images are used as they are."
    )


def network(subject: Subject) -> str:
    """Describe the input and the frozen network."""
    recipe, run = subject.run.recipe, subject.run
    height, width = recipe.images.shape
    channels = 3 if run.card is None else run.card.input.channels
    cut = f", output of the layer {recipe.backbone.cut}" if recipe.backbone.cut else ""
    return (
        f"Input: {height} × {width} × {channels}. Frozen network: {_network_name(subject)} with "
        f"{_weights_name(subject)}{cut}, {POOLINGS[recipe.backbone.pooling]}, "
        f"{count(int(run.manifest['features']['dim']))} features, "
        f"{count(int(run.metrics['parameters']['non_trainable']))} parameters that are not trained."
    )


def head(subject: Subject) -> str:
    """Describe the layers that were trained."""
    part = subject.run.recipe.head
    layers = []
    for layer in part.layers:
        if isinstance(layer, DenseLayer):
            activation = "" if layer.activation == "linear" else f" with {layer.activation}"
            layers.append(f"a dense layer of {layer.units} units{activation}")
        else:
            layers.append(f"dropout of {layer.rate:g}")
    outputs = part.outputs(len(subject.run.classes), subject.run.multilabel)
    layers.append(f"a dense layer of {number_of(outputs, 'unit', 'units')} with {part.output}")
    trained = count(int(subject.run.metrics["parameters"]["trainable"]))
    return f"Head: {joined(layers)}; {trained} trained parameters."


def probabilities(subject: Subject) -> str:
    """Describe what the model gives, and how it decides."""
    temperature = ""
    if subject.run.temperature != 1.0:
        temperature = (
            f" Logits are divided by a temperature of {subject.run.temperature:.2f} when new images are predicted, "
            "which changes no decision."
        )
    if subject.run.multilabel:
        return f"The output is a probability for each label; a label is said to be there from 0.5 on.{temperature}"
    return (
        "The output is a probability for each class; the most probable class is the prediction, without any other "
        f"threshold.{temperature}"
    )


def software(subject: Subject) -> str:
    """Name the libraries with their versions."""
    versions = subject.run.manifest["versions"]
    engine = str(subject.run.manifest["features"]["engine"])
    names = ", ".join(f"{name} {number}" for name, number in versions.items())
    fitted = subject.run.metrics["engine"]
    return f"{names}. The engine of the features was {engine or 'unknown'}, that of the head's training {fitted}."


def machine(subject: Subject) -> str:
    """Describe the machine and the time."""
    device, seconds = subject.run.manifest["device"], subject.run.metrics["seconds"]
    devices = joined([str(name) for name in device.get("devices", [])]) or "an unknown device"
    return (
        f"Machine: {device.get('machine', 'unknown')}, {device.get('system', 'unknown system')}, devices {devices}; "
        f"{seconds['extract']:.1f} s for the features (less where they were cached), {seconds['fit']:.1f} s for the "
        "head."
    )


def initial(subject: Subject) -> str:
    """Say how parameters were set before the training."""
    recipe = subject.run.recipe
    digest = digest_words(subject.run.manifest["weights"])
    kernels = "zero" if recipe.head.logits_kernel == "zeros" else "random (uniform, after Glorot)"
    others = ", those of its other dense layers random (uniform, after Glorot)" if recipe.head.dense_names() else ""
    return (
        f"The frozen network has {_weights_name(subject)} (SHA-256 {digest}). In the head, the weights of the last "
        f"layer start at {kernels}{others}; seed {recipe.fit.seed}."
    )


def training(subject: Subject) -> str:
    """Give all settings of the training."""
    fit, history = subject.run.recipe.fit, subject.run.history
    rate = f"a learning rate of {fit.learning_rate:g}"
    if fit.schedule is not None:
        steps = joined([f"{fit.rate(epoch):g} from epoch {epoch + 1}" for epoch in (0, *fit.schedule.boundaries)])
        rate = f"learning rates of {steps}"
    parts = [f"batches of {fit.batch_size} images", f"{len(history)} of at most {fit.epochs} epochs"]
    if fit.patience is not None:
        parts.append(f"an end after {fit.patience} epochs without a lower validation loss")
    if fit.weight_decay:
        parts.append(f"decoupled weight decay of {fit.weight_decay:g}")
    if fit.label_smoothing:
        parts.append(f"label smoothing of {fit.label_smoothing:g}")
    loss = "cross-entropy of each label" if subject.run.multilabel else "cross-entropy"
    return (
        f"The head was trained by {OPTIMIZERS.get(fit.optimizer, fit.optimizer)} with {rate}, {joined(parts)}; loss: "
        f"{loss}; seed {fit.seed}."
    )


def selection(subject: Subject) -> str:
    """Say how the weights were chosen."""
    stopping = subject.run.stopping
    chosen = stopping if stopping and "--patience" not in stopping else "the weights after the last epoch are kept"
    test = " The test images had no part in it." if "test" in subject.used else ""
    return f"{chosen[0].upper()}{chosen[1:]}.{test}"


def members(subject: Subject) -> str:
    """Say whether several heads are joined."""
    number = subject.run.recipe.fit.members
    if number == 1:
        return "No ensemble: the model is one network with one head."
    return (
        f"The model is an ensemble: {number} heads on the same features, trained with different seeds; their "
        "probabilities are averaged."
    )


def imbalance(subject: Subject) -> str:
    """Say what was done about rare classes."""
    if subject.run.recipe.fit.class_weight == "balanced":
        return "Images of rare classes count more in the training loss: weights are inverse to the class's frequency."
    return "Nothing was done about rare classes: all images count the same."


def temperature(subject: Subject) -> str:
    """Say whether the model was recalibrated."""
    calibration = subject.run.manifest.get("calibration")
    if calibration is None:
        return "The model was not updated after its training."
    where = {"validation": f"on {images(int(calibration['n'] or 0), 'validation')}"}.get(
        str(calibration.get("on")), "on images that it was not trained on"
    )
    return (
        f"The probabilities were recalibrated: one temperature, {float(calibration['temperature']):.2f}, was fitted "
        f"{where} and divides the logits when new images are predicted. The parameters were not changed, and no "
        "decision changes."
    )


def predicting(subject: Subject) -> str:
    """Say how predictions are computed."""
    return (
        "Predictions were computed by featx from the head's file head.keras and the frozen network; featx predict "
        "does the same for new images, and featx export writes one file in the formats ONNX or Keras."
    )


def identity(subject: Subject) -> str:
    """Say which model it is."""
    manifest = subject.run.manifest
    created = str(manifest["created"]).replace("T", " ").replace("+00:00", " UTC") or "at an unknown time"
    version = manifest["versions"].get("featx", "of an unknown version")
    return (
        f"The run is called {subject.audit.name}, its recipe {subject.run.recipe.name}; trained {created} with featx "
        f"{version}. SHA-256 digests, of which manifest.json has all digits: head {digest_words(manifest['head'])}, "
        f"network's weights {digest_words(manifest['weights'])}, data {digest_words(manifest['data'])}."
    )


def run_files(subject: Subject) -> str:
    """Say what the run's folder has."""
    return (
        "The run's folder has the trained head (head.keras), every setting (recipe.toml), the digests of data and "
        "weights and all versions (manifest.json), the scores (metrics.json) and the prediction for each image "
        "(predictions.csv). featx fit-head DATA --recipe recipe.toml trains it again. featx is open source."
    )


def licence(subject: Subject) -> str | None:
    """Give the licence of the network's weights, if the card says it."""
    card = subject.run.card
    if card is None or not card.about.licence:
        return None
    return f"The weights of the network {card.name} have the licence {card.about.licence}."


def _network_name(subject: Subject) -> str:
    name = subject.run.recipe.backbone.name
    if subject.run.card is not None:
        return subject.run.card.name
    if is_model_file(name):
        return Path(name).name
    return BACKBONES[name.lower()].builder if name.lower() in BACKBONES else name


def _weights_name(subject: Subject) -> str:
    source = str(subject.run.manifest["weights"]["source"])
    if is_random(source):
        return "random weights (not trained on any image)"
    if is_model_file(source) or subject.run.card is not None:
        return "its own weights"
    return "weights pretrained on ImageNet" if source == "imagenet" else f"the weights of {Path(source).name}"


def _few(names: tuple[str, ...]) -> str:
    more = "" if len(names) <= 20 else f" and {len(names) - 20} more"
    return f"{', '.join(names[:20])}{more}" if more else joined(names)
