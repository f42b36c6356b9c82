"""The report's section on classical classifiers on the run's features."""

from __future__ import annotations

from collections.abc import Mapping

from featx.classifiers import Comparison, MetricEstimate, compare_source
from featx.pages import Block, Note, Table, drawing
from featx.plots import draw_scores
from featx.reports.opened import OpenedRun
from featx.text import NOTHING, decimal, duration, fraction_percent, images, interval_percent, percent, probability

BASELINE = " (baseline)"
METRIC_TITLES = {
    "balanced_accuracy": "balanced accuracy",
    "macro_f1": "macro F1",
    "roc_auc": "ROC AUC",
    "log_loss": "log-loss",
    "brier": "Brier score",
    "calibration_error": "calibration error",
    "expected_calibration_error": "of a calibrated one",
}
CALIBRATED = (
    " Beside the calibration error stands the one that a calibrated classifier would have with as many images, which "
    "is not 0."
)
VERDICTS = (
    "The difference to the best in cross-validation and p hold for all pairs of classifiers at once (Tukey's range), "
    "so they allow for the choice of the best. Indistinguishable does not mean equal: the interval says how far "
    "apart the two may be."
)
LABEL_METRIC_TITLES = {
    "average_precision": "mean average precision",
    "accuracy": "all labels right",
    "log_loss": "log-loss",
}


def classifiers_blocks(opened: OpenedRun, *, seed: int) -> tuple[Block, ...]:
    """Return the comparison of classifiers on the backbone's features with the run's head, on the same images."""
    comparison = compare_source(opened.source("backbone"), seed=seed, cache=opened.cache)
    what = "Mean area under the ROC curve" if comparison.multilabel else "Accuracy"
    caption = (
        f"{what} with 95 % intervals, in cross-validation ({comparison.repeats} × {comparison.folds} folds of "
        f"{images(len(comparison.y_train))}) and on {images(len(comparison.y_test), 'test')}."
    )
    return (
        drawing(
            lambda: draw_scores(comparison.score_rows(), measure=comparison.measure_title),
            opened.id("classifiers"),
            _alt(comparison),
            caption,
        ),
        _accuracies(comparison),
        _other_metrics(comparison),
        *(Note(line) for line in comparison.notes),
    )


def _accuracy(estimates: Mapping[str, MetricEstimate] | None, measure: str = "accuracy") -> tuple[str, str]:
    """Return the accuracy, or the mean area, and its interval, a dash each for none."""
    if estimates is None:
        return NOTHING, NOTHING
    if measure != "accuracy":
        ends = estimates[measure].interval
        return decimal(estimates[measure].value), NOTHING if ends is None else "–".join(map(decimal, ends))
    return percent(estimates["accuracy"].value), interval_percent(estimates["accuracy"].interval)


def _alt(comparison: Comparison) -> str:
    parts = (
        f"{row.title} {_accuracy(row.cv, comparison.measure)[0]} in cross-validation, "
        f"{_accuracy(row.test, comparison.measure)[0]} on test images"
        for row in comparison.rows
    )
    return f"Points with intervals, one line for each classifier: {'; '.join(parts)}."


def _accuracies(comparison: Comparison) -> Table:
    if comparison.multilabel:
        return _areas(comparison)
    rows = []
    for row in comparison.rows:
        correct = comparison.correct(row)
        rows.append(
            (
                row.title + (BASELINE if row.kind == "baseline" else ""),
                *_accuracy(row.cv),
                NOTHING if correct is None else fraction_percent(correct, len(comparison.y_test)),
                _accuracy(row.test)[1],
                NOTHING if row.difference is None else row.difference.points(),
                probability(row.p_value_vs_best),
                row.verdict or NOTHING,
            )
        )
    caption = (
        f"Classifiers on the {comparison.layer} features. Their parameters are chosen within each fold. Intervals in "
        "cross-validation come from the corrected resampled t-test (Nadeau and Bengio 2003), those on test images "
        f"are Wilson's. {VERDICTS} For the head both are of the test images, and p comes from McNemar's test. "
        "Differences are in percentage points."
    )
    header = (
        "classifier",
        "cross-validation",
        "95 % interval",
        "test images",
        "95 % interval",
        "difference",
        "p",
        "compared with the best",
    )
    return Table(caption, header, tuple(rows), words=frozenset({7}))


def _areas(comparison: Comparison) -> Table:
    rows = tuple(
        (
            row.title + (BASELINE if row.kind == "baseline" else ""),
            *_accuracy(row.cv, comparison.measure),
            *_accuracy(row.test, comparison.measure),
            NOTHING if row.difference is None else row.difference.signed(),
            probability(row.p_value_vs_best),
            row.verdict or NOTHING,
        )
        for row in comparison.rows
    )
    caption = (
        f"Classifiers on the {comparison.layer} features, one for each of {len(comparison.classes)} labels: mean "
        "areas under the ROC curves. Their parameters are chosen within each fold. Intervals in cross-validation "
        "come from the corrected resampled t-test (Nadeau and Bengio 2003), those on test images from the bootstrap. "
        f"{VERDICTS} For the head both are of the test images and come from the bootstrap."
    )
    header = (
        *("classifier", "cross-validation", "95 % interval", "test images", "95 % interval", "difference", "p"),
        "compared with the best",
    )
    return Table(caption, header, rows, words=frozenset({7}))


def _other_metrics(comparison: Comparison) -> Table:
    scored = [(row.cv if comparison.test is None else row.test) or {} for row in comparison.rows]
    titles = LABEL_METRIC_TITLES if comparison.multilabel else METRIC_TITLES
    names = [name for name in titles if any(name in estimates for estimates in scored)]
    rows = tuple(
        (
            row.title,
            *(_cell(estimates[name]) if name in estimates else NOTHING for name in names),
            duration(row.seconds),
        )
        for row, estimates in zip(comparison.rows, scored, strict=True)
    )
    how = "in cross-validation" if comparison.test is None else "on the test images"
    header = ("classifier", *(titles[name] for name in names), "time")
    words = "" if comparison.multilabel else CALIBRATED
    return Table(f"Other measures with 95 % intervals, {how}.{words}", header, rows, fold="Other measures")


def _cell(estimate: MetricEstimate) -> str:
    """Return `0.973 (0.941–0.990)`."""
    ends = "" if estimate.interval is None else f" ({'–'.join(map(decimal, estimate.interval))})"
    return decimal(estimate.value) + ends
