"""From pixels to a network's input: seven rules, and the channel statistics that one of them needs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from math import sqrt
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from featx.errors import DataError, RecipeError

# The luma of Rec. 601 in units of 1/65536, as Pillow computes it.
LUMA = (19595, 38470, 7471)
Rule = Literal["rescale", "raw", "featurewise", "caffe", "tf", "torch", "affine"]
Colour = Literal["rgb", "bgr", "grey"]

# From keras.applications.imagenet_utils. CAFFE_MEAN is for BGR pixels from 0 to 255.
CAFFE_MEAN = (103.939, 116.779, 123.68)
TORCH_MEAN = (0.485, 0.456, 0.406)
TORCH_STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Preprocessing:
    """A rule and its numbers; for `featurewise`, the channels' means and standard deviations, in units of 1/255.

    - `rescale`: x / 255.
    - `raw`: x, for networks that scale pixels themselves.
    - `featurewise`: (x / 255 - mean) / std.
    - `caffe`: BGR order, ImageNet's mean subtracted, not scaled (VGG, ResNet50).
    - `tf`: x / 127.5 - 1 (ResNet50V2, MobileNetV2).
    - `torch`: x / 255, ImageNet's mean subtracted, divided by its standard deviation (DenseNet, ConvNeXt).
    - `affine`: (x × scale - mean) / std, on channels in the order `colour`; `grey` is one channel, the luma of
      Rec. 601 as Pillow computes it.
    """

    rule: Rule
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    scale: float = 1.0
    colour: Colour = "rgb"

    def __call__(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Preprocess pixels.

        Args:
            images: (…, 3) RGB, 0 to 255; never changed.

        Returns:
            A new array of the same shape; (…, 1) for `grey`.

        Raises:
            RecipeError: The rule is `featurewise` or `affine`, and there are no statistics.
        """
        if self.rule == "affine":
            return self._affine(images)
        pixels = np.array(images, dtype=np.float32)
        if self.rule == "raw":
            return pixels
        if self.rule == "caffe":
            return np.ascontiguousarray(pixels[..., ::-1]) - np.array(CAFFE_MEAN, np.float32)
        if self.rule == "tf":
            pixels /= np.float32(127.5)
            pixels -= np.float32(1)
            return pixels
        pixels /= np.float32(255)
        if self.rule == "rescale":
            return pixels
        mean, std = (TORCH_MEAN, TORCH_STD) if self.rule == "torch" else self._statistics()
        pixels -= np.array(mean, np.float32)
        pixels /= np.array(std, np.float32)
        return pixels

    def _affine(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        pixels = np.array(in_colour(images, self.colour), np.float32)
        mean, std = self._statistics()
        pixels *= np.float32(self.scale)
        pixels -= np.array(mean, np.float32)
        pixels /= np.array(std, np.float32)
        return pixels

    def affine_numbers(self) -> tuple[Colour, float, list[float], list[float]]:
        """Return colour order, scale, means and deviations of the rule: (x × scale - mean) / std.

        All rules are of this form; what they make of black and white says which numbers they have.
        """
        if self.rule == "affine":
            mean, std = self._statistics()
            return self.colour, self.scale, list(mean), list(std)
        black, white = self(np.array([[0, 0, 0], [255, 255, 255]], np.uint8)).astype(np.float64)
        std = 255 / (white - black)
        return "bgr" if self.rule == "caffe" else "rgb", 1.0, list(-black * std), list(std)

    @property
    def channels(self) -> int:
        """Channels of the preprocessed image: 3, or 1 for `grey`."""
        return 1 if self.colour == "grey" else 3

    @property
    def keeps_pixels(self) -> bool:
        """Whether pixels from 0 to 255 stay as they are, or nearly so."""
        ends = self(np.array([[0, 0, 0], [255, 255, 255]], np.uint8))
        return bool(np.abs(ends - np.array([[0], [255]])).max() <= 1)

    def _statistics(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        if self.mean is None or self.std is None:
            if self.rule == "affine":
                raise RecipeError(
                    "Preprocessing 'affine' needs a mean and a deviation of each channel, received none."
                )
            raise RecipeError(
                "Preprocessing 'featurewise' needs the channel means and deviations of training images, "
                "but there are none; give preprocess.mean and preprocess.std, or data with a train split."
            )
        return self.mean, self.std

    def key(self) -> Mapping[str, Any]:
        """Return what decides the preprocessed values, for the cache's key."""
        if self.rule == "affine":
            mean, std = self._statistics()
            numbers = {"scale": self.scale, "mean": list(mean), "std": list(std)}
            return {"rule": "affine", "colour": self.colour, **numbers}
        if self.rule != "featurewise":
            return {"rule": self.rule}
        mean, std = self._statistics()
        return {"rule": self.rule, "mean": list(mean), "std": list(std)}


def in_colour(images: NDArray[np.uint8], colour: Colour) -> NDArray[np.uint8]:
    """Return (…, 3) RGB pixels with their channels in this order; (…, 1) for `grey`."""
    if colour == "grey":
        red, green, blue = (images[..., channel].astype(np.uint32) for channel in range(3))
        # As Pillow's mode L, so that images whose channels are equal keep their values.
        of_red, of_green, of_blue = LUMA
        total = of_red * red + of_green * green + of_blue * blue
        return ((total + 32768) >> 16).astype(np.uint8)[..., None]
    return images if colour == "rgb" else np.ascontiguousarray(images[..., ::-1])


class ChannelStatistics:
    """Means and standard deviations of the channels of a stream of images, exact, whatever the images' order.

    Sums are kept as integers, so nothing is lost to rounding until the last division in float64.
    """

    def __init__(self) -> None:
        self._pixels = 0
        self._sums = [0, 0, 0]
        self._squares = [0, 0, 0]

    def add(self, image: NDArray[np.uint8]) -> None:
        """Add one image, (height, width, 3), 0 to 255."""
        self._pixels += image.shape[0] * image.shape[1]
        for channel in range(3):
            # A histogram has 256 exact counts, and is quicker than squaring every pixel in 64 bits.
            counts = np.bincount(image[..., channel].ravel(), minlength=256).tolist()
            self._sums[channel] += sum(count * level for level, count in enumerate(counts))
            self._squares[channel] += sum(count * level * level for level, count in enumerate(counts))

    def result(self) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
        """Return the three means and the three population standard deviations, in units of 1/255.

        Raises:
            DataError: No image was added, or a channel has the same value everywhere.
        """
        if self._pixels == 0:
            raise DataError(
                "Preprocessing 'featurewise' needs training images, and the data has none; use --preprocess rescale."
            )
        means, deviations = [], []
        for total, square in zip(self._sums, self._squares, strict=True):
            mean = Fraction(total, self._pixels)
            variance = Fraction(square, self._pixels) - mean * mean
            if variance == 0:
                raise DataError(
                    "Preprocessing 'featurewise' divides by the standard deviation of the training images' pixels, "
                    "and a channel is the same everywhere; use --preprocess rescale or look at the images."
                )
            means.append(float(mean / 255))
            deviations.append(sqrt(variance) / 255)
        return (means[0], means[1], means[2]), (deviations[0], deviations[1], deviations[2])
