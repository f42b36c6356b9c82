"""From predictions in the folds and on the test images to the rows of a comparison: scores, intervals, tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from featx.classifiers.comparison import ClassifierResult, MetricEstimate
from featx.classifiers.folds import Fold
from featx.classifiers.models import Classifier
from featx.classifiers.nested_cv import HeldOutResult
from featx.plots import Standing
from featx.runs import Source
from featx.stats import (
    BOUNDS,
    METRICS,
    SIGNIFICANT,
    bootstrap,
    corrected_interval,
    corrected_t,
    holm,
    mcnemar,
    score_all,
    wilson,
)

HEAD = "head"
Matrix = NDArray[np.float64]


@dataclass(frozen=True)
class EvaluationData:
    """What all classifiers are evaluated on: the folds of all repeats and the test images; the bootstrap's seed."""

    folds: Sequence[Fold]
    y: NDArray[np.int64]
    y_test: NDArray[np.int64]
    test_groups: Sequence[str]
    seed: int

    @property
    def ratio(self) -> float:
        """Held-out rows divided by training rows, over all folds."""
        return sum(len(held) for _, held in self.folds) / sum(len(fit) for fit, _ in self.folds)

    @property
    def repeats(self) -> int:
        """How often every row was held out."""
        return sum(len(held) for _, held in self.folds) // len(self.y)


def rank(
    classifiers: Sequence[Classifier],
    data: EvaluationData,
    in_folds: Sequence[Mapping[str, HeldOutResult]],
    final: Mapping[str, HeldOutResult],
    head: Matrix | None,
) -> tuple[tuple[ClassifierResult, ...], str]:
    """Return the rows, best mean accuracy in the folds first and the head last, and the name of the best.

    `final` are the results on the test part after fitting on the whole training part, `head` the (n_test, classes)
    probabilities of a run's head.
    """
    rows = [_row(each, data, [fold[each.name] for fold in in_folds], final[each.name]) for each in classifiers]
    # The sort is stable: equals keep the order of the table of classifiers, where baselines stand last.
    rows.sort(key=lambda row: -row.cv_accuracy)
    best = rows[0]
    if head is not None:
        description = "The run's own head, trained with its recipe, on the test images."
        test = _on_test(data, head)
        rows.append(ClassifierResult(HEAD, "head", description, None, (), None, None, {}, test, head))
    on_test = {
        row.name: mcnemar(_correct(row, data), _correct(best, data)) for row in rows if row.test and row is not best
    }
    return with_verdicts(rows, best, "accuracy", data.ratio, on_test), best.name


def head_probabilities(test: Source | None, classes: Sequence[str]) -> Matrix | None:
    """Return the probabilities of a run's head for the test images, in the order of the classes; None without."""
    if test is None or test.predicted is None:
        return None
    columns = [test.predicted.classes.index(name) for name in classes]
    return test.predicted.probabilities[:, columns]


def _row(
    classifier: Classifier, data: EvaluationData, in_folds: Sequence[HeldOutResult], final: HeldOutResult
) -> ClassifierResult:
    per_repeat = len(data.folds) // data.repeats
    probabilities = np.empty((data.repeats, len(data.y), final.probabilities.shape[1]))
    fold_scores = []
    for number, ((_, held), result) in enumerate(zip(data.folds, in_folds, strict=True)):
        fold_scores.append(score_all(data.y[held], result.probabilities))
        probabilities[number // per_repeat, held] = result.probabilities
    scores = {name: np.array([each[name] for each in fold_scores]) for name in METRICS}
    # A single fold has too few rows for the bins.
    errors = [score_all(data.y, each)["calibration_error"] for each in probabilities]
    cv = over_folds(scores, data.ratio, BOUNDS) | {"calibration_error": MetricEstimate(float(np.mean(errors)))}
    return ClassifierResult(
        name=classifier.name,
        kind="baseline" if classifier.baseline else "classifier",
        description=classifier.description,
        fold_scores=scores,
        fold_parameters=tuple(result.parameters for result in in_folds),
        cv=cv,
        cv_probabilities=probabilities,
        parameters=final.parameters,
        test=_on_test(data, final.probabilities) if len(data.y_test) else None,
        test_probabilities=final.probabilities if len(data.y_test) else None,
        seconds=sum(result.seconds for result in (*in_folds, final)),
    )


def over_folds(
    scores: Mapping[str, Matrix], ratio: float, bounds: Mapping[str, tuple[float, float]]
) -> dict[str, MetricEstimate]:
    """Return mean and interval of each metric over the folds; folds in which it is not defined are left out."""
    estimates = {}
    for name, values in scores.items():
        defined = values[np.isfinite(values)]
        mean = float(defined.mean()) if len(defined) else float("nan")
        estimates[name] = MetricEstimate(mean, corrected_interval(values, ratio, bounds.get(name, (0.0, 1.0))))
    return estimates


def _on_test(data: EvaluationData, probabilities: Matrix) -> dict[str, MetricEstimate]:
    intervals = bootstrap(data.y_test, probabilities, data.test_groups, data.seed)
    scores = score_all(data.y_test, probabilities)
    correct = int(np.sum(probabilities.argmax(axis=1) == data.y_test))
    estimates = {name: MetricEstimate(score, intervals[name]) for name, score in scores.items()}
    return {**estimates, "accuracy": MetricEstimate(scores["accuracy"], wilson(correct, len(data.y_test)))}


def with_verdicts(
    rows: Sequence[ClassifierResult],
    best: ClassifierResult,
    measure: str,
    ratio: float,
    on_test: Mapping[str, float],
) -> tuple[ClassifierResult, ...]:
    """Return the rows with their p-values, after Holm's correction, and verdicts against the best.

    Args:
        rows: All rows, the best among them.
        best: The best.
        measure: The metric that they are ranked by.
        ratio: Held-out rows divided by training rows.
        on_test: Of the other rows, the p-values on the test images.
    """
    in_folds = {}
    for row in rows:
        if row is best or row.fold_scores is None or best.fold_scores is None:
            continue
        one, other = row.fold_scores[measure], best.fold_scores[measure]
        known = np.isfinite(one) & np.isfinite(other)
        if known.sum() > 1:
            in_folds[row.name] = corrected_t(one[known], other[known], ratio)
    in_folds, on_test = holm(in_folds), holm(on_test)
    tested = []
    for row in rows:
        p_value = in_folds.get(row.name, on_test.get(row.name))
        verdict = "best" if row is best else _standing(row, best, p_value, measure)
        tested.append(
            replace(row, p_value_vs_best=p_value, test_p_value_vs_best=on_test.get(row.name), verdict=verdict)
        )
    return tuple(tested)


def _correct(row: ClassifierResult, data: EvaluationData) -> NDArray[np.bool_]:
    return np.asarray(row.test_predicted == data.y_test)


def _standing(row: ClassifierResult, best: ClassifierResult, p_value: float | None, measure: str) -> Standing | None:
    if p_value is None:
        return None
    if p_value >= SIGNIFICANT:
        return "indistinguishable"
    # Only the head, which has no folds, can be better than the best in the folds.
    part = "test" if row.cv is None else "cv"
    own, highest = (getattr(each, part)[measure].value for each in (row, best))
    return "better" if own > highest else "worse"
