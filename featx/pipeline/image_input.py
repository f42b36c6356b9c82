"""What a transformer is given, as images: paths in a sequence or a column, or pixels in arrays."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.dataset import Item
from featx.errors import DataError
from featx.known_files import KnownFiles
from featx.pipeline.hashing import Image, digest_of_array, hash_images
from featx.pipeline.progress import silent

EXPECTED = (
    "Expected images as paths (a sequence, or one column) or as uint8 arrays of shape (n, height, width) or "
    "(n, height, width, 3)"
)


def images_of(X: Any, split: str, known: KnownFiles) -> list[Image]:
    """Return an image for each element of X, in its order; an element that comes again is the same image.

    Args:
        X: Paths as a list, an array, a Series, or one column of shape (n, 1); or arrays of pixels, in one array or
            in a list of (height, width) and (height, width, 3), whose sizes may differ.
        split: What the images are used for, `train` or `test`.
        known: The cache's known files.

    Raises:
        DataError: X is something else, or empty.
        ImageError: A file cannot be read.
    """
    if isinstance(X, (str, Path)):
        raise DataError(f"{EXPECTED}, received the one path {str(X)!r}; put it into a list.")
    pictures = _pictures(X)
    if pictures is not None:
        return [_of_array(picture, number, split) for number, picture in enumerate(pictures)]
    return _of_files(_paths(X), split, known)


def _pictures(X: Any) -> Sequence[NDArray[np.uint8]] | None:
    """Return X as arrays of pixels, or None if it may be paths."""
    if isinstance(X, (list, tuple)) and any(isinstance(element, np.ndarray) and element.ndim for element in X):
        return [_checked(np.asarray(element), one=True) for element in X]
    if isinstance(X, np.ndarray) and X.dtype.kind not in "OUST":
        return list(_checked(X, one=False))
    return None


def _checked(array: NDArray[Any], *, one: bool) -> NDArray[np.uint8]:
    """Return pixels, of one image or of several in one array, whose shape and type are right."""
    rank = array.ndim + one
    # (height, width, 3) is one image where several were expected, and not images that are 3 pixels wide.
    right = (rank == 3 and (one or array.shape[-1] != 3)) or (rank == 4 and array.shape[-1] == 3)
    if array.dtype != np.uint8 or not right or not all(array.shape):
        hint = "X[np.newaxis]" if array.dtype == np.uint8 and not one and array.ndim == 3 else "np.uint8, 0 to 255"
        raise DataError(f"{EXPECTED}, received {array.dtype} of shape {array.shape}; pass {hint}.")
    return array


def _of_array(array: NDArray[np.uint8], number: int, split: str) -> Image:
    name = f"image {number}"
    return Image(Item(name, Path(name), None, split), digest_of_array(array), array)


def _paths(X: Any) -> list[str]:
    column = np.asarray(X, dtype=object)
    if column.ndim == 2 and column.shape[1] == 1:
        column = column[:, 0]
    if column.ndim != 1 or not len(column):
        raise DataError(f"{EXPECTED}, received the shape {column.shape}; pass one path an image, at least one.")
    for number, value in enumerate(column):
        if not isinstance(value, (str, Path)):
            raise DataError(f"{EXPECTED}, received {value!r} as element {number}; pass paths alone.")
    return [str(value) for value in column]


def _of_files(paths: list[str], split: str, known: KnownFiles) -> list[Image]:
    unique = list(dict.fromkeys(paths))
    items = [Item(path, Path(path).absolute(), None, split) for path in unique]
    images, _ = hash_images(items, "fail", silent, known)
    by_path = dict(zip(unique, images, strict=True))
    return [by_path[path] for path in paths]
