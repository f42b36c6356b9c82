"""What the files of a RUN folder hold, for tests that write one themselves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def manifest_of(
    classes: Sequence[str], *, root: str = "data", backbone: str = "b" * 32, penultimate: str | None = None
) -> dict[str, Any]:
    """The document `manifest.json`; `backbone` and `penultimate` are the ids of feature sets."""
    digest = "0" * 64
    return {
        "created": "2026-01-01T00:00:00+00:00",
        "classes": list(classes),
        "data": {"root": root, "sha256": digest, "counts": {"train": dict.fromkeys(classes, 1)}},
        "weights": {"backbone": "vgg16", "source": "random", "sha256": digest},
        "features": {"feature_set": backbone, "augmented_set": backbone, "dim": 5, "engine": "keras"},
        "head": {
            "sha256": digest,
            "penultimate": None if penultimate is None else {"layer": "dense_1", "feature_set": penultimate},
        },
        "versions": {"python": "3.11"},
        "device": {"machine": "x86_64", "devices": ["cpu:0"]},
        "seconds": {"extract": 1.0, "fit": 1.5},
    }
