"""From what classifiers made of the folds and of the test images to the rows of a comparison."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from featx.classifiers.comparison import ClassifierResult, Estimate, Verdict
from featx.classifiers.folds import Fold
from featx.classifiers.models import Classifier
from featx.classifiers.nested_cv import Outcome
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
class Paired:
    """What all classifiers were held against.

    Attributes:
        divided: The folds of all repeats, as numbers of training rows.
        y: (n_train,) class numbers.
        y_test: (n_test,) class numbers.
        test_units: (n_test,) units.
        seed: Of the bootstrap.
    """

    divided: Sequence[Fold]
    y: NDArray[np.int64]
    y_test: NDArray[np.int64]
    test_units: Sequence[str]
    seed: int

    @property
    def ratio(self) -> float:
        """Rows held out to rows fitted on, over all folds."""
        return sum(len(held) for _, held in self.divided) / sum(len(fit) for fit, _ in self.divided)

    @property
    def repeats(self) -> int:
        """How often every row was held out."""
        return sum(len(held) for _, held in self.divided) // len(self.y)


def rank(
    classifiers: Sequence[Classifier],
    paired: Paired,
    in_folds: Sequence[Mapping[str, Outcome]],
    final: Mapping[str, Outcome],
    head: Matrix | None,
) -> tuple[tuple[ClassifierResult, ...], str]:
    """Return the rows, best mean accuracy in the folds first and the head last, and the best one's name.

    Args:
        classifiers: That were compared.
        paired: What they were held against.
        in_folds: What each made of each fold.
        final: What each, fitted on the whole training part, made of the test part.
        head: (n_test, classes) probabilities by a run's head.
    """
    rows = [_row(each, paired, [fold[each.name] for fold in in_folds], final[each.name]) for each in classifiers]
    # Of equals, the one higher up in the table of classifiers, where baselines stand last.
    rows.sort(key=lambda row: -_cv_accuracy(row))
    best = rows[0]
    if head is not None:
        description = "The run's own head, fitted with its recipe, on the test images."
        test = _on_test(paired, head)
        rows.append(ClassifierResult(HEAD, "head", description, None, (), None, None, {}, test, head))
    return _tested(rows, best, paired), best.name


def head_probabilities(test: Source | None, classes: Sequence[str]) -> Matrix | None:
    """Return what a run's head made of the test images, columns in the order of the classes; None without a head."""
    if test is None or test.predicted is None:
        return None
    columns = [test.predicted.classes.index(name) for name in classes]
    return test.predicted.probabilities[:, columns]


def _row(classifier: Classifier, paired: Paired, outcomes: Sequence[Outcome], final: Outcome) -> ClassifierResult:
    held = [rows for _, rows in paired.divided]
    each = [score_all(paired.y[rows], out.probabilities) for rows, out in zip(held, outcomes, strict=True)]
    scores = {name: np.array([one[name] for one in each]) for name in METRICS}
    per_repeat = len(held) // paired.repeats
    seen_by_none = np.empty((paired.repeats, len(paired.y), final.probabilities.shape[1]))
    for number, (rows, out) in enumerate(zip(held, outcomes, strict=True)):
        seen_by_none[number // per_repeat, rows] = out.probabilities
    return ClassifierResult(
        name=classifier.name,
        kind="baseline" if classifier.baseline else "classifier",
        description=classifier.description,
        fold_scores=scores,
        fold_parameters=tuple(out.parameters for out in outcomes),
        cv=_over_folds(scores, seen_by_none, paired),
        cv_probabilities=seen_by_none,
        parameters=final.parameters,
        test=_on_test(paired, final.probabilities) if len(paired.y_test) else None,
        test_probabilities=final.probabilities if len(paired.y_test) else None,
        seconds=sum(out.seconds for out in (*outcomes, final)),
    )


def _over_folds(scores: Mapping[str, Matrix], probabilities: Matrix, paired: Paired) -> dict[str, Estimate]:
    found = {}
    for name, figures in scores.items():
        known = figures[np.isfinite(figures)]
        mean = float(known.mean()) if len(known) else float("nan")
        interval = corrected_interval(figures, paired.ratio, BOUNDS.get(name, (0.0, 1.0)))
        found[name] = Estimate(mean, interval)
    # Bins of single folds hold too few rows.
    whole = [score_all(paired.y, each)["calibration_error"] for each in probabilities]
    return {**found, "calibration_error": Estimate(float(np.mean(whole)))}


def _on_test(paired: Paired, probabilities: Matrix) -> dict[str, Estimate]:
    ends = bootstrap(paired.y_test, probabilities, paired.test_units, paired.seed)
    figures = score_all(paired.y_test, probabilities)
    correct = int(np.sum(probabilities.argmax(axis=1) == paired.y_test))
    found = {name: Estimate(figure, ends[name]) for name, figure in figures.items()}
    return {**found, "accuracy": Estimate(figures["accuracy"], wilson(correct, len(paired.y_test)))}


def _tested(rows: Sequence[ClassifierResult], best: ClassifierResult, paired: Paired) -> tuple[ClassifierResult, ...]:
    others = [row for row in rows if row is not best]
    in_folds = holm(
        {
            row.name: corrected_t(row.fold_scores["accuracy"], best.fold_scores["accuracy"], paired.ratio)
            for row in others
            if row.fold_scores is not None and best.fold_scores is not None
        }
    )
    on_test = holm({row.name: mcnemar(_right(row, paired), _right(best, paired)) for row in others if row.test})
    return tuple(
        replace(
            row,
            p_value_vs_best=in_folds.get(row.name, on_test.get(row.name)),
            test_p_value_vs_best=on_test.get(row.name),
            verdict="best" if row is best else _verdict(row, best, in_folds.get(row.name, on_test.get(row.name))),
        )
        for row in rows
    )


def _right(row: ClassifierResult, paired: Paired) -> NDArray[np.bool_]:
    return np.asarray(row.test_predicted == paired.y_test)


def _verdict(row: ClassifierResult, best: ClassifierResult, p_value: float | None) -> Verdict | None:
    if p_value is None:
        return None
    if p_value >= SIGNIFICANT:
        return "indistinguishable"
    # Only the head, which has no folds, can be better than the best in the folds.
    part = "test" if row.cv is None else "cv"
    mine, its = (getattr(one, part)["accuracy"].value for one in (row, best))
    return "better" if mine > its else "worse"


def _cv_accuracy(row: ClassifierResult) -> float:
    return row.cv["accuracy"].value if row.cv is not None else float("-inf")
