"""The result of a comparison of classifiers: values and arrays for tables, pictures and files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featx.classifiers.label_scores import LABEL_METRICS, right_images
from featx.classifiers.models import title_of
from featx.frames import Shown, frame
from featx.plots import ClassifierKind, ScoreRow, Standing
from featx.runs import Layer, Source
from featx.stats import METRICS, WITHOUT_INTERVAL, LabelMetrics
from featx.text import NOTHING, decimal, percent

# The calibration error that a calibrated classifier would have with as many images.
EXPECTED = "expected_calibration_error"


@dataclass(frozen=True)
class MetricEstimate:
    """The value of a metric with its 95 % interval.

    Attributes:
        value: The value; NaN where it is not defined.
        interval: Lower and upper end; None where there is no interval.
    """

    value: float
    interval: tuple[float, float] | None = None

    def to_json(self, name: str = "value") -> dict[str, Any]:
        """Return `{name: value, interval}`."""
        return {name: self.value, "interval": None if self.interval is None else list(self.interval)}

    def with_ends(self) -> tuple[float, float, float]:
        """Return the value and both ends, which are the value itself where there is no interval."""
        return (self.value, *(self.interval or (self.value, self.value)))

    def percent(self) -> str:
        """Return a share of 0 to 1 as `83.3 (79–88)`, in per cent."""
        ends = "" if self.interval is None else f" ({100 * self.interval[0]:.0f}–{100 * self.interval[1]:.0f})"
        return f"{100 * self.value:.1f}{ends}"

    def decimals(self) -> str:
        """Return an area of 0 to 1 as `0.873 (0.81–0.92)`."""
        ends = "" if self.interval is None else f" ({self.interval[0]:.2f}–{self.interval[1]:.2f})"
        return f"{decimal(self.value)}{ends}"

    def points(self) -> str:
        """Return a difference of shares in percentage points, as `+4.2 (+1 to +9)`."""
        return self._signed(100, 1, 0)

    def signed(self) -> str:
        """Return a difference of areas as `+0.042 (+0.01 to +0.09)`."""
        return self._signed(1, 3, 2)

    def _signed(self, factor: float, digits: int, digits_of_ends: int) -> str:
        ends = [decimal(factor * end, digits_of_ends, sign=True) for end in self.interval or ()]
        return decimal(factor * self.value, digits, sign=True) + (f" ({' to '.join(ends)})" if ends else "")


@dataclass(frozen=True)
class ClassifierResult:
    """One row of a comparison.

    Attributes:
        name: As in `--classifiers`; `head` is the run's own head.
        description: What it is and how its features are transformed, in a sentence.
        fold_scores: By metric, (repeats * folds,) values on the held-out images, repeat by repeat; None for the head.
        fold_parameters: The parameters chosen in each of these folds.
        cv: By metric, mean and interval over the folds; None for the head.
        cv_probabilities: (repeats, n_train, classes) probabilities of each training image, from the fold that held it
            out; None for the head.
        parameters: Those chosen on the whole training part; with several labels, by label.
        test: By metric, value and interval on the test images; None where there are none.
        test_probabilities: (n_test, classes), rows adding up to 1 unless there are several labels; None where there
            are no test images.
        difference: By how much the measure is above that of the best: in the folds, with an interval that holds for
            all classifiers at once and allows for the choice of the best; for the head, on the test images. None
            for the best itself and where there is nothing to compare.
        p_value_vs_best: The test of this difference, see `held_out_difference`; for the head, the test on the test
            images. None likewise.
        test_p_value_vs_best: On the test images, after Holm's correction: McNemar's exact test of whole groups; with
            several labels, a bootstrap test of the mean areas under the ROC curves. None likewise.
        verdict: `best`, `indistinguishable`, `worse` or (the head) `better`, at the 5 % level.
        seconds: Processor time for choosing, fitting and predicting in all folds and on the test part; None for the
            head.
        per_label: With several labels, the metrics of each on the test images, or without any on the images that were
            held out in the first repeat; empty otherwise.
    """

    name: str
    kind: ClassifierKind
    description: str
    fold_scores: Mapping[str, NDArray[np.float64]] | None
    fold_parameters: tuple[Mapping[str, Any], ...]
    cv: Mapping[str, MetricEstimate] | None
    cv_probabilities: NDArray[np.float64] | None
    parameters: Mapping[str, Any]
    test: Mapping[str, MetricEstimate] | None
    test_probabilities: NDArray[np.float64] | None
    difference: MetricEstimate | None = None
    p_value_vs_best: float | None = None
    test_p_value_vs_best: float | None = None
    verdict: Standing | None = None
    seconds: float | None = None
    per_label: tuple[LabelMetrics, ...] = ()

    @property
    def title(self) -> str:
        """What pictures and pages call it, such as `SVM, RBF kernel`."""
        return title_of(self.name)

    @property
    def test_predicted(self) -> NDArray[np.int64] | None:
        """(n_test,) numbers of the most probable classes; None where there are no test images."""
        return None if self.test_probabilities is None else self.test_probabilities.argmax(axis=1)

    @property
    def cv_accuracy(self) -> float:
        """The mean accuracy in the folds; minus infinity for the head."""
        return self.cv_mean("accuracy")

    def cv_mean(self, metric: str) -> float:
        """Return the mean of a metric in the folds; minus infinity for the head."""
        return float("-inf") if self.cv is None else self.cv[metric].value


@dataclass(frozen=True, repr=False)
class Comparison(Shown):
    """Classifiers evaluated on the same folds and the same test images.

    Attributes:
        name: The run's or the data's folder name, for titles.
        classes: The classes or the labels, in the order of the probabilities' columns.
        rows: Best mean in the folds first, baselines among them; a run's head stands last.
        best: The name of the row with the highest mean in the folds: of the accuracy, or with several labels of the
            mean area under the ROC curve.
        y_train: (n_train,) class numbers; with several labels (n_train, L) float32: 1 where a label is there, 0 where
            it is not, NaN where it is not known.
        y_test: (n_test,) class numbers, or (n_test, L) likewise; empty where there are no test images.
        fold_of: (repeats, n_train) the fold in which each training image was held out.
        train: The images of the splits train and val; its `failed` lists images that could not be read.
        test: The test images; None where there are none.
        notes: What a reader must know before trusting the values, in sentences.
        seconds: Wall time.
    """

    name: str
    layer: Layer
    classes: tuple[str, ...]
    rows: tuple[ClassifierResult, ...]
    best: str
    folds: int
    repeats: int
    seed: int
    y_train: NDArray[Any]
    y_test: NDArray[Any]
    fold_of: NDArray[np.int64]
    train: Source = field(repr=False)
    test: Source | None = field(repr=False)
    notes: tuple[str, ...] = ()
    seconds: float = 0.0

    @property
    def multilabel(self) -> bool:
        """Whether an image may have several labels."""
        return self.y_train.ndim == 2

    @property
    def measure(self) -> str:
        """The metric that classifiers are ranked by: `accuracy`, or with several labels `roc_auc`."""
        return "roc_auc" if self.multilabel else "accuracy"

    @property
    def measure_title(self) -> str:
        """The measure as the axis of a drawing has it."""
        return "mean area under the ROC curve" if self.multilabel else "accuracy (%)"

    def headline(self) -> str:
        """Return `xrays: 9 classifiers on backbone features, best logreg (95.5 % in folds, 97.5 % in the test)`."""
        best = self.row(self.best)
        places = (("in folds", best.cv), ("in the test", best.test))
        shown = "AUC {:.3f}".format if self.multilabel else percent
        shares = ", ".join(f"{shown(scores[self.measure].value)} {place}" for place, scores in places if scores)
        return f"{self.name}: {len(self.rows)} classifiers on {self.layer} features, best {best.name} ({shares})"

    def overview(self) -> tuple[Sequence[str], Sequence[Sequence[str]]]:
        """Return each classifier's measure in the folds and on the test images, and its distance to the best."""
        if self.multilabel:
            header: tuple[str, ...] = ("", "folds: AUC (95 %)", "test: AUC (95 %)", "AP", "all right")
        else:
            header = ("", "folds (95 %)", "test (95 %)")
        return (*header, "difference", "against best"), [self.cells(row) for row in self.rows]

    def cells(self, row: ClassifierResult) -> tuple[str, ...]:
        """Return a row as tables for people show it, with accuracies in per cent."""
        if self.multilabel:
            return self._label_cells(row)
        cv = NOTHING if row.cv is None else row.cv["accuracy"].percent()
        test = NOTHING if row.test is None else row.test["accuracy"].percent()
        difference = "" if row.difference is None else row.difference.points()
        # Without p-values, which the difference with its interval makes superfluous, the table has 80 columns.
        return (row.name, cv, test, difference, row.verdict or NOTHING)

    def _label_cells(self, row: ClassifierResult) -> tuple[str, ...]:
        cv, test = (NOTHING if part is None else part["roc_auc"].decimals() for part in (row.cv, row.test))
        precision = NOTHING if row.test is None else decimal(row.test["average_precision"].value)
        right = NOTHING if row.test is None else f"{self.correct(row)}/{self.tested}"
        difference = "" if row.difference is None else row.difference.signed()
        return (row.name, cv, test, precision, right, difference, row.verdict or NOTHING)

    def row(self, name: str) -> ClassifierResult:
        """Return the row of a classifier.

        Raises:
            KeyError: There is no row of that name.
        """
        return {row.name: row for row in self.rows}[name]

    def to_json(self) -> dict[str, Any]:
        """Return what `featx compare --json` prints, without its files."""
        return {
            "name": self.name,
            "layer": self.layer,
            "classes": list(self.classes),
            **({"multilabel": True, "measure": self.measure} if self.multilabel else {}),
            "n": {"train": len(self.y_train), "test": len(self.y_test)},
            "dim": int(self.train.table.X.shape[1]),
            "folds": self.folds,
            "repeats": self.repeats,
            "seed": self.seed,
            "best": self.best,
            "rows": [self._row_json(row) for row in self.rows],
            "notes": list(self.notes),
            "failed": [failure.to_json() for failure in self.train.failed],
            "seconds": round(self.seconds, 3),
        }

    def to_frame(self) -> Any:
        """Return the table of `comparison.csv` as a pandas DataFrame.

        Raises:
            UsageError: pandas is not installed.
        """
        lines = [self.line(row) for row in self.rows]
        return frame({name: [line[name] for line in lines] for name in lines[0]})

    def score_rows(self) -> list[ScoreRow]:
        """Return the measures for `featx.plots.draw_scores`."""
        rows = []
        for row in self.rows:
            cv, test = (None if part is None else part[self.measure].with_ends() for part in (row.cv, row.test))
            rows.append(ScoreRow(row.title, cv, test, row.kind, row.verdict))
        return rows

    def line(self, row: ClassifierResult) -> dict[str, Any]:
        """Return a row as one line of a table; None where a cell is empty."""
        cells: dict[str, Any] = {"classifier": row.name, "kind": row.kind}
        for part, estimates in (("cv", row.cv), ("test", row.test)):
            for metric in self._shown_metrics:
                estimate = None if estimates is None else estimates.get(metric)
                low, high = (None, None) if estimate is None or estimate.interval is None else estimate.interval
                cells[f"{part}_{metric}"] = None if estimate is None else estimate.value
                if metric not in WITHOUT_INTERVAL and metric != EXPECTED:
                    cells |= {f"{part}_{metric}_low": low, f"{part}_{metric}_high": high}
        cells |= {"test_n": self.tested, "test_correct": self.correct(row)}
        low, high = (None, None) if row.difference is None else row.difference.interval or (None, None)
        value = None if row.difference is None else row.difference.value
        cells |= {"difference": value, "difference_low": low, "difference_high": high}
        cells |= {"p_value_vs_best": row.p_value_vs_best, "test_p_value_vs_best": row.test_p_value_vs_best}
        return {**cells, "verdict": row.verdict, "seconds": row.seconds}

    @property
    def metrics(self) -> tuple[str, ...]:
        """The names of the metrics of each row."""
        return tuple(LABEL_METRICS if self.multilabel else METRICS)

    @property
    def _shown_metrics(self) -> tuple[str, ...]:
        """The metrics and, for one label each, the calibration error that chance alone gives."""
        return self.metrics if self.multilabel else (*self.metrics, EXPECTED)

    @property
    def tested(self) -> int:
        """The number of test images; with several labels, of those with a known label."""
        return int(np.isfinite(self.y_test).any(axis=1).sum()) if self.multilabel else len(self.y_test)

    def correct(self, row: ClassifierResult) -> int | None:
        """Return how many test images a row predicts correctly; None where there are none.

        With several labels these are the images in which every known label is right at a probability of 0.5.
        """
        if row.test_probabilities is None or row.test_predicted is None:
            return None
        if self.multilabel:
            counted = np.isfinite(self.y_test).any(axis=1)
            return int(np.sum(right_images(self.y_test, row.test_probabilities) & counted))
        return int(np.sum(row.test_predicted == self.y_test))

    def _row_json(self, row: ClassifierResult) -> dict[str, Any]:
        return {
            "classifier": row.name,
            "kind": row.kind,
            "description": row.description,
            "cv": None if row.cv is None else row.cv[self.measure].to_json("mean"),
            "test": self._test_json(row),
            "difference": None if row.difference is None else row.difference.to_json("mean"),
            "p_value_vs_best": row.p_value_vs_best,
            "verdict": row.verdict,
            "metrics": {
                part: None if estimates is None else {name: each.to_json() for name, each in estimates.items()}
                for part, estimates in (("cv", row.cv), ("test", row.test))
            },
            "parameters": dict(row.parameters),
            **({"per_label": [each.to_json() for each in row.per_label]} if self.multilabel else {}),
            "seconds": None if row.seconds is None else round(row.seconds, 3),
        }

    def _test_json(self, row: ClassifierResult) -> dict[str, Any] | None:
        if row.test is None:
            return None
        counts = {"n": self.tested, "correct": self.correct(row)}
        areas = {"auc": "roc_auc", "average_precision": "average_precision"} if self.multilabel else {}
        return {
            **counts,
            **row.test["accuracy"].to_json("accuracy"),
            **{name: row.test[metric].value for name, metric in areas.items()},
            "p_value_vs_best": row.test_p_value_vs_best,
        }
