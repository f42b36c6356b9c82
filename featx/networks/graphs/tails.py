"""From a network's output to a row: tokens are chosen or averaged, maps are pooled, and the rest is flattened.

The same steps are taken on arrays of NumPy, on tensors of Keras and in graphs of OpenVINO; see `Operations`.
"""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass
from typing import Any, Protocol

from featx.errors import RecipeError
from featx.networks.cards.card import Layout, OutputPart, Tokens
from featx.recipes import Pooling

log = logging.getLogger("featx")

MOST_FEATURES = 2**28  # of an image: 1 GB
MOST_PREFIX = 16  # tokens before those of patches, where it is looked for a number that fits


class Operations(Protocol):
    """The functions that are needed, as the modules `numpy` and `keras.ops` have them."""

    def take(self, x: Any, indices: Any, axis: int) -> Any:
        """Return the elements with these indices of an axis; a single index removes the axis."""

    def mean(self, x: Any, axis: Any) -> Any:
        """Return the mean over axes."""

    def max(self, x: Any, axis: Any) -> Any:
        """Return the maximum over axes."""

    def concatenate(self, xs: Any, axis: int) -> Any:
        """Join along an axis."""

    def reshape(self, x: Any, newshape: Any) -> Any:
        """Return the values in another shape; -1 stands for the number of images."""


@dataclass(frozen=True)
class Tail:
    """The steps from an output, (n, …), to rows, (n, width).

    Attributes:
        width: Features of an image.
        tokens: Which tokens are used; None if the output has none.
        patches: The places of the patches among the tokens.
        grid: Rows, columns and channels of patches, for `map`.
        axes: The axes of height and width that are pooled; None without pooling.
        pooling: How they are pooled.
    """

    width: int
    tokens: Tokens | None = None
    patches: tuple[int, ...] = ()
    grid: tuple[int, int, int] | None = None
    axes: tuple[int, int] | None = None
    pooling: Pooling = "none"

    def __call__(self, operations: Operations, output: Any) -> Any:
        """Take the steps on an output, (n, …), with the functions of a library."""
        output = self._tokens_of(operations, output)
        if self.axes is not None:
            pool = operations.mean if self.pooling == "avg" else operations.max
            output = pool(output, axis=self.axes)
        return operations.reshape(output, (-1, self.width))

    def _tokens_of(self, operations: Operations, output: Any) -> Any:
        if self.tokens is None:
            return output
        first = operations.take(output, 0, axis=1) if "cls" in self.tokens else None
        if self.tokens == "cls":
            return first
        patches = operations.take(output, list(self.patches), axis=1)
        if self.grid is not None:
            return operations.reshape(patches, (-1, *self.grid))
        mean = operations.mean(patches, axis=1)
        return mean if first is None else operations.concatenate([first, mean], axis=1)


@dataclass(frozen=True)
class Output:
    """An output as it is found in a network.

    Attributes:
        name: Its name, for messages.
        shape: Its shape without the axis of images; None for lengths that are not known.
        network: The network's name, for messages.
    """

    name: str
    shape: tuple[int | None, ...]
    network: str

    def __str__(self) -> str:
        sides = ", ".join("?" if side is None else str(side) for side in self.shape)
        return f"{self.name} of {self.network} has the shape ({', '.join(('n', sides)) if sides else 'n'})"


def tail_of(
    output: Output, part: OutputPart, pooling: Pooling, layout: Layout, pixels: tuple[int, int], *, cut: bool = False
) -> Tail:
    """Return the steps from an output to a row.

    Args:
        output: The output that was found.
        part: What the card says of outputs.
        pooling: How a map is pooled.
        layout: The order of a map's axes.
        pixels: Height and width of the input.
        cut: Whether the output is not the card's, but a layer before it, which need not have tokens.

    Raises:
        RecipeError: The card's words or the pooling do not fit the output.
    """
    sides = [side for side in output.shape if side is not None]
    if len(sides) < len(output.shape) or not 0 < math.prod(sides) <= MOST_FEATURES:
        raise RecipeError(
            f"Expected 1 to {MOST_FEATURES:,} features of an image, but {output}; name another output in the card "
            "(output.name), or one before it with backbone.cut (--cut)."
        )
    if len(sides) == 2:
        return _of_tokens(output, part, pooling, (sides[0], sides[1]), pixels)
    if part.tokens is not None and not cut:
        raise RecipeError(
            f"Expected an output of tokens, (n, tokens, channels), for output.tokens = {part.tokens!r}, but "
            f"{output}; remove output.tokens from the card, or name another output (output.name)."
        )
    if pooling == "none":
        return Tail(math.prod(sides))
    if len(sides) != 3:
        raise RecipeError(
            f"Pooling {pooling!r} needs a feature map of height, width and channels, but {output}; use pooling "
            "'none' (--pooling, or output.pooling in the card)."
        )
    form = map_layout((sides[0], sides[1], sides[2]), pixels, layout)
    if form != layout:
        raise RecipeError(
            f"Expected a feature map in the layout {layout!r}, but {output}, which is one in the layout {form!r}; "
            f"write layout = {form!r} below [output] in the card."
        )
    channels_first = layout == "nchw"
    return Tail(sides[0 if channels_first else 2], axes=(2, 3) if channels_first else (1, 2), pooling=pooling)


