"""Measurements that confirm or refute what the report claims in words, each with its rule."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from featx.clustering import Quality
from featx.reports import OpenedRun, paired, score_of
from featx.reproduction.data import BACTERIAL, VIRAL
from featx.reproduction.plan import RESNET, TASK1, VGG16
from featx.reproduction.state import ReproductionState
from featx.reproduction.verdicts import Measured, not_measured
from featx.stats import SIGNIFICANT, difference_interval
from featx.text import decimal, fraction, p_words, percent

# A smaller gap between training and validation accuracy is not called overfitting.
MARGIN = 0.1
GAP = (
    "Training accuracy (with dropout) and validation accuracy are averaged over the second half of the epochs, and "
    "their difference has a 95 % interval (R. G. Newcombe 1998)."
)
OVERFITTING = f"{GAP} Confirmed if the interval is above 0; refuted if it ends below {100 * MARGIN:.0f} points."
NO_OVERFITTING = f"{GAP} Confirmed if the interval ends below {100 * MARGIN:.0f} points; refuted if it is above 0."
DISTINCT = "Confirmed if the ratio of the two classes is 1 or more."
GROUPS = "Confirmed if the two pneumonias overlap (ratio below 1) and no other pair of classes does."
MORE_ACCURATE = (
    "Confirmed if VGG16 classifies more test images correctly and McNemar's exact test on the same images gives "
    "p < 0.05; refuted if it classifies fewer correctly with p < 0.05."
)
FROZEN = "Confirmed if ResNet50V2 has 1.45 to 1.55 times as many non-trainable parameters as VGG16."
COMPLEX = "Confirmed if ResNet50V2 has more parameters in total than VGG16."
BOUNDARY = "Confirmed if VGG16 has the larger mean ratio over the pairs of classes, however small the difference."


def measured_claims(state: ReproductionState) -> Iterator[tuple[str, Measured]]:
    """Yield the measurement for each claim, by the claim's id."""
    yield "task1.clusters", _claim(state, DISTINCT, _distinct(state), TASK1)
    for name in (TASK1, VGG16, RESNET):
        yield f"{name}.overfitting", _overfitting(state, name)
    for name in (VGG16, RESNET):
        yield f"{name}.groups", _claim(state, GROUPS, _three_groups(state, name), name)
    yield "models.accuracy", _claim(state, MORE_ACCURATE, _more_accurate(state), VGG16, RESNET)
    yield "models.frozen", _times_as_many(state, "non_trainable", FROZEN, 1.45, 1.55)
    yield "models.complexity", _times_as_many(state, "total", COMPLEX, 1, float("inf"))
    yield "models.boundary", _claim(state, BOUNDARY, _wider_boundary(state), VGG16, RESNET)


def mean_ratio(quality: Quality) -> float:
    """Return the mean of the between/within ratio over the pairs of classes."""
    return float(np.nanmean(quality.ratios))


def late(opened: OpenedRun, column: str, first: float) -> float | None:
    """Return the mean of a column of the history over the epochs from a share of them on; None if it is empty."""
    history = opened.run.history
    values = [epoch[column] for epoch in history[min(round(first * len(history)), len(history) - 1) :]]
    numbers = [value for value in values if value is not None]
    return float(np.mean(numbers)) if numbers else None


def groups_of(ratios: NDArray[np.float64], classes: Sequence[str]) -> list[list[str]]:
    """Return groups of classes: a pair with a ratio below 1 is in one group, and so are chains of such pairs.

    The ratio is the distance between two classes' centroids over the sum of their radii, the mean distances to the
    centroid (the inverse of Davies and Bouldin's similarity, 1979).

    Args:
        ratios: (k, k), symmetric; the diagonal is ignored.
        classes: (k,) names.
    """
    from scipy.sparse.csgraph import connected_components

    count, labels = connected_components(ratios < 1, directed=False)
    return [[name for name, label in zip(classes, labels, strict=True) if label == n] for n in range(count)]


