"""How predictions are scored and tested, of images with one label each and of images with several."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from featx.classifiers.comparison import EXPECTED, ClassifierResult, MetricEstimate
from featx.classifiers.folds import Fold
from featx.classifiers.label_scores import (
    Targets,
    label_scores,
    paired_p,
    resampled,
    right_images,
)
from featx.stats import (
    FoldDifference,
    LabelMetrics,
    bootstrap,
    difference_of_shares,
    expected_calibration_error,
    fold_difference,
    group_numbers,
    grouped_share,
    held_out_difference,
    label_metrics,
    macro_intervals,
    mcnemar,
    percentile_interval,
    score_all,
)

Matrix = NDArray[np.float64]


@dataclass(frozen=True)
class EvaluationData:
    """What all classifiers are evaluated on: the folds of all repeats and the test images; the bootstrap's seed.

    `groups` are those of the training images. `y` and `y_test` are as in a `Comparison`: class numbers, or targets
    of several labels.
    """

    classes: tuple[str, ...]
    folds: Sequence[Fold]
    y: NDArray[Any]
    y_test: NDArray[Any]
    groups: Sequence[str]
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

    @property
    def folds_of_a_repeat(self) -> int:
        """The number of folds that hold out every row once."""
        return len(self.folds) // self.repeats

    @property
    def has_test(self) -> bool:
        """Whether the class of some test image is known, or some label."""
        return bool(np.isfinite(self.y_test).any())


class Scoring(Protocol):
    """How the predictions of one comparison are scored and tested, whose images have one label or several."""

    data: EvaluationData
    measure: str  # the metric that classifiers are ranked by

    def of_fold(self, y: NDArray[Any], P: Matrix) -> dict[str, float]:
        """Return every metric of the rows that a fold held out."""

    def of_repeats(self, probabilities: Matrix) -> dict[str, MetricEstimate]:
        """Return what needs the (repeats, n, classes) probabilities of all rows, since a fold has too few."""

    def on_test(self, name: str, P: Matrix) -> dict[str, MetricEstimate]:
        """Return every metric of the test images with its interval; the name is the classifier's."""

    def by_label(self, P: Matrix, *, held_out: bool) -> tuple[LabelMetrics, ...]:
        """Return the metrics of each of several labels, of the held-out rows or the test images; none of one."""

    def difference(self, row: ClassifierResult, best: ClassifierResult, classifiers: int) -> FoldDifference | None:
        """Return by how much a row is better than the best in the folds; None where it is not defined."""

    def test_p_value(self, row: ClassifierResult, best: ClassifierResult) -> float | None:
        """Return the p-value that two rows are equally good on the test images; None where it is not defined."""

    def test_difference(self, row: ClassifierResult, best: ClassifierResult) -> MetricEstimate | None:
        """Return by how much a row's measure on the test images is above the best's; None where it is not defined."""


class ClassScoring:
    """The scoring of images with one label each, by their accuracy."""

    measure = "accuracy"

    def __init__(self, data: EvaluationData) -> None:
        self.data = data

    def of_fold(self, y: NDArray[np.int64], P: Matrix) -> dict[str, float]:
        """Return every metric."""
        return score_all(y, P)

    def of_repeats(self, probabilities: Matrix) -> dict[str, MetricEstimate]:
        """Return the calibration error, for whose bins a single fold has too few rows, and that of chance."""
        errors = [score_all(self.data.y, P)["calibration_error"] for P in probabilities]
        expected = [expected_calibration_error(P, self.data.seed) for P in probabilities]
        return {
            "calibration_error": MetricEstimate(float(np.mean(errors))),
            EXPECTED: MetricEstimate(float(np.mean(expected))),
        }

    def on_test(self, name: str, P: Matrix) -> dict[str, MetricEstimate]:
        """Return the metrics with their intervals, which know groups, and the calibration error of chance."""
        y = self.data.y_test
        intervals = bootstrap(y, P, self.data.test_groups, self.data.seed)
        estimates = {metric: MetricEstimate(score, intervals[metric]) for metric, score in score_all(y, P).items()}
        return {**estimates, EXPECTED: MetricEstimate(expected_calibration_error(P, self.data.seed))}

    def by_label(self, P: Matrix, *, held_out: bool) -> tuple[LabelMetrics, ...]:
        """Return none."""
        return ()

    def difference(self, row: ClassifierResult, best: ClassifierResult, classifiers: int) -> FoldDifference | None:
        """Return the difference in accuracy on the held-out images, see `held_out_difference`."""
        if row.cv_probabilities is None or best.cv_probabilities is None:
            return None
        one, other = (
            np.mean(each.argmax(axis=2) == self.data.y, axis=0)
            for each in (row.cv_probabilities, best.cv_probabilities)
        )
        compared = held_out_difference(
            one, other, self.data.groups, folds=self.data.folds_of_a_repeat, classifiers=classifiers
        )
        # In the table stand means over folds, which may differ by an image in size.
        return replace(compared, mean=row.cv_accuracy - best.cv_accuracy)

    def test_p_value(self, row: ClassifierResult, best: ClassifierResult) -> float | None:
        """Return that of McNemar's exact test, by whole groups."""
        return mcnemar(self._correct(row), self._correct(best), self.data.test_groups)

    def test_difference(self, row: ClassifierResult, best: ClassifierResult) -> MetricEstimate | None:
        """Return the difference in accuracy with the interval of paired shares."""
        one, other = self._correct(row), self._correct(best)
        return MetricEstimate(
            float(one.mean() - other.mean()), difference_of_shares(one, other, self.data.test_groups)
        )

    def _correct(self, row: ClassifierResult) -> NDArray[np.bool_]:
        return np.asarray(row.test_predicted == self.data.y_test)


