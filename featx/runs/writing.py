"""What a fit found, as the files of a RUN folder."""

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
from featx.heads import Epoch, Head, Penultimate
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
from featx.stats import probabilities, score

PACKAGES = ("featx", "keras", "tensorflow", "numba", "numpy", "scikit-learn", "pillow", "pyarrow")


@dataclass(frozen=True)
class Outcome:
    """What the head made of the images.

    Attributes:
        images: By role: `fit`, `validation` and `test`.
        logits: By role, a row an image.
        classes: In the order of the head's output.
        head: Fitted.
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
    outcome: Outcome,
    extraction: Extraction,
    history: Sequence[Epoch],
    metrics: Mapping[str, Any],
) -> None:
    """Write the folder; the manifest comes last, so that a folder that has one is complete.

    Raises:
        StoreError: A file cannot be written; the folder then is no run, and may be written again.
    """
    withdraw(out)
    write_file(out / HEAD, outcome.head.save)
    write_text(out / RECIPE, dump_recipe(recipe))
    write_json(out / METRICS, metrics)
    write_csv(out / HISTORY, [field.name for field in fields(Epoch)], map(astuple, history))
    _write_predictions(out / PREDICTIONS, outcome)
    _write_curves(out / CURVES, history)
    _write_confusion(out / CONFUSION, outcome)
    write_json(out / MANIFEST, _manifest(outcome, extraction, metrics))


def data_facts(extraction: Extraction) -> dict[str, Any]:
    """Return what a manifest says of the data: root, digest and counts."""
    return {
        "root": str(extraction.dataset.root),
        "sha256": data_digest(extraction.images),
        "counts": extraction.dataset.counts(),
    }


def versions(extraction: Extraction) -> dict[str, str]:
    """Return what a manifest says of software: the versions of Python, featx and what it computes with."""
    packages = (*PACKAGES, "openvino") if extraction.engine == "openvino" else PACKAGES
    return {"python": platform.python_version(), **{name: version(name) for name in packages}}


def _write_predictions(path: Path, outcome: Outcome) -> None:
    extra = sorted({name for images in outcome.images.values() for image in images for name in image.item.extra})
    header = [
        *("path", "split", "role", "label", "predicted"),
        *(f"p_{name}" for name in outcome.classes),
        *("sha256", "group"),
        *(f"{EXTRA}{name}" for name in extra),
    ]
    rows = []
    for role, images in outcome.images.items():
        for image, p in zip(images, probabilities(outcome.logits[role]), strict=True):
            item = image.item
            predicted = outcome.classes[int(np.argmax(p))]
            further = (item.group, *(item.extra.get(name) for name in extra))
            told = ["" if value is None else str(value) for value in further]
            rows.append([item.id, item.split, role, item.label, predicted, *map(_short, p), image.digest, *told])
    write_csv(path, header, sorted(rows, key=lambda row: (row[2] == "test", row[0])))


def _short(probability: float) -> str:
    return f"{probability:.6g}"


def _write_curves(path: Path, history: Sequence[Epoch]) -> None:
    _, (left, right) = plots.new_figure(9, 3.6, columns=2)
    plots.curve([e.accuracy for e in history], [e.val_accuracy for e in history], "accuracy", left)
    left.set_ylim(0, 1.02)
    plots.curve([e.loss for e in history], [e.val_loss for e in history], "cross-entropy (nats)", right)
    right.set_ylim(bottom=0)
    write_file(path, lambda draft: plots.save(left, draft))


def _write_confusion(path: Path, outcome: Outcome) -> None:
    role = "test" if outcome.images["test"] else "validation" if outcome.images["validation"] else "fit"
    number = {name: index for index, name in enumerate(outcome.classes)}
    labels = np.array([number[str(image.item.label)] for image in outcome.images[role]], np.int64)
    predicted = probabilities(outcome.logits[role]).argmax(axis=1)
    counts = np.zeros((len(outcome.classes),) * 2, np.int64)
    np.add.at(counts, (labels, predicted), 1)
    title = f"{role}\n{score(outcome.logits[role], labels)}"
    axes = plots.confusion(counts, outcome.classes, title)
    write_file(path, lambda draft: plots.save(axes, draft))


def _manifest(outcome: Outcome, extraction: Extraction, metrics: Mapping[str, Any]) -> dict[str, Any]:
    penultimate = outcome.penultimate
    return {
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "classes": list(outcome.classes),
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
            "sha256": outcome.head.digest(),
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
