"""The demo: featx's main steps on generated radiographs; nothing is downloaded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from featx.frames import Shown
from featx.heads import FitEngine
from featx.maps import Map, visualize
from featx.networks import find_backbone, find_imagenet
from featx.phantoms.phantoms import write_phantoms
from featx.progress import Progress, reports_progress
from featx.recipes import Recipe, is_network_path, load_recipe, override
from featx.reports import Report, report
from featx.runs import REPORT, FitResult, fit_head

RECIPE = "covid4-efficientnetlite0"
# Enough test images to tell 80 % from 65 %.
TRAIN = 50
TEST = 25
# One view and few epochs are enough for images that are all drawn alike.
VIEWS = 1
EPOCHS = 12
# The engine `fused` is compiled when it is first used, which takes longer than the few steps of this small head.
ENGINE: FitEngine = "keras"
# Features of a network with random weights are much alike for all images. With the recipe's learning rate of 1e-3 the
# head's first steps make all outputs of its hidden layer zero, and they stay so.
RANDOM_WEIGHTS_RATE = 1e-4


@dataclass(frozen=True, repr=False)
class Demo(Shown):
    """What the demo wrote; `data` is the folder of generated radiographs."""

    data: Path
    fit: FitResult
    map: Map
    report: Report

    def headline(self) -> str:
        """Return the headline of the fit."""
        return self.fit.headline()

    def overview(self) -> tuple[Sequence[str], Sequence[Sequence[str]]]:
        """Return the table of the fit."""
        return self.fit.overview()

    def to_json(self) -> dict[str, Any]:
        """Return the JSON of `fit-head`, with `data`, `map` and `report`."""
        return {
            **self.fit.to_json(),
            "data": str(self.data),
            "map": self.map.to_json(),
            "report": str(self.report.file),
        }


@reports_progress
def demo(
    out: str | Path = "featx-demo",
    *,
    recipe: Recipe | str | Path = RECIPE,
    cache: str | Path | None = None,
    weights: str | None = None,
    epochs: int = EPOCHS,
    seed: int = 0,
    progress: Progress | None = None,
) -> Demo:
    """Generate phantoms (radiographs), train the head of a recipe on them, draw a map, and write a report.

    Args:
        out: Folder for data, run and report; the map is in the run's folder.
        recipe: A recipe, its name or path. Images are not augmented, and `epochs` replaces the recipe's number.
        cache: The cache's folder; `cache` in `out` if not given.
        weights: As in recipes. If not given, those of the recipe; but random weights, with a lower learning rate, if
            the recipe has a network with ImageNet weights that are not on this machine.
        epochs: Number of epochs of training.
        seed: Seed of the phantoms, of the division into training and validation, and of the training.
        progress: Called with the stage, how much of it is done and how much there is.

    Raises:
        FeatxError: What `fit_head` raises.
    """
    out = Path(out)
    cache = Path(cache) if cache is not None else out / "cache"
    data = write_phantoms(out / "data", train=TRAIN, test=TEST, seed=seed)
    shortened = _shortened(recipe, weights, epochs, seed)
    fit = fit_head(
        data, shortened, out=out / "run", cache=cache, engine=ENGINE if shortened.name == RECIPE else "auto"
    )
    drawn = visualize(out / "run", cache=cache, seed=seed)
    # The report uses the stored map. Comparing classifiers would take about a minute.
    page = report(out / "run", out=out / REPORT, without=["comparison"], cache=cache, seed=seed)
    return Demo(data, fit, drawn, page)


def _shortened(recipe: Recipe | str | Path, weights: str | None, epochs: int, seed: int) -> Recipe:
    """Return a recipe for the demo: without augmented views, for few epochs, with weights that are here."""
    recipe = recipe if isinstance(recipe, Recipe) else load_recipe(recipe)
    weights = weights or _weights_here(recipe)
    changes = {
        "backbone.weights": weights,
        "views.count": VIEWS,
        "fit.epochs": epochs,
        "fit.seed": seed,
        "fit.learning_rate": RANDOM_WEIGHTS_RATE if weights.startswith("random") else None,
    }
    return override(recipe, changes)


def _weights_here(recipe: Recipe) -> str:
    """Return the recipe's weights, or `random` if these would have to be downloaded."""
    backbone = recipe.backbone
    if backbone.weights != "imagenet" or is_network_path(backbone.name):
        return backbone.weights
    return "random" if find_imagenet(find_backbone(backbone.name)) is None else "imagenet"
