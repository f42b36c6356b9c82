"""The verb `reproduce`: the report of 2020 done again, stage by stage, continuing where it stopped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from featx.clustering import measure_clusters
from featx.digests import digest_of
from featx.errors import UsageError
from featx.files import check_folder, several, write_text
from featx.frames import Shown
from featx.maps import draw_map, map_parameters
from featx.pages import render
from featx.progress import Progress, report_progress, reports_progress
from featx.recipes import Recipe, ViewsPart
from featx.reproduction.data import IMAGES
from featx.reproduction.fits import augmented_score, fitted
from featx.reproduction.measuring import judge_figures
from featx.reproduction.page import write_page
from featx.reproduction.plan import VGG16, Plan, PlannedFit, plan_of
from featx.reproduction.state import STAGES, THEN, TODAY, ReproductionState, Stages
from featx.reproduction.tables import remove_stale, verdict_json, write_tables
from featx.reproduction.variants import VARIANTS
from featx.reproduction.verdicts import FigureVerdict, Reported, read_reported, tally
from featx.stats import Score
from featx.store import load_document, save_document
from featx.sweeps import sweep

RUNS, SWEEP, MAPS, VALIDATION = "runs", "batch-sizes", "maps", "validation"
# Where the choices are kept that a reproduction cannot change.
SETTLED = "settled"
PERMUTATIONS, QUICK_PERMUTATIONS = 199, 49


@dataclass(frozen=True, repr=False)
class Reproduction(Shown):
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

    def headline(self) -> str:
        """Return how many figures of the report there are, and how many agree with ours."""
        return f"{len(self.table)} figures of the report: {self.tally}"

    @property
    def tally(self) -> str:
        """How many counts are equal, and how many measurements are consistent, in words."""
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
    yes: bool = False,
    progress: Progress | None = None,
) -> Reproduction:
    """Do the report of 2020 again, and compare every figure that it states with ours.

    A finished stage is not repeated: a fit is finished if its recipe, data and weights are the same. If a stage
    fails, the page says so and the other stages are done.

    Args:
        root: Folder with `two` and `all`, each with `train/<class>` and `test/<class>`.
        out: Folder for everything: absent, empty, or an earlier reproduction's.
        quick: Few epochs, views, seeds and batch sizes; accuracies are not compared with the report's.
        backbones: Further backbones for the comparison of models: names, cards or `.keras` files.
        weights: Weights by backbone, where they are not ImageNet's.
        recipes: Recipes in place of the report's, by the names of those.
        seeds: Number of fits for each batch size; the default is 3, or 2 with `quick`.
        seed: Seed of the first fit, of maps and of permutations.
        cache: The store's folder.
        jobs: Most fits at once for the batch sizes.
        yes: Do work that is estimated to need more disk, memory or time than there is.
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
        backbones=several(backbones, "names of backbones"),
        recipes=recipes or {},
    )
    _check_out(out, root)
    _check_settled(out, plan)
    # Each fit, then maps, clusters, the sweep, the validation images and the page.
    state = ReproductionState(plan, Stages(out, len(plan.fits) + 5))
    _do_stages(state, cache, jobs)
    return _written(state)


def _do_stages(state: ReproductionState, cache: Path, jobs: int) -> None:
    """Do all stages but the page."""
    plan, stages = state.plan, state.stages
    for fit in plan.fits:
        work = partial(fitted, fit, stages.out / RUNS / fit.name, cache)
        opened = stages.run(fit.name, f"Fit: {state.title(fit.name)}", work)
        if opened is not None:
            state.runs[fit.name] = opened
    stages.run(MAPS, "Maps of training images", partial(_draw_maps, state))
    stages.run("clusters", "Separation of classes", partial(_measure_clusters, state), repeated=True)
    grid = {"fit.batch_size": plan.batch_sizes}
    tried = partial(sweep, plan.root / "all", plan.sweep, grid=grid, out=stages.out / SWEEP)
    state.sweep = stages.run(SWEEP, "Batch sizes", partial(tried, seeds=plan.seeds, cache=cache, jobs=jobs))
    stages.run(VALIDATION, "Validation images and their views", partial(_validate, state, cache))


