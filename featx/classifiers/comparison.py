"""What a comparison of classifiers found: numbers and arrays for tables, pictures and files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from featx.frames import frame
from featx.runs import Layer, Source
from featx.stats import METRICS, WITHOUT_INTERVAL

Kind = Literal["classifier", "baseline", "head"]
Verdict = Literal["best", "indistinguishable", "worse", "better"]


@dataclass(frozen=True)
class Estimate:
    """A figure with its 95 % interval.

    Attributes:
        value: The figure; NaN where it is not defined.
        interval: Both ends; None where none can be given.
    """

    value: float
    interval: tuple[float, float] | None = None

    def to_json(self, name: str = "value") -> dict[str, Any]:
        """Return `{name: value, interval}`."""
        return {name: self.value, "interval": None if self.interval is None else list(self.interval)}


@dataclass(frozen=True)
class ClassifierResult:
    """One row of a comparison.

    Attributes:
        name: As in `--classifiers`; `head` is the run's own head.
        kind: A classifier, a baseline, or the head.
        description: What it is and what its rows go through, in a sentence.
        fold_scores: By metric, (repeats * folds,) figures on the held-out rows, repeat by repeat; None for the head.
        fold_parameters: What was chosen inside each of these folds.
        cv: By metric, mean and interval over the folds; None for the head.
        cv_probabilities: (repeats, n_train, classes) probabilities of each training image by the model that had not
            seen it; None for the head.
        parameters: What was chosen on the whole training part.
        test: By metric, figure and interval on the test images; None where there are none.
        test_probabilities: (n_test, classes), rows adding up to 1; None where there are none.
        p_value_vs_best: Of the corrected resampled t on accuracy in the folds, after Holm's correction; the head's
            is that of the test images. None for the best itself and where there is nothing to test.
        test_p_value_vs_best: Of McNemar's exact test, after Holm's correction; None in the same cases.
        verdict: Against the best, at 5 %.
        seconds: Of choosing, fitting and predicting in all folds and on the test part; None for the head.
    """

    name: str
    kind: Kind
    description: str
    fold_scores: Mapping[str, NDArray[np.float64]] | None
    fold_parameters: tuple[Mapping[str, Any], ...]
    cv: Mapping[str, Estimate] | None
    cv_probabilities: NDArray[np.float64] | None
    parameters: Mapping[str, Any]
    test: Mapping[str, Estimate] | None
    test_probabilities: NDArray[np.float64] | None
    p_value_vs_best: float | None = None
    test_p_value_vs_best: float | None = None
    verdict: Verdict | None = None
    seconds: float | None = None

    @property
    def test_predicted(self) -> NDArray[np.int64] | None:
        """(n_test,) numbers of the most probable classes; None where there is no test part."""
        return None if self.test_probabilities is None else self.test_probabilities.argmax(axis=1)


@dataclass(frozen=True)
class Comparison:
    """Classifiers beside one another, on the same folds and the same test images.

    Attributes:
        name: The run's or the data's folder name, for titles.
        layer: Which features were classified.
        classes: In the order of the probabilities' columns.
        rows: By mean accuracy in the folds, best first, baselines in their place; a run's head stands last.
        best: The name of the row with the highest mean accuracy in the folds.
        folds: Folds a repeat.
        repeats: How often the training part was divided anew.
        seed: Of all that is random.
        y_train: (n_train,) class numbers.
        y_test: (n_test,) class numbers; empty where there is no test part.
        fold_of: (repeats, n_train) the fold in which each training image was held out.
        train: The training part's images: splits train and val; it also knows those that could not be read.
        test: The test part's images; None where there are none.
        notes: What a reader must know before believing the numbers, in sentences.
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
    y_train: NDArray[np.int64]
    y_test: NDArray[np.int64]
    fold_of: NDArray[np.int64]
    train: Source = field(repr=False)
    test: Source | None = field(repr=False)
    notes: tuple[str, ...] = ()
    seconds: float = 0.0

    def row(self, name: str) -> ClassifierResult:
        """Return the row of a classifier's name.

        Raises:
            KeyError: It is not among the rows.
        """
        return {row.name: row for row in self.rows}[name]

    def to_json(self) -> dict[str, Any]:
        """Return the JSON of `featx compare`."""
        return {
            "name": self.name,
            "layer": self.layer,
            "classes": list(self.classes),
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
        """Return a pandas DataFrame with a line a row, as in `comparison.csv`.

        Raises:
            UsageError: pandas is not installed.
        """
        lines = [self.line(row) for row in self.rows]
        return frame({name: [line[name] for line in lines] for name in lines[0]})

    def line(self, row: ClassifierResult) -> dict[str, Any]:
        """Return a row as one line of a table; None where a cell is empty."""
        cells: dict[str, Any] = {"classifier": row.name, "kind": row.kind}
        for part, estimates in (("cv", row.cv), ("test", row.test)):
            for metric in METRICS:
                known = None if estimates is None else estimates.get(metric)
                low, high = (None, None) if known is None or known.interval is None else known.interval
                cells[f"{part}_{metric}"] = None if known is None else known.value
                if metric not in WITHOUT_INTERVAL:
                    cells |= {f"{part}_{metric}_low": low, f"{part}_{metric}_high": high}
        cells |= {"test_n": len(self.y_test), "test_correct": self.correct(row)}
        cells |= {"p_value_vs_best": row.p_value_vs_best, "test_p_value_vs_best": row.test_p_value_vs_best}
        return {**cells, "verdict": row.verdict, "seconds": row.seconds}

    def correct(self, row: ClassifierResult) -> int | None:
        """Return how many test images a row gets right; None where there are none."""
        return None if row.test_predicted is None else int(np.sum(row.test_predicted == self.y_test))

    def _row_json(self, row: ClassifierResult) -> dict[str, Any]:
        parts = {"cv": row.cv, "test": row.test}
        return {
            "classifier": row.name,
            "kind": row.kind,
            "description": row.description,
            "cv": None if row.cv is None else row.cv["accuracy"].to_json("mean"),
            "test": self._test_json(row),
            "p_value_vs_best": row.p_value_vs_best,
            "verdict": row.verdict,
            "metrics": {
                part: None if known is None else {name: figure.to_json() for name, figure in known.items()}
                for part, known in parts.items()
            },
            "parameters": dict(row.parameters),
            "seconds": None if row.seconds is None else round(row.seconds, 3),
        }

    def _test_json(self, row: ClassifierResult) -> dict[str, Any] | None:
        if row.test is None:
            return None
        counts = {"n": len(self.y_test), "correct": self.correct(row)}
        return {**counts, **row.test["accuracy"].to_json("accuracy"), "p_value_vs_best": row.test_p_value_vs_best}
