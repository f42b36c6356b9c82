"""A run and its cache, written by hand: features of drawn classes, so that no network is needed."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from run_files import manifest_of

from featx import files
from featx.recipes import dump_recipe, load_recipe
from featx.runs import folder as runs
from featx.store import RowKey, Store

TRAIN, TEST = 60, 30


def split_names(train: int = TRAIN, test: int = TEST) -> list[str]:
    """Names of splits, every fifth training image for validation."""
    return ["val" if i % 5 == 0 else "train" for i in range(train)] + ["test"] * test


def drawn(
    n: int, width: int, classes: int = 2, distance: float = 1.5, seed: int = 0
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Rows of classes whose means lie apart in the first columns."""
    generator = np.random.default_rng(seed)
    y = np.arange(n) % classes
    X = generator.normal(size=(n, width))
    X[np.arange(n), y] += distance
    return X.astype(np.float32), y


def write_run(
    root: Path,
    X: NDArray[np.float32],
    y: Sequence[int],
    splits: Sequence[str],
    groups: Sequence[str] | None = None,
    head: NDArray[np.float64] | None = None,
) -> Path:
    """Write `root/cache` and `root/run`, whose head gave these probabilities."""
    digests = [hashlib.sha256(str(i).encode()).hexdigest() for i in range(len(X))]
    keys: list[RowKey] = [(digest, 0) for digest in digests]
    store = Store(root / "cache")
    spaces = {}
    for kind in ("backbone", "penultimate"):
        space = store.space({"kind": kind})
        with space.writer() as writer:
            writer.add(keys, X)
        spaces[kind] = space.id
    names = list("abc"[: max(y) + 1])
    run = root / "run"
    manifest = manifest_of(names, root=str(root), backbone=spaces["backbone"], penultimate=spaces["penultimate"])
    files.write_text(run / runs.RECIPE, dump_recipe(load_recipe("covid2-vgg16")))
    files.write_json(run / runs.MANIFEST, manifest)
    shares = np.full((len(X), len(names)), 1 / len(names)) if head is None else head
    roles = {"train": "fit", "val": "validation", "test": "test"}
    header = ["path", "split", "role", "label", "predicted", *(f"p_{name}" for name in names), "sha256", "group"]
    rows = [
        [f"{i}.png", split, roles[split], names[label], "a", *shares[i], digests[i], groups[i] if groups else ""]
        for i, (split, label) in enumerate(zip(splits, y, strict=True))
    ]
    files.write_csv(run / runs.PREDICTIONS, header, rows)
    return run
