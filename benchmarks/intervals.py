"""How often 95 % intervals hold the true value, and how often equal classifiers are told apart, in simulations.

    python benchmarks/intervals.py [accuracy] [metrics] [paired] [best] [--repetitions 1000]

Prints, for each kind of interval, the share of repetitions that hold the true value: over all scenes, in the worst
and in the best scene.
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from featx.stats import METRICS, class_intervals, difference_of_shares, grouped_share, held_out_difference, wilson

Matrix = NDArray[np.float64]


def report(name: str, coverages: list[float]) -> None:
    """Print the coverage over scenes."""
    shares = np.array(coverages)
    inside = np.mean((shares >= 0.93) & (shares <= 0.97))
    print(
        f"{name:32} mean {shares.mean():.3f}, worst {shares.min():.3f}, best {shares.max():.3f}; "
        f"93 to 97 % in {100 * inside:.0f} % of {len(shares)} scenes, below 90 % in {np.sum(shares < 0.9)}",
        flush=True,
    )


def accuracy(repetitions: int) -> None:
    """Accuracy of 10 to 200 groups of 1 to 10 images with a correlation within groups of 0 to 1."""
    generator = np.random.default_rng(0)
    grouped, plain = [], []
    for most, groups, p, icc in itertools.product(
        (4, 10), (10, 20, 36, 100, 200), (0.5, 0.7, 0.8, 0.9, 0.95, 0.99), (0.0, 0.1, 0.3, 0.6, 1.0)
    ):
        hits = np.zeros(2)
        for _ in range(repetitions):
            owner = np.repeat(np.arange(groups), generator.integers(1, most + 1, groups))
            correct = generator.random(len(owner)) < rates(p, icc, groups, generator)[owner]
            low, high = grouped_share(correct, owner).interval
            plain_low, plain_high = wilson(int(correct.sum()), len(owner))
            hits += (low <= p <= high, plain_low <= p <= plain_high)
        grouped.append(hits[0] / repetitions)
        plain.append(hits[1] / repetitions)
    report("accuracy, groups ignored", plain)
    report("accuracy, effective n", grouped)


def rates(p: float, icc: float, groups: int, generator: np.random.Generator) -> Matrix:
    """Return the probability of a right image in each group: a beta distribution with a mean of p."""
    if icc == 0:
        return np.full(groups, p)
    if icc == 1:
        return (generator.random(groups) < p).astype(np.float64)
    return generator.beta(p * (1 - icc) / icc, (1 - p) * (1 - icc) / icc, groups)


def predictions(
    generator: np.random.Generator, sizes: NDArray[np.int64], shares: tuple[float, ...], apart: float, icc: float
) -> tuple[NDArray[np.int64], Matrix, NDArray[np.int64]]:
    """Return classes, probabilities and groups; the images of a group are of one class and share noise."""
    owner, classes = np.repeat(np.arange(len(sizes)), sizes), len(shares)
    y = generator.choice(classes, len(sizes), p=shares)[owner]
    common = generator.standard_normal((len(sizes), classes))[owner]
    own = generator.standard_normal((len(owner), classes))
    scores = np.exp(apart * np.eye(classes)[y] + np.sqrt(icc) * common + np.sqrt(1 - icc) * own)
    return y, scores / scores.sum(axis=1, keepdims=True), owner


def metrics(repetitions: int) -> None:
    """Balanced accuracy, macro F1 and area of two and four classes, from hard to nearly perfect."""
    generator = np.random.default_rng(0)
    coverages: dict[str, list[float]] = {"balanced_accuracy": [], "macro_f1": [], "roc_auc": []}
    all_shares = ((0.5, 0.5), (0.8, 0.2), (0.25,) * 4, (0.5, 0.3, 0.1, 0.1))
    scenes = ((36, 1, 0.0), (150, 1, 0.0), (36, 4, 0.5), (36, 10, 0.9), (100, 4, 0.5))
    for shares, apart in itertools.product(all_shares, (1.0, 2.5, 4.0)):
        y, P, _ = predictions(generator, np.ones(200_000, np.int64), shares, apart, 0.0)
        truth = {name: float(METRICS[name](y, P, np.ones((1, len(y))))[0]) for name in coverages}
        for groups, most, icc in scenes:
            hits, counted = dict.fromkeys(coverages, 0), dict.fromkeys(coverages, 0)
            for _ in range(repetitions):
                sizes = generator.integers(1, most + 1, groups)
                ends = class_intervals(*predictions(generator, sizes, shares, apart, icc))
                for name, value in truth.items():
                    if (interval := ends[name]) is not None:
                        hits[name] += interval[0] <= value <= interval[1]
                        counted[name] += 1
            for name in coverages:
                coverages[name].append(hits[name] / counted[name])
    for name, values in coverages.items():
        report(name, values)


def paired(repetitions: int) -> None:
    """Difference of two accuracies on the same images, from unlike to nearly the same classifiers."""
    generator = np.random.default_rng(0)
    coverages = []
    for groups, most, p, copied in itertools.product((36, 150), (1, 4), (0.7, 0.95), (0.0, 0.5, 0.9)):
        hits = 0
        for _ in range(repetitions):
            owner = np.repeat(np.arange(groups), generator.integers(1, most + 1, groups))
            one = generator.random(len(owner)) < rates(p, 0.5, groups, generator)[owner]
            own = generator.random(len(owner)) < rates(p - 0.05, 0.5, groups, generator)[owner]
            other = np.where((generator.random(groups) < copied)[owner], one, own)
            low, high = difference_of_shares(one, other, owner)
            hits += low <= 0.05 * (1 - copied) <= high
        coverages.append(hits / repetitions)
    report("paired difference", coverages)


def best(repetitions: int) -> None:
    """How often one of eight equal classifiers is called worse than the best of the same folds."""
    generator = np.random.default_rng(0)
    for n, noise, repeats in itertools.product((60, 120), (0.3, 1.0, 3.0), (1, 2, 5)):
        wrong = 0
        for _ in range(repetitions):
            right = equal_classifiers(generator, n, noise, repeats)
            chosen = right[int(right.mean(axis=1).argmax())]
            behind = chosen - right
            # The one with the smallest p; the others need not be computed.
            last = int((behind.mean(axis=1) / (behind.std(axis=1) + 1e-9)).argmax())
            compared = held_out_difference(right[last], chosen, np.arange(n), folds=5, classifiers=len(right))
            wrong += compared.p_value < 0.05
        print(f"n = {n}, noise {noise}, 5 folds × {repeats}: called worse in {wrong / repetitions:.3f}", flush=True)


def equal_classifiers(generator: np.random.Generator, n: int, noise: float, repeats: int) -> Matrix:
    """Return how often eight nearest-centroid classifiers are right on each image, as shares of the repeats.

    Each has its own noisy copy of the same features, so that all are equally good.
    """
    y = generator.permutation(np.arange(n) % 2)
    base = 0.3 * (2 * y - 1)[:, None] + generator.standard_normal((n, 4))
    copies = [base + noise * generator.standard_normal((n, 4)) for _ in range(8)]
    right = np.zeros((len(copies), n))
    for fold in folds_of(generator, n, repeats):
        for number, X in enumerate(copies):
            right[number, fold] += held_out(X, y, fold) / repeats
    return right


def folds_of(generator: np.random.Generator, n: int, repeats: int) -> Iterator[NDArray[np.bool_]]:
    """Yield which images each of five folds holds out, repeat by repeat."""
    for _ in range(repeats):
        numbers = generator.permutation(np.arange(n) % 5)
        for fold in range(5):
            yield numbers == fold


def held_out(X: Matrix, y: NDArray[np.int64], fold: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return which images of a fold the classifier is right on that is fitted on the others."""
    zero, one = (X[~fold & (y == kind)].mean(axis=0) for kind in (0, 1))
    return np.asarray((X[fold] @ (one - zero) > (one @ one - zero @ zero) / 2) == y[fold])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parts = {"accuracy": accuracy, "metrics": metrics, "paired": paired, "best": best}
    parser.add_argument("parts", nargs="*", choices=[[], *parts], help="what to simulate; all if none is given")
    parser.add_argument("--repetitions", type=int, default=1000)
    chosen = parser.parse_args()
    for part in chosen.parts or parts:
        parts[part](chosen.repetitions)