def _draw_maps(state: ReproductionState) -> None:
    for name in state.main():
        opened = state.runs[name]
        with state.stages.part(f"{MAPS}/{name}", f"Maps of {opened.name}"):
            source = opened.source(opened.layers[0])
            for setting in (THEN, TODAY):
                parameters = map_parameters(setting="2020" if setting == THEN else None, seed=state.plan.seed)
                state.maps[name, setting] = draw_map(
                    source, parameters, out=state.stages.out / MAPS / name, formats=()
                )


def _measure_clusters(state: ReproductionState) -> None:
    for name in state.main():
        opened = state.runs[name]
        with state.stages.part(f"clusters/{name}", f"Separation of classes, {opened.name}"):
            state.clusters[name] = measure_clusters(
                [opened.source(layer) for layer in opened.layers],
                permutations=QUICK_PERMUTATIONS if state.plan.quick else PERMUTATIONS,
                seed=state.plan.seed,
            )
    for opened in state.runs.values():
        opened.release_rows()


def _validate(state: ReproductionState, cache: Path) -> None:
    """Score augmented views of the validation images with each variant of VGG16."""
    views = state.plan.fit(VGG16).recipe.views
    variants = [fit for fit in state.plan.fits if fit.name in VARIANTS and fit.name in state.runs]
    # Views with other preprocessing are in the cache only if a fit has used them.
    modes = {fit.recipe.preprocess.mode for fit in variants if fit.recipe.views.count == views.count > 1}
    for fit in variants:
        if fit.recipe.preprocess.mode in modes:
            with state.stages.part(f"{VALIDATION}/{fit.name}", f"Validation images of {fit.title}"):
                state.augmented[fit.name] = _augmented_score(state, fit, views, cache)


def _augmented_score(state: ReproductionState, fit: PlannedFit, views: ViewsPart, cache: Path) -> Score:
    """Return the score of `augmented_score`, which is kept for the next call."""
    opened, out = state.runs[fit.name], state.stages.out
    manifest = opened.run.manifest
    parts = (manifest["head"]["sha256"], manifest["features"]["feature_set"], manifest["data"]["sha256"])
    key = digest_of([*parts, views.model_dump(mode="json")])
    kept = load_document(out, VALIDATION, key)
    if kept is not None and kept.get("views", {}).keys() >= {"n", "correct", "loss"}:
        return Score.from_json(kept["views"])
    score = augmented_score(opened, fit.data, views, cache)
    save_document(out, VALIDATION, key, {"views": score.to_json()})
    return score


def _written(state: ReproductionState) -> Reproduction:
    """Write the page, the tables and the figures."""
    stages, reported = state.stages, read_reported()
    table = judge_figures(state, reported)
    work = partial(_write, state, reported, table)
    files = stages.run("page", "Tables, figures and the page", work, repeated=True) or []
    report_progress("stages", stages.total, stages.total)
    if files:
        remove_stale(stages.out, files)
    return Reproduction(stages.out, table, stages.failed, stages.sentence(), stages.seconds, tuple(files))


def _write(state: ReproductionState, reported: Reported, table: Sequence[FigureVerdict]) -> list[Path]:
    page, figures = write_page(state, reported, table)
    return [
        write_text(state.stages.out / "report.html", render(page)),
        *write_tables(state, reported, table),
        *figures,
    ]


def _check_out(out: Path, root: Path) -> None:
    if any(out.resolve().is_relative_to((root / name).resolve()) for name in IMAGES):
        raise UsageError(f"Expected a folder outside {root}'s two and all, received {out}; choose another --out.")
    check_folder(out, "reproduction", (RUNS, STAGES))


def _check_settled(out: Path, plan: Plan) -> None:
    """Check that a reproduction continues with its own choices; others would overwrite hours of fits."""
    kept = load_document(out, STAGES, SETTLED)
    if kept is None:
        save_document(out, STAGES, SETTLED, plan.settled())
    elif kept != plan.settled():
        raise UsageError(
            f"Expected the recipes, --quick and --seed that the reproduction in {out} was begun with, received "
            "others; choose another --out (features are kept in the cache), or remove that folder."
        )
