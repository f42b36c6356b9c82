"""The main job on generated radiographs: nothing is downloaded."""

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
# The report's sizes.
TRAIN = {"covid": 60, "normal": 70, "pneumonia_bac": 70, "pneumonia_vir": 70}
TEST = 9
# One view and few epochs keep it within three minutes on two cores.
VIEWS = 1
EPOCHS = 12
# Features of random weights have a large part in common to all images; at the recipe's 1e-3 the head's first steps
# along it silence the hidden layer for good.
RANDOM_WEIGHTS_RATE = 1e-4
# The part of the report that takes about a minute.
LEFT_OUT = ("comparison",)


@dataclass(frozen=True)
class Demo:
    """What the demonstration wrote.

    Attributes:
        data: The folder of generated radiographs.
        fit: What the fit found.
        map: The map of its training images.
        report: The page about the run.
    """

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
    """Generate radiograph phantoms, fit covid4-vgg16 on them, draw a map, and write a report.

    Args:
        out: Folder for data, run, map and report.
        cache: The store's folder; `cache` within `out` if not given.
        weights: ImageNet's if they are on this machine, else random ones, with a lower learning rate.
        epochs: Of the fit.
        seed: Of the phantoms, the split and the fit.
        progress: Told how far the work is.

    Raises:
        FeatxError: What `fit_head` raises.
    """
    out = Path(out)
    cache = Path(cache) if cache is not None else out / "cache"
    data = write_phantoms(out / "data", train=TRAIN, test=TEST, seed=seed)
    weights = weights or _weights_at_hand()
    changes = {
        "backbone.weights": weights,
        "views.count": VIEWS,
        "fit.epochs": epochs,
        "fit.seed": seed,
        "fit.learning_rate": RANDOM_WEIGHTS_RATE if weights.startswith("random") else None,
    }
    fit = fit_head(data, load_recipe(RECIPE, changes), out / "run", cache=cache)
    drawn = visualize(out / "run", out=out / "map", cache=cache, seed=seed)
    page = report(out / "run", out=out / REPORT, without=LEFT_OUT, cache=cache, seed=seed)
    return Demo(data, fit, drawn, page)


def _weights_at_hand() -> str:
    return "random" if find_imagenet(find_backbone("vgg16")) is None else "imagenet"
