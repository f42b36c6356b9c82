"""The report of 2020, done again stage by stage, resuming where it stopped."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from featx.clustering import clusters
from featx.digests import digest_of
from featx.errors import UsageError
from featx.files import check_folder, write_text
from featx.machine import this_machine
from featx.maps import visualize
from featx.progress import Progress, report_progress, reports_progress
from featx.recipes import Recipe, ViewsPart, dump_recipe
from featx.reports import Told, render
from featx.reproduction.data import CLASSES
from featx.reproduction.fits import fitted, validation_scores
from featx.reproduction.found import THEN, TODAY, Found
from featx.reproduction.judging import verdicts
from featx.reproduction.page import write_page
from featx.reproduction.plan import ASRUN, BARE, BARE_ASRUN, VGG16, Fit, Plan, plan_of
from featx.reproduction.reported import read_reported
from featx.reproduction.stages import KIND, Stages
from featx.reproduction.tables import judged_json, remove_stale, write_tables
from featx.reproduction.verdicts import Judged, tally
from featx.reproduction.yardstick import Yardstick, time_report_way
from featx.stats import Score
from featx.store import load_document, save_document
from featx.sweeps import Sweep, sweep

RUNS, SWEEP, MAPS, VALIDATION, YARDSTICK = "runs", "batch-sizes", "maps", "validation", "yardstick"
PAGE, SETTLED = "page", "settled"
# What is described against what was run, and what differs from it in one choice or two.
SETTINGS = (VGG16, ASRUN, BARE, BARE_ASRUN)
PERMUTATIONS, QUICK_PERMUTATIONS = 199, 49


@dataclass(frozen=True)
class Reproduction:
    """A reproduction that was written.

    Attributes:
        out: Its folder.
        table: Each figure of the report beside ours, with the verdict.
        failed: Stages that failed, and why.
        failures: The same as a sentence; "" where none failed.
        seconds: Wall time by stage, over all calls.
        files: The page, the tables and the figures.
    """

    out: Path
    table: tuple[Judged, ...]
    failed: dict[str, str]
    failures: str
    seconds: dict[str, float]
    files: tuple[Path, ...]

    @property
    def tally(self) -> str:
        """How many figures are reproduced, not reproduced and not comparable, in words."""
        return tally(self.table)

    def to_json(self) -> dict[str, Any]:
        """Return the JSON of `featx reproduce`."""
        return {
            "files": [str(path) for path in self.files],
            "table": [judged_json(judged) for judged in self.table],
            "failed": self.failed,
            "seconds": {name: round(value, 1) for name, value in self.seconds.items()},
        }


@reports_progress
def reproduce(
    root: str | Path,
    out: str | Path,
    *,
    quick: bool = False,
    backbones: Sequence[str] = (),
    weights: Mapping[str, str] | None = None,
    recipes: Mapping[str, Recipe | str] | None = None,
    seeds: int | None = None,
    seed: int = 0,
    yardstick: int = 0,
    cache: str | Path = "cache",
    jobs: int = 1,
    progress: Progress | None = None,
) -> Reproduction:
    """Do the report of 2020 again and set what comes of it beside what it states.

    A stage that is done is not done again: a fit if its recipe, data and weights are the same. A stage that fails is
    told in the page, and the others are done all the same.

    Args:
        root: Holds `two` and `all`, each with `train/<class>` and `test/<class>`.
        out: Folder for everything: absent, empty, or an earlier reproduction's.
        quick: Few epochs, views, seeds and batch sizes; its numbers are not the report's.
        backbones: Further ones for the comparison of models, names or `.keras` files.
        weights: Where a backbone's weights are, by its name, if not ImageNet's.
        recipes: Recipes in place of those that come with featx, by the name of those.
        seeds: Fits for each batch size; 3 if not given, 2 if quick.
        seed: Of the first fit, and of maps and permutations.
        yardstick: Steps of the report's own way that are timed here; 0 for none.
        cache: The store's folder.
        jobs: Fits at once in the sweep over batch sizes.
        progress: Told how far the work is.

    Raises:
        UsageError: An argument is not valid, or the folder has a reproduction with other recipes, another seed or
            other haste.
        DataError: The root does not hold what is needed.
        RunError: The folder holds other things.
        StoreError: The folder cannot be written.
    """
    root, out, cache = Path(root), Path(out), Path(cache)
    plan = plan_of(
        root,
        quick=quick,
        seeds=seeds,
        seed=seed,
        weights={name.lower(): source for name, source in (weights or {}).items()},
        backbones=backbones,
        recipes=recipes or {},
        steps=yardstick,
    )
    _check_out(out, root)
    _check_settled(out, plan)
    work = _Work(plan, out, cache, jobs)
    return work.written(work.done())


class _Work:
    """The stages, in their order."""

    def __init__(self, plan: Plan, out: Path, cache: Path, jobs: int) -> None:
        self.plan, self.out, self.cache, self.jobs = plan, out, cache, jobs
        # Each fit with its maps and clusters, the sweep, the validation images, the yardstick and the page.
        self.stages = Stages(out, len(plan.fits) + 5 + bool(plan.steps))
        self.found = Found(plan, out, self.stages, this_machine())

    def done(self) -> Found:
        """Do all stages."""
        plan, found, stages = self.plan, self.found, self.stages
        for fit in plan.fits:
            told = stages.run(fit.name, f"Fit: {found.title(fit.name)}", lambda fit=fit: self._fit(fit))  # type: ignore[misc]
            if told is not None:
                found.runs[fit.name] = told
        stages.run("maps", "Maps of training images", self._maps)
        stages.run("clusters", "Separation of classes", self._clusters, anew=True)
        found.sweep = stages.run(SWEEP, "Batch sizes", self._sweep)
        stages.run(VALIDATION, "Validation images and their views", self._validation)
        if plan.steps:
            found.yardstick = stages.run(YARDSTICK, "The report's way, a few steps", self._yardstick)
        return found

    def written(self, found: Found) -> Reproduction:
        """Write tables, figures and the page."""
        reported = read_reported()
        table = verdicts(found, reported)
        files: list[Path] = []

        def write() -> None:
            page, figures = write_page(found, reported, table)
            files.append(write_text(self.out / "report.html", render(page)))
            files.extend([*write_tables(found, reported, table), *figures])

        self.stages.run(PAGE, "Tables, figures and the page", write, anew=True)
        report_progress("stages", self.stages.total, self.stages.total)
        if files:
            remove_stale(self.out, files)
        stages = self.stages
        return Reproduction(self.out, table, stages.failed, stages.sentence(), stages.seconds, tuple(files))

    def _fit(self, fit: Fit) -> Any:
        return fitted(fit, self.out / RUNS / fit.name, self.cache)

    def _maps(self) -> None:
        for name, told in self._main():
            with self.stages.part(f"maps/{name}", f"Maps of {told.name}"):
                for setting in (THEN, TODAY):
                    self.found.maps[name, setting] = visualize(
                        told.run.path,
                        setting="2020" if setting == THEN else None,
                        out=self.out / MAPS / name,
                        formats=(),
                        seed=self.plan.seed,
                        cache=self.cache,
                    )

    def _clusters(self) -> None:
        for name, told in self._main():
            with self.stages.part(f"clusters/{name}", f"Separation of classes, {told.name}"):
                self.found.clusters[name] = clusters(
                    told.run.path,
                    permutations=QUICK_PERMUTATIONS if self.plan.quick else PERMUTATIONS,
                    seed=self.plan.seed,
                    cache=self.cache,
                )

    def _main(self) -> Iterator[tuple[str, Told]]:
        yield from ((name, self.found.runs[name]) for name in self.found.main() if name in self.found.runs)

    def _sweep(self) -> Sweep:
        return sweep(
            self.plan.root / "all",
            self.plan.sweep,
            {"fit.batch_size": self.plan.batch_sizes},
            self.out / SWEEP,
            seeds=self.plan.seeds,
            cache=self.cache,
            jobs=self.jobs,
        )

    def _validation(self) -> None:
        views = self.plan.fit(VGG16).recipe.views
        ours = [fit for fit in self.plan.fits if fit.name in SETTINGS and fit.name in self.found.runs]
        # Views of other pixels are there only where a fit has asked for them.
        there = {fit.recipe.preprocess.mode for fit in ours if fit.recipe.views.count == views.count > 1}
        for fit in ours:
            if fit.recipe.preprocess.mode in there:
                with self.stages.part(f"{VALIDATION}/{fit.name}", f"Validation images of {fit.title}"):
                    self._validate(fit, views)

    def _validate(self, fit: Fit, views: ViewsPart) -> None:
        told = self.found.runs[fit.name]
        own = told.run.manifest
        parts = (own["head"]["sha256"], own["features"]["feature_set"], own["data"]["sha256"])
        key = digest_of([*parts, views.model_dump(mode="json")])
        known = load_document(self.out, VALIDATION, key)
        if known is None:
            pair = validation_scores(told, fit.data, views, self.cache)
            known = {part: vars(score) for part, score in zip(("plain", "views"), pair, strict=True)}
            save_document(self.out, VALIDATION, key, known)
        self.found.validation[fit.name] = (Score(**known["plain"]), Score(**known["views"]))

    def _yardstick(self) -> Yardstick:
        fit = self.plan.fit(VGG16)
        epochs = self.plan.epochs[VGG16]
        machine = self.found.machine
        images = {f"{split}/{name}": n for (split, name), n in self.plan.data[fit.data.name].counts.items()}
        settings = {name: value for name, value in machine.settings.items() if not name.startswith("FEATX_")}
        here = [machine.system, machine.processor, machine.cpus, settings]
        key = digest_of([dump_recipe(fit.recipe), self.plan.steps, epochs, images, here])
        known = load_document(self.out, YARDSTICK, key)
        if known is None:
            timed = time_report_way(fit.data, fit.recipe, self.plan.steps, epochs, self.cache)
            known = vars(timed)
            save_document(self.out, YARDSTICK, key, known)
        return Yardstick(**known)


def _check_out(out: Path, root: Path) -> None:
    if any(out.resolve().is_relative_to((root / name).resolve()) for name in CLASSES):
        raise UsageError(f"Expected a folder outside {root}'s two and all, received {out}; choose another --out.")
    check_folder(out, "reproduction", (RUNS, KIND))


def _check_settled(out: Path, plan: Plan) -> None:
    """Check that a reproduction that goes on is the same one, or hours of it would be fitted over."""
    known = load_document(out, KIND, SETTLED)
    if known is None:
        save_document(out, KIND, SETTLED, plan.settled())
    elif known != plan.settled():
        raise UsageError(
            f"Expected the recipes, --quick and --seed that the reproduction in {out} was begun with, received "
            "others; choose another --out (features are kept in the cache), or remove that folder."
        )
