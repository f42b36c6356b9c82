"""From pixels of any size to a network's input, as nodes of ONNX: resized, cropped or padded, and scaled."""

from __future__ import annotations

import numpy as np

from featx.exporting.graph import Graph
from featx.exporting.resizing import Side, resized
from featx.images import LUMA, Preprocessing
from featx.recipes import ImagesPart


def network_input(graph: Graph, images: str, part: ImagesPart, preprocessing: Preprocessing) -> str:
    """Return the network's input, (n, channels, height, width) in float32, of RGB pixels (n, h, w, 3) in uint8."""
    shape = graph.add("Shape", images)
    length = [graph.add("Gather", shape, graph.constant(axis, np.int64)) for axis in (1, 2)]
    pixels = graph.cast(graph.add("Transpose", images, perm=[0, 3, 1, 2]), np.float64)
    height, width = (
        Side(length[axis], whole, start, part.shape[axis])
        for axis, (whole, start) in enumerate(_Whole(graph, part).placed(*length))
    )
    return _scaled(graph, resized(graph, pixels, height, width, part.resize), preprocessing)


class _Whole:
    """How large the whole image becomes, and where the input begins in it; whole numbers as in `images.resize`."""

    def __init__(self, graph: Graph, part: ImagesPart) -> None:
        self._graph = graph
        self._part = part

    def placed(self, height: str, width: str) -> list[tuple[str, str]]:
        """Return for height and width: the whole image's pixels, and the first of them that is needed."""
        part = self._part
        if part.fit == "stretch":
            wholes = [self._number(part.resize_to or side) for side in part.shape]
        elif part.fit == "pad" or part.resize_to is None:
            wholes = self._aspect(height, width)
        else:
            wholes = self._short_side(height, width, self._number(part.resize_to))
        return [(whole, self._start(whole, side)) for whole, side in zip(wholes, part.shape, strict=True)]

    def _number(self, value: int) -> str:
        return self._graph.constant(value, np.int64)

    def _of(self, operator: str, left: str | int, right: str | int) -> str:
        names = [self._number(value) if isinstance(value, int) else value for value in (left, right)]
        return self._graph.add(operator, *names)

    def _either(self, condition: str, yes: tuple[str, str], no: tuple[str, str]) -> list[str]:
        return [self._graph.add("Where", condition, *pair) for pair in zip(yes, no, strict=True)]

    def _short_side(self, height: str, width: str, side: str) -> list[str]:
        tall = self._of("Greater", height, width)
        across = self._of("Div", self._of("Mul", side, width), height)
        down = self._of("Div", self._of("Mul", side, height), width)
        return self._either(tall, (down, side), (side, across))

    def _aspect(self, height: str, width: str) -> list[str]:
        """The size of the same aspect ratio that covers the input, or for `pad` fits into it."""
        rows, columns = map(self._number, self._part.shape)
        pad = self._part.fit == "pad"
        narrow = self._of("Less", self._of("Mul", width, rows), self._of("Mul", height, columns))
        down = self._share(columns, height, width, pad=pad)
        across = self._share(rows, width, height, pad=pad)
        wide, tall = (down, columns), (rows, across)
        return self._either(narrow, tall, wide) if pad else self._either(narrow, wide, tall)

    def _share(self, side: str, of: str, to: str, *, pad: bool) -> str:
        """Return side × of / to: rounded for `pad`, where it is at least 1, and else down."""
        product = self._of("Mul", side, of)
        if not pad:
            return self._of("Div", product, to)
        twice = self._of("Add", self._of("Mul", product, 2), to)
        return self._of("Max", self._of("Div", twice, self._of("Mul", to, 2)), 1)

    def _start(self, whole: str, side: int) -> str:
        if self._part.fit == "pad":
            return self._graph.add("Neg", self._of("Div", self._of("Sub", side, whole), 2))
        rest = self._of("Sub", whole, side)
        half = self._of("Div", rest, 2)
        # Halves are rounded to even numbers.
        odd = self._of("Sub", rest, self._of("Mul", half, 2))
        odd_half = self._of("Sub", half, self._of("Mul", self._of("Div", half, 2), 2))
        return self._of("Add", half, self._of("Mul", odd, odd_half))


def _scaled(graph: Graph, pixels: str, preprocessing: Preprocessing) -> str:
    """Return pixels (n, 3, h, w) as the network takes them, in float32."""
    colour, scale, mean, std = preprocessing.affine_numbers()
    if colour == "grey":
        luma = graph.constant(np.reshape(LUMA, (1, 3, 1, 1)), np.float64)
        total = graph.reduce("ReduceSum", graph.add("Mul", pixels, luma), 1, keep=True)
        rounded = graph.add("Add", total, graph.constant(2.0**15, np.float64))
        pixels = graph.add("Floor", graph.add("Div", rounded, graph.constant(2.0**16, np.float64)))
    elif colour == "bgr":
        pixels = graph.add("Gather", pixels, graph.constant([2, 1, 0], np.int64), axis=1)
    values = graph.cast(pixels, np.float32)
    values = graph.add("Mul", values, graph.constant(scale, np.float32))
    columns = (1, len(mean), 1, 1)
    values = graph.add("Sub", values, graph.constant(np.reshape(mean, columns), np.float32))
    return graph.add("Div", values, graph.constant(np.reshape(std, columns), np.float32))
