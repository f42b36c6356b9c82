"""Cross-validated accuracy and loss of heads on several data sets, beside logistic regression on the same folds.

    python benchmarks/heads.py DATA [DATA ...] [--recipes linear,mlp] [--set FIELD=VALUES ...] [--backbone NAME]
                               [--weights FILE] [--folds 5] [--repeats 1] [--logistic] [--cache cache]

A candidate is a recipe with one combination of the values after `--set`, as in `featx sweep`. For each fold, featx
trains a head on the other folds' images, of which it holds out validation images, and scores it on the fold's images.
A split `test` or `val` of the data is never read. Groups, and images with the same bytes, stay in one fold. Logistic
regression is fitted to all images of the other folds, whose cross-validation chooses its penalty, on standardised
features and on features as they are. Prints one line of JSON for each data set and candidate, and at the end a table
in Markdown. The mean rank is the place by loss among the candidates; 1 is the best.
"""

from __future__ import annotations

import argparse
import itertools
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import rankdata
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, StratifiedGroupKFold, StratifiedKFold
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from featx.data import group_ids, read_data
from featx.features import Extraction, extract_dataset
from featx.heads import fit_rows
from featx.recipes import Recipe, load_recipe, with_fields
from featx.stats import Score, score
from featx.sweeps import parsed_setting

COSTS = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)


@dataclass(frozen=True)
class Outcome:
    """The score on the test images of one fold, and the number of epochs; 0 where there are none."""

    test: Score
    epochs: int


# From the images of a fold, those of the other folds as `train` and its own as `test`, to its outcome.
Fit = Callable[[Extraction, int], Outcome]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, nargs="+")
    parser.add_argument("--recipes", default="linear,mlp")
    parser.add_argument("--set", action="append", default=[], metavar="FIELD=VALUES")
    parser.add_argument("--backbone", default="efficientnetlite0")
    parser.add_argument("--weights", default="imagenet")
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--logistic", action="store_true")
    parser.add_argument("--cache", type=Path, default=Path("cache"))
    options = parser.parse_args()
    recipes = candidates(options)
    fits: dict[str, Fit] = {name: fit_of(recipe) for name, recipe in recipes.items()}
    if options.logistic:
        fits |= {f"logistic, {space}": logistic_of(space) for space in ("standardised", "as they are")}
    table: dict[str, dict[str, Score]] = {}
    for data in options.data:
        extraction = extracted(data, next(iter(recipes.values())), options.cache)
        name = f"{data.name}, {options.backbone}"
        table[name] = {}
        for candidate, fit in fits.items():
            start = time.perf_counter()
            splits = folds_of(extraction, options.folds, options.repeats)
            outcomes = [fit(part, seed) for part, seed in splits]
            table[name][candidate] = together([outcome.test for outcome in outcomes])
            row = {
                "data": name,
                "candidate": candidate,
                "classes": len(extraction.dataset.classes),
                **table[name][candidate].to_json(),
                "epochs": [outcome.epochs for outcome in outcomes],
                "seconds": round((time.perf_counter() - start) / len(outcomes), 2),
            }
            print(json.dumps(row), flush=True)
    print_table(table)


def candidates(options: argparse.Namespace) -> dict[str, Recipe]:
    """Return the recipes with every combination of the values to try, by name."""
    grid = dict(parsed_setting(text) for text in options.set)
    network = {"backbone.name": options.backbone, "backbone.weights": options.weights}
    chosen = {}
    for name in options.recipes.split(","):
        recipe = with_fields(load_recipe(name), network)
        for values in itertools.product(*grid.values()):
            changes = dict(zip(grid, values, strict=True))
            label = " ".join([name, *(f"{field.rpartition('.')[2]}={value}" for field, value in changes.items())])
            chosen[label] = with_fields(recipe, changes) if changes else recipe
    return chosen


