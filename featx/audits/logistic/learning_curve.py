"""How many more images: accuracy by the number of training images, and a forecast."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from math import log
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from featx.audits.logistic.curve_points import CurvePoints, measure_points
from featx.audits.opened import AuditData
from featx.audits.parts import Part
from featx.errors import DataError
from featx.pages import Block, Table, Text, drawing
from featx.plots import draw_learning_curve
from featx.stats import PowerLaw, fit_power_law
from featx.text import count, decimal, interval_percent, percent

Interval = tuple[float, float]
Verdict = Literal["rises", "little more", "cannot tell"]

# Divisions into folds: up to so many images, so many.
REPEATS = ((1000, 5), (3000, 2))
# Numbers of more images that are forecast, as shares of those of a class that there are; rounded to 1, 2, 5, 10, ...
FACTORS = (0.5, 1.0, 2.0)
# Shares of images: a gain below is little, and a rise or gain whose interval is wider is unclear.
LITTLE, UNCLEAR = 0.01, 0.06
GRID = 80


@dataclass(frozen=True)
class Forecast:
    """The accuracy that is expected with more images.

    Attributes:
        per_class: Number of further training images for each class, on average.
        n: Number of all training images then.
        accuracy: The expected accuracy, 0 to 1.
        interval: Its 95 % interval.
        gain: How much it is above the accuracy that is expected with the images there are.
        gain_interval: The 95 % interval of the gain.
    """

    per_class: int
    n: int
    accuracy: float
    interval: Interval
    gain: float
    gain_interval: Interval

    def to_json(self) -> dict[str, Any]:
        """Return the attributes."""
        return {**vars(self), "interval": list(self.interval), "gain_interval": list(self.gain_interval)}


@dataclass(frozen=True)
class LearningCurve(Part):
    """Accuracy of logistic regression on the features by the number of training images.

    Attributes:
        sizes: (k,) mean numbers of images that were fitted on.
        accuracies: (k,) accuracies on images that were held out, 0 to 1.
        intervals: (k,) their 95 % intervals.
        law: The power law that was fitted to them.
        now: What it gives for all training images there are; its gain is 0.
        forecasts: What it gives for more.
        balanced: Whether the classes have about the same numbers of images.
        rise: The 95 % interval of the rise from the smallest to the largest size.
        grid: (m,) numbers of images, of a drawing.
        band: (m,) the ends of the 95 % interval of the law at these.
    """

    key: ClassVar[str] = "learning_curve"
    title: ClassVar[str] = "How many more images?"

    sizes: tuple[float, ...]
    accuracies: tuple[float, ...]
    intervals: tuple[Interval, ...]
    law: PowerLaw
    now: Forecast
    forecasts: tuple[Forecast, ...]
    balanced: bool
    rise: Interval
    grid: NDArray[np.float64]
    band: tuple[NDArray[np.float64], NDArray[np.float64]]

    @property
    def verdict(self) -> Verdict:
        """Whether more images would help: `rises`, `little more` or `cannot tell`."""
        gain = self._double.gain_interval
        unseen = self.rise[0] <= 0 and self.rise[1] - self.rise[0] > UNCLEAR
        if unseen or gain[1] - gain[0] > UNCLEAR:
            return "cannot tell"
        return "rises" if self._double.gain >= LITTLE else "little more"

    def to_json(self) -> dict[str, Any]:
        """Return the points, the law, what it forecasts, and the verdict."""
        law = {"asymptote": self.law.asymptote, "scale": self.law.scale, "exponent": self.law.exponent}
        return {
            "sizes": [round(size, 1) for size in self.sizes],
            "accuracy": list(self.accuracies),
            "interval": [list(interval) for interval in self.intervals],
            "fit": {**{name: float(value) for name, value in law.items()}, "unit": self.law.unit},
            "now": {"n": self.now.n, "accuracy": self.now.accuracy, "interval": list(self.now.interval)},
            "forecast": [forecast.to_json() for forecast in self.forecasts],
            "verdict": self.verdict,
        }

    def summary(self) -> tuple[str, ...]:
        """Return the accuracy with the images there are, and what more would give."""
        first, last = self.accuracies[0], self.accuracies[-1]
        seen = (
            f"From {self.sizes[0]:,.0f} to {self.sizes[-1]:,.0f} training images, the accuracy of logistic "
            f"regression on the features goes from {percent(first)} to {percent(last)}, on images that it had not "
            f"seen; with all {count(self.now.n)} it would be about {_with_interval(self.now)}."
        )
        return seen, self._sentence()

    def blocks(self, data: AuditData, prefix: str) -> tuple[Block, ...]:
        """Return the drawing, the forecasts, the points and the method."""
        rows = tuple(
            (
                f"{one.per_class:,} more" if one.per_class else "as now",
                count(one.n),
                percent(one.accuracy),
                interval_percent(one.interval),
                _points(one.gain) if one.per_class else "",
                f"{_points(one.gain_interval[0])} to {_points(one.gain_interval[1])}" if one.per_class else "",
            )
            for one in (self.now, *self.forecasts)
        )
        header = ("images for each class", "training images", "accuracy", "95 % interval", "gain", "95 % interval")
        law = (
            f"accuracy = {decimal(float(self.law.asymptote))} \N{MINUS SIGN} {decimal(float(self.law.scale))} × "
            f"(n / {self.law.unit:,.0f})^\N{MINUS SIGN}{decimal(float(self.law.exponent), 2)}"
        )
        points = tuple(
            (f"{size:,.0f}", percent(accuracy), interval_percent(interval))
            for size, accuracy, interval in zip(self.sizes, self.accuracies, self.intervals, strict=True)
        )
        return (
            drawing(self._draw, f"{prefix}curve", self._described(), f"Points: held-out images. Line: {law}."),
            Table(f"What more images {_kind(self.balanced)} would give; gains in percentage points.", header, rows),
            Table(
                "The points of the curve.",
                ("training images", "accuracy", "95 % interval"),
                points,
                fold="The points of the curve",
            ),
            Text(METHOD),
        )

    def table(self) -> tuple[Sequence[str], Sequence[Sequence[Any]]]:
        """Return points and forecasts, one a row."""
        header = ("kind", "training_images", "accuracy", "low", "high")
        rows: list[Sequence[Any]] = [
            ("held out", size, accuracy, *interval)
            for size, accuracy, interval in zip(self.sizes, self.accuracies, self.intervals, strict=True)
        ]
        forecasts = [("forecast", one.n, one.accuracy, *one.interval) for one in (self.now, *self.forecasts)]
        return header, [*rows, *forecasts]

    @property
    def _double(self) -> Forecast:
        """The forecast for about as many more images as there are."""
        return self.forecasts[min(1, len(self.forecasts) - 1)]

    def _sentence(self) -> str:
        one = self._double
        more = f"{count(one.per_class)} per class"
        if not self.balanced:
            more = f"{count(one.n - self.now.n)} images {_kind(self.balanced)}"
        low, high = one.gain_interval
        if self.verdict == "little more":
            return f"More images of the same kind would change little: another {more} would add {_range(low, high)}."
        if self.verdict == "cannot tell":
            return (
                "These images are too few, or their accuracy rises too little, to tell what more would give: another "
                f"{more} would add {_range(low, high)}."
            )
        return f"Another {more} would give about {_with_interval(one)}, which is {_range(low, high)} more."

    def _draw(self) -> Any:
        return draw_learning_curve(
            self.sizes,
            self.accuracies,
            self.intervals,
            self.grid,
            self.law.at(self.grid),
            self.band,
            self.now.n,
        )

    def _described(self) -> str:
        return (
            f"Accuracy by the number of training images, on a logarithmic axis: {percent(self.accuracies[0])} with "
            f"{self.sizes[0]:,.0f}, {percent(self.accuracies[-1])} with {self.sizes[-1]:,.0f}, and a fitted curve "
            f"that reaches {percent(self.forecasts[-1].accuracy)} with {count(self.forecasts[-1].n)}."
        )


METHOD = (
    "Logistic regression was fitted on parts of the training images, each part within the next larger one, and "
    "scored on images of groups that it had not seen. An inverse power law was fitted to the accuracies by least "
    "squares, weighted by the number of images (Figueroa and others 2012). Its interval comes from bootstrap "
    "samples of the groups and of the repeats, and is at least as wide as Wilson's. It holds for more images of the "
    "same kind and from the same places: images from elsewhere may give less or more."
)


def examine_learning_curve(data: AuditData) -> LearningCurve:
    """Fit a power law to the accuracy by the number of training images.

    Raises:
        DataError: An image may have several labels, or a class has too few training images.
    """
    if data.multilabel:
        raise DataError("A learning curve is made only for one label for each image.")
    held_out = data.out_of_fold
    rows, cost = held_out.rows, held_out.cost
    repeats = next((number for most, number in REPEATS if len(rows) <= most), 1)
    y = data.y[rows]
    X = data.source.table.X[rows]
    return curve_of(measure_points(X, y, data.groups[rows], data.classes, cost, repeats, data.seed), y, data.seed)


def curve_of(points: CurvePoints, y: NDArray[np.int64], seed: int) -> LearningCurve:
    """Return the law of measured points, with its forecasts.

    Args:
        points: Accuracies at several sizes.
        y: (n,) class numbers of all training images.
        seed: Seed of the bootstrap samples.
    """
    sizes, samples = points.sizes, points.samples(seed)
    law, laws = fit_power_law(sizes, points.accuracies), fit_power_law(sizes, samples)
    n, counts = len(y), np.bincount(y)
    classes = int(np.sum(counts > 0))
    forecast = partial(_forecast, points, law, laws, n, classes)
    more = sorted({_round(factor * n / classes) for factor in FACTORS})
    forecasts = tuple(forecast(per_class) for per_class in more)
    grid = np.geomspace(sizes[0], forecasts[-1].n, GRID)
    low, high = np.percentile(laws.at(grid), [2.5, 97.5], axis=0)
    rise = np.percentile(samples[:, -1] - samples[:, 0], [2.5, 97.5])
    return LearningCurve(
        tuple(sizes.tolist()),
        tuple(points.accuracies.tolist()),
        tuple(points.intervals()),
        law,
        forecast(0),
        forecasts,
        bool(counts.max() <= 1.25 * counts[counts > 0].min()),
        (float(rise[0]), float(rise[1])),
        grid,
        (low, high),
    )


def _forecast(points: CurvePoints, law: PowerLaw, laws: PowerLaw, n: int, classes: int, per_class: int) -> Forecast:
    """Return what a law gives for further images of each class, with the intervals of laws of bootstrap samples."""
    then = n + classes * per_class
    at_now, at_then = law.at([n, then]).tolist()
    samples = laws.at([n, then])
    low, high = np.percentile(samples[:, 1], [2.5, 97.5]).tolist()
    gain_low, gain_high = np.percentile(samples[:, 1] - samples[:, 0], [2.5, 97.5]).tolist()
    # Samples of images that are all right do not vary.
    least, most = points.interval(len(points.sizes) - 1, at_then)
    return Forecast(
        per_class, then, at_then, (min(low, least), max(high, most)), at_then - at_now, (gain_low, gain_high)
    )


def _round(number: float) -> int:
    """Return the number of 1, 2, 5, 10, 20, ... whose ratio to a number is nearest to 1."""
    series: list[int] = [step * 10**power for power in range(10) for step in (1, 2, 5)]
    return min(series, key=lambda step: abs(log(step / number)))


def _with_interval(forecast: Forecast) -> str:
    return f"{percent(forecast.accuracy)} ({interval_percent(forecast.interval)})"


def _points(share: float) -> str:
    return decimal(100 * share, 1)


def _range(low: float, high: float) -> str:
    return f"{_points(low)} to {_points(high)} percentage points"


def _kind(balanced: bool) -> str:
    return "of the same kind" if balanced else "in the same mix of classes"