def _claim(state: ReproductionState, rule: str, outcome: tuple[str, bool | None] | None, *names: str) -> Measured:
    """Return a claim about these fits; the outcome is what was measured, and whether it confirms the claim.

    It is None where the measurement neither confirms nor refutes it.
    """
    reason = state.not_comparable(*names)
    if outcome is None:
        return not_measured(reason or "It was not measured.", rule)
    shown, confirmed = outcome
    undecided = "The images are too few to decide." if confirmed is None else ""
    return Measured(shown, float(bool(confirmed)), rule=rule, not_comparable=reason, undecided=undecided)


def _distinct(state: ReproductionState) -> tuple[str, bool] | None:
    quality = state.quality(TASK1)
    if quality is None:
        return None
    ratio = mean_ratio(quality)
    return f"ratio {decimal(ratio, 2)}, silhouette {decimal(quality.silhouette.value, 2)}", ratio >= 1


def _three_groups(state: ReproductionState, name: str) -> tuple[str, bool] | None:
    quality, recognised = state.quality(name), state.plan.data["all"].classes
    if quality is None or not recognised:
        return None
    classes = quality.classes
    groups = groups_of(quality.ratios, classes)
    pneumonias = {recognised[BACTERIAL], recognised[VIRAL]}
    ratios = {
        frozenset((classes[i], classes[j])): float(quality.ratios[i, j])
        for i, j in combinations(range(len(classes)), 2)
    }
    between_pneumonias = ratios.pop(frozenset(pneumonias))
    listed = f"{len(groups)} group{'s' * (len(groups) != 1)}: {', '.join(' + '.join(group) for group in groups)}"
    shown = (
        f"{listed}; ratio of the pneumonias {between_pneumonias:.2f}, smallest ratio of other pairs "
        f"{min(ratios.values()):.2f}"
    )
    return shown, len(groups) == len(classes) - 1 and pneumonias in [set(group) for group in groups]


def _overfitting(state: ReproductionState, name: str) -> Measured:
    """Measure training minus validation accuracy; the report says that ResNet50V2 alone overfits."""
    rule = OVERFITTING if name == RESNET else NO_OVERFITTING
    opened = state.runs.get(name)
    train, validation = (None if opened is None else late(opened, c, 0.5) for c in ("accuracy", "val_accuracy"))
    if opened is None or train is None or validation is None:
        return _claim(state, rule, None, name)
    low, high = difference_interval(train, score_of(opened, "train").n, validation, score_of(opened, "validation").n)
    gap = f"gap {decimal(100 * low, 0, sign=True)} to {decimal(100 * high, 0, sign=True)} points"
    shown = f"training {percent(train)}, validation {percent(validation)}, {gap}"
    overfits = True if low > 0 else False if high < MARGIN else None
    return _claim(state, rule, (shown, overfits if overfits is None else overfits == (name == RESNET)), name)


def _more_accurate(state: ReproductionState) -> tuple[str, bool | None] | None:
    one, other = state.runs.get(VGG16), state.runs.get(RESNET)
    counts = None if one is None or other is None else paired(one, other)
    if one is None or other is None or counts is None:
        return None
    _, first, second, p = counts
    scores = [score_of(opened, "test") for opened in (one, other)]
    shown = f"{' against '.join(fraction(score.correct, score.n) for score in scores)}, {p_words(p)}"
    return shown, first > second if p < SIGNIFICANT else None


def _times_as_many(state: ReproductionState, part: str, rule: str, low: float, high: float) -> Measured:
    """Compare numbers of parameters, which do not depend on the weights."""
    if not {VGG16, RESNET} <= set(state.runs):
        return _claim(state, rule, None, VGG16, RESNET)
    larger, smaller = (state.runs[name].run.metrics["parameters"][part] for name in (RESNET, VGG16))
    ratio = larger / smaller
    reason = state.plan.deviation(VGG16) or state.plan.deviation(RESNET)
    return Measured(f"{ratio:.2f} times as many", float(low < ratio < high), rule=rule, not_comparable=reason)


def _wider_boundary(state: ReproductionState) -> tuple[str, bool] | None:
    one, other = state.quality(VGG16), state.quality(RESNET)
    if one is None or other is None:
        return None
    first, second = mean_ratio(one), mean_ratio(other)
    return f"mean ratio {first:.2f} against {second:.2f}", first > second
