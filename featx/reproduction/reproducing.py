"""The verb `reproduce`: the report of 2020 done again, stage by stage, continuing where it stopped."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from featx.clustering import measure_clusters
from featx.digests import digest_of
from featx.errors import UsageError
from featx.files import check_folder, write_text
from featx.machine import this_machine
from featx.maps import draw_map
from featx.progress import Progress, report_progress, reports_progress
from featx.recipes import Recipe, ViewsPart
from featx.reports import OpenedRun, render
from featx.reproduction.data import CLASSES
from featx.reproduction.fits import fitted, validation_scores
from featx.reproduction.measuring import judge_figures
from featx.reproduction.page import write_page
from featx.reproduction.plan import Plan, PlannedFit, plan_of
from featx.reproduction.reported import read_reported
from featx.reproduction.stages import KIND, Stages
from featx.reproduction.state import THEN, TODAY, ReproductionState
from featx.reproduction.tables import remove_stale, verdict_json, write_tables
from featx.reproduction.variants import VARIANTS
from featx.reproduction.verdicts import FigureVerdict, tally
from featx.stats import Score
from featx.store import load_document, save_document
from featx.sweeps import Sweep, sweep

RUNS, SWEEP, MAPS, VALIDATION = "runs", "batch-sizes", "maps", "validation"
# Where the choices are kept that a reproduction cannot change.
SETTLED = "settled"
PERMUTATIONS, QUICK_PERMUTATIONS = 199, 49


@dataclass(frozen=True)
class Reproduction:
    """The result of a reproduction.

    Attributes:
        out: The reproduction's folder.
        table: Each figure of the report with our value and the verdict.
        failed: Reasons of the stages that failed, by stage.
        failures: The same as a sentence; "" if none failed.
        seconds: Wall time by stage, over all calls.
        files: The page, the tables and the figures.
    """

    out: Path
    table: tuple[FigureVerdict, ...]
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
            "table": [verdict_json(row) for row in self.table],
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
    cache: str | Path = "cache",
    jobs: int = 1,
    progress: Progress | None = None,
) -> Reproduction:
    """Do the report of 2020 again, and compare every figure that it states with ours.

    A finished stage is not repeated: a fit is finished if its recipe, data and weights are the same. If a stage
    fails, the page says so and the other stages are done.

    Args:
        root: Folder with `two` and `all`, each with `train/<class>` and `test/<class>`.
        out: Folder for everything: absent, empty, or an earlier reproduction's.
        quick: Few epochs, views, seeds and batch sizes; accuracies are not compared with the report's.
        backbones: Further backbones for the comparison of models: names or `.keras` files.
        weights: Weights by backbone, where they are not ImageNet's.
        recipes: Recipes in place of the report's, by the names of those.
        seeds: Number of fits for each batch size; the default is 3, or 2 with `quick`.
        seed: Seed of the first fit, of maps and of permutations.
        cache: The store's folder.
        jobs: Most fits at once for the batch sizes.
        progress: Called with what is being done, how much of it is done and how much there is.

    Returns:
        The verdicts and the written files.

    Raises:
        UsageError: An argument is not valid, or the folder has a reproduction with other recipes, another seed or
            another `quick`.
        DataError: A folder of the root is missing or has other classes.
        RunError: `out` holds other files.
        StoreError: `out` cannot be written.
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
    )
    _check_out(out, root)
    _check_settled(out, plan)
    work = _Work(plan, out, cache, jobs)
    work.do_stages()
    return work.write()


