"""Images in memory and lists of paths: what scripts and notebooks pass instead of the path of a folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.data.dataset import Item
from featx.errors import DataError

EXPECTED = (
    "Expected images as paths (a sequence, or one column) or as uint8 arrays of shape (n, height, width) or "
    "(n, height, width, 3)"
)


def is_in_memory(X: Any) -> bool:
    """Tell whether X is images as arrays of pixels, right or wrong ones, and not paths."""
    if isinstance(X, (list, tuple)):
        return any((isinstance(element, np.ndarray) and element.ndim) or _is_of_pillow(element) for element in X)
    return (isinstance(X, np.ndarray) and X.dtype.kind not in "OUST") or _is_of_pillow(X)


def _is_of_pillow(value: Any) -> bool:
    """Tell whether a value is an image of Pillow."""
    return hasattr(value, "__array_interface__") and hasattr(value, "convert")


def items_in_memory(X: Any, split: str) -> list[Item]:
    """Return an item for each image of X, in its order; a path that is there twice is the same item twice.

    Args:
        X: One of these: paths (str or Path) in a list, an array, a Series or one column of shape (n, 1); a uint8
            array of shape (n, height, width) or (n, height, width, 3), RGB; a list of such images, whose sizes may
            differ.
        split: What the images are for: `train`, `val` or `test`.

    Raises:
        DataError: X is anything else, or empty.
    """
    if isinstance(X, (str, Path)):
        raise DataError(f"{EXPECTED}, received the one path {str(X)!r}; put it into a list.")
    if is_in_memory(X):
        pictures = _pictures(X)
        digits = len(str(len(pictures) - 1))  # with zeros before it, so that names sort as the images do
        names = [f"image {number:0{digits}}" for number in range(len(pictures))]
        return [
            Item(name, Path(name), None, split, pixels=image) for name, image in zip(names, pictures, strict=True)
        ]
    paths = _paths(X)
    items = {path: Item(path, Path(path).absolute(), None, split) for path in dict.fromkeys(paths)}
    return [items[path] for path in paths]


def _pictures(X: Any) -> Sequence[NDArray[np.uint8]]:
    if isinstance(X, np.ndarray):
        return list(_checked(X, one=False))
    if _is_of_pillow(X) or any(map(_is_of_pillow, X)):
        raise DataError(
            f'{EXPECTED}, received images of Pillow; pass [np.asarray(image.convert("RGB")) for image in images].'
        )
    return [_checked(np.asarray(element), one=True) for element in X]


def _checked(array: NDArray[Any], *, one: bool) -> NDArray[np.uint8]:
    """Return the pixels of one image, or of several in one array, after a check of shape and type."""
    rank = array.ndim + one
    # (height, width, 3) is one image where several were expected, and not images that are 3 pixels wide.
    right = (rank == 3 and (one or array.shape[-1] != 3)) or (rank == 4 and array.shape[-1] == 3)
    if array.dtype != np.uint8 or not right or not all(array.shape):
        hint = _other_type(array) if array.dtype != np.uint8 else _other_shape(array, one)
        raise DataError(f"{EXPECTED}, received {array.dtype} of shape {array.shape}; {hint}.")
    return array


def _other_type(array: NDArray[Any]) -> str:
    """Return what to do about pixels of another type than uint8."""
    if array.dtype.kind in "OUS":
        return "pass paths alone, or arrays alone"
    wanted = "pass np.uint8, 0 to 255"
    if array.dtype == bool:
        return f"{wanted}: X.astype(np.uint8) * 255"
    if array.dtype.kind in "iuf" and array.size and array.min() >= 0 and array.max() <= 255:
        is_share = array.dtype.kind == "f" and array.max() <= 1
        return f"{wanted}: {'(X * 255)' if is_share else 'X'}.round().astype(np.uint8)"
    return wanted


def _other_shape(array: NDArray[Any], one: bool) -> str:
    """Return what to do about pixels in an array of another shape, whose axis of channels may be another."""
    if not all(array.shape):
        return "pass images that have pixels"
    if not one and array.ndim in (2, 3):
        return "put one image into a list"
    name = "image" if one else "X"
    channels_first, channels = array.shape[-3::2] if array.ndim + one == 4 else (0, 0)
    if channels == 1:
        return f"drop the last axis: {name}[..., 0]"
    if channels in (2, 4):
        return f"drop the alpha channel: {name}[..., {'0' if channels == 2 else ':3'}]"
    if channels_first == 1:
        return f"drop the axis of channels: {name}[..., 0, :, :]"
    if channels_first == 3:
        return f"move the channels to the end: np.moveaxis({name}, -3, -1)"
    return "pass grey images or RGB"


def _paths(X: Any) -> list[str]:
    column = np.asarray(X, dtype=object)
    if not column.ndim:
        raise DataError(f"{EXPECTED}, received a value of type {type(X).__name__}; put images into a list.")
    if column.ndim == 2 and column.shape[1] == 1:
        column = column[:, 0]
    if column.ndim != 1 or not len(column):
        is_table = column.ndim == 2 and len(column)
        advice = "pass the column with the paths alone" if is_table else "pass one path an image, at least one"
        raise DataError(f"{EXPECTED}, received the shape {column.shape}; {advice}.")
    for number, value in enumerate(column):
        if not isinstance(value, (str, Path)):
            raise DataError(f"{EXPECTED}, received {value!r} as element {number}; pass paths alone.")
    return [str(value) for value in column]
