"""Write a trained head as a RUN folder."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Iterator, Mapping
from dataclasses import astuple, fields
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from featx import plots
from featx.features import Extraction, SpacePair, data_digest
from featx.files import write_csv, write_file, write_json, write_text
from featx.heads import Epoch, Head, HeadFit, best_epoch, label_array
from featx.networks import tensorflow_package
from featx.recipes import dump_recipe
from featx.runs.folder import (
    CELLS,
    CONFUSION,
    CURVES,
    EXTRA,
    HEAD,
    HISTORY,
    MANIFEST,
    METRICS,
    PREDICTIONS,
    RECIPE,
    SHARE,
    TARGET,
    withdraw,
)
from featx.stats import label_probabilities, probabilities

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PACKAGES = ("featx", "keras", "tensorflow", "numba", "numpy", "scikit-learn", "pillow", "pyarrow")


Logits = Mapping[str, NDArray[np.float32]]
"""The head's logits by role of the images (`fit`, `validation`, `test`), (images, outputs) each."""


def write_run(
    out: Path, fit: HeadFit, head: Head, logits: Logits, penultimate: SpacePair | None, metrics: Mapping[str, Any]
) -> None:
    """Write the folder: data, then the manifest, with which the run is complete, then pictures."""
    withdraw(out)
    plots.remove_files([out / CURVES, out / CONFUSION])
    write_file(out / HEAD, head.save)
    write_text(out / RECIPE, dump_recipe(fit.recipe))
    write_json(out / METRICS, metrics)
    write_csv(out / HISTORY, [field.name for field in fields(Epoch)], map(astuple, fit.history))
    _write_predictions(out / PREDICTIONS, fit, logits)
    write_json(out / MANIFEST, _manifest(fit.extraction, head, penultimate, metrics))
    plots.draw_files([out / CURVES], lambda: _curves(fit))
    plots.draw_files([out / CONFUSION], lambda: _confusion(out.resolve().name, fit, logits))


def data_facts(extraction: Extraction) -> dict[str, Any]:
    """Return a manifest's entry on the data: root, digest, counts, and how a test split was set aside, if one was."""
    test = extraction.dataset.test
    return {
        "root": str(extraction.dataset.root),
        "sha256": data_digest(extraction.images, extraction.dataset.classes),
        "counts": extraction.dataset.counts(),
        **({} if test is None else {"test": test.to_json()}),
    }


def versions(extraction: Extraction) -> dict[str, str]:
    """Return a manifest's entry on software: the versions of Python, featx and the libraries that compute."""
    packages = {name: name for name in (*PACKAGES, *(["openvino"] if extraction.engine == "openvino" else []))}
    packages["tensorflow"] = tensorflow_package()
    return {"python": platform.python_version(), **{name: version(package) for name, package in packages.items()}}


def _write_predictions(path: Path, fit: HeadFit, logits: Logits) -> None:
    classes, multilabel = fit.extraction.dataset.classes, fit.extraction.dataset.multilabel
    extra = sorted({name for image in fit.extraction.images for name in image.item.extra})
    header = [
        *("path", "split", "role"),
        *((f"{TARGET}{name}" for name in classes) if multilabel else ("label", "predicted")),
        *(f"{SHARE}{name}" for name in classes),
        *("sha256", "group"),
        *(f"{EXTRA}{name}" for name in extra),
    ]
    shares_of = label_probabilities if multilabel else probabilities
    shares = {role: shares_of(values) for role, values in logits.items()}
    images = [(role, place, image) for role, part in vars(fit.images).items() for place, image in enumerate(part)]

    def rows() -> Iterator[list[Any]]:
        # One by one, because all at once would be large: images times classes.
        for role, place, image in sorted(images, key=lambda one: (one[0] == "test", one[2].item.id)):
            item, p = image.item, shares[role][place]
            further = (item.extra.get(name) for name in extra)
            if item.targets is not None:
                own: list[str | None] = [CELLS.get(value, "") for value in item.targets]
            else:
                own = [item.label, classes[int(np.argmax(p))]]
            cells = [item.id, item.split, role, *own]
            yield [*cells, *(f"{value:.6g}" for value in p), image.digest, item.group, *further]

    write_csv(path, header, rows())


def _curves(fit: HeadFit) -> Axes:
    names = ("accuracy", "val_accuracy", "loss", "val_loss")
    accuracy, val_accuracy, loss, val_loss = ([getattr(epoch, name) for epoch in fit.history] for name in names)
    return plots.draw_training(
        *(accuracy, val_accuracy, loss, val_loss, best_epoch(val_loss)),
        dropout=fit.recipe.head.has_dropout,
        accuracy_label="images with all labels right" if fit.extraction.dataset.multilabel else "accuracy",
    )


def _confusion(name: str, fit: HeadFit, logits: Logits) -> Axes:
    dataset = fit.extraction.dataset
    role = "test" if fit.images.test else "validation" if fit.images.validation else "fit"
    labels = label_array(vars(fit.images)[role], dataset)
    words = f"{len(labels):,} {'training' if role == 'fit' else role} images"
    title = f"{name} ({fit.recipe.name}), {words}\n{fit.scores(logits)[role]}"
    if dataset.multilabel:
        # A confusion matrix is of classes that exclude one another.
        return plots.draw_label_metrics(fit.label_metrics(logits)[role], title)
    predicted = probabilities(logits[role]).argmax(axis=1)
    counts = plots.confusion_counts(labels.astype(np.int64, copy=False), predicted, len(dataset.classes))
    return plots.draw_confusion(counts, dataset.classes, title)


def _manifest(
    extraction: Extraction, head: Head, penultimate: SpacePair | None, metrics: Mapping[str, Any]
) -> dict[str, Any]:
    return {
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "classes": list(extraction.dataset.classes),
        **({"multilabel": True} if extraction.dataset.multilabel else {}),
        "data": data_facts(extraction),
        "weights": extraction.weights.to_json(extraction.spec.backbone.name),
        "features": {
            "feature_set": extraction.space.plain.id,
            "augmented_set": extraction.space.augmented.id,
            "dim": extraction.dim,
            "engine": extraction.engine,
            "description": extraction.space.plain.description,
        },
        "head": {
            "sha256": head.digest(),
            "penultimate": None
            if penultimate is None
            else {"layer": head.penultimate_layer, "feature_set": penultimate.plain.id},
        },
        "calibration": _temperature(metrics["calibration"]),
        "versions": versions(extraction),
        "device": {"machine": platform.machine(), "system": sys.platform, "cpus": os.cpu_count(), **_devices()},
        "seconds": metrics["seconds"],
    }


def _temperature(calibration: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Return what `predict` needs of a head's calibration."""
    return None if calibration is None else {name: part for name, part in calibration.items() if name != "test"}


def _devices() -> dict[str, Any]:
    from featx.networks import load_keras

    keras = load_keras()
    return {"keras_backend": keras.backend.backend(), "devices": keras.distribution.list_devices()}
