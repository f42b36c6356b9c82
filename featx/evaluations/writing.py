"""Write an evaluation: a page, the JSON, a table of the images, and the confusion matrix as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from featx import plots
from featx.evaluations.page import evaluation_page
from featx.evaluations.result import Evaluation
from featx.files import write_csv, write_json, write_text
from featx.pages import render
from featx.text import images

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PAGE = "evaluation.html"
DOCUMENT = "evaluation.json"
TABLE = "predictions.csv"
CONFUSION = "confusion.png"
# Any of these shows that a folder holds an earlier evaluation.
FORMER = (PAGE, DOCUMENT)


def write_evaluation(out: Path, result: Evaluation) -> tuple[Path, ...]:
    """Write the files of an evaluation, and return their paths; the JSON is written last."""
    for name in (*FORMER, TABLE, CONFUSION):
        (out / name).unlink(missing_ok=True)
    files = [write_text(out / PAGE, render(evaluation_page(result))), _write_table(out / TABLE, result)]
    files += plots.draw_files([out / CONFUSION], lambda: _picture(result))
    files.append(out / DOCUMENT)
    write_json(out / DOCUMENT, {**result.to_json(), "files": [str(path) for path in files]})
    return tuple(files)


def _write_table(path: Path, result: Evaluation) -> Path:
    columns = {name: [_cell(cell) for cell in cells] for name, cells in result.columns().items()}
    return write_csv(path, list(columns), zip(*columns.values(), strict=True))


def _cell(cell: Any) -> Any:
    if isinstance(cell, bool):
        return int(cell)
    return f"{cell:.6g}" if isinstance(cell, float) else cell


def _picture(result: Evaluation) -> Axes:
    title = f"{result.model.name} on {result.name}, {images(result.n, result.which)}\n{result.scores.score}"
    if result.multilabel:
        several: Any = result.scores.per_class
        return plots.draw_label_metrics(several, title)
    numbers = {name: number for number, name in enumerate(result.classes)}

    def column(names: Sequence[str]) -> Any:
        return np.array([numbers[name] for name in names], np.int64)

    true, predicted = (column([getattr(image, name) for image in result.images]) for name in ("label", "predicted"))
    counts = plots.confusion_counts(true, predicted, len(result.classes))
    return plots.draw_confusion(counts, result.classes, title)
