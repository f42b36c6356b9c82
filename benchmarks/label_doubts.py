"""Planted wrong labels: how many the audit finds, how many right ones it doubts, by rule; and forecasts of accuracy.

    python benchmarks/label_doubts.py [DATA ...] [--backbone NAME] [--seeds 3] [--cache cache]
    python benchmarks/label_doubts.py --curve [DATA ...] [--draws 10] [--cache cache]

Each DATA, generated phantoms and scikit-learn's digits get wrong labels: 0, 2, 5 and 10 % of the images, at random or
exchanged within pairs of classes. Prints one line of JSON for each data set, rate, kind and rule: wrong labels
planted and found, right labels in doubt, and the share of wrong labels among as many first places of the ranking.
`featx` is what the audit does: both rules of confident learning, in two rounds.

With `--curve`, half of the images of each class are drawn, and a learning curve of these forecasts the accuracy at
four fifths of all images, which is then measured. Prints the mean and the mean absolute error of the forecasts, that
of taking the accuracy as it is, and how often the interval has the accuracy that was measured.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_digits

from featx import extract
from featx.audits.logistic import confident
from featx.audits.logistic.curve_points import measure_points
from featx.audits.logistic.held_out import out_of_fold
from featx.audits.logistic.label_doubts import REPEATS, probabilities_in_two_rounds
from featx.audits.logistic.learning_curve import curve_of
from featx.phantoms import write_phantoms

Matrix = NDArray[np.float32]
Labels = NDArray[np.int64]
PLANS = ((0.0, "none"), (0.02, "random"), (0.05, "random"), (0.1, "random"), (0.05, "pairs"), (0.1, "pairs"))
DIGITS = 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, nargs="*")
    parser.add_argument("--backbone", default="efficientnetlite0")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--draws", type=int, default=10)
    parser.add_argument("--cache", type=Path, default=Path("cache"))
    parser.add_argument("--curve", action="store_true")
    options = parser.parse_args()
    for name, X, y in data_sets(options.data, options.backbone, options.cache):
        if options.curve:
            forecast(name, X, y, options.draws)
        else:
            doubt(name, X, y, options.seeds)


def data_sets(folders: Sequence[Path], backbone: str, cache: Path) -> Iterator[tuple[str, Matrix, Labels]]:
    """Features and class numbers of each data set."""
    with TemporaryDirectory() as folder:
        phantoms = write_phantoms(Path(folder) / "phantoms", train=100, test=0, seed=3)
        for data in (*folders, phantoms):
            table = extract(data, backbone=backbone, views=1, cache=cache).table()
            yield data.name, table.X, np.unique(np.array(table.labels), return_inverse=True)[1]
    digits = load_digits()
    yield "digits", digits.data[:DIGITS].astype(np.float32), digits.target[:DIGITS]


def doubt(name: str, X: Matrix, y: Labels, seeds: int) -> None:
    """Plant wrong labels and print what each rule finds."""
    for rate, kind in PLANS:
        counts: dict[str, list[tuple[float, ...]]] = {}
        for seed in range(seeds):
            given = planted(y, rate, kind, np.random.default_rng(seed))
            wrong = given != y
            for rule, (taken, own) in taken_by(X, given, seed).items():
                first = np.argsort(own, kind="stable")[: wrong.sum()]
                ranked = float(wrong[first].mean()) if wrong.any() else np.nan
                row = (float((taken & wrong).sum()), float((taken & ~wrong).sum()), ranked)
                counts.setdefault(rule, []).append(row)
        for rule, rows in counts.items():
            found, false, ranked = np.mean(rows, axis=0)
            facts = {"data": name, "rows": len(y), "rate": rate, "kind": kind, "planted": int(wrong.sum())}
            share = None if np.isnan(ranked) else round(float(ranked), 3)
            result = {"rule": rule, "found": round(found, 1), "false": round(false, 1), "first_places": share}
            print(json.dumps(facts | result), flush=True)


def taken_by(X: Matrix, given: Labels, seed: int) -> dict[str, tuple[NDArray[np.bool_], NDArray[np.float64]]]:
    """By rule: which labels are in doubt, and the probability of each label."""
    rows, names = np.arange(len(given)), [str(label) for label in range(given.max() + 1)]
    P = out_of_fold(X, given, rows, rows, names, seed, REPEATS).probabilities
    again = probabilities_in_two_rounds(X, given, rows, names, seed)[1]
    own, own_again = P[rows, given], again[rows, given]
    of_class = confident.confident_classes(P, given)
    rules: dict[str, Callable[[], NDArray[np.bool_]]] = {
        "another class is most probable": lambda: P.argmax(axis=1) != given,
        "confident joint": lambda: (of_class >= 0) & (of_class != given),
        "by class": lambda: confident.by_class(P, given),
        "by noise rate": lambda: confident.by_noise_rate(P, given),
        "both": lambda: confident.doubtful(P, given),
        "probability below 0.1": lambda: own < 0.1,
    }
    return {rule: (take(), own) for rule, take in rules.items()} | {
        "featx": (confident.doubtful(again, given), own_again)
    }


def planted(y: Labels, rate: float, kind: str, generator: np.random.Generator) -> Labels:
    """Labels of which a share is wrong."""
    given, classes = y.copy(), int(y.max()) + 1
    chosen = generator.choice(len(y), round(rate * len(y)), replace=False)
    if kind == "random":
        given[chosen] = (y[chosen] + generator.integers(1, classes, len(chosen))) % classes
    elif kind == "pairs":
        given[chosen] = np.minimum(y[chosen] ^ 1, classes - 1)
    return given


def forecast(name: str, X: Matrix, y: Labels, draws: int) -> None:
    """Forecast from halves of the images, and print the errors."""
    rows, names = np.arange(len(y)), [str(label) for label in range(y.max() + 1)]
    cost = out_of_fold(X, y, rows, rows, names, 0).cost
    whole = measure_points(X, y, rows, names, cost, 5, 0)
    seen, n = float(whole.accuracies[-1]), float(whole.sizes[-1])
    results = []
    for draw in range(draws):
        generator = np.random.default_rng(draw)
        parts = [generator.permutation(np.flatnonzero(y == label)) for label in range(y.max() + 1)]
        half = np.concatenate([part[: len(part) // 2] for part in parts])
        own, of_half = np.arange(len(half)), y[half]
        cost = out_of_fold(X[half], of_half, own, own, names, draw).cost
        points = measure_points(X[half], of_half, own, names, cost, 5, draw)
        curve = curve_of(points, of_half, draw)
        at = float(curve.law.at([n])[0])
        low, high = (float(np.interp(n, curve.grid, end)) for end in curve.band)
        least, most = points.interval(len(points.sizes) - 1, at)
        results.append(
            (at - seen, abs(at - seen), abs(points.accuracies[-1] - seen), min(low, least) <= seen <= max(high, most))
        )
    error, absolute, as_it_is, held = np.mean(results, axis=0).tolist()
    facts = {
        "data": name,
        "rows": len(y),
        "from": round(float(points.sizes[-1])),
        "to": round(n),
        "seen": round(seen, 3),
    }
    errors = {"mean_error": round(error, 4), "absolute_error": round(absolute, 4), "as_it_is": round(as_it_is, 4)}
    print(json.dumps(facts | errors | {"held": held, "draws": draws}), flush=True)


if __name__ == "__main__":
    main()
