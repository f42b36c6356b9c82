"""The report's section on classical classifiers beside the head."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from featx.classifiers import ClassifierResult, Comparison, Estimate, compare
from featx.plots import Scored, inline_svg, score_intervals
from featx.reports.blocks import Block, Figure, Note, Section, Table
from featx.reports.told import Told
from featx.text import NOTHING, decimal, duration, fraction, images, percent, probability, span

BASELINE = " (baseline)"


def classifiers_section(told: Told, cache: Path, *, seed: int) -> Section:
    """Return the section: classifiers on the backbone's features and the run's head, by the same images.

    Args:
        told: The run.
        cache: The store with its features.
        seed: Of the folds and classifiers.

    Raises:
        FeatxError: What `compare` raises.
    """
    found = compare(told.run.path, seed=seed, cache=cache)
    axes = score_intervals([_scored(row) for row in found.rows])
    caption = (
        f"Accuracy with 95 % intervals: in {found.repeats} × {found.folds} folds of {images(len(found.y_train))}, "
        f"and on {images(len(found.y_test))} of the test split."
    )
    blocks: list[Block] = [
        Figure(inline_svg(axes, told.id("classifiers")), _alt(found), caption),
        _accuracies(found),
        _figures(found),
    ]
    blocks += [Note(line) for line in found.notes]
    return Section("Classifiers beside the head", told.id("comparison"), tuple(blocks))


def _scored(row: ClassifierResult) -> Scored:
    standing = row.verdict if row.verdict in ("best", "indistinguishable", "worse") else None
    return Scored(row.name, _ends(row.cv), _ends(row.test), row.kind, standing)


def _ends(known: Mapping[str, Estimate] | None) -> tuple[float, float, float] | None:
    if known is None:
        return None
    estimate = known["accuracy"]
    low, high = estimate.interval or (estimate.value, estimate.value)
    return estimate.value, low, high


def _alt(found: Comparison) -> str:
    parts = []
    for row in found.rows:
        cv = None if row.cv is None else row.cv["accuracy"].value
        test = None if row.test is None else row.test["accuracy"].value
        parts.append(f"{row.name} {percent(cv)} in folds, {percent(test)} on test images")
    return f"Dots with intervals, one line a classifier: {'; '.join(parts)}."


def _fraction(correct: int, n: int) -> str:
    return f"{fraction(correct, n)} = {percent(correct / n)}"


def _accuracies(found: Comparison) -> Table:
    rows = []
    for row in found.rows:
        cv = None if row.cv is None else row.cv["accuracy"]
        test = None if row.test is None else row.test["accuracy"]
        rows.append(
            (
                row.name + (BASELINE if row.kind == "baseline" else ""),
                percent(None if cv is None else cv.value),
                span(None if cv is None else cv.interval),
                NOTHING if test is None else _fraction(found.correct(row) or 0, len(found.y_test)),
                span(None if test is None else test.interval),
                probability(row.p_value_vs_best),
                row.verdict or NOTHING,
            )
        )
    caption = (
        f"Classifiers on the {found.layer} features. Parameters are chosen within each fold. Intervals in folds are "
        "by the corrected resampled t (Nadeau and Bengio 2003), on the test images Wilson's. p is against the best "
        "in the folds, after Holm's correction; the head's is McNemar's on the test images."
    )
    header = ("classifier", "in folds", "95 % interval", "test images", "95 % interval", "p", "beside the best")
    return Table(caption, header, tuple(rows), words=frozenset({6}))


METRICS = {
    "balanced_accuracy": "balanced accuracy",
    "macro_f1": "macro F1",
    "roc_auc": "ROC AUC",
    "log_loss": "log-loss",
    "brier": "Brier score",
    "calibration_error": "calibration error",
}


def _figures(found: Comparison) -> Table:
    which = "test" if found.test is not None else "cv"
    names = [name for name in METRICS if any(name in (getattr(row, which) or {}) for row in found.rows)]
    rows: list[tuple[str, ...]] = []
    for row in found.rows:
        known = getattr(row, which) or {}
        cells = (decimal(known[name].value) if name in known else NOTHING for name in names)
        rows.append((row.name, *cells, duration(row.seconds)))
    where = "the test images" if which == "test" else "folds"
    header = ("classifier", *(METRICS[name] for name in names), "time")
    return Table(f"Other measures on {where}.", header, tuple(rows), fold="Other measures")
