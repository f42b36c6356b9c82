"""The report's section on several runs side by side."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np

from featx.reports.blocks import Block, Section, Table, Text
from featx.reports.model import backbone_title
from featx.reports.results import score_of
from featx.reports.told import Told
from featx.stats import SIGNIFICANT, mcnemar
from featx.text import NOTHING, count, decimal, duration, fraction, images, percent, probability, span

Coefficients = dict[str, float | None]
"""Silhouettes of the classes: `backbone`, `penultimate` and `map`; None where one could not be had."""


def models_section(runs: Sequence[Told], separation: Sequence[Coefficients], notes: Sequence[Block] = ()) -> Section:
    """Return the comparison of models.

    Args:
        runs: At least two.
        separation: Of each run's training images.
        notes: What could not be had.
    """
    blocks: list[Block] = [_accuracies(runs), *_pairs(runs), _sizes(runs), _fitting(runs)]
    if separation:
        blocks.append(_separation(runs, separation))
    return Section("Comparison of models", "models", (*blocks, *notes))


def _accuracies(runs: Sequence[Told]) -> Table:
    rows = []
    for told in runs:
        test, validation = score_of(told, "test"), score_of(told, "validation")
        right = fraction(test.correct, test.n)
        rows.append(
            (
                told.name,
                right,
                percent(test.accuracy),
                span(test.interval),
                decimal(test.loss),
                percent(validation.accuracy),
            )
        )
    header = ("run", "test right", "accuracy", "95 % interval", "loss", "validation accuracy")
    return Table("Accuracy on each run's test images, Wilson's 95 % intervals; loss in nats.", header, tuple(rows))


def _pairs(runs: Sequence[Told]) -> list[Block]:
    rows, kinds = [], set()
    for one, other in combinations(runs, 2):
        row = paired(one, other)
        if row is None:
            rows.append((f"{one.name} – {other.name}", "0", NOTHING, NOTHING, NOTHING, "no test image in common"))
            continue
        n, first, second, p = row
        kinds.add(p < SIGNIFICANT)
        verdict = "distinguishable" if p < SIGNIFICANT else "indistinguishable"
        rows.append((f"{one.name} – {other.name}", count(n), count(first), count(second), probability(p), verdict))
    caption = (
        "Pairs on the test images that both have, told by content: images that only the first or only the second got "
        "right, and McNemar's exact test of these (two-sided; not corrected for the number of pairs)."
    )
    header = ("pair", "images", "only first", "only second", "p", "")
    blocks: list[Block] = [Table(caption, header, tuple(rows), words=frozenset({5}))]
    if False in kinds:
        text = "Indistinguishable means that this test cannot tell which is better, not that they are equally good."
        blocks.append(Text(text))
    return blocks


def paired(one: Told, other: Told) -> tuple[int, int, int, float] | None:
    """Compare two runs on the test images that they share.

    Returns:
        Images shared, those that only the first got right, those that only the second did, and the p-value of
        McNemar's exact test; None where they share none.
    """
    first = {(image.digest, image.label): image.predicted == image.label for image in one.of_role("test")}
    second = {(image.digest, image.label): image.predicted == image.label for image in other.of_role("test")}
    shared = sorted(first.keys() & second.keys())
    if not shared:
        return None
    right = np.array([(first[key], second[key]) for key in shared])
    ahead, behind = right[:, 0] & ~right[:, 1], right[:, 1] & ~right[:, 0]
    return len(shared), int(ahead.sum()), int(behind.sum()), mcnemar(right[:, 0], right[:, 1])


def _sizes(runs: Sequence[Told]) -> Table:
    rows = tuple(
        (
            told.name,
            backbone_title(told),
            count(int(told.run.manifest["features"]["dim"])),
            *(count(told.metrics["parameters"][name]) for name in ("trainable", "non_trainable", "total")),
        )
        for told in runs
    )
    header = ("run", "backbone", "features an image", "fitted", "frozen", "all")
    return Table("Parameters.", header, rows, words=frozenset({1}))


def _fitting(runs: Sequence[Told]) -> Table:
    rows = []
    for told in runs:
        seconds, fit = told.metrics["seconds"], told.run.recipe.fit
        rows.append(
            (
                told.name,
                count(score_of(told, "train").n),
                count(len(told.history)),
                count(fit.batch_size),
                f"{fit.learning_rate:g}" + ("" if fit.schedule is None else ", scheduled"),
                duration(seconds["fit"]),
                duration(seconds["fit"] / max(len(told.history), 1)),
                duration(seconds["extract"]),
            )
        )
    header = ("run", "images", "epochs", "batch", "learning rate", "fit", "an epoch", "features")
    caption = (
        "Fitting: images fitted on, and wall times. Features that were in the cache already are read, not "
        "computed, so the time for features depends on what ran before."
    )
    return Table(caption, header, tuple(rows))


def _separation(runs: Sequence[Told], separation: Sequence[Coefficients]) -> Table:
    names = ("backbone", "penultimate", "map")
    rows = tuple(
        (told.name, *(decimal(found.get(name)) for name in names))
        for told, found in zip(runs, separation, strict=True)
    )
    n = images(sum(image.split == "train" for image in runs[0].images))
    caption = (
        f"Separation of the classes among the training images ({n} of the first run): silhouette (Rousseeuw 1987), "
        "-1 to 1, in the backbone's features, in the penultimate layer's, and on the t-SNE map of the latter. The "
        "head was fitted to separate these images, so the last two say little of new ones."
    )
    return Table(caption, ("run", "backbone", "penultimate", "map"), rows)