def extracted(data: Path, recipe: Recipe, cache: Path) -> Extraction:
    """Return the features of the train split, in the order of the images' content."""
    train = read_data(data)
    train = replace(train, items=train.split("train"))
    extraction = extract_dataset(train, recipe, cache=cache)
    images = sorted(extraction.images, key=lambda image: (image.digest, image.item.id))
    return replace(extraction, images=tuple(images))


def folds_of(extraction: Extraction, folds: int, repeats: int) -> Iterator[tuple[Extraction, int]]:
    """Yield each fold as the split `test`, the other images as `train`, and a seed."""
    images = extraction.images
    labels = [str(image.item.label) for image in images]
    groups = group_ids([image.digest for image in images], [image.item.group for image in images])
    for repeat in range(repeats):
        folding = StratifiedGroupKFold(folds, shuffle=True, random_state=repeat)
        for number, (_, held) in enumerate(folding.split(labels, labels, groups)):
            test = set(held.tolist())
            split = (
                replace(image, item=replace(image.item, split="test" if index in test else "train"))
                for index, image in enumerate(images)
            )
            yield replace(extraction, images=tuple(split)), repeat * folds + number


def fit_of(recipe: Recipe) -> Fit:
    """Return the function that trains and tests a head."""

    def fit(extraction: Extraction, seed: int) -> Outcome:
        trained = fit_rows(extraction, with_fields(recipe, {"fit.seed": seed}), "fused")
        return Outcome(trained.scores(trained.logits(trained.fitter))["test"], len(trained.history))

    return fit


def logistic_of(space: str) -> Fit:
    """Return the function that fits and tests logistic regression."""

    def fit(extraction: Extraction, seed: int) -> Outcome:
        steps: list[tuple[str, Any]] = [("logistic", LogisticRegression(max_iter=300, tol=1e-3))]
        if space == "standardised":
            steps.insert(0, ("standardised", StandardScaler()))
        inner = StratifiedKFold(3, shuffle=True, random_state=seed)
        search = GridSearchCV(Pipeline(steps), {"logistic__C": COSTS}, scoring="neg_log_loss", cv=inner)
        search.fit(*rows_of(extraction, "train"))
        rows, labels = rows_of(extraction, "test")
        logits = np.float32(search.decision_function(rows)).reshape(len(rows), -1)
        return Outcome(score(logits, labels), 0)

    return fit


def rows_of(extraction: Extraction, split: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the (n, d) features and the (n,) class indices of a split."""
    images = extraction.select(split)
    classes = extraction.dataset.classes
    rows = np.concatenate(list(extraction.view_rows(images).chunks(256)))
    return rows, np.array([classes.index(str(image.item.label)) for image in images])


def together(scores: list[Score]) -> Score:
    """Return the score of all folds' images."""
    n = sum(fold.n for fold in scores)
    loss = sum(fold.n * (fold.loss or 0.0) for fold in scores) / n
    return Score(n, sum(fold.correct for fold in scores), loss)


def print_table(table: dict[str, dict[str, Score]]) -> None:
    """Print accuracy and loss by data set and candidate, and each candidate's means."""
    names = list(next(iter(table.values())))
    losses = np.array([[row[name].loss for name in names] for row in table.values()], float)
    accuracies = np.array([[row[name].correct / row[name].n for name in names] for row in table.values()])
    ranks = rankdata(losses, axis=1)
    print("| data | n | " + " | ".join(names) + " |")
    print("|---" * (len(names) + 2) + "|")
    for (data, row), *own in zip(table.items(), accuracies, losses, strict=True):
        cells = (f"{accuracy:.1%} {loss:.3f}" for accuracy, loss in zip(*own, strict=True))
        print(f"| {data} | {row[names[0]].n} | " + " | ".join(cells) + " |")
    print("| mean accuracy | | " + " | ".join(f"{value:.1%}" for value in accuracies.mean(0)) + " |")
    print("| mean rank by loss | | " + " | ".join(f"{value:.2f}" for value in ranks.mean(0)) + " |")


if __name__ == "__main__":
    main()