class LabelScoring:
    """The scoring of images with several labels, by the mean area under the ROC curve.

    Test images are resampled alike for all rows, for intervals and for the tests against the best.
    """

    measure = "roc_auc"

    def __init__(self, data: EvaluationData) -> None:
        self.data = data
        self._areas: dict[str, Matrix] = {}  # of each row in the bootstrap samples

    def of_fold(self, y: Targets, P: Matrix) -> dict[str, float]:
        """Return every metric."""
        return label_scores(y, P)

    def of_repeats(self, probabilities: Matrix) -> dict[str, MetricEstimate]:
        """Return none."""
        return {}

    def on_test(self, name: str, P: Matrix) -> dict[str, MetricEstimate]:
        """Return the metrics with intervals of the bootstrap, and the share of right images with Wilson's.

        The mean area under the ROC curve has an interval that keeps a width at 1; so has the mean average precision
        where it is the same in all samples.
        """
        Y = self.data.y_test
        values = resampled(Y, P, self.data.test_groups, self.data.seed)
        self._areas[name] = values[self.measure]
        estimates = {
            metric: MetricEstimate(score, percentile_interval(values[metric]))
            for metric, score in label_scores(Y, P).items()
        }
        of_area, of_precision = macro_intervals(P, Y, self.data.test_groups)
        estimates[self.measure] = replace(estimates[self.measure], interval=of_area)
        if estimates["average_precision"].interval is None:
            estimates["average_precision"] = replace(estimates["average_precision"], interval=of_precision)
        counted = np.isfinite(Y).any(axis=1)
        groups = group_numbers(self.data.test_groups)[counted]
        share = grouped_share(right_images(Y, P)[counted], groups)
        return {**estimates, "accuracy": MetricEstimate(share.share, share.interval)}

    def by_label(self, P: Matrix, *, held_out: bool) -> tuple[LabelMetrics, ...]:
        """Return the metrics of each label."""
        if held_out:
            return label_metrics(self.data.classes, P, self.data.y, self.data.groups)
        return label_metrics(self.data.classes, P, self.data.y_test, self.data.test_groups)

    def difference(self, row: ClassifierResult, best: ClassifierResult, classifiers: int) -> FoldDifference | None:
        """Return the difference in the mean area over the folds, see `fold_difference`."""
        if row.fold_scores is None or best.fold_scores is None:
            return None
        scores = (each[self.measure] for each in (row.fold_scores, best.fold_scores))
        return fold_difference(*scores, folds=self.data.folds_of_a_repeat, classifiers=classifiers)

    def test_p_value(self, row: ClassifierResult, best: ClassifierResult) -> float | None:
        """Return that of a bootstrap test of the mean areas."""
        difference = self.test_difference(row, best)
        if difference is None:
            return None
        return paired_p(difference.value, self._areas[row.name] - self._areas[best.name])

    def test_difference(self, row: ClassifierResult, best: ClassifierResult) -> MetricEstimate | None:
        """Return the difference of the mean areas with its percentile interval."""
        if row.test is None or best.test is None:
            return None
        difference = row.test[self.measure].value - best.test[self.measure].value
        if not np.isfinite(difference):
            return None
        return MetricEstimate(difference, percentile_interval(self._areas[row.name] - self._areas[best.name]))
