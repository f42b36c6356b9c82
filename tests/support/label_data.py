"""Images with several labels for tests: drawn rows without a network, and a manifest of phantoms."""

from __future__ import annotations

import csv
import hashlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pipeline_data import files_of, small_data

from featx.features import FeatureTable
from featx.runs import Source

LABELS = ("common", "half", "rare")
# Of the phantoms of a class; "odd" is there in every second image.
OF_CLASS = {"covid": ("opacity", "viral"), "normal": (), "pneumonia_bac": ("opacity",), "pneumonia_vir": ("viral",)}


def drawn_targets(n: int, width: int, seed: int = 0) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Rows, and three labels of which each depends on a column of its own; a seventh is unknown in the second."""
    generator = np.random.default_rng(seed)
    X = generator.normal(size=(n, width)).astype(np.float32)
    Y = (2 * X[:, :3] + generator.normal(size=(n, 3)) > [-1.0, 0.0, 1.5]).astype(np.float32)
    Y[::7, 1] = np.nan
    return X, Y


def label_source(train: int = 120, test: int = 60, width: int = 12, groups: int | None = None) -> Source:
    """A source of drawn rows; with groups, every so many images are of one patient."""
    n = train + test
    X, Y = drawn_targets(n, width)
    digests = tuple(hashlib.sha256(str(i).encode()).hexdigest() for i in range(n))
    patients = tuple(None if groups is None else f"patient {i // groups}" for i in range(n))
    table = FeatureTable(
        X,
        ids=tuple(f"{i}.png" for i in range(n)),
        labels=(None,) * n,
        splits=("train",) * train + ("test",) * test,
        groups=patients,
        digests=digests,
        views=(0,) * n,
        targets=Y,
        label_names=LABELS,
    )
    return Source("drawn", "backbone", "0" * 32, table, tuple(Path(f"{i}.png") for i in range(n)))


def label_manifest(root: Path, *, train: int = 6, test: int = 3) -> Path:
    """Phantoms in `root/data`, listed with columns for `odd`, `opacity` and `viral`; the first `odd` is unknown."""
    data = small_data(root / "data", train=train, test=test)
    path = root / "labels.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "split", "label:odd", "label:opacity", "label:viral"])
        for number, image in enumerate(files_of(data)):
            split, name, _ = image.relative_to(data).parts
            own = [int(label in OF_CLASS[name]) for label in ("opacity", "viral")]
            writer.writerow([image.relative_to(root), split, "" if number == 0 else number % 2, *own])
    return path
