"""Trial images, and the comparison of two engines' rows of them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

# The largest difference of a feature between two engines: a share of the row's largest, or this much. On radiographs
# the share is 2e-5; layers in half precision come to 4e-4.
TOLERANCE = 2e-3
SMALLEST = 1e-6


def trial_images(shape: tuple[int, int]) -> list[NDArray[np.uint8]]:
    """Return four images, (height, width, 3): noise, a ramp from black to white, another across, and soft spots."""
    height, width = shape
    noise = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    down = np.linspace(0, 255, height)[:, None, None]
    across = np.linspace(255, 0, width)[None, :, None]
    spots = 127.5 + 127.5 * np.sin(down / 20) * np.cos(across / 15 + np.arange(3))
    return [noise, *(np.broadcast_to(image, noise.shape).astype(np.uint8) for image in (down, across, spots))]


def same_rows(rows: NDArray[np.float32], expected: NDArray[np.float32]) -> bool:
    """Return whether rows, (n, width), differ from others by no more than the noise of engines."""
    # Values that are not finite differ.
    with np.errstate(invalid="ignore", over="ignore"):
        differences = np.abs(rows - expected).max(axis=1) - TOLERANCE * np.abs(expected).max(axis=1)
    return bool((differences <= SMALLEST).all())


def largest_difference(rows: NDArray[np.float32], expected: NDArray[np.float32]) -> float:
    """Return the largest difference of a feature as a share of the largest feature of its row, (n, width)."""
    largest = np.maximum(np.abs(expected).max(axis=1), SMALLEST)
    return float((np.abs(rows - expected).max(axis=1) / largest).max())
