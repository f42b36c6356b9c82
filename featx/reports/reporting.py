"""The verb `report`: one page on one or several runs."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import featx
from featx import files
from featx.errors import FeatxError, UsageError
from featx.maps import resources
from featx.progress import Progress, reports_progress
from featx.reports.blocks import Note, Page, Section, Tiles
from featx.reports.classifiers import classifiers_section
from featx.reports.clusters import clusters_section
from featx.reports.data import data_section, limits_section
from featx.reports.maps import Atlases, maps_section
from featx.reports.model import (
    RANDOM_WEIGHTS,
    backbone_title,
    has_random_weights,
    model_section,
    provenance_section,
    weights_words,
)
from featx.reports.page import render
from featx.reports.results import curves_section, errors_section, results_section, score_of
from featx.reports.side_by_side import Coefficients, models_section
from featx.reports.told import Told
from featx.runs import REPORT, read_run
from featx.text import count, duration, fraction, images, percent, sentence_of, span


def title(told: Sequence[Told]) -> str:
    """Return the page's title."""
    if len(told) == 1:
        return f"{told[0].run.recipe.name}: {told[0].name}"
    return f"{len(told)} models side by side"


def headline(told: Sequence[Told]) -> tuple[str, ...]:
    """Return what was fitted on what, and the accuracy with its interval; of several runs a sentence each."""
    if len(told) == 1:
        return (_fitted(told[0]), _tested(told[0]))
    return tuple(f"{one.name}, on {backbone_title(one)}. {_tested(one)}" for one in told)


def _fitted(told: Told) -> str:
    classes = told.run.classes
    listed = ", ".join(classes) if len(classes) <= 8 else f"{', '.join(classes[:8])} and {len(classes) - 8} more"
    return (
        f"A head of {count(told.metrics['parameters']['trainable'])} parameters on {backbone_title(told)} "
        f"({weights_words(told)}), fitted on {images(score_of(told, 'train').n)} of {len(classes)} classes: {listed}."
    )


def _tested(told: Told) -> str:
    test, validation = score_of(told, "test"), score_of(told, "validation")
    if test.n:
        return f"Test: {sentence_of(test)}."
    if validation.n:
        return f"There is no test split. Validation: {sentence_of(validation)}."
    return "No image was tested or held out."


def tiles(told: Told) -> Tiles:
    """Return a run's figures that are read first."""
    main = score_of(told, "test")
    word = "test accuracy"
    if not main.n:
        main, word = score_of(told, "validation"), "validation accuracy"
    found = []
    if main.n:
        note = f"{fraction(main.correct, main.n)} right, 95 % interval {span(main.interval)}"
        found.append((word, percent(main.accuracy), note))
    parameters = told.metrics["parameters"]
    found += [
        ("fitted parameters", count(parameters["trainable"]), f"of {count(parameters['total'])}"),
        ("images", count(len(told.images)), f"{len(told.run.classes)} classes"),
        ("fit", duration(told.metrics["seconds"]["fit"]), f"{count(len(told.history))} epochs"),
    ]
    return Tiles(tuple(found))


def notes(told: Sequence[Told]) -> tuple[Note, ...]:
    """Return what must be known before all else."""
    random = [one for one in told if has_random_weights(one)]
    if not random:
        return ()
    which = "" if len(told) == 1 else f"{', '.join(one.name for one in random)}: "
    return (Note(f"{which}{RANDOM_WEIGHTS}", loud=True),)


log = logging.getLogger("featx")

OPTIONAL = ("maps", "comparison", "clusters")


@dataclass(frozen=True)
class Report:
    """A report that was written.

    Attributes:
        file: The page.
        runs: What it is about.
        left_out: Sections that could not be made, `RUN: section` and why.
        bytes: Size of the page.
        seconds: Wall time.
    """

    file: Path
    runs: tuple[Path, ...]
    left_out: dict[str, str]
    bytes: int
    seconds: float

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
    progress: Progress | None = None,
) -> Report:
    """Write one self-contained HTML page about a run, or about several side by side.

    Args:
        run: Folders that `fit_head` wrote.
        out: The page; `report.html` in the run's folder if not given, which takes one run.
        without: Sections to leave out, of those that take time: `maps`, `comparison`, `clusters`.
        cache: The store's folder, with the runs' features in it; what needs features that are not there is left out,
            with a notice.
        seed: The same seed gives the same maps.
        progress: Told how far the work is.

    Raises:
        UsageError: There is no run, several and no `out`, or no such section.
        RunError: A folder is not a run, or a file of it is damaged.
        StoreError: The page cannot be written.
    """
    start = time.perf_counter()
    target = _target(run, out)
    unknown = sorted(set(without) - set(OPTIONAL))
    if unknown:
        raise UsageError(
            f"Expected sections among {', '.join(OPTIONAL)} to leave out, received {', '.join(unknown)}."
        )
    told = _read(run)
    maker = _Maker(told, Path(cache), frozenset(without), seed)
    text = render(maker.page())
    files.write_text(target, text)
    paths = tuple(one.run.path for one in told)
    return Report(target, paths, maker.left_out, target.stat().st_size, time.perf_counter() - start)


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


