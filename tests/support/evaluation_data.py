"""A run, and new images for it: other phantoms of the same kinds, with groups and further columns."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from pipeline_data import files_of, small_data, small_recipe, write_manifest

from featx.runs import FitResult, fit_head


class Place(NamedTuple):
    """A fitted run, the data it was fitted on, new data, and the cache of all.

    Attributes:
        manifest: The new images, with pairs in one group, and columns `ward` and `age`.
    """

    run: Path
    fit: FitResult
    data: Path
    new: Path
    manifest: Path
    cache: Path


def write_place(root: Path, model: Path) -> Place:
    """Fit a small run, and list new images."""
    data, new = small_data(root / "data", train=8, test=3), small_data(root / "new", train=5, test=3, seed=7)
    fit = fit_head(data, small_recipe(model, {"fit.epochs": 25}), out=root / "run", cache=root / "cache")
    images = [image for image in files_of(new) if image.parts[-3] == "train"]
    number = {image: place for place, image in enumerate(images)}
    columns = {
        "group": lambda image: f"new-{number[image] // 2}",
        "ward": lambda image: "north" if number[image] % 2 else "south",
        "age": lambda image: str(30 + number[image]),
    }
    manifest = write_manifest(root / "new.csv", new, images, columns)
    return Place(fit.run, fit, data, new, manifest, root / "cache")
