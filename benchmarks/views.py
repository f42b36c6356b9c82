"""Time and cross-validated accuracy on the training images for several numbers K of augmented views.

    python benchmarks/views.py DATA [--recipe covid4-vgg16] [--views 1,2,4,8] [--epochs 30] [--folds 3] [--seeds 1]

The test split is never read. For each fold a new head is trained on the views of the other folds and scored on the
fold's original images (view 0). Prints one line of JSON for each number of views, and a table at the end.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from sklearn.model_selection import StratifiedKFold

from featx.data import read_data
from featx.features import Extraction, extract_dataset
from featx.heads import TrainingBatches, fit_epochs, make_fitter
from featx.recipes import Recipe, load_recipe
from featx.stats import Score, score, wilson


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--recipe", default="covid4-vgg16")
    parser.add_argument("--views", default="1,2,4,8")
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--folds", type=int, default=3)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--cache", type=Path, default=Path("cache"))
    options = parser.parse_args()
    counts = [int(count) for count in options.views.split(",")]
    recipe = load_recipe(options.recipe, {"fit.epochs": options.epochs})
    extraction, seconds = extracted(options.data, recipe, counts, options.cache)
    table = []
    for seed in range(options.seeds):
        for count in counts:
            start = time.perf_counter()
            folds = [
                fold_score(extraction, recipe, count, train, held, seed)
                for train, held in split(extraction, options.folds, seed)
            ]
            row = {
                "views": count,
                "seed": seed,
                "extract_seconds": round(seconds[count], 1),
                "fit_seconds": round(time.perf_counter() - start, 1),
                "correct": sum(fold.correct for fold in folds),
                "n": sum(fold.n for fold in folds),
                "loss": round(float(np.mean([fold.loss for fold in folds])), 3),
            }
            table.append(row)
            print(json.dumps(row), flush=True)
    for row in table:
        low, high = wilson(int(row["correct"]), int(row["n"]))
        print(f"{row}: {row['correct'] / row['n']:.3f} ({low:.2f}-{high:.2f})")


def extracted(data: Path, recipe: Recipe, counts: list[int], cache: Path) -> tuple[Extraction, dict[int, float]]:
    """Extract the largest K step by step; return it and the seconds that each K takes from an empty cache."""
    train = read_data(data)
    train = replace(train, items=train.split("train"))
    seconds: dict[int, float] = {}
    total = 0.0
    for count in sorted(counts):
        extraction = extract_dataset(train, recipe.replaced({"views.count": count}), cache=cache)
        total += extraction.seconds
        seconds[count] = total
        print(json.dumps(extraction.to_json()), flush=True)
    return extraction, seconds


def split(extraction: Extraction, folds: int, seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
    labels = [image.item.label for image in extraction.images]
    folding = StratifiedKFold(folds, shuffle=True, random_state=seed)
    return list(folding.split(labels, labels))


def fold_score(
    extraction: Extraction, recipe: Recipe, views: int, train: np.ndarray, held: np.ndarray, seed: int
) -> Score:
    classes = extraction.dataset.classes
    labels = np.array([classes.index(str(image.item.label)) for image in extraction.images])
    images = list(extraction.images)
    rows = extraction.view_rows([images[i] for i in train], views)
    own = extraction.view_rows([images[i] for i in held])
    seeded = recipe.replaced({"fit.seed": seed})
    fitter = make_fitter("auto", seeded, extraction.dim, len(classes))
    batches = TrainingBatches(rows, labels[train], views, recipe.fit.batch_size, seed)
    list(fit_epochs(fitter, batches, lambda: Score(0, 0, None), recipe.fit))
    return score(fitter.logits(own.chunks(256)), labels[held])


if __name__ == "__main__":
    main()
