"""The tables of a reproduction as CSV files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

from featx.errors import StoreError
from featx.files import write_csv
from featx.reports import layers_of, loss_interval, paired, score_of
from featx.reproduction.claims import mean_ratio
from featx.reproduction.plan import VGG16
from featx.reproduction.state import THEN, TODAY, ReproductionState
from featx.reproduction.variants import variants_of
from featx.reproduction.verdicts import FigureVerdict, Reported
from featx.stats import Score

# Files that not every call writes; earlier versions wrote the first one.
STALE = (
    "reproduction.md",
    *("tables/epochs-*.csv", "tables/layers-*.csv", "tables/batch-sizes.csv"),
    *("figures/figure-*.png", "figures/figure-*.svg", "figures/batch-sizes.*", "figures/schedules.*"),
)
# Names of the parts of the data in a run's metrics and for its images.
ROLES = {"train": "fit", "validation": "validation", "test": "test"}
# The columns of the tables.
ACCURACY = "fit title weights part n correct accuracy low high loss loss_low loss_high"
MODELS = (
    "fit title weights trainable non_trainable total test_n test_correct test_accuracy low high seconds_features "
    "seconds_fit silhouette_backbone silhouette_penultimate silhouette_map_2020 silhouette_map_today "
    "mean_ratio_penultimate mean_ratio_backbone"
)
PAIRS = "first first_weights second second_weights n only_first_right only_second_right p_value"
RATIOS = "fit weights layer split first second ratio permuted_mean"
VARIANTS = (
    "fit title weights preprocessing views test_n test_correct test_accuracy low high validation_n "
    "validation_accuracy validation_views_n validation_views_accuracy p_value"
)
BATCHES = "batch_size weights report fits refused n mean low high interval_low interval_high loss"


def verdict_json(row: FigureVerdict) -> dict[str, Any]:
    """Return a figure with our value and the verdict as one flat object."""
    figure, ours = row.figure, row.ours
    low, high = ours.interval or (None, None)
    difference = row.difference or (None, None, None)
    return {
        "section": figure.section,
        "id": figure.id,
        "quantity": figure.quantity,
        "kind": figure.kind,
        "unit": figure.unit,
        "report": figure.claim or figure.number,
        "n": figure.n,
        "ours": ours.value,
        "shown": ours.shown,
        "low": low,
        "high": high,
        **dict(zip(("difference", "difference_low", "difference_high"), difference, strict=True)),
        "verdict": row.verdict,
        "why": row.why,
        "note": figure.note,
    }


def write_tables(state: ReproductionState, reported: Reported, table: Sequence[FigureVerdict]) -> list[Path]:
    """Write every table, and return the files."""
    folder = state.stages.out / "tables"

    def write(name: str, columns: str, rows: Iterable[Sequence[Any]]) -> Path:
        return write_csv(folder / f"{name}.csv", columns.split(), rows)

    verdicts = [verdict_json(row) for row in table]
    written = [
        write("verdicts", " ".join(verdicts[0]), [list(row.values()) for row in verdicts]),
        write("accuracy", ACCURACY, _accuracy(state)),
        write("models", MODELS, _models(state)),
        write("pairs-of-models", PAIRS, _pairs(state)),
        write("pairs-of-classes", RATIOS, _ratios(state)),
        write("stages", "stage seconds failed", _stages(state)),
        write("settings", VARIANTS, _variants(state)),
    ]
    for name, opened in state.runs.items():
        history = opened.run.history
        layers = [
            (row.name, "x".join(map(str, row.shape)), row.parameters, row.trainable) for row in layers_of(opened)
        ]
        written += [
            write(f"epochs-{name}", " ".join(history[0]), [list(row.values()) for row in history]),
            write(f"layers-{name}", "layer output parameters fitted", layers),
        ]
    if state.sweep is not None:
        written.append(write("batch-sizes", BATCHES, _batches(state, reported)))
    return written


def remove_stale(out: Path, files: Sequence[Path]) -> None:
    """Remove files that an earlier call wrote and this one did not, such as those of a fit that failed."""
    for pattern in STALE:
        for path in set(out.glob(pattern)) - set(files):
            try:
                path.unlink()
            except OSError as error:
                raise StoreError(f"{path} cannot be removed: {error.strerror or error}; remove it.") from error


def _accuracy(state: ReproductionState) -> Iterator[tuple[Any, ...]]:
    for name, opened in state.runs.items():
        for part, role in ROLES.items():
            score = score_of(opened, part)
            ends = loss_interval(opened.of_role(role), opened.run.classes) or (None, None)
            yield name, opened.name, state.weights(name), part, *_cells(score), score.loss, *ends


def _cells(score: Score) -> tuple[Any, ...]:
    return score.n, score.correct, score.accuracy, *(score.interval or (None, None))


def _models(state: ReproductionState) -> Iterator[tuple[Any, ...]]:
    for name in state.models():
        opened = state.runs[name]
        metrics = opened.run.metrics
        parameters = (metrics["parameters"][part] for part in ("trainable", "non_trainable", "total"))
        quality = [state.quality(name, layer) for layer in ("backbone", "penultimate")]
        maps = [state.maps.get((name, setting)) for setting in (THEN, TODAY)]
        yield (
            *(name, opened.name, state.weights(name), *parameters),
            *(*_cells(score_of(opened, "test")), metrics["seconds"]["extract"], metrics["seconds"]["fit"]),
            *(None if one is None else one.silhouette.value for one in quality),
            *(None if one is None else one.silhouette["map"] for one in maps),
            *(None if one is None else mean_ratio(one) for one in reversed(quality)),
        )


def _pairs(state: ReproductionState) -> Iterator[tuple[Any, ...]]:
    for one, other in combinations(state.models(), 2):
        counts = paired(state.runs[one], state.runs[other])
        if counts is not None:
            yield one, state.weights(one), other, state.weights(other), *counts


def _ratios(state: ReproductionState) -> Iterator[tuple[Any, ...]]:
    for name, clusters in state.clusters.items():
        for part in clusters.parts:
            quality = part.quality
            for i, j in combinations(range(len(quality.classes)), 2):
                pair = (quality.classes[i], quality.classes[j], quality.ratios[i, j], quality.ratios_permuted[i, j])
                yield name, state.weights(name), part.layer, part.split, *pair


def _stages(state: ReproductionState) -> Iterator[tuple[Any, ...]]:
    for name, seconds in state.stages.seconds.items():
        yield name, round(seconds, 3), state.stages.error(name)


def _variants(state: ReproductionState) -> Iterator[tuple[Any, ...]]:
    for row in variants_of(state):
        views = (None, None) if row.augmented is None else (row.augmented.n, row.augmented.accuracy)
        yield (
            *(row.name, row.title, state.weights(row.name), row.recipe.preprocess.mode, row.recipe.views.count),
            *(*_cells(row.test), row.validation.n, row.validation.accuracy, *views, row.p_value),
        )


def _batches(state: ReproductionState, reported: Reported) -> Iterator[tuple[Any, ...]]:
    report = reported.numbers()
    for size, one in state.sizes().items():
        yield (
            *(size, state.weights(VGG16), report.get(f"batch.{size}"), len(one.accuracies), one.refused, one.n),
            *(one.mean, one.low, one.high, *(one.interval or (None, None)), one.loss),
        )
