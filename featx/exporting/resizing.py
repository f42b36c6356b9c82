"""Pillow's antialiased resizing as nodes of ONNX: the same pixels, whatever the image's size.

ONNX's own operator `Resize` gives others, by one grey level and more. Here each pass is a product with a matrix of
Pillow's weights, which have 22 binary digits. They and all sums are whole numbers below 2^53, so that float64 holds
them exactly and no order of the sums matters. Source: src/libImaging/Resample.c of Pillow 13.0.0.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import pi

import numpy as np

from featx.exporting.graph import Graph

# How far each filter reaches, in pixels of the smaller image.
SUPPORT = {"box": 0.5, "bilinear": 1.0, "hamming": 1.0, "bicubic": 2.0, "lanczos": 3.0}
DIGITS = 2.0**22


@dataclass(frozen=True)
class Numbers:
    """Float64 arithmetic on values of a graph."""

    graph: Graph

    def number(self, value: float) -> str:
        """Return a constant."""
        return self.graph.constant(value, np.float64)

    def of(self, operator: str, *values: str | float) -> str:
        """Return the value of an operator; numbers become constants."""
        names = [value if isinstance(value, str) else self.number(value) for value in values]
        return self.graph.add(operator, *names)

    def where(self, condition: str, yes: str | float, no: str | float) -> str:
        """Return one or the other."""
        return self.of("Where", condition, yes, no)

    def trunc(self, value: str) -> str:
        """Return a value without its fraction, as the cast to `int` of C does."""
        return self.graph.cast(self.graph.cast(value, np.int64), np.float64)


@dataclass(frozen=True)
class Side:
    """One axis of the resizing: whole numbers of a graph, int64 scalars, and the number of pixels that are needed.

    Attributes:
        length: Pixels of the image.
        whole: Pixels of the whole image after resizing.
        start: The first of them that is needed; those outside of the image are black.
        needed: How many are needed.
    """

    length: str
    whole: str
    start: str
    needed: int


def resized(graph: Graph, pixels: str, height: Side, width: Side, method: str) -> str:
    """Return the needed part of images at another size, as Pillow resizes them.

    Args:
        graph: Gets the nodes.
        pixels: (n, 3, h, w) in float64, whole numbers from 0 to 255; so is the result.
        height: The third axis.
        width: The fourth axis.
        method: A key of `SUPPORT`.
    """
    vertical = _weights(graph, height, method)
    horizontal = graph.add("Transpose", _weights(graph, width, method), perm=[1, 0])
    start = len(graph.nodes)
    no = _pass(graph, _pass(graph, pixels, horizontal, left=False), vertical, left=True)
    middle = len(graph.nodes)
    yes = _pass(graph, _pass(graph, pixels, vertical, left=True), horizontal, left=False)
    branches = (graph.nodes[middle:], graph.nodes[start:middle])
    del graph.nodes[start:]
    # The order matters, since the image between the passes has whole numbers, too. Pillow, from 13 on, begins with
    # the columns where the height loses more than twice as many pixels as the width.
    lost = [graph.add("Sub", side.length, side.whole) for side in (height, width)]
    zero, two = graph.constant(0, np.int64), graph.constant(2, np.int64)
    more = graph.add("Greater", lost[0], graph.add("Mul", lost[1], two))
    return graph.choose(graph.add("And", graph.add("Greater", lost[0], zero), more), yes, no, branches)


def _pass(graph: Graph, pixels: str, weights: str, *, left: bool) -> str:
    """Return pixels times weights, rounded and cut off at 0 and 255."""
    sums = graph.add("MatMul", *((weights, pixels) if left else (pixels, weights)))
    numbers = Numbers(graph)
    rounded = numbers.of("Floor", numbers.of("Add", numbers.of("Div", sums, DIGITS), 0.5))
    return numbers.of("Clip", rounded, 0.0, 255.0)


def _weights(graph: Graph, side: Side, method: str) -> str:
    """Return the weights of one pass, (needed, length), whole numbers; as `precompute_coeffs` in Pillow."""
    n = Numbers(graph)
    zero, one = graph.constant(0, np.int64), graph.constant(1, np.int64)
    length, whole = graph.cast(side.length, np.float64), graph.cast(side.whole, np.float64)
    places = graph.cast(graph.add("Range", zero, side.length, one), np.float64)
    wanted = graph.add("Add", graph.constant(np.arange(side.needed), np.int64), side.start)
    goals = graph.add("Min", graph.add("Max", wanted, zero), graph.add("Sub", side.whole, one))
    scale = n.of("Div", length, whole)
    widened = n.of("Max", scale, 1.0)
    reach = n.of("Mul", widened, SUPPORT[method])
    axis = graph.constant([1], np.int64)
    centre = graph.add("Unsqueeze", n.of("Mul", n.of("Add", graph.cast(goals, np.float64), 0.5), scale), axis)
    first = n.of("Max", n.trunc(n.of("Add", n.of("Sub", centre, reach), 0.5)), 0.0)
    end = n.of("Min", n.trunc(n.of("Add", n.of("Add", centre, reach), 0.5)), length)
    offset = n.of("Mul", n.of("Add", n.of("Sub", places, centre), 0.5), n.of("Div", 1.0, widened))
    inside = graph.add("And", graph.add("Not", graph.add("Less", places, first)), graph.add("Less", places, end))
    values = n.where(inside, _FILTERS[method](n, offset), 0.0)
    # Pillow adds them one after the other.
    running = graph.add("CumSum", values, graph.constant(1, np.int64))
    total = graph.add("Gather", running, graph.constant([-1], np.int64), axis=1)
    shares = n.of("Mul", n.of("Div", values, total), DIGITS)
    half = n.where(n.of("Less", shares, 0.0), -0.5, 0.5)
    there = graph.add("Unsqueeze", graph.add("Equal", wanted, goals), axis)
    return n.where(there, n.trunc(n.of("Add", shares, half)), 0.0)


def _box(n: Numbers, x: str) -> str:
    inside = n.of("And", n.of("Greater", x, -0.5), n.of("Not", n.of("Greater", x, 0.5)))
    return n.where(inside, 1.0, 0.0)


def _bilinear(n: Numbers, x: str) -> str:
    return n.of("Max", n.of("Sub", 1.0, n.of("Abs", x)), 0.0)


def _bicubic(n: Numbers, x: str) -> str:
    a = -0.5
    x = n.of("Abs", x)
    square = n.of("Mul", n.of("Sub", n.of("Mul", x, a + 2), a + 3), x)
    near = n.of("Add", n.of("Mul", square, x), 1.0)
    inner = n.of("Add", n.of("Mul", n.of("Sub", x, 5.0), x), 8.0)
    far = n.of("Mul", n.of("Sub", n.of("Mul", inner, x), 4.0), a)
    return n.where(n.of("Less", x, 1.0), near, n.where(n.of("Less", x, 2.0), far, 0.0))


def _sinc(n: Numbers, x: str) -> str:
    angle = n.of("Mul", x, pi)
    at_zero = n.of("Equal", x, 0.0)
    return n.where(at_zero, 1.0, n.of("Div", n.of("Sin", angle), n.where(at_zero, 1.0, angle)))


def _hamming(n: Numbers, x: str) -> str:
    x = n.of("Abs", x)
    # In Pillow the two numbers are single precision.
    factors = float(np.float32(0.54)), float(np.float32(0.46))
    window = n.of("Add", n.of("Mul", n.of("Cos", n.of("Mul", x, pi)), factors[1]), factors[0])
    return n.where(n.of("Less", x, 1.0), n.of("Mul", _sinc(n, x), window), 0.0)


def _lanczos(n: Numbers, x: str) -> str:
    inside = n.of("And", n.of("Not", n.of("Less", x, -3.0)), n.of("Less", x, 3.0))
    return n.where(inside, n.of("Mul", _sinc(n, x), _sinc(n, n.of("Div", x, 3.0))), 0.0)


_FILTERS = {"box": _box, "bilinear": _bilinear, "hamming": _hamming, "bicubic": _bicubic, "lanczos": _lanczos}
