"""The tables of a reproduction as CSV files, and its verdicts as a page of Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from featx.errors import StoreError
from featx.files import write_csv, write_text
from featx.reports import layers_of, loss_interval, paired, score_of
from featx.reproduction.claims import mean_ratio, quality_of
from featx.reproduction.found import THEN, TODAY, Found
from featx.reproduction.judging import sizes_of
from featx.reproduction.markdown import markdown_of
from featx.reproduction.plan import VGG16
from featx.reproduction.reported import Reported
from featx.reproduction.settings import settings_of
from featx.reproduction.verdicts import Judged

TABLES = "tables"
MARKDOWN = "reproduction.md"
# Files that there is not always something to write into.
STALE = (
    *("tables/epochs-*.csv", "tables/layers-*.csv", "tables/batch-sizes.csv"),
    *("figures/figure-*.png", "figures/figure-*.svg", "figures/batch-sizes.*", "figures/schedules.*"),
)
# What a run's metrics and its images call the parts of the data.
ROLES = {"train": "fit", "validation": "validation", "test": "test"}


def judged_json(judged: Judged) -> dict[str, Any]:
    """Return a figure with ours and the verdict as one flat object."""
    figure, ours = judged.figure, judged.ours
    low, high = ours.interval or (None, None)
    difference = judged.difference or (None, None, None)
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
        "verdict": judged.verdict,
        "why": judged.why,
        "note": figure.note,
    }


def write_tables(found: Found, reported: Reported, table: Sequence[Judged]) -> list[Path]:
    """Write every table.

    Raises:
        StoreError: The folder cannot be written.
    """
    folder = found.out / TABLES
    rows = [judged_json(judged) for judged in table]
    written = [
        write_text(found.out / MARKDOWN, markdown_of(found, reported, table)),
        write_csv(folder / "verdicts.csv", list(rows[0]), [list(row.values()) for row in rows]),
        write_csv(folder / "accuracy.csv", _ACCURACY, _accuracy(found)),
        write_csv(folder / "models.csv", _MODELS, _models(found)),
        write_csv(folder / "pairs-of-models.csv", _PAIRS, _pairs(found)),
        write_csv(folder / "pairs-of-classes.csv", _RATIOS, _ratios(found)),
        write_csv(folder / "stages.csv", ("stage", "seconds", "failed"), _stages(found)),
        write_csv(folder / "settings.csv", _SETTINGS, _settings(found)),
    ]
    for name, told in found.runs.items():
        history = told.history
        layers = [(row.name, "x".join(map(str, row.shape)), row.parameters, row.trainable) for row in layers_of(told)]
        header = ("layer", "output", "parameters", "fitted")
        written += [
            write_csv(folder / f"epochs-{name}.csv", list(history[0]), [list(row.values()) for row in history]),
            write_csv(folder / f"layers-{name}.csv", header, layers),
        ]
    if found.sweep is not None:
        written.append(write_csv(folder / "batch-sizes.csv", _BATCHES, _batches(found, reported)))
    return written


def _weights(found: Found, name: str) -> str:
    """Where a fit's weights are from: `random` where they are, the file of a network of one's own."""
    told = found.runs.get(name)
    return found.plan.fit(name).recipe.backbone.weights if told is None else told.run.manifest["weights"]["source"]


def remove_stale(out: Path, files: Sequence[Path]) -> None:
    """Remove tables and figures that an earlier call wrote and this one did not, such as those of a fit that failed.

    Raises:
        StoreError: One cannot be removed.
    """
    for pattern in STALE:
        for path in set(out.glob(pattern)) - set(files):
            try:
                path.unlink()
            except OSError as error:
                raise StoreError(f"{path} cannot be removed: {error.strerror or error}; remove it.") from error


_ACCURACY = (
    *("fit", "title", "weights", "part", "n", "correct", "accuracy", "low", "high", "loss", "loss_low", "loss_high"),
)


def _accuracy(found: Found) -> Iterator[tuple[Any, ...]]:
    for name, told in found.runs.items():
        for part, role in ROLES.items():
            score = score_of(told, part)
            ends = loss_interval(told.of_role(role), told.run.classes) or (None, None)
            yield (
                *(name, told.name, _weights(found, name), part, score.n, score.correct, score.accuracy),
                *(*(score.interval or (None, None)), score.loss, *ends),
            )


_MODELS = (
    *("fit", "title", "weights", "trainable", "non_trainable", "total", "test_n", "test_correct", "test_accuracy"),
    *("low", "high", "seconds_features", "seconds_fit", "silhouette_backbone", "silhouette_penultimate"),
    *("silhouette_map_2020", "silhouette_map_today", "mean_ratio_penultimate", "mean_ratio_backbone"),
)


def _models(found: Found) -> Iterator[tuple[Any, ...]]:
    for name in found.models():
        told = found.runs[name]
        score, metrics = score_of(told, "test"), told.metrics
        parameters = (metrics["parameters"][part] for part in ("trainable", "non_trainable", "total"))
        quality = [quality_of(found, name, layer) for layer in ("backbone", "penultimate")]
        maps = [found.maps.get((name, setting)) for setting in (THEN, TODAY)]
        yield (
            *(name, told.name, _weights(found, name), *parameters),
            *(score.n, score.correct, score.accuracy, *(score.interval or (None, None))),
            *(metrics["seconds"]["extract"], metrics["seconds"]["fit"]),
            *(None if one is None else one.silhouette.value for one in quality),
            *(None if one is None else one.silhouette["map"] for one in maps),
            *(None if one is None else mean_ratio(one) for one in reversed(quality)),
        )


_PAIRS = (
    "first",
    "first_weights",
    "second",
    "second_weights",
    "n",
    "only_first_right",
    "only_second_right",
    "p_value",
)


def _pairs(found: Found) -> Iterator[tuple[Any, ...]]:
    for one, other in combinations(found.models(), 2):
        counts = paired(found.runs[one], found.runs[other])
        if counts is not None:
            yield one, _weights(found, one), other, _weights(found, other), *counts


_RATIOS = ("fit", "weights", "layer", "split", "first", "second", "ratio", "permuted_mean")


def _ratios(found: Found) -> Iterator[tuple[Any, ...]]:
    for name, clusters in found.clusters.items():
        for part in clusters.parts:
            own = part.quality
            for i, j in zip(*np.triu_indices(len(own.classes), 1), strict=True):
                pair = (own.classes[i], own.classes[j], own.ratios[i, j], own.ratios_permuted[i, j])
                yield name, _weights(found, name), part.layer, part.split, *pair


def _stages(found: Found) -> Iterator[tuple[Any, ...]]:
    for name, seconds in found.stages.seconds.items():
        yield name, round(seconds, 3), found.stages.error(name)


_SETTINGS = (
    *("fit", "title", "weights", "preprocessing", "views", "test_n", "test_correct", "test_accuracy", "low", "high"),
    *("validation_n", "validation_accuracy", "validation_views_n", "validation_views_accuracy", "p_value"),
)


def _settings(found: Found) -> Iterator[tuple[Any, ...]]:
    for row in settings_of(found):
        ends = row.test.interval or (None, None)
        views = (None, None) if row.augmented is None else (row.augmented.n, row.augmented.accuracy)
        yield (
            *(row.name, row.title, _weights(found, row.name), row.preprocessing, row.views),
            *(row.test.n, row.test.correct, row.test.accuracy, *ends),
            *(row.validation.n, row.validation.accuracy, *views, row.p_value),
        )


_BATCHES = (
    *("batch_size", "weights", "report", "fits", "refused", "n", "mean", "low", "high", "interval_low"),
    *("interval_high", "loss"),
)


def _batches(found: Found, reported: Reported) -> Iterator[tuple[Any, ...]]:
    theirs = reported.numbers()
    for size, one in sizes_of(found.sweep).items() if found.sweep is not None else ():
        yield (
            *(size, _weights(found, VGG16), theirs.get(f"batch.{size}"), len(one.accuracies), one.refused, one.n),
            *(one.mean, one.low, one.high, *(one.interval or (None, None)), one.loss),
        )
