"""Measurements that confirm or refute what the report claims in words, each with its rule."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from featx.clustering import Quality
from featx.reports import OpenedRun, paired, score_of
from featx.reproduction.data import BACTERIAL, VIRAL
from featx.reproduction.plan import RESNET, TASK1, VGG16
from featx.reproduction.state import ReproductionState
from featx.reproduction.verdicts import Measured, not_measured
from featx.stats import SIGNIFICANT, difference_interval
from featx.text import decimal, fraction, p_words, percent

HALF = 0.5
# A smaller gap between training and validation accuracy is not called overfitting.
MARGIN = 0.1
GAP = (
    "Training accuracy (with dropout) and validation accuracy are averaged over the second half of the epochs, and "
    "their difference has a 95 % interval (R. G. Newcombe 1998)."
)
OVERFITTING = f"{GAP} Confirmed if the interval is above 0."
NO_OVERFITTING = (
    f"{GAP} Confirmed if the interval begins at or below 0 and ends below {100 * MARGIN:.0f} points; refuted if it "
    "is above 0."
)
DISTINCT = "Confirmed if the ratio of the two classes is 1 or more."
GROUPS = "Confirmed if the two pneumonias overlap (ratio below 1) and no other pair of classes does."
MORE_ACCURATE = (
    "Confirmed if VGG16 classifies more test images correctly and McNemar's exact test on the same images gives "
    "p < 0.05."
)
FROZEN = "Confirmed if ResNet50V2 has 1.45 to 1.55 times as many non-trainable parameters as VGG16."
COMPLEX = "Confirmed if ResNet50V2 has more parameters in total than VGG16."
BOUNDARY = "Confirmed if VGG16 has the larger mean ratio over the pairs of classes, however small the difference."


def measured_claims(state: ReproductionState) -> Iterator[tuple[str, Measured]]:
    """Yield the measurement for each claim, by the claim's id."""
    yield "task1.clusters", _distinct(state)
    for name in (TASK1, VGG16):
        yield f"{name}.overfitting", _no_overfitting(state, name)
    yield f"{RESNET}.overfitting", _overfitting(state, RESNET)
    for name in (VGG16, RESNET):
        yield f"{name}.groups", _three_groups(state, name)
    yield "models.accuracy", _more_accurate(state)
    yield "models.frozen", _times_as_many(state, "non_trainable", FROZEN, 1.45, 1.55)
    yield "models.complexity", _times_as_many(state, "total", COMPLEX, 1, float("inf"))
    yield "models.boundary", _wider_boundary(state)


def quality_of(state: ReproductionState, name: str, layer: str = "penultimate") -> Quality | None:
    """Return the cluster quality of a fit's training images; None if it was not measured."""
    parts = state.clusters[name].parts if name in state.clusters else ()
    return next((part.quality for part in parts if (part.layer, part.split) == (layer, "train")), None)


def mean_ratio(quality: Quality) -> float:
    """Return the mean of the between/within ratio over the pairs of classes."""
    return float(np.nanmean(quality.ratios))


def late(opened: OpenedRun, column: str, first: float) -> float | None:
    """Return the mean of a column of the history over the epochs from a share of them on; None if it is empty."""
    history = opened.history
    values = [epoch[column] for epoch in history[min(round(first * len(history)), len(history) - 1) :]]
    numbers = [value for value in values if value is not None]
    return float(np.mean(numbers)) if numbers else None


def groups_of(ratios: Sequence[Sequence[float]], classes: Sequence[str]) -> list[list[str]]:
    """Return groups of classes: a pair with a ratio below 1 is in one group, and so are chains of such pairs.

    The ratio is the distance between two classes' centroids over the sum of their radii, the mean distances to the
    centroid (the inverse of Davies and Bouldin's similarity, 1979).

    Args:
        ratios: (k, k), symmetric; the diagonal is ignored.
        classes: (k,) names.
    """
    group = list(range(len(classes)))
    for one in range(len(classes)):
        for other in range(one):
            if ratios[one][other] < 1:
                old, new = group[one], group[other]
                group = [new if number == old else number for number in group]
    numbered = list(zip(classes, group, strict=True))
    return [[name for name, its_group in numbered if its_group == number] for number in dict.fromkeys(group)]


def _distinct(state: ReproductionState) -> Measured:
    quality = quality_of(state, TASK1)
    if quality is None:
        return _missing(state, DISTINCT, TASK1)
    ratio = mean_ratio(quality)
    shown = f"ratio {decimal(ratio, 2)}, silhouette {decimal(quality.silhouette.value, 2)}"
    return Measured(shown, float(ratio >= 1), rule=DISTINCT, not_comparable=state.not_comparable(TASK1))


