"""A comparison as CSV files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from featx import runs
from featx.pipeline.comparison import ClassifierResult, Comparison
from featx.scores import METRICS

SUMMARY = "comparison.csv"
FOLDS = "folds.csv"
PREDICTIONS = "predictions.csv"


def write_tables(comparison: Comparison, out: str | Path) -> tuple[Path, ...]:
    """Write a comparison's tables to a folder.

    `comparison.csv` has a line a classifier; `folds.csv` one a classifier and fold, with its metrics and the
    parameters chosen in it; `predictions.csv` one a classifier and test image, where there are any.

    Raises:
        StoreError: The folder cannot be written.
    """
    folder = Path(out)
    lines = [comparison.line(row) for row in comparison.rows]
    files = [
        runs.write_csv(folder / SUMMARY, list(lines[0]), (_cells(line.values()) for line in lines)),
        runs.write_csv(folder / FOLDS, ("classifier", "repeat", "fold", *METRICS, "parameters"), _folds(comparison)),
    ]
    if comparison.test is not None:
        header = ("classifier", "path", "label", "predicted", *(f"p_{name}" for name in comparison.classes))
        files.append(runs.write_csv(folder / PREDICTIONS, header, _predictions(comparison)))
    return tuple(files)


def parameters_text(row: ClassifierResult) -> str:
    """Return what was chosen for a row on the whole training part, such as `C=0.001`."""
    return _text(row.parameters)


def _folds(comparison: Comparison) -> Iterator[list[Any]]:
    for row in comparison.rows:
        for number, parameters in enumerate(row.fold_parameters):
            repeat, fold = divmod(number, comparison.folds)
            figures = [] if row.fold_scores is None else [row.fold_scores[name][number] for name in METRICS]
            yield [row.name, repeat, fold, *_cells(figures), _text(parameters)]


def _predictions(comparison: Comparison) -> Iterator[list[Any]]:
    for row in comparison.rows:
        if comparison.test is None or row.test_probabilities is None or row.test_predicted is None:
            continue
        table = comparison.test.table
        for path, label, number, shares in zip(
            table.ids, table.labels, row.test_predicted, row.test_probabilities, strict=True
        ):
            yield [row.name, path, label, comparison.classes[number], *_cells(shares)]


def _cells(values: Any) -> list[Any]:
    """Return cells as in a run's `predictions.csv`: short figures, "" for none."""
    return ["" if value is None or value != value else _short(value) for value in values]


def _short(value: Any) -> Any:
    return f"{value:.6g}" if isinstance(value, float) else value


def _text(parameters: Any) -> str:
    return " ".join(f"{name}={value}" for name, value in parameters.items())
