"""What makes heads steadier: log loss, accuracy and spread between seeds of several ways to train a recipe's head.

    python benchmarks/steadier.py DATA [--recipe linear] [--epochs N] [--folds 5] [--repeats 1] [--seeds 3]
                                  [--members 3] [--average 10] [--set NAME=VALUE ...] [--weights imagenet]
                                  [--cache cache]

Repeated cross-validation on the split `train` alone; a split `test` or `val` of the data is never read. Groups, and
images with the same bytes, stay in one fold. Of the other folds' images a share is held out for validation, as in
`featx fit-head`. Each fit trains a head of several members for all epochs of the recipe. The members by themselves
are single heads with different initial weights and dropout, and each fit tells all of these:

- `last`: the weights at the end of the last epoch;
- `average N`: the mean of the weights at the ends of the last N epochs (`fit.average`);
- `best`: the epoch with the lowest validation loss (`fit.keep = "best"`);
- `patience N`: the same, if training had stopped as the recipe says (`fit.patience`).

The training itself is varied by `--set`, once for each setting: `--set smoothing=0.1 --set decay=0.01`; with
`--set plain` it is the recipe's. Prints one line of JSON for each fit, and at the end a table in Markdown. The loss
and accuracy are means over all images and seeds, the spread is the standard deviation between seeds of one repeat.

The criterion, written before the first run: the lowest mean log loss; among ways whose loss is within 2 % of it, the
smallest spread of the loss between seeds; then the one that costs least.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from heads import extracted, folds_of, rows_of
from numpy.typing import NDArray

from featx.features import Extraction
from featx.heads import TrainingBatches, images_by_role, label_array, make_fitter
from featx.recipes import Recipe, load_recipe, with_fields
from featx.stats import probabilities, score

FIELDS = {"smoothing": "fit.label_smoothing", "decay": "fit.weight_decay"}
Logits = NDArray[np.float32]


@dataclass
class BestEpoch:
    """Follows validation losses, and has the test logits of the best epoch before patience ends the training."""

    patience: int | None
    lowest: float = math.inf
    epoch: int = 0
    stopped: bool = False
    logits: Logits = field(default_factory=lambda: np.empty(0, np.float32))

    def improves(self, number: int, loss: float) -> bool:
        """Note the loss of an epoch; tell whether it is the new best one."""
        self.stopped |= self.patience is not None and number - self.epoch > self.patience
        if self.stopped or loss >= self.lowest:
            return False
        self.lowest, self.epoch = loss, number
        return True


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--recipe", default="linear")
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--members", type=int, default=3)
    parser.add_argument("--average", type=int, default=10)
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("--weights", default="imagenet")
    parser.add_argument("--cache", type=Path, default=Path("cache"))
    options = parser.parse_args()
    recipe = with_fields(load_recipe(options.recipe), {"backbone.weights": options.weights})
    if options.epochs is not None:
        recipe = with_fields(recipe, {"fit.epochs": options.epochs})
    extraction = extracted(options.data, recipe, options.cache)
    results: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for setting in options.set or ["plain"]:
        name, _, value = setting.partition("=")
        changed = with_fields(recipe, {FIELDS[name]: float(value)}) if value else recipe
        for way, result in cross_validated(extraction, changed, setting, options):
            results[f"{way}, {setting.replace('=', ' ')}"].append(result)
    print_table(results)


def cross_validated(
    extraction: Extraction, recipe: Recipe, setting: str, options: argparse.Namespace
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the result of each way to get a head from the fits of a setting, by repeat and seed."""
    for repeat in range(options.repeats):
        folds = list(folds_of(extraction, options.folds, repeat + 1))[-options.folds :]
        for seed in range(options.seeds):
            images: dict[tuple[str, int], list[tuple[float, bool]]] = defaultdict(list)
            for fold, (part, _) in enumerate(folds):
                start = time.perf_counter()
                # Member seeds count upwards from that of the fit.
                changes = {"fit.seed": options.members * (repeat * options.seeds + seed)}
                logits = fitted(part, with_fields(recipe, changes), options)
                labels = rows_of(part, "test")[1]
                for key, own in logits.items():
                    images[key].extend(by_image(own, labels))
                losses = {
                    f"{way}, {member}": [round(value, 3) for value in mean(outcomes)]
                    for (way, member), outcomes in images.items()
                }
                seconds = round(time.perf_counter() - start, 1)
                row = {"setting": setting, "repeat": repeat, "seed": seed, "fold": fold, "seconds": seconds}
                print(json.dumps({**row, "loss and accuracy so far": losses}), flush=True)
            for (way, member), outcomes in images.items():
                loss, accuracy = mean(outcomes)
                kind = f"{options.members} members, {way}" if member < 0 else way
                yield kind, {"repeat": repeat, "loss": loss, "accuracy": accuracy}


