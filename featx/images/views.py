"""Augmented views of an image, numbered, seeded and cacheable; view 0 is the image itself.

View k depends only on the bytes of the image's file, the spec and k. It does not depend on the order of the files,
the number of workers, or the versions of libraries that draw random numbers.
"""

from __future__ import annotations

import hashlib
import json
import math
import random
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from featx.errors import RecipeError

VIEW_RULE = 1
"""Part of the cache's key: raised by hand whenever `view` gives other values."""

_UPPER_LIMITS = {"shear": 90.0, "zoom": 1.0}  # from there on the map has no inverse


@dataclass(frozen=True)
class ViewSpec:
    """How far the augmented views of an image may differ from it.

    Each magnitude m is a draw from the uniform distribution over [-m, m], or for `zoom` over [1 - m, 1 + m].

    Attributes:
        rotation: Degrees.
        shift: Fraction of the width and of the height; the two are drawn separately.
        shear: Degrees by which a vertical line leans, below 90.
        zoom: Fraction by which the width and the height grow or shrink, below 1; the two are drawn separately.
        channel_shift: Grey levels, out of 255; the same number is added to all three channels.
        horizontal_flip: Whether about half of the views are mirrored left to right.
        vertical_flip: Whether about half of the views are mirrored top to bottom.
        fill: Grey level, 0 to 255, where a view shows what lies outside the image.
        seed: A different seed gives different views.

    Raises:
        RecipeError: A value is outside its range.
    """

    rotation: float = 0.0
    shift: float = 0.0
    shear: float = 0.0
    zoom: float = 0.0
    channel_shift: float = 0.0
    horizontal_flip: bool = False
    vertical_flip: bool = False
    fill: int = 0
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("rotation", "shift", "shear", "zoom", "channel_shift"):
            value, limit = getattr(self, name), _UPPER_LIMITS.get(name, math.inf)
            if not 0 <= value < limit:
                upper = "" if limit == math.inf else f" and below {limit:g}"
                raise RecipeError(f"The views' {name} must be a finite number from 0{upper}; received {value}.")
        if not 0 <= self.fill <= 255:
            raise RecipeError(f"The views' fill must be a grey level from 0 to 255; received {self.fill}.")


@dataclass(frozen=True)
class Transform:
    """The random numbers of one view; the defaults change nothing.

    Brightness is applied first; then the flips, the zoom, the shear and the rotation, all about the image's centre;
    last the shift.
    """

    rotation: float = 0.0  # degrees, anticlockwise
    shift_x: float = 0.0  # fraction of the width, to the right
    shift_y: float = 0.0  # fraction of the height, downwards
    shear: float = 0.0  # degrees by which a vertical line leans, its top to the right
    zoom_x: float = 1.0  # factor of the width; above 1 magnifies
    zoom_y: float = 1.0
    channel_shift: float = 0.0  # grey levels added to all channels, clipped to 0 to 255
    horizontal_flip: bool = False  # left and right change places
    vertical_flip: bool = False


def view(image: NDArray[np.uint8], spec: ViewSpec, digest: str, k: int) -> NDArray[np.uint8]:
    """Return view k of an image.

    Args:
        image: Shape (height, width, 3), RGB; left as it is.
        spec: The magnitudes.
        digest: The SHA-256 of the bytes of the image's file, in hexadecimal.
        k: The view's number; view 0 is the image itself.

    Returns:
        The image's shape; for k = 0 the array that came in.
    """
    return image if k == 0 else apply(image, draw(spec, digest, k), spec.fill)


def draw(spec: ViewSpec, digest: str, k: int) -> Transform:
    """Draw the numbers of view k.

    Nine numbers are always drawn, in the order of the fields of `Transform`, from a generator seeded by the
    image's digest, the spec's seed and k (from 1). A magnitude scales only its own numbers: raising one magnitude
    leaves the others' numbers as they are.
    """
    seed = hashlib.sha256(json.dumps([digest, spec.seed, k], separators=(",", ":")).encode()).digest()
    # Python promises that random() repeats for a seed in all its versions, which NumPy's Generator does not.
    generator = random.Random(int.from_bytes(seed))  # noqa: S311 (not for secrets)
    uniform = {field.name: generator.random() for field in fields(Transform)}

    def within(name: str, magnitude: float) -> float:
        return magnitude * (2 * uniform[name] - 1)

    return Transform(
        rotation=within("rotation", spec.rotation),
        shift_x=within("shift_x", spec.shift),
        shift_y=within("shift_y", spec.shift),
        shear=within("shear", spec.shear),
        zoom_x=1 + within("zoom_x", spec.zoom),
        zoom_y=1 + within("zoom_y", spec.zoom),
        channel_shift=within("channel_shift", spec.channel_shift),
        horizontal_flip=spec.horizontal_flip and uniform["horizontal_flip"] < 0.5,
        vertical_flip=spec.vertical_flip and uniform["vertical_flip"] < 0.5,
    )


def apply(image: NDArray[np.uint8], transform: Transform, fill: int = 0) -> NDArray[np.uint8]:
    """Return an image (height, width, 3) transformed, with one bilinear interpolation and one rounding.

    What lies outside the image gets the grey level `fill`, without the channel shift.
    """
    height, width, channels = image.shape
    matrix = _output_to_input(transform, width, height)
    brightened = np.clip(image.astype(np.float32) + np.float32(transform.channel_shift), 0, 255)
    result = np.empty_like(image)
    for channel in range(channels):
        # Pillow interpolates 8-bit images too, but cuts the fraction off, which darkens them.
        plane = Image.fromarray(np.ascontiguousarray(brightened[:, :, channel]))
        warped = plane.transform(
            (width, height), Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR, fillcolor=fill
        )
        result[:, :, channel] = np.rint(np.asarray(warped))
    return result


def _output_to_input(transform: Transform, width: int, height: int) -> tuple[float, ...]:
    """The affine map from a position in the view to the position in the image that is seen there.

    Positions are in pixels from the top left corner, and the first pixel's centre is at 0.5, as in
    `PIL.Image.Image.transform`. The map is the inverse of flip, zoom, shear, rotation, shift.

    Returns:
        a, b, c, d, e, f with x_in = a x + b y + c and y_in = d x + e y + f.
    """
    angle = math.radians(transform.rotation)
    unrotate = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    unshear = np.array([[1.0, math.tan(math.radians(transform.shear))], [0.0, 1.0]])
    unzoom = np.diag([1 / transform.zoom_x, 1 / transform.zoom_y])
    unflip = np.diag([-1.0 if transform.horizontal_flip else 1.0, -1.0 if transform.vertical_flip else 1.0])
    linear = unflip @ unzoom @ unshear @ unrotate
    centre = np.array([width / 2, height / 2])
    shift = np.array([transform.shift_x * width, transform.shift_y * height])
    offset = centre - linear @ (centre + shift)
    return (*linear[0].tolist(), float(offset[0]), *linear[1].tolist(), float(offset[1]))
