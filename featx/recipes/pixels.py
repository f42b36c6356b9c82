"""The tables of a recipe on pixels: how images are decoded and resized, augmented views, preprocessing."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from featx.recipes.part import Part
from featx.recipes.windows import Window

Resize = Literal["bilinear", "bicubic", "lanczos", "box", "hamming"]
Fit = Literal["stretch", "crop", "pad"]
Frames = Literal["first", "middle", "all"]
PreprocessMode = Literal["rescale", "imagenet", "featurewise", "raw", "card"]
Triple = tuple[float, float, float]


class DepthPart(Part):
    """Which samples of more than 8 bits are black and white, see `featx.images.SampleDepth`."""

    white: Annotated[
        int | None, Field(ge=255, le=65535, description="integers: this value and those above are white")
    ] = None
    low: Annotated[
        float | None, Field(description="floats and wider integers: this value and those below are black")
    ] = None
    high: Annotated[
        float | None, Field(description="floats and wider integers: this value and those above are white")
    ] = None

    @model_validator(mode="after")
    def _low_is_below_high(self) -> DepthPart:
        if (self.low is None) != (self.high is None) or (self.low is not None and self.low >= (self.high or 0.0)):
            raise ValueError(f"low and high must both be set, low below high, received {self.low} and {self.high}")
        return self


class ImagesPart(Part):
    """How images are brought to the network's input size.

    `stretch` does not keep the aspect ratio. `crop` keeps it: the image covers the input, and its centre is cut out.
    `pad` keeps it, too: the image fits into the input, and the rest is black. For `stretch` and `crop`, `resize_to`
    is the side of the square, or the shorter side of the image, out of which the centre is cut.

    `window` and `frames` are for DICOM files alone, see `featx.dicom.decode_dicom`.

    `depth` is for images of 16 bits, and of floats, whose files do not say what white is. With `data`, the training
    images decide it together, and a run has the result as a table; with `image`, each image decides for itself.
    """

    size: Annotated[int, Field(ge=8, le=4096, description="height in pixels, and width if that is not given")] = 224
    width: Annotated[int | None, Field(ge=8, le=4096, description="width in pixels, if it is not the height")] = None
    resize: Annotated[Resize, Field(description="antialiased method")] = "bilinear"
    fit: Annotated[Fit, Field(description="what becomes of the aspect ratio")] = "stretch"
    resize_to: Annotated[
        int | None, Field(ge=8, le=8192, description="side in pixels before the centre is cut out (stretch, crop)")
    ] = None
    window: Annotated[Window, Field(description="grey levels of DICOM files: file, none, or CENTER/WIDTH")] = "file"
    frames: Annotated[Frames, Field(description="frames of a DICOM file that has several")] = "first"
    depth: Annotated[
        Literal["data", "image"] | DepthPart,
        Field(description="depth of samples of more than 8 bits: decided once from the training images, or by image"),
    ] = "data"

    @model_validator(mode="after")
    def _centre_is_inside(self) -> ImagesPart:
        if self.resize_to is not None:
            if self.fit == "pad":
                raise ValueError("resize_to is for fit 'stretch' and 'crop', not for 'pad'")
            if self.resize_to < max(self.shape):
                longer = max(self.shape)
                raise ValueError(
                    f"resize_to must be at least {longer}, the longer side of the input, received {self.resize_to}"
                )
        return self

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of the network's input in pixels."""
        return self.size, self.width or self.size

    def key(self) -> dict[str, Any]:
        """Return what decides the pixels; fields that came later are left out where they have no effect."""
        later: dict[str, set[Any]] = {"width": {None, self.size}, "fit": {"stretch"}, "resize_to": {None}}
        later["window"] = {"file"}
        # Until the training images have decided, and where none of them is deep, each image decides for itself.
        if not isinstance(self.depth, DepthPart):
            later["depth"] = {self.depth}
        # Which frames are taken moves no row: each frame has a digest of its own.
        values = self.model_dump(exclude={"frames"})
        return {name: value for name, value in values.items() if value not in later.get(name, ())}


class ViewsPart(Part):
    """Augmented views of each training image; with `count = 1` the image alone."""

    count: Annotated[int, Field(ge=1, le=10_000, description="views of each image, including the image itself")] = 1
    rotation: Annotated[float, Field(ge=0, le=180, description="degrees, in both directions")] = 0.0
    shift: Annotated[float, Field(ge=0, le=1, description="fraction of width and height, in both directions")] = 0.0
    shear: Annotated[float, Field(ge=0, lt=90, description="degrees, in both directions")] = 0.0
    zoom: Annotated[float, Field(ge=0, lt=1, description="0.1 means factors from 0.9 to 1.1")] = 0.0
    channel_shift: Annotated[float, Field(ge=0, le=255, description="grey levels of 255, up and down")] = 0.0
    horizontal_flip: bool = False
    vertical_flip: bool = False
    fill: Annotated[int, Field(ge=0, le=255, description="grey level outside the image")] = 0
    seed: Annotated[int, Field(ge=0, le=2**32 - 1)] = 0


class PreprocessPart(Part):
    """How pixel values (0 to 255) are scaled before the network.

    `featurewise` needs the channel means and standard deviations of the training images. `mean` and `std`, after
    division by 255, give them; otherwise they are computed from the train split.
    """

    mode: PreprocessMode = "imagenet"
    mean: Triple | None = None
    std: Triple | None = None

    @model_validator(mode="after")
    def _statistics_belong_to_featurewise(self) -> PreprocessPart:
        if (self.mean is None) != (self.std is None):
            raise ValueError("mean and std must be given together or not at all")
        if self.mean is not None and self.mode != "featurewise":
            raise ValueError(f"mean and std belong to mode 'featurewise', not to '{self.mode}'")
        if self.std is not None and min(self.std) <= 0:
            raise ValueError("std must be positive in each channel")
        return self
