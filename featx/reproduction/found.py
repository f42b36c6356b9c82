"""All that a reproduction found, before anything is said of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from featx.clustering import Clusters
from featx.machine import Machine
from featx.maps import Map
from featx.networks import is_random
from featx.reports import Told, has_random_weights
from featx.reproduction.plan import RESNET, TASK1, VGG16, Plan
from featx.reproduction.stages import Stages
from featx.reproduction.yardstick import Yardstick
from featx.stats import Score
from featx.sweeps import Sweep

# The two settings of t-SNE: as scikit-learn 0.22 had it, and today's.
THEN, TODAY = "2020", "today"


@dataclass
class Found:
    """What came of each stage; what is missing has failed.

    Attributes:
        plan: What was to be done.
        out: The reproduction's folder.
        stages: With time and failures.
        machine: Where it ran.
        runs: By the fit's name.
        maps: By the fit's name and the setting, of training images.
        clusters: By the fit's name.
        sweep: Of batch sizes.
        validation: By the fit's name, the score of the validation images and of their augmented views.
        yardstick: Of the report's way, where it was asked for.
    """

    plan: Plan
    out: Path
    stages: Stages
    machine: Machine
    runs: dict[str, Told] = field(default_factory=dict)
    maps: dict[tuple[str, str], Map] = field(default_factory=dict)
    clusters: dict[str, Clusters] = field(default_factory=dict)
    sweep: Sweep | None = None
    validation: dict[str, tuple[Score, Score]] = field(default_factory=dict)
    yardstick: Yardstick | None = None

    def random(self, name: str) -> bool:
        """Tell whether a fit's backbone has random weights."""
        if name in self.runs:
            return has_random_weights(self.runs[name])
        return is_random(self.plan.fit(name).recipe.backbone.weights)

    def title(self, name: str) -> str:
        """Return what people call a fit; random weights are part of it."""
        return self.plan.fit(name).title + (" (random weights)" if self.random(name) else "")

    def models(self) -> list[str]:
        """Return the fits of Task 2 that are there, a backbone each, VGG16 first."""
        return [name for name in self.main() if name in self.runs and name != TASK1]

    def main(self) -> Sequence[str]:
        """Return the names of the report's three fits and of further backbones."""
        return (TASK1, VGG16, RESNET, *self.plan.others)

    def apart(self, *names: str) -> str:
        """Return why numbers of these fits cannot be set beside the report's; "" where they can."""
        for name in names:
            if name in self.stages.failed:
                return f"{self.plan.fit(name).title} could not be fitted."
        other = next((reason for name in names if (reason := self.plan.other(name))), "")
        if other:
            return other
        random = [self.plan.fit(name).title for name in names if self.random(name)]
        if random:
            return f"Random weights: the backbone of {' and '.join(random)} was never trained."
        changed = [name for name in names if self.plan.fit(name).recipe.fit.epochs != self.plan.epochs[name]]
        if changed:
            fit = self.plan.fit(changed[0])
            return f"Quick: {fit.recipe.fit.epochs} epochs instead of {self.plan.epochs[changed[0]]}."
        return ""

    def apart_of_sweep(self) -> str:
        """Return why the accuracies of batch sizes cannot be set beside the report's; "" where they can."""
        if self.sweep is None:
            return "The batch sizes could not be tried."
        if self.plan.sweep.fit.epochs != self.plan.epochs[VGG16]:
            return f"Quick: {self.plan.sweep.fit.epochs} epochs instead of {self.plan.epochs[VGG16]}."
        return self.apart(VGG16)
