"""Write a trained head as a RUN folder."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass, fields
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx import plots
from featx.features import Extraction, Image, data_digest
from featx.files import write_csv, write_file, write_json, write_text
from featx.heads import Epoch, Head, Penultimate, class_indices
from featx.recipes import Recipe, dump_recipe
from featx.runs.folder import (
    CONFUSION,
    CURVES,
    EXTRA,
    HEAD,
    HISTORY,
    MANIFEST,
    METRICS,
    PREDICTIONS,
    RECIPE,
    withdraw,
)
from featx.stats import confusion_matrix, probabilities, score

PACKAGES = ("featx", "keras", "tensorflow", "numba", "numpy", "scikit-learn", "pillow", "pyarrow")


@dataclass(frozen=True)
class TrainedHead:
    """A trained head and its outputs.

    Attributes:
        images: By role: `fit`, `validation` and `test`.
        logits: By role, (images, outputs).
        classes: In the order of the head's output.
        head: The head.
        penultimate: Where its penultimate features are.
    """

    images: Mapping[str, Sequence[Image]]
    logits: Mapping[str, NDArray[np.float32]]
    classes: tuple[str, ...]
    head: Head
    penultimate: Penultimate | None


def write_run(
    out: Path,
    recipe: Recipe,
    trained: TrainedHead,
    extraction: Extraction,
    history: Sequence[Epoch],
    metrics: Mapping[str, Any],
) -> None:
    """Write the folder. The manifest is written last, so that a folder with a manifest is complete.

    Raises:
        StoreError: A file cannot be written; the folder is then no run, and can be written again.
    """
    withdraw(out)
    write_file(out / HEAD, trained.head.save)
    write_text(out / RECIPE, dump_recipe(recipe))
    write_json(out / METRICS, metrics)
    write_csv(out / HISTORY, [field.name for field in fields(Epoch)], map(astuple, history))
    _write_predictions(out / PREDICTIONS, trained)
    _write_curves(out / CURVES, history)
    _write_confusion(out / CONFUSION, trained)
    write_json(out / MANIFEST, _manifest(trained, extraction, metrics))


def data_facts(extraction: Extraction) -> dict[str, Any]:
    """Return a manifest's entry on the data: root, digest and counts."""
    return {
        "root": str(extraction.dataset.root),
        "sha256": data_digest(extraction.images),
        "counts": extraction.dataset.counts(),
    }


def versions(extraction: Extraction) -> dict[str, str]:
    """Return a manifest's entry on software: the versions of Python, featx and the libraries that compute."""
    packages = (*PACKAGES, "openvino") if extraction.engine == "openvino" else PACKAGES
    return {"python": platform.python_version(), **{name: version(name) for name in packages}}


def _write_predictions(path: Path, trained: TrainedHead) -> None:
    extra = sorted({name for images in trained.images.values() for image in images for name in image.item.extra})
    header = [
        *("path", "split", "role", "label", "predicted"),
        *(f"p_{name}" for name in trained.classes),
        *("sha256", "group"),
        *(f"{EXTRA}{name}" for name in extra),
    ]
    rows = []
    for role, images in trained.images.items():
        for image, p in zip(images, probabilities(trained.logits[role]), strict=True):
            item = image.item
            predicted = trained.classes[int(np.argmax(p))]
            further = (item.group, *(item.extra.get(name) for name in extra))
            cells = ["" if value is None else str(value) for value in further]
            rows.append([item.id, item.split, role, item.label, predicted, *map(_short, p), image.digest, *cells])
    write_csv(path, header, sorted(rows, key=lambda row: (row[2] == "test", row[0])))


def _short(probability: float) -> str:
    return f"{probability:.6g}"


def _write_curves(path: Path, history: Sequence[Epoch]) -> None:
    _, (left, right) = plots.new_figure(9, 3.6, columns=2)
    plots.draw_curve([e.accuracy for e in history], [e.val_accuracy for e in history], "accuracy", left)
    left.set_ylim(0, 1.02)
    plots.draw_curve([e.loss for e in history], [e.val_loss for e in history], "cross-entropy (nats)", right)
    right.set_ylim(bottom=0)
    write_file(path, lambda draft: plots.save(left, draft))


def _write_confusion(path: Path, trained: TrainedHead) -> None:
    role = "test" if trained.images["test"] else "validation" if trained.images["validation"] else "fit"
    labels = class_indices(trained.images[role], trained.classes)
    ones = np.ones((1, len(labels)))
    (counts,) = confusion_matrix(labels, probabilities(trained.logits[role]), ones).astype(np.int64)
    title = f"{role}\n{score(trained.logits[role], labels)}"
    axes = plots.draw_confusion(counts, trained.classes, title)
    write_file(path, lambda draft: plots.save(axes, draft))


def _manifest(trained: TrainedHead, extraction: Extraction, metrics: Mapping[str, Any]) -> dict[str, Any]:
    penultimate = trained.penultimate
    return {
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "classes": list(trained.classes),
        "data": data_facts(extraction),
        "weights": {
            "backbone": extraction.spec.backbone.name,
            "source": extraction.weights.source,
            "sha256": extraction.weights.digest,
        },
        "features": {
            "feature_set": extraction.space.plain.id,
            "augmented_set": extraction.space.augmented.id,
            "dim": extraction.dim,
            "engine": extraction.engine,
            "description": extraction.space.plain.description,
        },
        "head": {
            "sha256": trained.head.digest(),
            "penultimate": None
            if penultimate is None
            else {"layer": penultimate.layer, "feature_set": penultimate.spaces.plain.id},
        },
        "versions": versions(extraction),
        "device": {"machine": platform.machine(), "system": sys.platform, "cpus": os.cpu_count(), **_devices()},
        "seconds": metrics["seconds"],
    }


def _devices() -> dict[str, Any]:
    from featx.networks import load_keras

    return {"keras_backend": load_keras().backend.backend(), "devices": load_keras().distribution.list_devices()}
