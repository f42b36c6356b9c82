"""The stages of a reproduction, with their times and failures, and what they give."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from featx.clustering import Clusters, Quality
from featx.data import SURVEY
from featx.errors import FeatxError
from featx.features import STATISTICS
from featx.maps import Map
from featx.networks import is_random
from featx.progress import report_progress
from featx.reports import OpenedRun
from featx.reproduction.plan import RESNET, TASK1, VGG16, Plan
from featx.stats import Score, SeedSpread
from featx.store import load_document, save_document
from featx.sweeps import Sweep

log = logging.getLogger("featx")

# The folder of the stages' times, by which an earlier reproduction is recognised.
STAGES = "stages"
# The two settings of t-SNE: the defaults of scikit-learn 0.22, and today's.
THEN, TODAY = "2020", "today"
T = TypeVar("T")


class Stages:
    """Runs stages one after the other.

    Attributes:
        out: The reproduction's folder.
        total: Number of stages.
        seconds: Wall time by stage, earlier and interrupted calls included.
        failed: Reasons of failures by stage, or by part of a stage, which is named `stage/part`.
        titles: Titles by stage, and by part of a stage.
    """

    def __init__(self, out: Path, total: int) -> None:
        self.out = out
        self.total = total
        self.seconds: dict[str, float] = {}
        self.failed: dict[str, str] = {}
        self.titles: dict[str, str] = {}
        self._begun = 0

    def error(self, name: str) -> str:
        """Return why a stage or its parts failed; "" if nothing did."""
        return "; ".join(error for one, error in self.failed.items() if one == name or one.startswith(f"{name}/"))

    def failures(self) -> list[tuple[list[str], str]]:
        """Return each error once, with the stages that it ended."""
        by_error: dict[str, list[str]] = {}
        for name, error in self.failed.items():
            by_error.setdefault(error, []).append(name)
        return [(names, error) for error, names in by_error.items()]

    def sentence(self) -> str:
        """Return what failed, why, and what to do; "" if nothing did."""
        if not self.failed:
            return ""
        failures = "; ".join(f"{', '.join(names)}: {error}" for names, error in self.failures())
        return (
            f"{len(self.failed)} stage{'s' * (len(self.failed) != 1)} failed ({failures}); fix that and run the "
            "command again, which does only what is missing."
        )

    @contextmanager
    def part(self, name: str, title: str) -> Iterator[None]:
        """Do a part of a stage; if it fails, put its error into `failed` and go on with the other parts."""
        self.titles[name] = title
        try:
            yield
        except FeatxError as error:
            self.failed[name] = str(error)
            log.warning("%s failed: %s", title, error)

    def run(self, name: str, title: str, work: Callable[[], T], *, repeated: bool = False) -> T | None:
        """Do a stage; if it fails, return None and put its error into `failed`.

        A stage is `repeated` if every call does all of it; its time is then that of the last call.
        """
        self._begun += 1
        log.info("%d/%d %s", self._begun, self.total, title)
        report_progress("stages", self._begun - 1, self.total)
        kept = None if repeated else load_document(self.out, STAGES, name)
        if kept is not None and isinstance(kept.get("seconds"), (int, float)):
            self.seconds[name] = float(kept["seconds"])
        start = time.perf_counter()
        try:
            with self.part(name, title), _without_expected_notices():
                return work()
            return None
        finally:
            # Time is also kept of a stage that is interrupted.
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - start
            save_document(self.out, STAGES, name, {"seconds": round(self.seconds[name], 3)})


@contextmanager
def _without_expected_notices() -> Iterator[None]:
    """Hide two notices: what is in the data, which each stage reads again, and that statistics of cached rows differ.

    The statistics differ by design, because `two` and `all` share images.
    """

    def is_shown(record: logging.LogRecord) -> bool:
        return getattr(record, "subject", None) not in (STATISTICS, SURVEY)

    log.addFilter(is_shown)
    try:
        yield
    finally:
        log.removeFilter(is_shown)


@dataclass
class ReproductionState:
    """What the stages give, mostly by the fit's name; what is missing has failed."""

    plan: Plan
    stages: Stages
    runs: dict[str, OpenedRun] = field(default_factory=dict)
    # Maps of training images by the fit's name and the setting.
    maps: dict[tuple[str, str], Map] = field(default_factory=dict)
    clusters: dict[str, Clusters] = field(default_factory=dict)
    sweep: Sweep | None = None
    # Scores on augmented views of the validation images.
    augmented: dict[str, Score] = field(default_factory=dict)

    def weights(self, name: str) -> str:
        """Return the source of a fit's weights, such as `imagenet`, `random` or a file."""
        if name in self.runs:
            return str(self.runs[name].run.manifest["weights"]["source"])
        return self.plan.fit(name).recipe.backbone.weights

    def random(self, name: str) -> bool:
        """Tell whether a fit's backbone has random weights."""
        return is_random(self.weights(name))

    def title(self, name: str) -> str:
        """Return the title of a fit, which says if its weights are random."""
        return self.plan.fit(name).title + (" (random weights)" if self.random(name) else "")

    def main(self) -> Sequence[str]:
        """Return the names of the report's three fits and of the further backbones that did not fail."""
        return [name for name in (TASK1, VGG16, RESNET, *self.plan.others) if name in self.runs]

    def models(self) -> list[str]:
        """Return the names of the fits of Task 2 that did not fail, one for each backbone, VGG16 first."""
        return [name for name in self.main() if name != TASK1]

    def sizes(self) -> dict[int, SeedSpread]:
        """Return the spread over seeds by batch size, in the order tried; nothing if the sweep failed."""
        spreads = [] if self.sweep is None else self.sweep.spreads()
        return {int(values["fit.batch_size"]): spread for values, spread in spreads}

    def quality(self, name: str, layer: str = "penultimate") -> Quality | None:
        """Return the cluster quality of a fit's training images; None if it was not measured."""
        parts = self.clusters[name].parts if name in self.clusters else ()
        return next((part.quality for part in parts if (part.layer, part.split) == (layer, "train")), None)

    def not_comparable(self, *names: str) -> str:
        """Return why numbers of these fits cannot be compared with the report's; "" if they can."""
        random = [self.plan.fit(name).title for name in names if self.random(name)]
        reasons = [
            *(f"{self.plan.fit(name).title} could not be fitted." for name in names if name in self.stages.failed),
            *(self.plan.deviation(name) for name in names),
            f"Random weights: the backbone of {' and '.join(random)} was never trained." if random else "",
            *(self._fewer_epochs(self.plan.fit(name).recipe.fit.epochs, name) for name in names),
        ]
        return next(filter(None, reasons), "")

    def sweep_not_comparable(self) -> str:
        """Return why the accuracies of batch sizes cannot be compared with the report's; "" if they can."""
        if self.sweep is None:
            return "The batch sizes could not be tried."
        return self._fewer_epochs(self.plan.sweep.fit.epochs, VGG16) or self.not_comparable(VGG16)

    def _fewer_epochs(self, epochs: int, name: str) -> str:
        whole = self.plan.epochs[name]
        return "" if epochs == whole else f"Quick: {epochs} epochs instead of {whole}."
