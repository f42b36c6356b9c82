"""Tables of a comparison: CSV, and LaTeX where pandas is installed."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from featx.classifiers.comparison import ClassifierResult, Comparison, MetricEstimate
from featx.errors import UsageError
from featx.files import write_csv, write_text
from featx.frames import frame
from featx.text import probability

log = logging.getLogger("featx")

# Of each label: estimates, whose ends follow them.
ESTIMATES = ("prevalence", "auc", "average_precision", "sensitivity", "specificity")
LABEL_COLUMNS = (
    *("classifier", "images", "label", "n", "positive"),
    *(name for estimate in ESTIMATES for name in (estimate, f"{estimate}_low", f"{estimate}_high")),
)

_LATEX_SPECIAL = str.maketrans(
    {
        "\\": r"\textbackslash{}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "<": r"\textless{}",
        ">": r"\textgreater{}",
        "|": r"\textbar{}",
        "–": "--",
        "×": r"$\times$",
        "\n": " ",
        **{character: rf"\{character}" for character in "{}$&#%_"},
    }
)


def write_tables(comparison: Comparison, out: str | Path) -> tuple[Path, ...]:
    """Write a comparison's tables to a folder.

    `comparison.csv` has a line for each classifier; `folds.csv` one for each classifier and fold, with its metrics
    and the chosen parameters; `predictions.csv` one for each classifier and test image, if there are test images;
    `comparison.tex` is a table for LaTeX, left out with a notice where pandas is not installed. With several labels
    for each image, `labels.csv` has a line for each classifier and label.

    Returns:
        The files.

    Raises:
        StoreError: The folder cannot be written.
    """
    folder = Path(out)
    lines = [comparison.line(row) for row in comparison.rows]
    files = [
        write_csv(folder / "comparison.csv", list(lines[0]), (_cells(line.values()) for line in lines)),
        write_csv(
            folder / "folds.csv",
            ("classifier", "repeat", "fold", *comparison.metrics, "parameters"),
            _folds(comparison),
        ),
    ]
    if comparison.multilabel:
        files.append(write_csv(folder / "labels.csv", LABEL_COLUMNS, _labels(comparison)))
    if comparison.test is not None:
        own = [f"label:{name}" for name in comparison.classes] if comparison.multilabel else ["label", "predicted"]
        header = ("classifier", "path", *own, *(f"p_{name}" for name in comparison.classes))
        files.append(write_csv(folder / "predictions.csv", header, _predictions(comparison)))
    try:
        files.append(write_text(folder / "comparison.tex", to_latex(comparison)))
    except UsageError as error:
        log.warning("comparison.tex is left out. %s", error)
    return tuple(files)


def to_latex(comparison: Comparison) -> str:
    """Return a comparison as a LaTeX table for the package booktabs, the best classifier in bold.

    Raises:
        UsageError: pandas is not installed.
    """
    lines = [_latex_line(comparison, row) for row in comparison.rows]
    table = frame({name: [line[name] for line in lines] for name in lines[0]})
    best = [row.name == comparison.best for row in comparison.rows]
    style = table.style.hide(axis="index").format(_escaped).format_index(_escaped, axis="columns")
    style = style.apply(lambda _: ["textbf:--rwrap" if bold else "" for bold in best], axis="index")
    return str(
        style.to_latex(
            column_format="lrrrrrl",
            position_float="centering",
            hrules=True,
            caption=(_escaped(_caption(comparison)), f"Classifiers on {comparison.layer} features"),
            label="tab:comparison",
        )
    )


def _caption(comparison: Comparison) -> str:
    n = comparison.tested
    if comparison.multilabel:
        tested = f"bootstrap on {n} test images" if n else "there are no test images"
        caption = (
            f"Classifiers on the {comparison.layer} features of {comparison.name}, each of {len(comparison.classes)} "
            "labels against its absence. Mean area under the ROC curve with 95 % intervals: corrected resampled t "
            f"over {comparison.folds} folds × {comparison.repeats} on {len(comparison.y_train)} training images; "
            f"{tested}. p: against the best, by Tukey's range (the head: bootstrap)."
        )
        return " ".join([caption, *comparison.notes])
    caption = (
        f"Classifiers on the {comparison.layer} features of {comparison.name}. Accuracy in % with 95 % intervals: "
        f"corrected resampled t over {comparison.folds} folds × {comparison.repeats} on {len(comparison.y_train)} "
        f"training images; {f'Wilson on {n} test images' if n else 'there are no test images'}. p: against "
        "the best, by Tukey's range (the head: McNemar)."
    )
    return " ".join([caption, *comparison.notes])


def _latex_line(comparison: Comparison, row: ClassifierResult) -> dict[str, str]:
    p_value = row.p_value_vs_best
    cv, test = (None if part is None else part[comparison.measure] for part in (row.cv, row.test))
    shown = MetricEstimate.decimals if comparison.multilabel else MetricEstimate.percent
    different = MetricEstimate.signed if comparison.multilabel else MetricEstimate.points
    return {
        "classifier": row.name,
        "cross-validation": "" if cv is None else shown(cv),
        "correct": "" if row.test is None else f"{comparison.correct(row)}/{comparison.tested}",
        "test": "" if test is None else shown(test),
        "difference": "" if row.difference is None else different(row.difference),
        "p": "" if p_value is None else probability(p_value),
        "against the best": row.verdict or "",
    }


def _escaped(text: str) -> str:
    """Return text as LaTeX that prints it."""
    return text.translate(_LATEX_SPECIAL)


def _folds(comparison: Comparison) -> Iterator[list[Any]]:
    for row in comparison.rows:
        for number, parameters in enumerate(row.fold_parameters):
            repeat, fold = divmod(number, comparison.folds)
            scores = [] if row.fold_scores is None else [row.fold_scores[name][number] for name in comparison.metrics]
            words = " ".join(f"{name}={value}" for name, value in _flat(parameters))
            yield [row.name, repeat, fold, *_cells(scores), words]


def _flat(parameters: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield names and values of parameters; those of a label have its name before them."""
    for name, value in parameters.items():
        if isinstance(value, Mapping):
            yield from ((f"{name}:{inner}", each) for inner, each in value.items())
        else:
            yield name, value


def _labels(comparison: Comparison) -> Iterator[list[Any]]:
    which = "held out" if comparison.test is None else "test"
    for row in comparison.rows:
        for each in row.per_label:
            cells: list[Any] = [row.name, which, each.label, each.n, each.positive]
            for name in ESTIMATES:
                estimate = getattr(each, name)
                cells += [None] * 3 if estimate is None else [estimate.value, *estimate.interval]
            yield _cells(cells)


def _predictions(comparison: Comparison) -> Iterator[list[Any]]:
    for row in comparison.rows:
        if comparison.test is None or row.test_probabilities is None or row.test_predicted is None:
            continue
        table = comparison.test.table
        if comparison.multilabel:
            for path, targets, shares in zip(table.ids, comparison.y_test, row.test_probabilities, strict=True):
                known = [int(target) if np.isfinite(target) else "" for target in targets]
                yield [row.name, path, *known, *_cells(shares)]
            continue
        for path, label, number, probabilities in zip(
            table.ids, table.labels, row.test_predicted, row.test_probabilities, strict=True
        ):
            yield [row.name, path, label, comparison.classes[number], *_cells(probabilities)]


def _cells(values: Iterable[Any]) -> list[Any]:
    """Return cells as in a run's `predictions.csv`: six digits, "" for None and NaN."""
    cells = ["" if value is None or value != value else value for value in values]
    return [f"{cell:.6g}" if isinstance(cell, float) else cell for cell in cells]
