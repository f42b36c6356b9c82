"""The files of a sweep: tables, pictures, its recipe, and everything as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from featx.files import write_csv, write_json, write_text
from featx.plots import draw_files, draw_sweep, remove_files
from featx.recipes import Recipe, dump_recipe
from featx.runs import RECIPE
from featx.sweeps.grid import as_text, column_names
from featx.sweeps.result import Sweep

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SWEEP = "sweep.json"
PARTS = ("test", "validation", "train")
SCORES = ("n", "correct", "accuracy", "loss")
AREAS = ("auc", "average_precision")  # of data with several labels
SPREAD = ("n", "mean", "sd", "low", "high", "interval_low", "interval_high", "loss")


def write_sweep(result: Sweep, recipe: Recipe) -> Sweep:
    """Write the files into the sweep's folder, pictures last, and return the sweep with their paths."""
    names = list(column_names(result.fields).values())
    pictures = [result.out / f"sweep{ending}" for ending in (".png", ".svg")]
    remove_files(pictures)
    files = [
        write_text(result.out / RECIPE, dump_recipe(recipe)),
        _write_rows(result, names),
        _write_summary(result, names),
    ]
    complete = replace(result, files=(*files, *pictures, result.out / SWEEP))
    write_json(result.out / SWEEP, complete.to_json())
    drawn = draw_files(pictures, lambda: _draw(result, names))
    if drawn != pictures:
        complete = replace(result, files=(*files, *drawn, result.out / SWEEP))
        write_json(result.out / SWEEP, complete.to_json())
    return complete


def _draw(result: Sweep, names: Sequence[str]) -> Axes:
    spreads = result.spreads()
    return draw_sweep(
        [", ".join(map(as_text, values.values())) for values, _ in spreads],
        [list(spread.accuracies) for _, spread in spreads],
        ", ".join(names).replace("_", " "),
        ylabel=f"mean AUC, {result.role} images" if result.multilabel else f"{result.role} accuracy (%)",
    )


def _write_rows(result: Sweep, names: Sequence[str]) -> Path:
    columns = (*SCORES, *AREAS) if result.multilabel else SCORES
    rows = [
        [
            *map(as_text, point.values.values()),
            point.seed,
            # A fit that was refused has no areas.
            *(getattr(getattr(scores, part), name, None) for part in PARTS for name in columns),
            *(scores.engine, round(scores.seconds, 3), scores.refused),
        ]
        for point, scores in zip(result.points, result.scores, strict=True)
    ]
    parts = [f"{part}_{name}" for part in PARTS for name in columns]
    return write_csv(result.out / "sweep.csv", [*names, "seed", *parts, "engine", "seconds", "refused"], rows)


def _write_summary(result: Sweep, names: Sequence[str]) -> Path:
    rows = []
    spreads = [result.spreads(role, "accuracy") for role in (result.role, "validation")]
    areas = [result.spreads(role, "auc") for role in (result.role, "validation")] if result.multilabel else []
    for (values, spread), (_, validation), *of_areas in zip(*spreads, *areas, strict=True):
        cells: list[Any] = [*map(as_text, values.values()), result.role, len(spread.accuracies), spread.refused]
        for part in (spread, validation):
            ends = part.interval or (None, None)
            cells += [part.n, part.mean, part.sd, part.low, part.high, *ends, part.loss]
        for _, part in of_areas:
            cells += [part.mean, part.sd, part.low, part.high, *(part.interval or (None, None))]
        rows.append(cells)
    header = [*names, "of", "fits", "refused", *SPREAD, *(f"validation_{name}" for name in SPREAD)]
    header += [f"{part}auc_{name}" for part in ("", "validation_")[: len(areas)] for name in SPREAD[1:-1]]
    return write_csv(result.out / "summary.csv", header, rows)