def _read(folders: Sequence[str | Path]) -> list[Told]:
    found = [read_run(folder) for folder in folders]
    names = _names([run.path for run in found])
    return [
        Told(run, f"run{number}-" if len(found) > 1 else "", name)
        for number, (run, name) in enumerate(zip(found, names, strict=True), 1)
    ]


def _names(paths: Sequence[Path]) -> list[str]:
    """The folders' names, or their paths where names are the same."""
    short = [path.resolve().name for path in paths]
    return short if len(set(short)) == len(short) else [str(path) for path in paths]


class _Maker:
    """Puts a page together; what could not be made is gathered in `left_out`."""

    def __init__(self, told: Sequence[Told], cache: Path, without: frozenset[str], seed: int) -> None:
        self.told = told
        self.cache = cache
        self.without = without
        self.seed = seed
        self.left_out: dict[str, str] = {}
        self.atlases = Atlases()
        self.several = len(told) > 1
        self.same_data = self.several and len({one.run.manifest["data"]["sha256"] for one in told}) == 1

    def page(self) -> Page:
        """Return the page."""
        now = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
        sections = self._side_by_side() if self.several else self._alone()
        return Page(
            title=title(self.told),
            headline=headline(self.told),
            tiles=None if self.several else tiles(self.told[0]),
            notes=notes(self.told),
            sections=sections,
            footer=(
                f"Written {now} by featx {featx.__version__}. The page is one file and loads nothing from elsewhere.",
                "It holds small copies of images and the names of files: think before you pass it on.",
            ),
            resources=resources() if self.atlases.made else "",
        )

    def _alone(self) -> tuple[Section, ...]:
        sections, _ = self._run(self.told[0])
        return (*sections, limits_section(self.told[0]))

    def _side_by_side(self) -> tuple[Section, ...]:
        parts = [self._run(told) for told in self.told]
        separation = [] if "maps" in self.without else [found for _, found in parts]
        own = [
            Section(told.name, told.id("run"), (), sections)
            for told, (sections, _) in zip(self.told, parts, strict=True)
        ]
        common = [data_section(replace(self.told[0], prefix=""))] if self.same_data else []
        fewest = min(self.told, key=lambda told: score_of(told, "test").n)
        return (models_section(self.told, separation), *common, *own, limits_section(fewest, "limits"))

    def _run(self, told: Told) -> tuple[tuple[Section, ...], Coefficients]:
        found: Coefficients = {}
        sections = [
            results_section(told),
            errors_section(told),
            *self._optional(told, "maps", "Maps", lambda: self._maps(told, found)),
            *self._optional(
                told,
                "comparison",
                "Classifiers beside the head",
                lambda: classifiers_section(told, self.cache, seed=self.seed),
            ),
            *self._optional(
                told,
                "clusters",
                "Cluster quality",
                lambda: clusters_section(told, self.cache, seed=self.seed),
            ),
            *([] if self.same_data else [data_section(told)]),
            model_section(told),
            curves_section(told),
            provenance_section(told),
        ]
        return tuple(sections), found

    def _maps(self, told: Told, found: Coefficients) -> Section:
        """The maps; the silhouettes go into `found`."""
        # Of several runs each is a section itself, so that headings are one level deeper.
        heading = 4 if self.several else 3
        section, coefficients = maps_section(told, self.cache, self.atlases, seed=self.seed, heading=heading)
        found.update(coefficients)
        return section

    def _optional(self, told: Told, name: str, title: str, make: Callable[[], Section]) -> list[Section]:
        """A section that may be left out, or that says why it could not be made."""
        if name in self.without:
            return []
        try:
            return [make()]
        except FeatxError as error:
            log.warning("The report of %s has no %s: %s", told.name, name, error)
            self.left_out[f"{told.name}: {name}"] = str(error)
            return [Section(title, told.id(name), (Note(f"This part could not be made. {error}"),))]
