"""Measurements that stand in for what the report claims in words, each with the rule that would bear it out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from featx.clustering import Quality
from featx.reports import Told, paired, score_of
from featx.reproduction.data import BACTERIAL, VIRAL
from featx.reproduction.found import Found
from featx.reproduction.plan import RESNET, TASK1, VGG16
from featx.reproduction.verdicts import Ours, groups_of
from featx.stats import SIGNIFICANT, difference_interval
from featx.text import decimal, fraction, p_words, percent

HALF = 0.5
# Less than this between training and validation accuracy is no overfitting worth the name.
MARGIN = 0.1
GAP = (
    "the 95 % interval (R. G. Newcombe 1998) of the difference of training (dropout on) and validation accuracy, "
    "means of the second half of the epochs,"
)


def claims_of(found: Found) -> Iterator[tuple[str, Ours]]:
    """Yield what stands in for each claim."""
    yield "task1.clusters", _distinct(found)
    for name in (TASK1, VGG16):
        yield f"{name}.overfitting", _not_overfitting(found, name)
    yield f"{RESNET}.overfitting", _overfitting(found, RESNET)
    for name in (VGG16, RESNET):
        yield f"{name}.groups", _groups(found, name)
    yield "models.accuracy", _more_accurate(found)
    yield "models.frozen", _half_as_many_more(found)
    yield "models.complexity", _more_complex(found)
    yield "models.boundary", _wider(found)


def quality_of(found: Found, name: str, layer: str = "penultimate", split: str = "train") -> Quality | None:
    """Return the cluster quality of a fit's features, where it was measured."""
    parts = found.clusters[name].parts if name in found.clusters else ()
    return next((part.quality for part in parts if (part.layer, part.split) == (layer, split)), None)


def mean_ratio(quality: Quality) -> float:
    """Return the mean over pairs of classes of the between/within ratio."""
    return float(np.nanmean(quality.ratios))


def late(told: Told, column: str, first: float) -> float | None:
    """Return the mean of a column of the history from a share of the epochs on; None where nothing was held out."""
    history = told.history
    values = [epoch[column] for epoch in history[min(round(first * len(history)), len(history) - 1) :]]
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def _distinct(found: Found) -> Ours:
    rule = "Borne out if the pair's ratio is 1 or more."
    quality = quality_of(found, TASK1)
    if quality is None:
        return _missing(found, rule, TASK1)
    ratio = mean_ratio(quality)
    shown = f"ratio {decimal(ratio, 2)}, silhouette {decimal(quality.silhouette.value, 2)}"
    return Ours(shown, float(ratio >= 1), rule=rule, apart=found.apart(TASK1))


def _groups(found: Found, name: str) -> Ours:
    rule = "Borne out if the two pneumonias overlap (ratio below 1) and no other pair does."
    quality, data = quality_of(found, name), found.plan.data["all"]
    if quality is None or not data.classes:
        return _missing(found, rule, name)
    groups = groups_of(quality.ratios.tolist(), quality.classes)
    pneumonias = {data.classes[BACTERIAL], data.classes[VIRAL]}
    borne_out = len(groups) == len(quality.classes) - 1 and pneumonias in [set(group) for group in groups]
    ratios = {
        frozenset((quality.classes[i], quality.classes[j])): float(quality.ratios[i, j])
        for i, j in zip(*np.triu_indices(len(quality.classes), 1), strict=True)
    }
    own = ratios.pop(frozenset(pneumonias))
    shown = f"{_listed(groups)}; ratio of the pneumonias {own:.2f}, of other pairs from {min(ratios.values()):.2f} on"
    return Ours(shown, float(borne_out), rule=rule, apart=found.apart(name))


def _listed(groups: Sequence[Sequence[str]]) -> str:
    return f"{len(groups)} group{'s' * (len(groups) != 1)}: {', '.join(' + '.join(group) for group in groups)}"


