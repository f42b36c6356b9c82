"""From predictions in the folds and on the test images to the rows of a comparison: scores, intervals, tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from featx.classifiers.comparison import ClassifierResult, MetricEstimate
from featx.classifiers.models import Classifier
from featx.classifiers.nested_cv import HeldOutResult
from featx.classifiers.scoring import Scoring
from featx.plots import Standing
from featx.runs import Source
from featx.stats import BOUNDS, SIGNIFICANT, corrected_interval, holm

HEAD = "head"
Matrix = NDArray[np.float64]


def rank(
    classifiers: Sequence[Classifier],
    scoring: Scoring,
    in_folds: Sequence[Mapping[str, HeldOutResult]],
    final: Mapping[str, HeldOutResult],
    head: Matrix | None,
) -> tuple[tuple[ClassifierResult, ...], str]:
    """Return the rows, best mean measure in the folds first and the head last, and the name of the best.

    `final` are the results on the test part after fitting on the whole training part, `head` the (n_test, classes)
    probabilities of a run's head.
    """
    rows = [_row(each, scoring, [fold[each.name] for fold in in_folds], final[each.name]) for each in classifiers]
    # The sort is stable: equals keep the order of the table of classifiers, where baselines stand last.
    rows.sort(key=lambda row: -np.nan_to_num(row.cv_mean(scoring.measure), nan=-1.0))
    best = rows[0]
    if head is not None and scoring.data.has_test:
        description = "The run's own head, trained with its recipe, on the test images."
        test, by_label = scoring.on_test(HEAD, head), scoring.by_label(head, held_out=False)
        rows.append(
            ClassifierResult(HEAD, "head", description, None, (), None, None, {}, test, head, per_label=by_label)
        )
    return _with_verdicts(rows, best, scoring), best.name


def head_probabilities(test: Source | None, classes: Sequence[str]) -> Matrix | None:
    """Return the probabilities of a run's head for the test images, in the order of the classes; None without."""
    if test is None or test.predicted is None:
        return None
    columns = [test.predicted.classes.index(name) for name in classes]
    return test.predicted.probabilities[:, columns]


def _row(
    classifier: Classifier, scoring: Scoring, in_folds: Sequence[HeldOutResult], final: HeldOutResult
) -> ClassifierResult:
    data = scoring.data
    per_repeat = len(data.folds) // data.repeats
    probabilities = np.empty((data.repeats, len(data.y), final.probabilities.shape[1]))
    fold_scores = []
    for number, ((_, held), result) in enumerate(zip(data.folds, in_folds, strict=True)):
        fold_scores.append(scoring.of_fold(data.y[held], result.probabilities))
        probabilities[number // per_repeat, held] = result.probabilities
    scores = {name: np.array([each[name] for each in fold_scores]) for name in fold_scores[0]}
    tested = final.probabilities if data.has_test else None
    shown = probabilities[0] if tested is None else tested
    return ClassifierResult(
        name=classifier.name,
        kind="baseline" if classifier.baseline else "classifier",
        description=classifier.description,
        fold_scores=scores,
        fold_parameters=tuple(result.parameters for result in in_folds),
        cv=_over_folds(scores, data.ratio) | scoring.of_repeats(probabilities),
        cv_probabilities=probabilities,
        parameters=final.parameters,
        test=None if tested is None else scoring.on_test(classifier.name, tested),
        test_probabilities=tested,
        seconds=sum(result.seconds for result in (*in_folds, final)),
        per_label=scoring.by_label(shown, held_out=tested is None),
    )


def _over_folds(scores: Mapping[str, Matrix], ratio: float) -> dict[str, MetricEstimate]:
    """Return mean and interval of each metric over the folds; folds in which it is not defined are left out."""
    estimates = {}
    for name, values in scores.items():
        defined = values[np.isfinite(values)]
        mean = float(defined.mean()) if len(defined) else float("nan")
        estimates[name] = MetricEstimate(mean, corrected_interval(values, ratio, BOUNDS.get(name, (0.0, 1.0))))
    return estimates


def _with_verdicts(
    rows: Sequence[ClassifierResult], best: ClassifierResult, scoring: Scoring
) -> tuple[ClassifierResult, ...]:
    """Return the rows with their differences to the best, corrected p-values, and verdicts.

    The folds chose the best, so their test allows for the choice; the test images did not, and Holm's correction is
    enough there.
    """
    p_values = {row.name: scoring.test_p_value(row, best) for row in rows if row.test and row is not best}
    on_test = holm({name: p_value for name, p_value in p_values.items() if p_value is not None})
    compared = [row for row in rows if row.fold_scores is not None]
    tested = []
    for row in rows:
        p_value, difference = _against_best(row, best, scoring, len(compared))
        if row.fold_scores is None:
            p_value = on_test.get(row.name)
        verdict = "best" if row is best else _standing(row, best, p_value, scoring.measure)
        tested.append(
            replace(
                row,
                difference=difference,
                p_value_vs_best=p_value,
                test_p_value_vs_best=on_test.get(row.name),
                verdict=verdict,
            )
        )
    return tuple(tested)


def _against_best(
    row: ClassifierResult, best: ClassifierResult, scoring: Scoring, classifiers: int
) -> tuple[float | None, MetricEstimate | None]:
    """Return the p-value of the folds, and the difference to the best: in the folds, or of the head on the test."""
    if row is best or best.fold_scores is None:
        return None, None
    if row.fold_scores is None:
        return None, scoring.test_difference(row, best)
    compared = scoring.difference(row, best, classifiers)
    if compared is None:
        return None, None
    return compared.p_value, MetricEstimate(compared.mean, compared.interval)


def _standing(row: ClassifierResult, best: ClassifierResult, p_value: float | None, measure: str) -> Standing | None:
    if p_value is None:
        return None
    if p_value >= SIGNIFICANT:
        return "indistinguishable"
    # Only the head, which has no folds, can be better than the best in the folds.
    part = "test" if row.cv is None else "cv"
    own, highest = (getattr(each, part)[measure].value for each in (row, best))
    return "better" if own > highest else "worse"
