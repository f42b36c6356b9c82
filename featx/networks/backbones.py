"""The networks that featx knows by name, and their properties. Keras is not loaded here."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from featx.errors import RecipeError, UsageError
from featx.images import Preprocessing
from featx.recipes import Pooling, is_network_path

# What the sources of featx backbones import begin with.
SCHEMES = ("timm", "hf", "keras-hub", "torchxrayvision")


@dataclass(frozen=True)
class Backbone:
    """A convolutional network without its classifier, of `keras.applications` or from the box.

    Attributes:
        name: Its name in recipes and on the command line.
        builder: Its name as its authors write it; if Keras has it, its function in `keras.applications`.
        preprocessing: How pixels were prepared when its ImageNet weights were trained.
        channels: Number of features after average or maximum pooling.
        weights_file: The name of its ImageNet weights in Keras's own cache, or in featx.
        options: Further arguments of the builder.
        size: Default width and height of its images in pixels.
        stride: Pixels for one step of the last feature map, which has (size / stride)² × channels values.
        sha256: The digest of its weights, if they come with featx; None if Keras downloads them.
    """

    name: str
    builder: str
    preprocessing: Preprocessing
    channels: int
    weights_file: str
    options: Mapping[str, Any] = field(default_factory=dict)
    size: int = 224
    stride: int = 32
    sha256: str | None = None

    @property
    def packaged(self) -> Path | None:
        """The file of its weights, if it comes with featx."""
        return None if self.sha256 is None else Path(__file__).with_name(self.weights_file)

    def width(self, pooling: Pooling, size: int | tuple[int, int] | None = None) -> int:
        """Return the number of features of an image.

        Args:
            pooling: `none` flattens the last feature map.
            size: Height and width in pixels, or one number for both, multiples of `stride`; the default size if not
                given.
        """
        if pooling != "none":
            return self.channels
        height, width = size if isinstance(size, tuple) else (size or self.size,) * 2
        return (height // self.stride) * (width // self.stride) * self.channels


_KERNELS = "weights_tf_dim_ordering_tf_kernels"
# Two networks have their preprocessing as layers. featx leaves these layers out and preprocesses the pixels itself,
# so that every preprocessing rule means the same for every backbone.
_BARE = {"include_preprocessing": False}
_CAFFE, _TF, _TORCH = Preprocessing("caffe"), Preprocessing("tf"), Preprocessing("torch")
_LITE = Preprocessing("affine", mean=(127.0, 127.0, 127.0), std=(128.0, 128.0, 128.0))
# Written by scripts/make_efficientnetlite0.py.
_LITE_SHA256 = "721e278960cb90bf5b9cf0f5b5e2f55618d5d15151989d563ed7ff3d0a09422f"

BACKBONES: Mapping[str, Backbone] = {
    row.name: row
    for row in (
        Backbone("efficientnetlite0", "EfficientNetLite0", _LITE, 1280, "efficientnetlite0.npz", sha256=_LITE_SHA256),
        Backbone("vgg16", "VGG16", _CAFFE, 512, f"vgg16_{_KERNELS}_notop.h5"),
        Backbone("vgg19", "VGG19", _CAFFE, 512, f"vgg19_{_KERNELS}_notop.h5"),
        Backbone("resnet50v2", "ResNet50V2", _TF, 2048, f"resnet50v2_{_KERNELS}_notop.h5"),
        Backbone("resnet50", "ResNet50", _CAFFE, 2048, f"resnet50_{_KERNELS}_notop.h5"),
        Backbone("mobilenetv2", "MobileNetV2", _TF, 1280, f"mobilenet_v2_{_KERNELS}_1.0_224_no_top.h5"),
        Backbone("densenet121", "DenseNet121", _TORCH, 1024, f"densenet121_{_KERNELS}_notop.h5"),
        Backbone("efficientnetv2b0", "EfficientNetV2B0", _TORCH, 1280, "efficientnetv2-b0_notop.h5", _BARE),
        Backbone("convnexttiny", "ConvNeXtTiny", _TORCH, 768, "convnext_tiny_notop.h5", _BARE),
    )
}


def is_model_file(name: str) -> bool:
    """Tell whether a backbone's name is the path of a Keras model file (`.keras`, in any case)."""
    return name.lower().endswith(".keras")


def find_backbone(name: str) -> Backbone:
    """Return the backbone with this name, in any case.

    Raises:
        UsageError: There is no such backbone.
    """
    backbone = BACKBONES.get(name.lower())
    refuse_source(name)
    if backbone is None and (Path(name).suffix or Path(name).name != name):
        raise UsageError(
            f"Expected the name of a backbone, a .keras file or a card (.toml), received {name[-80:]!r}; save a "
            "model of another format, such as .h5 or .pt, as .keras in Keras 3 or as .onnx with a card beside it "
            f"(featx backbones import), or choose one of {', '.join(BACKBONES)}."
        )
    if backbone is None:
        near = difflib.get_close_matches(name.lower(), BACKBONES, n=1)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(BACKBONES)}."
        raise UsageError(
            f"No backbone is named {name[:80]!r}; {hint} (For another network, give the path of its .keras file or "
            f"its card; a folder needs a slash, such as ./{name[:80]}.)"
        )
    return backbone


def refuse_source(name: str) -> None:
    """Refuse the name of a network in another library.

    Raises:
        UsageError: It is one; the message says how it is brought in.
    """
    if name.partition(":")[0] in SCHEMES and ":" in name:
        raise UsageError(
            f"Expected a network that is on this machine, received {name[:80]!r}, which must be brought in first; "
            f"run featx backbones import {name[:80]} --out DIR once, and then use --backbone DIR."
        )


def own_preprocessing(name: str) -> Preprocessing:
    """Return how pixels are prepared for a backbone's ImageNet weights.

    Raises:
        RecipeError: The backbone is a file: of a model, whose preprocessing featx cannot know, or a card, which has
            its own.
        UsageError: There is no backbone of that name.
    """
    if is_model_file(name):
        raise RecipeError(
            f"Preprocessing 'imagenet' is for networks that featx knows by name, but {Path(name).name} is a model "
            "file; choose preprocess.mode 'rescale', 'raw' or 'featurewise' (--preprocess)."
        )
    if is_network_path(name):
        raise RecipeError(
            f"Preprocessing 'imagenet' is for networks that featx knows by name, but {Path(name).name} has its own "
            "in its card; choose preprocess.mode 'card' (--preprocess card)."
        )
    return find_backbone(name).preprocessing
