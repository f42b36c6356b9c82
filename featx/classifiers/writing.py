"""Tables, pictures and the saved classifier of a comparison."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from featx import plots
from featx.classifiers.comparison import ClassifierResult, Comparison, Estimate
from featx.classifiers.latex_table import latex_table
from featx.classifiers.saved import save_classifier
from featx.classifiers.winning import fit_winner
from featx.errors import UsageError
from featx.files import write_csv, write_file, write_text
from featx.plots import Scored
from featx.stats import BINS, METRICS, calibration_error, confusion_matrix

if TYPE_CHECKING:
    from matplotlib.axes import Axes


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
        write_csv(folder / SUMMARY, list(lines[0]), (_plain_cells(line.values()) for line in lines)),
        write_csv(folder / FOLDS, ("classifier", "repeat", "fold", *METRICS, "parameters"), _folds(comparison)),
    ]
    if comparison.test is not None:
        header = ("classifier", "path", "label", "predicted", *(f"p_{name}" for name in comparison.classes))
        files.append(write_csv(folder / PREDICTIONS, header, _predictions(comparison)))
    return tuple(files)


def parameters_text(row: ClassifierResult) -> str:
    """Return what was chosen for a row on the whole training part, such as `C=0.001`."""
    return _text(row.parameters)


def _folds(comparison: Comparison) -> Iterator[list[Any]]:
    for row in comparison.rows:
        for number, parameters in enumerate(row.fold_parameters):
            repeat, fold = divmod(number, comparison.folds)
            figures = [] if row.fold_scores is None else [row.fold_scores[name][number] for name in METRICS]
            yield [row.name, repeat, fold, *_plain_cells(figures), _text(parameters)]


def _predictions(comparison: Comparison) -> Iterator[list[Any]]:
    for row in comparison.rows:
        if comparison.test is None or row.test_probabilities is None or row.test_predicted is None:
            continue
        table = comparison.test.table
        for path, label, number, shares in zip(
            table.ids, table.labels, row.test_predicted, row.test_probabilities, strict=True
        ):
            yield [row.name, path, label, comparison.classes[number], *_plain_cells(shares)]


def _plain_cells(values: Any) -> list[Any]:
    """Return cells as in a run's `predictions.csv`: short figures, "" for none."""
    return ["" if value is None or value != value else _short(value) for value in values]


def _short(value: Any) -> Any:
    return f"{value:.6g}" if isinstance(value, float) else value


def _text(parameters: Any) -> str:
    return " ".join(f"{name}={value}" for name, value in parameters.items())


log = logging.getLogger("featx")

SCORES = ("comparison.png", "comparison.svg")
CONFUSION = "confusion.png"
ROC = "roc.png"
CALIBRATION = "calibration.png"
TABLE = "comparison.tex"
PANEL_INCHES = 4.5
Panel = Callable[["Judged", str, NDArray[np.float64], Sequence[str], "Axes"], None]


@dataclass(frozen=True)
class Judged:
    """The images that pictures of predictions show.

    Attributes:
        words: Which they are.
        y: (n,) class numbers.
        rows: Each classifier with its (n, classes) probabilities.
    """

    words: str
    y: NDArray[np.int64]
    rows: tuple[tuple[ClassifierResult, NDArray[np.float64]], ...]


def write_pictures(comparison: Comparison, out: str | Path) -> tuple[Path, ...]:
    """Draw a comparison and set it as a table.

    `comparison.png` and `.svg` show the accuracies with their intervals, `confusion.png` a matrix a classifier,
    `roc.png` and `calibration.png` the best classifier and a run's head: on the test images, or without any on the
    held-out images of the first repeat. `comparison.tex` is a table for LaTeX with booktabs.

    Raises:
        StoreError: The folder cannot be written.
    """
    folder = Path(out)
    title = f"{comparison.name}, {comparison.layer} features"
    if comparison.layer == "penultimate":
        title += "\n(trust the test images: the head has seen the labels of the others)"
    axes = plots.score_intervals([_scored(row) for row in comparison.rows], title)
    files = [write_file(folder / name, lambda draft: plots.save(axes, draft)) for name in SCORES]
    judged = _judged(comparison)
    grid = _confusions(comparison, judged)
    files.append(write_file(folder / CONFUSION, lambda draft: plots.save(grid, draft)))
    for name, draw in ((ROC, _roc), (CALIBRATION, _calibration)):
        files.append(_write_panels(folder / name, comparison, judged, draw))
    files.append(write_text(folder / TABLE, to_latex(comparison)))
    return tuple(files)


def to_latex(comparison: Comparison) -> str:
    """Return a comparison as a LaTeX table for the package booktabs, the best classifier in bold."""
    n = len(comparison.y_test)
    header = ("classifier", "cross-validation (%)", "test", "test (%)", "p", "against the best")
    notes = [
        f"Accuracy with 95 % intervals: corrected resampled t over {comparison.folds} folds × {comparison.repeats} "
        f"on {len(comparison.y_train)} training images"
        + (f"; Wilson on {n} test images." if n else "; there are no test images.")
        + " p: corrected resampled t against the best (the head: McNemar), after Holm."
    ]
    return latex_table(
        header,
        [_cells(comparison, row) for row in comparison.rows],
        caption=f"Classifiers on the {comparison.layer} features of {comparison.name}.",
        label="tab:comparison",
        notes=[*notes, *comparison.notes],
        bold=[number for number, row in enumerate(comparison.rows) if row.name == comparison.best],
    )