def _three_groups(state: ReproductionState, name: str) -> Measured:
    quality, data = quality_of(state, name), state.plan.data["all"]
    if quality is None or not data.classes:
        return _missing(state, GROUPS, name)
    groups = groups_of(quality.ratios.tolist(), quality.classes)
    pneumonias = {data.classes[BACTERIAL], data.classes[VIRAL]}
    confirmed = len(groups) == len(quality.classes) - 1 and pneumonias in [set(group) for group in groups]
    ratios = {
        frozenset((quality.classes[i], quality.classes[j])): float(quality.ratios[i, j])
        for i, j in zip(*np.triu_indices(len(quality.classes), 1), strict=True)
    }
    between_pneumonias = ratios.pop(frozenset(pneumonias))
    listed = f"{len(groups)} group{'s' * (len(groups) != 1)}: {', '.join(' + '.join(group) for group in groups)}"
    shown = (
        f"{listed}; ratio of the pneumonias {between_pneumonias:.2f}, smallest ratio of other pairs "
        f"{min(ratios.values()):.2f}"
    )
    return Measured(shown, float(confirmed), rule=GROUPS, not_comparable=state.not_comparable(name))


def _overfitting(state: ReproductionState, name: str) -> Measured:
    gap = _gap(state, name)
    if gap is None:
        return _missing(state, OVERFITTING, name)
    shown, low, _ = gap
    return Measured(shown, float(low > 0), rule=OVERFITTING, not_comparable=state.not_comparable(name))


def _no_overfitting(state: ReproductionState, name: str) -> Measured:
    gap = _gap(state, name)
    if gap is None:
        return _missing(state, NO_OVERFITTING, name)
    shown, low, high = gap
    reason = state.not_comparable(name)
    if not reason and low <= 0 and high >= MARGIN:
        reason = f"The validation images are too few to decide: the gap may be 0 or {100 * high:.0f} points."
    return Measured(shown, float(low <= 0), rule=NO_OVERFITTING, not_comparable=reason)


def _gap(state: ReproductionState, name: str) -> tuple[str, float, float] | None:
    """Return training minus validation accuracy in words, and both ends of its interval."""
    opened = state.runs.get(name)
    train, validation = (None if opened is None else late(opened, c, HALF) for c in ("accuracy", "val_accuracy"))
    if opened is None or train is None or validation is None:
        return None
    low, high = difference_interval(train, score_of(opened, "train").n, validation, score_of(opened, "validation").n)
    gap = f"gap {100 * low:+.0f} to {100 * high:+.0f} points"
    return f"training {percent(train)}, validation {percent(validation)}, {gap}", low, high


def _more_accurate(state: ReproductionState) -> Measured:
    one, other = state.runs.get(VGG16), state.runs.get(RESNET)
    counts = None if one is None or other is None else paired(one, other)
    if one is None or other is None or counts is None:
        return _missing(state, MORE_ACCURATE, VGG16, RESNET)
    _, first, second, p = counts
    scores = [score_of(opened, "test") for opened in (one, other)]
    shown = f"{' against '.join(fraction(s.correct, s.n) for s in scores)}, {p_words(p)}"
    confirmed = first > second and p < SIGNIFICANT
    reason = state.not_comparable(VGG16, RESNET)
    return Measured(shown, float(confirmed), rule=MORE_ACCURATE, not_comparable=reason)


def _times_as_many(state: ReproductionState, part: str, rule: str, low: float, high: float) -> Measured:
    """Compare numbers of parameters, which do not depend on the weights."""
    if not {VGG16, RESNET} <= set(state.runs):
        return _missing(state, rule, VGG16, RESNET)
    ratio = state.runs[RESNET].metrics["parameters"][part] / state.runs[VGG16].metrics["parameters"][part]
    reason = state.plan.deviation(VGG16) or state.plan.deviation(RESNET)
    return Measured(f"{ratio:.2f} times as many", float(low < ratio < high), rule=rule, not_comparable=reason)


def _wider_boundary(state: ReproductionState) -> Measured:
    one, other = quality_of(state, VGG16), quality_of(state, RESNET)
    if one is None or other is None:
        return _missing(state, BOUNDARY, VGG16, RESNET)
    first, second = mean_ratio(one), mean_ratio(other)
    shown = f"mean ratio {first:.2f} against {second:.2f}"
    reason = state.not_comparable(VGG16, RESNET)
    return Measured(shown, float(first > second), rule=BOUNDARY, not_comparable=reason)


def _missing(state: ReproductionState, rule: str, *names: str) -> Measured:
    return not_measured(state.not_comparable(*names) or "It was not measured.", rule)
