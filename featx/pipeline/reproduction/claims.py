"""Measurements that stand in for what the report claims in words, each with the rule that would bear it out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from featx.cluster_quality import Quality
from featx.pipeline.report_data import Told
from featx.pipeline.report_models import SIGNIFICANT, paired
from featx.pipeline.report_results import score_of
from featx.pipeline.reproduction.found import Found
from featx.pipeline.reproduction.plan import RESNET, TASK1, VGG16
from featx.report_numbers import decimal, fraction, p_words, percent
from featx.stats import wilson
from featx.verdicts import Ours, groups_of

HALF = 0.5


def claims_of(found: Found) -> Iterator[tuple[str, Ours]]:
    """Yield what stands in for each claim."""
    yield "task1.clusters", _distinct(found)
    for name in (VGG16, RESNET):
        yield f"{name}.groups", _groups(found, name)
        yield f"{name}.overfitting", _overfitting(found, name, claimed=name == RESNET)
    yield "models.accuracy", _more_accurate(found)
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
    quality = quality_of(found, name)
    if quality is None:
        return _missing(found, rule, name)
    groups = groups_of(quality.ratios.tolist(), quality.classes)
    pneumonias = {one for one in quality.classes if "bac" in one.lower() or "vir" in one.lower()}
    borne_out = len(groups) == len(quality.classes) - 1 and pneumonias in [set(group) for group in groups]
    own = sorted(pneumonias)
    others = [
        float(quality.ratios[i, j])
        for i, j in zip(*np.triu_indices(len(quality.classes), 1), strict=True)
        if {quality.classes[i], quality.classes[j]} != pneumonias
    ]
    pair = _pair(quality, own) if len(own) == 2 else None
    shown = f"{_listed(groups)}; ratio of the pneumonias {decimal(pair, 2)}, of other pairs from {min(others):.2f} on"
    return Ours(shown, float(borne_out), rule=rule, apart=found.apart(name))


def _pair(quality: Quality, names: Sequence[str]) -> float:
    one, other = (quality.classes.index(name) for name in names)
    return float(quality.ratios[one, other])


def _listed(groups: Sequence[Sequence[str]]) -> str:
    return f"{len(groups)} group{'s' * (len(groups) != 1)}: {', '.join(' + '.join(group) for group in groups)}"


def _overfitting(found: Found, name: str, *, claimed: bool) -> Ours:
    word = "apart" if claimed else "not apart"
    rule = (
        "Borne out if the 95 % intervals of training (dropout on) and validation accuracy, means of the second half "
        f"of the epochs, are {word}."
    )
    told = found.runs.get(name)
    train, validation = (None if told is None else late(told, c, HALF) for c in ("accuracy", "val_accuracy"))
    if told is None or train is None or validation is None:
        return _missing(found, rule, name)
    ends = [
        wilson(round(share * n), n)
        for share, n in ((train, score_of(told, "train").n), (validation, score_of(told, "validation").n))
    ]
    apart = ends[0][0] > ends[1][1]
    shown = f"training {percent(train)}, validation {percent(validation)}"
    return Ours(shown, float(apart == claimed), rule=rule, apart=found.apart(name))


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


def _wider(found: Found) -> Ours:
    rule = "Borne out if VGG16 has the larger mean ratio over the pairs of classes."
    pair = [quality_of(found, name) for name in (VGG16, RESNET)]
    if pair[0] is None or pair[1] is None:
        return _missing(found, rule, VGG16, RESNET)
    one, other = mean_ratio(pair[0]), mean_ratio(pair[1])
    shown = f"mean ratio {one:.2f} against {other:.2f}"
    return Ours(shown, float(one > other), rule=rule, apart=found.apart(VGG16, RESNET))


def _missing(found: Found, rule: str, *names: str) -> Ours:
    return Ours("–", None, rule=rule, apart=found.apart(*names) or "It was not measured.")