def save_best(comparison: Comparison, out: str | Path) -> Path:
    """Fit the best classifier on the whole training part and save it, to predict with; see `save_classifier`.

    A baseline does not take the features, and the head is in its run: where one of them is best, the best of the
    others is saved, with a notice.

    Args:
        comparison: On features, of a run or of data.
        out: A folder: absent, empty, or an earlier saved classifier, which is replaced.

    Raises:
        RunError: The folder holds other things.
        UsageError: Only baselines were compared.
        StoreError: The folder cannot be written.
    """
    chosen = [row for row in comparison.rows if row.kind == "classifier"]
    if not chosen:
        raise UsageError(
            "Expected a classifier of features to save, and there are only baselines; name one with --classifiers."
        )
    row = max(chosen, key=_cv_accuracy)
    if row.name != comparison.best:
        log.warning("The best, %s, is no classifier of features; %s is saved.", comparison.best, row.name)
    scores = next(told for told in comparison.to_json()["rows"] if told["classifier"] == row.name)
    return save_classifier(
        out,
        fit_winner(comparison, row.name),
        comparison.train,
        name=row.name,
        classes=comparison.classes,
        parameters=row.parameters,
        seed=comparison.seed,
        scores={part: scores[part] for part in ("cv", "test")},
    )


def _cv_accuracy(row: ClassifierResult) -> float:
    return -1.0 if row.cv is None else row.cv["accuracy"].value


def _estimate(figure: Estimate | None) -> plots.PointWithInterval | None:
    if figure is None:
        return None
    return (figure.value, *(figure.interval or (figure.value, figure.value)))


def _scored(row: ClassifierResult) -> Scored:
    cv, test = (None if part is None else _estimate(part["accuracy"]) for part in (row.cv, row.test))
    return Scored(row.name, cv, test, row.kind, row.verdict)


def _judged(comparison: Comparison) -> Judged:
    """Return the test images' predictions, or where there are none those of the held-out training images."""
    rows = comparison.rows
    if len(comparison.y_test):
        tested = [(row, row.test_probabilities) for row in rows if row.test_probabilities is not None]
        return Judged(f"{len(comparison.y_test)} test images", comparison.y_test, tuple(tested))
    held_out = [(row, row.cv_probabilities[0]) for row in rows if row.cv_probabilities is not None]
    return Judged(f"{len(comparison.y_train)} held-out images", comparison.y_train, tuple(held_out))


def _confusions(comparison: Comparison, judged: Judged) -> Axes:
    once = np.ones((1, len(judged.y)))
    counts = [confusion_matrix(judged.y, P, once)[0].astype(np.int64) for _, P in judged.rows]
    right = [int(np.trace(matrix)) for matrix in counts]
    titles = [f"{row.name}\n{k} of {len(judged.y)} right" for (row, _), k in zip(judged.rows, right, strict=True)]
    return plots.confusion_grid(counts, titles, comparison.classes)


def _write_panels(path: Path, comparison: Comparison, judged: Judged, draw: Panel) -> Path:
    """Draw the best classifier and, beside it, the run's head."""
    shown = [(row, P) for row, P in judged.rows if row.name == comparison.best or row.kind == "head"]
    _, made = plots.new_figure(PANEL_INCHES * len(shown), PANEL_INCHES, columns=len(shown))
    panels = np.ravel(made)
    for (row, P), axes in zip(shown, panels, strict=True):
        draw(judged, row.name, P, comparison.classes, axes)
    return write_file(path, lambda draft: plots.save(panels[0], draft))


def _roc(judged: Judged, name: str, P: NDArray[np.float64], classes: Sequence[str], axes: Axes) -> None:
    plots.roc_curves(judged.y, P, classes, f"{name}, {judged.words}", axes)


def _calibration(judged: Judged, name: str, P: NDArray[np.float64], classes: Sequence[str], axes: Axes) -> None:
    error = calibration_error(judged.y, P, np.ones((1, len(judged.y))))[0]
    title = f"{name}, {judged.words}\nexpected calibration error {error:.2f}"
    plots.reliability(judged.y, P, title, BINS, axes)


def _cells(comparison: Comparison, row: ClassifierResult) -> tuple[str, ...]:
    cv, test = (None if part is None else part["accuracy"] for part in (row.cv, row.test))
    right = "" if row.test is None else f"{comparison.correct(row)}/{len(comparison.y_test)}"
    return (row.name, _per_cent(cv), right, _per_cent(test), _p_value(row.p_value_vs_best), row.verdict or "")


def _p_value(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:.3f}" if value >= 0.001 else "< 0.001"


def _per_cent(figure: Estimate | None) -> str:
    if figure is None:
        return ""
    text = f"{100 * figure.value:.1f}"
    return (
        text if figure.interval is None else f"{text} ({100 * figure.interval[0]:.0f}–{100 * figure.interval[1]:.0f})"
    )
