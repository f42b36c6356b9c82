"""Images are brought to a network's input size: stretched, cropped or padded."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from featx.errors import UsageError
from featx.recipes import Fit

RESIZE_METHODS = ("bilinear", "bicubic", "lanczos", "box", "hamming")
FITS = ("stretch", "crop", "pad")

# A long, narrow image that is to be cropped would become huge before its centre is cut out. From this many pixels on,
# and this many times the square on its shorter side, only the part that is seen is computed.
MOST_PIXELS = 2**24
MOST_SQUARES = 4


class Placement(NamedTuple):
    """The size of the whole image after resizing, and where the network's input begins in it, in pixels.

    `top` and `left` are below zero where the input is larger than the image, which is then surrounded by black.
    """

    height: int
    width: int
    top: int
    left: int


def resize(
    image: NDArray[np.uint8],
    size: int | tuple[int, int],
    method: str,
    fit: Fit = "stretch",
    resize_to: int | None = None,
) -> NDArray[np.uint8]:
    """Bring an image to a network's input size, with antialiasing.

    - `stretch` does not keep the aspect ratio. With `resize_to`, the image becomes a square with this side, and its
      centre is cut out.
    - `crop` keeps it, and the centre is cut out. The shorter side becomes `resize_to`, and the longer one is rounded
      down, as torchvision's `Resize` and `CenterCrop` do. Without `resize_to`, the image just covers the input.
    - `pad` keeps it. The image just fits into the input; around it is black, the additional row or column of an odd
      number at the bottom or the right.

    Args:
        image: Shape (height, width, 3), RGB; left as it is.
        size: Height and width of the result in pixels, or one number for both, at least 1.
        method: One of `RESIZE_METHODS`.
        fit: `stretch`, `crop` or `pad`.
        resize_to: Side in pixels before the centre is cut out, at least the longer side of the result; not for `pad`.

    Returns:
        Shape (height, width, 3), an array of its own.

    Raises:
        UsageError: An argument is not one of these.
    """
    shape = (size, size) if isinstance(size, int) else size
    _check(shape, method, fit, resize_to)
    height, width = shape
    whole = placement(image.shape[:2], shape, fit, resize_to)
    resample = Image.Resampling[method.upper()]
    picture = Image.fromarray(image)
    if whole[:2] == shape:
        return np.array(picture.resize((width, height), resample))
    if fit != "pad" and whole.height * whole.width > max(MOST_PIXELS, MOST_SQUARES * min(whole[:2]) ** 2):
        return np.array(picture.resize((width, height), resample, _seen(picture, whole, shape)))
    small = picture.resize((whole.width, whole.height), resample)
    # Outside the image, `crop` gives black.
    return np.array(small.crop((whole.left, whole.top, whole.left + width, whole.top + height)))


def placement(
    image: tuple[int, ...], shape: tuple[int, int], fit: Fit = "stretch", resize_to: int | None = None
) -> Placement:
    """Return how large an image becomes, and which part of it is the network's input.

    Args:
        image: The image's height and width in pixels.
        shape: The input's height and width.
        fit: See `resize`.
        resize_to: See `resize`.
    """
    height, width = image
    if fit == "stretch":
        whole = shape if resize_to is None else (resize_to, resize_to)
    elif fit == "crop":
        whole = _covering(height, width, shape) if resize_to is None else _with_short_side(height, width, resize_to)
    else:
        whole = _inside(height, width, shape)
        return Placement(*whole, -((shape[0] - whole[0]) // 2), -((shape[1] - whole[1]) // 2))
    # torchvision rounds halves to even numbers.
    return Placement(*whole, round((whole[0] - shape[0]) / 2), round((whole[1] - shape[1]) / 2))


def _with_short_side(height: int, width: int, side: int) -> tuple[int, int]:
    long = int(side * max(height, width) / min(height, width))
    return (side, long) if height <= width else (long, side)


def _covering(height: int, width: int, shape: tuple[int, int]) -> tuple[int, int]:
    """The smallest size of the same aspect ratio that covers the shape."""
    if width * shape[0] >= height * shape[1]:
        return shape[0], shape[0] * width // height
    return shape[1] * height // width, shape[1]


def _inside(height: int, width: int, shape: tuple[int, int]) -> tuple[int, int]:
    """The largest size of the same aspect ratio that fits into the shape; halves are rounded up."""
    if width * shape[0] >= height * shape[1]:
        return max(1, (2 * shape[1] * height + width) // (2 * width)), shape[1]
    return shape[0], max(1, (2 * shape[0] * width + height) // (2 * height))


def _seen(picture: Image.Image, whole: Placement, shape: tuple[int, int]) -> tuple[float, float, float, float]:
    """The part of an image that is the network's input: left, top, right, bottom."""
    across, down = picture.width / whole.width, picture.height / whole.height
    left, top = whole.left * across, whole.top * down
    return left, top, min(picture.width, left + shape[1] * across), min(picture.height, top + shape[0] * down)


def _check(shape: tuple[int, int], method: str, fit: str, resize_to: int | None) -> None:
    if method not in RESIZE_METHODS:
        raise UsageError(f"The resize method must be one of {', '.join(RESIZE_METHODS)}; received {method!r}.")
    if fit not in FITS:
        raise UsageError(f"The fit must be one of {', '.join(FITS)}; received {fit!r}.")
    if min(shape) < 1:
        raise UsageError(f"The image size must be at least 1 pixel; received {min(shape)}.")
    if resize_to is not None and (fit == "pad" or resize_to < max(shape)):
        wanted = "None for fit 'pad'" if fit == "pad" else f"at least {max(shape)}, the longer side of the result"
        raise UsageError(f"resize_to must be {wanted}; received {resize_to}.")
