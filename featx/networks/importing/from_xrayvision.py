"""Networks for chest radiographs of torchxrayvision."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.errors import UsageError, WeightsError, reason_of
from featx.files import is_file
from featx.networks.cards.card import AboutPart, InputPart, OutputPart, PixelsPart
from featx.networks.importing.built import Built, Floats, load_packages
from featx.networks.importing.hubs import fetching
from featx.networks.importing.onnx_export import INPUT, make_module, outputs_of, write_onnx

PACKAGE = "torchxrayvision"
SIZES = {"densenet121-res224": 224, "resnet50-res512": 512}
OUTPUTS = ("features", "map")
# What is appended to the name of a file of weights for one with its tensors alone.
TENSORS = ".tensors"
# The only classes that a file of weights may name: layers, which are read as tables of tensors and never run.
LAYERS = (
    "Sequential",
    "ModuleList",
    "Conv2d",
    "BatchNorm2d",
    "ReLU",
    "MaxPool2d",
    "AvgPool2d",
    "AdaptiveAvgPool2d",
    "Linear",
    "Dropout",
    "Identity",
)
OWN = ("DenseNet", "_DenseBlock", "_DenseLayer", "_Transition")


def build_xrayvision(name: str, weights: Path | None = None) -> Built:
    """Build a network of torchxrayvision with its weights, on grey images from -1024 to 1024.

    Its weights are pickles, of which only tensors are taken. Its outputs are the last `map`, and its average,
    `features`.

    Args:
        name: A name of weights, such as `densenet121-res224-all`.
        weights: Their file, if it is here already.

    Raises:
        UsageError: There is no such network.
        WeightsError: Its weights cannot be had, or hold more than tensors.
    """
    source = f"torchxrayvision:{name}"
    torch, package = load_packages(source, "torch", PACKAGE, package=f"featx[import]' '{PACKAGE}")
    size = next((side for start, side in SIZES.items() if name.startswith(start)), None)
    if size is None or name not in package.models.model_urls:
        known = [key for key in package.models.model_urls if key.startswith(tuple(SIZES))]
        raise UsageError(
            f"There is no network {name!r} in torchxrayvision that featx brings in; choose one of {', '.join(known)}."
        )
    with fetching(source):
        path = weights or Path(package.models.get_weights(name))
    tensors = path.with_name(path.name + TENSORS)
    path = tensors if is_file(tensors) else path
    model = _densenet(package) if name.startswith("densenet") else _resnet(torch)
    _load_weights(torch, package, model, path, source)
    module = make_module(_forward(torch, model), model)
    return Built(
        name=name,
        kind="onnx",
        input=InputPart(name=INPUT, layout="nchw", colour="grey", size=(size, size)),
        # x / 255 × 2048 - 1024
        pixels=PixelsPart(interpolation="bilinear", fit="crop", scale=1 / 255, mean=(0.5,), std=(1 / 2048,)),
        output=OutputPart(name="features"),
        about=AboutPart(
            licence="Apache-2.0 (torchxrayvision); see its page for the data sets of the weights",
            source=source,
            made_with=f"torchxrayvision {package.__version__}, torch {torch.__version__}",
        ),
        prepare=lambda image: _prepare(package, image, size),
        outputs=outputs_of(module, OUTPUTS),
        write=lambda folder: write_onnx(module, (1, size, size), OUTPUTS, folder),
    )


def _prepare(package: Any, image: NDArray[np.uint8], size: int) -> Floats:
    """Prepare an image as the examples of torchxrayvision do."""
    grey = package.datasets.normalize(image, 255).mean(2)[None]
    cropped = package.datasets.XRayCenterCrop()(grey)
    return np.asarray(package.datasets.XRayResizer(size)(cropped), np.float32)


def _densenet(package: Any) -> Any:
    return package.models.DenseNet(weights=None, in_channels=1)


def _resnet(torch: Any) -> Any:
    import torchvision

    # As in torchxrayvision, whose own class downloads weights before it is built.
    model = torchvision.models.resnet50(weights=None, num_classes=18)
    model.conv1 = torch.nn.Conv2d(1, 64, kernel_size=7, stride=2, padding=3, bias=False)
    return model


def _forward(torch: Any, model: Any) -> Any:
    def densenet(pixels: Any) -> list[Any]:
        last = torch.relu(model.features(pixels))
        return [last.mean((2, 3)), last]

    def resnet(pixels: Any) -> list[Any]:
        last = model.maxpool(model.relu(model.bn1(model.conv1(pixels))))
        for layer in (model.layer1, model.layer2, model.layer3, model.layer4):
            last = layer(last)
        return [last.mean((2, 3)), last]

    return densenet if hasattr(model, "features") else resnet


def _load_weights(torch: Any, package: Any, model: Any, path: Path, source: str) -> None:
    """Take the tensors of a file into a model; the file is a whole pickled network, or a table of tensors."""
    unpickling = torch.serialization.pickle.UnpicklingError
    classes = [getattr(torch.nn, name) for name in LAYERS] + [getattr(package.models, name) for name in OWN]
    try:
        with torch.serialization.safe_globals(classes):
            held = torch.load(path, map_location="cpu", weights_only=True)
        tensors = dict(held) if isinstance(held, dict) else dict(_tensors(held))
        kept = {name: value for name, value in tensors.items() if not name.startswith("op_threshs")}
        missing = model.load_state_dict(kept, strict=False).missing_keys
    except (unpickling, OSError, RuntimeError, AttributeError, TypeError, EOFError) as error:
        # PyTorch's own message recommends to run the code in the file.
        reason = "" if isinstance(error, unpickling) else f" ({reason_of(error)})"
        raise WeightsError(
            f"Expected a file of tensors for {source} at {path}, but it holds something else, or is damaged{reason}. "
            "Older files hold a whole network as a pickle; featx does not load it, because it can run any code. If "
            "you trust its source, load it in torchxrayvision yourself, which runs that code, save the network's "
            f"state_dict() with torch.save as {path}{TENSORS}, and run the command again."
        ) from error
    missing = [name for name in missing if not name.startswith(("classifier.", "fc."))]
    if missing:
        raise WeightsError(
            f"Expected the weights of {source} in {path}, but {len(missing)} are missing, such as {missing[0]}; "
            "delete the file and download it again."
        )


def _tensors(module: Any, prefix: str = "") -> Any:
    """Yield the tensors of a pickled network by name, from its tables alone: none of its methods is called."""
    tables = vars(module)
    for table in ("_parameters", "_buffers"):
        for name, value in tables.get(table, {}).items():
            if value is not None:
                yield prefix + name, value
    for name, inner in tables.get("_modules", {}).items():
        if inner is not None:
            yield from _tensors(inner, f"{prefix}{name}.")
