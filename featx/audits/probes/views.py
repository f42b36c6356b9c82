"""What probes may look at instead of the subject: facts of the file, the border, the corners, brightness."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from featx.audits.probes.standard import standardised
from featx.previews import SIDE, Previews

Matrix = NDArray[np.float64]

BORDER = 3  # of the 32 pixels of a preview: the outer tenth on each side
CORNER = 6
THUMBNAIL = 16
BINS = 16
# Weights of red, green and blue (ITU-R BT.601).
LUMA = (0.299, 0.587, 0.114)
QUANTILES = (0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99)

# How the facts of a file are called together. Not among them is its size in bytes, which is moved by the content.
_SIZE, _COMPRESSION, _DEPTH, _METADATA, _FORMAT = (
    "width and height",
    "compression",
    "bit depth and channels",
    "metadata",
    "file format",
)
_FACTS = {
    "width": _SIZE,
    "height": _SIZE,
    "bits": _DEPTH,
    "channels": _DEPTH,
    "has_exif": _METADATA,
    "has_icc": _METADATA,
    "has_text": _METADATA,
    "progressive": _COMPRESSION,
    "interlaced": _COMPRESSION,
    "subsampling": _COMPRESSION,
}
_TABLES = ("luma_", "chroma_")


def fact_matrices(previews: Previews) -> dict[str, Matrix]:
    """Return (n, d) facts of files by kind; kinds that are the same for all images are left out.

    Each kind adds up to the same variance, so that 128 numbers of a JPEG's tables do not drown two of its size.
    """
    columns: dict[str, list[Matrix]] = {}
    for name, values in previews.facts.items():
        kind = _COMPRESSION if name.startswith(_TABLES) else _FACTS.get(name)
        if kind is not None:
            columns.setdefault(kind, []).extend(_without_gaps(values.astype(np.float64)))
    width, height = (previews.facts[name].astype(np.float64) for name in ("width", "height"))
    with np.errstate(divide="ignore", invalid="ignore"):
        shapes = [np.log(width / height), np.log(width * height)]
    columns.setdefault(_SIZE, []).extend(part for shape in shapes for part in _without_gaps(shape))
    formats = np.asarray(previews.formats)
    columns[_FORMAT] = [(formats == name).astype(np.float64) for name in np.unique(formats)]
    blocks = {kind: standardised(np.column_stack(own)) for kind, own in columns.items() if own}
    return {kind: block / np.sqrt(block.shape[1]) for kind, block in blocks.items() if block.shape[1]}


def _without_gaps(values: Matrix) -> list[Matrix]:
    """Return a fact with the mean where it does not exist, and beside it where that is."""
    there = np.isfinite(values)
    if not there.any():
        return []
    filled = np.where(there, values, values[there].mean())
    return [filled] if there.all() else [filled, (~there).astype(np.float64)]


def joined_facts(blocks: Mapping[str, Matrix], n: int) -> Matrix:
    """Return all facts of n files side by side; without columns if all are the same."""
    return np.hstack(list(blocks.values())) if blocks else np.zeros((n, 0))


def picture_matrices(previews: Previews) -> dict[str, Matrix]:
    """Return (n, d) numbers by name: `thumbnail`, `border`, `corners`, `brightness`.

    Grey values are 0 to 1. The border is the outer tenth on each side, with the middle masked; the corners are
    squares of a fifth of the sides; the thumbnail has 16 × 16 pixels; brightness is a histogram and other
    statistics that do not know where a pixel is.
    """
    grey = np.asarray(previews.pixels.astype(np.float64) @ LUMA) / 255
    n = len(grey)
    half = SIDE // THUMBNAIL
    thumbnails = grey.reshape(n, THUMBNAIL, half, THUMBNAIL, half).mean(axis=(2, 4)).reshape(n, -1)
    return {
        "thumbnail": thumbnails,
        "border": grey[:, border_mask()],
        "corners": grey[:, corner_mask()],
        "brightness": _brightness(grey.reshape(n, -1), previews.pixels),
    }


def border_mask() -> NDArray[np.bool_]:
    """Return (32, 32), True in the outer tenth on each side."""
    mask = np.ones((SIDE, SIDE), bool)
    mask[BORDER:-BORDER, BORDER:-BORDER] = False
    return mask


def corner_mask() -> NDArray[np.bool_]:
    """Return (32, 32), True in the four corners."""
    near = np.zeros(SIDE, bool)
    near[:CORNER] = near[-CORNER:] = True
    return near[:, None] & near


def _brightness(grey: Matrix, pixels: NDArray[np.uint8]) -> Matrix:
    """Return mean, contrast, quantiles, colourfulness and a histogram; both halves have the same variance."""
    places = np.minimum((grey * BINS).astype(np.int64), BINS - 1)
    histogram = np.stack([np.bincount(row, minlength=BINS) for row in places]) / grey.shape[1]
    colour = (pixels.max(axis=3).astype(np.float64) - pixels.min(axis=3)).mean(axis=(1, 2)) / 255
    quantiles = np.quantile(grey, QUANTILES, axis=1).T
    summary = standardised(np.column_stack([grey.mean(axis=1), grey.std(axis=1), quantiles, colour]))
    blocks = [block / np.sqrt(max(1, block.shape[1])) for block in (summary, standardised(histogram))]
    return np.hstack(blocks)
