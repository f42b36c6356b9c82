"""The demo: featx's main steps on generated radiographs; nothing is downloaded."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from featx.maps import Map, visualize
from featx.networks import find_backbone, find_imagenet
from featx.phantoms.phantoms import write_phantoms
from featx.progress import Progress, reports_progress
from featx.recipes import load_recipe
from featx.reports import Report, report
from featx.runs import REPORT, FitResult, fit_head

RECIPE = "covid4-vgg16"
# As many images as the report has.
TRAIN = {"covid": 60, "normal": 70, "pneumonia_bac": 70, "pneumonia_vir": 70}
TEST = 9
# With one view and few epochs it takes less than three minutes on two cores.
VIEWS = 1
EPOCHS = 12
# Features of a network with random weights are much alike for all images. With the recipe's learning rate of 1e-3 the
# head's first steps make all outputs of its hidden layer zero, and they stay so.
RANDOM_WEIGHTS_RATE = 1e-4


@dataclass(frozen=True)
class Demo:
    """What the demo wrote; `data` is the folder of generated radiographs."""

    data: Path
    fit: FitResult
    map: Map
    report: Report

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
    cache: str | Path | None = None,
    weights: str | None = None,
    epochs: int = EPOCHS,
    seed: int = 0,
    progress: Progress | None = None,
) -> Demo:
    """Generate phantoms (radiographs), train the head of covid4-vgg16 on them, draw a map, and write a report.

    Args:
        out: Folder for data, run, map and report.
        cache: The cache's folder; `cache` in `out` if not given.
        weights: As in recipes. If not given: ImageNet weights if they are on this machine, else random weights, with
            a lower learning rate.
        epochs: Number of epochs of training.
        seed: Seed of the phantoms, of the division into training and validation, and of the training.
        progress: Called with the stage, how much of it is done and how much there is.

    Raises:
        FeatxError: What `fit_head` raises.
    """
    out = Path(out)
    cache = Path(cache) if cache is not None else out / "cache"
    data = write_phantoms(out / "data", train=TRAIN, test=TEST, seed=seed)
    weights = weights or _weights_here()
    changes = {
        "backbone.weights": weights,
        "views.count": VIEWS,
        "fit.epochs": epochs,
        "fit.seed": seed,
        "fit.learning_rate": RANDOM_WEIGHTS_RATE if weights.startswith("random") else None,
    }
    fit = fit_head(data, load_recipe(RECIPE, changes), out / "run", cache=cache)
    drawn = visualize(out / "run", out=out / "map", cache=cache, seed=seed)
    # Comparing classifiers would take about a minute.
    page = report(out / "run", out=out / REPORT, without=["comparison"], cache=cache, seed=seed)
    return Demo(data, fit, drawn, page)


def _weights_here() -> str:
    return "random" if find_imagenet(find_backbone("vgg16")) is None else "imagenet"
