"""The outcome of a reproduction's stages, from which the verdicts, tables and page are made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from featx.clustering import Clusters
from featx.machine import Machine
from featx.maps import Map
from featx.networks import is_random
from featx.reports import OpenedRun, has_random_weights
from featx.reproduction.plan import RESNET, TASK1, VGG16, Plan
from featx.reproduction.stages import Stages
from featx.stats import Score
from featx.sweeps import Sweep

# The two settings of t-SNE: the defaults of scikit-learn 0.22, and today's.
THEN, TODAY = "2020", "today"


@dataclass
class ReproductionState:
    """The outcome of each stage; what is missing has failed.

    Attributes:
        plan: What the reproduction does.
        out: The reproduction's folder.
        stages: Times and failures of the stages.
        machine: The machine that it runs on.
        runs: Runs by the fit's name.
        maps: Maps of training images by the fit's name and the setting.
        clusters: Cluster quality by the fit's name.
        sweep: The sweep over batch sizes.
        validation: Scores of the validation images and of their augmented views, by the fit's name.
    """

    plan: Plan
    out: Path
    stages: Stages
    machine: Machine
    runs: dict[str, OpenedRun] = field(default_factory=dict)
    maps: dict[tuple[str, str], Map] = field(default_factory=dict)
    clusters: dict[str, Clusters] = field(default_factory=dict)
    sweep: Sweep | None = None
    validation: dict[str, tuple[Score, Score]] = field(default_factory=dict)

    def random(self, name: str) -> bool:
        """Tell whether a fit's backbone has random weights."""
        if name in self.runs:
            return has_random_weights(self.runs[name])
        return is_random(self.plan.fit(name).recipe.backbone.weights)

    def title(self, name: str) -> str:
        """Return the title of a fit, which says if its weights are random."""
        return self.plan.fit(name).title + (" (random weights)" if self.random(name) else "")

    def models(self) -> list[str]:
        """Return the names of the fits of Task 2 that did not fail, one for each backbone, VGG16 first."""
        return [name for name in self.main() if name in self.runs and name != TASK1]

    def main(self) -> Sequence[str]:
        """Return the names of the report's three fits and of the further backbones."""
        return (TASK1, VGG16, RESNET, *self.plan.others)

    def not_comparable(self, *names: str) -> str:
        """Return why numbers of these fits cannot be compared with the report's; "" if they can."""
        for name in names:
            if name in self.stages.failed:
                return f"{self.plan.fit(name).title} could not be fitted."
        deviation = next((reason for name in names if (reason := self.plan.deviation(name))), "")
        if deviation:
            return deviation
        random = [self.plan.fit(name).title for name in names if self.random(name)]
        if random:
            return f"Random weights: the backbone of {' and '.join(random)} was never trained."
        return next((reason for name in names if (reason := self._shortened(name))), "")

    def sweep_not_comparable(self) -> str:
        """Return why the accuracies of batch sizes cannot be compared with the report's; "" if they can."""
        if self.sweep is None:
            return "The batch sizes could not be tried."
        return self._fewer_epochs(self.plan.sweep.fit.epochs, VGG16) or self.not_comparable(VGG16)

    def _shortened(self, name: str) -> str:
        return self._fewer_epochs(self.plan.fit(name).recipe.fit.epochs, name)

    def _fewer_epochs(self, epochs: int, name: str) -> str:
        whole = self.plan.epochs[name]
        return "" if epochs == whole else f"Quick: {epochs} epochs instead of {whole}."
