"""The networks that featx knows by name, and their properties. Keras is not loaded here."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from featx.errors import RecipeError, UsageError
from featx.images import Rule
from featx.recipes import Pooling


@dataclass(frozen=True)
class Backbone:
    """A convolutional network of `keras.applications` without its classifier.

    Attributes:
        name: Its name in recipes and on the command line.
        builder: Its function in `keras.applications`.
        preprocessing: The rule with which its ImageNet weights were trained.
        channels: Number of features after average or maximum pooling.
        weights_file: The name of its ImageNet weights in Keras's own cache.
        options: Further arguments of the builder.
        size: Default width and height of its images in pixels.
        stride: Pixels for one step of the last feature map, which has (size / stride)² × channels values.
    """

    name: str
    builder: str
    preprocessing: Rule
    channels: int
    weights_file: str
    options: Mapping[str, Any] = field(default_factory=dict)
    size: int = 224
    stride: int = 32

    def width(self, pooling: Pooling, size: int | None = None) -> int:
        """Return the number of features of an image.

        Args:
            pooling: `none` flattens the last feature map.
            size: Width and height in pixels, a multiple of `stride`; the default size if not given.
        """
        if pooling != "none":
            return self.channels
        return ((size or self.size) // self.stride) ** 2 * self.channels


_KERNELS = "weights_tf_dim_ordering_tf_kernels"
# Two networks have their preprocessing as layers. featx leaves these layers out and preprocesses the pixels itself,
# so that every preprocessing rule means the same for every backbone.
_BARE = {"include_preprocessing": False}

BACKBONES: Mapping[str, Backbone] = {
    row.name: row
    for row in (
        Backbone("vgg16", "VGG16", "caffe", 512, f"vgg16_{_KERNELS}_notop.h5"),
        Backbone("vgg19", "VGG19", "caffe", 512, f"vgg19_{_KERNELS}_notop.h5"),
        Backbone("resnet50v2", "ResNet50V2", "tf", 2048, f"resnet50v2_{_KERNELS}_notop.h5"),
        Backbone("resnet50", "ResNet50", "caffe", 2048, f"resnet50_{_KERNELS}_notop.h5"),
        Backbone("mobilenetv2", "MobileNetV2", "tf", 1280, f"mobilenet_v2_{_KERNELS}_1.0_224_no_top.h5"),
        Backbone("densenet121", "DenseNet121", "torch", 1024, f"densenet121_{_KERNELS}_notop.h5"),
        Backbone("efficientnetv2b0", "EfficientNetV2B0", "torch", 1280, "efficientnetv2-b0_notop.h5", _BARE),
        Backbone("convnexttiny", "ConvNeXtTiny", "torch", 768, "convnext_tiny_notop.h5", _BARE),
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
    if backbone is None and (Path(name).suffix or Path(name).name != name):
        raise UsageError(
            f"Expected the name of a backbone or a .keras file, received {name[-80:]!r}; save a model of another "
            "format, such as a SavedModel folder, .h5, .pt or .onnx, as .keras in Keras 3, or choose one of "
            f"{', '.join(BACKBONES)}."
        )
    if backbone is None:
        near = difflib.get_close_matches(name.lower(), BACKBONES, n=1)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(BACKBONES)}."
        raise UsageError(f"No backbone is named {name!r}; {hint} (For your own model, give its .keras file.)")
    return backbone


def imagenet_rule(name: str) -> Rule:
    """Return the preprocessing rule of a backbone's ImageNet weights.

    Raises:
        RecipeError: The backbone is a model file, whose preprocessing featx cannot know.
        UsageError: There is no backbone of that name.
    """
    if is_model_file(name):
        raise RecipeError(
            f"Preprocessing 'imagenet' is for networks that featx knows by name, but {Path(name).name} is a model "
            "file; choose preprocess.mode 'rescale', 'raw' or 'featurewise' (--preprocess)."
        )
    return find_backbone(name).preprocessing
