"""Small data and a small recipe for tests of the pipeline, and the rows that must come of them."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from featx.features import Extraction
from featx.networks import load_keras
from featx.phantoms import write_phantoms
from featx.recipes import Recipe

SIZE = 32
VIEWS = {"rotation": 20.0, "shift": 0.1, "horizontal_flip": True}


def small_recipe(model: Path, changes: dict[str, Any] | None = None, **fields: Any) -> Recipe:
    """A recipe on a small model file: a head of one hidden layer, fitted for a few epochs."""
    document: dict[str, Any] = {
        "name": "small",
        "images": {"size": SIZE},
        "preprocess": {"mode": "rescale"},
        "backbone": {"name": str(model), "pooling": "none"},
        "head": {
            "layers": ({"type": "dropout", "rate": 0.1}, {"type": "dense", "units": 16, "activation": "relu"}),
            "penultimate": "dense_1",
        },
        "fit": {"epochs": 4, "batch_size": 8, "learning_rate": 3e-3, "validation": 0.25},
    }
    return Recipe.model_validate({**document, **fields}).replaced(changes or {})


def write_model(path: Path, *, seed: int = 0, size: int | None = SIZE) -> Path:
    """Save a seeded network of two convolutions, `conv_1` and `conv_2`; one without a size takes any."""
    keras = load_keras()
    x = inputs = keras.Input((size, size, 3))
    for number, (filters, stride) in enumerate([(8, 2), (6, 4)], 1):
        drawn = keras.initializers.HeNormal(seed=seed + number)
        layer = keras.layers.Conv2D(
            filters, 3, strides=stride, activation="relu", kernel_initializer=drawn, name=f"conv_{number}"
        )
        x = layer(x)
    keras.Model(inputs, x).save(path)
    return path


def small_data(root: Path, *, train: int = 4, test: int = 2, classes: int = 4, seed: int = 0, size: int = 40) -> Path:
    """Phantoms, larger than the network's input so that they are resized."""
    names = ("covid", "normal", "pneumonia_bac", "pneumonia_vir")[:classes]
    return write_phantoms(root, train=train, test=test, seed=seed, size=size, classes=names)


def write_manifest(
    path: Path, data: Path, images: Iterable[Path], columns: dict[str, Callable[[Path], str]] | None = None
) -> Path:
    """List images of `small_data`, with further columns."""
    columns = columns or {}
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "label", "split", *columns])
        for image in images:
            split, label, _ = image.relative_to(data).parts
            further = (column(image) for column in columns.values())
            writer.writerow([image.relative_to(path.parent), label, split, *further])
    return path


def files_of(data: Path) -> list[Path]:
    return sorted(path for path in data.rglob("*") if path.is_file())


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def resized(path: Path, size: int = SIZE) -> NDArray[np.uint8]:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB").resize((size, size), Image.Resampling.BILINEAR))


def expected_rows(model: Path, images: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
    """Features by Pillow, NumPy and plain Keras: pixels rescaled by 1/255, output flattened."""
    keras = load_keras()
    network = keras.models.load_model(model, compile=False)
    pixels = np.stack(images).astype(np.float32) / np.float32(255)
    output = keras.ops.convert_to_numpy(network(pixels, training=False))
    return np.asarray(output, np.float32).reshape(len(images), -1)


def read_table(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def rows_by_digest(extraction: Extraction) -> dict[str, NDArray[np.float32]]:
    table = extraction.table()
    return dict(zip(table.digests, table.X, strict=True))


def check_same_rows(extraction: Extraction, expected: Extraction) -> None:
    ours, theirs = rows_by_digest(extraction), rows_by_digest(expected)
    assert ours.keys() == theirs.keys()
    for key, row in ours.items():
        np.testing.assert_array_equal(row, theirs[key])
