"""Sources whose rows are in known clusters, with a small picture for each image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from blobs import blobs
from numpy.typing import NDArray
from PIL import Image
from pipeline_data import digest

from featx.features import FeatureTable
from featx.runs import Source


def blob_source(
    folder: Path,
    sizes: tuple[int, ...],
    *,
    apart: float = 6.0,
    labels: Sequence[str | None] | None = None,
    extra: Mapping[str, Sequence[Any]] | None = None,
    targets: NDArray[np.float32] | None = None,
    label_names: tuple[str, ...] = (),
) -> tuple[Source, NDArray[np.int64]]:
    """A source of images without labels, if none are given, and the number of the cluster of each."""
    X, numbers = blobs(sizes, apart=apart)
    folder.mkdir(exist_ok=True)
    files = []
    for i, number in enumerate(numbers):
        pixels = np.full((8, 8, 3), (40 + 20 * number, i % 256, i // 256), np.uint8)
        files.append(folder / f"{i:03d}.png")
        Image.fromarray(pixels).save(files[-1])
    n = len(files)
    table = FeatureTable(
        X,
        ids=tuple(path.name for path in files),
        labels=tuple(labels or (None,) * n),
        splits=("train",) * n,
        groups=(None,) * n,
        digests=tuple(map(digest, files)),
        views=(0,) * n,
        extra={name: tuple(values) for name, values in (extra or {}).items()},
        targets=targets,
        label_names=label_names,
    )
    return Source("photos", "backbone", "0" * 32, table, tuple(files)), numbers