class _Work:
    """The stages, in their order."""

    def __init__(self, plan: Plan, out: Path, cache: Path, jobs: int) -> None:
        self.plan, self.out, self.cache, self.jobs = plan, out, cache, jobs
        # Each fit, then maps, clusters, the sweep, the validation images and the page.
        self.stages = Stages(out, len(plan.fits) + 5)
        self.state = ReproductionState(plan, out, self.stages, this_machine())

    def do_stages(self) -> None:
        """Do all stages but the page."""
        state, stages = self.state, self.stages
        for fit in self.plan.fits:
            opened = stages.run(fit.name, f"Fit: {state.title(fit.name)}", lambda fit=fit: self._fit(fit))  # type: ignore[misc]
            if opened is not None:
                state.runs[fit.name] = opened
        stages.run("maps", "Maps of training images", self._maps)
        stages.run("clusters", "Separation of classes", self._clusters, repeated=True)
        state.sweep = stages.run(SWEEP, "Batch sizes", self._sweep)
        stages.run(VALIDATION, "Validation images and their views", self._validation)

    def write(self) -> Reproduction:
        """Write the page, the tables and the figures."""
        stages, reported = self.stages, read_reported()
        table = judge_figures(self.state, reported)
        files: list[Path] = []

        def write() -> None:
            page, figures = write_page(self.state, reported, table)
            files.append(write_text(self.out / "report.html", render(page)))
            files.extend([*write_tables(self.state, reported, table), *figures])

        stages.run("page", "Tables, figures and the page", write, repeated=True)
        report_progress("stages", stages.total, stages.total)
        if files:
            remove_stale(self.out, files)
        return Reproduction(self.out, table, stages.failed, stages.sentence(), stages.seconds, tuple(files))

    def _fit(self, fit: PlannedFit) -> OpenedRun:
        return fitted(fit, self.out / RUNS / fit.name, self.cache)

    def _maps(self) -> None:
        for name, opened in self._main_runs():
            with self.stages.part(f"maps/{name}", f"Maps of {opened.name}"):
                source = opened.source(opened.layers[0])
                for setting in (THEN, TODAY):
                    self.state.maps[name, setting] = draw_map(
                        source,
                        setting="2020" if setting == THEN else None,
                        out=self.out / MAPS / name,
                        formats=(),
                        seed=self.plan.seed,
                    )

    def _clusters(self) -> None:
        for name, opened in self._main_runs():
            with self.stages.part(f"clusters/{name}", f"Separation of classes, {opened.name}"):
                self.state.clusters[name] = measure_clusters(
                    [opened.source(layer) for layer in opened.layers],
                    permutations=QUICK_PERMUTATIONS if self.plan.quick else PERMUTATIONS,
                    seed=self.plan.seed,
                )
        for opened in self.state.runs.values():
            opened.release_rows()

    def _main_runs(self) -> Iterator[tuple[str, OpenedRun]]:
        yield from ((name, self.state.runs[name]) for name in self.state.main() if name in self.state.runs)

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
        views = self.plan.fit(next(iter(VARIANTS))).recipe.views
        variants = [fit for fit in self.plan.fits if fit.name in VARIANTS and fit.name in self.state.runs]
        # Views with other preprocessing are in the cache only if a fit has used them.
        modes = {fit.recipe.preprocess.mode for fit in variants if fit.recipe.views.count == views.count > 1}
        for fit in variants:
            if fit.recipe.preprocess.mode in modes:
                with self.stages.part(f"{VALIDATION}/{fit.name}", f"Validation images of {fit.title}"):
                    self._validate(fit, views)

    def _validate(self, fit: PlannedFit, views: ViewsPart) -> None:
        opened = self.state.runs[fit.name]
        manifest = opened.run.manifest
        parts = (manifest["head"]["sha256"], manifest["features"]["feature_set"], manifest["data"]["sha256"])
        key = digest_of([*parts, views.model_dump(mode="json")])
        kept = load_document(self.out, VALIDATION, key)
        if kept is None:
            plain, augmented = validation_scores(opened, fit.data, views, self.cache)
            kept = {"plain": vars(plain), "views": vars(augmented)}
            save_document(self.out, VALIDATION, key, kept)
        self.state.validation[fit.name] = (Score(**kept["plain"]), Score(**kept["views"]))


def _check_out(out: Path, root: Path) -> None:
    if any(out.resolve().is_relative_to((root / name).resolve()) for name in CLASSES):
        raise UsageError(f"Expected a folder outside {root}'s two and all, received {out}; choose another --out.")
    check_folder(out, "reproduction", (RUNS, KIND))


def _check_settled(out: Path, plan: Plan) -> None:
    """Check that a reproduction continues with its own choices; others would overwrite hours of fits."""
    kept = load_document(out, KIND, SETTLED)
    if kept is None:
        save_document(out, KIND, SETTLED, plan.settled())
    elif kept != plan.settled():
        raise UsageError(
            f"Expected the recipes, --quick and --seed that the reproduction in {out} was begun with, received "
            "others; choose another --out (features are kept in the cache), or remove that folder."
        )