def _overfitting(found: Found, name: str) -> Ours:
    rule = f"Borne out if training accuracy is above validation accuracy: {GAP} is above 0."
    gap = _gap(found, name)
    if gap is None:
        return _missing(found, rule, name)
    shown, low, _ = gap
    return Ours(shown, float(low > 0), rule=rule, apart=found.apart(name))


def _not_overfitting(found: Found, name: str) -> Ours:
    rule = (
        f"Borne out if training accuracy is not above validation accuracy by {100 * MARGIN:.0f} points or more, and "
        f"refuted if it is above it: {GAP} ends below that, or begins above 0."
    )
    gap = _gap(found, name)
    if gap is None:
        return _missing(found, rule, name)
    shown, low, high = gap
    apart = found.apart(name)
    if not apart and low <= 0 and high >= MARGIN:
        apart = f"The validation images are too few to tell: the gap may be none or {100 * high:.0f} points."
    return Ours(shown, float(low <= 0), rule=rule, apart=apart)


def _gap(found: Found, name: str) -> tuple[str, float, float] | None:
    """Return training less validation accuracy in words, and both ends of its interval."""
    told = found.runs.get(name)
    train, validation = (None if told is None else late(told, c, HALF) for c in ("accuracy", "val_accuracy"))
    if told is None or train is None or validation is None:
        return None
    low, high = difference_interval(train, score_of(told, "train").n, validation, score_of(told, "validation").n)
    gap = f"gap {100 * low:+.0f} to {100 * high:+.0f} points"
    return f"training {percent(train)}, validation {percent(validation)}, {gap}", low, high


def _more_accurate(found: Found) -> Ours:
    rule = "Borne out if VGG16 has more test images right and McNemar's exact test on the same images gives p < 0.05."
    if not {VGG16, RESNET} <= set(found.runs):
        return _missing(found, rule, VGG16, RESNET)
    one, other = found.runs[VGG16], found.runs[RESNET]
    counts = paired(one, other)
    if counts is None:
        return _missing(found, rule, VGG16, RESNET)
    _, first, second, p = counts
    scores = [score_of(told, "test") for told in (one, other)]
    shown = f"{' against '.join(fraction(s.correct, s.n) for s in scores)}, {p_words(p)}"
    borne_out = first > second and p < SIGNIFICANT
    return Ours(shown, float(borne_out), rule=rule, apart=found.apart(VGG16, RESNET))


def _half_as_many_more(found: Found) -> Ours:
    return _times_as_many(found, "non_trainable", "Borne out if it is 1.45 to 1.55 times as many.", 1.45, 1.55)


def _more_complex(found: Found) -> Ours:
    return _times_as_many(found, "total", "Borne out if it has more parameters in all.", 1, float("inf"))


def _times_as_many(found: Found, part: str, rule: str, low: float, high: float) -> Ours:
    if not {VGG16, RESNET} <= set(found.runs):
        return _missing(found, rule, VGG16, RESNET)
    ratio = found.runs[RESNET].metrics["parameters"][part] / found.runs[VGG16].metrics["parameters"][part]
    # Parameters are counted, whatever the weights are.
    apart = next((told for name in (VGG16, RESNET) if (told := found.plan.other(name))), "")
    return Ours(f"{ratio:.2f} times as many", float(low < ratio < high), rule=rule, apart=apart)


def _wider(found: Found) -> Ours:
    rule = "Borne out if VGG16 has the larger mean ratio over the pairs of classes, by however little."
    pair = [quality_of(found, name) for name in (VGG16, RESNET)]
    if pair[0] is None or pair[1] is None:
        return _missing(found, rule, VGG16, RESNET)
    one, other = mean_ratio(pair[0]), mean_ratio(pair[1])
    shown = f"mean ratio {one:.2f} against {other:.2f}"
    return Ours(shown, float(one > other), rule=rule, apart=found.apart(VGG16, RESNET))


def _missing(found: Found, rule: str, *names: str) -> Ours:
    return Ours("–", None, rule=rule, apart=found.apart(*names) or "It was not measured.")
