"""The report's section that compares several runs."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from featx.classifiers import difference_of_areas
from featx.pages import Block, Section, Table, Text
from featx.reports.labels import wrong_labels
from featx.reports.metrics import groups_of
from featx.reports.model import backbone_title
from featx.reports.opened import OpenedRun
from featx.reports.results import score_cells, score_of
from featx.runs import RunImage
from featx.stats import SIGNIFICANT, LabelScore, difference_of_shares, mcnemar
from featx.text import NOTHING, count, decimal, duration, images, percent, probability

Flags = NDArray[np.bool_]
Coefficients = dict[str, float | None]
"""Silhouettes of the classes: `backbone`, `penultimate` and `map`; None if one is not known."""


def models_section(
    runs: Sequence[OpenedRun], separation: Sequence[Coefficients], notes: Sequence[Block] = ()
) -> Section:
    """Return the comparison of models.

    Args:
        runs: At least two.
        separation: For each run, the silhouettes of its training images; empty if there are none.
        notes: Further blocks at the end.
    """
    blocks: list[Block] = [_accuracies(runs), *_pairs(runs), _sizes(runs), _training(runs)]
    # Of several labels there are no classes to be apart.
    if any(value is not None for each in separation for value in each.values()):
        blocks.append(_separation(runs, separation))
    return Section("Comparison of models", "models", (*blocks, *notes))


def _accuracies(runs: Sequence[OpenedRun]) -> Table:
    rows = []
    for opened in runs:
        test, validation = score_of(opened, "test"), score_of(opened, "validation")
        areas = [decimal(test.auc), decimal(test.average_precision)] if isinstance(test, LabelScore) else []
        rows.append((opened.name, *areas, *score_cells(test), percent(validation.accuracy)))
    if runs[0].run.multilabel:
        caption = (
            "On each run's test images: means over the labels of the area under the ROC curve (AUC) and of the "
            "average precision (AP); images in which every known label is right, with Wilson's 95 % intervals; "
            "loss in nats."
        )
        names = ("run", "AUC", "AP", "all right", "share", "95 % interval", "loss", "validation share")
        return Table(caption, names, tuple(rows))
    header = ("run", "correct", "accuracy", "95 % interval", "loss", "validation accuracy")
    caption = "Accuracy on each run's test images, Wilson's 95 % intervals, which allow for groups; loss in nats."
    return Table(caption, header, tuple(rows))


def _pairs(runs: Sequence[OpenedRun]) -> list[Block]:
    several = runs[0].run.multilabel
    rows, significant = [], []
    for one, other in combinations(runs, 2):
        pair = f"{one.name} – {other.name}"
        compared = paired(one, other)
        if compared is None:
            rows.append((pair, "0", *[NOTHING] * (5 if several else 4), "no test image in common"))
            continue
        n, only_first, only_second, p = compared
        cells = [count(only_first), count(only_second), probability(p)]
        if several:
            # Whether all labels of an image are right says little where labels are many: the areas decide.
            areas = paired_areas(one, other)
            if areas is None:
                rows.append((pair, count(n), NOTHING, NOTHING, *cells, "no label that some have and some have not"))
                continue
            difference, p = areas
            cells = [decimal(difference, sign=True), probability(p), *cells]
        else:
            cells = [*cells[:2], _difference(one, other), cells[2]]
        significant.append(p < SIGNIFICANT)
        verdict = "distinguishable" if p < SIGNIFICANT else "indistinguishable"
        rows.append((pair, count(n), *cells, verdict))
    blocks: list[Block] = [_pairs_table(rows, several)]
    if False in significant:
        text = (
            "Indistinguishable means that this test cannot tell which run is better. It does not mean that they are "
            "equally good: the interval of the difference says how far apart they may be."
        )
        blocks.append(Text(text))
    return blocks


def _difference(one: OpenedRun, other: OpenedRun) -> str:
    """Return the difference in accuracy in percentage points, with its interval."""
    compared = paired_difference(one, other)
    if compared is None:
        return NOTHING
    difference, ends = compared
    low, high = (decimal(100 * end, 1, sign=True) for end in ends)
    return f"{decimal(100 * difference, 1, sign=True)} ({low} to {high})"


def _pairs_table(rows: Sequence[tuple[str, ...]], several: bool) -> Table:
    shared = "Pairs of runs, on the test images that both have (matched by content)"
    if several:
        caption = (
            f"{shared}: the mean area under the ROC curve of the first run less that of the second, with the p-value "
            "of the bootstrap test of two paired areas, which resamples whole groups and gives the verdict; then how "
            "many images only the first or only the second run has all labels right of, with McNemar's exact test. "
            "p-values are two-sided and not corrected for the number of pairs."
        )
        header = ("pair", "images", "AUC", "p", "only first", "only second", "p (McNemar)", "")
        return Table(caption, header, tuple(rows), words=frozenset({7}))
    caption = (
        f"{shared}: how many images only the first or only the second run classifies correctly, the accuracy of the "
        "first less that of the second in percentage points with the 95 % interval of paired shares, and the p-value "
        "of McNemar's exact test by whole groups (two-sided, not corrected for the number of pairs)."
    )
    names = ("pair", "images", "only first", "only second", "difference", "p", "")
    return Table(caption, names, tuple(rows), words=frozenset({6}))


def paired_areas(one: OpenedRun, other: OpenedRun) -> tuple[float, float] | None:
    """Compare two runs of several labels by the mean area under the ROC curve, on the images that `paired` takes.

    Returns:
        The first run's mean area less the second's, and the p-value of `difference_of_areas`; None if no label of
        both runs has test images with it and without it.
    """
    labels = [label for label in one.run.classes if label in other.run.classes]
    first, second = (
        {(image.digest, known): image for image in run.of_role("test") if (known := _truth(run, image))}
        for run in (one, other)
    )
    shared = sorted(first.keys() & second.keys())
    if not shared or not labels:
        return None
    own, others = ([run.run.classes.index(label) for label in labels] for run in (one, other))
    shares = np.array([first[key].probabilities for key in shared], np.float64)[:, own]
    other_shares = np.array([second[key].probabilities for key in shared], np.float64)[:, others]
    targets = np.array([first[key].targets for key in shared], np.float32)[:, own]
    groups = groups_of([first[key] for key in shared])
    return difference_of_areas(targets, shares, other_shares, groups, seed=0)


def paired(one: OpenedRun, other: OpenedRun) -> tuple[int, int, int, float] | None:
    """Compare two runs on the test images that both have, and of which they know the same labels.

    Returns:
        The number of these images, the numbers that only the first and only the second run classifies correctly,
        and the p-value of McNemar's exact test by whole groups; None if they have no image in common.
    """
    matched = _matched(one, other)
    if matched is None:
        return None
    first, second, groups = matched
    ahead, behind = int(np.sum(first & ~second)), int(np.sum(second & ~first))
    return len(first), ahead, behind, mcnemar(first, second, groups)


def paired_difference(one: OpenedRun, other: OpenedRun) -> tuple[float, tuple[float, float]] | None:
    """Return the first run's accuracy less the second's on the images that `paired` takes, with its 95 % interval."""
    matched = _matched(one, other)
    if matched is None:
        return None
    first, second, groups = matched
    return float(first.mean() - second.mean()), difference_of_shares(first, second, groups)


def _matched(one: OpenedRun, other: OpenedRun) -> tuple[Flags, Flags, list[str]] | None:
    """Return whether each run classifies the images correctly that both have, and their groups; None without any."""
    first, second = (
        {(image.digest, known): image for image in run.of_role("test") if (known := _truth(run, image))}
        for run in (one, other)
    )
    shared = sorted(first.keys() & second.keys())
    if not shared:
        return None
    right = np.array([(_is_right(first[key]), _is_right(second[key])) for key in shared], np.bool_)
    return right[:, 0], right[:, 1], groups_of([first[key] for key in shared])


def _truth(run: OpenedRun, image: RunImage) -> tuple[tuple[str, float], ...]:
    """Return what is known of an image: its class, or each known label; heads for other labels have another task."""
    if image.targets is None:
        return ((image.label, 1.0),)
    marks = zip(run.run.classes, image.targets, strict=True)
    return tuple(sorted((name, target) for name, target in marks if np.isfinite(target)))


def _is_right(image: RunImage) -> bool:
    """Tell whether an image is classified correctly; of several labels every known one."""
    return image.predicted == image.label if image.targets is None else not wrong_labels(image).any()


def _sizes(runs: Sequence[OpenedRun]) -> Table:
    rows = tuple(
        (
            opened.name,
            backbone_title(opened),
            count(int(opened.run.manifest["features"]["dim"])),
            *(count(opened.run.metrics["parameters"][name]) for name in ("trainable", "non_trainable", "total")),
        )
        for opened in runs
    )
    header = ("run", "backbone", "features per image", "trained", "frozen", "all")
    return Table("Parameters.", header, rows, words=frozenset({1}))


def _training(runs: Sequence[OpenedRun]) -> Table:
    rows = []
    for opened in runs:
        seconds, fit = opened.run.metrics["seconds"], opened.run.recipe.fit
        rows.append(
            (
                opened.name,
                count(score_of(opened, "train").n),
                count(len(opened.run.history)),
                count(fit.batch_size),
                f"{fit.learning_rate:g}" + ("" if fit.schedule is None else ", scheduled"),
                duration(seconds["fit"]),
                duration(seconds["fit"] / max(len(opened.run.history), 1)),
                duration(seconds["extract"]),
            )
        )
    header = ("run", "images", "epochs", "batch", "learning rate", "training", "per epoch", "features")
    caption = (
        "Training: number of training images, settings, and wall times. Features that are in the cache already are "
        "read and not computed, so the time for features depends on earlier work."
    )
    return Table(caption, header, tuple(rows))


def _separation(runs: Sequence[OpenedRun], separation: Sequence[Coefficients]) -> Table:
    names = ("backbone", "penultimate", "map")
    rows = tuple(
        (opened.name, *(decimal(silhouettes.get(name)) for name in names))
        for opened, silhouettes in zip(runs, separation, strict=True)
    )
    n = images(sum(image.split == "train" for image in runs[0].run.images), "training")
    caption = (
        f"Separation of the classes among the training images ({n} of the first run): silhouette (Rousseeuw 1987, "
        "\N{MINUS SIGN}1 to 1) of the backbone features, of the penultimate features, and on the t-SNE map of the "
        "penultimate features, or of the backbone features for a head without a penultimate layer. A penultimate "
        "layer was trained to separate these images, so its values say little about new images."
    )
    return Table(caption, ("run", *names), rows)
