"""Rows in known classes, for tests of cluster quality."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.float32]


def blobs(
    sizes: tuple[int, ...], columns: int = 6, apart: float = 1.0, seed: int = 0
) -> tuple[Rows, NDArray[np.int64]]:
    """Normal rows about random centres, and their classes, in mixed order."""
    generator = np.random.default_rng(seed)
    labels = generator.permutation(np.repeat(np.arange(len(sizes)), sizes))
    centres = apart * generator.normal(size=(len(sizes), columns))
    return (centres[labels] + generator.normal(size=(len(labels), columns))).astype(np.float32), labels
