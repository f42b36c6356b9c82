"""The report's section on how well the classes are separated in the features."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from featx import plots
from featx.clustering import STABLE, Clusters, LayerQuality, find_clusters, measure_clusters
from featx.pages import Block, Note, Table, drawing, few_classes, fold_of
from featx.reports.opened import SPLIT_NAMES, OpenedRun
from featx.text import NOTHING, count, decimal, images, percent, probability

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Classes that the description of a drawing names.
NAMED = 40
MEASURE_TITLES = {
    "silhouette": "silhouette",
    "davies_bouldin": "Davies–Bouldin (lower is better)",
    "calinski_harabasz": "Calinski–Harabasz",
    "knn_purity": "kNN purity",
    "kmeans_ari": "k-means, ARI",
    "kmeans_nmi": "k-means, NMI",
    "hdbscan_ari": "HDBSCAN, ARI",
    "hdbscan_nmi": "HDBSCAN, NMI",
}
WIDTH, HEIGHT = 4.2, 4.2


def clusters_blocks(opened: OpenedRun, *, seed: int) -> tuple[Block, ...]:
    """Return cluster quality of both layers, overall and by class, compared with permuted labels.

    Images with several labels have no classes; of these the clusters themselves are shown.
    """
    if opened.run.multilabel:
        return unlabelled_blocks(opened, seed=seed)
    measured = measure_clusters([opened.source(layer) for layer in opened.layers], seed=seed)
    return (
        _overview(measured),
        _silhouettes(opened, measured),
        _by_class(measured.main),
        *(Note(line) for line in measured.notes),
        *(_permuted(part) for part in measured.parts),
    )


def unlabelled_blocks(opened: OpenedRun, *, seed: int) -> tuple[Block, ...]:
    """Return the clusters of k-means in the backbone's features, which no labels made."""
    found = find_clusters(opened.source("backbone"), seed=seed)
    known, parts = found.structure, found.partition
    rows = tuple(
        (
            str(one["cluster"]),
            count(one["n"]),
            percent(one["share"]),
            decimal(one["silhouette"]),
            one["nearest"][0],
        )
        for one in found.clusters()
    )
    kind = SPLIT_NAMES.get(found.split, found.split)
    caption = (
        f"The backbone features of {images(len(found.ids), kind)} in {parts.describe()}. Silhouette "
        f"{decimal(known.silhouette.value)}; in data of the same spread without clusters "
        f"{decimal(known.silhouette.low)} to {decimal(known.silhouette.high)}."
    )
    header = ("cluster", "images", "share", "silhouette", "nearest to its centre")
    tried = tuple((str(one.k), decimal(one.silhouette), decimal(one.stability)) for one in parts.candidates)
    rule = "The numbers of clusters that were tried: the highest silhouette is taken among those with a stability of "
    return (
        Table(caption, header, rows, words=frozenset({4})),
        Table(f"{rule}at least {STABLE:g}, or of all if none is.", ("clusters", "silhouette", "stability"), tried),
        *(Note(line) for line in found.notes),
    )


def _split(part: LayerQuality) -> str:
    return SPLIT_NAMES.get(part.split, part.split)


def _what(part: LayerQuality) -> str:
    return f"{part.layer} features of {images(len(part.ids), _split(part))}"


def _overview(measured: Clusters) -> Table:
    columns = [part.quality.measures() for part in measured.parts]
    rows = tuple(
        (title, *(decimal(column[name].value) if name in column else NOTHING for column in columns))
        for name, title in MEASURE_TITLES.items()
        if any(name in column for column in columns)
    )
    header = ("measure", *(f"{part.layer}, {_split(part)}" for part in measured.parts))
    counts = dict.fromkeys(images(len(part.ids), _split(part)) for part in measured.parts)
    caption = f"Separation of the classes in the features of {' and '.join(counts)}, by Euclidean distances."
    return Table(caption, header, rows)


def _permuted(part: LayerQuality) -> Table:
    rows = tuple(
        (
            MEASURE_TITLES.get(name, name),
            decimal(measure.value),
            decimal(measure.mean),
            f"{decimal(measure.low)} to {decimal(measure.high)}",
            probability(measure.p_value),
        )
        for name, measure in part.quality.measures().items()
    )
    caption = (
        f"The {_what(part)}, compared with {part.quality.permutations} random permutations of the labels: the mean "
        "and the middle 95 % of their values, and p, the share of permutations that are at least as good."
    )
    header = ("measure", "value", "permuted: mean", "permuted: 95 %", "p")
    return Table(caption, header, rows, fold=f"Compared with permuted labels: {_what(part)}")


def _by_class(part: LayerQuality) -> Table:
    of_class = {name: part.quality.of_class(number) for number, name in enumerate(part.quality.classes)}
    listed, words = few_classes(
        part.quality.classes, lambda name: of_class[name]["silhouette"], "the lowest silhouette"
    )
    rows = []
    for name in listed:
        own = of_class[name]
        rows.append(
            (
                name,
                count(own["n"]),
                decimal(own["silhouette"]),
                percent(own["negative"]),
                decimal(own["knn_purity"]),
                str(own["nearest"]),
            )
        )
    header = ("class", "images", "silhouette", "silhouette below 0", "kNN purity", "nearest class")
    caption = f"By class, {_what(part)}.{words}"
    return Table(caption, header, tuple(rows), words=frozenset({5}), fold=fold_of(listed))


def _silhouettes(opened: OpenedRun, measured: Clusters) -> Block:
    shown = [part for part in measured.parts if part.split == measured.main.split]
    descriptions = []
    for part in shown:
        quality = part.quality
        named = quality.classes[:NAMED]
        means = [quality.of_class(number)["silhouette"] for number in range(len(named))]
        listed = ", ".join(f"{name} {decimal(v, 2)}" for name, v in zip(named, means, strict=True))
        more = f" and {len(quality.classes) - NAMED:,} more" if len(quality.classes) > NAMED else ""
        descriptions.append(f"{part.layer} features: {listed}{more}")
    caption = "Silhouette of every image, sorted within its class (Rousseeuw 1987)."
    alt = f"Bars of the silhouette of every image. Means by class: {'; '.join(descriptions)}."
    return drawing(lambda: _draw_silhouettes(shown), opened.id("silhouettes"), alt, caption)


def _draw_silhouettes(shown: Sequence[LayerQuality]) -> Axes:
    height = max(HEIGHT, plots.silhouette_size(len(shown[0].quality.classes))[1])
    _, axes = plots.new_figure(WIDTH * len(shown), height, len(shown))
    for part, ax in zip(shown, np.atleast_1d(axes), strict=True):
        quality = part.quality
        chance = (quality.silhouette.low, quality.silhouette.high)
        title = f"{part.layer} features"
        drawn = plots.draw_silhouettes(quality.silhouettes, quality.labels, quality.classes, title, chance, ax)
    return drawn
