"""How fast this machine is at what featx does, in one run: networks, then heads."""

from __future__ import annotations

import os
import platform
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from featx.bench.head_speed import HeadSpeed, head_speeds
from featx.bench.network_speed import NetworkSpeed, network_speeds
from featx.networks import Weights, find_weights, is_model_file, network_facts
from featx.progress import report_progress
from featx.recipes import Recipe, load_recipe
from featx.store import Store

CLASSES = 4


@dataclass(frozen=True)
class Benchmark:
    """What `bench` measured.

    Attributes:
        machine: The processor, as the system names it.
        cpus: Number of its cores, as the system counts them.
        recipe: Name of the recipe.
        batch_size: Rows a step of the head's fit.
        networks: An entry an engine that runs the recipe's network.
        heads: An entry an engine that fits the recipe's head, and the floor.
    """

    machine: str
    cpus: int
    recipe: str
    batch_size: int
    networks: tuple[NetworkSpeed, ...]
    heads: tuple[HeadSpeed, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the JSON of `featx bench`."""
        return {
            **{name: getattr(self, name) for name in ("machine", "cpus", "recipe", "batch_size")},
            "networks": [row.to_json() for row in self.networks],
            "heads": [row.to_json() for row in self.heads],
        }


def bench(recipe: Recipe | str = "covid4-vgg16", *, images: int = 32, rounds: int = 5) -> Benchmark:
    """Measure the engines on a recipe's network and head, on generated images and rows.

    Nothing is kept: the cache is a temporary one.

    Args:
        recipe: A recipe, its name or the path of its file. A backbone of the table gets random weights, which are
            as fast as its own.
        images: Images a round.
        rounds: How often the engines take turns; medians over them are given.

    Raises:
        RecipeError: The head has a layer that the engine `fused` does not know.
        WeightsError: The backbone is a model file that cannot be read.
    """
    recipe = load_recipe(recipe) if isinstance(recipe, str) else recipe
    name = recipe.backbone.name
    weights = find_weights(name) if is_model_file(name) else Weights("random", None, "random", seed=0)
    with tempfile.TemporaryDirectory(prefix="featx-bench-") as folder:
        store = Store(Path(folder))
        networks = network_speeds(recipe, weights, store, images, rounds)
        report_progress("measuring", 1, 2)
        width = network_facts(recipe, weights, store).width
    heads = head_speeds(recipe, width, 2 if recipe.head.output == "sigmoid" else CLASSES, rounds)
    report_progress("measuring", 2, 2)
    return Benchmark(
        machine=_processor(),
        cpus=os.cpu_count() or 1,
        recipe=recipe.name,
        batch_size=recipe.fit.batch_size,
        networks=tuple(networks),
        heads=tuple(heads),
    )


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        lines = []
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.processor() or platform.machine()
