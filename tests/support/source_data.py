"""Sources for tests that need no network: the images of a folder with rows drawn from a seed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from pipeline_data import digest

from featx.data import read_data
from featx.features import FeatureTable
from featx.runs import Source


def source_of(data: Path, dim: int = 4, seed: int = 0) -> Source:
    """The images of a data folder in the order of their content, with normal rows."""
    items = sorted(read_data(data).items, key=lambda item: (digest(item.path), item.id))
    table = FeatureTable(
        np.random.default_rng(seed).normal(size=(len(items), dim)).astype(np.float32),
        ids=tuple(item.id for item in items),
        labels=tuple(item.label for item in items),
        splits=tuple(item.split for item in items),
        groups=tuple(item.group for item in items),
        digests=tuple(digest(item.path) for item in items),
        views=(0,) * len(items),
    )
    files = tuple(item.path for item in items)
    return Source(data.name, "backbone", "0" * 32, table, files)