def map_layout(sides: tuple[int, int, int], pixels: tuple[int, int], usual: Layout) -> Layout:
    """Return the layout in which an output of three axes can be a map of an image: the usual one if both can."""
    other: Layout = "nhwc" if usual == "nchw" else "nchw"
    return other if _is_map(sides, pixels, other) and not _is_map(sides, pixels, usual) else usual


def _is_map(sides: tuple[int, int, int], pixels: tuple[int, int], layout: Layout) -> bool:
    """Tell whether height and width are not above the image's, and in the same ratio but for two rows or columns."""
    rows, columns = sides[1:] if layout == "nchw" else sides[:2]
    height, width = pixels
    return rows <= height and columns <= width and abs(rows * width - columns * height) <= 2 * max(pixels)


def _of_tokens(
    output: Output, part: OutputPart, pooling: Pooling, sides: tuple[int, int], pixels: tuple[int, int]
) -> Tail:
    count, channels = sides
    if part.tokens is None:
        raise RecipeError(
            f"Expected output.tokens in the card (cls, mean, cls+mean or map), since {output}, which are tokens and "
            "their channels; add it, or name another output (output.name)."
        )
    prefix = part.prefix_tokens
    if "cls" in part.tokens and not prefix:
        raise RecipeError(
            f"Expected output.prefix_tokens of 1 or more for output.tokens = {part.tokens!r}, received 0, which "
            "means that there is no token of the class; use output.tokens = 'mean'."
        )
    if count <= prefix:
        raise RecipeError(
            f"Expected more tokens than output.prefix_tokens = {prefix}, but {output}; correct the card."
        )
    patches = tuple(range(prefix, count))
    if part.tokens != "map":
        _tell_of_prefix(output, part, count, pixels)
        if pooling != "none":
            raise RecipeError(
                f"Pooling {pooling!r} needs a feature map, but output.tokens = {part.tokens!r} gives a single "
                "vector; use pooling 'none', or output.tokens = 'map'."
            )
        return Tail(2 * channels if part.tokens == "cls+mean" else channels, part.tokens, patches)
    grid = _grid(len(patches), pixels)
    if grid is None:
        raise RecipeError(
            f"Expected the patches of {pixels[0]} × {pixels[1]} pixels for output.tokens = 'map', but {output}, of "
            f"which {len(patches)} are patches; correct output.prefix_tokens in the card, or use output.tokens = "
            "'mean'."
        )
    axes = None if pooling == "none" else (1, 2)
    width = channels * (len(patches) if pooling == "none" else 1)
    return Tail(width, "map", patches, (*grid, channels), axes, pooling)


def _tell_of_prefix(output: Output, part: OutputPart, count: int, pixels: tuple[int, int]) -> None:
    """Warn if the tokens after `prefix_tokens` are no grid of square patches, but would be with another number."""
    if _grid(count - part.prefix_tokens, pixels) is not None:
        return
    fitting = [prefix for prefix in range(min(count, MOST_PREFIX + 1)) if _grid(count - prefix, pixels) is not None]
    # The first token is the same for any number of tokens before those of patches, but for none.
    if fitting and (part.tokens != "cls" or fitting[0] == 0):
        log.warning(
            "%s; without the first %d (output.prefix_tokens) they are no grid of square patches, but with "
            "output.prefix_tokens = %d they are. Check it in the card%s.",
            output,
            part.prefix_tokens,
            fitting[0],
            ", and whether there is a class token" if "cls" in (part.tokens or "") else "",
        )


def _grid(patches: int, pixels: tuple[int, int]) -> tuple[int, int] | None:
    """Return the rows and columns of square patches: those that fill the image, or else leave a margin."""
    height, width = pixels
    grids = [(height // side, width // side, height % side + width % side) for side in range(1, min(pixels) + 1)]
    fitting = [(rest, rows, columns) for rows, columns, rest in grids if rows * columns == patches]
    return min(fitting)[1:] if fitting else None