def fitted(part: Extraction, recipe: Recipe, options: argparse.Namespace) -> dict[tuple[str, int], Logits]:
    """Train a head of several members; return the test logits by way and member, -1 for all together."""
    fit = recipe.fit
    images, dataset = images_by_role(part, recipe), part.dataset
    labels, held_out = label_array(images.fit, dataset), label_array(images.validation, dataset)
    batches = TrainingBatches(
        part.view_rows(images.fit, recipe.views.count), labels, recipe.views.count, fit.batch_size, fit.seed
    )
    # What decides whose weights a head gets is looked at below.
    plain = with_fields(recipe, {"fit.members": options.members, "fit.patience": None})
    fitter = make_fitter("fused", plain, part.dim, len(dataset.classes))

    def all_logits(of: list[Any]) -> list[Logits]:
        rows = [np.concatenate(list(part.view_rows(of).chunks(256)))]
        return [fitter.logits(rows), *fitter.logits_of_members(rows)]

    # A head with one member is that member.
    members = range(-1 if options.members > 1 else 0, options.members)
    waits = {"best": None} | ({} if fit.patience is None else {f"patience {fit.patience}": fit.patience})
    best = {(way, member): BestEpoch(wait) for way, wait in waits.items() for member in members}
    for number in range(fit.epochs):
        fitter.run_epoch(batches, number, fit.rate(number), number + 1 == fit.epochs)
        losses = [score(logits, held_out).loss or 0.0 for logits in all_logits(images.validation)]
        better = [key for key, own in best.items() if own.improves(number, losses[key[1] + 1])]
        if better:
            test = all_logits(images.test)
            for key in better:
                best[key].logits = test[key[1] + 1]
        nth = number + 1 - (fit.epochs - options.average)
        if nth >= 1:
            fitter.keep_weights(nth)
    test = all_logits(images.test)
    found = {("last", member): test[member + 1] for member in members}
    fitter.restore_weights()
    test = all_logits(images.test)
    found |= {(f"average {options.average}", member): test[member + 1] for member in members}
    return found | {key: own.logits for key, own in best.items()}


def by_image(logits: Logits, labels: NDArray[np.int64]) -> list[tuple[float, bool]]:
    """Return the log loss of each image, and whether its class is the most probable one."""
    shares = np.maximum(probabilities(logits), 1e-300)
    losses = -np.log(shares[np.arange(len(labels)), labels])
    return list(zip(losses.tolist(), (shares.argmax(1) == labels).tolist(), strict=True))


def mean(images: list[tuple[float, bool]]) -> tuple[float, float]:
    """Return the mean loss and the accuracy."""
    return float(np.mean([loss for loss, _ in images])), float(np.mean([right for _, right in images]))


def print_table(results: dict[str, list[dict[str, Any]]]) -> None:
    """Print the mean loss and accuracy of each way, and their spread between seeds."""
    print("| way | log loss | spread | accuracy | spread | fits |")
    print("|---|---|---|---|---|---|")
    for way, rows in sorted(results.items(), key=lambda entry: np.mean([row["loss"] for row in entry[1]])):
        cells = []
        for name, digits in (("loss", ".3f"), ("accuracy", ".1%")):
            values = [row[name] for row in rows]
            cells += [format(np.mean(values), digits), format(spread(rows, name), digits)]
        print(f"| {way} | {' | '.join(cells)} | {len(rows)} |")


def spread(rows: list[dict[str, Any]], name: str) -> float:
    """Return the standard deviation between the seeds of one repeat, the mean over the repeats."""
    by_repeat: dict[int, list[float]] = defaultdict(list)
    for row in rows:
        by_repeat[row["repeat"]].append(row[name])
    return float(np.mean([np.std(own, ddof=1) if len(own) > 1 else math.nan for own in by_repeat.values()]))


if __name__ == "__main__":
    main()
