"""NumPy's files of one array, `.npy`: grey or colour images of any number type.

The head is read here: `numpy.load` evaluates it, warns of old ones, and takes the memory before the size is known.
"""

from __future__ import annotations

import re
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.errors import ImageError
from featx.images.levels import rgb_of
from featx.images.pending import BYTES_A_PIXEL, Pending

MAGIC = b"\x93NUMPY"
MOST_HEAD = 10_000  # bytes, as in NumPy
_TYPE = re.compile(r"""['"]descr['"]\s*:\s*['"]([<>|=]?)([buif])([1248])['"]""")
_ANY_TYPE = re.compile(r"""['"]descr['"]\s*:\s*(\[|['"][^'"]*['"])""")
_ORDER = re.compile(r"""['"]fortran_order['"]\s*:\s*(True|False)""")
_SHAPE = re.compile(r"""['"]shape['"]\s*:\s*\(([\d\s,L]*)\)""")
_NUMBERS = {"b1", "u1", "u2", "u4", "u8", "i1", "i2", "i4", "i8", "f2", "f4", "f8"}


def numpy_array(data: bytes, name: str, _: int | None = None) -> Pending:
    """Return the image in a `.npy` file: (height, width), or with 1, 3 or 4 channels, the fourth being alpha."""
    start, head = _head(data)
    dtype = _dtype(head, name)
    order, sides = _ORDER.search(head), _SHAPE.search(head)
    if order is None or sides is None:
        raise ValueError("no shape in its head")
    shape = tuple(int(side) for side in re.findall(r"\d+", sides[1]))
    if not (len(shape) == 2 or (len(shape) == 3 and shape[2] in (1, 3, 4))) or 0 in shape:
        expected = "(height, width), or (height, width, channels) with 1, 3 or 4 channels"
        raise ImageError(name, f"is an array of shape {_text(shape)}, where one of {expected}, was expected")
    if start + prod(shape) * dtype.itemsize > len(data):
        raise ValueError("it ends before its values do")

    def pixels() -> NDArray[np.uint8]:
        flat = np.frombuffer(data, dtype, prod(shape), start)
        samples = flat.reshape(shape, order="F" if order[1] == "True" else "C")
        return _rgb(samples.astype(dtype.newbyteorder("="), order="C"), name)

    copies = 3 * dtype.itemsize * (shape[2] if len(shape) == 3 else 1)
    return Pending(shape[1], shape[0], pixels, BYTES_A_PIXEL + copies)


def _head(data: bytes) -> tuple[int, str]:
    """Where the values begin, and the text before them."""
    size = {1: 2, 2: 4, 3: 4}.get(data[6], 0)
    length = int.from_bytes(data[8 : 8 + size], "little")
    if not size or length > MOST_HEAD:
        raise ValueError("a head of an unknown version or of more than 10,000 bytes")
    return 8 + size + length, data[8 + size : 8 + size + length].decode("latin-1")


def _dtype(head: str, name: str) -> np.dtype[Any]:
    match = _TYPE.search(head)
    if match is not None and match[2] + match[3] in _NUMBERS:
        return np.dtype(match[1] + match[2] + match[3])
    other = _ANY_TYPE.search(head)
    if other is None:
        raise ValueError("no number type in its head")
    kind = "records" if other[1] == "[" else f"the type {other[1][:20]}"
    if "O" in kind:
        kind = "Python objects, which are never loaded"
    raise ImageError(name, f"is an array of {kind}; save it as integers, floats or booleans")


def _text(shape: tuple[int, ...]) -> str:
    inside = ", ".join(map(str, shape[:8])) + ("," if len(shape) == 1 else "")
    return f"({inside}{', …' if len(shape) > 8 else ''})"


def _rgb(samples: NDArray[Any], name: str) -> NDArray[np.uint8]:
    if samples.dtype.kind == "b":
        samples = samples.astype(np.uint8) * np.uint8(255)
    samples = np.atleast_3d(samples)
    alpha = samples[:, :, 3] if samples.shape[2] == 4 else None
    return rgb_of(samples[:, :, :3], alpha, name)
