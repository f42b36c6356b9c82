"""The verb `report`: one page on one or several runs."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import featx
from featx import files
from featx.audits import audit_data, audit_sections, audit_source
from featx.errors import FeatxError, UsageError
from featx.frames import Shown
from featx.maps import resources
from featx.pages import Block, Note, Page, Section, render
from featx.progress import Progress, reports_progress
from featx.reports.classifiers import classifiers_blocks
from featx.reports.clusters import clusters_blocks
from featx.reports.data import data_section, limits_section
from featx.reports.maps import Atlases, maps_blocks
from featx.reports.model import (
    RANDOM_WEIGHTS,
    backbone_title,
    has_random_weights,
    model_section,
    provenance_section,
    weights_title,
)
from featx.reports.opened import OpenedRun, open_runs
from featx.reports.results import curves_section, errors_section, results_section, score_of
from featx.reports.side_by_side import Coefficients, models_section
from featx.runs import REPORT
from featx.stats import LabelScore
from featx.store import Store
from featx.text import accuracy_words, count, decimal, duration, images, interval_percent, percent, size

log = logging.getLogger("featx")

# Sections that take time and may be left out, with their headings.
OPTIONAL = {
    "audit": "Would it hold elsewhere?",
    "maps": "Maps",
    "comparison": "Other classifiers on the same features",
    "clusters": "Cluster quality",
}
# What a section shows: blocks, and parts of it.
Contents = tuple[tuple[Block, ...], tuple[Section, ...]]
# Classes that the headline names.
NAMED_CLASSES = 8


@dataclass(frozen=True, repr=False)
class Report(Shown):
    """A report that was written.

    Attributes:
        file: The page.
        runs: The folders of the runs that it is about.
        left_out: Sections that could not be made: `RUN: section` and the reason.
        bytes: Size of the page.
        seconds: Wall time.
    """

    file: Path
    runs: tuple[Path, ...]
    left_out: dict[str, str]
    bytes: int
    seconds: float

    def headline(self) -> str:
        """Return `run/report.html, 1.2 MB`."""
        return f"{self.file}, {size(self.bytes)}"

    def to_json(self) -> dict[str, Any]:
        """Return the JSON of `featx report`."""
        return {
            "file": str(self.file),
            "runs": [str(path) for path in self.runs],
            "left_out": self.left_out,
            "bytes": self.bytes,
            "seconds": round(self.seconds, 3),
        }


@reports_progress
def report(
    *run: str | Path,
    out: str | Path | None = None,
    without: Collection[str] = (),
    cache: str | Path = "cache",
    seed: int = 0,
    yes: bool = False,
    progress: Progress | None = None,
) -> Report:
    """Write one self-contained HTML page about a run, or about several side by side.

    Args:
        run: Folders that `fit_head` wrote.
        out: The page; if not given, `report.html` in the folder of the run, which must be a single one.
        without: Sections to leave out, of those that take time: `audit`, `maps`, `comparison`, `clusters`.
        cache: The store's folder with the runs' features. A section whose features are not there is replaced by a
            sentence that says so.
        seed: The same seed gives the same page.
        yes: Make also sections that are estimated to need more memory or time than there is.
        progress: Called with the stage, what is done, and how much there is.

    Returns:
        Where the page is, and which sections could not be made.

    Raises:
        UsageError: There is no run, there are several but no `out`, some with one label for each image and some with
            several, or there is no such section.
        RunError: A folder is not a run, or one of its files is damaged.
        StoreError: The page cannot be written.
    """
    start = time.perf_counter()
    run = tuple(folder for given in run for folder in files.several(given, "folders of runs"))
    target = _target(run, out)
    without = files.several(without, "names of sections")
    unknown = sorted(set(without) - set(OPTIONAL))
    if unknown:
        raise UsageError(
            f"Expected sections among {', '.join(OPTIONAL)} to leave out, received {', '.join(unknown)}."
        )
    opened = open_runs(run, Path(cache))
    _refuse_mixture(opened)
    builder = _PageBuilder(opened, frozenset(without), seed)
    files.write_text(target, render(builder.page()))
    paths = tuple(opened.run.path for opened in builder.runs)
    return Report(target, paths, builder.left_out, target.stat().st_size, time.perf_counter() - start)


def _target(run: Sequence[str | Path], out: str | Path | None) -> Path:
    if not run:
        raise UsageError("Expected the folder of a run, received none; name one that featx fit-head wrote.")
    if out is None and len(run) > 1:
        raise UsageError("Expected a file for the report of several runs, received none; name one with --out F.html.")
    path = Path(out) if out is not None else Path(run[0]) / REPORT
    if path.is_dir():
        raise UsageError(
            f"Expected a file for the report, received the folder {path}; name a file such as {path / REPORT}."
        )
    return path


def _refuse_mixture(runs: Sequence[OpenedRun]) -> None:
    """Refuse to set heads for one label beside heads for several: no score means the same for both."""
    several = [opened.name for opened in runs if opened.run.multilabel]
    if several and len(several) < len(runs):
        one = next(opened.name for opened in runs if not opened.run.multilabel)
        raise UsageError(
            f"Expected runs that all have one label for each image, or all several, received {several[0]} with "
            f"several and {one} with one, whose scores cannot be compared; make a report of each kind."
        )


@dataclass
class _PageBuilder:
    """Puts a page together; sections that could not be made are listed in `left_out` with the reason."""

    runs: Sequence[OpenedRun]
    without: frozenset[str]
    seed: int
    left_out: dict[str, str] = field(default_factory=dict)
    atlases: Atlases = field(default_factory=dict)
    silhouettes: dict[str, Coefficients] = field(default_factory=dict)
    alarms: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def page(self) -> Page:
        """Return the page."""
        alone = len(self.runs) == 1
        sections = self._alone() if alone else self._side_by_side()
        return Page(
            title=_title(self.runs),
            headline=_headline(self.runs),
            sections=sections,
            footer=(
                f"Written {datetime.now(UTC):%Y-%m-%d %H:%M} UTC by featx {featx.__version__}. This page is a single "
                "file and loads nothing from the internet.",
                "It contains small copies of images and file names. Check that you may share them before you pass it "
                "on.",
            ),
            notes=(*_notes(self.runs), *self._alarm_notes()),
            tiles=_tiles(self.runs[0]) if alone else (),
            resources=resources() if self.atlases else "",
        )

    def _alone(self) -> tuple[Section, ...]:
        return (*self._run(self.runs[0]), limits_section(self.runs[0]))

    def _side_by_side(self) -> tuple[Section, ...]:
        same_data = len({opened.run.manifest["data"]["sha256"] for opened in self.runs}) == 1
        own = [Section(opened.name, opened.id("run"), (), self._run(opened, same_data)) for opened in self.runs]
        separation = [self.silhouettes.get(opened.name, {}) for opened in self.runs]
        common = [data_section(self.runs[0], "data")] if same_data else []
        fewest = min(self.runs, key=lambda opened: score_of(opened, "test").n)
        comparison = models_section(self.runs, [] if "maps" in self.without else separation)
        return (comparison, *common, *own, limits_section(fewest, "limits"))

    def _run(self, opened: OpenedRun, shared_data: bool = False) -> tuple[Section, ...]:
        sections = (
            results_section(opened),
            errors_section(opened),
            *self._optional(opened, "audit", self._audit),
            *self._optional(opened, "maps", self._maps),
            *self._optional(opened, "comparison", lambda run: (classifiers_blocks(run, seed=self.seed), ())),
            *self._optional(opened, "clusters", lambda run: (clusters_blocks(run, seed=self.seed), ())),
            *([] if shared_data else [data_section(opened)]),
            model_section(opened),
            curves_section(opened),
            provenance_section(opened),
        )
        opened.release_rows()
        return sections

    def _audit(self, opened: OpenedRun) -> Contents:
        data = audit_data(opened.source("backbone"), Store(opened.cache), self.seed)
        result = audit_source(data)
        self.alarms[opened.name] = result.alarms
        return (), audit_sections(result, opened.prefix)

    def _alarm_notes(self) -> list[Note]:
        """Return what is read beside the accuracy: of each run how many alarms its audit raised, and the first."""
        notes = []
        for name, alarms in self.alarms.items():
            if alarms:
                many = "an alarm" if len(alarms) == 1 else f"{len(alarms)} alarms, the first of which is"
                notes.append(Note(f"The audit of {name} raised {many}: {alarms[0]}", loud=True))
        return notes

    def _maps(self, opened: OpenedRun) -> Contents:
        # With several runs, each is a section of its own, so headings are one level deeper.
        heading = 3 if len(self.runs) == 1 else 4
        blocks, self.silhouettes[opened.name] = maps_blocks(opened, self.atlases, seed=self.seed, heading=heading)
        return blocks, ()

    def _optional(self, opened: OpenedRun, name: str, make: Callable[[OpenedRun], Contents]) -> list[Section]:
        """Return a section that may be left out, or one that says why it could not be made."""
        if name in self.without:
            return []
        try:
            blocks, sections = make(opened)
        except FeatxError as error:
            log.warning("The report of %s has no %s: %s", opened.name, name, error)
            self.left_out[f"{opened.name}: {name}"] = str(error)
            blocks, sections = (Note(f"This part could not be made. {error}"),), ()
        return [Section(OPTIONAL[name], opened.id(name), blocks, sections)]


def _title(runs: Sequence[OpenedRun]) -> str:
    return f"{runs[0].run.recipe.name}: {runs[0].name}" if len(runs) == 1 else f"{len(runs)} models side by side"


def _headline(runs: Sequence[OpenedRun]) -> tuple[str, ...]:
    """Return what was trained on what, and the accuracy with its interval."""
    if len(runs) > 1:
        return tuple(f"{opened.name}, on {backbone_title(opened)}. {_accuracy(opened)}" for opened in runs)
    opened = runs[0]
    classes = opened.run.classes
    more = f" and {len(classes) - NAMED_CLASSES} more" if len(classes) > NAMED_CLASSES else ""
    listed = ", ".join(classes[:NAMED_CLASSES])
    model = (
        f"A head with {count(opened.run.metrics['parameters']['trainable'])} parameters on {backbone_title(opened)} "
        f"({weights_title(opened)}), trained on {images(score_of(opened, 'train').n)} "
        f"{'with' if opened.run.multilabel else 'of'} {_kinds(opened)}: {listed}{more}."
    )
    return model, _accuracy(opened)


def _kinds(opened: OpenedRun) -> str:
    """Return `4 classes`, `1 label`."""
    n = len(opened.run.classes)
    if opened.run.multilabel:
        return f"{count(n)} label{'s' * (n != 1)}"
    return f"{n} classes"


def _accuracy(opened: OpenedRun) -> str:
    test, validation = score_of(opened, "test"), score_of(opened, "validation")
    if opened.run.multilabel:
        return _areas(opened)
    if test.n:
        return f"Test accuracy: {accuracy_words(test)}."
    if validation.n:
        return f"There is no test split. Validation accuracy: {accuracy_words(validation)}."
    return "There are no test images and no validation images, so the accuracy is not known."


def _areas(opened: OpenedRun) -> str:
    """Return the sentences on the mean areas of several labels."""
    for part in ("test", "validation"):
        score = score_of(opened, part)
        if isinstance(score, LabelScore) and score.n:
            missing = "There is no test split. " if part == "validation" else ""
            right = f"Every known label is right in {count(score.correct)} of {images(score.n, part)}."
            return (
                f"{missing}Mean area under the ROC curve, {part} images: {decimal(score.auc)}; mean average "
                f"precision: {decimal(score.average_precision)}. {right}"
            )
    return "There are no test images and no validation images, so it is not known how good the head is."


def _tiles(opened: OpenedRun) -> tuple[tuple[str, str, str], ...]:
    """Return the figures that are read first."""
    tiles = []
    for part in ("test", "validation"):
        score = score_of(opened, part)
        if isinstance(score, LabelScore) and score.n:
            note = f"{_kinds(opened)}; mean average precision {decimal(score.average_precision)}"
            tiles.append((f"{part} mean AUC", decimal(score.auc), note))
            break
        if score.n:
            correct = f"{count(score.correct)} of {count(score.n)} correct"
            note = f"{correct}, 95 % interval {interval_percent(score.interval)}"
            tiles.append((f"{part} accuracy", percent(score.accuracy), note))
            break
    parameters = opened.run.metrics["parameters"]
    tiles += [
        ("trained parameters", count(parameters["trainable"]), f"of {count(parameters['total'])} in all"),
        ("images", count(len(opened.run.images)), _kinds(opened)),
        ("training time", duration(opened.run.metrics["seconds"]["fit"]), f"{count(len(opened.run.history))} epochs"),
    ]
    return tuple(tiles)


def _notes(runs: Sequence[OpenedRun]) -> tuple[Note, ...]:
    """Return what changes the meaning of all the rest."""
    names = [opened.name for opened in runs if has_random_weights(opened)]
    if not names:
        return ()
    which = "" if len(runs) == 1 else f"{', '.join(names)}: "
    return (Note(f"{which}{RANDOM_WEIGHTS}", loud=True),)
