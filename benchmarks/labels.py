"""Heads for several labels of an image: beside logistic regression one-versus-rest on the same rows, and their speed.

    python benchmarks/labels.py [MANIFEST ...] [--weight-decay 0.1 2] [--backbone NAME] [--folds 5]
                                [--cache cache]
    python benchmarks/labels.py --speed [--rows 20000] [--width 1280] [--labels 14] [--epochs 3]

Without `--speed`, each manifest (see "several labels" in the documentation) and a seeded synthetic data set are
divided into folds; groups, and images with the same bytes, stay in one fold. For each fold a head is trained on the
rows of the other folds, of which it holds out validation rows, and scored on the fold's rows. Logistic regression is
fitted for each label on the rows where it is known, standardised, and its cross-validation chooses its penalty.
Prints one line of JSON for each data set and method, with means over the folds. The synthetic rows have known
chances, whose scores are the best that is possible.

With `--speed`, the engines train heads on random rows in turn; prints the seconds of the fastest epoch of each.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit
from sklearn.linear_model import LogisticRegressionCV
from sklearn.model_selection import GroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from featx import extract
from featx.data import group_ids, held_out_mask
from featx.heads import FitEngine, TrainingBatches, fit_epochs, make_fitter
from featx.heads.training import Labels, balanced_label_weights
from featx.recipes import Recipe, load_recipe
from featx.stats import LabelScore, Score, score_labels

Matrix = NDArray[np.float32]
# From training rows, their targets, the groups of both and new rows to the logits of new rows.
Fit = Callable[[Matrix, Matrix, list[str], Matrix], NDArray[np.float64]]
PENALTIES = np.logspace(-4, 1, 6)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, nargs="*")
    parser.add_argument("--weight-decay", type=float, nargs="+", default=[0.1, 2.0])
    parser.add_argument("--backbone", default="efficientnetlite0")
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--cache", type=Path, default=Path("cache"))
    parser.add_argument("--speed", action="store_true")
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--width", type=int, default=1280)
    parser.add_argument("--labels", type=int, default=14)
    parser.add_argument("--epochs", type=int, default=3)
    options = parser.parse_args()
    if options.speed:
        measure_speed(options.rows, options.width, options.labels, options.epochs)
        return
    decays = options.weight_decay
    for data in options.data:
        table = extract(data, backbone=options.backbone, cache=options.cache).table()
        assert table.targets is not None
        compare(data.name, table.X, table.targets, group_ids(table.digests, table.groups), decays, options.folds)
    X, targets, chances = synthetic()
    compare("synthetic", X, targets, [str(row) for row in range(len(X))], decays, options.folds)
    best = figures(score_labels(logit(chances), targets))
    print(json.dumps({"data": "synthetic", "rows": len(X), "method": "true chances", **_rounded(best)}))


def synthetic(n: int = 1500, width: int = 200, labels: int = 14) -> tuple[Matrix, Matrix, Matrix]:
    """Rows with labels that depend on them and on one another, a tenth unknown, and the chance of each label."""
    generator = np.random.default_rng(0)
    causes = generator.normal(size=(n, 8))
    X = causes @ generator.normal(size=(8, width)) + 2 * generator.normal(size=(n, width))
    z = causes @ generator.normal(size=(8, labels)) + logit(np.linspace(0.03, 0.4, labels))
    chances = expit(z)
    targets = (generator.random(z.shape) < chances).astype(np.float32)
    targets[generator.random(z.shape) < 0.1] = np.nan
    return (X / 5).astype(np.float32), targets, chances.astype(np.float32)


def compare(name: str, X: Matrix, targets: Matrix, groups: list[str], decays: Sequence[float], folds: int) -> None:
    """Print the scores of each method, means over the folds."""
    linear = load_recipe("linear")
    methods = {
        f"head, weight decay {decay:g}": head_of(linear.replaced({"fit.weight_decay": decay})) for decay in decays
    }
    methods["head, balanced"] = head_of(linear.replaced({"fit.class_weight": "balanced"}))
    methods["logistic regression one-versus-rest"] = one_versus_rest
    for method, fit in methods.items():
        start = time.perf_counter()
        scores = []
        for train, test in GroupKFold(folds, shuffle=True, random_state=0).split(X, groups=groups):
            with np.errstate(over="ignore"):
                logits = fit(X[train], targets[train], [groups[row] for row in train], X[test])
            scores.append(figures(score_labels(logits.astype(np.float32), targets[test])))
        mean = _rounded({key: float(np.mean([one[key] for one in scores])) for key in scores[0]})
        seconds = round((time.perf_counter() - start) / folds, 2)
        print(json.dumps({"data": name, "rows": len(X), "method": method, **mean, "seconds": seconds}), flush=True)


def figures(score: LabelScore) -> dict[str, float]:
    values = {"auc": score.auc, "average_precision": score.average_precision, "loss": score.loss}
    return {name: float(value or np.nan) for name, value in {**values, "all_right": score.accuracy}.items()}


def _rounded(values: dict[str, float]) -> dict[str, float]:
    return {name: round(value, 4) for name, value in values.items()}


def head_of(recipe: Recipe) -> Fit:
    """Return how featx trains a head, with validation rows held out as `fit_head` does."""

    def fit(X: Matrix, targets: Matrix, groups: list[str], new: Matrix) -> NDArray[np.float64]:
        rows = [f"{number:08}" for number in range(len(X))]
        part = recipe.fit
        held = held_out_mask(targets, rows, groups, part.validation, part.seed, purpose="validation", advice="")
        kept = targets[~held]
        weights = None if part.class_weight is None else balanced_label_weights(kept)
        fitter = make_fitter("auto", recipe, X.shape[1], targets.shape[1], weights, multilabel=True)
        batches = TrainingBatches(X[~held], kept, 1, part.batch_size, part.seed)

        def validate() -> Score:
            return score_labels(fitter.logits([X[held]]), targets[held], areas=False)

        for _ in fit_epochs(fitter, batches, validate, part):
            pass
        return fitter.logits([new]).astype(np.float64)

    return fit


def one_versus_rest(X: Matrix, targets: Matrix, groups: list[str], new: Matrix) -> NDArray[np.float64]:
    logits = np.empty((len(new), targets.shape[1]))
    for label, column in enumerate(targets.T):
        known = np.isfinite(column)
        regression = LogisticRegressionCV(
            Cs=PENALTIES, cv=3, scoring="neg_log_loss", max_iter=2000, l1_ratios=(0,), use_legacy_attributes=False
        )
        model = make_pipeline(StandardScaler(), regression).fit(X[known], column[known])
        logits[:, label] = model.decision_function(new)
    return logits


def measure_speed(rows: int, width: int, labels: int, epochs: int) -> None:
    """Print the fastest epoch of each engine, for several labels, for as many classes, and for two."""
    generator = np.random.default_rng(0)
    X = generator.random((rows, width), np.float32)
    classes = generator.integers(labels, size=rows)
    targets = (generator.random((rows, labels)) < 0.1).astype(np.float32)
    targets[generator.random((rows, labels)) < 0.1] = np.nan
    recipe = load_recipe("linear")
    two = recipe.replaced({"head.output": "sigmoid"})
    kinds: dict[str, tuple[Recipe, int, Labels]] = {
        f"{labels} labels": (two, labels, targets),
        f"{labels} classes": (recipe, labels, classes),
        "two classes, one sigmoid": (two, 2, classes % 2),
    }
    engines: tuple[FitEngine, ...] = ("fused", "keras")
    cases = {f"{engine}, {name}": (engine, *kind) for engine in engines for name, kind in kinds.items()}
    running = {name: _epochs(X, *case) for name, case in cases.items()}
    seconds: dict[str, list[float]] = {name: [] for name in running}
    for _ in range(epochs + 1):  # the first compiles
        for name, steps in running.items():
            seconds[name].append(next(steps))
    best = {name: min(values[1:]) for name, values in seconds.items()}
    reference = best[f"fused, {labels} labels"]
    for name, value in best.items():
        print(json.dumps({"case": name, "seconds": round(value, 3), "times": round(value / reference, 2)}))


def _epochs(X: Matrix, engine: FitEngine, recipe: Recipe, classes: int, labels: Labels) -> Iterator[float]:
    fitter = make_fitter(engine, recipe, X.shape[1], classes, multilabel=labels.ndim == 2)
    batches = TrainingBatches(X, labels, 1, recipe.fit.batch_size, 0)
    for number in range(1000):
        start = time.perf_counter()
        fitter.run_epoch(batches, number, 1e-3, False)
        yield time.perf_counter() - start


if __name__ == "__main__":
    main()
